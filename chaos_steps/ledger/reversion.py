"""Everybody's side of a claim: revert what a run, or an owner that is gone, has left.

A claim is marked first; after that its owner may only undo. What cannot be settled is left, named, and counted as
remaining. Every act names the claim's id: a revert that was overtaken by time must never remove the next run's claim.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

from chaos_steps import signals
from chaos_steps.errors import ChaosError, Denied, FaultMayRemain, Refused, Unavailable, UsageError
from chaos_steps.ledger import owner as owners
from chaos_steps.ledger.clock import REAL, Clock
from chaos_steps.ledger.documents import UNKNOWN, Change, Claim, Unreadable
from chaos_steps.ledger.protocol import ClaimGone, Ledger
from chaos_steps.ledger.target import Target, TargetOf, restore_once
from chaos_steps.limits import Limits

log = logging.getLogger(__name__)

RECORD_AGE = 7 * 86400.0
"""Seconds for which the record of a closed run is kept."""

GRACE = 45.0
"""Seconds, by default, for an owner that may still act."""

SWEEP_GRACE = 5.0


@dataclass
class Outcome:
    """What a revert did."""

    reverted: list[Claim] = field(default_factory=list)
    remaining: list[tuple[Claim, str]] = field(default_factory=list)
    """Claims that could not be settled, each with the reason."""
    unclosed: str = ""
    """Why the run could not be closed; its injectors may go on then."""

    def check(self) -> None:
        """Raise FaultMayRemain naming everything that is left."""
        left = [f"{claim}: {reason}" for claim, reason in self.remaining]
        if self.unclosed:
            left.append(f"the run could not be closed, so it may go on: {self.unclosed}")
        if left:
            raise FaultMayRemain("; ".join(left), hint="mend that and revert again")


@dataclass
class Reversion:
    """Reverts claims. `grace` is how many seconds a claim may take whose owner may still act.

    Callers defer signals around it: after one each claim still gets one try, but nothing is waited for.
    """

    ledger: Ledger
    target_of: TargetOf
    limits: Limits
    grace: float
    by: str
    clock: Clock = REAL
    _sweeps: bool = field(default=False, init=False)

    def run(self, run: str) -> Outcome:
        """Close a run, then settle every claim that it has. Raises Unavailable when the ledger cannot be read."""
        unclosed = self._close(run)
        return self._settle_all(self.ledger.claims(run), unclosed)

    def claim(self, claim: Claim) -> Outcome:
        """Settle one claim and close its run."""
        unclosed = self._close(claim.run) if claim.run != UNKNOWN else ""
        return self._settle_all([claim], unclosed)

    def expired(self) -> Outcome:
        """Settle the claims whose lease is over, nothing else; forget runs that were closed long ago."""
        self._sweeps, now = True, self.clock.now()
        outcome = self._settle_all([claim for claim in self.ledger.claims() if claim.expires < now])
        for run, marks in self.ledger.runs().items():
            closed = marks.get("closed")
            if closed is not None and now - closed.at > RECORD_AGE and not self.ledger.claims(run):
                self.ledger.forget_run(run)
        self.ledger.tidy()
        return outcome

    def _close(self, run: str) -> str:
        """A ledger that cannot be written must not keep a fault in its target: go on, and say so at the end."""
        try:
            self.ledger.mark(run, "closed", reason=self.by)
        except Unavailable as error:
            log.error("run %s could not be closed: %s", run, error)
            return str(error)
        return ""

    def _settle_all(self, claims: list[Claim], unclosed: str = "") -> Outcome:
        outcome = Outcome(unclosed=unclosed)
        for claim in claims:
            try:
                reason = self._settle(claim)
            except ChaosError as error:
                reason = str(error)
            except Exception as error:  # A bug with one claim must not keep the others from being reverted.
                log.exception("bug while reverting %s", claim)
                reason = f"bug: {error!r}"
            if reason is None:
                log.info("reverted: %s", claim)
                outcome.reverted.append(claim)
            else:
                log.error("remaining: %s: %s", claim, reason)
                outcome.remaining.append((claim, reason))
        return outcome

    def _settle(self, claim: Claim) -> str | None:
        """Settle one claim; returns why it must stay, or None when it is gone."""
        if isinstance(claim, Unreadable):
            return claim.why
        unwritable: Unavailable | None = None
        try:
            claim = self.ledger.mark_reverting(claim)
        except ClaimGone:
            return self._settle_successor(claim)
        except Unavailable as error:  # No space, say. The fault itself can still be taken out.
            unwritable = error
        if claim.change is None:  # Nothing was recorded, and now nothing can be.
            if unwritable is None:
                self.ledger.remove(claim)
            return str(unwritable) if unwritable else None
        target = self.target_of(claim)
        # Where it may act, the limits say; how much, they need not: taking a fault out only makes it less.
        self.limits.check(replace(target.scope(claim.change.change), percentage=None))
        reason = self._restore(claim, claim.change, target)
        return reason or (str(unwritable) if unwritable else None)

    def _settle_successor(self, gone: Claim) -> str | None:
        """The claim went: settled by its owner, or taken over by a re-created pod of the same run.

        A sweep leaves alone what has a lease again.
        """
        there = self.ledger.find(gone.key)
        if there is None or not there.may_be_of(gone.run) or (self._sweeps and there.expires >= self.clock.now()):
            return None
        return self._settle(there)

    def _restore(self, claim: Claim, change: Change, target: Target) -> str | None:
        """Restore and read until the claim can go, for `grace` seconds at most."""
        give_up = self.clock.monotonic() + self.grace
        while True:
            try:
                if not restore_once(target, change.before, change.change):
                    return "somebody else changed the target; mend it by hand"
                reason = "its owner may still write"
                if self._owner_is_done(claim, change):
                    self._end(claim)
                    return None
            except (Denied, Refused, UsageError):
                raise
            except Unavailable as error:
                reason = str(error)
            there = self.ledger.find(claim.key)
            if there is None or there.id != claim.id:
                return self._settle_successor(claim)
            if isinstance(there, Unreadable):
                return there.why
            if self.clock.monotonic() >= give_up:
                return reason
            if signals.pending() is not None:
                return f"stopped by a signal while {reason}"
            self.clock.sleep(1.0)
            claim = there

    def _owner_is_done(self, claim: Claim, change: Change) -> bool:
        """No write of the owner can land any more."""
        if claim.ended:
            return True
        now = self.clock.now()
        is_over = now >= claim.expires or owners.is_dead(claim.owner) is True
        return is_over and now >= change.landed_at

    def _end(self, claim: Claim) -> None:
        """Write fault-ended before the claim goes, so that whoever waits for it finds the target clean."""
        try:
            self.ledger.mark(claim.run, "fault-ended", reason=f"reverted by {self.by}")
        except Unavailable as error:
            log.warning("run record: %s", error)
        self.ledger.remove(claim)
