"""The owner's side of a claim: put a fault in, take it out.

Claim before reading, or a second run takes the first one's fault for the original. Look for `closed` after claiming:
a revert closes the run first and lists claims after, so one of the two sides always sees the other.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from dataclasses import dataclass, field
from typing import Any

import msgspec

from chaos_steps import signals
from chaos_steps.errors import ChaosError, Denied, FaultMayRemain, OutcomeUnknown, Refused, Unavailable
from chaos_steps.ledger import owner as owners
from chaos_steps.ledger.clock import REAL, Clock
from chaos_steps.ledger.documents import START_BOUND, Change, Claim, Unreadable
from chaos_steps.ledger.protocol import BeingReverted, ClaimGone, Ledger, Occupied
from chaos_steps.ledger.target import Fault, State, restore_once

log = logging.getLogger(__name__)

SECOND_LOOK = 5.0
"""Seconds after which a target is read again when a write's outcome is unknown."""

UNDO_PATIENCE = 15.0
"""Seconds for which an undo that meets an unreachable target is tried again."""


@dataclass
class Injection:
    """One fault of one run, as its owner sees it.

    `ttl` and `lease` are seconds; without a lease the claim lasts for its ttl.
    """

    ledger: Ledger
    fault: Fault
    run: str
    ttl: float
    lease: float | None = None
    clock: Clock = REAL
    claim: Claim = field(init=False)

    def apply(self) -> None:
        """Claim the target, write the change and read it back.

        Raises Refused, Unavailable (nothing is left changed) or FaultMayRemain. When it returns the claim is active.
        """
        with signals.deferred():
            self._claim()
            if self._is_closed():
                self._back_out()
                raise Refused(f"run {self.run} is closed", hint="start a new run")
            self._prepare()
            self._activate()

    @property
    def is_claimed(self) -> bool:
        """Whether this process has, or had, a claim on the target."""
        return hasattr(self, "claim")

    def undo(self, reason: str) -> None:
        """Take the fault out, read that back, say so in the run record, and give the claim up.

        Raises FaultMayRemain; then the claim stays.
        """
        with signals.deferred():
            self._restore()
            self.say_ended(reason)
            self.release()

    def restore(self) -> None:
        """Take the fault out and read that back, but keep the claim; `release` must follow."""
        with signals.deferred():
            self._restore()

    def say_ended(self, reason: str, details: dict[str, Any] | None = None) -> None:
        """Write fault-ended. A ledger that cannot take it does not change that the fault is out."""
        try:
            self.ledger.mark(self.run, "fault-ended", reason=reason, details=details)
        except Unavailable as error:
            log.warning("run record: %s", error)

    def release(self) -> None:
        """Give up the claim of a target that is as it was before. Raises FaultMayRemain."""
        try:
            self.ledger.remove(self.claim)
        except Unavailable as error:
            raise FaultMayRemain(f"{self.claim} could not be removed: {error}", hint=self._advice()) from error

    def leave(self) -> None:
        """Say that this process will not act any more; the fault stays, and others may revert it.

        Raises Unavailable; then it has to be undone.
        """
        self.ledger.mark_ended(self.claim)

    def is_there(self) -> bool | None:
        """Read the target: True with the change in it, False when it is as before, None when somebody changed it."""
        state = self.fault.target.read()
        if self.fault.target.holds(state, self.fault.change):
            return True
        return False if state == self._before() else None

    def is_settled_by_others(self) -> bool:
        """Whether the claim is gone: then the target was as before, and what is there now is the next one's."""
        there = self.ledger.find(self.claim.key)
        return there is None or (there.id != self.claim.id and not isinstance(there, Unreadable))

    def _claim(self) -> None:
        now = self.clock.now()
        deadline = now + self.ttl
        target = self.fault.target
        claim = Claim(
            id=uuid.uuid4().hex,
            kind=target.kind,
            identity=target.identity,
            target=target.address(),
            run=self.run,
            created=now,
            deadline=deadline,
            owner=owners.current(),
            expires=deadline if self.lease is None else min(deadline, now + self.lease),
        )
        try:
            self.ledger.claim(claim)
            self.claim = claim
        except Occupied as occupied:
            self._take_over(occupied.claim)

    def _take_over(self, there: Claim) -> None:
        """Go on from a claim of the same run: Tekton re-creates lost pods."""
        if isinstance(there, Unreadable):
            raise Refused(f"{there} is in the way: {there.why}")
        if there.run != self.run:
            expired = " has expired; run fault-sweep" if there.expires < self.clock.now() else " holds it"
            raise Refused(
                f"{there.kind} {there.identity} is claimed by run {there.run}, whose claim {there.id}{expired}"
            )
        if there.reverting:
            raise Refused(f"{there} is being reverted", hint="wait for it, or start a new run")
        if not there.ended and owners.is_dead(there.owner) is False:
            raise Refused(f"{there} is held by a living process", hint="stop that one first")
        try:
            self.claim = self.ledger.take_over(there, owners.current())
            if self.lease is not None:
                self.ledger.renew(self.claim, min(self.claim.deadline, self.clock.now() + self.lease))
        except ClaimGone:
            raise Refused(f"{there} was taken by another process") from None
        except Unavailable:
            if self.is_claimed:  # The earlier owner's fault is ours now.
                self._back_out()
            raise

    def _is_closed(self) -> bool:
        try:
            return "closed" in self.ledger.marks(self.run)
        except Unavailable:
            self._back_out()
            raise

    def _back_out(self) -> None:
        """Give up a claim before this process has written anything; what an earlier owner wrote is undone."""
        if self.claim.change is None:
            self.ledger.remove(self.claim)
        else:
            self._outlast(self.claim.change)
            self._restore(self.claim.change)
            self.release()

    def _prepare(self) -> None:
        """Have the change in the target: recorded, written and read back."""
        earlier = self.claim.change
        if earlier is None:
            self._write(self._first_look())
        elif not self._is_there_already(earlier):
            self._write(earlier.before)

    def _first_look(self) -> State:
        """The target before anything was done to it; without a clear look at it the claim is given up."""
        try:
            state = self.fault.target.read()
        except Exception:
            self.ledger.remove(self.claim)
            raise
        self._refuse_marked(state)
        return state

    def _refuse_marked(self, state: State) -> None:
        marked_by = self.fault.target.marked_by(state)
        if marked_by is not None:
            self.ledger.remove(self.claim)
            raise Refused(
                f"{self.claim.kind} {self.claim.identity} has a fault of run {marked_by}, unknown to this ledger",
                hint=f"fault-revert --run {marked_by} with the ledger of that run",
            )

    def _is_there_already(self, earlier: Change) -> bool:
        """Whether an earlier owner has put our very change in; when not, the target is as it was before."""
        target = self.fault.target
        self._outlast(earlier)
        try:
            state = target.read()
        except Unavailable as error:
            raise FaultMayRemain(f"{self.claim}: the target cannot be read: {error}", hint=self._advice()) from error
        if earlier.change == self.fault.change and target.holds(state, earlier.change):
            return True
        self._restore(earlier)
        return False

    def _outlast(self, earlier: Change) -> None:
        """Wait until no write of an earlier owner can land; one that has landed does not come twice."""
        landing = earlier.landed_at - self.clock.now()
        if landing <= 0:
            return
        with contextlib.suppress(Unavailable):
            if self.fault.target.holds(self.fault.target.read(), earlier.change):
                return
        self.clock.sleep(min(landing, earlier.landed_at - earlier.at))

    def _write(self, before: State) -> None:
        change = Change(before=before, change=self.fault.change, at=self.clock.now())
        try:
            self.ledger.record(self.claim, change)
        except (BeingReverted, ClaimGone):
            self.ledger.remove(self.claim)
            raise Refused(f"{self.claim} is being reverted; nothing was written") from None
        except Unavailable:
            self.ledger.remove(self.claim)
            raise
        self.claim = msgspec.structs.replace(self.claim, change=change)
        self._require_in_time(change)
        try:
            self.fault.target.write(self.fault.change)
        except OutcomeUnknown as error:
            self._undo_unknown(error)
        except Exception:
            self._undo_refused()
            raise

    def _require_in_time(self, change: Change) -> None:
        """Give the claim up when recording took so long that the write could land when others think it cannot."""
        if self.clock.now() <= change.at + START_BOUND:
            return
        slow = Unavailable(f"ledger {self.ledger.describe()} took longer than {START_BOUND:g} s; nothing was written")
        failure = self._reverted_or(slow)
        self.ledger.remove(self.claim)
        raise failure

    def _undo_refused(self) -> None:
        """The write certainly did not happen: read that back, and give the claim up."""
        target = self.fault.target
        with contextlib.suppress(Unavailable):
            state = target.read()
            if not target.holds(state, self.fault.change):  # Another ledger's run may have been faster.
                self._refuse_marked(state)
        self._restore()
        self.release()

    def _undo_unknown(self, cause: OutcomeUnknown) -> None:
        """The write may have happened or may still: undo, look, and look again. The claim stays for the sweep."""
        self._restore()
        self.clock.sleep(SECOND_LOOK)
        self._restore()
        raise Unavailable(
            f"{cause}; the fault is not in the target now",
            hint=f"{self.claim} stays until its deadline, for fault-sweep",
        ) from cause

    def _activate(self) -> None:
        """Read the change back and say so; whatever is wrong then, undo."""
        failure: Exception
        try:
            if self.is_there():
                self.ledger.activate(self.claim)
                if "closed" not in self.ledger.marks(self.run):
                    return
                failure = Refused(f"run {self.run} was closed meanwhile")
            else:
                failure = self._reverted_or(
                    Unavailable(f"{self.fault.target.identity} accepted the change, but it is not there")
                )
        except (BeingReverted, ClaimGone):
            failure = Refused(f"{self.claim} was reverted meanwhile")
        except Exception as error:  # noqa: BLE001 - whatever it is, a bug included, the fault comes out first
            failure = error
        self._restore()
        self.release()
        raise failure

    def _reverted_or(self, failure: ChaosError) -> ChaosError:
        """What to report: a revert that came meanwhile explains every failure."""
        there = self.ledger.find(self.claim.key)
        if there is None or there.id != self.claim.id or there.reverting:
            return Refused(f"{self.claim} was reverted meanwhile")
        return failure

    def _restore(self, change: Change | None = None) -> None:
        """Bring the target back to what it was before, and read that back. Raises FaultMayRemain."""
        change = change or self.claim.change
        if change is None:
            return
        give_up = self.clock.monotonic() + UNDO_PATIENCE
        while True:
            try:
                if restore_once(self.fault.target, change.before, change.change) or self.is_settled_by_others():
                    return
                raise FaultMayRemain(f"{self.claim}: somebody else changed the target", hint=self._advice())
            except Unavailable as error:
                if isinstance(error, Denied) or self.clock.monotonic() >= give_up:
                    raise FaultMayRemain(f"{self.claim}: {error}", hint=self._advice()) from error
                log.warning("undo: %s; trying again", error)
                self.clock.sleep(1.0)

    def _before(self) -> State:
        return None if self.claim.change is None else self.claim.change.before

    def _advice(self) -> str:
        return f"when the target is in order again: fault-revert --run {self.run} --ledger {self.ledger.describe()}"
