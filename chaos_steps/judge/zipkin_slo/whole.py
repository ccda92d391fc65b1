"""Making sure that Zipkin gave out every trace: it cuts what is too long, and no answer tells that it was cut.

Servers, storages and proxies cut by the number of traces, of spans or of bytes, or by the length of the slice, each at
a size of its own. Whatever it is, the largest answers have been cut if any has. So these are asked for again in two
parts. If the parts do not hold the same as the whole, answers of that size are not to be trusted, and everything is
read anew in smaller ones; from then on every single one is compared with its parts.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from chaos_steps.errors import Inconclusive
from chaos_steps.judge.zipkin_slo.api import Api, Query
from chaos_steps.judge.zipkin_slo.slices import LIMIT, Answer, Size, Trusted, ask, halves, read
from chaos_steps.judge.zipkin_slo.spans import service_of
from chaos_steps.judge.zipkin_slo.suspects import (
    FEWEST_SPANS,
    FEWEST_TRACES,
    Largest,
    Suspect,
    content_of,
    suspected_cause,
)

log = logging.getLogger(__name__)

_MOST_READINGS = 8
_LOPSIDED = 0.9
_LONGEST_US = 2**62
# A single millisecond whose spans all took equally long can be asked for in one way only.
_MOST_UNPROVEN = 1000


class Collector(Protocol):
    """Whom the answers are for."""

    def take(self, answer: Answer) -> None:
        """Count the traces of one answer."""


AnyCollector = TypeVar("AnyCollector", bound=Collector)


def read_whole(api: Api, interval: Query, new: Callable[[], AnyCollector]) -> tuple[AnyCollector, list[str]]:
    """A new collector that has all traces of an interval, and notes on what Zipkin cut meanwhile.

    Raises Unavailable, and Inconclusive when Zipkin does not give out all of them.
    """
    trusted, seen, notes = Trusted(), list[Size](), list[str]()
    for reading in range(_MOST_READINGS):
        collector, largest = new(), Largest()
        doubtful = None
        for suspect in _suspects(read(api, interval, trusted), collector, largest, every=reading > 0):
            seen.append(suspect.size)
            doubtful = _doubtful(api, suspect)
            if doubtful:
                break
        if doubtful:
            cut = _cut(api, doubtful.query)
            cause = suspected_cause(cut.size, seen) if cut else {}
        else:
            cut = _cut_at_the_beginning(api, largest)
            cause = {"milliseconds": largest.longest_ms}
            if cut is None:
                return collector, notes
        if cut:
            trusted = trusted.after_cut(**cause)
            log.info("%s; reading everything again in smaller ones", cut.described())
            notes = [f"{cut.described()}; everything was read in smaller ones, and each compared with its parts"]
        else:
            log.info("the traces of %s still change; reading them again", interval.service)
    raise Inconclusive(
        f"Zipkin's answers on {interval.service} contradict one another: the same time in one slice and in two does "
        "not hold the same traces",
        hint="wait until no more spans come in, and look at what its storage and the proxies before it let through",
    )


def _suspects(answers: Iterable[Answer], collector: Collector, largest: Largest, *, every: bool) -> Iterator[Suspect]:
    """The answers that are to be compared, after the collector has them: the largest of all, or every one at once."""
    for answer in answers:
        collector.take(answer)
        largest.add(answer)
        if every:
            yield Suspect.of(answer)
    if not every:
        yield from largest.suspects()


def _doubtful(api: Api, whole: Suspect) -> Suspect | None:
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
        larger = max(parts, key=lambda part: part.size.spans)
        if larger.query.durations_us or not _nearly_as_large(larger.size, whole.size):
            return None
        whole = Suspect.of(larger)


def _nearly_as_large(part: Size, whole: Size) -> bool:
    return (part.traces >= max(FEWEST_TRACES, _LOPSIDED * whole.traces)) or (
        part.spans >= max(FEWEST_SPANS, _LOPSIDED * whole.spans)
    )


def _cut(api: Api, query: Query) -> Suspect | None:
    """The answer to a query, which has been cut; None if it only has changed since it was read before."""
    for _ in range(2):  # A span may come in between.
        whole, parts = Suspect.of(ask(api, query)), _ask_in_parts(api, query)
        if _agree(whole, parts):
            return None
    return whole


def _cut_at_the_beginning(api: Api, largest: Largest) -> Suspect | None:
    """An answer that lacks a known trace at the beginning of its slice, which is as long as the longest that was read.

    A server that looks back less far than it is asked to leaves out the beginning of a slice and of its parts alike: if
    no more is asked for, it takes a trace that is known to find out.
    """
    landmark = largest.landmark
    query = landmark and landmark.at_the_beginning(largest.longest_ms)
    if not landmark or not query:
        return None
    answer = Suspect.of(ask(api, query))
    there = any(name == landmark.trace for name, _ in answer.content)
    return None if there or answer.size.traces >= LIMIT else answer


def _agree(whole: Suspect, parts: Sequence[Answer]) -> bool:
    together = content_of(trace for part in parts for trace in part.traces)
    if parts and parts[0].query.durations_us:  # They leave out the traces without any duration.
        return together <= whole.content
    return together == whole.content


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


def _refuse_unproven(whole: Suspect) -> None:
    if whole.size.traces >= _MOST_UNPROVEN:
        raise Inconclusive(
            f"{whole.query.service} has {whole.size.traces} traces or more in one millisecond, and whether Zipkin "
            "gives out all of them cannot be told",
            hint="sample fewer requests, or have the tracers report microseconds",
        )
