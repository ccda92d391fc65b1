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
        ([], "give --max-p99-latency-ms, --min-success-rate, --max-p99-increase-percent or --max-success-drop"),
        (["--max-p99-increase-percent", "-1"], "at least 0"),
        (["--max-success-drop", "1.1"], "at most 1"),
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


def test_a_p99_that_rose_too_far_over_the_baselines_is_a_fail(judge: Judge, workspace: Workspace) -> None:
    measured(workspace, answered(1000, 100), "baseline")
    measured(workspace, answered(1000, 150))
    finished = judge("--max-p99-increase-percent", "49.9")

    (check,) = verdict_of(workspace).checks
    assert finished.code == 1
    assert "p99-increase-percent 50 (95 % interval 50 to 50) is not <= 49.9" in finished.stderr
    assert (check.metric, check.comparison, check.decision, check.confidence) == (
        "p99-increase-percent",
        "<=",
        "fail",
        0.95,
    )
    assert judge("--max-p99-increase-percent", "50").code == 0


def test_a_success_rate_that_fell_too_far_below_the_baselines_is_a_fail(judge: Judge, workspace: Workspace) -> None:
    measured(workspace, answered(980) + answered(20, status=503), "baseline")
    measured(workspace, answered(800) + unanswered(200))
    finished = judge("--max-success-drop", "0.1")

    (check,) = verdict_of(workspace).checks
    assert finished.code == 1
    assert "success-drop 0.18 (95 % interval 0.140021 to 0.218485) is not <= 0.1" in finished.stderr
    assert (check.metric, check.comparison, check.decision, check.value) == ("success-drop", "<=", "fail", 0.18)
    assert judge("--max-success-drop", "0.3").code == 0


def test_better_than_the_baseline_is_a_negative_difference(judge: Judge, workspace: Workspace) -> None:
    measured(workspace, answered(900, 100) + answered(100, 100, 503), "baseline")
    measured(workspace, answered(1000, 50))
    finished = judge("--max-p99-increase-percent", "0", "--max-success-drop", "0")

    assert finished.code == 0, finished.stderr
    assert [check.value for check in verdict_of(workspace).checks] == [-50, -0.1]


def test_as_many_more_requests_in_each_window_as_named_do_decide_a_drop(judge: Judge, workspace: Workspace) -> None:
    def load(n: int) -> None:
        measured(workspace, answered(n), "baseline")
        measured(workspace, answered(n - round(0.05 * n)) + answered(round(0.05 * n), status=503))

    load(100)
    finished = judge("--max-success-drop", "0.1")

    (check,) = verdict_of(workspace).checks
    assert finished.code == 5
    assert check.needed is not None
    assert f"does not yet show whether it is <= 0.1; about {check.needed} more requests in each window" in (
        finished.stderr
    )
    load(100 + check.needed)
    assert judge("--max-success-drop", "0.1").code == 0


def test_too_few_requests_leave_the_increase_open_above_and_too_small_a_baseline_leaves_it_open_below(
    judge: Judge, workspace: Workspace
) -> None:
    measured(workspace, answered(400), "few")
    measured(workspace, answered(5000), "many")
    words = ("--max-p99-increase-percent", "10", "--window")
    finished = judge(*words, "few", "--baseline-window", "many", "--name", "open-above")

    (check,) = verdict_of(workspace, "open-above").checks
    assert finished.code == 5
    assert "p99-increase-percent 0 (95 % interval 0 to unbounded) does not yet show" in finished.stderr
    assert (check.low, check.value, check.high, check.needed) == (0, 0, None, 35)
    assert judge(*words, "many", "--baseline-window", "few", "--name", "open-below").code == 0
    (check,) = verdict_of(workspace, "open-below").checks
    assert (check.low, check.value, check.high) == (-100, 0, 0)


