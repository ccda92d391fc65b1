"""The dose as the load itself saw it: the share of its requests that look faulted, beside the baseline's.

Only a load that goes straight to the faulted hop can tell: a caller in between may retry, fall back or ask more often.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chaos_steps.ledger.delays import least_delayed, median
from chaos_steps.operate.experiment_report.record import Asked, Counted, Measured, RunRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chaos_steps.workspace import Workspace

BASELINE = "baseline"
"""Name of the load before the fault."""


def seen_by_client(workspace: Workspace, record: RunRecord) -> Measured | None:
    """The dose by the points of the load under the fault, or None when they cannot tell."""
    name, asked = record.started.window, record.asked
    if name is None or name == BASELINE:
        return None
    window, baseline = workspace.read_window(name), workspace.read_window(BASELINE)
    if window is None or window.target is None or not goes_straight(window.target, asked):
        return None
    if baseline is None or baseline.target != window.target:
        return None
    points, before = workspace.read_points(name), workspace.read_points(BASELINE)
    if points is None or before is None:
        return None
    measure = _delays if asked.asked_delay_ms else _errors
    return measure(asked, points, before, window.target)


def goes_straight(target: str, asked: Asked) -> bool:
    """Whether a load to this address sends its requests to the faulted hop itself.

    A fault for one host is for requests that name it, which is what the host of an address does. That the address is
    the probe's counts only for a fault without a host: the probe sets the host by itself, a load does not.
    """
    parts = urlsplit(target)
    if asked.path is not None and not _matches(parts.path or "/", asked.path):
        return False
    if asked.host is not None:
        return parts.hostname == asked.host.lower()
    return asked.probe_url is not None and _origin(target) == _origin(asked.probe_url)


def _matches(path: str, pattern: str) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), path) is not None


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _errors(asked: Asked, points: NDArray[Any], before: NDArray[Any], url: str) -> Measured:
    """Faulted answers have the fault's status; where that is not known, any failure looks like one."""

    def faulted(load: NDArray[Any]) -> int:
        status = load["status"]
        looks_so = (status < 200) | (status >= 400) if asked.asked_status is None else status == asked.asked_status
        return int(looks_so.sum())

    baseline = Counted(requests=len(before), faulted=faulted(before))
    return Measured(source="client", url=url, requests=len(points), faulted=faulted(points), baseline=baseline)


def _delays(asked: Asked, points: NDArray[Any], before: NDArray[Any], url: str) -> Measured | None:
    """Delayed answers took longer than the baseline's quickest; by how much is told if none of the baseline's did."""
    import numpy as np  # noqa: PLC0415

    from chaos_steps.points import summarize  # noqa: PLC0415

    durations, undelayed = summarize(points).durations_us, summarize(before).durations_us
    if not len(undelayed):
        return None
    bar = least_delayed(int(undelayed[0]), asked.asked_delay_ms or 0)
    first, first_before = int(np.searchsorted(durations, bar)), int(np.searchsorted(undelayed, bar))
    as_slow = len(undelayed) - first_before
    return Measured(
        source="client",
        url=url,
        requests=len(durations),
        faulted=len(durations) - first,
        baseline=Counted(requests=len(undelayed), faulted=as_slow),
        delayed=None if as_slow else median(durations[first:]),
        others=median(undelayed),
    )
