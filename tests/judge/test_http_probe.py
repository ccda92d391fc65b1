"""http-probe: repeated checks of a service, judged plainly."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCommand, StartCommand
from tests.running import Finished
from tests.servers.upstream import Reply, Upstream

QUICK = ("--checks", "3", "--interval", "1ms")


def probe(run_command: RunCommand, upstream: Upstream, *options: str | Path, path: str = "/health") -> Finished:
    return run_command("http-probe", "--url", upstream.url + path, *QUICK, *options)


def verdict(workspace: Path, name: str = "http-probe") -> dict[str, Any]:
    document: dict[str, Any] = json.loads((workspace / f"verdicts/{name}.json").read_bytes())
    return document


def test_a_service_that_answers_every_check_passes(upstream: Upstream, tmp_path: Path, run_command: RunCommand) -> None:
    options = ("--workspace", tmp_path, "--run", "run-1", "--name", "before")
    finished = probe(run_command, upstream, *options, path="/health?full=1")
    assert finished.code == 0, finished.stderr
    assert finished.results["max-latency-ms"]
    assert {**finished.results, "max-latency-ms": ""} == {
        "verdict": "pass",
        "success-ratio": "1",
        "requests": "3",
        "max-latency-ms": "",
    }
    assert [request.path for request in upstream.requests] == ["/health?full=1"] * 3
    written = verdict(tmp_path, "before")
    assert (written["run"], written["command"], written["verdict"]) == ("run-1", "http-probe", "pass")
    assert [(check["metric"], check["value"], check["limit"]) for check in written["checks"]] == [
        ("success-ratio", 1, 1)
    ]


def test_a_failed_check_breaches_the_default_and_the_first_one_is_named(
    upstream: Upstream, tmp_path: Path, run_command: RunCommand
) -> None:
    upstream.respond = lambda _: Reply(503 if upstream.count == 2 else 200)
    finished = probe(run_command, upstream, "--workspace", tmp_path)
    assert finished.code == 1
    assert "2 of 3 checks passed, at least 100 % must; check 2: status 503 is not expected" in finished.stderr
    assert (finished.results["verdict"], finished.results["success-ratio"]) == ("fail", "0.666667")
    assert verdict(tmp_path)["exitCode"] == 1


def test_a_lower_ratio_lets_some_checks_fail(upstream: Upstream, run_command: RunCommand) -> None:
    upstream.respond = lambda _: Reply(503 if upstream.count == 2 else 200)
    assert probe(run_command, upstream, "--min-success-ratio", "0.66").code == 0
    upstream.requests.clear()
    assert probe(run_command, upstream, "--min-success-ratio", "0.67").code == 1


def test_a_service_that_is_not_there_is_not_in_its_steady_state(tmp_path: Path, run_command: RunCommand) -> None:
    finished = run_command("http-probe", "--url", "http://127.0.0.1:1", *QUICK, "--workspace", tmp_path)
    assert finished.code == 1
    assert "connection refused" in finished.stderr
    assert finished.results == {"verdict": "fail", "success-ratio": "0", "requests": "3", "max-latency-ms": ""}
    assert verdict(tmp_path)["verdict"] == "fail"


def test_a_check_is_not_repeated_within_itself(upstream: Upstream, run_command: RunCommand) -> None:
    upstream.status = 503
    assert probe(run_command, upstream).code == 1
    assert upstream.count == 3


def test_an_answer_that_does_not_come_in_time_is_a_failed_check(upstream: Upstream, run_command: RunCommand) -> None:
    upstream.latency = 1.0
    finished = probe(run_command, upstream, "--checks", "1", "--timeout-ms", "100")
    assert finished.code == 1
    assert "no answer within 0.1 s" in finished.stderr


def test_a_slow_answer_is_a_failed_check(upstream: Upstream, run_command: RunCommand) -> None:
    upstream.latency = 0.05
    finished = probe(run_command, upstream, "--max-latency-ms", "50", "--timeout-ms", "60000")
    assert finished.code == 1
    assert "check 1: it took" in finished.stderr
    assert float(finished.results["max-latency-ms"]) > 50
    assert probe(run_command, upstream, "--max-latency-ms", "60000", "--timeout-ms", "60000").code == 0


@pytest.mark.parametrize(
    ("expected", "status", "code"),
    [
        ("200-399", 302, 0),
        ("200", 204, 1),
        ("200,204", 204, 0),
        ("200, 400-404", 404, 0),
        ("200,400-404", 405, 1),
        ("503", 503, 0),
    ],
)
def test_the_expected_statuses_are_a_list_of_ranges(
    upstream: Upstream, run_command: RunCommand, expected: str, status: int, code: int
) -> None:
    upstream.respond = lambda _: Reply(status, b"", {"Location": "http://elsewhere.invalid/"})
    assert probe(run_command, upstream, "--expect-status", expected).code == code


BODY = b'{"status": "UP", "version": "1.10", "ok": true, "n": 1, "parts": [{"name": "db", "free": 2.5}], "none": null}'


@pytest.mark.parametrize(
    ("options", "failure"),
    [
        (("--expect-body", r'"status":\s*"UP"'), ""),
        (("--expect-body", "DOWN"), "the body has nothing that matches DOWN"),
        (("--expect-json", "status=UP"), ""),
        (("--expect-json", 'status="UP"', "--expect-json", "ok=true"), ""),
        (("--expect-json", "version=1.10"), ""),
        (("--expect-json", "parts.0.name=db", "--expect-json", "parts.0.free=2.5"), ""),
        (("--expect-json", "none=null"), ""),
        (("--expect-json", "status=UP", "--expect-json", "n=2"), "n is 1, not 2"),
        (("--expect-json", "n=true"), "n is 1, not true"),
        (("--expect-json", "ok=1"), "ok is true, not 1"),
        (("--expect-json", "parts.1.name=db"), "the answer has no parts.1.name"),
        (("--expect-json", "status.deep=1"), "the answer has no status.deep"),
    ],
)
def test_body_and_json_conditions(
    upstream: Upstream, run_command: RunCommand, options: tuple[str, ...], failure: str
) -> None:
    upstream.respond = lambda _: Reply(200, BODY)
    finished = probe(run_command, upstream, "--checks", "1", *options)
    assert finished.code == (1 if failure else 0), finished.stderr
    assert failure in finished.stderr


def test_a_body_that_is_not_json_meets_no_json_condition(upstream: Upstream, run_command: RunCommand) -> None:
    upstream.respond = lambda _: Reply(200, b"<html>")
    finished = probe(run_command, upstream, "--expect-json", "status=UP")
    assert (finished.code, "the body is not JSON" in finished.stderr) == (1, True)


def test_a_service_is_addressed_by_name_namespace_and_port(upstream: Upstream, run_command: RunCommand) -> None:
    options = ("--service", "shop", "--namespace", "production", "--port", "8080", "--path", "/health?full=1")
    # A cluster's name resolves nowhere else: a proxy sees what would have been asked.
    finished = run_command("http-probe", *options, *QUICK, env={"http_proxy": upstream.url})
    assert finished.code == 0, finished.stderr
    assert upstream.requests[0].path == "http://shop.production.svc:8080/health?full=1"


def test_the_secret_of_the_address_is_sent(upstream: Upstream, tmp_path: Path, run_command: RunCommand) -> None:
    (tmp_path / "credentials.yaml").write_text(f"- {{url: '{upstream.url}/api', token: s3cret}}\n")
    env = {"CHAOS_CREDENTIALS": str(tmp_path)}
    for path in ("/api/health", "/other"):
        assert run_command("http-probe", "--url", upstream.url + path, "--checks", "1", env=env).code == 0
    sent = [request.headers.get("authorization") for request in upstream.requests]
    assert sent == ["Bearer s3cret", None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give one of --url and --service"),
        (("--url", "http://a", "--service", "b"), "give one of --url and --service"),
        (("--url", "ftp://a"), "not an http or https address"),
        (("--url", "http://me:s3cret@a/"), "user or password"),
        (("--service", "a", "--port", "0"), "--port"),
        (("--url", "http://a", "--checks", "0"), "--checks"),
        (("--url", "http://a", "--interval", "1"), "--interval"),
        (("--url", "http://a", "--expect-status", "399-200"), "--expect-status"),
        (("--url", "http://a", "--expect-status", "ok"), "--expect-status"),
        (("--url", "http://a", "--expect-body", "("), "--expect-body"),
        (("--url", "http://a", "--expect-json", "status"), "--expect-json"),
        (("--url", "http://a", "--expect-json", "a..b=1"), "--expect-json"),
        (("--url", "http://a", "--min-success-ratio", "1.1"), "--min-success-ratio"),
    ],
)
def test_wrong_options_are_usage_errors_and_nothing_is_asked(
    run_command: RunCommand, options: tuple[str, ...], message: str
) -> None:
    finished = run_command("http-probe", *options)
    assert finished.code == 2
    assert message in finished.stderr
    assert "s3cret" not in finished.stderr
    assert finished.results["verdict"] == ""


def test_a_second_verdict_of_the_same_name_from_another_task_is_refused(
    upstream: Upstream, tmp_path: Path, run_command: RunCommand
) -> None:
    arguments = ("http-probe", "--url", upstream.url, "--checks", "1", "--workspace", tmp_path, "--run", "run-1")
    assert run_command(*arguments, env={"CHAOS_TASKRUN_UID": "one"}).code == 0
    assert run_command(*arguments, env={"CHAOS_TASKRUN_UID": "one"}).code == 0
    assert run_command(*arguments, env={"CHAOS_TASKRUN_UID": "two"}).code == 2


def test_checks_keep_their_interval_until_a_signal_ends_them(upstream: Upstream, start_command: StartCommand) -> None:
    command = start_command("http-probe", "--url", upstream.url, "--checks", "1000000", "--interval", "1h")
    command.wait_for_stderr("200 in")
    command.send_signal(signal.SIGTERM)
    assert command.wait().code == 143
    assert upstream.count == 1
