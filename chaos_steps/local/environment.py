"""The environment of a task's command: what its Task declares, and the little that the machine must say itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chaos_steps.command import Context
from chaos_steps.local.manifests import Task
from chaos_steps.local.variables import substitute

# What tells a command which ledger is the default one, and how to reach it: for all processes of a run the same.
_LEDGER = (
    *("XDG_STATE_HOME", "CHAOS_LEDGER_NAMESPACE"),
    *("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"),
)


@dataclass(frozen=True)
class Inputs:
    """What a run hands to a task."""

    params: Mapping[str, str] = field(default_factory=dict)
    workspaces: Mapping[str, Path] = field(default_factory=dict)
    """Those that are bound, by their names in the Task."""
    task_run_uid: str = ""
    task_run_name: str = ""
    limits: Path | None = None


def task_values(task: Task, inputs: Inputs, results: Path) -> dict[str, str]:
    """The values of all variables that a Task may use; an unbound workspace has an empty path."""
    spec = task.spec
    folders = {workspace.name: inputs.workspaces.get(workspace.name) for workspace in spec.workspaces}
    return {
        **{f"params.{param.name}": inputs.params.get(param.name, param.default or "") for param in spec.params},
        **{f"results.{result.name}.path": str(results / result.name) for result in spec.results},
        **{f"workspaces.{name}.path": str(folder or "") for name, folder in folders.items()},
        **{f"workspaces.{name}.bound": "true" if folder else "false" for name, folder in folders.items()},
        "context.taskRun.uid": inputs.task_run_uid,
        "context.taskRun.name": inputs.task_run_name,
        "context.task.name": task.metadata.name,
    }


def environment(task: Task, inputs: Inputs, results: Path) -> dict[str, str]:
    """The variables of the command, without those that only a pod has.

    A ConfigMap is not there, so neither is a variable that names its path; limits.yaml can be named instead.
    """
    values = task_values(task, inputs, results)
    declared: dict[str, str] = {}
    for name, variable in task.variables.items():
        if variable.value_from is not None:
            continue
        if variable.value not in task.config_paths:
            declared[name] = substitute(variable.value, values)
        elif name == "CHAOS_LIMITS" and inputs.limits is not None:
            declared[name] = str(inputs.limits)
    # A pod's HOME is a scratch folder; here it must be the user's, where the ledger is.
    return declared | Context.child_environment(*_LEDGER)
