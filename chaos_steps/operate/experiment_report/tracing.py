"""What the traces of a run show, as rows of tables: a service's requests and each edge's calls, before and during."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from chaos_steps.operate.experiment_report.text import decimal, percent
from chaos_steps.traces import Edge, Link, Traces, TraceWindow

MOST_LINKS = 50
"""Edges of Zipkin's own graph that a page lists; verdict.json has all."""

LinkState = Literal["vanished", "appeared", "fails more often"]


@dataclass(frozen=True)
class EdgeRow:
    """The calls of one service to another in one window."""

    phase: str
    edge: Edge

    @property
    def attempts(self) -> str:
        """Calls per request of the caller."""
        return decimal(self.edge.attempts_per_request, 3)


@dataclass(frozen=True)
class EdgePair:
    """One edge in the baseline, if there is one and the edge is in it, and during the fault."""

    caller: str
    callee: str
    rows: tuple[EdgeRow, ...]
    amplification: str
    """How many times the attempts of the baseline; empty when one of the two is not known."""


def windows(traces: Traces) -> list[tuple[str, TraceWindow]]:
    """The windows by what they are."""
    found = [] if traces.baseline is None else [("baseline", traces.baseline)]
    return [*found, ("judged", traces.measured)]


def edges(traces: Traces) -> Iterator[EdgePair]:
    """Every edge of either window, by caller and callee."""
    seen = {phase: {(edge.caller, edge.callee): edge for edge in window.edges} for phase, window in windows(traces)}
    for caller, callee in sorted({ends for known in seen.values() for ends in known}):
        rows = tuple(
            EdgeRow(phase, known[caller, callee]) for phase, known in seen.items() if (caller, callee) in known
        )
        yield EdgePair(caller, callee, rows, _amplification(rows))


def _amplification(rows: tuple[EdgeRow, ...]) -> str:
    if len(rows) < 2 or not rows[0].edge.attempts_per_request:
        return ""
    return f"{decimal(rows[1].edge.attempts_per_request / rows[0].edge.attempts_per_request, 2)} x"


def of(part: int, whole: int) -> str:
    """A count with its share, such as `12 (1.2 %)`."""
    return f"{part} ({percent(part / whole)})" if part and whole else str(part)


def changed(traces: Traces) -> list[tuple[Link, LinkState]]:
    """The edges of Zipkin's graph that came, went, or fail a larger share of their calls than before."""
    found = [(link, _state(link)) for link in traces.links]
    return [(link, state) for link, state in found if state is not None]


def _state(link: Link) -> LinkState | None:
    if not link.calls:
        return "vanished" if link.calls_before else None
    if not link.calls_before:
        return "appeared"
    return "fails more often" if link.errors / link.calls > link.errors_before / link.calls_before else None
