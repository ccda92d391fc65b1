from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from chaos_steps.operate.experiment_report.judgement import ORDER, judge
from chaos_steps.workspace import Window
from tests.operate.experiment_report.runs import (
    ACTIVE,
    ENDED,
    PROBED,
    RUN,
    claim,
    error,
    evidence,
    mark,
    marks_of_a_good_run,
    verdict,
)

GOOD = marks_of_a_good_run()
BEFORE = {"load-ready": GOOD["load-ready"]}
STEADY = (verdict("steady-state"),)


def without(*names: str) -> dict[Any, Any]:
    return {name: each for name, each in GOOD.items() if name not in names}


def test_a_run_that_happened_and_met_its_limits_passes() -> None:
    found = judge(evidence())
    assert (found.verdict, found.exit_code, found.reasons) == ("pass", 0, ())


@pytest.mark.parametrize("missing", [m for n in range(1, 4) for m in itertools.combinations(ORDER[1:], n)])
def test_any_missing_mark_after_an_active_fault_makes_the_run_invalid_and_is_named(missing: tuple[str, ...]) -> None:
    found = judge(evidence(marks=without(*missing)))
    assert (found.verdict, found.exit_code) == ("invalid", 7)
    for name in missing:
        assert any(f"no mark {name}" in reason.message for reason in found.reasons)


def test_without_fault_active_the_run_ended_before_the_fault_and_is_invalid_for_lack_of_any_other_word() -> None:
    found = judge(evidence(marks=without("fault-active")))
    assert (found.verdict, found.exit_code) == ("invalid", 7)
    assert "never became active" in found.reasons[0].message


@pytest.mark.parametrize("order", [o for o in itertools.permutations(ORDER) if o != ORDER])
def test_any_other_order_of_the_marks_is_invalid_whatever_the_clocks_say(order: tuple[Any, ...]) -> None:
    details = {"fault-active": ACTIVE, "fault-ended": ENDED}
    # The clocks tell the right order, only the ledger's numbers do not.
    marks = {
        name: mark(name, number, at=ORDER.index(name), details=details.get(name))
        for number, name in enumerate(order, start=1)
    }
    found = judge(evidence(marks=marks))
    assert (found.verdict, found.exit_code) == ("invalid", 7)
    assert any("came before" in reason.message for reason in found.reasons)


def test_the_right_order_counts_even_when_every_clock_contradicts_it() -> None:
    details = {"fault-active": ACTIVE, "fault-ended": ENDED}
    marks = {
        name: mark(name, number, at=-number, details=details.get(name)) for number, name in enumerate(ORDER, start=1)
    }
    assert judge(evidence(marks=marks)).verdict == "pass"


def test_a_fault_that_ended_before_the_load_says_why_it_ended() -> None:
    marks = GOOD | {
        "load-done": mark("load-done", 6),
        "fault-ended": mark("fault-ended", 5, reason="the lease was over", details=ENDED),
    }
    messages = [reason.message for reason in judge(evidence(marks=marks)).reasons]
    assert messages == ["fault-ended came before load-done (the lease was over)"]


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        ({**ENDED, "missing": 1}, "missing at 1 of 32 read-backs"),
        ({**ENDED, "drifted": 2}, "something else was in the change's place at 2 of 33 read-backs"),
        ({**ENDED, "readBacks": 0}, "nobody read the change back"),
        ({}, "nobody read the change back"),
        ({**ENDED, "readBacks": "many"}, "cannot be read"),
        ({**ENDED, "missing": -1}, "cannot be read"),
        ({**ENDED, "dose": {**PROBED, "faulted": 151}}, "cannot be read"),
        ({**ENDED, "exitCode": 143}, "ended with 143"),
    ],
)
def test_a_fault_that_was_not_there_at_every_read_back_is_invalid(ended: Any, expected: str) -> None:
    found = judge(evidence(marks=marks_of_a_good_run(ended=ended)))
    assert (found.verdict, found.exit_code) == ("invalid", 7)
    assert any(expected in reason.message for reason in found.reasons)


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (1, 1), (5, 5), (6, 6), (7, 7), (2, 7), (130, 7), (70, 7)])
def test_the_code_of_whoever_held_the_fault_counts(code: int, expected: int) -> None:
    assert judge(evidence(marks=marks_of_a_good_run(ended={**ENDED, "exitCode": code}))).exit_code == expected


