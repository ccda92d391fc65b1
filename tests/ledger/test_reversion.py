"""Reverting many claims: what happens to one does not decide about the others."""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec
import pytest

from chaos_steps.errors import FaultMayRemain, Refused
from chaos_steps.ledger.clock import Clock
from chaos_steps.ledger.documents import Change, Claim
from chaos_steps.ledger.file import FileLedger
from chaos_steps.ledger.injection import Injection
from chaos_steps.ledger.protocol import Ledger
from chaos_steps.ledger.reversion import Reversion
from chaos_steps.ledger.target import Target
from chaos_steps.limits import Limits
from tests.ledger.back_ends import BackEnd
from tests.ledger.claims import claim
from tests.ledger.memory import Memory

DAY = 86400.0


def broken(_claim: Claim) -> Target:
    raise RuntimeError("a bug in the kind's own code")


class Later(Clock):
    """So many seconds later."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now(self) -> float:
        return time.time() + self._seconds


def lasting(identity: str, run: str = "r") -> Claim:
    now = time.time()
    return claim(id=identity, kind="waf", identity=identity, run=run, deadline=now + 60, expires=now + 60)


def reversion(ledger: Ledger, *targets: Memory, later: float = 0.0) -> Reversion:
    def target_of(there: Claim) -> Target:
        return next(target for target in targets if target.identity == there.identity)

    return Reversion(ledger, target_of, Limits(), grace=0, by="test", clock=Later(later))


def test_a_bug_with_one_claim_keeps_no_other_from_being_settled(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path)
    for identity in ("first", "second", "third"):
        ledger.claim(lasting(identity))
    ledger.record(lasting("second"), Change(before=None, change={}, at=time.time()))
    outcome = Reversion(ledger, broken, Limits(), grace=0, by="test").run("r")
    assert sorted(claim.identity for claim in outcome.reverted) == ["first", "third"]
    ((left, reason),) = outcome.remaining
    assert left.identity == "second"
    assert reason.startswith("bug: ")
    assert [claim.identity for claim in ledger.claims("r")] == ["second"]


@pytest.fixture
def faults(back_end: BackEnd) -> list[Memory]:
    """Faults of the run r, and one of another run."""
    targets = [Memory(identity=identity) for identity in ("first", "second", "third", "other")]
    for target in targets:
        injection = Injection(back_end.ledger, target.fault, "another" if target.identity == "other" else "r", 60.0)
        injection.apply()
        injection.leave()
    return targets


def damage(back_end: BackEnd, target: Memory, content: str = "{") -> None:
    there = back_end.ledger.find(claim(kind=target.kind, identity=target.identity).key)
    assert there is not None
    back_end.overwrite(there, content)


def test_a_damaged_claim_is_named_by_every_revert_and_keeps_no_other_fault_in(
    back_end: BackEnd, faults: list[Memory]
) -> None:
    damage(back_end, faults[1])
    outcome = reversion(back_end.ledger, *faults).run("r")
    assert [target.state for target in faults] == ["before", "changed", "before", "changed"]
    with pytest.raises(FaultMayRemain, match="damaged"):
        outcome.check()
    with pytest.raises(FaultMayRemain, match="damaged"):
        reversion(back_end.ledger, *faults).run("another").check()
    assert [target.state for target in faults] == ["before", "changed", "before", "before"]
    assert len(back_end.ledger.claims()) == 1


def test_a_damaged_claim_is_named_by_every_sweep_and_keeps_no_other_fault_in(
    back_end: BackEnd, faults: list[Memory]
) -> None:
    damage(back_end, faults[0], "[]")
    with pytest.raises(FaultMayRemain, match="damaged"):
        reversion(back_end.ledger, *faults).expired().check()
    assert {target.state for target in faults} == {"changed"}
    with pytest.raises(FaultMayRemain, match="damaged"):
        reversion(back_end.ledger, *faults, later=120.0).expired().check()
    assert [target.state for target in faults] == ["changed", "before", "before", "before"]


def test_reverting_a_claim_of_nobody_knows_which_run_closes_none(back_end: BackEnd, faults: list[Memory]) -> None:
    damage(back_end, faults[0])
    (there,) = (each for each in back_end.ledger.claims("r") if each.run == "?")
    assert reversion(back_end.ledger, *faults).claim(there).remaining
    assert all("closed" not in marks for marks in back_end.ledger.runs().values())


def test_a_claim_that_cannot_be_read_is_not_taken_over_by_its_own_run(back_end: BackEnd, faults: list[Memory]) -> None:
    there = back_end.ledger.find(claim(kind="memory", identity="first").key)
    assert there is not None
    back_end.overwrite(there, json.dumps({**msgspec.to_builtins(there), "protocol": 2}))
    with pytest.raises(Refused, match="protocol version 2"):
        Injection(back_end.ledger, faults[0].fault, "r", 60.0).apply()
    assert faults[0].state == "changed"
    assert len(back_end.ledger.claims("r")) == 3


def test_records_of_closed_runs_are_forgotten_after_seven_days_whatever_another_one_is_like(back_end: BackEnd) -> None:
    for run in ("damaged", "closed", "open", "claimed"):
        back_end.ledger.mark(run, "load-ready" if run == "open" else "closed")
    back_end.ledger.claim(lasting("x", run="claimed"))
    back_end.overwrite_mark("damaged", "{")
    reversion(back_end.ledger, later=6.9 * DAY - 3600).expired()
    assert sorted(back_end.ledger.runs()) == ["claimed", "closed", "open"]
    back_end.ledger.claim(lasting("x", run="claimed"))
    back_end.ledger.renew(lasting("x", run="claimed"), time.time() + 10 * DAY)
    reversion(back_end.ledger, later=7.1 * DAY).expired()
    assert sorted(back_end.ledger.runs()) == ["claimed", "open"]
