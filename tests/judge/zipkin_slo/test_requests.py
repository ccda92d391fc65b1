"""What a request has to say of itself."""

from __future__ import annotations

from chaos_steps.judge.zipkin_slo.requests import Requests, served_by
from tests.judge.zipkin_slo.making import decoded, server


def test_a_duration_of_nothing_is_a_duration() -> None:
    requests = Requests(served_by("users"), "tag")
    requests.add(decoded(server("1", "users", duration=0), server("2", "users", duration=None)))
    assert (requests.requests, requests.durations_us, requests.without_duration) == (2, [0], 1)


def test_without_requests_there_is_no_rate_and_no_quantile() -> None:
    requests = Requests(served_by("users"), "tag")
    assert (requests.success_rate, requests.p99_latency_ms) == (None, None)
