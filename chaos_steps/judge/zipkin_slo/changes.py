"""What became of the calls between two windows, in words for the notes of a verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chaos_steps.params import format_number
from chaos_steps.stats import Share, drop, drop_interval
from chaos_steps.traces import Edge, Link

_MOST_NAMED = 5


def stopped_calls(before: Iterable[Edge], during: Iterable[Edge], confidence: float) -> list[str]:
    """A note on the edges that clearly fewer requests of their caller use: an open circuit breaker may leave no span.

    `during` has the edges that are not used any more as well, see `Patterns.edges`.
    """
    known = {(edge.caller, edge.callee): Share(edge.calling, edge.requests) for edge in before}
    fewer = []
    for edge in during:
        was, now = known.get((edge.caller, edge.callee), Share(0, 0)), Share(edge.calling, edge.requests)
        if _is_less(now, was, confidence):
            fewer.append(f"from {edge.caller} to {edge.callee} ({_percent(now)}, before {_percent(was)})")
    return _note("clearly fewer requests make a call", fewer)


def changed_links(links: Iterable[Link], confidence: float) -> list[str]:
    """A note on the edges of Zipkin's graph that vanished, and one on those that clearly fail more often."""
    vanished, failing = [], []
    for link in sorted(links, key=lambda link: -link.calls_before):
        ends = f"from {link.parent} to {link.child}"
        was, now = _failures(link.errors_before, link.calls_before), _failures(link.errors, link.calls)
        if link.calls_before and not link.calls:
            vanished.append(f"{ends} ({link.calls_before} before)")
        elif _is_less(was, now, confidence):
            failing.append(f"{ends} ({_percent(now)}, before {_percent(was)})")
    return [
        *_note("Zipkin's dependencies have no call any more", vanished),
        *_note("in Zipkin's dependencies clearly more calls fail", failing),
    ]


def _failures(errors: int, calls: int) -> Share:
    return Share(min(errors, calls), calls)


def _is_less(share: Share, than: Share, confidence: float) -> bool:
    """Whether a share is less than another one beyond doubt: even the ends of their intervals that are closest."""
    if not share.n or not than.n or drop(share, than) <= 0:
        return False  # As of most edges; an interval takes milliseconds.
    return drop_interval(share, than, confidence)[0] > 0


def _percent(share: Share) -> str:
    return f"{format_number(round(100 * share.successes / share.n, 2))} %"


def _note(beginning: str, edges: Sequence[str]) -> list[str]:
    """One sentence on some edges, the first ones by name; none without any."""
    if not edges:
        return []
    more = len(edges) - _MOST_NAMED
    return [f"{beginning}: {', '.join(edges[:_MOST_NAMED])}{f' and {more} more' if more > 0 else ''}"]
