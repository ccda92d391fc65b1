"""Processes that meet at one target, each stopped between any two operations of the back end.

The model takes each call of the ledger for one effect. Here the calls themselves are cut up: two claimants, a reverter
and a re-created owner of run 1 use one target at once, and any of them may be killed on the way.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from chaos_steps.ledger import owner as owners
from chaos_steps.ledger.documents import Change, Claim
from chaos_steps.ledger.protocol import BeingReverted, ClaimGone, Ledger, Occupied
from tests.model.model import has_stopped
from tests.model.scheduler import Process, owner_named

SCHEDULES = 300
ROUNDS = 3
KILL = 0.001
"""Probability that a process is killed at a step."""
SWITCHES = (0.02, 0.1, 0.5)
"""Probabilities that another one has its turn: where it is low, some sleep while others do much."""

CHANGE = Change(before=None, change={}, at=0.0)


class Wrong(AssertionError):
    """The ledger broke one of its promises."""


class Meeting:
    """What the processes were promised, kept beside the ledger: they run one at a time, so nothing is lost here."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.held: set[str] = set()
        """Ids of claims that somebody has and nobody has begun to take away."""
        self.taken: set[str] = set()
        """Ids of claims that somebody has begun to take away."""
        self.recorded: set[str] = set()
        self.unused: set[str] = set()
        """Ids of claims that were marked before a change was recorded."""
        self.activated: set[str] = set()
        self.inactive: set[str] = set()
        """Ids of claims that were not active when they were marked."""

    def claim(self, process: Process, run: str) -> int:
        """A claimant: claims, records, activates, removes."""
        for number in range(ROUNDS):
            claim = _claim(f"{process.name}{number}", run)
            try:
                self.ledger.claim(claim)
            except Occupied:
                continue
            self.hold(claim.id)
            self.use(claim)
        return 0

    def take_over(self, _process: Process) -> int:
        """A re-created owner of run 1."""
        for _ in range(ROUNDS):
            there = self.ledger.find(_claim("", "1").key)
            if there is None or there.run != "1":
                continue
            self.take_away(there.id)
            try:
                claim = self.ledger.take_over(there, owners.current())
            except ClaimGone:
                continue
            self.hold(claim.id)
            self.use(claim)
        return 0

    def revert(self, _process: Process) -> int:
        """Removes a claim that it has looked at, however long ago."""
        for _ in range(ROUNDS):
            there = self.ledger.find(_claim("", "1").key)
            if there is None:
                continue
            try:
                marked = self.ledger.mark_reverting(there)
            except ClaimGone:
                continue
            if marked.change is None:
                self.unused.add(marked.id)
            if not marked.active:
                self.inactive.add(marked.id)
            self.require_one_sees_the_other()
            self.remove(marked)
        return 0

    def hold(self, identifier: str) -> None:
        """A claim was made or taken over: it must be the only one."""
        if identifier not in self.taken:  # Others can see a claim before its maker knows that it has it.
            self.held.add(identifier)
        if len(self.held) > 1:
            raise Wrong(f"two claims: {self.held}")

    def use(self, claim: Claim) -> None:
        """Record and activate; then the claim must still be there unless somebody has begun to take it away."""
        try:
            self.ledger.record(claim, CHANGE)
            self.recorded.add(claim.id)
            self.ledger.activate(claim)
            self.activated.add(claim.id)
            self.require_one_sees_the_other()
        except (BeingReverted, ClaimGone):
            pass
        was_held = claim.id in self.held
        there = self.ledger.find(claim.key)
        if was_held and claim.id in self.held and (there is None or there.id != claim.id):
            raise Wrong(f"{claim.id} is gone, and nobody has taken it away")
        self.remove(claim)

    def remove(self, claim: Claim) -> None:
        self.take_away(claim.id)
        self.ledger.remove(claim)

    def take_away(self, identifier: str) -> None:
        self.held.discard(identifier)
        self.taken.add(identifier)

    def require_one_sees_the_other(self) -> None:
        """An owner and a reverter of one claim: whoever is second knows of the first."""
        if both := (self.recorded & self.unused) | (self.activated & self.inactive):
            raise Wrong(f"{both}: neither the owner nor the reverter knows of the other")


def _claim(identifier: str, run: str) -> Claim:
    owner = owner_named(identifier)
    return Claim(
        id=identifier, kind="k", identity="i", target={}, run=run, created=0.0, deadline=9e9, expires=9e9, owner=owner
    )


def run_schedules(ledger: Callable[[int], Ledger], count: int) -> int:
    """Run so many different ones, each with the ledger of its seed; returns the number of steps. Raises Wrong."""
    return sum(run_schedule(ledger(seed), seed) for seed in range(count))


def run_schedule(ledger: Ledger, seed: int) -> int:
    """Let the processes meet in an order that the seed gives; returns the number of steps. Raises Wrong."""
    choose = random.Random(seed)
    meeting = Meeting(ledger)
    processes = [
        Process("x", lambda process: meeting.claim(process, "1")),
        Process("y", lambda process: meeting.claim(process, "2")),
        Process("b", meeting.take_over),
        Process("r", meeting.revert),
    ]
    steps = 0
    process, switch = processes[0], choose.choice(SWITCHES)
    while living := [process for process in processes if not has_stopped(process.at)]:
        if has_stopped(process.at) or choose.random() < switch:
            process = choose.choice(living)
        process.move("is killed" if choose.random() < KILL else "goes on")
        if has_stopped(process.at) and process.at not in ("dead", "end 0"):
            for other in living:
                if other is not process:
                    other.move("is killed")
            raise Wrong(f"seed {seed}, step {steps}: {process.name}: {process.at}")
        steps += 1
    _require_usable(meeting.ledger)
    return steps


def _require_usable(ledger: Ledger) -> None:
    """Whatever was left half done, the target can be settled and claimed again."""
    for there in ledger.claims():
        ledger.remove(ledger.mark_reverting(there))
    ledger.claim(_claim("last", "3"))
    assert [claim.id for claim in ledger.claims()] == ["last"]
