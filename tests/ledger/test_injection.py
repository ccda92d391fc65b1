"""The owner's side when the ledger fails it: its fault never stays without a claim that can be settled."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos_steps.errors import FaultMayRemain, Unavailable
from chaos_steps.ledger.documents import Claim
from chaos_steps.ledger.file import FileLedger
from chaos_steps.ledger.injection import Injection
from chaos_steps.ledger.reversion import Reversion
from chaos_steps.limits import Limits
from tests.ledger.back_ends import BackEnd
from tests.ledger.memory import Memory


class WithoutRenewal(FileLedger):
    """A ledger that goes away right after a claim was taken over."""

    def renew(self, claim: Claim, until: float) -> None:
        raise Unavailable("away")


def test_who_took_a_fault_over_and_cannot_renew_its_lease_takes_it_out(tmp_path: Path) -> None:
    target = Memory()
    earlier = Injection(FileLedger(tmp_path), target.fault, "r-1", 60.0)
    earlier.apply()
    earlier.leave()
    with pytest.raises(Unavailable, match="away"):
        Injection(WithoutRenewal(tmp_path), target.fault, "r-1", 60.0, lease=45.0).apply()
    assert target.state == "before"
    assert FileLedger(tmp_path).claims() == []


def test_a_damaged_claim_does_not_make_a_changed_target_a_settled_one(back_end: BackEnd) -> None:
    target = Memory()
    injection = Injection(back_end.ledger, target.fault, "r-1", 60.0)
    injection.apply()
    back_end.overwrite(injection.claim, "{")
    target.state = "somebody else's"
    with pytest.raises(FaultMayRemain, match="somebody else changed"):
        injection.undo("the end")


def test_a_claim_that_is_damaged_while_its_owner_is_waited_for_stays(back_end: BackEnd) -> None:
    target = Memory()
    injection = Injection(back_end.ledger, target.fault, "r-1", 60.0)
    injection.apply()

    class Damaging(Memory):
        def restore(self, before: str, change: str) -> None:
            super().restore(before, change)
            back_end.overwrite(injection.claim, "{")

    reverted = Damaging(target.state)
    reversion = Reversion(back_end.ledger, lambda _: reverted, Limits(), grace=60.0, by="test")
    ((_, reason),) = reversion.run("r-1").remaining
    assert "damaged" in reason
    assert reverted.state == "before"
    assert len(back_end.ledger.claims()) == 1
