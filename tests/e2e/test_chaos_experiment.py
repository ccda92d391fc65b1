"""chaos-experiment on a real Tekton, started by the README's own command: a shop that retries, and a brittle one."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.cluster import IMAGE, ROOT, Namespace

KEY = "chaos/user-service-503-resilience"

# The experiment of the README with a shorter fault: 1,500 requests, of which the gateway answers a tenth with 503.
EXPERIMENT = {
    "experimentName": "user-service-503-resilience",
    "fault": {"type": "L7_HTTP_ERROR", "targetHost": "user-service.production.svc", "errorCode": 503, "percentage": 10},
    "durationSeconds": 30,
    "load": {"rps": 50},
    "slo": {"maxP99LatencyMs": 1500, "minSuccessRate": 0.95},
}


@dataclass
class Run:
    """A PipelineRun that has ended, and what tkn said."""

    tkn_code: int
    log: str
    status: dict[str, Any]
    gateway: str
    claims: str

    @property
    def results(self) -> dict[str, str]:
        return {result["name"]: result["value"] for result in self.status.get("results", [])}

    @property
    def succeeded(self) -> str:
        return str(self.status["conditions"][0]["status"])


def tkn_command_of_the_readme() -> list[str]:
    """The words of the README's `tkn pipeline start`, without tkn."""
    found = re.search(r"^    tkn (pipeline start (?:.*\\\n)*.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert found
    return shlex.split(found[1].replace("\\\n", " "))


def prepare(namespace: Namespace, *, brittle: bool) -> None:
    """Servers, shipped YAML, the experiment in Consul, and a Secret with a token that may read it and nothing else."""
    namespace.apply_shipped()
    namespace.apply("servers.yaml")
    if brittle:
        patch = [{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": ["--brittle"]}]
        namespace.kubectl("patch", "deployment", "shop", "--type=json", "-p", json.dumps(patch))
    for name in ("consul", "user-service", "gateway", "shop"):
        namespace.kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s")
    consul(namespace, "kv", "put", KEY, json.dumps(EXPERIMENT))
    rules = 'key_prefix "chaos/" { policy = "read" }'
    consul(namespace, "acl", "policy", "create", "-name=read-chaos", f"-rules={rules}")
    token = json.loads(consul(namespace, "acl", "token", "create", "-policy-name=read-chaos", "-format=json"))
    credentials = json.dumps([{"url": "http://consul:8500", "token": token["SecretID"]}])
    namespace.kubectl(
        "create", "secret", "generic", "chaos-credentials", f"--from-literal=credentials.yaml={credentials}"
    )


def consul(namespace: Namespace, *arguments: str) -> str:
    """Run Consul's own client in Consul's pod."""
    return namespace.kubectl("exec", "deploy/consul", "--", "consul", *arguments)


def images(namespace: Namespace) -> list[str]:
    """Every image param of the Pipeline, set to the tests' image."""
    pipeline = namespace.get("pipeline", "chaos-experiment")
    names = [param["name"] for param in pipeline["spec"]["params"] if param["name"].endswith("-image")]
    return [word for name in names for word in ("-p", f"{name}={IMAGE}")]


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[str, Run]]:
    """Both runs, at the same time, each in a namespace of its own."""
    with ExitStack() as stack:
        namespaces = {name: stack.enter_context(Namespace(f"e2e-{name}")) for name in ("retrying", "brittle")}
        started = {}
        for name, namespace in namespaces.items():
            prepare(namespace, brittle=name == "brittle")
            more = ["-w", "name=credentials,secret=chaos-credentials", "-p", "probe-url=http://gateway:8000/users/1"]
            started[name] = namespace.tkn(*tkn_command_of_the_readme(), *more, *images(namespace))
        yield {name: finish(namespaces[name], process) for name, process in started.items()}


def finish(namespace: Namespace, process: Any) -> Run:
    """Wait for tkn, then read what is left in the cluster."""
    log, _ = process.communicate(timeout=600)
    run = namespace.get("pipelinerun")["items"][0]
    gateway = namespace.kubectl(
        "exec", "deploy/gateway", "--", "python3", "-c",
        "import urllib.request; print(urllib.request.urlopen('http://localhost:2019/config/').read().decode())",
    )  # fmt: skip
    return Run(process.returncode, log, run["status"], gateway, look_into_the_ledger(namespace))


def look_into_the_ledger(namespace: Namespace) -> str:
    """The claims in the ledger on the shared volume, read by a pod of its own."""
    overrides = {
        "spec": {
            "volumes": [{"name": "shared", "persistentVolumeClaim": {"claimName": "chaos-shared"}}],
            "containers": [
                {
                    "name": "look",
                    "image": IMAGE,
                    "command": ["python3", "-c", "import os; print(sorted(os.listdir('/shared/ledger/claims')))"],
                    "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
                }
            ],
        }
    }
    command = ["run", "look", "--restart=Never", f"--image={IMAGE}", f"--overrides={json.dumps(overrides)}"]
    namespace.kubectl(*command)
    namespace.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/look", "--timeout=60s")
    return namespace.kubectl("logs", "look").strip()


def test_a_shop_that_retries_passes(runs: dict[str, Run]) -> None:
    run = runs["retrying"]
    assert run.results == {"verdict": "pass", "exit-code": "0"}, run.log
    assert (run.succeeded, run.tkn_code) == ("True", 0), run.log


def test_a_brittle_shop_fails_the_run_and_the_verdict_is_still_in_its_results(runs: dict[str, Run]) -> None:
    run = runs["brittle"]
    assert run.results == {"verdict": "fail", "exit-code": "1"}, run.log
    assert (run.succeeded, run.tkn_code) == ("False", 1), run.log


@pytest.mark.parametrize("name", ["retrying", "brittle"])
def test_no_fault_and_no_claim_is_left(runs: dict[str, Run], name: str) -> None:
    assert "chaos-" not in runs[name].gateway
    assert runs[name].claims == "[]"
