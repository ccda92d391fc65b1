"""The design holds in every state that the model can reach, and the model finds each mistake that is put into it."""

from __future__ import annotations

import pytest

from tests.model.model import Flaw, Scenario, explore

FOUND_BY = {
    Flaw.READ_BEFORE_CLAIM: ("ac", "a fault was taken for the original"),
    Flaw.NO_LOOK_FOR_CLOSED_AFTER_CLAIM: ("ar", "fault-revert said 0"),
    Flaw.RECORD_WHILE_REVERTING: ("as", "a fault without a claim"),
    Flaw.REVERT_WAITS_FOR_NO_OWNER: ("ar", "a run holds a target without a claim"),
    Flaw.REVERT_IGNORES_LATE_WRITES: ("as", "a fault without a claim"),
    Flaw.REVERT_OVERLOOKS_A_TAKE_OVER: ("abr", "fault-revert said 0"),
    Flaw.REMOVE_WHATEVER_IS_THERE: ("acs", "a fault without a claim"),
    Flaw.TAKE_OVER_DOES_NOT_OUTLAST: ("abs", "a fault without a claim"),
    Flaw.WRITE_BEGINS_LATE: ("as", "a fault without a claim"),
    Flaw.UNKNOWN_OUTCOME_GIVES_THE_CLAIM_UP: ("a", "a fault without a claim"),
}


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("acs"),
        Scenario("acs", marked=True),
        Scenario("abs"),
        Scenario("abs", same_change=False),
        Scenario("abs", atomic=True),
    ],
    ids=str,
)
def test_no_interleaving_breaks_the_design_and_a_clean_end_can_always_be_reached(scenario: Scenario) -> None:
    states, fault, _ = explore(scenario)
    assert not fault
    assert states > 10_000


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("acr"),
        Scenario("abr"),
        Scenario("abr", same_change=False),
        Scenario("acrs"),
    ],
    ids=str,
)
def test_no_interleaving_breaks_the_design(scenario: Scenario) -> None:
    states, fault, _ = explore(scenario, to_the_end=False)
    assert not fault
    assert states > 10_000


def test_without_a_sweep_what_a_killed_owner_leaves_may_stay() -> None:
    fault = explore(Scenario("ac")).fault
    assert fault.startswith("never clean again")


@pytest.mark.parametrize("flaw", FOUND_BY, ids=lambda flaw: flaw.name)
def test_a_mistake_in_the_design_is_found(flaw: Flaw) -> None:
    processes, why = FOUND_BY[flaw]
    fault = explore(Scenario(processes, flaw=flaw)).fault
    assert fault.startswith(why)


def test_an_owner_that_sleeps_between_recording_and_writing_is_what_cannot_be_excluded() -> None:
    fault = explore(Scenario("as", flaw=Flaw.OWNER_SLEEPS_BEFORE_ITS_WRITE)).fault
    assert fault.startswith("a fault without a claim")
