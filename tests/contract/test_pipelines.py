"""The rules that every Pipeline keeps."""

from __future__ import annotations

import importlib
import re
from functools import cache
from typing import Any

import pytest

from chaos_steps import __version__
from chaos_steps.local.plan import make_plan
from chaos_steps.params import parse_duration
from tests.contract.manifests import ROOT, all_of, load, texts

PIPELINES = all_of("pipelines")
TASKS = all_of("tasks")
# The kinds of commands by what a Pipeline must do with them.
INJECTORS = {"waf-inject": "chaos_steps.inject.waf_inject"}
JUDGES = {"k6-slo", "zipkin-slo"}
MEASURE = {"k6-load", *JUDGES, *INJECTORS}
ENABLED = {"input": "$(tasks.fetch.results.enabled)", "operator": "in", "values": ["true"]}


@pytest.fixture(params=PIPELINES, ids=list(PIPELINES))
def name(request: pytest.FixtureRequest) -> str:
    """Name of a Pipeline."""
    return str(request.param)


@pytest.fixture
def pipeline(name: str) -> dict[str, Any]:
    """A Pipeline."""
    return load(PIPELINES[name])


@pytest.fixture
def tasks(pipeline: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Its tasks by name."""
    return {task["name"]: task for task in pipeline["spec"]["tasks"]}


@pytest.fixture
def final(pipeline: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The tasks of its finally by name."""
    return {task["name"]: task for task in pipeline["spec"]["finally"]}


def params_of(task: dict[str, Any]) -> dict[str, str]:
    """What a task hands to its Task."""
    return {param["name"]: param["value"] for param in task["params"]}


def uses(task: dict[str, Any]) -> set[str]:
    """The tasks whose results a task uses."""
    return {found for _, text in texts(task) for found in re.findall(r"\$\(tasks\.([^.]+)\.results\.", text)}


def left_out_by(task: dict[str, Any]) -> list[str]:
    """The values that leave a task out when they are empty."""
    return [guard["input"] for guard in task["when"] if (guard["operator"], guard["values"]) == ("notin", [""])]


def seconds_of(task: dict[str, Any]) -> float:
    """The longest time that a task can take, its retries included."""
    return parse_duration(task["timeout"]) * (1 + int(task.get("retries", 0)))


def test_it_is_named_as_its_file_and_says_what_it_needs(name: str, pipeline: dict[str, Any]) -> None:
    assert (pipeline["apiVersion"], pipeline["kind"], pipeline["metadata"]["name"]) == (
        "tekton.dev/v1",
        "Pipeline",
        name,
    )
    assert pipeline["metadata"]["labels"]["app.kubernetes.io/version"] == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", pipeline["metadata"]["annotations"]["tekton.dev/pipelines.minVersion"])
    for kind in ("params", "workspaces", "results"):
        assert all(item["description"] for item in pipeline["spec"][kind])
        assert all(item.get("type", "string") == "string" for item in pipeline["spec"][kind])


def test_it_fits_its_tasks(name: str, pipeline: dict[str, Any]) -> None:
    required = {param["name"]: "x" for param in pipeline["spec"]["params"] if "default" not in param}
    folders = {item["name"]: ROOT for item in pipeline["spec"]["workspaces"] if not item.get("optional")}
    make_plan(ROOT / "tekton", name, required, folders)


def test_every_task_has_a_timeout_and_all_fit_into_tektons_hour(
    tasks: dict[str, dict[str, Any]], final: dict[str, dict[str, Any]]
) -> None:
    @cache
    def end_of(name: str) -> float:
        before = {*tasks[name].get("runAfter", ()), *uses(tasks[name])}
        return max((end_of(other) for other in before), default=0.0) + seconds_of(tasks[name])

    longest = max(map(end_of, tasks)) + max(seconds_of(task) for task in final.values())
    assert longest < 60 * 60, "timeouts.pipeline is an hour by default, and skips finally when it is over"


def test_what_measures_does_not_stop_the_run_and_what_decides_does(tasks: dict[str, dict[str, Any]]) -> None:
    for task in tasks.values():
        continues = task.get("onError") == "continue"
        assert continues is (task["taskRef"]["name"] in MEASURE), task["name"]
        assert not (continues and "retries" in task), "Tekton refuses both together"


def test_revert_needs_the_run_and_nothing_else(final: dict[str, dict[str, Any]]) -> None:
    (revert,) = (task for task in final.values() if task["taskRef"]["name"] == "fault-revert")
    assert "when" not in revert
    assert not uses(revert)
    assert revert["retries"] == 2
    assert params_of(revert)["run"] == "$(context.pipelineRun.uid)"
    assert set(params_of(revert)) == {"run", "ledger", "image"}
    assert {workspace["name"] for workspace in revert["workspaces"]} <= {"credentials", "ledger"}


def test_revert_mounts_nothing_of_the_run_but_its_ledger(final: dict[str, dict[str, Any]]) -> None:
    mounted = {item["name"]: item["workspace"] for item in final["revert"]["workspaces"]}
    assert mounted == {"credentials": "credentials", "ledger": "shared-data"}


def test_all_tasks_share_one_run_id_and_one_ledger(
    tasks: dict[str, dict[str, Any]], final: dict[str, dict[str, Any]]
) -> None:
    for task in (*tasks.values(), *final.values()):
        known = {param["name"] for param in load(TASKS[task["taskRef"]["name"]])["spec"]["params"]}
        given = params_of(task)
        if "run" in known:
            assert given["run"] == "$(context.pipelineRun.uid)", task["name"]
        if "ledger" in known:
            assert given["ledger"] == "$(params.ledger)", task["name"]


def test_a_disabled_experiment_runs_nothing_between_fetch_and_report(tasks: dict[str, dict[str, Any]]) -> None:
    for name, task in tasks.items():
        if name in ("fetch", "report", "gate"):
            assert "when" not in task
        else:
            assert ENABLED in task["when"]


def test_what_must_always_run_uses_no_result_of_a_task_that_may_be_skipped(
    tasks: dict[str, dict[str, Any]],
) -> None:
    for name in ("fetch", "report", "gate"):
        assert all("when" not in tasks[other] for other in uses(tasks[name]))


def test_a_guard_is_the_only_place_that_uses_a_result_of_a_task_that_may_be_skipped(
    tasks: dict[str, dict[str, Any]],
) -> None:
    for task in tasks.values():
        for other in uses({"params": task["params"]}):
            assert "when" not in tasks[other], "Tekton would skip all that follow, the report too"


def test_every_injector_has_its_fault_types_and_guard_knows_them_all(tasks: dict[str, dict[str, Any]]) -> None:
    branches: set[str] = set()
    for task in tasks.values():
        if module := INJECTORS.get(task["taskRef"]["name"]):
            (guard,) = (guard for guard in task["when"] if "fault-type" in guard["input"])
            assert guard["operator"] == "in"
            command = getattr(importlib.import_module(module), module.rpartition(".")[2])
            assert set(guard["values"]) <= set(command.fault_types)
            branches |= set(guard["values"])
    assert set(params_of(tasks["guard"])["fault-types"].split(",")) == branches


def test_nothing_is_injected_and_no_load_follows_without_a_steady_state(tasks: dict[str, dict[str, Any]]) -> None:
    steady = {"input": "$(tasks.steady-state.results.verdict)", "operator": "in", "values": ["pass"]}
    before = {"fetch", "guard", "baseline", "steady-state", "report", "gate"}
    for name, task in tasks.items():
        assert (steady in task.get("when", [])) is (name not in before), name
    assert params_of(tasks["steady-state"])["decision"] == "point"


def test_the_longest_experiment_fits_into_the_timeouts_of_fault_and_load(tasks: dict[str, dict[str, Any]]) -> None:
    longest = parse_duration(params_of(tasks["guard"])["max-experiment-duration"])
    spare = 120  # Start of the pod, 30 s of patience with the load, the end of the fault.
    for task in tasks.values():
        given = params_of(task)
        wait = given.get("wait-for-load") or given.get("wait-for-fault")
        if wait:
            assert parse_duration(task["timeout"]) >= longest + parse_duration(wait) + spare, task["name"]


def test_fault_and_load_wait_for_each_other_and_run_together(tasks: dict[str, dict[str, Any]]) -> None:
    injectors = [task for task in tasks.values() if task["taskRef"]["name"] in INJECTORS]
    (load_task,) = (task for task in tasks.values() if "wait-for-fault" in params_of(task))
    for task in injectors:
        assert params_of(task)["action"] == "hold"
        assert task["runAfter"] == load_task["runAfter"]


def test_the_report_expects_every_judge_that_the_run_has(
    tasks: dict[str, dict[str, Any]], final: dict[str, dict[str, Any]]
) -> None:
    judges = {params_of(task)["name"]: task for task in tasks.values() if task["taskRef"]["name"] in JUDGES}
    always = [name for name, task in judges.items() if not left_out_by(task)]
    unless_empty = [f"{name}={value}" for name, task in judges.items() for value in left_out_by(task)]
    for report in (tasks["report"], final["report-fallback"]):
        assert params_of(report)["expect"] == ",".join(always)
        assert params_of(report)["expect-if"] == "\n".join(unless_empty)


def test_a_judge_is_left_out_only_by_a_param_that_is_empty_by_default(
    pipeline: dict[str, Any], tasks: dict[str, dict[str, Any]]
) -> None:
    defaults = {f"$(params.{param['name']})": param.get("default") for param in pipeline["spec"]["params"]}
    for task in tasks.values():
        for value in left_out_by(task) if "when" in task else ():
            assert task["taskRef"]["name"] in JUDGES
            assert defaults[value] == ""
            assert value in params_of(task).values()


def test_every_load_is_judged_and_what_is_judged_is_a_load(tasks: dict[str, dict[str, Any]]) -> None:
    windows = {params_of(task)["name"] for task in tasks.values() if task["taskRef"]["name"] == "k6-load"}
    judged = [params_of(task) for task in tasks.values() if task["taskRef"]["name"] in JUDGES]
    assert windows == {params["window"] for params in judged}
    assert {params["baseline-window"] for params in judged} == {params_of(tasks["steady-state"])["window"]}


def test_the_results_are_the_reports_and_gate_and_fallback_follow_it(
    pipeline: dict[str, Any], tasks: dict[str, dict[str, Any]], final: dict[str, dict[str, Any]]
) -> None:
    results = {result["name"]: result["value"] for result in pipeline["spec"]["results"]}
    expected = {key: f"$(tasks.report.results.{key})" for key in ("verdict", "exit-code")}
    assert results == expected
    assert {key: params_of(tasks["gate"])[key] for key in expected} == expected
    (guard,) = final["report-fallback"]["when"]
    assert guard == {"input": "$(tasks.report.status)", "operator": "notin", "values": ["Succeeded"]}
    done = {"inject", *(name for name, task in tasks.items() if task["taskRef"]["name"] in JUDGES)}
    assert done - {"steady-state"} <= set(tasks["report"]["runAfter"])


def test_every_image_can_be_replaced_and_is_the_tasks_own_by_default(
    pipeline: dict[str, Any], tasks: dict[str, dict[str, Any]], final: dict[str, dict[str, Any]]
) -> None:
    defaults = {param["name"]: param.get("default") for param in pipeline["spec"]["params"]}
    for task in (*tasks.values(), *final.values()):
        command = task["taskRef"]["name"]
        (own,) = (item["default"] for item in load(TASKS[command])["spec"]["params"] if item["name"] == "image")
        found = re.fullmatch(r"\$\(params\.([\w-]+-image)\)", params_of(task)["image"])
        assert found
        assert defaults[found[1]] == own


def test_the_judge_of_traces_gets_the_params_that_are_for_it(tasks: dict[str, dict[str, Any]]) -> None:
    given = params_of(tasks["judge-traces"])
    options = {"zipkin-url": "zipkin-url", "side": "zipkin-side", "caller": "zipkin-caller"}
    options["max-attempts-per-request"] = "max-attempts-per-request"
    assert {option: given[option] for option in options} == {
        option: f"$(params.{param})" for option, param in options.items()
    }


def test_every_param_is_used(pipeline: dict[str, Any]) -> None:
    found = {name for _, text in texts(pipeline["spec"]) for name in re.findall(r"\$\(params\.([\w-]+)\)", text)}
    assert found == {param["name"] for param in pipeline["spec"]["params"]}


def test_its_readme_names_every_param_workspace_and_result(name: str, pipeline: dict[str, Any]) -> None:
    readme = (ROOT / "tekton" / "pipelines" / name / "README.md").read_text()
    for kind in ("params", "workspaces", "results"):
        for item in pipeline["spec"][kind]:
            assert f"`{item['name']}`" in readme, item["name"]
