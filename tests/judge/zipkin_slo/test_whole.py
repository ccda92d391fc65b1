"""Servers that do not give out everything: the right numbers or a refusal, never fewer requests judged in silence."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.judge.zipkin_slo.conftest import Judge
from tests.judge.zipkin_slo.traffic import Traffic
from tests.servers.unreliable import Unreliable
from tests.servers.upstream import Reply, Request
from tests.servers.zipkin import Zipkin

Trace = list[dict[str, Any]]
Cut = Callable[[list[Trace], int], Iterable[Trace]]


class CuttingProxy(Unreliable):
    """Passes on what a real Zipkin answers, the traces cut: `cut` gets them newest first, and the end of the slice."""

    def __init__(self, target: str, cut: Cut) -> None:
        super().__init__(target)
        self._cut = cut
        self.most_traces = 0

    def _respond(self, request: Request) -> Reply:
        reply = super()._respond(request)
        address = urlsplit(request.path)
        if address.path != "/api/v2/traces":
            return reply
        traces = sorted(json.loads(reply.body), key=began, reverse=True)
        kept = list(self._cut(traces, int(parse_qs(address.query)["endTs"][0])))
        self.most_traces = max(self.most_traces, len(kept))
        return Reply(reply.status, json.dumps(kept).encode(), reply.headers)


def began(trace: Trace) -> int:
    return min(int(span["timestamp"]) for span in trace)


def newest_traces(limit: int) -> Cut:
    return lambda traces, _: traces[:limit]


def any_spans(limit: int) -> Cut:
    """As Elasticsearch: the traces are chosen, then so many spans of them are found, in no order."""

    def cut(traces: list[Trace], _: int) -> Iterable[Trace]:
        spans = [span for trace in traces for span in trace]
        random.Random(1).shuffle(spans)
        found: dict[str, Trace] = {}
        for span in spans[:limit]:
            found.setdefault(span["traceId"], []).append(span)
        return found.values()

    return cut


def newest_bytes(limit: int) -> Cut:
    def cut(traces: list[Trace], _: int) -> Iterable[Trace]:
        sizes = itertools.accumulate(len(json.dumps(trace)) for trace in traces)
        return [trace for trace, size in zip(traces, sizes, strict=True) if size <= limit]

    return cut


def newest_milliseconds(limit: int) -> Cut:
    return lambda traces, end_ms: [trace for trace in traces if began(trace) >= (end_ms - limit) * 1000]


@pytest.fixture(scope="module")
def busy(zipkin: Zipkin) -> Traffic:
    """2,400 requests, most of them within a second; two of three have a call below them."""
    made = Traffic(seconds=12)
    for number in range(2400):
        at_ms = 5000 + 0.4 * number if number % 8 else 5 * number
        made.request(at_ms, int(made.random.lognormvariate(9, 0.6)) + 1, failed=number % 30 == 0)
        if number % 3:
            span = made.spans[-1]
            made.spans.append(span | {"id": made.ids()[1], "parentId": span["id"], "kind": "CLIENT"})
    zipkin.post(made.spans)
    return made


CUTS = {
    "1,000 traces": newest_traces(1000),
    "1,000 spans, of any trace": any_spans(1000),
    "200 kB": newest_bytes(200_000),
}


@pytest.mark.parametrize("name", CUTS)
def test_the_numbers_are_right_although_answers_are_cut(zipkin: Zipkin, busy: Traffic, judge: Judge, name: str) -> None:
    with CuttingProxy(zipkin.url, CUTS[name]) as proxy:
        finished = judge.window(proxy.url, busy)
    assert finished.results == {"verdict": "pass", **busy.results}, finished.stderr
    (note,) = judge.verdict.notes
    assert note.startswith("Zipkin cut an answer at ")
    assert note.endswith("everything was read in smaller ones, and each compared with its parts")


def test_what_a_server_hides_by_looking_back_too_little_is_found_all_the_same(zipkin: Zipkin, judge: Judge) -> None:
    """The burst is at the beginning of every slice that holds it, and of every half: none shows a trace of it."""
    made = Traffic(seconds=12)
    for number in range(500):
        made.request(7600 + 0.1 * number)
    for number in range(3):
        made.request(1490 + 4000 * number)
    zipkin.post(made.spans)
    with CuttingProxy(zipkin.url, newest_milliseconds(300)) as proxy:
        finished = judge.window(proxy.url, made)
    assert finished.results == {"verdict": "pass", **made.results}, finished.stderr


def test_a_span_that_comes_in_meanwhile_is_not_taken_for_a_cut(zipkin: Zipkin, judge: Judge) -> None:
    made = Traffic(seconds=12)
    for number in range(20):
        made.request(6000 + number)
    zipkin.post(made.spans)
    late, answers = made.spans[7]["traceId"], itertools.count()

    def not_at_first(traces: list[Trace], _: int) -> Iterable[Trace]:
        return traces if not traces or next(answers) else [each for each in traces if each[0]["traceId"] != late]

    with CuttingProxy(zipkin.url, not_at_first) as proxy:
        finished = judge.window(proxy.url, made)
    assert finished.results == {"verdict": "pass", **made.results}
    assert f"the traces of {made.service.lower()} still change; reading them again" in finished.stderr
    assert judge.verdict.notes == ()


@pytest.fixture(scope="module")
def burst(zipkin: Zipkin) -> Traffic:
    """1,500 requests at one moment, of different durations."""
    made = Traffic(seconds=12)
    for number in range(1500):
        made.request(4321, 1000 + number)
    zipkin.post(made.spans)
    return made


def test_what_happens_at_one_moment_is_read_whole(zipkin: Zipkin, burst: Traffic, judge: Judge) -> None:
    assert judge.window(zipkin.url, burst).results == {"verdict": "pass", **burst.results}


def test_a_moment_with_more_than_an_answer_holds_is_not_judged(zipkin: Zipkin, burst: Traffic, judge: Judge) -> None:
    with CuttingProxy(zipkin.url, newest_traces(1000)) as proxy:
        finished = judge.window(proxy.url, burst)
    assert finished.code == 5
    assert "one millisecond holds more of them than an answer" in finished.stderr
    assert finished.results == {"verdict": "inconclusive", "p99-latency-ms": "", "success-rate": "", "requests": ""}
    assert (judge.verdict.exit_code, judge.verdict.requests) == (5, None)


def test_a_moment_that_cannot_be_asked_for_in_parts_is_not_judged(zipkin: Zipkin, judge: Judge) -> None:
    made = Traffic()
    for _ in range(1500):
        made.request(4321)
    zipkin.post(made.spans)
    with CuttingProxy(zipkin.url, newest_traces(1000)) as proxy:
        finished = judge.window(proxy.url, made)
    assert finished.code == 5
    assert "1000 traces or more in one millisecond" in finished.stderr


def test_a_trace_with_more_spans_than_an_answer_holds_is_not_judged(zipkin: Zipkin, judge: Judge) -> None:
    made = Traffic()
    request = made.request(30_000)
    made.spans += [made.span(request["traceId"], made.ids()[1], "CLIENT", 30_000 + n, 1) for n in range(500)]
    for number in range(10):
        made.request(30_000 + 20 * number)
    zipkin.post(made.spans)
    with CuttingProxy(zipkin.url, any_spans(300)) as proxy:
        finished = judge.window(proxy.url, made)
    assert finished.code == 5, finished.stderr
    assert "is not judged" in finished.stderr
