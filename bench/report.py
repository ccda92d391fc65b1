"""A report over 1,000,000 points: at most 10 s and 300 MB; beside it, what loading and sorting these points costs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chaos_steps.ledger import open_ledger
from chaos_steps.workspace import Check, Verdict, Window, Workspace, points_dtype

REQUESTS = 1_000_000
SECONDS = 500
BOUND_S = 10.0
BOUND_MB = 300
ROUNDS = 3
RUN = "bench"
ROOT = Path(__file__).parent.parent

_YARDSTICK = """
import sys
import numpy as np
for path in sys.argv[1:]:
    points = np.load(path)
    np.sort(points["start_us"])
    np.sort(points["duration_us"])
"""


@dataclass
class Cost:
    """Of one process."""

    seconds: float
    cpu: float
    """Seconds of CPU."""
    megabytes: float


def run() -> bool:
    """The yardstick and the report take turns, and meet the same noise; noise only adds, so the least time counts."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "workspace", RUN)
        start_ms = round(time.time() * 1000)
        for name, share, shift in (("baseline", 0.1, 0.0), ("client", 0.8, 0.12), ("recovery", 0.1, 0.92)):
            _add_load(workspace, name, start_ms + round(shift * SECONDS * 1000), share)
        ledger = open_ledger(f"file:{folder}/ledger")
        ledger.mark(RUN, "fault-active", details={"kind": "waf", "target": "bench", "askedShare": 0.05})
        ledger.mark(RUN, "load-started")
        ledger.mark(RUN, "load-done")
        ledger.mark(RUN, "fault-ended", details={"readBacks": 1, "exitCode": 0})
        paths = [str(workspace.points_path(name)) for name in workspace.windows()]
        options = ("--workspace", str(workspace.root), "--ledger", ledger.describe(), "--run", RUN)
        yardsticks, reports = [], []
        for _ in range(ROUNDS):
            yardsticks.append(_cost("-c", _YARDSTICK, *paths))
            reports.append(_cost("-m", "chaos_steps", "experiment-report", *options, "--expect", "client"))
        size = (workspace.root / "report/report.html").stat().st_size
    return _report(yardsticks, reports, size)


def _add_load(workspace: Workspace, name: str, start_ms: int, share: float) -> None:
    """A share of all requests, evenly over that share of the time, of which 1 in 20 fails; and a verdict on them."""
    count = round(REQUESTS * share)
    numbers = np.random.default_rng(count)
    points = np.zeros(count, points_dtype())
    points["start_us"] = start_ms * 1000 + np.linspace(0, SECONDS * share * 1e6, count).astype(np.int64)
    points["duration_us"] = numbers.lognormal(10, 1, count).astype(np.int64)
    points["status"] = np.where(numbers.random(count) < 0.05, 503, 200)
    window = Window(
        run=RUN,
        name=name,
        start_ms=start_ms,
        end_ms=start_ms + round(SECONDS * share * 1000),
        source="k6-load",
        points_sha256=workspace.write_points(name, points),
        requests=count,
        dropped=0,
    )
    workspace.write_window(window)
    check = Check(metric="success-rate", limit=0.9, comparison=">=", decision="pass", value=0.95)
    workspace.write_verdict(
        Verdict(run=RUN, name=name, command="k6-slo", verdict="pass", exit_code=0, checks=(check,), window=name)
    )


def _cost(*arguments: str) -> Cost:
    begin, spent = time.perf_counter(), os.times()
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = 0
    while process.poll() is None:
        peak = max(peak, _peak(process.pid))
        time.sleep(0.005)
    seconds = time.perf_counter() - begin
    if process.returncode:
        raise SystemExit(f"{arguments[:3]} ended with {process.returncode}")
    after = os.times()
    cpu = after.children_user + after.children_system - spent.children_user - spent.children_system
    return Cost(seconds, cpu, peak / 1024)


def _peak(pid: int) -> int:
    """Peak memory in kB so far; 0 for a process that has ended. What wait4 says begins with this process's memory."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)


def _report(yardsticks: list[Cost], reports: list[Cost], size: int) -> bool:
    seconds, megabytes = min(cost.seconds for cost in reports), max(cost.megabytes for cost in reports)
    cpu = min(cost.cpu for cost in reports)
    times = cpu / min(cost.cpu for cost in yardsticks)
    print(f"time  {seconds:.2f} s (of {BOUND_S:.0f}); CPU {cpu:.2f} s, {times:.1f} x that of loading and sorting")
    print(f"peak  {megabytes:.0f} MB (of {BOUND_MB}); loading and sorting {yardsticks[0].megabytes:.0f} MB")
    print(f"page  {size / 1000:.0f} kB")
    return seconds <= BOUND_S and megabytes <= BOUND_MB
