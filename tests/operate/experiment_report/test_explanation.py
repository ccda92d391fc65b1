"""What a report tells somebody who has never seen one, for each verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos_steps.operate.experiment_report.document import Explanation
from chaos_steps.workspace import Check, Verdict
from tests.operate.experiment_report.runs import (
    ENDED,
    PROBED,
    claim,
    composed,
    error,
    marks_of_a_good_run,
    verdict,
)

BEFORE: dict[str, Any] = {"marks": {}, "verdicts": ()}


def explained(root: Path, given: Any = None, **filled: Any) -> Explanation:
    return composed(root, given, **filled).report.explanation


def judged(*checks: Check, decision: Any = "inconclusive", window: str | None = "client") -> dict[str, Any]:
    """Evidence of three judges, of whom one has these checks."""
    client = verdict("client", decision, checks=checks, window=window)
    return {"verdicts": (verdict("steady-state"), client, verdict("recovery"))}


def check(decision: Any = "inconclusive", **fields: Any) -> Check:
    given = {"metric": "success-rate", "limit": 0.9, "comparison": ">=", "value": 0.9, "confidence": 0.95, **fields}
    return Check(decision=decision, **given)


def test_a_pass_says_what_it_rests_on_and_needs_nothing(tmp_path: Path) -> None:
    found = explained(tmp_path)
    assert found.tried == (
        "503 for 10 % of the requests to user-service.production.svc, for 31 s, while the load sent 1450 requests."
    )
    assert found.grounds[:2] == (
        "3 judges passed, 6 limits kept.",
        "The fault was in its target at all 31 read-backs, and it is gone.",
    )
    assert found.grounds[2].startswith("The dose agrees")
    assert found.sure == "Chance is ruled out as far as 95 % intervals can: each lies wholly within its limit."
    assert found.needed == ()


def test_a_pass_whose_dose_nobody_measured_is_less_sure_and_says_how_to_measure_it(tmp_path: Path) -> None:
    found = explained(tmp_path, {"marks": marks_of_a_good_run(ended={**ENDED, "dose": None})})
    assert "known from its configuration alone" in found.sure
    assert "fault.probeUrl" in found.needed[0]


def test_a_failure_says_that_chance_does_not_explain_it(tmp_path: Path) -> None:
    found = explained(tmp_path, client_rate=0.871)
    assert found.grounds == ()
    assert found.sure == "Chance does not explain it: even the better end of the 95 % interval breaches the limit."
    assert "More data would not change it" in found.needed[0]


def test_only_the_checks_that_decided_say_how_sure_the_verdict_is(tmp_path: Path) -> None:
    kept, breached = check("pass", confidence=None), check("fail", value=0.5)
    found = explained(tmp_path, judged(kept, breached, decision="fail"))
    assert found.sure == "Chance does not explain it: even the better end of the 95 % interval breaches the limit."


def test_a_plain_comparison_says_that_it_does_not_know_what_is_chance(tmp_path: Path) -> None:
    found = explained(tmp_path, judged(check("fail", value=0.5, confidence=None), decision="fail"))
    assert found.sure == "Compared plainly, without an interval that tells what is chance: client."


def test_an_open_verdict_says_how_many_requests_and_how_long_a_load_would_decide(tmp_path: Path) -> None:
    found = explained(tmp_path, judged(check(needed=1450)))
    assert "the limit lies inside the 95 % interval" in found.sure
    assert found.needed == (
        "About 1450 more requests would decide the success rate in client: a load of 58 s in place of 29 s.",
    )


@pytest.mark.parametrize("window", [None, "gone"])
def test_requests_that_are_needed_are_no_time_where_the_rate_is_not_known(tmp_path: Path, window: str | None) -> None:
    found = explained(tmp_path, judged(check(needed=1450), window=window))
    assert found.needed == ("About 1450 more requests would decide the success rate in client.",)


def test_what_no_number_of_requests_decides_needs_another_limit_and_no_data_need_data(tmp_path: Path) -> None:
    undecidable, without = check(metric="p99-latency-ms"), check(metric="errors", value=None, confidence=None)
    found = explained(tmp_path, judged(undecidable, without))
    assert found.needed[0].startswith("Another limit for the P99 latency in client")
    assert found.needed[1] == "Data for the errors in client: there were none."
    assert found.sure.endswith("client had no data.")


def test_an_open_check_that_was_told_to_pass_is_named(tmp_path: Path) -> None:
    found = explained(tmp_path, judged(check("pass"), check(needed=7), decision="pass"))
    assert "client had too few requests to decide, and was told to pass then" in found.sure
    assert found.needed[0].startswith("About 7 more requests")


def test_judges_without_numbers_leave_open_how_sure_they_are(tmp_path: Path) -> None:
    found = explained(tmp_path, {"verdicts": tuple(verdict(name) for name in ("steady-state", "client", "recovery"))})
    assert found.sure == "The judges gave no numbers to tell it from."


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({"marks": marks_of_a_good_run(ended={**ENDED, "dose": {**PROBED, "faulted": 0}})}, "the fault did less"),
        ({"marks": marks_of_a_good_run(ended={**ENDED, "dose": {**PROBED, "faulted": 99}})}, "did more than asked"),
        ({"marks": marks_of_a_good_run(ended={**ENDED, "dose": None}), "require_dose": True}, "fault.probeUrl"),
        ({"marks": marks_of_a_good_run(ended={**ENDED, "missing": 3})}, "Nobody else may touch the target"),
        ({"errors": (error("waf-inject", 7),)}, "Put right what kept waf-inject from its work."),
        ({"expected": ("traces",)}, "Put right what kept traces from its work."),
    ],
)
def test_an_invalid_run_says_what_would_make_it_valid_and_that_it_has_to_run_again(
    tmp_path: Path, given: Any, needed: str
) -> None:
    found = explained(tmp_path, given)
    assert "did not see the experiment that was asked for" in found.sure
    assert needed in found.needed[0]
    assert found.needed[-1] == "Then run the experiment again: the numbers of this run do not count."


def test_each_thing_that_is_needed_is_said_once(tmp_path: Path) -> None:
    marks = marks_of_a_good_run(ended={**ENDED, "missing": 3, "drifted": 2})
    found = explained(tmp_path, {"marks": marks})
    assert len(found.needed) == 2


def test_a_fault_that_may_be_left_needs_a_revert_before_anything_else(tmp_path: Path) -> None:
    found = explained(tmp_path, {"claims": (claim(),)})
    assert "not proven that the fault is gone" in found.sure
    assert found.needed[0].startswith("Run fault-revert --run run-1 now")


STEADY: Verdict = verdict("steady-state", "fail", message="too slow")


@pytest.mark.parametrize(
    ("given", "needed"),
    [
        ({**BEFORE, "errors": (error("consul-fetch", 2),)}, "Correct what the reason names"),
        ({**BEFORE, "errors": (error("consul-fetch", 3),)}, "Make the system that the reason names reachable"),
        ({**BEFORE, "errors": (error("fault-guard", 4),)}, "Wait for the other run to end"),
        ({**BEFORE, "verdicts": (STEADY,)}, "The service must keep its limits without a fault"),
    ],
)
def test_a_run_that_ended_before_its_fault_says_what_it_takes_to_start(tmp_path: Path, given: Any, needed: str) -> None:
    found = explained(tmp_path, given)
    assert (found.tried, found.sure) == (
        "No fault was put in.",
        "Certain: the run record knows no fault, so nothing was tested.",
    )
    assert found.needed[0].startswith(needed)


def test_a_disabled_experiment_says_how_to_enable_it(tmp_path: Path) -> None:
    found = explained(tmp_path, {**BEFORE, "enabled": False})
    assert found.grounds == ("The experiment says enabled: false.",)
    assert found.needed == ("To run it, say enabled: true in the experiment.",)


def test_a_fault_without_words_is_told_by_kind_and_target(tmp_path: Path) -> None:
    marks = marks_of_a_good_run()
    marks["fault-active"] = msgspec.structs.replace(marks["fault-active"], reason="")
    del marks["fault-ended"]
    found = explained(tmp_path, {"marks": marks})
    assert found.tried.startswith("Waf at http://gateway:2019 user-service.production.svc, while the load sent 1")
