"""Which traces belong to an interval, each counted once although the answers of two slices may hold it."""

from __future__ import annotations

from operator import attrgetter

from chaos_steps.judge.zipkin_slo.api import Query
from chaos_steps.judge.zipkin_slo.spans import Trace


def trace_id(trace: Trace) -> str:
    """The id of a trace. Where Zipkin's ids are not strict, some of its spans have 64 bits of it and some all 128."""
    return max((span.trace_id for span in trace), default="")


_TIMESTAMP = attrgetter("timestamp")


def times_of(trace: Trace) -> list[int]:
    """When its spans began, in epoch microseconds, as far as they say."""
    return list(filter(None, map(_TIMESTAMP, trace)))


class Once:
    """Lets each trace of an interval pass once; remembers only those that may come again.

    A trace belongs to an interval if its root began in it, or its earliest span where no root is known. So it is for
    Zipkin (QueryRequest.test), and the answers of its storage in memory hold just these. Other storages give out a
    trace for any span of the service that began in the slice, which may be in several slices or, for a root before the
    interval, in one too many.
    """

    def __init__(self, start_ms: int, end_ms: int) -> None:
        self._start_us, self._end_us = start_ms * 1000, end_ms * 1000
        self._seen: set[str] = set()

    def begin(self, trace: Trace, query: Query) -> int:
        """When a trace in the answer to `query` began, in epoch microseconds.

        0 if it does not belong to the interval or has passed before.
        """
        # Without any time of its own a trace is where it was found.
        times = times_of(trace) or [query.end_ms * 1000]
        earliest, latest = min(times), max(times)
        if max(query.start_ms * 1000, self._start_us - 1) < earliest and latest < query.end_ms * 1000:
            return earliest  # All of it is within the interval, and no other slice has a part of it.
        roots = (span.timestamp for span in trace if span.parent_id is None and span.timestamp)
        began, name = next(roots, earliest), trace_id(trace)
        if not self._start_us <= began <= self._end_us or name in self._seen:
            return 0
        self._seen.add(name)
        return began
