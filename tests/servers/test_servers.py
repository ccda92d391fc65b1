"""The servers of the tests do what the other tests rely on."""

from __future__ import annotations

import json
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.servers.caddy import Caddy
from tests.servers.call import call
from tests.servers.consul import Consul
from tests.servers.kubernetes import Kubernetes
from tests.servers.nginx_waf import NginxWaf
from tests.servers.program import MissingProgramError, find_program
from tests.servers.unreliable import Unreliable
from tests.servers.upstream import Reply, Upstream
from tests.servers.zipkin import Zipkin


def rule(**changes: Any) -> dict[str, Any]:
    return {
        "id": "r1",
        "match": {"host": NginxWaf.host, "path": "/*"},
        "action": {"type": "deny", "statusCode": 503},
        "samplingRate": 1.0,
        **changes,
    }


def through(server: Caddy | NginxWaf, path: str = "/") -> tuple[int, str | None]:
    answer = call("GET", server.url + path, headers={"Host": server.host})
    return answer.status, answer.headers.get("x-chaos-rule")


def test_a_program_that_is_missing_is_an_error_that_says_how_to_get_it() -> None:
    with pytest.raises(MissingProgramError, match="make setup"):
        find_program("no-such-server")


def test_consul_gives_back_what_was_put(consul: Consul) -> None:
    consul.put("chaos/x", {"a": 1})
    assert consul.get("chaos/x") == b'{"a": 1}'
    assert consul.modify_index("chaos/x") > 0


def test_a_token_for_a_prefix_reads_that_prefix_and_nothing_else(consul: Consul) -> None:
    consul.put("chaos/x", "1")
    consul.put("other/x", "1")
    headers = {"X-Consul-Token": consul.token_for("chaos/")}
    assert call("GET", f"{consul.url}/v1/kv/chaos/x", headers=headers).status == 200
    assert call("GET", f"{consul.url}/v1/kv/other/x", headers=headers).status == 403
    assert call("PUT", f"{consul.url}/v1/kv/chaos/x", body=b"2", headers=headers).status == 403
    assert call("GET", f"{consul.url}/v1/kv/chaos/x").status == 403


def test_consul_speaks_tls_with_its_own_authority(consul: Consul) -> None:
    request = urllib.request.Request(f"{consul.https_url}/v1/agent/self", headers={"X-Consul-Token": consul.token})
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=str(consul.ca_file))) as answer:
        assert answer.status == 200


def test_caddy_routes_its_host_to_the_upstream_and_forgets_changes_on_reset(caddy: Caddy, upstream: Upstream) -> None:
    before = caddy.config()
    assert through(caddy) == (200, None)
    assert upstream.count == 1
    fault = {
        "@id": "x",
        "match": [{"host": [caddy.host]}],
        "handle": [{"handler": "static_response", "status_code": 503}],
    }
    assert call("PUT", f"{caddy.admin_url}/config/apps/http/servers/gateway/routes/0", body=fault).status == 200
    assert caddy.faults() == [fault]
    assert through(caddy)[0] == 503
    caddy.reset()
    assert caddy.config() == before


def test_waf_rules_are_created_read_and_deleted_once(nginx_waf: NginxWaf) -> None:
    headers = {"X-Auth-Token": nginx_waf.token}
    rules = f"{nginx_waf.admin_url}/rules"
    assert call("POST", rules, body=rule(), headers=headers).status == 201
    assert call("POST", rules, body=rule(), headers=headers).status == 409
    assert call("GET", f"{rules}/r1", headers=headers).status == 200
    assert nginx_waf.rules() == {"r1": rule()}
    assert call("DELETE", f"{rules}/r1", headers=headers).status == 204
    assert call("DELETE", f"{rules}/r1", headers=headers).status == 404
    assert call("GET", f"{rules}/r1", headers=headers).status == 404


@pytest.mark.parametrize(
    "wrong",
    [
        b"{",
        rule(id=1),
        rule(match={}),
        rule(action={"type": "deny"}),
        rule(action={"type": "no"}),
        rule(samplingRate=2),
    ],
)
def test_waf_refuses_what_is_no_rule(nginx_waf: NginxWaf, wrong: object) -> None:
    headers = {"X-Auth-Token": nginx_waf.token}
    assert call("POST", f"{nginx_waf.admin_url}/rules", body=wrong, headers=headers).status == 400
    assert nginx_waf.rules() == {}


