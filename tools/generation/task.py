"""The Task of a command, and its README."""

from __future__ import annotations

from typing import Any

from chaos_steps import __version__
from chaos_steps.command import Option
from generation.commands import Documented, filled, value_of, when_empty
from generation.tables import exit_table, table
from generation.yaml_text import dump

IMAGES = "ghcr.io/chaos-steps/chaos-steps"
WORKSPACE = "shared-data"
MIN_VERSION = "0.47.0"
LIMITS_PATH = "/etc/chaos-steps/limits"
LIMITS_CONFIG_MAP = "chaos-steps-limits"
USER = 65532

_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}

# CPU has no limit: throttling makes a load generator or a probe measure itself.
_RESOURCES = {
    "base": ("50m", "64Mi", "128Mi"),
    "consul": ("50m", "64Mi", "128Mi"),
    "points": ("100m", "128Mi", "512Mi"),
    "load": ("500m", "256Mi", "1Gi"),
    "report": ("200m", "256Mi", "1Gi"),
}


def task_yaml(documented: Documented) -> str:
    """The Task as a file."""
    command = documented.command
    spec: dict[str, Any] = {
        "displayName": documented.name,
        "description": "\n\n".join(part for part in (documented.summary, filled(documented.description, 112)) if part),
        "params": [*(_param(option) for option in documented.task_params), _image_param(documented.name)],
    }
    if workspaces := _workspaces(documented):
        spec["workspaces"] = workspaces
    if command.results:
        spec["results"] = [{"name": result.name, "description": result.help} for result in command.results]
    spec["stepTemplate"] = {"securityContext": _SECURITY}
    spec["steps"] = [_step(documented)]
    spec["volumes"] = _volumes(documented)
    document = {
        "apiVersion": "tekton.dev/v1",
        "kind": "Task",
        "metadata": {"name": documented.name, "labels": _labels(documented), "annotations": _annotations(documented)},
        "spec": spec,
    }
    return dump(document, head="Generated from the command by tools/generate.py; do not edit.")


def _labels(documented: Documented) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": documented.name,
        "app.kubernetes.io/part-of": "chaos-steps",
        "app.kubernetes.io/version": __version__,
    }


def _annotations(documented: Documented) -> dict[str, str]:
    return {
        "tekton.dev/pipelines.minVersion": MIN_VERSION,
        "tekton.dev/categories": "Testing",
        "tekton.dev/tags": f"chaos-engineering, resilience, {documented.group}",
        "tekton.dev/displayName": documented.name,
        "tekton.dev/platforms": "linux/amd64,linux/arm64",
    }


def param_name(option: Option) -> str:
    """Name of an option as a param."""
    return option.flag.removeprefix("--")


def is_required(option: Option) -> bool:
    """Whether the param must be given; a value may come from the experiment file instead."""
    return bool(option.required and not option.experiment)


def _param(option: Option) -> dict[str, Any]:
    param: dict[str, Any] = {"name": param_name(option), "type": "string", "description": _describe(option)}
    return param if is_required(option) else {**param, "default": ""}


def _describe(option: Option) -> str:
    text = _sentence(option.help or "")
    if form := value_of(option):
        text = f"{text.rstrip('.')} ({form})."
    empty = "the uid of the TaskRun" if option.env == "CHAOS_TASKRUN_UID" else when_empty(option)
    return f"{text} Empty: {empty}." if empty else text


def _sentence(text: str) -> str:
    return " ".join(text.split()).rstrip(".") + "."


def _image_param(name: str) -> dict[str, Any]:
    description = "Image of the command; best with a digest."
    return {"name": "image", "type": "string", "description": description, "default": image(name)}


def image(name: str) -> str:
    """The published image of a command."""
    return f"{IMAGES}/{name}:{__version__}"


def _workspaces(documented: Documented) -> list[dict[str, Any]]:
    command = documented.command
    found: list[dict[str, Any]] = []
    if command.workspace != "none":
        # Never read-only: a command that only reads still leaves its error record there.
        found.append({"name": WORKSPACE, "description": "Folder that the commands of a run share.", "optional": True})
    elif command.ledger:
        found.append(
            {
                "name": "ledger",
                "description": "Only for a file ledger: the volume that holds it, mounted where other Tasks have "
                f"{WORKSPACE}, so that one value of param ledger fits all.",
                "optional": True,
                "mountPath": f"/workspace/{WORKSPACE}",
            }
        )
    if command.credentials:
        description = "Folder with credentials.yaml, from a Secret: which secret may go to which address."
        found.append({"name": "credentials", "description": description, "optional": True, "readOnly": True})
    return found