@pytest.mark.parametrize("decision", ["interval", "point"])
def test_a_difference_from_the_baseline_itself_is_none_by_construction(
    judge: Judge, workspace: Workspace, decision: str
) -> None:
    # As in the Pipeline: the steady state is judged by the limits of the experiment, in the baseline.
    experiment: dict[str, Any] = {
        "experimentName": "x",
        "fault": {"type": "L7_HTTP_ERROR", "targetHost": "t", "errorCode": 503, "percentage": 10},
        "durationSeconds": 1,
        "load": {"rps": 30},
        "slo": {"maxP99IncreasePercent": 20, "maxSuccessDrop": 0.01},
    }
    workspace.root.mkdir()
    (workspace.root / "experiment.json").write_text(json.dumps(experiment))
    measured(workspace, answered(3), "baseline")
    finished = judge("--window", "baseline", "--decision", decision)

    assert finished.code == 0, finished.stderr
    assert "p99-increase-percent is 0: this is the baseline itself; success-drop is 0: this" in finished.stderr
    assert [(check.decision, check.value, check.limit) for check in verdict_of(workspace).checks] == [
        ("pass", 0, 20),
        ("pass", 0, 0.01),
    ]


@pytest.mark.parametrize("decision", ["interval", "point"])
@pytest.mark.parametrize(
    ("limit", "baseline", "client", "reason"),
    [
        ("--max-p99-increase-percent", unanswered(9), answered(9), "no request of the baseline was answered"),
        ("--max-p99-increase-percent", answered(9), unanswered(9), "has no data: no request was answered"),
        ("--max-p99-increase-percent", answered(9, 0), answered(9), "the P99 of the baseline is 0"),
        ("--max-success-drop", [], answered(9), "there are no requests in the baseline"),
        ("--max-success-drop", answered(9), [], "has no data: there are no requests"),
    ],
)
def test_no_data_on_one_side_are_no_difference_and_the_side_is_named(
    judge: Judge,
    workspace: Workspace,
    decision: str,
    limit: str,
    baseline: list[Record],
    client: list[Record],
    reason: str,
) -> None:
    measured(workspace, baseline, "baseline")
    measured(workspace, client)
    finished = judge(limit, "0.5", "--decision", decision, "--on-inconclusive", "pass")

    (check,) = verdict_of(workspace).checks
    assert finished.code == 5
    assert reason in finished.stderr
    assert (check.decision, check.value) == ("inconclusive", None)


@pytest.mark.parametrize("limit", ["--max-p99-increase-percent", "--max-success-drop"])
def test_without_requests_the_baseline_itself_is_no_pass(judge: Judge, workspace: Workspace, limit: str) -> None:
    measured(workspace, [], "baseline")

    assert judge(limit, "1", "--window", "baseline").code == 5


def test_a_baseline_that_is_not_there_is_no_data_and_the_windows_that_are_there_are_named(
    judge: Judge, workspace: Workspace
) -> None:
    measured(workspace, answered(1000))
    measured(workspace, answered(1000), "recovery")
    finished = judge("--max-p99-increase-percent", "10", "--min-success-rate", "0.9")

    assert finished.code == 5
    assert "no window 'baseline'" in finished.stderr
    assert "there are: client, recovery" in finished.stderr
    assert finished.results["p99-latency-ms"] == "10"
    assert [check.decision for check in verdict_of(workspace).checks] == ["pass", "inconclusive"]


def test_a_baseline_that_no_limit_needs_may_be_missing(judge: Judge, workspace: Workspace) -> None:
    measured(workspace, answered(1000))

    assert judge("--min-success-rate", "0.9").code == 0


def test_a_decision_by_point_compares_a_difference_plainly(judge: Judge, workspace: Workspace) -> None:
    measured(workspace, answered(9, 100) + answered(1, 100, 503), "baseline")
    measured(workspace, answered(8, 110) + answered(2, 110, 503))
    words = ("--decision", "point", "--max-p99-increase-percent")
    finished = judge(*words, "10", "--max-success-drop", "0.1")

    assert finished.code == 0, finished.stderr
    for check in verdict_of(workspace).checks:
        assert (check.low, check.high, check.confidence) == (None, None, None)
    assert judge(*words, "9.999").code == 1
    assert judge("--decision", "point", "--max-success-drop", "0.0999").code == 1


@pytest.mark.parametrize(("on_inconclusive", "code"), [("fail", 1), ("pass", 0)])
@pytest.mark.parametrize("limit", ["--max-p99-increase-percent", "--max-success-drop"])
def test_what_an_undecided_difference_comes_to_is_for_the_caller_to_say(
    judge: Judge, workspace: Workspace, limit: str, on_inconclusive: str, code: int
) -> None:
    measured(workspace, answered(10), "baseline")
    measured(workspace, answered(10))

    assert judge(limit, "0.1", "--on-inconclusive", on_inconclusive).code == code
