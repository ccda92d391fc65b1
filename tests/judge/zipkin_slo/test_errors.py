"""What is not Zipkin, refuses or does not answer: one clear line, nothing judged."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from chaos_steps.errors import Unavailable
from chaos_steps.judge.zipkin_slo import api
from chaos_steps.judge.zipkin_slo.api import Api, Query
from tests.conftest import RunCommand, StartCommand
from tests.judge.zipkin_slo.conftest import Judge
from tests.judge.zipkin_slo.traffic import Traffic
from tests.running import Finished
from tests.servers.unreliable import Unreliable
from tests.servers.upstream import Reply, Request, Upstream
from tests.waiting import wait_until

NOT_ZIPKIN = (
    "this is not Zipkin's query API; give the base address of Zipkin, such as http://zipkin:9411; Jaeger and Tempo"
)


def answered(judge: Judge, upstream: Upstream, reply: Reply) -> Finished:
    """What zipkin-slo makes of a server that answers everything so."""
    upstream.respond = lambda _: reply
    finished = judge.window(upstream.url, Traffic())
    assert finished.results == {"verdict": "", "p99-latency-ms": "", "success-rate": "", "requests": ""}
    assert judge.workspace.verdicts() == {}
    assert judge.workspace.errors()["zipkin-slo"].exit_code == finished.code
    return finished


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<!doctype html><title>Jaeger UI</title>", {"Content-Type": "text/html"}),
        Reply(404, b"404 page not found\n", {"Content-Type": "text/plain"}),
        Reply(200, b'{"data": [], "total": 0}'),
        Reply(200, b'[{"traceId": "1"}]'),
        Reply(200, b"[[1, 2]]"),
        Reply(200, b'[[{"traceId": "1"'),
        Reply(200, b'[[{"traceId": "1", "id": "\xff"}]]'),
        Reply(200, b""),
    ],
    ids=lambda reply: f"{reply.status} {reply.body.decode('ascii', 'replace')[:20].strip()}",
)
def test_what_is_not_zipkin_is_told_from_it(judge: Judge, upstream: Upstream, reply: Reply) -> None:
    finished = answered(judge, upstream, reply)
    assert finished.code == 3
    assert f"{upstream.url}/api/v2/traces answered {reply.status}" in finished.stderr
    assert NOT_ZIPKIN in finished.stderr


@pytest.mark.parametrize("status", [400, 500, 503])
def test_an_error_of_zipkin_is_told_in_its_own_words(judge: Judge, upstream: Upstream, status: int) -> None:
    finished = answered(judge, upstream, Reply(status, b"storage is down", {"Content-Type": "text/plain"}))
    assert finished.code == 3
    assert f"answered {status}" in finished.stderr
    assert "storage is down; look at Zipkin's log and its storage" in finished.stderr


def test_a_redirect_is_not_followed(judge: Judge, upstream: Upstream) -> None:
    finished = answered(judge, upstream, Reply(302, b"", {"Location": "http://elsewhere.invalid/zipkin/"}))
    assert finished.code == 3
    assert "answered 302 to http://elsewhere.invalid/zipkin/; not followed" in finished.stderr


def test_an_error_after_some_answers_judges_nothing(judge: Judge, upstream: Upstream) -> None:
    traffic = Traffic()
    trace = json.dumps([[traffic.request(0)]]).encode()
    upstream.respond = lambda _: Reply(200, trace) if upstream.count < 4 else Reply(500, b"out of memory")
    finished = judge.window(upstream.url, traffic)
    assert finished.code == 3
    assert "out of memory" in finished.stderr
    assert judge.workspace.verdicts() == {}


def test_a_server_that_is_not_there_is_named(judge: Judge) -> None:
    finished = judge.window("http://127.0.0.1:1", Traffic())
    assert finished.code == 3
    assert "GET http://127.0.0.1:1/api/v2/traces: connection refused" in finished.stderr


def test_a_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch, upstream: Upstream) -> None:
    monkeypatch.setattr(api, "_TIMEOUT", 0.2)
    with Unreliable(upstream.url) as server:
        server.misbehave("GET", hangs=True)
        with pytest.raises(Unavailable, match=r"no answer within 0\.2 s"):
            Api(server.url).traces(Query("users", 0, 1), limit=1)


def test_a_signal_does_not_wait_for_an_answer(start_command: StartCommand, upstream: Upstream) -> None:
    with Unreliable(upstream.url) as server:
        server.misbehave("GET", hangs=True)
        running = start_command("zipkin-slo", "--zipkin-url", server.url, *SERVICE, *LIMIT, *WINDOW)
        wait_until(lambda: server.count == 1, "the first request")
        running.send_signal(signal.SIGTERM)
        assert running.wait(10).code == 143


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_without_credentials_says_where_to_give_them(judge: Judge, upstream: Upstream, status: int) -> None:
    finished = answered(judge, upstream, Reply(status, b"who are you?"))
    assert finished.code == 3
    hint = f"no credentials configured for {upstream.url}; add this address to credentials.yaml"
    assert hint in finished.stderr


def test_the_secret_of_the_address_is_sent_and_never_shown(judge: Judge, upstream: Upstream, tmp_path: Path) -> None:
    (tmp_path / "credentials.yaml").write_text(f"- {{url: '{upstream.url}', token: s3cret}}\n")
    env = {"CHAOS_CREDENTIALS": str(tmp_path)}

    def answer(request: Request) -> Reply:
        return Reply(403, f"not for {request.headers['authorization']}".encode())

    upstream.respond = answer
    traffic = Traffic()
    options = ("--service-name", traffic.service, *traffic.window, "--min-success-rate", "0")
    finished = judge(upstream.url, *options, env=env)
    assert finished.code == 3
    assert upstream.requests[0].headers["authorization"] == "Bearer s3cret"
    assert "check the entry of this address in credentials.yaml" in finished.stderr
    assert "not for Bearer ***" in finished.stderr
    assert "s3cret" not in finished.stderr


def test_the_address_of_a_secret_is_the_only_one_it_goes_to(judge: Judge, upstream: Upstream, tmp_path: Path) -> None:
    (tmp_path / "credentials.yaml").write_text("- {url: 'http://127.0.0.1:9', token: s3cret}\n")
    upstream.respond = lambda _: Reply(200, b"[]")
    traffic = Traffic()
    options = ("--service-name", traffic.service, *traffic.window, "--min-success-rate", "0")
    assert judge(upstream.url, *options, env={"CHAOS_CREDENTIALS": str(tmp_path)}).code == 5
    assert all("authorization" not in request.headers for request in upstream.requests)


def test_the_answer_is_asked_for_uncompressed_below_the_path_of_the_address(judge: Judge, upstream: Upstream) -> None:
    upstream.respond = lambda _: Reply(200, b"[]")
    judge.window(f"{upstream.url}/zipkin/", Traffic())
    assert upstream.requests[0].path.startswith("/zipkin/api/v2/traces?serviceName=users-")
    assert upstream.requests[0].headers["accept-encoding"] == "identity"


WINDOW = ("--start-ms", "1000", "--end-ms", "2000")
LIMIT = ("--min-success-rate", "0.9")
SERVICE = ("--service-name", "users")
URL = ("--zipkin-url", "http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((*SERVICE, *WINDOW, *LIMIT), "missing option --zipkin-url; give it, or set ZIPKIN_URL"),
        ((*URL, *WINDOW, *LIMIT), "missing option --service-name; give it, or set zipkin.serviceName in --config"),
        ((*URL, *SERVICE, *LIMIT), "there is no window; give --window, --start-ms and --end-ms, or zipkin.lookback"),
        ((*URL, *SERVICE, *WINDOW), "there is no limit; give --max-p99-latency-ms, --min-success-rate, "),
        ((*URL, *SERVICE, *LIMIT, "--start-ms", "1000"), "only one of --start-ms and --end-ms"),
        ((*URL, *SERVICE, *LIMIT, "--start-ms", "2", "--end-ms", "1"), "--end-ms 1 is before --start-ms 2"),
        ((*URL, *SERVICE, *LIMIT, "--start-ms", "0", "--end-ms", "1"), "--start-ms"),
        ((*URL, *SERVICE, *LIMIT, *WINDOW, "--window", "client"), "both a window and its times are given"),
        ((*URL, *SERVICE, *LIMIT, "--window", "client"), "no workspace"),
        ((*URL, *SERVICE, *LIMIT, *WINDOW, "--side", "client"), "--side client and --caller go together"),
        ((*URL, *SERVICE, *LIMIT, *WINDOW, "--caller", "shop"), "--side client and --caller go together"),
        ((*URL, *SERVICE, *LIMIT, *WINDOW, "--settle", "5"), "--settle"),
        ((*URL, *SERVICE, *LIMIT, *WINDOW, "--error-rule", "none"), "--error-rule"),
        ((*SERVICE, *LIMIT, *WINDOW, "--zipkin-url", "zipkin:9411"), "not an http or https address"),
        ((*SERVICE, *LIMIT, *WINDOW, "--zipkin-url", "http://me:s3cret@zipkin"), "user or password"),
    ],
)
def test_wrong_options_are_usage_errors(run_command: RunCommand, options: tuple[str, ...], message: str) -> None:
    finished = run_command("zipkin-slo", *options)
    assert finished.code == 2
    assert message in finished.stderr
    assert "s3cret" not in finished.stderr


def test_the_address_may_come_from_the_environment(run_command: RunCommand, upstream: Upstream) -> None:
    upstream.respond = lambda _: Reply(200, b"[]")
    finished = run_command("zipkin-slo", *SERVICE, *LIMIT, *WINDOW, env={"ZIPKIN_URL": upstream.url})
    assert finished.code == 5
    assert upstream.count