def _step(documented: Documented) -> dict[str, Any]:
    cpu, memory, limit = _RESOURCES[documented.command.family]
    return {
        "name": documented.name,
        "image": "$(params.image)",
        "imagePullPolicy": "IfNotPresent",
        "command": [documented.name],
        "env": _env(documented),
        "computeResources": {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": limit}},
        "volumeMounts": _mounts(documented),
    }


def _env(documented: Documented) -> list[dict[str, Any]]:
    command = documented.command
    values = {option.param_variable: f"$(params.{param_name(option)})" for option in documented.task_params}
    if command.workspace != "none":
        values["PARAM_WORKSPACE"] = f"$(workspaces.{WORKSPACE}.path)"
    values |= {result.variable: f"$(results.{result.name}.path)" for result in command.results}
    if command.credentials:
        values["CHAOS_CREDENTIALS"] = "$(workspaces.credentials.path)"
    if command.limits:
        values["CHAOS_LIMITS"] = LIMITS_PATH
    if command.workspace != "none" or command.ledger:
        values["CHAOS_TASKRUN_UID"] = "$(context.taskRun.uid)"
    values |= {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}  # noqa: S108 - of the pod, an emptyDir
    env: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in values.items()]
    if command.ledger:
        env.append({"name": "CHAOS_POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}})
    return env


def _mounts(documented: Documented) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108
    if documented.command.limits:
        mounts.append({"name": "limits", "mountPath": LIMITS_PATH, "readOnly": True})
    return mounts


def _volumes(documented: Documented) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {}}]
    if documented.command.limits:
        volumes.append({"name": "limits", "configMap": {"name": LIMITS_CONFIG_MAP, "optional": True}})
    return volumes


def task_readme(documented: Documented) -> str:
    """The README beside the Task."""
    name = documented.name
    params = [
        (param_name(option), _describe(option), "_required_" if is_required(option) else "_empty_")
        for option in documented.task_params
    ]
    parts = [
        "<!-- Generated from the command by tools/generate.py; do not edit. -->",
        f"# {name}",
        documented.summary,
        documented.description,
        f"All about the command: [docs/commands/{name}.md](../../../docs/commands/{name}.md).",
        "## Install the Task",
        f"    kubectl apply -f tekton/tasks/{name}/{name}.yaml",
        "## Parameters",
        table(("name", "description", "default"), [*params, ("image", "Image of the command.", f"`{image(name)}`")]),
    ]
    if workspaces := _workspaces(documented):
        rows = [(item["name"], item["description"], "optional") for item in workspaces]
        parts += ["## Workspaces", table(("name", "description", ""), rows)]
    if documented.command.results:
        rows = [(result.name, _sentence(result.help)) for result in documented.command.results]  # type: ignore[misc]
        parts += ["## Results", "Texts without a trailing newline.", table(("name", "description"), rows)]
    if documented.command.limits:
        parts += [
            "## Limits",
            f"ConfigMap `{LIMITS_CONFIG_MAP}` of the namespace, key `limits.yaml`, where it is there.",
        ]
    parts += [
        "## Exit codes",
        exit_table(documented),
        "## Platforms",
        "linux/amd64, linux/arm64",
        "## Usage",
        _usage(documented),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _usage(documented: Documented) -> str:
    required = [param_name(option) for option in documented.task_params if is_required(option)]
    lines = ["apiVersion: tekton.dev/v1", "kind: TaskRun", "metadata:", f"  generateName: {documented.name}-", "spec:"]
    lines += ["  taskRef:", f"    name: {documented.name}"]
    if required:
        lines.append("  params:")
        for name in required:
            lines += [f"    - name: {name}", f"      value: {name.upper()}"]
    if documented.command.workspace != "none":
        lines += [
            "  workspaces:",
            f"    - name: {WORKSPACE}",
            "      persistentVolumeClaim:",
            "        claimName: CLAIM",
        ]
    return "```yaml\n" + "\n".join(lines) + "\n```"
