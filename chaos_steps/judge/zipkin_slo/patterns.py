"""Resilience patterns: what services do when their calls fail."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from chaos_steps import stats
from chaos_steps.judge.zipkin_slo.spans import FAILED, Span, Trace, http_status, remote_service_of, service_of
from chaos_steps.params import format_number
from chaos_steps.traces import Edge, ErrorRule
from chaos_steps.workspace import Check

UNKNOWN = "unknown"
"""Callee of a call that names none and that no service answered."""

_TIMEOUT = re.compile("timed?[ _-]?out|deadline", re.IGNORECASE)
_TIMEOUT_STATUSES = (408, 504)


class Patterns:
    """Counts the calls between services, trace by trace; memory grows with the edges, not with the traces.

    A trace is a tree by its parent ids. A call belongs to the nearest SERVER span above it of the calling service.
    Only requests at or below a SERVER span of `subject` count, with their calls: the traces were chosen by that
    service, so of a caller above it only those requests are here that went on to call it.

    What hangs below a span that is missing is a tree of its own: its requests and calls count only if the subject is
    above them in that tree. Leaving out both keeps calls per request right, however many spans were lost. So does
    leaving out calls that belong to no request, such as those of a timer. Spans whose parent ids run in a circle are
    left out too.
    """

    def __init__(self, subject: str, rule: ErrorRule) -> None:
        self._subject = subject.lower()
        self._failed = FAILED[rule]
        self._requests: dict[str, int] = {}
        self._tallies: dict[tuple[str, str], _Tally] = {}

    def add(self, trace: Trace) -> None:
        """Count one trace, as `merge_records` gives it."""
        tree = _Tree(trace)
        requests: dict[str, list[_Request]] = {}  # Service -> its requests above the span that is visited.
        to_visit: list[str | _Request] = [*tree.roots]
        while to_visit:
            visited = to_visit.pop()
            if isinstance(visited, _Request):
                requests[visited.service].pop()
                self._close(visited)
                continue
            children = tree.children.get(visited, [])
            for span in tree.spans[visited]:
                service = service_of(span)
                if span.kind == "CLIENT" and requests.get(service):
                    self._count_call(requests[service][-1], span, tree.peers(visited))
                elif span.kind == "SERVER" and service and (service == self._subject or requests.get(self._subject)):
                    self._requests[service] = self._requests.get(service, 0) + 1
                    if children:
                        request = _Request(service, span)
                        requests.setdefault(service, []).append(request)
                        to_visit.append(request)  # Comes up again when all below it has been visited.
            to_visit += children

    def edges(self, known: Iterable[Edge] = ()) -> tuple[Edge, ...]:
        """What was counted, sorted by caller and callee.

        Of `known`, the edges of another window, also those are among them that had requests here but no call.
        """
        idle = {(edge.caller, edge.callee): _Tally() for edge in known if self._requests.get(edge.caller)}
        return tuple(
            Edge(caller=caller, callee=callee, requests=self._requests[caller], **asdict(tally))
            for (caller, callee), tally in sorted((idle | self._tallies).items())
        )

    def _count_call(self, request: _Request, call: Span, peers: Sequence[Span]) -> None:
        callee = remote_service_of(call) or _outermost(peers) or UNKNOWN
        tally = self._tally(request, callee)
        tally.calls += 1
        failed = self._failed(call)
        request.answered[callee] = request.answered.get(callee, False) or not failed
        if failed:
            tally.errors += 1
            if _is_timeout(call, peers):
                tally.timeouts += 1
            elif not peers and http_status(call) is None:
                tally.cut_short += 1

    def _close(self, request: _Request) -> None:
        for callee, answered in request.answered.items():
            tally = self._tally(request, callee)
            tally.calling += 1
            if not answered:
                tally.lost += 1
                tally.fallbacks += not self._failed(request.span)

    def _tally(self, request: _Request, callee: str) -> _Tally:
        key = request.service, callee
        tally = self._tallies.get(key)
        if tally is None:
            tally = self._tallies[key] = _Tally()
        return tally


def check_attempts(edges: Sequence[Edge], limit: float) -> Check:
    """Check the most calls per request that any edge has against a limit, plainly: retries are not drawn at random."""
    metric = "attempts-per-request"
    if not edges:
        message = f"{metric} has no data: no request made a call"
        return Check(metric=metric, limit=limit, comparison="<=", decision="inconclusive", message=message)
    worst = max(edges, key=lambda edge: edge.attempts_per_request)
    value = worst.attempts_per_request
    decision = stats.decide(value, value, limit, "<=")
    relation = f"is {'' if decision == 'pass' else 'not '}<= {format_number(limit)}"
    message = f"{metric} {format_number(value)}, from {worst.caller} to {worst.callee}, {relation}"
    return Check(metric=metric, limit=limit, comparison="<=", decision=decision, value=value, message=message)


@dataclass(slots=True)
class _Tally:
    """The counts of an edge, named as in `Edge`."""

    calling: int = 0
    calls: int = 0
    errors: int = 0
    timeouts: int = 0
    cut_short: int = 0
    lost: int = 0
    fallbacks: int = 0


@dataclass(slots=True)
class _Request:
    """A SERVER span of a service, with the calls below it."""

    service: str
    span: Span
    answered: dict[str, bool] = field(default_factory=dict)
    """Callee -> whether one of the calls succeeded."""


class _Tree:
    """A trace by its parent ids. A node is an id: the two sides of a call may share one."""

    def __init__(self, trace: Trace) -> None:
        self.spans: dict[str, list[Span]] = {}
        """Id -> its spans, callers first, then from the outside inwards."""
        self.children: dict[str, list[str]] = {}
        self.roots: list[str] = []
        """Ids without a parent in the trace."""
        for span in trace:
            self.spans.setdefault(span.id, []).append(span)
        for node, spans in self.spans.items():
            parent = spans[0].parent_id
            if len(spans) > 1:
                spans.sort(key=_inwards)
                parent = _parent(spans)
            if parent is None or parent == node or parent not in self.spans:
                self.roots.append(node)
            else:
                self.children.setdefault(parent, []).append(node)

    def peers(self, node: str) -> list[Span]:
        """The SERVER spans that answer the calls of an id: of the same id, or below it unless a call of theirs is.

        There may be two, a gateway's and that of the service behind it.
        """
        nodes = [node, *(child for child in self.children.get(node, []) if self.spans[child][0].kind != "CLIENT")]
        return [span for each in nodes for span in self.spans[each] if span.kind == "SERVER"]


def _parent(spans: list[Span]) -> str | None:
    """Parent id of the spans of one id, as the first of them says that has one: a shared SERVER span may lack it."""
    return next((span.parent_id for span in spans if span.parent_id is not None), None)


def _inwards(span: Span) -> tuple[bool, int, str, str]:
    """Sorts callers first, then what lasts longer: a gateway's span before that of the service behind it."""
    return span.kind != "CLIENT", -(span.duration or 0), service_of(span), span.kind or ""


def _outermost(peers: Sequence[Span]) -> str:
    """Service of the outermost span that names one; empty without."""
    return next((name for name in map(service_of, sorted(peers, key=_inwards)) if name), "")


def _is_timeout(call: Span, peers: Sequence[Span]) -> bool:
    """Whether the caller of a failed call gave up on it.

    By its own words; by the status; or, when it saw no status, because a peer went on for longer. With a status it had
    its answer: a peer then often ends a little later, once all is written.
    """
    if call.tags is not None and _TIMEOUT.search(call.tags.error or ""):
        return True
    status, duration = http_status(call), call.duration
    if status is not None or duration is None:
        return status in _TIMEOUT_STATUSES
    return any(peer.duration is not None and peer.duration > duration for peer in peers)
