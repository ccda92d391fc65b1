"""A Pipeline with its Tasks, params and workspaces, checked as a whole before anything starts."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

from chaos_steps.__main__ import GROUPS
from chaos_steps.errors import UsageError
from chaos_steps.local.environment import Inputs, task_values
from chaos_steps.local.manifests import (
    ParamSpec,
    Pipeline,
    PipelineResult,
    PipelineTask,
    Task,
    WorkspaceSpec,
    pipeline_tasks,
    read,
)
from chaos_steps.local.variables import references, status_of, task_result
from chaos_steps.params import parse_duration

_PACKAGED = Path(__file__).parent / "tekton"
_CHECKOUT = Path(__file__).parents[2] / "tekton"


def shipped_folder() -> Path:
    """The folder of the shipped Tasks and Pipelines: in the installed package, or in the checkout."""
    return _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT


@dataclass(frozen=True)
class PlannedTask:
    """A task of the Pipeline with its Task."""

    spec: PipelineTask
    task: Task
    timeout: float
    """Seconds of one attempt."""
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def name(self) -> str:
        """Name in the Pipeline."""
        return self.spec.name

    @property
    def command(self) -> str:
        """The command to run."""
        return self.task.spec.steps[0].command[0]

    @cached_property
    def parents(self) -> frozenset[str]:
        """Tasks that must be done before: those of runAfter, and those whose results it takes."""
        found = (task_result(reference) for reference in references(self.spec.texts))
        return frozenset((*self.spec.run_after, *(result[1] for result in found if result)))


@dataclass(frozen=True)
class Plan:
    """One run to come."""

    name: str
    tasks: Mapping[str, PlannedTask]
    final: Mapping[str, PlannedTask]
    params: Mapping[str, str]
    workspaces: Mapping[str, Path]
    """Those that are bound."""
    results: tuple[PipelineResult, ...]
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def run_name(self) -> str:
        """Name of the run, as a PipelineRun would have."""
        return f"{self.name}-{self.uid[:8]}"

    @cached_property
    def values(self) -> dict[str, str]:
        """The variables that are known before the run."""
        return {
            **{f"params.{name}": value for name, value in self.params.items()},
            "context.pipelineRun.uid": self.uid,
            "context.pipelineRun.name": self.run_name,
            "context.pipeline.name": self.name,
        }


def make_plan(folder: Path, name: str, params: Mapping[str, str], workspaces: Mapping[str, Path]) -> Plan:
    """The plan of a run of the Pipeline `name`. Raises UsageError for all that would not work out."""
    file = folder / "pipelines" / name / f"{name}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(path.name for path in (folder / "pipelines").glob("*"))) or "none"
        raise UsageError(f"there is no Pipeline {name!r} in {folder}", hint=f"there are: {known}")
    spec = read(file, Pipeline).spec
    tasks = _planned(folder, pipeline_tasks(spec.tasks, str(file), "$.spec.tasks"))
    final = _planned(folder, pipeline_tasks(spec.finally_, str(file), "$.spec.finally"))
    plan = Plan(
        name=name,
        tasks={task.name: task for task in tasks},
        final={task.name: task for task in final},
        params=_params(spec.params, params),
        workspaces=_workspaces(spec.workspaces, workspaces),
        results=spec.results,
    )
    _unique([task.name for task in (*tasks, *final)], file)
    for task in tasks:
        _check_task(task, spec.workspaces)
        _check_parents(task, plan)
        _check_references(task.name, task.spec.texts, plan, results_of={"tasks": plan.tasks}, statuses=False)
    for task in final:
        _check_task(task, spec.workspaces)
        if task.spec.run_after:
            raise UsageError(f"{task.name}: a task of finally has no runAfter")
        _check_references(task.name, task.spec.texts, plan, results_of={"tasks": plan.tasks}, statuses=True)
    sources = {"tasks": plan.tasks, "finally": plan.final}
    for result in spec.results:
        _check_references(f"result {result.name}", (result.value,), plan, results_of=sources, statuses=False)
    _check_order(tasks)
    return plan


def _planned(folder: Path, specs: Iterable[PipelineTask]) -> list[PlannedTask]:
    return [_plan_task(folder, spec) for spec in specs]


def _plan_task(folder: Path, spec: PipelineTask) -> PlannedTask:
    name = spec.task_ref.name
    file = folder / "tasks" / name / f"{name}.yaml"
    task = read(file, Task)
    _check_environment(task, file)
    command = task.spec.steps[0].command[0]
    module = command.replace("-", "_")
    if not any(find_spec(f"chaos_steps.{group}.{module}") for group in GROUPS):
        raise UsageError(f"{file}: $.spec.steps[0].command: {command!r} is not a command of chaos-steps")
    try:
        timeout = parse_duration(spec.timeout)
    except ValueError as error:
        raise UsageError(f"{spec.name}: timeout: {error}") from error
    if spec.retries and spec.on_error == "continue":
        raise UsageError(f"{spec.name}: retries do not go together with onError: continue")
    return PlannedTask(spec, task, timeout)


def _check_environment(task: Task, file: Path) -> None:
    known = task_values(task, Inputs(), Path())
    for variable in task.variables.values():
        for reference in references([variable.value]):
            if reference not in known:
                raise UsageError(f"{file}: variable {variable.name}: $({reference}) names nothing that is known there")


def _params(declared: Iterable[ParamSpec], given: Mapping[str, str]) -> dict[str, str]:
    specs = {spec.name: spec for spec in declared}
    for name in given:
        if name not in specs:
            raise UsageError(f"the Pipeline has no param {name!r}", hint=f"there are: {', '.join(specs)}")
    values: dict[str, str] = {}
    for name, spec in specs.items():
        value = given.get(name, spec.default)
        if value is None:
            raise UsageError(f"param {name} is missing", hint=f"give -p {name}=VALUE: {spec.description}")
        values[name] = value
    return values


def _workspaces(declared: Iterable[WorkspaceSpec], given: Mapping[str, Path]) -> dict[str, Path]:
    specs = {spec.name: spec for spec in declared}
    for name in given:
        if name not in specs:
            raise UsageError(f"the Pipeline has no workspace {name!r}", hint=f"there are: {', '.join(specs)}")
    for name, spec in specs.items():
        if name not in given and not spec.optional:
            raise UsageError(f"workspace {name} is missing", hint=f"give -w {name}=DIR: {spec.description}")
    return {name: path.absolute() for name, path in given.items()}


def _check_task(task: PlannedTask, workspaces: Iterable[WorkspaceSpec]) -> None:
    """What the Task asks for and what the Pipeline hands to it must fit."""
    _check_fit(task, "param", (param.name for param in task.spec.params), task.task.spec.params)
    required = {spec.name for spec in task.task.spec.params if spec.default is None}
    for name in sorted(required - {param.name for param in task.spec.params}):
        raise UsageError(f"{task.name}: param {name} of Task {task.task.metadata.name} is not given")
    _check_fit(task, "workspace", (binding.name for binding in task.spec.workspaces), task.task.spec.workspaces)
    optional = {spec.name: spec.optional for spec in workspaces}
    bound = {binding.name: binding.source for binding in task.spec.workspaces}
    for name, source in bound.items():
        if source not in optional:
            raise UsageError(f"{task.name}: workspace {name}: the Pipeline has no workspace {source!r}")
    for spec in task.task.spec.workspaces:
        if not spec.optional and optional.get(bound.get(spec.name, ""), True):
            raise UsageError(f"{task.name}: workspace {spec.name} of Task {task.task.metadata.name} is not optional")


def _check_fit(
    task: PlannedTask, what: str, given: Iterable[str], declared: Iterable[ParamSpec | WorkspaceSpec]
) -> None:
    known = {spec.name for spec in declared}
    for name in given:
        if name not in known:
            raise UsageError(f"{task.name}: Task {task.task.metadata.name} has no {what} {name!r}")


def _check_parents(task: PlannedTask, plan: Plan) -> None:
    for parent in sorted(task.parents):
        if parent not in plan.tasks:
            raise UsageError(f"{task.name}: there is no task {parent!r} to wait for")


def _check_references(
    where: str,
    texts: Iterable[str],
    plan: Plan,
    *,
    results_of: Mapping[str, Mapping[str, PlannedTask]],
    statuses: bool,
) -> None:
    for reference in references(texts):
        result, status = task_result(reference), status_of(reference)
        if result:
            kind, name, of_task = result
            task = results_of.get(kind, {}).get(name)
            known = task is not None and of_task in {spec.name for spec in task.task.spec.results}
        elif status is not None:
            known = statuses and (not status or status in plan.tasks)
        else:
            known = reference in plan.values
        if not known:
            raise UsageError(f"{where}: $({reference}) names nothing that is known there")


def _unique(names: list[str], file: Path) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{file}: there are two tasks named {name!r}")


def _check_order(tasks: Iterable[PlannedTask]) -> None:
    try:
        TopologicalSorter({task.name: task.parents for task in tasks}).prepare()
    except CycleError as error:
        raise UsageError(f"tasks wait for one another: {' -> '.join(error.args[1])}") from error
