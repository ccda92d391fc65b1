"""What runs, in which order, and what is skipped: as in Tekton."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.local.tekton_folder import TektonFolder, check, gate, probe, task, when
from tests.running import Finished
from tests.servers.upstream import Reply, Request, Upstream
from tests.waiting import wait_until

Run = Callable[..., Finished]


def events(finished: Finished) -> list[str]:
    """`NAME: started`, `NAME: Succeeded`, `NAME: Failed`, `NAME: skipped` in their order."""
    found = re.findall(r"^([a-z-]+): (started|Succeeded|Failed|skipped)", finished.stderr, re.MULTILINE)
    return [f"{name}: {event}" for name, event in found]


def test_a_task_starts_after_those_it_runs_after(folder: TektonFolder, run_small: Run) -> None:
    folder.pipeline(gate("c", runAfter=["b"]), gate("b", runAfter=["a"]), gate("a"))
    finished = run_small()
    assert finished.code == 0, finished.stderr
    expected = [f"{name}: {event}" for name in "abc" for event in ("started", "Succeeded")]
    assert events(finished) == expected


def test_tasks_that_wait_for_nothing_run_at_the_same_time(
    folder: TektonFolder, run_small: Run, upstream: Upstream
) -> None:
    def both_are_there() -> bool:
        return {request.path for request in upstream.requests} == {"/a", "/b"}

    def answer(_: Request) -> Reply:
        wait_until(both_are_there, "the other task's request")
        return Reply()

    upstream.respond = answer
    patience = {"timeout-ms": "120000"}
    folder.pipeline(probe("a", f"{upstream.url}/a", params=patience), probe("b", f"{upstream.url}/b", params=patience))
    assert run_small().code == 0


def test_a_result_goes_to_the_task_that_uses_it_and_makes_it_wait(
    folder: TektonFolder, run_small: Run, upstream: Upstream
) -> None:
    folder.pipeline(probe("ask", f"{upstream.url}/$(tasks.check.results.fault-type)"), check("check"))
    finished = run_small()
    assert finished.code == 0, finished.stderr
    assert [request.path for request in upstream.requests] == ["/L7_HTTP_ERROR"]


def test_params_have_their_defaults_and_take_what_is_given(
    folder: TektonFolder, run_small: Run, upstream: Upstream
) -> None:
    folder.pipeline(
        probe("ask", f"{upstream.url}/$(params.one)/$(params.two)"),
        params=[{"name": "one", "default": "a"}, {"name": "two", "default": "b"}],
    )
    assert run_small("-p", "two=x=y").code == 0
    assert [request.path for request in upstream.requests] == ["/a/x=y"]


@pytest.mark.parametrize(
    ("enabled", "operator", "runs"), [(True, "in", True), (False, "in", False), (False, "notin", True)]
)
def test_when_decides_by_a_result(
    folder: TektonFolder, run_small: Run, enabled: bool, operator: str, runs: bool
) -> None:
    guard = when("$(tasks.check.results.enabled)", operator, "true")
    folder.pipeline(check("check", enabled=enabled), gate("guarded", when=[guard]))
    finished = run_small()
    assert finished.code == 0
    assert ("guarded: Succeeded" in events(finished)) is runs


def test_a_task_after_one_that_when_skipped_runs(folder: TektonFolder, run_small: Run) -> None:
    folder.pipeline(gate("guarded", when=[when("a", "in", "b")]), gate("after", runAfter=["guarded"]))
    assert events(run_small()) == ["guarded: skipped", "after: started", "after: Succeeded"]


def test_a_task_that_uses_a_result_of_a_skipped_one_is_skipped_with_all_that_follow(
    folder: TektonFolder, run_small: Run
) -> None:
    folder.pipeline(
        check("guarded", when=[when("a", "in", "b")]),
        task("user", "verdict-gate", {"verdict": "$(tasks.guarded.results.enabled)", "exit-code": "0"}),
        gate("after", runAfter=["user"]),
    )
    finished = run_small()
    assert finished.code == 0
    assert events(finished) == ["guarded: skipped", "user: skipped", "after: skipped"]


def test_a_guard_that_looks_at_a_skipped_task_skips_only_its_own_task(folder: TektonFolder, run_small: Run) -> None:
    folder.pipeline(
        check("guarded", when=[when("a", "in", "b")]),
        gate("user", when=[when("$(tasks.guarded.results.enabled)", "in", "true")]),
        gate("after", runAfter=["user"]),
    )
    assert events(run_small()) == ["guarded: skipped", "user: skipped", "after: started", "after: Succeeded"]


def test_results_are_filled_in_only_when_all_that_a_task_uses_are_there(folder: TektonFolder, run_small: Run) -> None:
    folder.pipeline(
        check("check"),
        check("guarded", when=[when("a", "in", "b")]),
        gate(
            "user",
            when=[
                when("$(tasks.check.results.enabled)", "notin", "true"),
                when("$(tasks.guarded.results.enabled)", "notin", "x"),
            ],
        ),
        gate("after", runAfter=["user"]),
    )
    # Tekton compares the text of both variables, lets the task through, and then finds that a result is missing.
    assert events(run_small())[-2:] == ["user: skipped", "after: skipped"]


def test_a_missing_result_fails_the_run_and_finally_follows(folder: TektonFolder, run_small: Run) -> None:
    document = folder.read("tasks/verdict-gate/verdict-gate.yaml")
    document["spec"]["results"] = [{"name": "never-written"}]
    folder.write("tasks/verdict-gate/verdict-gate.yaml", document)
    folder.pipeline(
        gate("a"),
        task("user", "verdict-gate", {"verdict": "pass", "exit-code": "$(tasks.a.results.never-written)"}),
        final=(gate("last"),),
    )
    finished = run_small()
    assert finished.code == 70
    assert events(finished) == ["a: started", "a: Succeeded", "user: Failed", "last: started", "last: Succeeded"]


def test_after_a_failure_siblings_finish_nothing_new_starts_and_finally_runs(
    folder: TektonFolder, run_small: Run, upstream: Upstream
) -> None:
    folder.pipeline(
        gate("bad", 4),
        probe("sibling", upstream.url, checks=20),
        gate("after-sibling", runAfter=["sibling"]),
        final=(gate("last"),),
    )
    finished = run_small()
    assert finished.code == 4
    assert upstream.count == 20
    order = events(finished)
    assert order.index("bad: Failed") < order.index("sibling: Succeeded") < order.index("last: started")
    assert "after-sibling: skipped" in order


def test_a_failure_that_is_to_be_ignored_does_not_stop_the_run_and_its_results_can_be_used(
    folder: TektonFolder, run_small: Run, upstream: Upstream
) -> None:
    upstream.status = 500
    folder.pipeline(
        probe("judge", upstream.url, onError="continue"),
        gate("after", runAfter=["judge"], when=[when("$(tasks.judge.results.verdict)", "in", "fail")]),
    )
    finished = run_small()
    assert finished.code == 0
    assert events(finished)[-3:] == ["judge: Failed", "after: started", "after: Succeeded"]


def test_a_task_is_tried_again_as_often_as_it_may(folder: TektonFolder, run_small: Run, upstream: Upstream) -> None:
    upstream.respond = lambda _: Reply(200 if upstream.count > 2 else 500)
    folder.pipeline(probe("flaky", upstream.url, retries=2))
    finished = run_small()
    assert finished.code == 0, finished.stderr
    assert upstream.count == 3

    upstream.reset()
    upstream.status = 500
    assert run_small().code == 1
    assert upstream.count == 3


def test_a_task_that_takes_too_long_is_stopped_and_the_run_is_invalid(
    folder: TektonFolder, run_small: Run, upstream: Upstream
) -> None:
    slow = {**probe("slow", upstream.url, checks=100_000), "timeout": "500ms"}
    folder.pipeline(slow, final=(gate("last"),))
    finished = run_small()
    assert finished.code == 7
    assert "slow: Failed" in events(finished)
    assert "timed out" in finished.stderr
    assert events(finished)[-1] == "last: Succeeded"


def test_finally_sees_how_tasks_ended(folder: TektonFolder, run_small: Run) -> None:
    def final(name: str, of: str, *values: str) -> dict[str, object]:
        return gate(name, when=[when(f"$(tasks.{of}status)", "in", *values)])

    folder.pipeline(
        gate("good"),
        gate("bad", 3, runAfter=["good"]),
        gate("never", runAfter=["bad"]),
        final=(
            final("sees-good", "good.", "Succeeded"),
            final("sees-bad", "bad.", "Failed"),
            final("sees-never", "never.", "None"),
            final("sees-all", "", "Failed"),
            final("sees-wrong", "good.", "Failed", "None"),
        ),
    )
    finished = run_small()
    assert finished.code == 3
    ended = {event for event in events(finished) if event.startswith("sees-") and "started" not in event}
    assert ended == {
        "sees-good: Succeeded",
        "sees-bad: Succeeded",
        "sees-never: Succeeded",
        "sees-all: Succeeded",
        "sees-wrong: skipped",
    }


def test_a_task_of_finally_that_misses_a_result_is_skipped(folder: TektonFolder, run_small: Run) -> None:
    uses = task("uses", "verdict-gate", {"verdict": "$(tasks.check.results.enabled)", "exit-code": "0"})
    folder.pipeline(check("check", when=[when("a", "in", "b")]), final=(uses, gate("last")))
    finished = run_small()
    assert finished.code == 0
    assert "uses: skipped" in events(finished)
    assert "last: Succeeded" in events(finished)


def test_a_failure_in_finally_fails_the_run(folder: TektonFolder, run_small: Run) -> None:
    folder.pipeline(gate("good"), final=(gate("bad", 6),))
    assert run_small().code == 6


def test_results_of_the_pipeline_go_to_stdout_with_the_run(folder: TektonFolder, run_small: Run) -> None:
    folder.pipeline(
        check("check"),
        check("skipped", when=[when("a", "in", "b")]),
        results=[
            {"name": "about", "value": "$(tasks.check.results.experiment-name)/$(tasks.check.results.fault-type)"},
            {"name": "none", "value": "$(tasks.skipped.results.fault-type)"},
        ],
    )
    finished = run_small()
    assert finished.code == 0
    assert finished.results["about"] == "small/L7_HTTP_ERROR"
    assert set(finished.results) == {"about", "run"}


def test_the_exit_code_is_what_the_report_says(folder: TektonFolder, run_small: Run, upstream: Upstream) -> None:
    upstream.status = 404
    folder.pipeline(
        probe("ask", upstream.url, onError="continue"),
        # A stand-in for a report: a result named exit-code whose value is a number.
        results=[{"name": "exit-code", "value": "$(tasks.ask.results.success-ratio)5"}],
    )
    finished = run_small()
    assert finished.results["exit-code"] == "05"
    assert finished.code == 5


def test_every_run_and_every_task_has_an_id_of_its_own(
    folder: TektonFolder, run_small: Run, upstream: Upstream, tmp_path: Path
) -> None:
    folder.pipeline(
        probe("a", upstream.url, params={"name": "a", "run": "$(context.pipelineRun.uid)"}),
        probe("b", upstream.url, params={"name": "b", "run": "$(context.pipelineRun.uid)"}),
        workspaces=[{"name": "shared-data"}],
    )
    document = folder.read("pipelines/small/small.yaml")
    for item in document["spec"]["tasks"]:
        item["workspaces"] = [{"name": "shared-data", "workspace": "shared-data"}]
    folder.write("pipelines/small/small.yaml", document)
    runs = []
    for name in ("first", "second"):
        finished = run_small("-w", f"shared-data={tmp_path / name}")
        assert finished.code == 0, finished.stderr
        verdicts = [json.loads(path.read_text()) for path in (tmp_path / name / "verdicts").iterdir()]
        assert {verdict["run"] for verdict in verdicts} == {finished.results["run"]}
        assert len({verdict["taskRun"] for verdict in verdicts}) == 2
        runs.append(finished.results["run"])
    assert runs[0] != runs[1]
