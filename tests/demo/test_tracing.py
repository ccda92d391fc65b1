"""What the demo's services report to a real Zipkin."""

from __future__ import annotations

import json
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import RemoteDisconnected
from pathlib import Path

import pytest
from tracing import Context, context_of

from tests.conftest import RunCommand
from tests.demo.services import DemoGateway, Span, Visit, descendants, service, shop
from tests.servers.caddy import read
from tests.servers.call import call
from tests.servers.upstream import Reply, Request, Upstream
from tests.servers.zipkin import Zipkin
from tests.waiting import wait_until

TRACE, SPAN = "463ac35c9f6413ad48485a3953bb6124", "a2fb4a1d1a96d312"


def tags(span: Span) -> dict[str, str]:
    found: dict[str, str] = span["tags"]
    return found


@pytest.mark.parametrize(
    "headers",
    [
        {"b3": f"{TRACE}-{SPAN}-1"},
        {"b3": f"{TRACE}-{SPAN}"},
        {"b3": f"{TRACE}-{SPAN}-d-05e3ac9a4f6e3b90"},
        {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "1"},
        {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN},
        {"traceparent": f"00-{TRACE}-{SPAN}-01"},
        {"b3": "nonsense", "traceparent": f"00-{TRACE}-{SPAN}-01"},
    ],
)
def test_a_caller_is_known_by_its_headers(headers: dict[str, str]) -> None:
    assert context_of(headers) == Context(TRACE, SPAN)


@pytest.mark.parametrize(
    "headers",
    [
        {"b3": f"{TRACE}-{SPAN}-0"},
        {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN, "x-b3-sampled": "0"},
        {"traceparent": f"00-{TRACE}-{SPAN}-00"},
    ],
)
def test_a_caller_may_say_that_its_trace_is_not_sampled(headers: dict[str, str]) -> None:
    assert context_of(headers) == Context(TRACE, SPAN, sampled=False)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"b3": f"{TRACE}-{SPAN}-1-tail"},
        {"b3": f"{'0' * 32}-{SPAN}-1"},
        {"b3": f"{TRACE}-{'0' * 16}-1"},
        {"x-b3-traceid": TRACE, "x-b3-sampled": "1"},
        {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
    ],
)
def test_headers_that_name_no_place_in_a_trace_begin_a_new_one(headers: dict[str, str]) -> None:
    assert context_of(headers) is None


def test_both_formats_of_headers_lead_to_the_same_place() -> None:
    for context in (Context(TRACE, SPAN), Context("48485a3953bb6124", SPAN, sampled=False)):
        headers = context.headers()
        assert context_of({"b3": headers["b3"]}) == context
        by_traceparent = context_of({"traceparent": headers["traceparent"]})
        assert by_traceparent == context._replace(trace_id=f"{context.trace_id:0>32}")


def test_a_service_reports_what_it_answered_before_it_ends(zipkin: Zipkin) -> None:
    visit = Visit()
    with service("user_service", "--zipkin", zipkin.url) as url:
        call("GET", f"{url}/users/7?full=1", headers=visit.headers)
    (span,) = visit.spans(zipkin, 1)
    assert span["duration"] >= 5000
    assert {name: span[name] for name in ("kind", "name", "parentId", "localEndpoint", "tags")} == {
        "kind": "SERVER",
        "name": "get",
        "parentId": visit.span_id,
        "localEndpoint": {"serviceName": "user-service"},
        "tags": {"http.method": "GET", "http.path": "/users/7", "http.status_code": "200"},
    }


def test_every_attempt_of_shop_is_a_span_below_its_page(zipkin: Zipkin, upstream: Upstream) -> None:
    upstream.respond = lambda _: Reply(503 if upstream.count == 1 else 200)
    visit = Visit()
    with shop(upstream, "--zipkin", zipkin.url) as url:
        assert call("GET", url, headers=visit.headers).status == 200
    page, failed, succeeded = visit.spans(zipkin, 3)
    assert (page["kind"], page["parentId"]) == ("SERVER", visit.span_id)
    assert "error" not in tags(page)
    for attempt in (failed, succeeded):
        assert (attempt["kind"], attempt["parentId"]) == ("CLIENT", page["id"])
        assert attempt["remoteEndpoint"] == {"serviceName": "user-service"}
    assert (tags(failed)["http.status_code"], tags(failed)["error"]) == ("503", "user-service answered 503")
    assert tags(succeeded)["http.status_code"] == "200"
    assert "error" not in tags(succeeded)
    # Each call carries its own place.
    callers = [context_of(request.headers) for request in upstream.requests]
    assert callers == [Context(visit.trace_id, attempt["id"]) for attempt in (failed, succeeded)]


