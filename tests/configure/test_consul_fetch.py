"""consul-fetch against a real Consul with ACLs."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.conftest import RunCommand
from tests.running import Finished
from tests.servers.consul import Consul
from tests.servers.unreliable import Unreliable
from tests.servers.upstream import Reply, Request, Upstream

KEY = "chaos/experiments/user-service"
EXPERIMENT: dict[str, Any] = {
    "experimentName": "user-service-503-resilience",
    "enabled": True,
    "fault": {"type": "L7_HTTP_ERROR", "targetHost": "user-service.production.svc", "errorCode": 503, "percentage": 10},
    "durationSeconds": 120,
    "load": {"rps": 50},
    "slo": {"maxP99LatencyMs": 1500, "minSuccessRate": 0.90},
    "zipkin": {"serviceName": "user-service", "lookbackSeconds": 180},
}


@pytest.fixture
def key(consul: Consul) -> str:
    """A key that holds the documented example."""
    consul.put(KEY, EXPERIMENT)
    return KEY


@pytest.fixture
def token(consul: Consul) -> str:
    """A token that may read below chaos/ and nothing else."""
    return consul.token_for("chaos/")


def variables(consul: Consul, **more: str) -> dict[str, str]:
    return {"CONSUL_HTTP_ADDR": consul.url, "CONSUL_HTTP_TOKEN": consul.token, **more}


def stored(workspace: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((workspace / "experiment.json").read_bytes())
    return document


def assert_fails(finished: Finished, code: int, message: str, *hidden: str) -> None:
    """It ended with `code`, said `message` in one line, and told no secret."""
    assert finished.code == code, finished.stderr
    errors = [line for line in finished.stderr.splitlines() if json.loads(line)["level"] == "error"]
    assert len(errors) == 1
    assert message in json.loads(errors[0])["message"]
    for secret in hidden:
        assert secret not in finished.stderr + finished.stdout


def test_the_experiment_of_a_key_is_checked_and_handed_on(
    consul: Consul, key: str, token: str, tmp_path: Path, run_command: RunCommand
) -> None:
    finished = run_command(
        *("consul-fetch", "--key", key, "--workspace", tmp_path, "--run", "run-1"),
        env=variables(consul, CONSUL_HTTP_TOKEN=token),
    )
    assert finished.code == 0, finished.stderr
    sha256 = hashlib.sha256(consul.get(key)).hexdigest()
    index = consul.modify_index(key)
    assert finished.results == {
        "experiment-name": "user-service-503-resilience",
        "enabled": "true",
        "fault-type": "L7_HTTP_ERROR",
        "modify-index": str(index),
        "config-sha256": sha256,
    }
    document = stored(tmp_path)
    assert document["fault"]["errorCode"] == 503
    assert document["run"] == "run-1"
    source = {name: value for name, value in document["source"].items() if value is not None}
    assert source == {"url": consul.url, "key": key, "modifyIndex": index, "sha256": sha256}
    assert token not in finished.stderr + (tmp_path / "experiment.json").read_text()


def test_the_next_command_takes_the_written_file(
    consul: Consul, key: str, tmp_path: Path, run_command: RunCommand
) -> None:
    arguments = ("--workspace", tmp_path, "--run", "run-1")
    assert run_command("consul-fetch", "--key", key, *arguments, env=variables(consul)).code == 0
    assert run_command("experiment-check", *arguments).results["experiment-name"] == "user-service-503-resilience"


def test_without_a_workspace_it_only_checks(consul: Consul, key: str, run_command: RunCommand) -> None:
    finished = run_command("consul-fetch", "--key", f"/{key}", env=variables(consul))
    assert (finished.code, finished.results["enabled"]) == (0, "true")


def test_a_disabled_experiment_ends_well_and_says_that_nothing_will_be_touched(
    consul: Consul, tmp_path: Path, run_command: RunCommand
) -> None:
    consul.put(KEY, {**EXPERIMENT, "enabled": False})
    finished = run_command("consul-fetch", "--key", KEY, "--workspace", tmp_path, env=variables(consul))
    assert (finished.code, finished.results["enabled"]) == (0, "false")
    assert "is disabled: the run will touch nothing" in finished.stderr
    assert stored(tmp_path)["enabled"] is False


def test_an_inline_experiment_needs_no_consul(tmp_path: Path, run_command: RunCommand) -> None:
    env = {"PARAM_KEY": "", "PARAM_EXPERIMENT": json.dumps(EXPERIMENT), "CONSUL_HTTP_ADDR": "http://127.0.0.1:1"}
    finished = run_command("consul-fetch", "--workspace", tmp_path, "--run", "run-1", env=env)
    assert finished.code == 0, finished.stderr
    assert (finished.results["fault-type"], finished.results["modify-index"]) == ("L7_HTTP_ERROR", "")
    sha256 = hashlib.sha256(json.dumps(EXPERIMENT).encode()).hexdigest()
    assert finished.results["config-sha256"] == stored(tmp_path)["source"]["sha256"] == sha256


def test_an_inline_mistake_is_named_by_its_path(tmp_path: Path, run_command: RunCommand) -> None:
    finished = run_command("consul-fetch", "--experiment", '{"lode": 1}', "--workspace", tmp_path)
    assert_fails(finished, 2, "--experiment: $.lode is not a known field; did you mean load?")
    assert not (tmp_path / "experiment.json").exists()


@pytest.mark.parametrize("options", [(), ("--key", KEY, "--experiment", "{}")], ids=["neither", "both"])
def test_a_key_or_an_experiment_must_be_given(run_command: RunCommand, options: tuple[str, ...]) -> None:
    assert_fails(run_command("consul-fetch", *options), 2, "there must be a key or an experiment, and not both")


FAULT = EXPERIMENT["fault"]
BROKEN: dict[str, tuple[bytes | str | dict[str, object], str]] = {
    "not JSON": ("{", "Consul key 'chaos/experiments/user-service' is not JSON: line 1 column 2"),
    "text": ("hello", "is not an object"),
    "empty": ("", "is empty"),
    "binary": (b"\xff\xfe", "is not UTF-8"),
    "unknown field": ({**EXPERIMENT, "fault": {**FAULT, "errrorCode": 1}}, "$.fault.errrorCode is not a known field"),
    "wrong type": ({**EXPERIMENT, "durationSeconds": "120"}, '$.durationSeconds: expected a number, got "120"'),
    "no fault at all": (
        {**EXPERIMENT, "fault": {**FAULT, "percentage": 0}},
        "$.fault.percentage: expected a number > 0",
    ),
    "given twice": ('{"enabled": true, "enabled": false}', "field 'enabled' is given twice"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_experiment_is_a_usage_error_and_nothing_is_written(
    consul: Consul, tmp_path: Path, run_command: RunCommand, case: str
) -> None:
    value, message = BROKEN[case]
    consul.put(KEY, value)
    (tmp_path / "experiment.json").write_text("older")
    finished = run_command(
        *("consul-fetch", "--key", KEY, "--workspace", tmp_path, "--run", "run-1"), env=variables(consul)
    )
    assert_fails(finished, 2, message)
    assert finished.results["experiment-name"] == ""
    assert (tmp_path / "experiment.json").read_text() == "older"
    assert json.loads((tmp_path / "errors/consul-fetch.json").read_bytes())["exitCode"] == 2


def test_a_missing_key_is_a_usage_error_that_names_it(consul: Consul, run_command: RunCommand) -> None:
    finished = run_command("consul-fetch", "--key", "chaos/none", env=variables(consul))
    assert_fails(finished, 2, f"Consul at {consul.url} has no key 'chaos/none'")


def test_a_token_that_may_not_read_the_key_is_refused_in_consuls_words(
    consul: Consul, token: str, run_command: RunCommand
) -> None:
    consul.put("other/x", EXPERIMENT)
    finished = run_command("consul-fetch", "--key", "other/x", env=variables(consul, CONSUL_HTTP_TOKEN=token))
    assert_fails(finished, 3, "answered 403 Forbidden: Permission denied: token with AccessorID", token)


def test_an_unknown_token_is_refused_in_consuls_words(consul: Consul, key: str, run_command: RunCommand) -> None:
    token = "22222222-2222-2222-2222-222222222222"
    finished = run_command("consul-fetch", "--key", key, env=variables(consul, CONSUL_HTTP_TOKEN=token))
    assert_fails(finished, 3, "403 Forbidden: ACL not found", token)


def test_without_a_token_it_says_how_to_give_one(consul: Consul, key: str, run_command: RunCommand) -> None:
    finished = run_command("consul-fetch", "--key", key, "--consul-url", consul.url)
    assert_fails(finished, 3, f"no credentials configured for {consul.url}; set CONSUL_HTTP_TOKEN, --token-file")


def test_a_token_that_no_header_can_carry_is_not_repeated(consul: Consul, run_command: RunCommand) -> None:
    token = "s3cret\nwith a line break"
    finished = run_command("consul-fetch", "--key", KEY, env=variables(consul, CONSUL_HTTP_TOKEN=token))
    assert_fails(finished, 2, "holds characters that no HTTP header can carry", "s3cret")


def test_the_token_may_come_from_a_file(
    consul: Consul, key: str, token: str, tmp_path: Path, run_command: RunCommand
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{token}\n")
    wrong = "22222222-2222-2222-2222-222222222222"
    option = run_command(
        "consul-fetch", "--key", key, "--token-file", file, env=variables(consul, CONSUL_HTTP_TOKEN=wrong)
    )
    assert option.code == 0, option.stderr
    variable = run_command(
        "consul-fetch", "--key", key, env=variables(consul, CONSUL_HTTP_TOKEN=wrong, CONSUL_HTTP_TOKEN_FILE=str(file))
    )
    assert variable.code == 0, variable.stderr


@pytest.mark.parametrize(("content", "message"), [(None, "No such file"), (b"\n", "is empty"), (b"\xff", "more than")])
def test_a_token_file_without_a_token_is_a_usage_error(
    consul: Consul, tmp_path: Path, run_command: RunCommand, content: bytes | None, message: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    finished = run_command("consul-fetch", "--key", KEY, "--token-file", file, "--consul-url", consul.url)
    assert_fails(finished, 2, message)


def test_the_token_may_come_from_credentials_yaml(
    consul: Consul, key: str, token: str, tmp_path: Path, run_command: RunCommand
) -> None:
    (tmp_path / "credentials.yaml").write_text(f"- {{url: '{consul.url}', token: {token}}}\n")
    finished = run_command(
        "consul-fetch", "--key", key, "--consul-url", consul.url, env={"CHAOS_CREDENTIALS": str(tmp_path)}
    )
    assert finished.code == 0, finished.stderr


def test_a_token_of_the_environment_goes_only_to_the_address_of_the_environment(
    consul: Consul, upstream: Upstream, run_command: RunCommand
) -> None:
    finished = run_command("consul-fetch", "--key", KEY, "--consul-url", upstream.url, env=variables(consul))
    assert finished.code == 3
    assert upstream.count
    assert all("x-consul-token" not in request.headers for request in upstream.requests)
    assert f"is not sent to {upstream.url}" in finished.stderr


def test_an_option_wins_over_the_variable(consul: Consul, key: str, run_command: RunCommand) -> None:
    finished = run_command(
        *("consul-fetch", "--key", key, "--consul-url", consul.url),
        env={"CONSUL_HTTP_ADDR": "", "PARAM_CONSUL_URL": "http://127.0.0.1:1", "CONSUL_HTTP_TOKEN": consul.token},
    )
    assert finished.code == 0, finished.stderr


@pytest.mark.parametrize("form", ["{host}:{port}", "http://{host}:{port}", "http://{host}:{port}/", "localhost:{port}"])
def test_every_form_of_the_address_over_plain_http(
    consul: Consul, key: str, run_command: RunCommand, form: str
) -> None:
    parts = urlsplit(consul.url)
    address = form.format(host=parts.hostname, port=parts.port)
    finished = run_command("consul-fetch", "--key", key, env=variables(consul, CONSUL_HTTP_ADDR=address))
    assert finished.code == 0, finished.stderr


@pytest.mark.parametrize("scheme", ["https://", "http://", ""])
def test_consul_http_ssl_turns_every_form_into_https(
    consul: Consul, key: str, run_command: RunCommand, scheme: str
) -> None:
    address = consul.https_url.replace("https://", scheme)
    env = variables(consul, CONSUL_HTTP_ADDR=address, CONSUL_HTTP_SSL="true", CONSUL_CACERT=str(consul.ca_file))
    finished = run_command("consul-fetch", "--key", key, env=env)
    assert finished.code == 0, finished.stderr


def test_a_certificate_that_is_not_trusted_ends_it_before_the_token_is_sent(
    consul: Consul, key: str, run_command: RunCommand
) -> None:
    finished = run_command("consul-fetch", "--key", key, env=variables(consul, CONSUL_HTTP_ADDR=consul.https_url))
    assert_fails(finished, 3, "its certificate is not trusted", consul.token)


def test_verification_is_switched_off_as_consul_does_and_that_is_said(
    consul: Consul, key: str, run_command: RunCommand
) -> None:
    env = variables(consul, CONSUL_HTTP_ADDR=consul.https_url, CONSUL_HTTP_SSL_VERIFY="false")
    finished = run_command("consul-fetch", "--key", key, env=env)
    assert finished.code == 0, finished.stderr
    assert "is not checked" in finished.stderr


def test_a_switch_that_is_neither_true_nor_false_is_a_usage_error(consul: Consul, run_command: RunCommand) -> None:
    finished = run_command("consul-fetch", "--key", KEY, env=variables(consul, CONSUL_HTTP_SSL_VERIFY="nope"))
    assert_fails(finished, 2, "CONSUL_HTTP_SSL_VERIFY is 'nope'")


@pytest.mark.parametrize(
    "address", ["ftp://consul", "unix://relative", "http://", "http://me:s3cret@consul", "consul:port", "http://c?x=1"]
)
def test_what_is_no_address_is_a_usage_error(run_command: RunCommand, address: str) -> None:
    finished = run_command("consul-fetch", "--key", KEY, env={"CONSUL_HTTP_ADDR": address})
    assert finished.code == 2
    assert "s3cret" not in finished.stderr


def test_a_path_in_front_of_the_api_is_kept(consul: Consul, key: str, run_command: RunCommand) -> None:
    with Unreliable(consul.url) as proxy:
        passed_on = proxy.respond
        assert passed_on is not None
        proxy.respond = lambda request: passed_on(request._replace(path=request.path.removeprefix("/consul")))
        finished = run_command(
            "consul-fetch", "--key", key, env=variables(consul, CONSUL_HTTP_ADDR=f"{proxy.url}/consul/")
        )
    assert finished.code == 0, finished.stderr
    assert [request.path for request in proxy.requests] == [f"/consul/v1/kv/{key}"]


def test_a_unix_socket_is_an_address(tmp_path: Path, run_command: RunCommand) -> None:
    # Nobody listens: what counts is where it looks.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "consul.sock"))
    finished = run_command("consul-fetch", "--key", KEY, env={"CONSUL_HTTP_ADDR": f"unix://{tmp_path}/consul.sock"})
    assert_fails(finished, 3, f"GET unix://{tmp_path}/consul.sock/v1/kv/{KEY}: connection refused")


def asked(run_command: RunCommand, upstream: Upstream, *options: str, **env: str) -> Request:
    upstream.respond = lambda _: Reply(404, b"", {"X-Consul-Index": "1"})
    assert run_command("consul-fetch", "--consul-url", upstream.url, *options, env=env).code == 2
    assert upstream.count == 1
    return upstream.requests[0]


def test_key_datacenter_namespace_and_consistency_reach_consul(upstream: Upstream, run_command: RunCommand) -> None:
    options = ("--key", "a b/ü%2F?c", "--datacenter", "dc2", "--namespace", "team", "--consistent")
    request = asked(run_command, upstream, *options, CONSUL_HTTP_TOKEN="t")
    assert request.path == "/v1/kv/a%20b/%C3%BC%252F%3Fc?dc=dc2&consistent=1&ns=team"
    assert request.headers["x-consul-token"] == "t"


def test_the_namespace_may_come_from_the_environment(upstream: Upstream, run_command: RunCommand) -> None:
    assert asked(run_command, upstream, "--key", "k", CONSUL_NAMESPACE="team").path == "/v1/kv/k?ns=team"


def test_what_this_consul_does_not_know_is_said_in_its_words(consul: Consul, key: str, run_command: RunCommand) -> None:
    namespace = run_command("consul-fetch", "--key", key, "--namespace", "team", env=variables(consul))
    assert_fails(namespace, 2, "Namespaces are a Consul Enterprise feature")
    datacenter = run_command("consul-fetch", "--key", key, "--datacenter", "dc2", env=variables(consul))
    assert_fails(datacenter, 3, "No path to datacenter")
    consistent = run_command("consul-fetch", "--key", key, "--consistent", env=variables(consul))
    assert consistent.code == 0, consistent.stderr


@pytest.mark.parametrize(
    "reply",
    [Reply(404, b"not found"), Reply(200, b"<html>"), Reply(200, b"{}"), Reply(500, b"broken"), Reply(302, b"")],
    ids=["404", "200 HTML", "200 JSON", "500", "302"],
)
def test_a_server_that_is_not_consul_is_not_taken_for_one(
    upstream: Upstream, run_command: RunCommand, reply: Reply
) -> None:
    upstream.respond = lambda _: reply
    finished = run_command("consul-fetch", "--key", KEY, "--consul-url", upstream.url)
    assert_fails(finished, 3, f"{upstream.url}/v1/kv/{KEY} answered {reply.status}")


@pytest.mark.parametrize("body", [b"<html>", b"[3]", b'[{"Value": "%%%"}]', b'[{"Value": "e30="}]', b"3"])
def test_an_answer_that_is_not_consuls_is_unavailable(upstream: Upstream, run_command: RunCommand, body: bytes) -> None:
    upstream.respond = lambda _: Reply(200, body, {"X-Consul-Index": "1"})
    finished = run_command("consul-fetch", "--key", KEY, "--consul-url", upstream.url)
    assert_fails(finished, 3, "cannot be read")


def test_a_consul_that_is_not_there_is_unavailable(run_command: RunCommand) -> None:
    finished = run_command("consul-fetch", "--key", KEY, "--consul-url", "http://127.0.0.1:1")
    assert_fails(finished, 3, f"GET http://127.0.0.1:1/v1/kv/{KEY}: connection refused")