def test_the_holder_is_not_named_twice_when_it_left_an_error_record() -> None:
    marks = marks_of_a_good_run(ended={**ENDED, "exitCode": 7})
    found = judge(evidence(marks=marks, errors=(error("waf-inject", 7, "not there any more"),)))
    assert [(reason.subject, reason.message) for reason in found.reasons] == [("waf-inject", "not there any more")]


def dosed(asked: float | None, dose: Any) -> Any:
    return marks_of_a_good_run({**ACTIVE, "askedShare": asked}, {**ENDED, "dose": dose})


@pytest.mark.parametrize(
    ("asked", "faulted", "requests", "outcome", "code"),
    [
        (0.1, 17, 150, "agrees", 0),
        (0.1, 26, 150, "agrees", 0),  # Outside a 99 % interval, inside one of 99.99 %.
        (0.1, 2, 150, "under", 7),
        (0.1, 0, 150, "under", 7),
        (0.1, 150, 150, "over", 7),
        (0.1, 40, 150, "over", 7),
        (0.1, 0, 20, "agrees", 0),
        (1.0, 150, 150, "agrees", 0),
        (1.0, 149, 150, "under", 7),
        (0.1, 0, 0, "not-measured", 0),
        (None, 15, 150, "measured", 0),
    ],
)
def test_a_dose_is_invalid_only_when_its_interval_excludes_the_asked_share(
    asked: float | None, faulted: int, requests: int, outcome: str, code: int
) -> None:
    found = judge(evidence(marks=dosed(asked, {**PROBED, "faulted": faulted, "requests": requests})))
    assert found.dose is not None
    assert (found.dose.outcome, found.exit_code) == (outcome, code)
    if code:
        assert [reason.subject for reason in found.reasons] == ["dose"]
        assert f"{faulted} of {requests} requests" in found.reasons[0].message


@pytest.mark.parametrize("dose", [None, {**PROBED, "requests": 0, "faulted": 0}])
def test_a_dose_that_nobody_measured_is_invalid_only_when_the_limits_ask_for_one(dose: Any) -> None:
    assert judge(evidence(marks=dosed(0.1, dose))).exit_code == 0
    found = judge(evidence(marks=dosed(0.1, dose), require_dose=True))
    assert (found.verdict, found.exit_code) == ("invalid", 7)
    assert "requireDose" in found.reasons[0].message


def test_a_measured_dose_satisfies_limits_that_ask_for_one() -> None:
    assert judge(evidence(require_dose=True)).verdict == "pass"


@pytest.mark.parametrize("decision", [None, "fail", "inconclusive"])
def test_limits_that_ask_for_a_baseline_make_a_run_without_a_passing_one_invalid(decision: Any) -> None:
    verdicts = (verdict("client"), *([verdict("steady-state", decision)] if decision else []))
    found = judge(evidence(expected=("client",), verdicts=verdicts, require_baseline=True))
    assert (found.verdict, found.exit_code) == ("invalid", 7)


@pytest.mark.parametrize("missing", ["steady-state", "client", "recovery"])
def test_an_expected_verdict_that_is_missing_is_invalid_with_its_commands_message(missing: str) -> None:
    there = tuple(verdict(name) for name in ("steady-state", "client", "recovery") if name != missing)
    silent = judge(evidence(verdicts=there))
    told = judge(evidence(verdicts=there, errors=(error(missing, 3, "server is gone"),)))
    assert (silent.verdict, silent.exit_code, told.exit_code) == ("invalid", 7, 7)
    assert [(reason.subject, reason.code) for reason in told.reasons] == [(missing, 7)]
    assert "no error record" in silent.reasons[0].message
    assert "exit code 3: server is gone" in told.reasons[0].message


