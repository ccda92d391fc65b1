"""Points of loads, reduced to what a page can show: numbers of a window, and curves over time.

One window is reduced at a time and its points are let go, so that memory does not grow with the number of windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chaos_steps.operate.experiment_report.distribution import Distribution, distribution, percentiles
from chaos_steps.operate.experiment_report.document import Fault, LoadWindow, Phase
from chaos_steps.stats import quantile_rank

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from chaos_steps.points import Summary
    from chaos_steps.workspace import Window, Workspace

_MOST_BINS = 240
_BIN_REQUESTS = 50
_LEAST_REACH_MS = 60_000
_BIN_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
_MOST_DOTS = 1200
_MOST_FAILED_DOTS = 400


@dataclass(frozen=True)
class TimeAxis:
    """Bins of one width, in seconds from an origin; the origin is a bin's edge, so that no bin is half in the fault."""

    origin_us: int
    bin_seconds: float

    @classmethod
    def over(cls, windows: Sequence[Window], origin_ms: int | None) -> TimeAxis:
        """Axis for all windows: as fine as the number of bins allows, and the number of requests in each.

        An origin farther from the windows than they are long comes from a clock that is wrong; it is not taken.
        """
        first = min(window.start_ms for window in windows)
        last = max(window.end_ms for window in windows)
        loaded = sum(window.end_ms - window.start_ms for window in windows) / 1000
        requests = sum(window.requests or 0 for window in windows)
        needed = max((last - first) / 1000 / _MOST_BINS, loaded / max(1, requests) * _BIN_REQUESTS)
        width = next((width for width in _BIN_SECONDS if width >= needed), needed)
        reach = max(last - first, _LEAST_REACH_MS)
        near = origin_ms is not None and first - reach <= origin_ms <= last + reach
        return cls(origin_us=(origin_ms if origin_ms is not None and near else first) * 1000, bin_seconds=width)

    def begins_at(self, epoch_ms: int) -> bool:
        """Whether this time is the origin."""
        return self.origin_us == epoch_ms * 1000

    def seconds(self, epoch_ms: float) -> float:
        """Where a time is on the axis."""
        return (epoch_ms * 1000 - self.origin_us) / 1e6


@dataclass(frozen=True)
class Curves:
    """One load over time. Times are seconds on the axis, latencies milliseconds; one entry a bin that has requests."""

    name: str
    time: NDArray[np.float64]
    """Middle of the bin."""
    requests: NDArray[np.int64]
    failures: NDArray[np.int64]
    p50: NDArray[np.float64]
    """NaN in a bin without answers, also below."""
    p99: NDArray[np.float64]
    good_dots: NDArray[np.float64]
    """Time and latency of some of the good answers, evenly taken."""
    failed_dots: NDArray[np.float64]
    """The same of the failed ones."""


@dataclass(frozen=True)
class Loads:
    """Every load of a run, by start; curves and distributions are of those that have points."""

    axis: TimeAxis | None = None
    """None: there is no load."""
    windows: tuple[LoadWindow, ...] = ()
    curves: tuple[Curves, ...] = ()
    distributions: tuple[Distribution, ...] = ()


def read_loads(workspace: Workspace, fault: Fault | None) -> Loads:
    """Read and reduce all loads of the run; the fault, if there was one, gives the time axis its origin."""
    from chaos_steps.points import summarize  # noqa: PLC0415

    windows = sorted(workspace.windows().values(), key=lambda window: (window.start_ms, window.name))
    if not windows:
        return Loads()
    axis = TimeAxis.over(windows, None if fault is None else fault.start_ms)
    read, curves, distributions = [], [], []
    for window in windows:
        points = workspace.read_points(window.name)
        summary = None if points is None else summarize(points)
        read.append(_load_window(window, _phase(window, fault, axis), points, summary))
        if points is not None and len(points):
            curves.append(_curves(window.name, points, axis, len(windows)))
        if summary is not None and len(summary.durations_us):
            distributions.append(distribution(window.name, summary.durations_us))
    return Loads(axis, tuple(read), tuple(curves), tuple(distributions))


def _phase(window: Window, fault: Fault | None, axis: TimeAxis) -> Phase | None:
    if fault is None or not axis.begins_at(fault.start_ms):
        return None
    middle = (window.start_ms + window.end_ms) / 2
    if middle < fault.start_ms:
        return "before"
    return "during" if fault.end_ms is None or middle <= fault.end_ms else "after"


def _load_window(
    window: Window, phase: Phase | None, points: NDArray[Any] | None, summary: Summary | None
) -> LoadWindow:
    return LoadWindow(
        name=window.name,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        source=window.source,
        requests=window.requests,
        dropped=window.dropped,
        phase=phase,
        points=points is not None,
        **({} if points is None or summary is None else _seen(points, summary)),
    )


def _seen(points: NDArray[Any], summary: Summary) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415

    statuses, counts = np.unique(points["status"], return_counts=True)
    spread = percentiles(summary.durations_us)
    return {
        "failures": summary.requests - summary.successes,
        "connection_errors": summary.unanswered,
        "success_rate": summary.success_rate,
        "p50_latency_ms": spread.get("p50"),
        "p99_latency_ms": summary.p99_latency_ms,
        "percentiles_ms": spread,
        "statuses": {
            str(status) if status else "none": int(count) for status, count in zip(statuses, counts, strict=True)
        },
    }


def _quantile(durations_us: NDArray[Any], q: float) -> float | None:
    """Milliseconds of the ceil(q n)-th smallest, None without any."""
    import numpy as np  # noqa: PLC0415

    if not len(durations_us):
        return None
    rank = quantile_rank(len(durations_us), q) - 1
    return float(np.partition(durations_us, rank)[rank]) / 1000


def _curves(name: str, points: NDArray[Any], axis: TimeAxis, loads: int) -> Curves:
    import numpy as np  # noqa: PLC0415

    points = points[np.argsort(points["start_us"], kind="stable")]
    time = np.asarray((points["start_us"] - axis.origin_us) / 1e6, dtype=np.float64)
    duration = points["duration_us"]
    failed = (points["status"] < 200) | (points["status"] >= 400)
    bins = np.floor(time / axis.bin_seconds).astype(np.int64)
    numbers, starts = np.unique(bins, return_index=True)
    durations = [part[part >= 0] for part in np.split(duration, starts[1:])]
    return Curves(
        name=name,
        time=np.asarray((numbers + 0.5) * axis.bin_seconds, dtype=np.float64),
        requests=np.diff(starts, append=len(time)),
        failures=np.add.reduceat(failed, starts, dtype=np.int64),
        p50=np.array([_quantile(part, 0.5) for part in durations], dtype=np.float64),
        p99=np.array([_quantile(part, 0.99) for part in durations], dtype=np.float64),
        good_dots=_dots(time, duration, ~failed, _MOST_DOTS // loads),
        failed_dots=_dots(time, duration, failed, _MOST_FAILED_DOTS // loads),
    )


def _dots(
    time: NDArray[np.float64], duration: NDArray[np.int64], wanted: NDArray[np.bool_], most: int
) -> NDArray[np.float64]:
    """Two columns, time and milliseconds, of at most so many of the wanted answers, evenly taken."""
    import numpy as np  # noqa: PLC0415

    there = np.flatnonzero(wanted & (duration >= 0))
    if len(there) > most:
        there = there[np.linspace(0, len(there) - 1, most).astype(np.int64)]
    return np.column_stack([time[there], duration[there] / 1000])
