"""The ledger on a file system: one claim a target, marks in order, and acts that reach only the claim they name."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chaos_steps.errors import Unavailable, UsageError
from chaos_steps.ledger import open_ledger, owner
from chaos_steps.ledger.documents import Change, Claim
from chaos_steps.ledger.file import FileLedger
from chaos_steps.ledger.protocol import BeingReverted, ClaimGone, Occupied

CHANGE = Change(before={"a": None}, change={"b": [1]}, at=5.0)


@pytest.fixture
def ledger(tmp_path: Path) -> FileLedger:
    return FileLedger(tmp_path / "ledger")


def claim(**changes: Any) -> Claim:
    made = Claim(
        id=uuid.uuid4().hex,
        kind="waf",
        identity="http://waf host",
        target={"url": "http://waf"},
        run="r-1",
        created=1.0,
        deadline=100.0,
        owner=owner.current(),
        expires=45.0,
    )
    return msgspec.structs.replace(made, **changes)


def test_a_claim_comes_back_as_it_was_made(ledger: FileLedger) -> None:
    made = claim()
    ledger.claim(made)
    assert ledger.find(made.key) == made
    assert ledger.claims() == ledger.claims("r-1") == [made]
    assert ledger.claims("r-2") == []


def test_a_target_has_one_claim_and_another_target_its_own(ledger: FileLedger) -> None:
    made = claim()
    ledger.claim(made)
    with pytest.raises(Occupied) as occupied:
        ledger.claim(claim(run="r-2"))
    assert occupied.value.claim == made
    ledger.claim(claim(identity="http://waf other"))
    ledger.claim(claim(kind="other"))
    assert len(ledger.claims()) == 3


def test_of_many_claimants_at_once_one_wins(ledger: FileLedger) -> None:
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
    ledger: FileLedger,
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


def test_the_change_is_recorded_once_and_then_active(ledger: FileLedger) -> None:
    made = claim()
    ledger.claim(made)
    ledger.record(made, CHANGE)
    ledger.activate(made)
    there = ledger.find(made.key)
    assert there is not None
    assert (there.change, there.active, there.reverting, there.ended) == (CHANGE, True, False, False)


def test_who_marks_reverting_first_keeps_the_change_from_being_recorded(ledger: FileLedger) -> None:
    made = claim()
    ledger.claim(made)
    assert ledger.mark_reverting(made).change is None
    with pytest.raises(BeingReverted):
        ledger.record(made, CHANGE)


def test_a_change_that_was_recorded_first_is_seen_by_who_reverts_and_its_owner_learns_of_it(
    ledger: FileLedger,
) -> None:
    made = claim()
    ledger.claim(made)
    ledger.record(made, CHANGE)
    assert ledger.mark_reverting(made).change == CHANGE
    with pytest.raises(BeingReverted):
        ledger.activate(made)
    assert ledger.mark_reverting(made).reverting


def test_a_new_owner_keeps_the_change_and_the_old_one_reaches_nothing(ledger: FileLedger) -> None:
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


def test_renewing_moves_the_end_of_the_lease_and_needs_no_space(ledger: FileLedger) -> None:
    made = claim()
    ledger.claim(made)
    ledger.renew(made, 77.0)
    there = ledger.find(made.key)
    assert there is not None
    assert there.expires == 77.0


def test_a_mark_is_written_once_and_marks_come_in_the_order_of_writing(ledger: FileLedger) -> None:
    assert ledger.mark("r-1", "load-ready")
    assert ledger.mark("r-1", "fault-active", reason="first", details={"a": 1})
    assert not ledger.mark("r-1", "fault-active", reason="second")
    assert ledger.mark("r-2", "closed")
    marks = ledger.marks("r-1")
    assert list(marks) == ["load-ready", "fault-active"]
    assert [mark.sequence for mark in marks.values()] == [1, 2]
    assert (marks["fault-active"].reason, marks["fault-active"].details) == ("first", {"a": 1})
    assert marks["fault-active"].owner == owner.current()
    assert ledger.runs() == ["r-1", "r-2"]
    ledger.forget_run("r-1")
    assert ledger.runs() == ["r-2"]


def test_marks_written_at_once_get_different_numbers(ledger: FileLedger) -> None:
    names = ("load-ready", "fault-active", "load-started", "load-done", "fault-ended", "closed")
    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(lambda name: ledger.mark("r-1", name), names))
    assert sorted(mark.sequence for mark in ledger.marks("r-1").values()) == [1, 2, 3, 4, 5, 6]


def test_a_claim_of_another_version_is_told_but_not_read(ledger: FileLedger, tmp_path: Path) -> None:
    made = claim()
    ledger.claim(made)
    (path,) = (tmp_path / "ledger").rglob("claim.json")
    path.write_text('{"protocol": 7, "kind": "waf", "run": "r-1", "deadline": 100.5, "owner": "in another form"}')
    (there,) = ledger.claims("r-1")
    assert (there.protocol, there.kind, there.id, there.expires) == (7, "waf", made.id, 100.5)


def test_a_damaged_document_is_unavailable_and_names_the_ledger(ledger: FileLedger, tmp_path: Path) -> None:
    ledger.claim(claim())
    (path,) = (tmp_path / "ledger").rglob("claim.json")
    path.write_text("{")
    with pytest.raises(Unavailable, match="damaged"):
        ledger.claims()


def test_a_place_that_cannot_be_a_folder_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="file"):
        FileLedger(tmp_path / "file" / "ledger").claim(claim())


def test_tidying_removes_what_is_old_and_nobodys_and_nothing_else(ledger: FileLedger, tmp_path: Path) -> None:
    made = claim()
    ledger.claim(made)
    ledger.mark("r-1", "closed")
    root = tmp_path / "ledger"
    for name in ("tmp/new", "tmp/old", "trash/old"):
        (root / name).mkdir(parents=True)
    for name in ("tmp/old", "trash/old"):
        os.utime(root / name, (time.time() - 7200, time.time() - 7200))
    ledger.tidy()
    assert [path.name for path in (root / "tmp").iterdir()] == ["new"]
    assert list((root / "trash").iterdir()) == []
    assert ledger.claims() == [made]
    assert ledger.runs() == ["r-1"]


def test_nothing_is_left_over_by_what_came_to_its_end(ledger: FileLedger, tmp_path: Path) -> None:
    made = claim()
    ledger.claim(made)
    with pytest.raises(Occupied):
        ledger.claim(claim())
    ledger.record(made, CHANGE)
    ledger.mark_reverting(made)
    ledger.remove(made)
    assert [path for path in (tmp_path / "ledger").rglob("*") if path.is_file()] == []


def test_the_default_ledger_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert open_ledger(None).describe() == f"file:{tmp_path}/chaos-steps/ledger"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert open_ledger(None).describe() == f"file:{tmp_path}/home/.local/state/chaos-steps/ledger"


@pytest.mark.parametrize("name", ["file:", "nowhere", "ftp:there"])
def test_what_names_no_ledger_is_a_mistake(name: str) -> None:
    with pytest.raises(UsageError):
        open_ledger(name)