@pytest.mark.parametrize("code", [2, 3, 4, 7, 70, 130, 143])
def test_a_load_that_failed_makes_the_run_invalid_although_its_judge_passed(code: int) -> None:
    found = judge(evidence(errors=(error("client", code),)))
    assert (found.verdict, found.exit_code) == ("invalid", 7)


def window(name: str, dropped: int | None) -> Window:
    return Window(run=RUN, name=name, start_ms=1, end_ms=2, source="k6-load", requests=1488, dropped=dropped)


@pytest.mark.parametrize("name", ["baseline", "client", "recovery"])
def test_a_load_that_was_not_delivered_is_invalid_also_when_it_was_killed_before_it_could_say_so(name: str) -> None:
    windows = {each: window(each, 12 if each == name else 0) for each in ("baseline", "client", "recovery")}
    found = judge(replace(evidence(), windows=windows))
    assert (found.verdict, found.exit_code) == ("invalid", 7)
    assert [(reason.subject, reason.message) for reason in found.reasons] == [
        (name, "the load was not delivered: 12 requests were dropped, 1488 sent")
    ]


def test_a_load_that_was_not_delivered_is_told_once_in_its_own_words() -> None:
    told = error("client", 7, "the load was not delivered: 12 of 1500 iterations dropped")
    found = judge(replace(evidence(errors=(told,)), windows={"client": window("client", 12)}))
    assert found.exit_code == 7
    assert [reason.message for reason in found.reasons] == [told.message]


def test_a_load_that_was_delivered_is_no_reason() -> None:
    windows = {"client": window("client", 0), "own": window("own", None)}
    assert judge(replace(evidence(), windows=windows)).reasons == ()


@pytest.mark.parametrize("there", [True, False])
def test_a_command_that_could_not_prove_the_fault_gone_makes_the_run_6(there: bool) -> None:
    verdicts = tuple(verdict(name) for name in ("steady-state", "recovery", *(["client"] if there else [])))
    found = judge(evidence(verdicts=verdicts, errors=(error("client", 6),)))
    assert (found.verdict, found.exit_code) == ("invalid", 6)


@pytest.mark.parametrize("marks", [GOOD, BEFORE, {}])
def test_a_claim_that_is_left_makes_any_run_6_and_says_what_to_do(marks: Any) -> None:
    found = judge(evidence(marks=marks, claims=(claim(),)))
    assert (found.verdict, found.exit_code, found.reasons[0].code) == ("invalid", 6, 6)
    assert "fault-revert --run run-1" in found.reasons[0].message


CODES: dict[str, Any] = {
    "6": {"claims": (claim(),)},
    "7": {"errors": (error("k6", 7),)},
    "1": {"verdicts": (verdict("steady-state"), verdict("client", "fail"), verdict("recovery"))},
    "5": {"verdicts": (verdict("steady-state"), verdict("client"), verdict("recovery", "inconclusive"))},
    "1 and 5": {"verdicts": (verdict("steady-state"), verdict("client", "fail"), verdict("recovery", "inconclusive"))},
}


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (("6", "7", "1 and 5"), 6),
        (("6", "1"), 6),
        (("6", "5"), 6),
        (("7", "1 and 5"), 7),
        (("7", "1"), 7),
        (("7", "5"), 7),
        (("1 and 5",), 1),
        (("1",), 1),
        (("5",), 5),
        ((), 0),
    ],
)
def test_codes_are_joined_in_the_order_6_7_1_5_0(present: tuple[str, ...], expected: int) -> None:
    given: dict[str, Any] = {}
    for name in present:
        given |= CODES[name]
    found = judge(evidence(**given))
    words = {0: "pass", 1: "fail", 5: "inconclusive"}
    assert (found.exit_code, found.verdict) == (expected, words.get(expected, "invalid"))
    assert not found.reasons or found.reasons[0].code == expected


