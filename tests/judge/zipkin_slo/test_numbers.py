"""zipkin-slo over a real Zipkin: its numbers are those that the spans were made of."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from scipy import stats as scipy_stats

from chaos_steps.judge.zipkin_slo.slices import LIMIT
from chaos_steps.workspace import Window
from tests.judge.zipkin_slo.conftest import Judge
from tests.judge.zipkin_slo.traffic import Span, Traffic
from tests.servers.call import call
from tests.servers.upstream import Reply, Request, Upstream
from tests.servers.zipkin import Zipkin

MORE_THAN_THE_LIMIT = LIMIT + 1000
EXPERIMENT = {
    "experimentName": "users",
    "fault": {"type": "TOXIC", "proxy": "db", "toxicType": "latency", "attributes": {"latency": 100}},
    "durationSeconds": 60,
    "load": {"rps": 10},
    "slo": {"minSuccessRate": 1},
}


def mixed_traffic() -> Traffic:
    """What tracers send: a gateway's span as root, shared and duplicated spans, spans in parts, durations missing.

    Most of it comes within a second, so that it is more than one answer can hold.
    """
    made = Traffic()
    for number in range(MORE_THAN_THE_LIMIT):
        at_ms = 30_000 + number / 7 if number % 20 else 60_000 * number / MORE_THAN_THE_LIMIT
        duration = None if number % 50 == 1 else int(made.random.lognormvariate(9, 0.6)) + 1
        failed = made.random.random() < 0.02
        made.spans += list(_trace(made, number % 6, at_ms, duration, failed=failed))
        made.expect(duration, failed=failed)
    made.random.shuffle(made.spans)
    return made


def _trace(made: Traffic, form: int, at_ms: float, duration: int | None, *, failed: bool) -> list[Span]:
    """A trace with one request of the service; the form is the number of one of these."""
    trace_id, root_id, span_id = made.ids()
    root = made.span(trace_id, root_id, "SERVER", at_ms, 10**8, service="Gateway", failed=not failed)
    below: dict[str, Any] = {"parentId": root_id}
    request = made.span(trace_id, span_id, "SERVER", at_ms + 0.5, duration, failed=failed, **below)
    match form:
        case 0:  # The service's span is the root; its id has 64 bits.
            return [made.span(trace_id[16:], span_id, "SERVER", at_ms, duration, failed=failed)]
        case 1:  # Below a gateway, with a call of its own.
            call_id = made.ids()[1]
            return [root, request, made.span(trace_id, call_id, "CLIENT", at_ms + 1, 10**8, parentId=span_id)]
        case 2:  # The caller's span and the service's share an id.
            calling = made.span(trace_id, span_id, "CLIENT", at_ms + 0.2, 10**8, service="Gateway", **below)
            return [root, calling, request | {"shared": True}]
        case 3:  # Reported twice, the name of the service in another case.
            return [root, request, request | {"localEndpoint": {"serviceName": made.service.upper()}}]
        case 4:  # In two parts: the first has no duration and knows of no failure.
            return [root, made.span(trace_id, span_id, "SERVER", at_ms + 0.5, None, **below), request]
        case _:  # The root is not known.
            return [request]


@pytest.fixture(scope="module")
def mixed(zipkin: Zipkin) -> Traffic:
    made = mixed_traffic()
    for first in range(0, len(made.spans), 5000):
        zipkin.post(made.spans[first : first + 5000])
    return made


def test_the_numbers_equal_those_that_the_spans_were_made_of(zipkin: Zipkin, mixed: Traffic, judge: Judge) -> None:
    finished = judge.window(zipkin.url, mixed, "--max-p99-latency-ms", "100000", "--min-success-rate", "0.5")
    assert finished.code == 0, finished.stderr
    assert finished.results == {"verdict": "pass", **mixed.results}
    assert judge.verdict.requests == MORE_THAN_THE_LIMIT
    assert f"{mixed.requests - len(mixed.durations_us)} requests have no duration" in judge.verdict.notes[0]


def test_the_intervals_equal_scipys(zipkin: Zipkin, mixed: Traffic, judge: Judge) -> None:
    options = ("--max-p99-latency-ms", "100000", "--min-success-rate", "0.5", "--confidence", "0.99")
    judge.window(zipkin.url, mixed, *options)
    latency, success = judge.verdict.checks
    share = scipy_stats.binomtest(mixed.requests - mixed.failures, mixed.requests).proportion_ci(0.99, "exact")
    assert (success.low, success.high) == pytest.approx((share.low, share.high), abs=1e-12)
    # The number of durations at or below the true P99 is binomial: the ranks that leave half a percent on either side.
    ordered = sorted(mixed.durations_us)
    lower, upper = (int(rank) for rank in scipy_stats.binom(len(ordered), 0.99).ppf([0.005, 0.995]))
    assert (latency.low, latency.high) == (ordered[lower - 1] / 1000, ordered[upper] / 1000)


def test_the_spans_of_the_test_are_more_than_one_answer_holds(zipkin: Zipkin, mixed: Traffic) -> None:
    query = f"serviceName={mixed.service.lower()}&endTs={mixed.start_ms + 31_000}&lookback=1000&limit={LIMIT}"
    answer = call("GET", f"{zipkin.url}/api/v2/traces?{query}")
    assert answer.body.count(b"[{") == LIMIT


def test_a_fraction_of_a_millisecond_above_the_limit_is_a_breach(zipkin: Zipkin, judge: Judge) -> None:
    made = Traffic()
    for number in range(100):
        made.request(100 * number, 1_500_900)
    zipkin.post(made.spans)
    finished = judge.window(zipkin.url, made, "--max-p99-latency-ms", "1500", "--decision", "point")
    assert finished.code == 1
    assert finished.results["p99-latency-ms"] == "1500.9"
    assert "p99-latency-ms 1500.9 is not <= 1500" in finished.stderr


def test_failed_requests_are_in_the_quantile(zipkin: Zipkin, judge: Judge) -> None:
    made = Traffic()
    for number in range(100):
        made.request(100 * number, 5_000_000 if number < 2 else 1000, failed=number < 2)
    zipkin.post(made.spans)
    finished = judge.window(zipkin.url, made, "--max-p99-latency-ms", "10000", "--decision", "point")
    assert finished.results == {"verdict": "pass", **made.results}
    assert finished.results["p99-latency-ms"] == "5000"


def test_forty_perfect_traces_do_not_prove_three_nines(zipkin: Zipkin, judge: Judge) -> None:
    made = Traffic()
    for number in range(40):
        made.request(100 * number)
    zipkin.post(made.spans)
    finished = judge.window(zipkin.url, made, "--min-success-rate", "0.999")
    assert finished.code == 5
    assert finished.results == {"verdict": "inconclusive", **made.results}
    (check,) = judge.verdict.checks
    # 0.999 to the power of n is below 2.5 % from n = 3688 on.
    assert check.needed == 3688 - 40
    assert "about 3648 more requests would" in finished.stderr


def test_requests_of_one_service_in_one_trace_all_count(zipkin: Zipkin, judge: Judge) -> None:
    made = Traffic()
    trace_id, first, second = made.ids()
    made.spans += [
        made.span(trace_id, first, "SERVER", 0, 7000, failed=True),
        made.span(trace_id, second, "SERVER", 1, 5000, parentId=first),
        made.span(trace_id, made.ids()[1], "SERVER", 2, 9000, parentId=second, service="other"),
        made.span(trace_id, made.ids()[1], "CONSUMER", 3, 9000, parentId=second),
    ]
    made.expect(7000, failed=True)
    made.expect(5000)
    zipkin.post(made.spans)
    assert judge.window(zipkin.url, made).results == {"verdict": "pass", **made.results}


def test_a_trace_belongs_to_the_window_in_which_its_root_began(zipkin: Zipkin, judge: Judge) -> None:
    """As for Zipkin itself, to the microsecond; slices in between neither lose a trace nor count one twice."""
    made = Traffic()

    def below_a_root(root_ms: float, at_ms: float, *, within: bool) -> None:
        trace_id, root_id, span_id = made.ids()
        made.spans += [
            made.span(trace_id, root_id, "SERVER", root_ms, 10**8, service="gateway"),
            made.span(trace_id, span_id, "SERVER", at_ms, 1000, parentId=root_id),
        ]
        if within:
            made.expect(1000)

    for at_ms, within in ((-0.001, False), (0, True), (60_000, True), (60_000.001, False)):
        below_a_root(at_ms, at_ms + 1, within=within)
    below_a_root(-10, 10, within=False)
    below_a_root(59_990, 60_010, within=True)
    below_a_root(20, -20, within=True)  # The clocks of both differ.
    for number in range(2000):
        below_a_root(30 * number, 30 * number + 15, within=True)
    zipkin.post(made.spans)
    assert judge.window(zipkin.url, made).results == {"verdict": "pass", **made.results}


class ByAnySpan(Upstream):
    """A storage that finds a trace for any of its spans, as Elasticsearch and Cassandra do; Zipkin tests no more."""

    def __init__(self, spans: Iterable[Span]) -> None:
        super().__init__()
        traces: dict[str, list[Span]] = {}
        for span in spans:
            traces.setdefault(span["traceId"], []).append(span)
        self._traces = list(traces.values())
        self.respond = self._answer

    def _answer(self, request: Request) -> Reply:
        query = parse_qs(urlsplit(request.path).query)
        end, lookback = (int(query[name][0]) for name in ("endTs", "lookback"))

        def within(span: Span) -> bool:
            return (end - lookback) * 1000 <= int(span["timestamp"]) <= end * 1000

        return Reply(200, json.dumps([trace for trace in self._traces if any(map(within, trace))]).encode())


def test_a_trace_that_several_slices_find_counts_once(judge: Judge) -> None:
    made = Traffic()
    for number in range(1000):
        trace_id, root_id, span_id = made.ids()
        at_ms = 40 * number
        # A request of the service and 10 s later another one: in slices that are far apart.
        made.spans += [
            made.span(trace_id, root_id, "SERVER", at_ms, 1000),
            made.span(trace_id, span_id, "SERVER", at_ms + 10_000, 2000, parentId=root_id),
        ]
        made.expect(1000)
        made.expect(2000)
    trace_id, root_id, span_id = made.ids()
    made.spans += [
        made.span(trace_id, root_id, "SERVER", -5, 1000, service="gateway"),
        made.span(trace_id, span_id, "SERVER", 5, 1000, parentId=root_id),
    ]
    with ByAnySpan(made.spans) as storage:
        assert judge.window(storage.url, made).results == {"verdict": "pass", **made.results}


def test_spans_without_times_count_once(judge: Judge, upstream: Upstream) -> None:
    made = Traffic()
    for _ in range(20):
        del made.request(0)["timestamp"]
    upstream.respond = lambda _: Reply(200, json.dumps([[span] for span in made.spans]).encode())
    assert judge.window(upstream.url, made).results == {"verdict": "pass", **made.results}


def test_a_window_of_one_moment_is_a_window(zipkin: Zipkin, judge: Judge) -> None:
    made = Traffic()
    made.request(0)
    made.request(0)
    zipkin.post([*made.spans, Traffic(service=made.service, start_ms=made.start_ms).request(-0.5)])
    moment = ("--start-ms", str(made.start_ms), "--end-ms", str(made.start_ms))
    finished = judge(zipkin.url, "--service-name", made.service, *moment, "--min-success-rate", "0")
    assert finished.results == {"verdict": "pass", **made.results}


TAGS: tuple[dict[str, str], ...] = (
    {},
    {"error": "false"},
    {"error": "", "http.status_code": "200"},
    {"error": "x", "http.status_code": "404"},
    {"http.status_code": "503"},
    {"http.response.status_code": "500"},
    {"http.status_code": "499"},
)


@pytest.mark.parametrize(
    ("rule", "failures"),
    [((), {1, 2, 3}), (("--error-rule", "status"), {1, 4, 5}), (("--error-rule", "any"), {1, 2, 3, 4, 5})],
)
def test_what_a_failure_is_can_be_chosen(
    zipkin: Zipkin, judge: Judge, rule: tuple[str, ...], failures: set[int]
) -> None:
    made = Traffic()
    for number, tags in enumerate(TAGS):
        made.request(number, tags=tags)
    made.failures = len(failures)
    zipkin.post(made.spans)
    assert judge.window(zipkin.url, made, *rule).results == {"verdict": "pass", **made.results}


def test_the_lookback_of_the_experiment_counts_back_from_now_and_a_window_beats_it(
    zipkin: Zipkin, judge: Judge, tmp_path: Path
) -> None:
    made, earlier = Traffic(), Traffic()
    earlier.service = made.service
    for number in range(10):
        made.request(number)
        earlier.request(number - 60_000)
    zipkin.post(made.spans + earlier.spans)
    config = tmp_path / "experiment.json"
    zipkin_part = {"serviceName": made.service, "lookbackSeconds": 120}
    config.write_text(json.dumps(EXPERIMENT | {"zipkin": zipkin_part}))
    options = ("--config", str(config), "--decision", "point", "--settle", "0s")
    assert judge(zipkin.url, *options).results == {"verdict": "pass", **made.results}

    judge.workspace.write_window(
        Window(
            run=judge.workspace.run,
            name="client",
            source="k6-load",
            requests=10,
            start_ms=earlier.start_ms - 60_000,
            end_ms=earlier.start_ms - 30_000,
        )
    )
    assert judge(zipkin.url, *options, "--window", "client").results["requests"] == "10"
    assert (judge.verdict.window, judge.verdict.notes) == ("client", ())
    assert judge(zipkin.url, *options, *made.window).results["requests"] == "10"
