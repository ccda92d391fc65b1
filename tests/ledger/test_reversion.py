"""Reverting many claims: what happens to one does not decide about the others."""

from __future__ import annotations

import time
from pathlib import Path

from chaos_steps.ledger.documents import Change, Claim
from chaos_steps.ledger.file import FileLedger
from chaos_steps.ledger.reversion import Reversion
from chaos_steps.ledger.target import Target
from chaos_steps.limits import Limits


def claim_on(identity: str) -> Claim:
    now = time.time()
    return Claim(
        id=identity, kind="waf", identity=identity, target={}, run="r", created=now, deadline=now + 60, expires=now + 60
    )


def broken(_claim: Claim) -> Target:
    raise RuntimeError("a bug in the kind's own code")


def test_a_bug_with_one_claim_keeps_no_other_from_being_settled(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path)
    for identity in ("first", "second", "third"):
        ledger.claim(claim_on(identity))
    ledger.record(claim_on("second"), Change(before=None, change={}, at=time.time()))
    outcome = Reversion(ledger, broken, Limits(), grace=0, by="test").run("r")
    assert sorted(claim.identity for claim in outcome.reverted) == ["first", "third"]
    ((left, reason),) = outcome.remaining
    assert left.identity == "second"
    assert reason.startswith("bug: ")
    assert [claim.identity for claim in ledger.claims("r")] == ["second"]
