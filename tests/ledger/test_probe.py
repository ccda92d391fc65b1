"""The probe tells in which answers the fault was, each request sent once."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from chaos_steps.ledger import probe as probes
from chaos_steps.ledger.probe import Probe
from chaos_steps.ledger.target import Effect
from tests.servers.upstream import Reply, Request, Upstream
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "INTERVAL", 0.01)
    monkeypatch.setattr(probes, "SETTLE", 0.2)


def measure(url: str, effect: Effect, requests: int, upstream: Upstream) -> dict[str, Any]:
    probe = Probe(url, effect, "r-1")
    probe.start()
    wait_until(lambda: upstream.count >= requests, "requests")
    probe.stop()
    return probe.dose()


def is_503(status: int, _headers: object) -> bool:
    return status == 503


@pytest.fixture(autouse=True)
def _all_requests_are_over(upstream: Upstream) -> Iterator[None]:
    """A probe that was stopped leaves its last requests under way: none may come in when the next test counts."""
    before = set(threading.enumerate())
    yield
    wait_until(lambda: set(threading.enumerate()) <= before, "the threads of the probe and of its answers to end")


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Answers may wait for it; it opens at the end of the test at the latest."""
    event = threading.Event()
    yield event
    event.set()


def test_it_counts_answers_with_the_fault_and_names_the_run(upstream: Upstream) -> None:
    numbers = itertools.count()
    upstream.respond = lambda _: Reply(503 if next(numbers) % 2 else 200)
    dose = measure(upstream.url, Effect(share=0.5, seen=is_503, host="a.svc"), 90, upstream)
    requests, faulted = dose["requests"], dose["faulted"]
    assert 30 <= requests <= upstream.count
    assert requests // 2 - 2 <= faulted <= requests // 2 + 2
    assert (dose["source"], dose["url"], dose["unanswered"]) == ("probe", upstream.url, 0)
    first = upstream.requests[0]
    assert (first.method, first.headers["host"], first.headers["x-chaos-run"]) == ("GET", "a.svc", "r-1")


def test_its_requests_ask_not_to_be_traced_each_with_ids_of_its_own(upstream: Upstream) -> None:
    measure(upstream.url, Effect(share=0.5, seen=is_503), 40, upstream)
    headers = [request.headers for request in upstream.requests[:2]]
    assert all(re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-00", each["traceparent"]) for each in headers)
    assert all(re.fullmatch("[0-9a-f]{32}-[0-9a-f]{16}-0", each["b3"]) for each in headers)
    assert headers[0]["b3"] != headers[1]["b3"]


def test_a_redirect_is_an_answer(upstream: Upstream) -> None:
    upstream.respond = lambda _: Reply(302, b"", {"Location": "/x"})
    dose = measure(upstream.url, Effect(share=0.5, seen=is_503), 70, upstream)
    assert dose["unanswered"] == 0
    assert dose["requests"] != 0
    assert {request.path for request in upstream.requests} == {"/"}


def test_requests_without_an_answer_are_counted_apart_and_not_repeated(upstream: Upstream) -> None:
    def drop(_: Request) -> Reply:
        raise ConnectionAbortedError

    upstream.respond = drop
    dose = measure(upstream.url, Effect(share=0.5, seen=is_503), 70, upstream)
    assert 20 <= dose["unanswered"] <= upstream.count
    assert (dose["requests"], dose["faulted"]) == (0, 0)


def test_a_dose_that_is_told_by_the_targets_header_has_that_as_its_source(upstream: Upstream) -> None:
    upstream.status = 503
    effect = Effect(share=1, marked=True, seen=lambda _, headers: headers.get("x-mark") == "r-1")
    assert measure(upstream.url, effect, 50, upstream) | {"requests": 0} == {
        "source": "marker",
        "url": upstream.url,
        "requests": 0,
        "unanswered": 0,
        "faulted": 0,
    }
    upstream.requests.clear()
    upstream.respond = lambda _: Reply(503, headers={"X-Mark": "r-1"})
    dose = measure(upstream.url, effect, 50, upstream)
    assert dose["faulted"] == dose["requests"] > 0


def test_of_the_last_requests_none_counts_since_their_slow_answers_are_missing(
    upstream: Upstream, gate: threading.Event
) -> None:
    numbers = itertools.count()

    def every_other_is_slow(_: Request) -> Reply:
        if next(numbers) % 2:
            gate.wait(60)
        return Reply(200)

    upstream.respond = every_other_is_slow
    assert measure(upstream.url, Effect(share=0.5, delay_ms=60_000), 70, upstream)["requests"] == 0


def test_a_delay_is_told_and_timed_by_the_durations_of_answers(upstream: Upstream) -> None:
    numbers = itertools.count()

    def every_third_is_slow(_: Request) -> Reply:
        if next(numbers) % 3 == 0:
            time.sleep(0.3)
        return Reply(500)

    upstream.respond = every_third_is_slow
    dose = measure(upstream.url, Effect(share=0.3, delay_ms=300), 170, upstream)
    delayed, others = dose["delayed"], dose["others"]
    assert (dose["source"], dose["unanswered"]) == ("probe", 0)
    assert dose["faulted"] >= dose["requests"] // 3 - 2
    assert (delayed["answers"], others["answers"]) == (dose["faulted"], dose["requests"] - dose["faulted"])
    assert 0 < others["low"] <= others["value"] <= others["high"] < delayed["low"]
    assert delayed["low"] >= 300
    assert dose["slowerMs"] > 0


def test_a_delay_that_outlasts_the_probe_counts_with_the_time_that_it_was_waited_for(
    upstream: Upstream, gate: threading.Event
) -> None:
    def never(_: Request) -> Reply:
        gate.wait(60)
        return Reply(200)

    upstream.respond = never
    dose = measure(upstream.url, Effect(share=1, delay_ms=20), 70, upstream)
    assert dose["faulted"] == dose["requests"] > 0
    assert dose["unanswered"] == 0
    assert dose["delayed"]["value"] >= 220  # The delay and the time to settle.
