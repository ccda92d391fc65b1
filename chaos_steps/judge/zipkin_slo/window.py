"""Which stretch of time is judged."""

from __future__ import annotations

import time
from dataclasses import dataclass

from chaos_steps.command import Context
from chaos_steps.errors import UsageError


@dataclass(frozen=True)
class Interval:
    """A stretch of time in epoch milliseconds, both ends included; `name` and `sent` are those of a load's window."""

    name: str | None
    start_ms: int
    end_ms: int
    sent: int | None = None
    """Requests that the load sent."""


@dataclass(frozen=True)
class Missing:
    """A load's window that is not there; `reason` says where it was looked for, and what there is."""

    name: str
    reason: str


def interval_of(ctx: Context, window: str | None, start_ms: int | None, end_ms: int | None) -> Interval | Missing:
    """What is judged: the window of a load, the given times, or the experiment's lookback. Raises UsageError."""
    times = (start_ms, end_ms)
    if window is not None:
        if times != (None, None):
            raise UsageError("both a window and its times are given", hint="give --window, or --start-ms and --end-ms")
        return interval_of_load(ctx, window)
    if times != (None, None):
        return _between(*times)
    experiment = ctx.experiment()
    lookback = experiment.zipkin.lookback_seconds if experiment and experiment.zipkin else None
    if lookback is None:
        raise UsageError(
            "there is no window",
            hint="give --window, --start-ms and --end-ms, or zipkin.lookbackSeconds in --config",
        )
    now_ms = int(time.time() * 1000)
    return Interval(None, max(1, now_ms - int(lookback * 1000)), now_ms)


def interval_of_load(ctx: Context, name: str) -> Interval | Missing:
    """The window of a load of this run. Raises UsageError without a workspace."""
    window = ctx.workspace.read_window(name)
    if window is None:
        names = ", ".join(sorted(ctx.workspace.windows())) or "none"
        return Missing(name, f"run {ctx.run} has no window {name!r} in {ctx.workspace.root}; there are: {names}")
    return Interval(name, window.start_ms, window.end_ms, window.requests)


def _between(start_ms: int | None, end_ms: int | None) -> Interval:
    if start_ms is None or end_ms is None:
        raise UsageError("only one of --start-ms and --end-ms is given", hint="give both")
    if end_ms < start_ms:
        raise UsageError(f"--end-ms {end_ms} is before --start-ms {start_ms}")
    return Interval(None, start_ms, end_ms)
