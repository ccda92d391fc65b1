"""Spans come in late: they are waited for, and not for ever."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable

import pytest

from chaos_steps.judge.zipkin_slo import settling
from chaos_steps.judge.zipkin_slo.api import Api, Query
from chaos_steps.judge.zipkin_slo.settling import settle
from tests.conftest import StartCommand
from tests.judge.zipkin_slo.conftest import Judge
from tests.judge.zipkin_slo.traffic import Traffic
from tests.servers.unreliable import Unreliable
from tests.servers.upstream import Reply, Request, Upstream
from tests.servers.zipkin import Zipkin
from tests.waiting import wait_until


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rest is 0.3 s without a new span in place of 6 s."""
    monkeypatch.setattr(settling, "_REST_SECONDS", 0.3)
    monkeypatch.setattr(settling, "_LOOK_SECONDS", 0.02)


def minute_until(seconds_from_now: float) -> Query:
    end_ms = int((time.time() + seconds_from_now) * 1000)
    return Query("users", end_ms - 60_000, end_ms)


def spans(count: int) -> Reply:
    return Reply(200, json.dumps([[{"traceId": "1", "id": str(number)} for number in range(count)]]).encode())


def growing(until: int) -> Callable[[Request], Reply]:
    """One more span in each answer, up to so many."""
    counts = itertools.count(1)
    return lambda _: spans(min(next(counts), until))


@pytest.mark.usefixtures("quick")
def test_it_waits_until_no_more_spans_come_in(upstream: Upstream) -> None:
    upstream.respond = growing(5)
    assert settle(Api(upstream.url), minute_until(0), 60)
    assert upstream.count > 5
    # No longer than the rest takes: looking for the whole of --settle would be thousands of looks.
    assert upstream.count < 200


@pytest.mark.usefixtures("quick")
def test_it_waits_no_longer_than_settle_after_the_end_and_says_so(upstream: Upstream) -> None:
    upstream.respond = growing(10**9)
    assert not settle(Api(upstream.url), minute_until(-0.5), 1)


@pytest.mark.usefixtures("quick")
def test_it_comes_to_rest_also_with_less_time_than_a_rest_takes(upstream: Upstream) -> None:
    upstream.respond = lambda _: spans(3)
    assert settle(Api(upstream.url), minute_until(-0.9), 1)


def test_a_window_that_ended_long_ago_is_not_looked_at(upstream: Upstream) -> None:
    assert settle(Api(upstream.url), minute_until(-16), 15)
    assert settle(Api(upstream.url), minute_until(0), 0)
    assert upstream.count == 0


@pytest.mark.usefixtures("quick")
def test_an_end_in_the_future_is_not_waited_for(upstream: Upstream) -> None:
    upstream.respond = growing(10**9)
    began = time.monotonic()
    assert not settle(Api(upstream.url), minute_until(3600), 1)
    assert time.monotonic() - began < 60


@pytest.mark.usefixtures("quick")
def test_it_looks_at_the_end_of_the_window_as_far_as_that_is_small(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_MOST_BYTES", 1000)
    upstream.respond = lambda request: spans(3) if "lookback=2500&" in request.path else Reply(200, b"[" * 2000)
    interval = minute_until(0)
    assert settle(Api(upstream.url), interval, 10)
    asked = [request.path.partition("endTs=")[2] for request in upstream.requests]
    halved = [f"{interval.end_ms}&lookback={lookback}&limit=5000" for lookback in (10_000, 5000, 2500)]
    assert asked[:3] == halved
    assert set(asked[3:]) == {halved[2]}


def test_spans_that_come_in_while_it_waits_are_judged(zipkin: Zipkin, start_command: StartCommand) -> None:
    made = Traffic(start_ms=int(time.time() * 1000) - 60_000)
    made.request(59_000)
    zipkin.post(made.spans)
    with Unreliable(zipkin.url) as proxy:
        options = ("--zipkin-url", proxy.url, "--service-name", made.service, *made.window, "--min-success-rate", "0")
        running = start_command("zipkin-slo", *options, "--settle", "4s")
        wait_until(lambda: proxy.count >= 2, "a look at the spans")
        zipkin.post([made.request(59_500, failed=True)])
        assert running.wait().results == {"verdict": "pass", **made.results}


def test_a_verdict_on_spans_that_do_not_come_to_rest_says_so(judge: Judge, upstream: Upstream) -> None:
    made = Traffic(start_ms=int(time.time() * 1000) - 60_000)
    traces = [[made.request(59_000)]]

    def answer(_: Request) -> Reply:
        if len(upstream.requests) < 4:
            traces.append([made.request(59_000)])
        return Reply(200, json.dumps(traces).encode())

    upstream.respond = answer
    judge.window(upstream.url, made, "--settle", "2s")
    assert "spans still came in when the time of --settle was over: the numbers may lack some" in judge.verdict.notes
