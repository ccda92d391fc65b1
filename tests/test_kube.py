"""The client of the API server: whose credentials it uses, and what it repeats."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chaos_steps import kube, signals
from chaos_steps.errors import Denied, Unavailable
from chaos_steps.http import Http, Response
from chaos_steps.kube import Again, Conflict, Objects, connector, persist
from tests.api_double import ApiDouble
from tests.ledger.back_ends import client_of
from tests.servers.kubernetes import ADMIN, Kubernetes

ROLES = dict.fromkeys(("get", "list", "create", "update", "delete"), "some-role")


def objects(connect: Callable[[], Http], namespace: str = "n") -> Objects:
    return Objects(connect, "configmaps", namespace, ROLES)


def config_map(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": {"a": "b"}}


@pytest.fixture
def namespace(kubernetes: Kubernetes) -> str:
    return kubernetes.new_namespace()


@pytest.fixture
def account(kubernetes: Kubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process is in a pod; the folder of its service account."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(kubernetes.ports[0]))
    monkeypatch.setattr(kube, "_ACCOUNT", tmp_path)
    (tmp_path / "ca.crt").write_bytes(kubernetes.ca_file.read_bytes())
    return tmp_path


def use_kubeconfig(patch: pytest.MonkeyPatch, path: Path) -> None:
    """The library has read KUBECONFIG already."""
    patch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    patch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))


def test_the_token_of_a_pod_is_read_anew_when_it_was_replaced(account: Path, namespace: str) -> None:
    (account / "token").write_text("expired")
    found = objects(connector(), namespace)
    with pytest.raises(Denied, match=f"cannot get configmaps in namespace {namespace}: .*401.*token"):
        found.get("x")
    (account / "token").write_text(f"{ADMIN}\n")
    assert found.get("x") is None


def test_an_address_of_ipv6_is_written_in_brackets(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (account / "token").write_text("t")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert connector()().base_url == "https://[fd00::1]:443"


def test_kubeconfig_may_hold_a_certificate(
    kubernetes: Kubernetes, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_kubeconfig(monkeypatch, kubernetes.kubeconfig(tmp_path / "config", kubernetes.admin_certificate))
    found = objects(connector(), namespace)
    found.create(config_map("x"))
    assert found.get("x") is not None


def test_kubeconfig_may_name_a_plugin_which_is_asked_again_when_its_token_expires(
    kubernetes: Kubernetes, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    status = {"token": ADMIN, "expirationTimestamp": "2020-01-01T00:00:00Z"}
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!{sys.executable}\nopen({str(calls)!r}, 'a').write('x')\nprint({json.dumps(answer)!r})\n")
    plugin.chmod(0o755)
    user = {"exec": {"apiVersion": answer["apiVersion"], "command": str(plugin), "interactiveMode": "Never"}}
    use_kubeconfig(monkeypatch, kubernetes.kubeconfig(tmp_path / "config", user))
    found = objects(connector(), namespace)
    found.get("x")
    asked = len(calls.read_text())
    found.get("x")
    assert len(calls.read_text()) > asked


def test_what_may_not_be_done_is_named_with_the_role_that_grants_it(kubernetes: Kubernetes, namespace: str) -> None:
    token = kubernetes.account_token(namespace, [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}])
    found = objects(client_of(kubernetes, token), namespace)
    assert found.get("x") is None
    with pytest.raises(Denied, match=f"not allowed to create configmaps in namespace {namespace}: .*some-role"):
        found.create(config_map("x"))


def test_a_namespace_that_is_not_there_is_told(kubernetes: Kubernetes) -> None:
    with pytest.raises(Unavailable, match="no namespace nowhere"):
        objects(client_of(kubernetes), "nowhere").create(config_map("x"))


def test_what_the_api_server_refuses_for_good_is_not_repeated(kubernetes: Kubernetes, namespace: str) -> None:
    with pytest.raises(Unavailable, match=r"422.*metadata\.name") as refused:
        objects(client_of(kubernetes), namespace).create(config_map("No Name"))
    assert not isinstance(refused.value, Again)


def test_all_objects_with_a_label_are_listed_however_many_pages_they_take(
    kubernetes: Kubernetes, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = objects(client_of(kubernetes), namespace)
    for number in range(5):
        found.create(config_map(f"x-{number}", kind="mine"))
        found.create(config_map(f"y-{number}", kind="another"))
    monkeypatch.setattr(kube, "PAGE", 2)
    assert [each["metadata"]["name"] for each in found.list("kind=mine")] == [f"x-{number}" for number in range(5)]


def conversation(connect: Callable[[], Http], namespace: str) -> list[object]:
    """What is answered to requests that matter to the ledger; numbers that an API server chooses are left out."""
    http, said = connect(), list[object]()
    path = f"/api/v1/namespaces/{namespace}/configmaps"

    def ask(method: str, name: str = "", **more: Any) -> Any:
        response = http.request(method, path + name, **more)
        found = response.json()
        data = [each.get("data") for each in found["items"]] if "items" in found else found.get("data")
        said.append((method, name, response.status, data))
        return found

    ask("GET", "/x")
    first = ask("POST", json=config_map("x", kind="mine"))
    ask("POST", json=config_map("x"))
    ask("POST", json=config_map("y", kind="another"))
    ask("GET", params={"labelSelector": "kind=mine"})
    second = ask("PUT", "/x", json={**first, "data": {"a": "changed"}})
    ask("PUT", "/x", json={**first, "data": {"a": "late"}})
    same = ask("PUT", "/x", json=second)
    said.append(same["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"])
    stale = {key: first["metadata"][key] for key in ("uid", "resourceVersion")}
    ask("DELETE", "/x", json={"preconditions": stale})
    ask("DELETE", "/x", json={"preconditions": {**stale, "uid": "another"}})
    current = {**stale, "resourceVersion": second["metadata"]["resourceVersion"]}
    ask("DELETE", "/x", json={"preconditions": current})
    ask("DELETE", "/x", json={"preconditions": current})
    ask("PUT", "/x", json=second)
    again = ask("POST", json=config_map("x"))
    said.append(again["metadata"]["uid"] == first["metadata"]["uid"])
    version = {"resourceVersion": again["metadata"]["resourceVersion"]}
    ask("PUT", "/x", json={**second, "metadata": {**second["metadata"], **version}})
    ask("GET", "/x")
    return said


def test_the_double_of_the_api_server_answers_as_the_real_one(kubernetes: Kubernetes, namespace: str) -> None:
    double = ApiDouble()
    assert conversation(lambda: double, "n") == conversation(client_of(kubernetes), namespace)


class Answering(ApiDouble):
    """Answers the same to everything."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__()
        self.answers = 0
        self._status, self._headers = status, headers

    def request(self, *_: Any, **__: Any) -> Response:
        self.answers += 1
        return Response(self._status, self._headers, b'{"message": "busy"}', "http://double.test", 0.0)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that were waited; time passes by waiting only."""
    waited: list[float] = []
    monkeypatch.setattr(kube, "time", SimpleNamespace(sleep=waited.append, monotonic=lambda: sum(waited)))
    return waited


@pytest.mark.parametrize(("said", "waited"), [({"Retry-After": "3"}, 3.0), ({}, 0.5), ({"Retry-After": "soon"}, 0.5)])
def test_who_is_busy_says_how_long_to_wait(pauses: list[float], said: dict[str, str], waited: float) -> None:
    server = Answering(429, **said)
    with pytest.raises(Again, match="busy"):
        persist(lambda: objects(lambda: server).get("x"), 7.0)
    assert set(pauses) == {waited}
    assert sum(pauses) + waited > 7.0 >= sum(pauses)


@pytest.mark.parametrize("status", [409, 429, 500, 503])
def test_what_goes_on_for_ever_has_an_end(pauses: list[float], status: int) -> None:
    server = Answering(status)
    with pytest.raises(Unavailable, match="busy"):
        persist(lambda: objects(lambda: server).update(config_map("x")), 2.0)
    assert server.answers == len(pauses) + 1 > 2


def test_a_signal_ends_waiting_for_who_is_away_but_not_a_conflict(
    pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "pending", lambda: signal.SIGTERM)
    server = Answering(503)
    with pytest.raises(Again):
        persist(lambda: objects(lambda: server).get("x"), 10.0)
    assert server.answers == 1
    conflicts = iter([Conflict("changed meanwhile")])

    def act() -> str:
        for conflict in conflicts:
            raise conflict
        return "done"

    assert persist(act, 10.0) == "done"
