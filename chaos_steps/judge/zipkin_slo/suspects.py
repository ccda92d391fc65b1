"""Which answers to doubt first, and how two of them are compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from chaos_steps.judge.zipkin_slo.api import Query
from chaos_steps.judge.zipkin_slo.once import times_of, trace_id
from chaos_steps.judge.zipkin_slo.slices import Answer, Size
from chaos_steps.judge.zipkin_slo.spans import Trace

Content = frozenset[tuple[str, int]]
"""The id of each trace of an answer, and how many spans it has there."""

# No answer is cut shorter: ten traces come where the number is left to Zipkin.
FEWEST_TRACES, FEWEST_SPANS = 10, 100

_ELASTICSEARCH_SPANS = 10_000


def content_of(traces: Iterable[Trace]) -> Content:
    """The content of one answer, or of several together: a trace that is there more than once counts at its fullest."""
    spans: dict[str, int] = {}
    for trace in traces:
        name = trace_id(trace)
        spans[name] = max(len(trace), spans.get(name, 0))
    return frozenset(spans.items())


@dataclass(frozen=True)
class Suspect:
    """An answer that may have been cut."""

    query: Query
    size: Size
    content: Content

    @classmethod
    def of(cls, answer: Answer) -> Suspect:
        """An answer, of which the content is enough."""
        return cls(answer.query, answer.size, content_of(answer.traces))

    def described(self) -> str:
        """That it was cut, and at what size."""
        known = 0.9 * _ELASTICSEARCH_SPANS <= self.size.spans <= _ELASTICSEARCH_SPANS
        storage = ", as Elasticsearch does at 10,000 spans" if known else ""
        return f"Zipkin cut an answer at {self.size.traces} traces and {self.size.spans} spans{storage}"


@dataclass(frozen=True)
class Landmark:
    """A trace that is known to be there; its first and its last span began at these epoch microseconds."""

    trace: str
    query: Query
    earliest_us: int
    latest_us: int

    @classmethod
    def in_answer(cls, answer: Answer) -> Landmark | None:
        """The last trace of an answer; None if it has none that says when it was."""
        times = [(min(found), max(found), trace_id(trace)) for trace in answer.traces if (found := times_of(trace))]
        if not times:
            return None
        earliest_us, latest_us, trace = max(times)
        return cls(trace, answer.query, earliest_us, latest_us)

    def at_the_beginning(self, milliseconds: int) -> Query | None:
        """A slice of this length that begins with the trace; None if it is too short for the whole trace."""
        start_ms = self.earliest_us // 1000
        end_ms = start_ms + milliseconds
        return replace(self.query, start_ms=start_ms, end_ms=end_ms) if self.latest_us <= end_ms * 1000 else None


class Largest:
    """The largest answers by traces, by spans, by bytes and by the length of the slice.

    Two by traces and by spans, as of nearly the same size one may be cut and one whole.
    """

    def __init__(self) -> None:
        self.longest_ms = 0
        self._last: Answer | None = None
        self._by_content = [
            _Place(attrgetter("traces"), 2),
            _Place(attrgetter("spans"), 2),
            _Place(attrgetter("size"), 1),
        ]
        self._by_length = _Place(attrgetter("milliseconds", "traces"), 1)

    def add(self, answer: Answer) -> None:
        """Keep the answer if it is one of the largest. Of a single trace nothing can have been cut."""
        self.longest_ms = max(self.longest_ms, answer.size.milliseconds)
        if answer.traces and (self._last is None or answer.query.end_ms > self._last.query.end_ms):
            self._last = answer
        candidates = [self._by_length, *(self._by_content if answer.size.traces > 1 else ())]
        places = [place for place in candidates if place.is_for(answer.size)]
        if places:
            suspect = Suspect.of(answer)
            for place in places:
                place.put(suspect)

    @property
    def landmark(self) -> Landmark | None:
        """The last trace of all: what comes after it is not much."""
        return Landmark.in_answer(self._last) if self._last else None

    def suspects(self) -> list[Suspect]:
        """Each of them once. The longest comes first: if it is whole, length is not what others are cut by."""
        places = (self._by_length, *self._by_content)
        return list({suspect.query: suspect for place in places for suspect in place.kept}.values())


class _Place:
    """So many answers that are the largest by one measure."""

    def __init__(self, measure: Callable[[Size], Any], count: int) -> None:
        self.kept: list[Suspect] = []
        self._measure = measure
        self._count = count

    def is_for(self, size: Size) -> bool:
        return len(self.kept) < self._count or self._measure(size) > self._measure(self.kept[-1].size)

    def put(self, suspect: Suspect) -> None:
        self.kept.append(suspect)
        self.kept.sort(key=lambda each: self._measure(each.size), reverse=True)
        del self.kept[self._count :]


def suspected_cause(cut: Size, seen: Iterable[Size]) -> dict[str, float]:
    """What an answer may have been cut by, for `Trusted.after_cut`: its traces, its spans or its bytes.

    If it has fewer than any server cuts at, or if answers were `seen` that have far more, it was none of these but the
    length of the slice.
    """
    few = cut.traces < FEWEST_TRACES and cut.spans < FEWEST_SPANS
    if few or any(each.traces > 2 * cut.traces and each.spans > 2 * cut.spans for each in seen):
        return {"milliseconds": cut.milliseconds}
    return {"traces": cut.traces, "spans": cut.spans}