def test_a_page_that_fails_is_an_error(zipkin: Zipkin, upstream: Upstream) -> None:
    def hang_up(_: Request) -> Reply:
        raise ConnectionAbortedError

    upstream.respond = hang_up
    visit = Visit()
    with shop(upstream, "--brittle", "--zipkin", zipkin.url) as url:
        assert call("GET", url, headers=visit.headers).status == 502
    page, attempt = visit.spans(zipkin, 2)
    assert (tags(page)["http.status_code"], tags(page)["error"]) == ("502", "502")
    assert "RemoteDisconnected" in tags(attempt)["error"]
    assert "http.status_code" not in tags(attempt)


@pytest.mark.parametrize(("options", "status"), [((), 502), (("--fallback",), 200)])
def test_a_call_that_the_breaker_refuses_is_a_failed_call_without_an_answer(
    zipkin: Zipkin, upstream: Upstream, options: tuple[str, ...], status: int
) -> None:
    upstream.status = 503
    visit = Visit()
    with shop(upstream, "--brittle", "--breaker", *options, "--zipkin", zipkin.url) as url:
        for _ in range(20):
            call("GET", url)
        assert call("GET", url, headers=visit.headers).status == status
    page, refused = visit.spans(zipkin, 2)
    assert ("error" in tags(page)) == (status == 502)
    assert refused["remoteEndpoint"] == {"serviceName": "user-service"}
    assert tags(refused) == {"http.method": "GET", "http.path": "/users/1", "error": "circuit breaker open"}


def test_a_call_that_the_breaker_refuses_is_not_tried_again(zipkin: Zipkin, upstream: Upstream) -> None:
    upstream.status = 503
    visit = Visit()
    with shop(upstream, "--breaker", "--zipkin", zipkin.url) as url:
        # After 20 pages the breaker is open; five more would allow a retry.
        for _ in range(20):
            call("GET", url)
        for _ in range(5):
            call("GET", url, headers=visit.headers)
    assert upstream.count == 20
    assert [span["kind"] for span in visit.spans(zipkin, 10)].count("CLIENT") == 5


def test_a_visitor_without_a_trace_begins_one(zipkin: Zipkin, upstream: Upstream) -> None:
    with shop(upstream, "--zipkin", zipkin.url) as url:
        call("GET", url)
    caller = context_of(upstream.requests[0].headers)
    assert caller is not None
    visit = Visit()
    visit.trace_id = caller.trace_id
    page, attempt = visit.spans(zipkin, 2)
    assert "parentId" not in page
    assert attempt["id"] == caller.span_id


def test_a_trace_that_is_not_sampled_goes_on_and_is_not_reported(zipkin: Zipkin, upstream: Upstream) -> None:
    unsampled, sampled = Visit(sampled=False), Visit()
    with shop(upstream, "--zipkin", zipkin.url) as url:
        for visit in (unsampled, sampled):
            call("GET", url, headers=visit.headers)
    sampled.spans(zipkin, 2)  # It was reported last.
    assert call("GET", f"{zipkin.url}/api/v2/trace/{unsampled.trace_id}").status == 404
    caller = context_of(upstream.requests[0].headers)
    assert caller is not None
    assert (caller.trace_id, caller.sampled) == (unsampled.trace_id, False)


def test_without_a_zipkin_calls_carry_no_trace(upstream: Upstream) -> None:
    with shop(upstream) as url:
        call("GET", url, headers=Visit().headers)
    assert context_of(upstream.requests[0].headers) is None


def test_a_zipkin_that_is_away_harms_no_page(upstream: Upstream) -> None:
    # `service` asserts that it ends well, too.
    with shop(upstream, "--zipkin", "http://127.0.0.1:9") as url:
        assert call("GET", url).status == 200


def test_reports_that_fail_are_followed_by_others(upstream: Upstream) -> None:
    upstream.respond = lambda request: Reply(503 if request.method == "POST" else 200)
    with shop(upstream, "--zipkin", upstream.url) as url:
        assert call("GET", url).status == 200
        wait_until(lambda: reports(upstream) == 1, "a report")
        assert call("GET", url).status == 200
        wait_until(lambda: reports(upstream) == 2, "another report")


def reports(upstream: Upstream) -> int:
    return sum(request.method == "POST" for request in upstream.requests)


def test_spans_arrive_while_a_service_runs(zipkin: Zipkin) -> None:
    visit = Visit()
    with service("user_service", "--zipkin", zipkin.url) as url:
        call("GET", url, headers=visit.headers)
        visit.spans(zipkin, 1)


def ask(gateway: DemoGateway, visit: Visit) -> int:
    return call("GET", f"{gateway.url}/users/1?a=b", headers={"Host": gateway.host, **visit.headers}).status


