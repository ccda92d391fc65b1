"""The probe counts in which answers the fault was, each request sent once."""

from __future__ import annotations

import itertools

import pytest

from chaos_steps.ledger import probe as probes
from chaos_steps.ledger.probe import Probe
from chaos_steps.ledger.target import Effect
from tests.servers.upstream import Reply, Request, Upstream
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "INTERVAL", 0.01)
    monkeypatch.setattr(probes, "SETTLE", 0.05)


def measure(url: str, effect: Effect, requests: int, upstream: Upstream) -> dict[str, object]:
    probe = Probe(url, effect, "r-1")
    probe.start()
    wait_until(lambda: upstream.count >= requests, "requests")
    probe.stop()
    return probe.dose()


def is_503(status: int, _headers: object, _seconds: float) -> bool:
    return status == 503


def test_it_counts_answers_with_the_fault_and_names_the_run(upstream: Upstream) -> None:
    numbers = itertools.count()
    upstream.respond = lambda _: Reply(503 if next(numbers) % 2 else 200)
    dose = measure(upstream.url, Effect(share=0.5, seen=is_503, request_headers={"Host": "a.svc"}), 60, upstream)
    requests, faulted = dose["requests"], dose["faulted"]
    assert isinstance(requests, int)
    assert isinstance(faulted, int)
    assert 30 <= requests <= upstream.count
    assert requests // 2 - 2 <= faulted <= requests // 2 + 2
    assert (dose["source"], dose["url"], dose["unanswered"]) == ("probe", upstream.url, 0)
    first = upstream.requests[0]
    assert (first.method, first.headers["host"], first.headers["x-chaos-run"]) == ("GET", "a.svc", "r-1")


def test_a_redirect_is_an_answer(upstream: Upstream) -> None:
    upstream.respond = lambda _: Reply(302, b"", {"Location": "/x"})
    dose = measure(upstream.url, Effect(share=0.5, seen=is_503), 40, upstream)
    assert dose["unanswered"] == 0
    assert dose["requests"] != 0
    assert {request.path for request in upstream.requests} == {"/"}


def test_requests_without_an_answer_are_counted_apart_and_not_repeated(upstream: Upstream) -> None:
    def drop(_: Request) -> Reply:
        raise ConnectionAbortedError

    upstream.respond = drop
    dose = measure(upstream.url, Effect(share=0.5, seen=is_503), 40, upstream)
    unanswered = dose["unanswered"]
    assert isinstance(unanswered, int)
    assert 20 <= unanswered <= upstream.count
    assert (dose["requests"], dose["faulted"]) == (0, 0)


def test_of_the_last_requests_none_counts_since_their_slow_answers_are_missing(upstream: Upstream) -> None:
    numbers = itertools.count()

    def every_other_is_slow(_: Request) -> Reply:
        if next(numbers) % 2:
            wait_until(lambda: upstream.count >= 200, "the end", timeout=60)
        return Reply(200)

    upstream.respond = every_other_is_slow
    effect = Effect(share=0.5, seen=lambda _status, _headers, seconds: seconds >= 60, delay_ms=60_000)
    assert measure(upstream.url, effect, 40, upstream)["requests"] == 0
    upstream.requests.extend([upstream.requests[0]] * 200)
