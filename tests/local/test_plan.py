"""What does not work out is refused with 2, before anything starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import RunCommand
from tests.local.tekton_folder import TektonFolder, check, gate, probe, task, when
from tests.running import Finished
from tests.servers.upstream import Upstream

Run = Callable[..., Finished]


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The document with a value at a path like `spec.tasks.0.matrix`."""
    *parents, last = path.split(".")
    part: Any = document
    for key in parents:
        part = part[int(key)] if isinstance(part, list) else part.setdefault(key, {})
    part[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("spec.timeouts", {"pipeline": "1h"}, "$.spec: Object contains unknown field `timeouts`"),
        ("spec.tasks.0.matrix", {"params": []}, "$.spec.tasks[0]: Object contains unknown field `matrix`"),
        (
            "spec.tasks.0.when",
            [{**when("a", "in", "a"), "cel": "true"}],
            "Object contains unknown field `cel`",
        ),
        ("spec.tasks.0.taskSpec", {"steps": []}, "$.spec.tasks[0]: Object contains unknown field `taskSpec`"),
        ("spec.tasks.0.taskRef.resolver", "hub", "$.spec.tasks[0].taskRef: Object contains unknown field `resolver`"),
        ("spec.tasks.0.onError", "ignore", "$.spec.tasks[0].onError"),
        ("spec.finally.0.retries", "2", "$.spec.finally[0].retries"),
        ("apiVersion", "tekton.dev/v1beta1", "$.apiVersion"),
        ("kind", "PipelineRun", "$.kind"),
    ],
)
def test_a_field_of_a_pipeline_that_is_not_known_is_named(
    folder: TektonFolder, run_small: Run, upstream: Upstream, path: str, value: Any, named: str
) -> None:
    folder.pipeline(probe("a", upstream.url), final=(gate("last"),))
    folder.write("pipelines/small/small.yaml", changed(folder.read("pipelines/small/small.yaml"), path, value))
    finished = run_small()
    assert finished.code == 2
    assert named in finished.stderr
    assert "small.yaml" in finished.stderr
    assert upstream.count == 0


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("spec.steps.0.script", "exit 0", "script"),
        ("spec.steps.0.timeout", "1m", "timeout"),
        ("spec.steps.0.args", ["--checks=1"], "args"),
        ("spec.steps.0.command", ["sh", "-c", "true"], "command"),
        ("spec.steps.0.command", ["sh"], "'sh' is not a command of chaos-steps"),
        ("spec.sidecars", [], "sidecars"),
        ("spec.params.0.type", "array", "params"),
        ("spec.steps.0.env.0.value", "$(params.nowhere)", "$(params.nowhere)"),
        ("spec.volumes.0.secret", {"secretName": "a"}, "secret"),
    ],
)
def test_a_field_of_a_task_that_is_not_known_is_named(
    folder: TektonFolder, run_small: Run, upstream: Upstream, path: str, value: Any, named: str
) -> None:
    folder.pipeline(probe("a", upstream.url), gate("b", runAfter=["a"]))
    file = "tasks/verdict-gate/verdict-gate.yaml"
    folder.write(file, changed(folder.read(file), path, value))
    finished = run_small()
    assert finished.code == 2
    assert named in finished.stderr
    assert "verdict-gate.yaml" in finished.stderr
    assert upstream.count == 0


@pytest.mark.parametrize(
    ("tasks", "named"),
    [
        ([gate("a"), gate("a")], "'a'"),
        ([gate("a", runAfter=["b"])], "'b'"),
        ([gate("a", runAfter=["b"]), gate("b", runAfter=["a"])], "wait for one another"),
        ([gate("a", runAfter=["a"])], "wait for one another"),
        ([task("a", "verdict-gate", {"verdict": "pass"})], "exit-code"),
        ([task("a", "verdict-gate", {"verdict": "pass", "exit-code": "0", "colour": "red"})], "'colour'"),
        ([task("a", "verdict-gate", {"verdict": "$(params.nowhere)", "exit-code": "0"})], "$(params.nowhere)"),
        ([task("a", "no-such-task")], "no-such-task"),
        ([gate("a", when=[when("$(tasks.b.results.none)", "in", "x")]), check("b")], "$(tasks.b.results.none)"),
        ([gate("a", when=[when("$(tasks.b.status)", "in", "x")]), check("b")], "$(tasks.b.status)"),
        ([gate("a", retries=1, onError="continue")], "retries"),
        ([{**gate("a"), "timeout": "soon"}], "soon"),
        ([gate("a", workspaces=[{"name": "shared-data"}])], "shared-data"),
    ],
)
def test_tasks_that_do_not_fit_together(
    folder: TektonFolder, run_small: Run, upstream: Upstream, tasks: list[dict[str, Any]], named: str
) -> None:
    folder.pipeline(probe("first", upstream.url), *tasks)
    finished = run_small()
    assert finished.code == 2
    assert named in finished.stderr
    assert upstream.count == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("-p", "given=x", "-p", "unknown=x", "-w", "bound=."), "'unknown'"),
        (("-w", "bound=."), "param given is missing"),
        (("-p", "given=x"), "workspace bound is missing"),
        (("-p", "given=x", "-w", "bound=.", "-w", "other=."), "'other'"),
        (("-p", "given", "-w", "bound=."), "NAME=VALUE"),
        (("-p", "given=x", "-w", "bound="), "bound"),
    ],
)
def test_params_and_workspaces_that_do_not_fit(
    folder: TektonFolder, run_small: Run, upstream: Upstream, arguments: tuple[str, ...], named: str
) -> None:
    folder.pipeline(probe("a", upstream.url), params=[{"name": "given"}], workspaces=[{"name": "bound"}])
    finished = run_small(*arguments)
    assert finished.code == 2
    assert named in finished.stderr
    assert upstream.count == 0


def test_an_unknown_pipeline_is_told_with_the_known_ones(run_command: RunCommand) -> None:
    finished = run_command("chaos-steps", "run", "no-such-pipeline")
    assert finished.code == 2
    assert "'no-such-pipeline'" in finished.stderr
    assert "chaos-experiment" in finished.stderr


def test_an_optional_workspace_may_be_left_out(
    folder: TektonFolder, run_small: Run, upstream: Upstream, tmp_path: Path
) -> None:
    bound: dict[str, Any] = {"workspaces": [{"name": "shared-data", "workspace": "data"}]}
    folder.pipeline(probe("a", upstream.url, **bound), workspaces=[{"name": "data", "optional": True}])
    assert run_small().code == 0
    assert run_small("-w", f"data={tmp_path / 'new' / 'folder'}").code == 0
    assert [path.name for path in (tmp_path / "new" / "folder" / "verdicts").iterdir()] == ["http-probe.json"]