def test_gateway_reports_what_it_passed_on_and_what_it_answered_itself(
    zipkin: Zipkin, upstream: Upstream, run_command: RunCommand
) -> None:
    passed, faulted, after = visits = [Visit() for _ in range(3)]
    with DemoGateway(upstream.address, zipkin.url) as gateway:
        call("GET", gateway.url, headers=passed.headers)  # A host that it does not know; that is nobody's request.
        before = read(f"{gateway.admin_url}/config/")
        assert ask(gateway, passed) == 200
        fault = ("--target-host", gateway.host, "--status-code", "503", "--percentage", "100", "--ttl", "1m")
        applied = run_command("waf-inject", "--driver", "caddy", "--waf-url", gateway.admin_url, "--run", "r1", *fault)
        assert applied.code == 0, applied
        assert ask(gateway, faulted) == 503
        reverted = run_command("fault-revert", "--run", "r1", env={"WAF_ADMIN_API_URL": gateway.admin_url})
        assert reverted.code == 0, reverted
        assert read(f"{gateway.admin_url}/config/") == before
        assert ask(gateway, after) == 200
        assert "handled request" not in (gateway.folder / "output.log").read_text()
    spans = [span for visit in visits for span in visit.spans(zipkin, 1)]
    assert {(span["kind"], span["localEndpoint"]["serviceName"]) for span in spans} == {("SERVER", "gateway")}
    assert [span["parentId"] for span in spans] == [visit.span_id for visit in visits]
    assert {tags(span)["http.path"] for span in spans} == {"/users/1"}
    assert [tags(span)["http.status_code"] for span in spans] == ["200", "503", "200"]
    assert ["error" in tags(span) for span in spans] == [False, True, False]
    assert [context_of(request.headers) for request in upstream.requests] == [
        Context(visit.trace_id, visit.span_id) for visit in (passed, after)
    ]


def test_one_trace_goes_through_all_services(zipkin: Zipkin) -> None:
    visit = Visit()
    tracing = ("--zipkin", zipkin.url)
    with (
        service("user_service", *tracing) as users,
        DemoGateway(users.removeprefix("http://"), zipkin.url) as gateway,
        service("shop", "--upstream", gateway.url, "--host", gateway.host, *tracing) as url,
    ):
        assert call("GET", url, headers=visit.headers).status == 200
        spans = visit.spans(zipkin, 4)
    page, attempt = only(spans, "shop", "SERVER"), only(spans, "shop", "CLIENT")
    behind = [only(spans, name, "SERVER") for name in ("gateway", "user-service")]
    assert (page["parentId"], attempt["parentId"]) == (visit.span_id, page["id"])
    # Caddy passes the headers on as they are, so both are below the call.
    assert [span["parentId"] for span in behind] == [attempt["id"]] * 2
    assert len({span["id"] for span in spans}) == 4
    # All on one clock, to the millisecond: a part lies within its whole.
    for span in (attempt, *behind):
        assert page["timestamp"] - 1000 <= span["timestamp"]
        assert span["timestamp"] + span["duration"] <= page["timestamp"] + page["duration"] + 1000


def only(spans: list[Span], name: str, kind: str) -> Span:
    (found,) = (span for span in spans if (span["localEndpoint"]["serviceName"], span["kind"]) == (name, kind))
    return found


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_traced_gateway_with_its_caddy(zipkin: Zipkin, upstream: Upstream, signum: int) -> None:
    with DemoGateway(upstream.address, zipkin.url) as gateway:
        processes = descendants(gateway.process.pid)
        assert len(processes) == 2
        gateway.process.send_signal(signum)
        assert gateway.process.wait(30) == 0
        assert not [process for process in processes if Path(f"/proc/{process}").exists()]


def test_a_traced_gateway_kills_a_caddy_that_waits_for_its_last_answer(zipkin: Zipkin, upstream: Upstream) -> None:
    released = threading.Event()

    def answer_late(_: Request) -> Reply:
        released.wait(60)
        return Reply()

    upstream.respond = answer_late
    with DemoGateway(upstream.address, zipkin.url) as gateway, ThreadPoolExecutor() as threads:
        processes = descendants(gateway.process.pid)
        asked = threads.submit(ask, gateway, Visit())
        wait_until(lambda: upstream.count, "the request behind the gateway")
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(30) == 128 + signal.SIGKILL
        assert not [process for process in processes if Path(f"/proc/{process}").exists()]
        released.set()
        assert isinstance(asked.exception(), RemoteDisconnected)


def test_a_gateway_that_is_not_traced_is_caddy_itself(upstream: Upstream) -> None:
    with DemoGateway(upstream.address) as gateway:
        assert descendants(gateway.process.pid) == {gateway.process.pid}
        assert Path(f"/proc/{gateway.process.pid}/exe").resolve().name == "caddy"
        assert "logs" not in json.loads(read(f"{gateway.admin_url}/config/apps/http/servers/gateway"))
