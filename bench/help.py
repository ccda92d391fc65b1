"""How much longer than bare Python each command takes for --help: at most 120 ms."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import tomllib
from pathlib import Path

BOUND_MS = 120
ROUNDS = 7
ROOT = Path(__file__).parent.parent


def run() -> bool:
    """Bare Python and the command take turns, so that both meet the same noise."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    kept = True
    for name in scripts:
        bare, full = [], []
        for _ in range(ROUNDS):
            bare.append(_milliseconds("-c", "pass"))
            full.append(_milliseconds("-m", "chaos_steps", name, "--help"))
        yardstick, taken = statistics.median(bare), statistics.median(full)
        ok = taken - yardstick <= BOUND_MS
        kept &= ok
        print(
            f"{name:18} {taken:5.0f} ms, {taken / yardstick:4.1f} x bare Python ({yardstick:.0f} ms): "
            f"{taken - yardstick:+.0f} ms of {BOUND_MS}{'' if ok else '  OVER'}",
            flush=True,
        )
    return kept


def _milliseconds(*arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    return (time.perf_counter() - start) * 1000
