"""Whatever the traffic and however answers are cut: all traces are read, or none are judged."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from typing import NamedTuple

import pytest

from chaos_steps.errors import Inconclusive
from chaos_steps.http import Response
from chaos_steps.judge.zipkin_slo import slices
from chaos_steps.judge.zipkin_slo.api import Api, Query
from chaos_steps.judge.zipkin_slo.once import Once
from chaos_steps.judge.zipkin_slo.slices import Answer
from chaos_steps.judge.zipkin_slo.whole import read_whole

START_MS = 1_000_000


class Stored(NamedTuple):
    """A trace."""

    began_us: int
    number: int
    spans: int
    duration_us: int


Cut = Callable[[list[Stored], Query], list[Stored]]


class CuttingApi(Api):
    """Answers as Zipkin's storage in memory does, newest first, and cuts; without a server in between."""

    def __init__(self, traces: list[Stored], cut: Cut) -> None:
        self._traces = sorted(traces, reverse=True)
        self._cut = cut

    def traces(self, query: Query, *, limit: int, max_body: int | None = None) -> Response:
        low, high = query.durations_us or (0, 10**9)
        found = [
            trace
            for trace in self._traces
            if query.start_ms * 1000 <= trace.began_us <= query.end_ms * 1000 and low <= trace.duration_us <= high
        ]
        answer = [
            [
                {
                    "traceId": str(trace.number),
                    "id": str(span),
                    "timestamp": trace.began_us,
                    "duration": trace.duration_us,
                    "localEndpoint": {"serviceName": query.service},
                }
                for span in range(trace.spans)
            ]
            for trace in self._cut(found[:limit], query)
        ]
        return Response(200, {}, json.dumps(answer).encode(), "", 0.0)


class Counted:
    """What was read: traces and spans."""

    def __init__(self, interval: Query) -> None:
        self.traces = self.spans = 0
        self._once = Once(interval.start_ms, interval.end_ms)

    def take(self, answer: Answer) -> None:
        for trace in answer.traces:
            if self._once.begin(trace, answer.query):
                self.traces += 1
                self.spans += len(trace)


def traffic(numbers: random.Random, seconds: int) -> list[Stored]:
    """Even traffic, bursts and traffic that grows, over one another."""
    times: list[float] = []
    for _ in range(numbers.randint(1, 3)):
        count, begin = numbers.choice((3, 20, 100, 400)), numbers.uniform(0, 0.9)
        length = numbers.choice((0, 0.0001, 0.01, 1 - begin))
        power = numbers.choice((1, 3))
        times += [1000 * seconds * (begin + length * (number / count) ** power) for number in range(count)]
    return [
        Stored(int((START_MS + at_ms) * 1000), number, numbers.randint(1, 5), numbers.randint(1, 10**6))
        for number, at_ms in enumerate(times)
    ]


def first_spans(traces: list[Stored], most: int) -> list[Stored]:
    """Whole traces."""
    sizes = itertools.accumulate(trace.spans for trace in traces)
    return [trace for trace, size in zip(traces, sizes, strict=True) if size <= most]


def any_spans(traces: list[Stored], most: int) -> list[Stored]:
    """Parts of traces."""
    spans = [trace for trace in traces for _ in range(trace.spans)]
    random.Random(len(spans)).shuffle(spans)
    kept = spans[:most]
    return [trace._replace(spans=kept.count(trace)) for trace in dict.fromkeys(kept)]


def since(traces: list[Stored], query: Query, milliseconds: int) -> list[Stored]:
    return [trace for trace in traces if trace.began_us >= (query.end_ms - milliseconds) * 1000]


CUTS: dict[str, Cut] = {
    "not at all": lambda traces, _: traces,
    "at 10 traces": lambda traces, _: traces[:10],
    "at 100 traces": lambda traces, _: traces[:100],
    "at 100 spans": lambda traces, _: first_spans(traces, 100),
    "at 100 spans of any trace": lambda traces, _: any_spans(traces, 100),
    "after 0.1 s": lambda traces, query: since(traces, query, 100),
    "after 1 s": lambda traces, query: since(traces, query, 1000),
}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", CUTS)
def test_all_is_read_or_nothing_is_judged(name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_MOST_SLICES", 1000)
    numbers = random.Random(f"{name} {seed}")
    seconds = numbers.choice((5, 12, 60))
    made = traffic(numbers, seconds)
    interval = Query("users", START_MS, START_MS + 1000 * seconds)
    try:
        counted, _ = read_whole(CuttingApi(made, CUTS[name]), interval, lambda: Counted(interval))
    except Inconclusive:
        assert name != "not at all"
    else:
        # What looks back too little may show no trace at all, and then there is nothing to judge.
        nothing = (counted.traces, name.startswith("after")) == (0, True)
        assert nothing or (counted.traces, counted.spans) == (len(made), sum(trace.spans for trace in made))


def test_answers_that_contradict_one_another_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_MOST_SLICES", 1000)
    numbers = random.Random(1)
    made = [Stored((START_MS + 10 * number) * 1000, number, 1, 1) for number in range(1000)]
    api = CuttingApi(made, lambda traces, _: [trace for trace in traces if numbers.random() < 0.9])
    interval = Query("users", START_MS, START_MS + 10_000)
    with pytest.raises(Inconclusive, match=r"contradict one another|gives out so little"):
        read_whole(api, interval, lambda: Counted(interval))


def test_much_traffic_after_the_window_is_not_taken_for_a_cut() -> None:
    few = [Stored((START_MS + 1000 * number) * 1000, number, 1, 1) for number in range(10)]
    much = [Stored((START_MS + 10_000) * 1000 + number, number, 1, 1) for number in range(10, slices.LIMIT + 10)]
    interval = Query("users", START_MS, START_MS + 9999)
    counted, notes = read_whole(CuttingApi(few + much, CUTS["not at all"]), interval, lambda: Counted(interval))
    assert (counted.traces, notes) == (10, [])
