"""What every back end does: one claim a target, marks in order, and acts that reach only the claim they name."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from chaos_steps.errors import Unavailable
from chaos_steps.ledger import owner
from chaos_steps.ledger.documents import UNKNOWN, Change, Unreadable
from chaos_steps.ledger.protocol import BeingReverted, ClaimGone, Ledger, Occupied
from tests.ledger.back_ends import BackEnd
from tests.ledger.claims import claim

CHANGE = Change(before={"a": None}, change={"b": [1]}, at=5.0)


@pytest.fixture
def ledger(back_end: BackEnd) -> Ledger:
    return back_end.ledger


def test_a_claim_comes_back_as_it_was_made(ledger: Ledger) -> None:
    made = claim()
    ledger.claim(made)
    assert ledger.find(made.key) == made
    assert ledger.claims() == ledger.claims("r-1") == [made]
    assert ledger.claims("r-2") == []


def test_a_target_has_one_claim_and_another_target_its_own(ledger: Ledger) -> None:
    made = claim()
    ledger.claim(made)
    with pytest.raises(Occupied) as occupied:
        ledger.claim(claim(run="r-2"))
    assert occupied.value.claim == made
    ledger.claim(claim(identity="http://waf other"))
    ledger.claim(claim(kind="other"))
    assert len(ledger.claims()) == 3


def test_of_many_claimants_at_once_one_wins(ledger: Ledger) -> None:
    def attempt(_: int) -> bool:
        try:
            ledger.claim(claim())
        except Occupied:
            return False
        return True

    for _ in range(20):
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(attempt, range(8))) == 1
        ledger.remove(ledger.claims()[0])


def test_a_claim_that_was_removed_can_be_made_again_and_is_not_reached_by_acts_on_the_old_one(
    ledger: Ledger,
) -> None:
    old, new = claim(), claim(run="r-2")
    ledger.claim(old)
    ledger.remove(old)
    ledger.claim(new)
    gone: list[Callable[[], object]] = [
        lambda: ledger.record(old, CHANGE),
        lambda: ledger.activate(old),
        lambda: ledger.mark_reverting(old),
        lambda: ledger.renew(old, 1.0),
        lambda: ledger.take_over(old, owner.current()),
    ]
    for act in gone:
        with pytest.raises(ClaimGone):
            act()
    ledger.mark_ended(old)
    ledger.remove(old)
    assert ledger.claims() == [new]


def test_the_change_is_recorded_once_and_then_active(ledger: Ledger) -> None:
    made = claim()
    ledger.claim(made)
    ledger.record(made, CHANGE)
    ledger.activate(made)
    there = ledger.find(made.key)
    assert there is not None
    assert (there.change, there.active, there.reverting, there.ended) == (CHANGE, True, False, False)


def test_who_marks_reverting_first_keeps_the_change_from_being_recorded(ledger: Ledger) -> None:
    made = claim()
    ledger.claim(made)
    assert ledger.mark_reverting(made).change is None
    with pytest.raises(BeingReverted):
        ledger.record(made, CHANGE)


def test_a_change_that_was_recorded_first_is_seen_by_who_reverts_and_its_owner_learns_of_it(
    ledger: Ledger,
) -> None:
    made = claim()
    ledger.claim(made)
    ledger.record(made, CHANGE)
    assert ledger.mark_reverting(made).change == CHANGE
    with pytest.raises(BeingReverted):
        ledger.activate(made)
    assert ledger.mark_reverting(made).reverting


def test_a_new_owner_keeps_the_change_and_the_old_one_reaches_nothing(ledger: Ledger) -> None:
    made = claim()
    ledger.claim(made)
    ledger.record(made, CHANGE)
    ledger.mark_ended(made)
    taken = ledger.take_over(made, owner.current())
    assert taken.id != made.id
    assert (taken.change, taken.ended, taken.created) == (CHANGE, False, made.created)
    with pytest.raises(ClaimGone):
        ledger.renew(made, 1.0)
    newer = msgspec.structs.replace(CHANGE, change="newer", at=6.0)
    ledger.record(taken, newer)
    there = ledger.find(made.key)
    assert there is not None
    assert there.change == newer


def test_renewing_moves_the_end_of_the_lease_and_needs_no_space(ledger: Ledger) -> None:
    made = claim()
    ledger.claim(made)
    ledger.renew(made, 77.0)
    there = ledger.find(made.key)
    assert there is not None
    assert there.expires == 77.0


def test_a_mark_is_written_once_and_marks_come_in_the_order_of_writing(ledger: Ledger) -> None:
    assert ledger.mark("r-1", "load-ready")
    assert ledger.mark("r-1", "fault-active", reason="first", details={"a": 1})
    assert not ledger.mark("r-1", "fault-active", reason="second")
    assert ledger.mark("r-2", "closed")
    marks = ledger.marks("r-1")
    assert list(marks) == ["load-ready", "fault-active"]
    assert [mark.sequence for mark in marks.values()] == [1, 2]
    assert (marks["fault-active"].reason, marks["fault-active"].details) == ("first", {"a": 1})
    assert marks["fault-active"].owner == owner.current()
    assert sorted(ledger.runs()) == ["r-1", "r-2"]
    ledger.forget_run("r-1")
    assert list(ledger.runs()) == ["r-2"]


def test_marks_written_at_once_get_different_numbers(ledger: Ledger) -> None:
    names = ("load-ready", "fault-active", "load-started", "load-done", "fault-ended", "closed")
    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(lambda name: ledger.mark("r-1", name), names))
    assert sorted(mark.sequence for mark in ledger.marks("r-1").values()) == [1, 2, 3, 4, 5, 6]


def test_a_claim_of_another_version_is_told_but_not_read(back_end: BackEnd) -> None:
    made = claim()
    back_end.ledger.claim(made)
    fields = {"protocol": 7, "kind": "waf", "run": "r-1", "deadline": 100.5, "owner": "in another form"}
    back_end.overwrite(made, json.dumps(fields))
    (there,) = back_end.ledger.claims("r-1")
    assert isinstance(there, Unreadable)
    assert (there.protocol, there.kind, there.expires) == (7, "waf", 100.5)
    assert "protocol version 7" in there.why
    assert back_end.ledger.claims("r-2") == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"protocol": 1}', '{"protocol": 1, "run": 5, "id": "x"}'])
def test_a_damaged_claim_may_be_anybodys_and_keeps_no_other_from_being_read(back_end: BackEnd, content: str) -> None:
    ledger, bad, good = back_end.ledger, claim(identity="bad"), claim(run="r-2", identity="good")
    ledger.claim(bad)
    ledger.claim(good)
    back_end.overwrite(bad, content)
    for run in ("r-1", "r-2", None):
        (there,) = (each for each in ledger.claims(run) if isinstance(each, Unreadable))
        assert (there.run, there.expires) == (UNKNOWN, 0.0)
        assert "damaged" in there.why
        assert ledger.describe().partition(":")[2] in there.why
    assert good in ledger.claims("r-2")
    with pytest.raises(Occupied) as occupied:
        ledger.claim(claim(identity="bad"))
    assert occupied.value.claim == there


def test_a_claim_in_another_targets_place_is_damaged(back_end: BackEnd) -> None:
    made = claim()
    back_end.ledger.claim(made)
    back_end.misplace(made)
    (there,) = back_end.ledger.claims("r-1")
    assert isinstance(there, Unreadable)
    assert (there.run, there.identity) == ("r-1", made.identity)
    assert back_end.ledger.claims("r-2") == []


def test_a_damaged_record_cannot_be_read_and_is_left_out_of_all_records(back_end: BackEnd) -> None:
    back_end.ledger.mark("r-1", "closed")
    back_end.ledger.mark("r-2", "closed")
    back_end.overwrite_mark("r-1", "{")
    with pytest.raises(Unavailable, match="damaged"):
        back_end.ledger.marks("r-1")
    with pytest.raises(Unavailable, match="damaged"):
        back_end.ledger.mark("r-1", "fault-ended")
    assert list(back_end.ledger.runs()) == ["r-2"]


def test_nothing_is_left_over_by_what_came_to_its_end(back_end: BackEnd) -> None:
    made, ledger = claim(), back_end.ledger
    ledger.claim(made)
    with pytest.raises(Occupied):
        ledger.claim(claim())
    ledger.record(made, CHANGE)
    ledger.mark_reverting(made)
    ledger.remove(made)
    ledger.mark("r-1", "closed")
    ledger.forget_run("r-1")
    assert back_end.leftovers() == []
