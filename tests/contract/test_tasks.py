"""The rules that every Task keeps."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from chaos_steps import __version__
from tests.contract.manifests import ROOT, all_of, load, texts

TASKS = all_of("tasks")


@pytest.fixture(params=TASKS, ids=list(TASKS))
def name(request: pytest.FixtureRequest) -> str:
    """Name of a Task."""
    return str(request.param)


@pytest.fixture
def task(name: str) -> dict[str, Any]:
    """A Task."""
    return load(TASKS[name])


@pytest.fixture
def step(task: dict[str, Any]) -> dict[str, Any]:
    """Its only step."""
    (step,) = task["spec"]["steps"]
    found: dict[str, Any] = step
    return found


def test_it_is_named_as_its_file_and_says_what_it_needs(name: str, task: dict[str, Any]) -> None:
    assert (task["apiVersion"], task["kind"], task["metadata"]["name"]) == ("tekton.dev/v1", "Task", name)
    assert task["metadata"]["labels"]["app.kubernetes.io/version"] == __version__
    annotations = task["metadata"]["annotations"]
    for key in ("pipelines.minVersion", "categories", "tags", "displayName", "platforms"):
        assert isinstance(annotations[f"tekton.dev/{key}"], str)
    assert re.fullmatch(r"linux/\w+(,linux/\w+)*", annotations["tekton.dev/platforms"])
    assert task["spec"]["description"].splitlines()[0].endswith(".")


def test_its_step_is_the_command_and_nothing_else(name: str, step: dict[str, Any]) -> None:
    assert step["command"] == [name]
    allowed = {"name", "image", "imagePullPolicy", "command", "env", "computeResources", "volumeMounts"}
    assert set(step) <= allowed, "no script, no args, no step timeout, no workingDir"
    assert step["imagePullPolicy"] == "IfNotPresent"


def test_params_reach_the_command_through_its_environment_only(task: dict[str, Any], step: dict[str, Any]) -> None:
    allowed = re.compile(r"\$\.spec\.steps\[0\]\.(env\[\d+\]\.value|image)")
    for path, text in texts(task):
        assert "$(" not in text or allowed.fullmatch(path), path
    values = {variable["name"]: variable.get("value") for variable in step["env"]}
    for param in task["spec"]["params"]:
        assert param["type"] in ("string", "array")
        assert param["description"]
        if param["name"] == "image":
            assert step["image"] == "$(params.image)"
            assert re.fullmatch(r"[a-z0-9./-]+:\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?", param["default"])
        else:
            variable = "PARAM_" + param["name"].upper().replace("-", "_")
            assert values[variable] == f"$(params.{param['name']})"


def test_every_result_has_a_file_and_all_fit_into_a_termination_message(
    task: dict[str, Any], step: dict[str, Any]
) -> None:
    values = {variable["name"]: variable.get("value") for variable in step["env"]}
    results = task["spec"].get("results", [])
    for result in results:
        assert result["description"]
        variable = "RESULT_" + result["name"].upper().replace("-", "_")
        assert values[variable] == f"$(results.{result['name']}.path)"
    assert len(results) <= 10


def test_workspaces_are_optional_and_at_most_one_can_be_written(task: dict[str, Any], step: dict[str, Any]) -> None:
    workspaces = {workspace["name"]: workspace for workspace in task["spec"].get("workspaces", [])}
    assert set(workspaces) <= {"shared-data", "credentials", "ledger"}
    assert all(workspace["optional"] and workspace["description"] for workspace in workspaces.values())
    assert sum(not workspace.get("readOnly", False) for workspace in workspaces.values()) <= 1
    assert workspaces.get("credentials", {"readOnly": True})["readOnly"]
    values = {variable["name"]: variable.get("value") for variable in step["env"]}
    if "shared-data" in workspaces:
        assert values["PARAM_WORKSPACE"] == "$(workspaces.shared-data.path)"
    if "credentials" in workspaces:
        assert values["CHAOS_CREDENTIALS"] == "$(workspaces.credentials.path)"


def test_it_keeps_to_pod_security_restricted(task: dict[str, Any], step: dict[str, Any]) -> None:
    security = task["spec"]["stepTemplate"]["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == security["runAsGroup"] == 65532
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "securityContext" not in step
    mounts = {mount["mountPath"]: mount["name"] for mount in step["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in task["spec"]["volumes"]}
    assert "emptyDir" in volumes[mounts["/tmp"]]
    assert {"name": "HOME", "value": "/tmp"} in step["env"]


def test_it_asks_for_memory_and_cpu_and_has_a_limit_on_memory_only(step: dict[str, Any]) -> None:
    resources = step["computeResources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert set(resources["limits"]) == {"memory"}


def test_limits_are_mounted_where_no_param_can_widen_them(task: dict[str, Any], step: dict[str, Any]) -> None:
    assert "limits" not in {param["name"] for param in task["spec"]["params"]}
    values = {variable["name"]: variable.get("value") for variable in step["env"]}
    if "CHAOS_LIMITS" in values:
        (mount,) = (mount for mount in step["volumeMounts"] if mount["mountPath"] == values["CHAOS_LIMITS"])
        (volume,) = (volume for volume in task["spec"]["volumes"] if volume["name"] == mount["name"])
        assert mount["readOnly"]
        assert volume["configMap"]["optional"] is True


def test_no_variable_holds_a_secret(step: dict[str, Any]) -> None:
    for variable in step["env"]:
        assert not re.search(r"TOKEN$|PASSWORD|SECRET", variable["name"]), "secrets are files"
        assert set(variable.get("valueFrom", {"fieldRef": None})) == {"fieldRef"}


def test_its_readme_names_everything(name: str, task: dict[str, Any]) -> None:
    readme = (ROOT / "tekton" / "tasks" / name / "README.md").read_text()
    assert readme.splitlines()[2] == f"# {name}"
    for kind in ("params", "results", "workspaces"):
        for item in task["spec"].get(kind, []):
            assert f"| {item['name']} |" in readme


def test_every_command_that_limits_apply_to_mounts_them() -> None:
    mounted = {name for name, path in TASKS.items() if "CHAOS_LIMITS" in Path(path).read_text()}
    assert {"waf-inject", "fault-guard", "fault-revert", "fault-sweep", "experiment-report"} <= mounted
