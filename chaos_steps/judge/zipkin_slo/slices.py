"""Reading all traces of an interval in slices of time; the next slice comes in while the last is decoded and counted.

Slices follow the density of the traces: small ones cost round trips, large ones memory. A slice whose answer is too
large, or as long as an answer can get, is read again in halves.
"""

from __future__ import annotations

import gc
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from chaos_steps.errors import Inconclusive, TooLarge
from chaos_steps.http import Response
from chaos_steps.judge.zipkin_slo.api import Api, Query
from chaos_steps.judge.zipkin_slo.spans import Trace
from chaos_steps.params import rfc3339

LIMIT = 5000
"""Traces that are asked for at most. Storages have limits of their own on this number, the lowest known is 10,000."""

_MOST_SLICES = 2000  # Of 4 MB each.
_FIRST_MS = 1000
_FIRST_SHARE = 32
_LONGEST_SHARE = 8
_MOST_BYTES = 8 * 1024 * 1024
_AIM_BYTES = 4 * 1024 * 1024
_AIM_SPANS = 8000  # Elasticsearch gives out 10,000 spans, and nothing tells that there are more.
_AIM = 0.6  # Of what an answer can hold: the density of traces is never even.


@dataclass(frozen=True)
class Size:
    """How much an answer holds, and for how long a slice."""

    traces: int
    spans: int
    size: int
    """Bytes."""
    milliseconds: int


@dataclass(frozen=True)
class Answer:
    """All traces of a slice; a trace may be in the answers of two."""

    query: Query
    traces: list[Trace]
    size: Size


@dataclass(frozen=True)
class Trusted:
    """An answer of fewer traces and of fewer spans than this, to a shorter slice, is taken to be whole."""

    traces: float = LIMIT
    spans: float = math.inf
    milliseconds: float = math.inf

    def holds(self, size: Size) -> bool:
        """Whether an answer is small enough; no slice is planned that would be too long."""
        return size.traces < self.traces and size.spans < self.spans

    def after_cut(
        self, *, traces: float = math.inf, spans: float = math.inf, milliseconds: float = math.inf
    ) -> Trusted:
        """What to trust when an answer has been cut that was so large; infinite is what it was not cut by.

        Others are not always cut at the same length, as no trace is cut in two: less than half is far enough from it. A
        single trace is always trusted, and so is a single millisecond.
        """
        return Trusted(
            min(self.traces, max(traces / 2, 2)),
            min(self.spans, max(spans / 2, 2)),
            min(self.milliseconds, max(milliseconds / 2, 2)),
        )


def ask(api: Api, query: Query) -> Answer:
    """The answer to one query, whatever its size. Raises Unavailable."""
    response = api.traces(query, limit=LIMIT)
    return _answer(api, query, response)


def read(api: Api, interval: Query, trusted: Trusted) -> Iterator[Answer]:
    """The answers of slices that make up the interval.

    Raises Unavailable, and Inconclusive when a single millisecond holds more than one answer does, or when they are so
    small that there is no end to them.
    """
    plan = _Plan(interval, trusted)
    download = _Download.of_next(api, plan)
    while download:
        query, response = download.query, download.result()
        if response is None:
            plan.split(query)
            download = _Download.of_next(api, plan)
            continue
        plan.learn_size(query, len(response.body))
        download = _Download.of_next(api, plan)
        answer = _answer(api, query, response)
        plan.learn_density(answer.size)
        if trusted.holds(answer.size):
            yield answer
        else:
            plan.split(query)
        download = download or _Download.of_next(api, plan)


def halves(query: Query) -> tuple[Query, Query] | None:
    """The query's interval in two that share a millisecond, so that none is between them; None for a single one."""
    middle = (query.start_ms + query.end_ms) // 2
    if middle == query.start_ms:
        return None
    return replace(query, end_ms=middle), replace(query, start_ms=middle)


