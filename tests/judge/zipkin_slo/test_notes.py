"""What the judge cannot see is said: in front of the service, not sampled, dropped, unknown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chaos_steps.experiment import parse
from chaos_steps.judge.zipkin_slo import sight
from chaos_steps.judge.zipkin_slo.traffic import Subject
from chaos_steps.judge.zipkin_slo.traffic import Traffic as Collected
from chaos_steps.judge.zipkin_slo.window import Interval
from chaos_steps.workspace import Window
from tests.judge.zipkin_slo.conftest import RUN, Judge
from tests.judge.zipkin_slo.making import decoded, server
from tests.judge.zipkin_slo.traffic import Traffic
from tests.servers.zipkin import Zipkin

IN_FRONT = (
    "the fault sits in front of users: what is aborted or delayed there never shows in its SERVER spans; judge with "
    "--side client --caller NAME, or by what the client saw"
)


def experiment(fault: dict[str, Any]) -> dict[str, Any]:
    return {"experimentName": "users", "fault": fault, "durationSeconds": 60, "load": {"rps": 10}}


def gateway_fault(host: str) -> dict[str, Any]:
    return {"type": "L7_HTTP_ERROR", "targetHost": host, "errorCode": 503, "percentage": 10}


def envoy_fault(upstream: str) -> dict[str, Any]:
    return {"type": "ENVOY_FAULT", "upstream": upstream, "delay": {"ms": 100, "percentage": 10}}


TOXIC = {"type": "TOXIC", "proxy": "users", "toxicType": "latency", "attributes": {"latency": 100}}


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (gateway_fault("users.production.svc"), False),
        (gateway_fault("Users:8080"), False),
        ({"type": "L7_HTTP_DELAY", "targetHost": "users.production.svc", "delayMs": 100, "percentage": 10}, False),
        (envoy_fault("outbound|80||users.production.svc.cluster.local"), False),
        (envoy_fault("users"), False),
        (gateway_fault("users-admin.production.svc"), True),
        (gateway_fault("production.users.svc"), True),
        (envoy_fault("outbound|80||shop.users.svc.cluster.local"), True),
        (TOXIC, True),
    ],
)
def test_a_fault_in_front_of_the_service_is_not_seen_in_its_spans(fault: dict[str, Any], seen: bool) -> None:
    parsed = parse(json.dumps(experiment(fault)), where="here")
    subject = Subject(service="users", caller=None, error_rule="tag")
    assert [*sight.fault_in_front(parsed, subject)] == ([] if seen else [IN_FRONT])
    caller = Subject(service="users", caller="shop", error_rule="tag")
    assert [*sight.fault_in_front(parsed, caller)] == []


def test_the_warning_is_in_the_log_and_with_the_verdict(zipkin: Zipkin, judge: Judge, tmp_path: Path) -> None:
    made = Traffic()
    made.request(0)
    zipkin.post(made.spans)
    config = tmp_path / "given.json"
    config.write_text(json.dumps(experiment(gateway_fault(f"{made.service}.production.svc"))))
    finished = judge.window(zipkin.url, made, "--config", str(config))
    assert finished.code == 0, finished.stderr
    (note,) = judge.verdict.notes
    assert note.startswith(f"the fault sits in front of {made.service.lower()}")
    assert note in finished.stderr


def collected(*, sent: int | None = None, name: str | None = "client", seconds: int = 10) -> Collected:
    """The traffic of a window."""
    subject = Subject(service="users", caller=None, error_rule="tag")
    return Collected(subject, Interval(name, 1_000_000, 1_000_000 + 1000 * seconds, sent), calls=False)


def test_far_fewer_requests_than_the_load_sent_are_a_note() -> None:
    traffic = collected(sent=100)
    traffic.requests.add(decoded(*(server(str(number), "users") for number in range(89))))
    (note,) = sight.gaps(traffic, (), None)
    assert note == (
        "the load of window client sent 100 requests and the traces show 89: the others were not sampled, were lost, "
        "or never came this far"
    )
    traffic.requests.add(decoded(server("last", "users")))
    assert [*sight.gaps(traffic, (), None)] == []


@pytest.mark.parametrize(("seconds", "enough", "late"), [(5, 0.9, 1.1), (60, 5.9, 6.1)])
def test_a_window_whose_beginning_is_missing_is_a_note(seconds: int, enough: float, late: float) -> None:
    traffic = collected(seconds=seconds)
    traffic.traces, traffic.first_us = 1, 1_000_000_000 + round(late * 1e6)
    (note,) = sight.gaps(traffic, (), None)
    assert f"no traces of the first {late} s of window client: Zipkin may have dropped its oldest ones" in note
    traffic.first_us = 1_000_000_000 + round(enough * 1e6)
    assert [*sight.gaps(traffic, (), None)] == []


def test_nobody_knows_when_the_traffic_of_a_lookback_began() -> None:
    traffic = collected(name=None)
    traffic.traces, traffic.first_us = 1, 1_009_000_000
    assert [*sight.gaps(traffic, (), None)] == []


def test_as_many_spans_as_memory_holds_are_a_note() -> None:
    traffic = collected()
    traffic.spans = 499_000
    (note,) = sight.gaps(traffic, (), None)
    assert "there are 499000 spans, and Zipkin's storage in memory drops the oldest beyond 500000" in note


def test_a_load_that_left_few_traces_is_told_with_the_verdict(zipkin: Zipkin, judge: Judge) -> None:
    made = Traffic()
    for number in range(40):
        made.request(1000 * number)
    zipkin.post(made.spans)
    window = Window(
        run=RUN, name="client", source="k6-load", requests=100, start_ms=made.start_ms, end_ms=made.start_ms + 60_000
    )
    judge.workspace.write_window(window)
    judge(zipkin.url, "--service-name", made.service, "--window", "client", "--min-success-rate", "0")
    (note,) = judge.verdict.notes
    assert "sent 100 requests and the traces show 40" in note


def test_a_service_that_zipkin_does_not_know_is_answered_with_those_that_it_knows(zipkin: Zipkin, judge: Judge) -> None:
    made = Traffic()
    made.request(0)
    zipkin.post(made.spans)
    meant, made.service = made.service.lower(), made.service + "x"
    finished = judge.window(zipkin.url, made)
    assert finished.code == 5
    assert f"Zipkin knows no service '{made.service.lower()}', it knows {meant}" in finished.stderr
    assert "check the service name" in finished.stderr
    assert finished.results == {"verdict": "inconclusive", "p99-latency-ms": "", "success-rate": "", "requests": "0"}
    assert (judge.verdict.requests, judge.verdict.exit_code) == (0, 5)


def test_a_window_without_traces_says_what_to_check(zipkin: Zipkin, judge: Judge) -> None:
    made = Traffic()
    made.request(-1000)
    zipkin.post(made.spans)
    finished = judge.window(zipkin.url, made)
    assert finished.code == 5
    assert f"Zipkin has no trace of {made.service.lower()} from 20" in finished.stderr
    assert "check the window, the clocks, and that requests are sampled" in finished.stderr


def test_a_service_that_only_calls_has_no_requests(zipkin: Zipkin, judge: Judge) -> None:
    made = Traffic()
    trace_id, span_id, _ = made.ids()
    zipkin.post([made.span(trace_id, span_id, "CLIENT", 0, 1000)])
    finished = judge.window(zipkin.url, made)
    assert finished.code == 5
    assert f"of the 1 traces with {made.service.lower()}" in finished.stderr
    assert "none has a SERVER span of it" in finished.stderr


def test_a_window_that_is_not_there_is_no_data(judge: Judge) -> None:
    options = ("--service-name", "users", "--window", "client", "--min-success-rate", "0")
    finished = judge("http://127.0.0.1:1", *options)
    assert finished.code == 5
    assert f"run {RUN} has no window 'client'" in finished.stderr
    assert judge.verdict.requests == 0
