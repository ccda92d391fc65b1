"""What k6-load itself costs at 1,000 requests a second, beside the k6 that it drives, and how true k6's rate is.

At most 15 % of a core and 100 MB, and a rate within 1 % of the asked one.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from chaos_steps.workspace import Workspace

RATE = 1000
SECONDS = 15
ROOT = Path(__file__).parent.parent


@dataclass
class Usage:
    """CPU seconds and peak memory of a process, and the CPU seconds of its ended children."""

    own: float = 0.0
    children: float = 0.0
    megabytes: float = 0.0


def run() -> bool:
    """Load a Caddy that answers at once."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        environment = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]), "HOME": folder}
        caddy = shutil.which("caddy", path=environment["PATH"])
        if caddy is None:
            raise SystemExit("caddy is not installed: run `make setup`")
        server = subprocess.Popen(
            [caddy, "respond", "--listen", f"127.0.0.1:{port}"],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            _wait_for(port)
            usage = _load(port, Path(folder), environment)
        finally:
            server.terminate()
            server.wait()
        return _report(usage, Workspace(Path(folder), "bench"))


def _load(port: int, folder: Path, environment: dict[str, str]) -> Usage:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "chaos_steps", "k6-load", "--target-url", f"http://127.0.0.1:{port}"),
            *("--rate-rps", str(RATE), "--duration", f"{SECONDS}s", "--workspace", str(folder), "--run", "bench"),
        ],
        cwd=ROOT,
        env=environment,
    )
    usage = Usage()
    # Until it is a zombie: then /proc still has the times, the memory no more.
    while _look(process.pid, usage) not in "ZX":
        time.sleep(0.02)
    if process.wait():
        raise SystemExit(f"k6-load ended {process.returncode}")
    return usage


def _look(pid: int, usage: Usage) -> str:
    """Update `usage`; the process's state."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    usage.own = sum(map(int, fields[11:13])) / ticks
    usage.children = sum(map(int, fields[13:15])) / ticks
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            usage.megabytes = int(line.split()[1]) / 1024
    return fields[0]


def _wait_for(port: int) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit("caddy does not listen")


def _report(usage: Usage, workspace: Workspace) -> bool:
    points = workspace.read_points("k6-load")
    if points is None:
        raise SystemExit("k6-load left no points")
    starts = points["start_us"]
    rate = (len(points) - 1) / ((int(starts.max()) - int(starts.min())) / 1e6)
    share, deviation = 100 * usage.own / SECONDS, 100 * abs(rate / RATE - 1)
    print(f"k6-load's CPU   {share:.1f} % of a core (of 15), {usage.own / usage.children:.3f} x that of k6")
    print(f"k6-load's peak  {usage.megabytes:.0f} MB (of 100)")
    print(f"k6's rate       {rate:.2f}/s, {deviation:.2f} % off the asked one (of 1)")
    return share <= 15 and usage.megabytes <= 100 and deviation <= 1
