"""k6-slo judges the points of a window."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chaos_steps.workspace import Verdict, Window, Workspace, points_dtype
from tests.conftest import RunCommand
from tests.running import Finished

RUN = "run-1"
Judge = Callable[..., Finished]
Record = tuple[int, int, int, int]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "shared", RUN)


@pytest.fixture
def judge(run_command: RunCommand, workspace: Workspace) -> Judge:
    def run(*words: str, env: dict[str, str] | None = None) -> Finished:
        return run_command("k6-slo", "--workspace", workspace.root, "--run", RUN, *words, env=env)

    return run


def answered(count: int, ms: float = 10, status: int = 200) -> list[Record]:
    return [(1_000_000 * n, round(ms * 1000), status, 0) for n in range(count)]


def unanswered(count: int) -> list[Record]:
    return [(1_000_000 * n, -1, 0, 1) for n in range(count)]


def measured(workspace: Workspace, points: Sequence[Record], name: str = "client") -> None:
    """As k6-load leaves it."""
    sha256 = workspace.write_points(name, np.array(points, points_dtype()))
    workspace.write_window(
        Window(run=workspace.run, name=name, start_ms=0, end_ms=1, source="k6-load", points_sha256=sha256)
    )


def verdict_of(workspace: Workspace, name: str = "k6-slo") -> Verdict:
    return workspace.verdicts()[name]


def test_both_limits_met_is_a_pass(judge: Judge, workspace: Workspace) -> None:
    measured(workspace, answered(990) + answered(10, 20))
    finished = judge("--max-p99-latency-ms", "20", "--min-success-rate", "0.99")

    verdict = verdict_of(workspace)
    assert finished.code == 0, finished.stderr
    assert finished.results == {"verdict": "pass", "p99-latency-ms": "10", "success-rate": "1", "requests": "1000"}
    assert (verdict.verdict, verdict.exit_code, verdict.window, verdict.requests) == ("pass", 0, "client", 1000)
    assert (verdict.command, verdict.task_run) == ("k6-slo", "")
    latency, success = verdict.checks
    assert (latency.low, latency.value, latency.high, latency.confidence) == (10, 10, 20, 0.95)
    assert success.low == pytest.approx(0.025 ** (1 / 1000))
    assert success.high == 1


def test_a_breached_latency_limit_is_a_fail(judge: Judge, workspace: Workspace) -> None:
    measured(workspace, answered(900) + answered(100, 2000))
    finished = judge("--max-p99-latency-ms", "1500", "--min-success-rate", "0.9")

    assert finished.code == 1
    assert "p99-latency-ms 2000 (95 % interval 2000 to 2000) is not <= 1500" in finished.stderr
    assert [check.decision for check in verdict_of(workspace).checks] == ["fail", "pass"]


def test_a_breached_success_limit_is_a_fail(judge: Judge, workspace: Workspace) -> None:
    measured(workspace, answered(500) + answered(500, status=503))
    finished = judge("--min-success-rate", "0.9")

    assert finished.code == 1
    assert finished.results["verdict"] == "fail"
    assert finished.results["success-rate"] == "0.5"


def test_a_limit_within_the_interval_is_inconclusive_and_says_how_many_requests_are_missing(
    judge: Judge, workspace: Workspace
) -> None:
    measured(workspace, answered(92) + answered(8, status=503))
    finished = judge("--min-success-rate", "0.9")

    (check,) = verdict_of(workspace).checks
    assert finished.code == 5
    assert finished.results["verdict"] == "inconclusive"
    assert check.needed is not None
    assert f"about {check.needed} more requests" in finished.stderr
    share = round(0.92 * (100 + check.needed))
    measured(workspace, answered(share) + answered(100 + check.needed - share, status=503))
    assert judge("--min-success-rate", "0.9").code == 0


def test_too_few_requests_leave_the_p99_unbounded_and_inconclusive(judge: Judge, workspace: Workspace) -> None:
    measured(workspace, answered(300))
    finished = judge("--max-p99-latency-ms", "1500")

    (check,) = verdict_of(workspace).checks
    assert finished.code == 5
    assert (check.value, check.high, check.needed) == (10, None, 68)


def test_a_decision_by_point_compares_plainly_and_has_no_interval(judge: Judge, workspace: Workspace) -> None:
    measured(workspace, answered(9) + answered(1, status=503))
    finished = judge("--decision", "point", "--min-success-rate", "0.9", "--max-p99-latency-ms", "10")

    assert finished.code == 0, finished.stderr
    for check in verdict_of(workspace).checks:
        assert (check.low, check.high, check.confidence) == (None, None, None)


def test_a_decision_by_point_fails_just_past_the_limit(judge: Judge, workspace: Workspace) -> None:
    measured(workspace, answered(10, 10.001))

    assert judge("--decision", "point", "--max-p99-latency-ms", "10").code == 1


@pytest.mark.parametrize(("on_inconclusive", "code"), [("fail", 1), ("pass", 0), ("inconclusive", 5)])
def test_what_too_few_requests_come_to_is_for_the_caller_to_say(
    judge: Judge, workspace: Workspace, on_inconclusive: str, code: int
) -> None:
    measured(workspace, answered(10))
    finished = judge("--min-success-rate", "0.9", "--on-inconclusive", on_inconclusive)

    assert finished.code == code
    assert verdict_of(workspace).verdict == on_inconclusive
    assert verdict_of(workspace).checks[0].decision == "inconclusive"


def test_a_fail_outweighs_what_is_inconclusive(judge: Judge, workspace: Workspace) -> None:
    measured(workspace, answered(50, status=503))

    assert judge("--max-p99-latency-ms", "1500", "--min-success-rate", "0.9").code == 1
    assert [check.decision for check in verdict_of(workspace).checks] == ["inconclusive", "fail"]


def test_requests_without_an_answer_fail_and_have_no_part_in_the_p99(judge: Judge, workspace: Workspace) -> None:
    measured(workspace, answered(500, 100, 503) + unanswered(500))
    finished = judge("--max-p99-latency-ms", "100", "--min-success-rate", "0.1")

    assert finished.code == 1
    assert finished.results == {"verdict": "fail", "p99-latency-ms": "100", "success-rate": "0", "requests": "1000"}


@pytest.mark.parametrize(("status", "rate"), [(199, "0"), (200, "1"), (399, "1"), (400, "0"), (503, "0")])
def test_a_status_from_200_to_399_is_a_success(judge: Judge, workspace: Workspace, status: int, rate: str) -> None:
    measured(workspace, answered(3, status=status))

    assert judge("--min-success-rate", "0.5").results["success-rate"] == rate


def test_the_p99_is_the_duration_of_rank_ceil_99_percent(judge: Judge, workspace: Workspace) -> None:
    measured(workspace, [(0, 1000 * n, 200, 0) for n in range(250, 0, -1)])

    assert judge("--max-p99-latency-ms", "1").results["p99-latency-ms"] == str(math.ceil(0.99 * 250))


def test_the_interval_of_the_p99_lies_between_two_of_the_durations(judge: Judge, workspace: Workspace) -> None:
    measured(workspace, [(0, 1000 * n, 200, 0) for n in range(1, 1001)])
    judge("--max-p99-latency-ms", "1")

    (check,) = verdict_of(workspace).checks
    # The largest and smallest rank with at most 2.5 % beyond, of the binomial distribution (1000, 0.99).
    assert (check.low, check.value, check.high) == (983, 990, 997)


@pytest.mark.parametrize("on_inconclusive", ["fail", "pass", "inconclusive"])
def test_no_answers_at_all_are_no_data_for_the_p99(judge: Judge, workspace: Workspace, on_inconclusive: str) -> None:
    measured(workspace, unanswered(1000))
    finished = judge("--max-p99-latency-ms", "100", "--on-inconclusive", on_inconclusive)

    assert finished.code == 5
    assert "no request was answered" in finished.stderr
    assert finished.results["p99-latency-ms"] == ""


@pytest.mark.parametrize("damage", ["missing", "other"])
def test_points_that_are_not_the_windows_own_are_no_data(judge: Judge, workspace: Workspace, damage: str) -> None:
    measured(workspace, answered(1000))
    if damage == "missing":
        workspace.points_path("client").unlink()
    else:
        workspace.write_points("client", np.array(answered(1001), points_dtype()))
    finished = judge("--min-success-rate", "0.9")

    assert finished.code == 5
    assert "the points of window 'client' are missing or not the ones" in finished.stderr
    assert verdict_of(workspace).verdict == "inconclusive"


def test_a_window_that_is_not_there_is_no_data_and_those_that_are_there_are_named(
    judge: Judge, workspace: Workspace
) -> None:
    measured(workspace, answered(10), "baseline")
    measured(Workspace(workspace.root, "another-run"), answered(10), "client")
    finished = judge("--min-success-rate", "0.9")

    assert finished.code == 5
    assert "no window 'client'" in finished.stderr
    assert "there are: baseline" in finished.stderr
    assert verdict_of(workspace).verdict == "inconclusive"
    assert workspace.errors() == {}


def test_limits_and_name_come_from_the_experiment_and_the_task(judge: Judge, workspace: Workspace) -> None:
    experiment: dict[str, Any] = {
        "experimentName": "x",
        "fault": {"type": "L7_HTTP_ERROR", "targetHost": "t", "errorCode": 503, "percentage": 10},
        "durationSeconds": 1,
        "load": {"rps": 30},
        "slo": {"maxP99LatencyMs": 5, "minSuccessRate": 0.5},
    }
    measured(workspace, answered(1000), "baseline")
    (workspace.root / "experiment.json").write_text(json.dumps(experiment))
    environment = {"PARAM_NAME": "steady-state", "PARAM_WINDOW": "baseline", "PARAM_MAX_P99_LATENCY_MS": ""}
    finished = judge(env=environment)

    assert finished.code == 1
    assert [check.limit for check in verdict_of(workspace, "steady-state").checks] == [5, 0.5]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "there is no limit"),
        (["--min-success-rate", "1.1"], "at most 1"),
        (["--max-p99-latency-ms", "0"], "above 0"),
        (["--min-success-rate", "0.9", "--confidence", "1"], "not below 1"),
        (["--min-success-rate", "0.9", "--decision", "guess"], "guess"),
    ],
)
def test_a_mistake_in_the_options_is_named(judge: Judge, workspace: Workspace, words: list[str], reason: str) -> None:
    measured(workspace, answered(10))
    finished = judge(*words)

    assert finished.code == 2
    assert reason in finished.stderr


def test_a_higher_confidence_needs_more_requests(judge: Judge, workspace: Workspace) -> None:
    measured(workspace, answered(940) + answered(60, status=503))

    assert judge("--min-success-rate", "0.92", "--confidence", "0.9").code == 0
    assert judge("--min-success-rate", "0.92", "--confidence", "0.9999").code == 5