def test_waf_wants_its_token(nginx_waf: NginxWaf) -> None:
    assert call("POST", f"{nginx_waf.admin_url}/rules", body=rule()).status == 401


def test_waf_denies_what_matches_and_marks_it(nginx_waf: NginxWaf, upstream: Upstream) -> None:
    nginx_waf.add(rule(match={"host": nginx_waf.host, "path": "/pay/*"}))
    assert through(nginx_waf, "/pay/1") == (503, "r1")
    assert through(nginx_waf, "/other") == (200, None)
    assert call("GET", f"{nginx_waf.url}/pay/1", headers={"Host": "other"}).status == 200
    assert upstream.count == 2


def test_waf_delays_and_still_answers_from_the_upstream(nginx_waf: NginxWaf, upstream: Upstream) -> None:
    nginx_waf.add(rule(action={"type": "add_delay", "delayMs": 1}))
    assert through(nginx_waf) == (200, "r1")
    assert upstream.count == 1


def test_waf_samples(nginx_waf: NginxWaf) -> None:
    nginx_waf.add(rule(samplingRate=0.5))
    # Of 100 requests at 50 %, all or none faulted has a chance of 2 in 2**100.
    assert len({through(nginx_waf) for _ in range(100)}) == 2


def test_upstream_answers_as_it_is_told(upstream: Upstream) -> None:
    upstream.status = 418
    assert call("POST", f"{upstream.url}/a?b=c", body=b"x", headers={"X-Run": "1"}).status == 418
    (request,) = upstream.requests
    assert (request.method, request.path, request.body, request.headers["x-run"]) == ("POST", "/a?b=c", b"x", "1")


@pytest.fixture
def unreliable(nginx_waf: NginxWaf) -> Iterator[Unreliable]:
    with Unreliable(nginx_waf.admin_url) as proxy:
        yield proxy


def test_unreliable_passes_everything_on_until_told_otherwise(unreliable: Unreliable, nginx_waf: NginxWaf) -> None:
    headers = {"X-Auth-Token": nginx_waf.token}
    assert call("POST", f"{unreliable.url}/rules", body=rule(), headers=headers).status == 201
    unreliable.misbehave("DELETE", reply=Reply(204))
    assert call("DELETE", f"{unreliable.url}/rules/r1", headers=headers).status == 204
    assert "r1" in nginx_waf.rules()
    unreliable.misbehave("DELETE", passed_on=True)
    with pytest.raises((HTTPException, OSError)):
        call("DELETE", f"{unreliable.url}/rules/r1", headers=headers)
    assert nginx_waf.rules() == {}
    unreliable.misbehave("GET", hangs=True)
    with pytest.raises(TimeoutError):
        call("GET", f"{unreliable.url}/rules/r1", headers=headers, timeout=0.2)
    unreliable.behave()
    assert call("GET", f"{unreliable.url}/rules/r1", headers=headers).status == 404


def test_k6_is_there(k6_binary: Path) -> None:
    assert "k6" in subprocess.run([k6_binary, "version"], check=True, capture_output=True, text=True).stdout


def test_zipkin_gives_back_the_spans_that_were_reported(zipkin: Zipkin) -> None:
    span = {
        "traceId": "00000000000000a1",
        "id": "00000000000000a1",
        "kind": "SERVER",
        "timestamp": 1_760_000_000_000_000,
        "duration": 1500,
        "localEndpoint": {"serviceName": "Test-Servers"},
    }
    zipkin.post([span])
    found = call("GET", f"{zipkin.url}/api/v2/traces?serviceName=test-servers&endTs=1760000000001&lookback=10")
    assert json.loads(found.body) == [[{**span, "localEndpoint": {"serviceName": "test-servers"}}]]


def test_kubernetes_grants_an_account_what_its_role_says_and_nothing_else(kubernetes: Kubernetes) -> None:
    namespace = kubernetes.new_namespace()
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]
    token = kubernetes.account_token(namespace, rules)
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    new = {"metadata": {"name": "a"}, "data": {"b": "c"}}
    assert kubernetes.call("POST", path, new).status == 201
    assert json.loads(kubernetes.call("GET", f"{path}/a", token=token).body)["data"] == {"b": "c"}
    assert kubernetes.call("POST", path, new, token).status == 403
    assert kubernetes.call("GET", "/api/v1/namespaces/default/configmaps/a", token=token).status == 403
    assert kubernetes.call("GET", f"{path}/a", token="nobody's").status == 401
