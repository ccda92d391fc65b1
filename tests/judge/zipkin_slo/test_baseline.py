"""zipkin-slo against the window of a load without a fault, and what it writes besides its verdict."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from chaos_steps.traces import Link, Traces
from chaos_steps.workspace import Window, Workspace
from tests.judge.zipkin_slo.conftest import RUN, Judge
from tests.judge.zipkin_slo.traffic import Traffic
from tests.servers.call import call
from tests.servers.upstream import Reply, Request, Upstream
from tests.servers.zipkin import Zipkin

SECONDS = 40


def shopping(made: Traffic, count: int, *, duration_us: int, failures: int = 0, calls: int = 1) -> Traffic:
    """Requests to the service, each with so many calls to a database, of which the last one counts."""
    for number in range(count):
        at_ms, failed = 1000 * SECONDS * number / count, number < failures
        request = made.request(at_ms, duration_us + number, failed=failed)
        for attempt in range(calls):
            made.spans.append(
                made.span(
                    request["traceId"],
                    made.ids()[1],
                    "CLIENT",
                    at_ms + attempt,
                    500,
                    parentId=request["id"],
                    remoteEndpoint={"serviceName": "database"},
                    failed=failed or attempt < calls - 1,
                )
            )
    return made


def window(workspace: Workspace, name: str, made: Traffic) -> None:
    """As k6-load leaves it."""
    end_ms = made.start_ms + 1000 * SECONDS
    written = Window(
        run=RUN, name=name, start_ms=made.start_ms, end_ms=end_ms, source="k6-load", requests=made.requests
    )
    workspace.write_window(written)


@pytest.fixture
def loads(zipkin: Zipkin, workspace: Workspace) -> tuple[Traffic, Traffic]:
    """The baseline, and a client window with a higher latency, failures and retries."""
    now = Traffic(seconds=SECONDS)
    before = Traffic(service=now.service, start_ms=now.start_ms - 2000 * SECONDS)
    shopping(before, 800, duration_us=10_000)
    shopping(now, 800, duration_us=20_000, failures=80, calls=2)
    zipkin.post(before.spans + now.spans)
    window(workspace, "baseline", before)
    window(workspace, "client", now)
    return before, now


def judged(judge: Judge, url: str, made: Traffic, name: str, *limits: str) -> dict[str, Any]:
    """Decision and value by metric."""
    judge(url, "--service-name", made.service, "--window", name, *limits)
    return {check.metric: (check.decision, check.value) for check in judge.verdict.checks}


def test_limits_against_the_baseline(zipkin: Zipkin, loads: tuple[Traffic, Traffic], judge: Judge) -> None:
    before, now = loads
    limits = ("--max-p99-increase-percent", "50", "--max-success-drop", "0.2", "--max-attempts-per-request", "2")
    increase = 100 * (now.p99_latency_ms / before.p99_latency_ms - 1)
    assert judged(judge, zipkin.url, now, "client", *limits) == {
        "p99-increase-percent": ("fail", pytest.approx(increase)),
        "success-drop": ("pass", pytest.approx(0.1)),
        "attempts-per-request": ("pass", 2),
    }
    assert judged(judge, zipkin.url, now, "client", "--max-attempts-per-request", "1.9") == {
        "attempts-per-request": ("fail", 2),
    }


def test_what_else_the_traces_show_is_written(zipkin: Zipkin, loads: tuple[Traffic, Traffic], judge: Judge) -> None:
    before, now = loads
    judged(judge, zipkin.url, now, "client", "--min-success-rate", "0", "--error-rule", "any")
    written = msgspec.json.decode((judge.workspace.root / "traces/zipkin-slo.json").read_bytes(), type=Traces)
    assert (written.run, written.name, written.service) == (RUN, "zipkin-slo", now.service.lower())
    assert (written.side, written.caller, written.error_rule) == ("server", None, "any")
    for made, found, name, calls in ((now, written.measured, "client", 2), (before, written.baseline, "baseline", 1)):
        assert found is not None
        assert (found.window, found.start_ms, found.end_ms) == (name, made.start_ms, made.start_ms + 1000 * SECONDS)
        assert (found.traces, found.spans, found.without_duration) == (800, 800 * (1 + calls), 0)
        assert (found.requests, found.errors, found.success_rate) == (800, made.failures, made.success_rate)
        assert found.p99_latency_ms == made.p99_latency_ms
        (edge,) = found.edges
        assert (edge.caller, edge.callee) == (now.service.lower(), "database")
        assert (edge.requests, edge.attempts_per_request) == (800, calls)
    # Zipkin's own graph is of all services: other tests' too.
    edge_of_zipkin = Link(
        parent=now.service.lower(), child="database", calls_before=800, errors_before=0, calls=1600, errors=880
    )
    assert edge_of_zipkin in written.links
    assert any(note.startswith("in Zipkin's dependencies clearly more calls fail") for note in judge.verdict.notes)


def test_the_baseline_is_its_own_baseline(zipkin: Zipkin, loads: tuple[Traffic, Traffic], judge: Judge) -> None:
    limits = ("--max-p99-increase-percent", "0", "--max-success-drop", "0")
    found = judged(judge, zipkin.url, loads[0], "baseline", *limits)
    assert found == {"p99-increase-percent": ("pass", 0), "success-drop": ("pass", 0)}
    written = json.loads((judge.workspace.root / "traces/zipkin-slo.json").read_bytes())
    assert written["measured"]["window"] == "baseline"
    assert written["baseline"] is None


def test_a_baseline_that_is_not_there_matters_only_to_a_limit_against_it(
    zipkin: Zipkin, judge: Judge, workspace: Workspace
) -> None:
    made = shopping(Traffic(seconds=SECONDS), 40, duration_us=1000)
    zipkin.post(made.spans)
    window(workspace, "client", made)
    assert judged(judge, zipkin.url, made, "client", "--min-success-rate", "0.5")["success-rate"] == ("pass", 1)
    found = judged(judge, zipkin.url, made, "client", "--max-success-drop", "0.5", "--baseline-window", "calm")
    assert found == {"success-drop": ("inconclusive", None)}
    assert f"run {RUN} has no window 'calm'" in judge.verdict.message


def test_a_baseline_without_traces_says_why(zipkin: Zipkin, judge: Judge, workspace: Workspace) -> None:
    made = shopping(Traffic(seconds=SECONDS), 40, duration_us=1000)
    zipkin.post(made.spans)
    window(workspace, "client", made)
    window(workspace, "baseline", Traffic(start_ms=made.start_ms - 10**7))
    found = judged(judge, zipkin.url, made, "client", "--max-success-drop", "0.5")
    assert found == {"success-drop": ("inconclusive", None)}
    assert f"Zipkin has no trace of {made.service.lower()}" in judge.verdict.message


def test_the_baseline_of_times_without_a_workspace_is_none(upstream: Upstream, judge: Judge) -> None:
    made = Traffic()
    trace = [[made.request(0)]]
    upstream.respond = lambda _: Reply(200, json.dumps(trace).encode())
    options = ("--zipkin-url", upstream.url, "--service-name", made.service, *made.window, "--max-success-drop", "0.5")
    finished = judge.run_command("zipkin-slo", *options)
    assert finished.code == 5
    assert "no workspace holds a window 'baseline'" in finished.stderr


def test_a_baseline_that_cannot_be_read_ends_the_judge_only_where_a_limit_needs_it(
    zipkin: Zipkin, loads: tuple[Traffic, Traffic], judge: Judge, upstream: Upstream
) -> None:
    before, now = loads

    def respond(request: Request) -> Reply:
        end_ms = int(parse_qs(urlsplit(request.path).query).get("endTs", ["0"])[0])
        if 0 < end_ms <= before.start_ms + 1000 * SECONDS:
            return Reply(500, b"storage is down")
        return Reply(200, call("GET", zipkin.url + request.path).body)

    upstream.respond = respond
    client = ("--service-name", now.service, "--window", "client")
    assert judge(upstream.url, *client, "--max-success-drop", "0.2").code == 3
    assert judge(upstream.url, *client, "--min-success-rate", "0.5").code == 0
    assert any("traces of baseline could not be read" in note for note in judge.verdict.notes)
