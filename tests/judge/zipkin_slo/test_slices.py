"""Slices follow the density of the traces, and lose none."""

from __future__ import annotations

import json
from collections import Counter
from urllib.parse import parse_qs, urlsplit

import pytest

from chaos_steps.errors import Inconclusive
from chaos_steps.judge.zipkin_slo import slices
from chaos_steps.judge.zipkin_slo.api import Api, Query
from chaos_steps.judge.zipkin_slo.slices import Answer, Trusted, halves, read
from tests.servers.upstream import Reply, Request, Upstream
from tests.waiting import wait_until

HOUR = Query("users", 1_000_000, 4_600_000)


class Stored:
    """Answers as Zipkin does, from traces of one span and about 100 bytes each: the newest, up to the limit."""

    def __init__(self, upstream: Upstream, starts_ms: list[int], padding: int = 0) -> None:
        self._starts_ms = sorted(starts_ms)
        self._padding = "x" * padding
        self.sizes: list[int] = []
        upstream.respond = self._answer

    def _answer(self, request: Request) -> Reply:
        query = parse_qs(urlsplit(request.path).query)
        end, lookback, limit = (int(query[name][0]) for name in ("endTs", "lookback", "limit"))
        found = [n for n, start in enumerate(self._starts_ms) if end - lookback <= start <= end][-limit:]
        traces = [
            [{"traceId": f"{n:016x}", "id": "1", "timestamp": 1000 * self._starts_ms[n], "name": self._padding}]
            for n in found
        ]
        body = json.dumps(traces).encode()
        self.sizes.append(len(body))
        return Reply(200, body)


def traces_of(answers: list[Answer]) -> Counter[str]:
    """Trace ids; the same twice in an answer would be twice here."""
    return Counter(trace[0].trace_id for answer in answers for trace in answer.traces)


def test_all_traces_are_in_the_slices(upstream: Upstream) -> None:
    Stored(upstream, [HOUR.start_ms + 180 * n for n in range(20_001)])
    answers = [*read(Api(upstream.url), HOUR, Trusted())]
    assert len(traces_of(answers)) == 20_001
    # Only what began at the very millisecond between two slices is in both.
    assert sum(traces_of(answers).values()) < 20_001 + len(answers)
    assert max(answer.size.traces for answer in answers) < slices.LIMIT


def test_slices_are_long_where_there_is_little_and_short_where_there_is_much(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "_AIM_BYTES", 20_000)
    dense = [HOUR.start_ms + 1_000_000 + n for n in range(20_000)]
    stored = Stored(upstream, [*dense, *range(HOUR.start_ms, HOUR.end_ms, 10_000)])
    answers = [*read(Api(upstream.url), HOUR, Trusted())]
    assert len(traces_of(answers)) == 20_360
    lengths = [answer.size.milliseconds for answer in answers]
    assert max(lengths) > 100 * min(lengths)
    # 2.2 MB in answers of 20 kB would be 110.
    assert len(stored.sizes) < 200


def test_an_answer_that_is_too_large_is_asked_for_in_halves(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "_MOST_BYTES", 20_000)
    stored = Stored(upstream, [HOUR.start_ms + 500_000 + n for n in range(3000)])
    answers = [*read(Api(upstream.url), HOUR, Trusted())]
    assert len(traces_of(answers)) == 3000
    assert max(stored.sizes) > 20_000
    assert max(answer.size.size for answer in answers) <= 20_000


def test_a_single_millisecond_is_taken_as_large_as_it_comes(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slices, "_MOST_BYTES", 20_000)
    Stored(upstream, [HOUR.start_ms + 500_000] * 3, padding=20_000)
    assert len(traces_of([*read(Api(upstream.url), HOUR, Trusted())])) == 3


def test_the_next_answer_comes_in_while_the_last_one_is_counted(upstream: Upstream) -> None:
    Stored(upstream, [HOUR.start_ms + 180 * n for n in range(2000)])
    for number, answer in enumerate(read(Api(upstream.url), HOUR, Trusted()), start=1):
        if answer.query.end_ms < HOUR.end_ms:
            wait_until(lambda: upstream.count > number, "the next request", timeout=10)  # noqa: B023 - at once
    assert number > 5


@pytest.mark.parametrize("trusted", [Trusted(traces=30), Trusted(spans=30), Trusted(milliseconds=100_000)])
def test_what_is_not_trusted_is_asked_for_in_halves(upstream: Upstream, trusted: Trusted) -> None:
    bursts = [start + n for start in (HOUR.start_ms + 500_000, HOUR.end_ms - 999) for n in range(1000)]
    Stored(upstream, [*range(HOUR.start_ms, HOUR.end_ms, 18_000), *bursts])
    answers = [*read(Api(upstream.url), HOUR, trusted)]
    assert len(traces_of(answers)) == 2200
    assert all(trusted.holds(answer.size) and answer.size.milliseconds < trusted.milliseconds for answer in answers)


def test_more_slices_than_anybody_waits_for_are_refused(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_MOST_SLICES", 20)
    Stored(upstream, [HOUR.start_ms + 1800 * n for n in range(2000)])
    with pytest.raises(Inconclusive, match="20 slices do not hold the traces of the window"):
        list(read(Api(upstream.url), HOUR, Trusted(traces=30)))


def test_the_halves_of_a_slice_share_a_millisecond_and_one_has_none() -> None:
    assert halves(Query("users", 10, 15)) == (Query("users", 10, 12), Query("users", 12, 15))
    assert halves(Query("users", 10, 11)) is None