def _answer(api: Api, query: Query, response: Response) -> Answer:
    with _without_collector():
        traces = api.decoded(response)
    size = Size(len(traces), sum(map(len, traces)), len(response.body), query.end_ms - query.start_ms)
    return Answer(query, traces, size)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Nothing that is decoded can be garbage yet, and looking for it among all the lists takes a third of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Plan:
    """Which slice is read next."""

    def __init__(self, interval: Query, trusted: Trusted) -> None:
        whole = interval.end_ms - interval.start_ms
        self._rest: Query | None = interval
        self._pieces: list[Query] = []
        self._given = 0
        self._longest = max(1, int(min(whole / _LONGEST_SHARE, _AIM * trusted.milliseconds)))
        self._length = min(self._longest, math.ceil(whole / _FIRST_SHARE), _FIRST_MS)
        self._aim_spans = min(_AIM_SPANS, _AIM * trusted.spans)
        self._aim_traces = _AIM * trusted.traces
        # What a byte takes of the room in an answer; with every answer known better.
        self._per_byte = 1 / _AIM_BYTES

    def next(self) -> Query | None:
        """The next slice; None at the end. Raises Inconclusive when there have been far too many."""
        self._given += 1
        if self._given > _MOST_SLICES:
            raise Inconclusive(
                f"Zipkin gives out so little at a time that {_MOST_SLICES} slices do not hold the traces of the window",
                hint="look at what its storage and the proxies before it let through",
            )
        if self._pieces:
            return self._pieces.pop()
        rest = self._rest
        if rest is None:
            return None
        end = rest.start_ms + self._length
        if end >= rest.end_ms:
            self._rest = None
            return rest
        self._rest = replace(rest, start_ms=end)
        return replace(rest, end_ms=end)

    def split(self, query: Query) -> None:
        """Have a slice read again in halves."""
        both = halves(query)
        if both is None:
            raise Inconclusive(
                f"Zipkin does not give out all traces of {query.service} at {rfc3339(query.end_ms / 1000)}: one "
                "millisecond holds more of them than an answer",
                hint="raise what its storage returns for one query, or sample fewer requests",
            )
        self._pieces += both

    def learn_size(self, query: Query, size: int) -> None:
        """Choose the length of the next slice by the size of an answer, in bytes."""
        fill = max(size * self._per_byte, 0.5)
        wanted = math.ceil((query.end_ms - query.start_ms) / fill)
        self._length = max(1, min(wanted, self._longest))

    def learn_density(self, answer: Size) -> None:
        """Know better how full an answer of so many bytes is."""
        filled = max(answer.size / _AIM_BYTES, answer.spans / self._aim_spans, answer.traces / self._aim_traces)
        self._per_byte = filled / answer.size


class _Download(threading.Thread):
    """Fetches the answer to one query. A daemon: a signal must not wait for it."""

    def __init__(self, api: Api, query: Query) -> None:
        super().__init__(name=f"traces to {query.end_ms}", daemon=True)
        self.query = query
        self._api = api
        self._response: Response | None = None
        self._error: Exception | None = None

    @classmethod
    def of_next(cls, api: Api, plan: _Plan) -> _Download | None:
        """The plan's next slice on its way; None at the plan's end."""
        query = plan.next()
        if query is None:
            return None
        download = cls(api, query)
        download.start()
        return download

    def run(self) -> None:
        """Fetch; never raises."""
        try:
            # What cannot be split is taken as large as it comes.
            limit = _MOST_BYTES if halves(self.query) else None
            self._response = self._api.traces(self.query, limit=LIMIT, max_body=limit)
        except Exception as error:  # noqa: BLE001 - raised again by `result`
            self._error = error

    def result(self) -> Response | None:
        """The answer; None when it is too large. Raises Unavailable."""
        self.join()
        if self._error is None:
            return self._response
        if isinstance(self._error, TooLarge) and halves(self.query):
            return None
        raise self._error