def test_a_verdict_that_was_not_expected_counts_too() -> None:
    verdicts = (*(verdict(name) for name in ("steady-state", "client", "recovery")), verdict("extra", "fail"))
    assert judge(evidence(verdicts=verdicts)).exit_code == 1


def test_a_verdict_whose_word_and_code_differ_counts_as_the_worse() -> None:
    assert judge(evidence(expected=("a",), verdicts=(verdict("a", "fail", 0),))).exit_code == 1
    assert judge(evidence(expected=("a",), verdicts=(verdict("a", "pass", 1),))).exit_code == 1
    assert judge(evidence(expected=("a",), verdicts=(verdict("a", "pass", 2),))).exit_code == 7


def test_a_run_in_which_nothing_was_judged_is_inconclusive() -> None:
    found = judge(evidence(expected=(), verdicts=()))
    assert (found.verdict, found.exit_code) == ("inconclusive", 5)


@pytest.mark.parametrize("code", [2, 3, 4])
def test_a_run_that_ended_before_the_fault_has_the_code_of_what_stopped_it(code: int) -> None:
    errors = (error("waf-inject", code, "no"), error("client", 7, "nothing sent"), error("recovery", 7, "no fault"))
    found = judge(evidence(marks=BEFORE, verdicts=STEADY, errors=errors))
    assert (found.verdict, found.exit_code) == ("invalid", code)
    assert [reason.subject for reason in found.reasons] == ["waf-inject", "client", "recovery"]


def test_the_cause_wins_over_what_the_judges_say_without_data() -> None:
    errors = (error("waf-inject", 3), error("client", 2, "no window"))
    assert judge(evidence(marks=BEFORE, verdicts=STEADY, errors=errors)).exit_code == 3


@pytest.mark.parametrize("code", [2, 3])
def test_a_load_that_could_not_start_stops_the_run_with_its_code(code: int) -> None:
    errors = (error("waf-inject", 7, "no load was ready"), error("client", code, "bad script"))
    assert judge(evidence(marks={}, verdicts=STEADY, errors=errors)).exit_code == code


@pytest.mark.parametrize("decision", ["fail", "inconclusive"])
def test_a_run_without_a_steady_state_is_refused_with_4(decision: Any) -> None:
    found = judge(evidence(marks={}, verdicts=(verdict("steady-state", decision, message="too slow"),)))
    assert (found.verdict, found.exit_code) == ("invalid", 4)
    assert found.reasons[0].message == "refused: no steady state: too slow"


@pytest.mark.parametrize("code", [7, 70, 143, 130])
def test_a_run_stopped_before_the_fault_by_anything_else_is_invalid(code: int) -> None:
    found = judge(evidence(marks=BEFORE, verdicts=STEADY, errors=(error("baseline", code),)))
    assert (found.verdict, found.exit_code) == ("invalid", 7)


def test_an_injector_that_cannot_prove_its_fault_gone_is_6_although_the_fault_never_became_active() -> None:
    errors = (error("waf-inject", 6), error("baseline", 3))
    assert judge(evidence(marks=BEFORE, verdicts=STEADY, errors=errors)).exit_code == 6


def test_a_disabled_experiment_is_green_and_says_so() -> None:
    found = judge(evidence(enabled=False, verdicts=(), marks={}))
    assert (found.verdict, found.exit_code) == ("disabled", 0)
    assert "disabled" in found.summary


@pytest.mark.parametrize(
    ("sign", "code"),
    [
        ({"marks": GOOD, "verdicts": ()}, 7),
        ({"marks": {}, "claims": (claim(),), "verdicts": ()}, 6),
        ({"marks": {}, "errors": (error("consul-fetch", 3),), "verdicts": ()}, 3),
    ],
)
def test_a_disabled_experiment_with_any_sign_of_a_run_is_not_green(sign: dict[str, Any], code: int) -> None:
    found = judge(evidence(enabled=False, **sign))
    assert (found.verdict, found.exit_code) == ("invalid", code)
