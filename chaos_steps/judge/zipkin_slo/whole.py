"""Making sure that Zipkin gave out every trace: it cuts what is too long, and no answer tells that it was cut.

Servers, storages and proxies cut by the number of traces, of spans or of bytes, or by the time they take, each at a
length of its own. Whatever it is, the largest answers have been cut if any has. So these are asked for again in two
parts: if the parts hold more than the whole, answers of that size are not to be trusted, and everything is read anew in
smaller ones.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Protocol, TypeVar

from chaos_steps.errors import Inconclusive
from chaos_steps.judge.zipkin_slo.api import Api, Query
from chaos_steps.judge.zipkin_slo.once import trace_id
from chaos_steps.judge.zipkin_slo.slices import Answer, Trusted, ask, halves, read
from chaos_steps.judge.zipkin_slo.spans import service_of

log = logging.getLogger(__name__)

_MOST_READINGS = 6
_LOPSIDED = 0.9
_LONGEST_US = 2**62
# A single millisecond whose spans all took equally long can be asked for in one way only.
_MOST_UNPROVEN = 1000
_ELASTICSEARCH_SPANS = 10_000


class Collector(Protocol):
    """Whom the answers are for."""

    def take(self, answer: Answer) -> None:
        """Count the traces of one answer."""


AnyCollector = TypeVar("AnyCollector", bound=Collector)


def read_whole(api: Api, interval: Query, new: Callable[[], AnyCollector]) -> AnyCollector:
    """A new collector that has all traces of an interval.

    Raises Unavailable, and Inconclusive when Zipkin does not give out all of them.
    """
    trusted = Trusted()
    for _ in range(_MOST_READINGS):
        collector, largest = new(), _Largest()
        for answer in read(api, interval, trusted):
            collector.take(answer)
            largest.add(_Size.of(answer))
        doubtful = next(filter(None, (_doubtful(api, size) for size in largest.sizes())), None)
        if doubtful is None:
            return collector
        cut = _cut(api, doubtful.query)
        if cut:
            trusted = trusted.after_cut(cut.traces, cut.spans)
            log.warning("%s; reading everything again in smaller ones", cut.described())
        else:
            log.info("the traces of %s still change; reading them again", interval.service)
    raise _contradiction(interval)


@dataclass(frozen=True)
class _Size:
    """How much the answer to a query holds."""

    query: Query
    traces: int
    spans: int
    size: int

    @classmethod
    def of(cls, answer: Answer) -> _Size:
        return cls(answer.query, len(answer.traces), answer.spans, answer.size)

    @property
    def counts(self) -> tuple[int, int]:
        return self.traces, self.spans

    def described(self) -> str:
        known = 0.9 * _ELASTICSEARCH_SPANS <= self.spans <= _ELASTICSEARCH_SPANS
        storage = ", as Elasticsearch does at 10,000 spans" if known else ""
        return f"Zipkin cut an answer at {self.traces} traces and {self.spans} spans{storage}"


class _Largest:
    """The two largest answers by each measure: of nearly the same size one may be cut and one whole."""

    def __init__(self) -> None:
        self._by_measure: dict[Callable[[_Size], int], list[_Size]] = {
            attrgetter(measure): [] for measure in ("traces", "spans", "size")
        }

    def add(self, size: _Size) -> None:
        for measure, largest in self._by_measure.items():
            largest.append(size)
            largest.sort(key=measure, reverse=True)
            del largest[2:]

    def sizes(self) -> list[_Size]:
        """Without those of a single trace, of which nothing can have been cut."""
        distinct = {size.query: size for largest in self._by_measure.values() for size in largest}
        return [size for size in distinct.values() if size.traces > 1]


def _doubtful(api: Api, whole: _Size) -> _Size | None:
    """The answer itself, or one within it, that does not hold the same as its two parts; None if there is none.

    When one part is next to empty the other is nearly the whole and may have been cut just like it: then that one is
    looked at in the same way.
    """
    while True:
        parts = _ask_in_parts(api, whole.query)
        if not parts:
            _refuse_unproven(whole)
            return None
        if not _agree(whole, parts):
            return whole
        larger = _Size.of(max(parts, key=lambda part: len(part.traces)))
        if larger.traces <= _LOPSIDED * whole.traces or larger.query.durations_us:
            return None
        whole = larger


def _cut(api: Api, query: Query) -> _Size | None:
    """The answer to a query if it has been cut; None if it has only changed since. Raises Inconclusive for neither."""
    for _ in range(2):  # A span may come in between.
        whole, parts = _Size.of(ask(api, query)), _ask_in_parts(api, query)
        if _agree(whole, parts):
            return None
    if any(there > known for there, known in zip(_together(parts), whole.counts, strict=True)):
        return whole
    raise _contradiction(query)


def _agree(whole: _Size, parts: Sequence[Answer]) -> bool:
    together = _together(parts)
    if parts and parts[0].query.durations_us:  # They leave out the traces without any duration.
        return together[0] <= whole.traces and together[1] <= whole.spans
    return together == whole.counts


def _together(parts: Sequence[Answer]) -> tuple[int, int]:
    """Traces and spans in all parts; a trace may be in several."""
    spans: dict[str, int] = {}
    for part in parts:
        for trace in part.traces:
            name = trace_id(trace)
            spans[name] = max(len(trace), spans.get(name, 0))
    return len(spans), sum(spans.values())


def _ask_in_parts(api: Api, query: Query) -> list[Answer]:
    """The answers to a query in two halves: of its time, or, for a single millisecond, of its durations.

    None at all if it cannot be asked in any other way.
    """
    return [ask(api, part) for part in halves(query) or _by_duration(api, query)]


def _by_duration(api: Api, query: Query) -> tuple[Query, ...]:
    spans = (span for trace in ask(api, query).traces for span in trace if service_of(span) == query.service)
    durations = sorted(span.duration for span in spans if span.duration)
    if not durations or durations[0] == durations[-1]:
        return ()
    below = bisect_left(durations, durations[-1])
    middle = durations[min((len(durations) - 1) // 2, below - 1)]
    return (
        replace(query, durations_us=(1, middle)),
        replace(query, durations_us=(middle + 1, _LONGEST_US)),
    )


def _refuse_unproven(whole: _Size) -> None:
    if whole.traces >= _MOST_UNPROVEN:
        raise Inconclusive(
            f"{whole.query.service} has {whole.traces} traces or more in one millisecond, and whether Zipkin gives out "
            "all of them cannot be told",
            hint="sample fewer requests, or have the tracers report microseconds",
        )


def _contradiction(query: Query) -> Inconclusive:
    return Inconclusive(
        f"Zipkin's answers on {query.service} contradict one another: the same interval in one and in two parts does "
        "not hold the same traces",
        hint="wait until no more spans come in, and look at what its storage and the proxies before it let through",
    )
