"""What a back end of the ledger can do. Each method is one effect: it happens whole or not at all."""

from __future__ import annotations

from typing import Any, Protocol

from chaos_steps.ledger.documents import Change, Claim, Mark, MarkName, Owner


class Occupied(Exception):
    """The target is claimed already."""

    def __init__(self, claim: Claim) -> None:
        super().__init__(str(claim))
        self.claim = claim


class ClaimGone(Exception):
    """The claim of this id is not there any more."""


class BeingReverted(Exception):
    """Somebody has begun to revert the claim; its owner may only undo."""


class Ledger(Protocol):
    """Claims and run records. Every method raises Unavailable when the back end cannot be used.

    An act on a claim names its id and does nothing to any other claim of the same target.
    """

    def describe(self) -> str:
        """The ledger's name, as --ledger takes it."""

    def hurried(self) -> Ledger:
        """The same ledger for who cannot wait long for a back end that is away for a time."""

    def claim(self, claim: Claim) -> None:
        """Create the claim, with `expires` as its lease. Raises Occupied with the claim that is there."""

    def find(self, key: str) -> Claim | None:
        """The claim on a target as it stands now; Unreadable when it is damaged or of another version."""

    def claims(self, run: str | None = None) -> list[Claim]:
        """All claims, or those of a run, with the unreadable ones that may be the run's."""

    def take_over(self, claim: Claim, owner: Owner) -> Claim:
        """Give the claim a new id and owner, so that the old owner's acts no longer reach it. Raises ClaimGone."""

    def record(self, claim: Claim, change: Change) -> None:
        """Write down the change to come. Raises BeingReverted or ClaimGone, then it must not be made.

        It competes with `mark_reverting` for one exclusive name: exactly one of the two is first.
        """

    def activate(self, claim: Claim) -> None:
        """Say that the change was read back. Raises BeingReverted or ClaimGone, then it must be undone."""

    def mark_reverting(self, claim: Claim) -> Claim:
        """Say that the claim is being reverted; returns it as it stands. Raises ClaimGone."""

    def mark_ended(self, claim: Claim) -> None:
        """The owner's word that it will not act any more. Nothing happens when the claim is gone."""

    def renew(self, claim: Claim, until: float) -> None:
        """Move the end of the lease, epoch seconds. Raises ClaimGone."""

    def remove(self, claim: Claim) -> None:
        """Remove the claim of this id. Nothing happens when it is gone."""

    def mark(self, run: str, name: MarkName, *, reason: str = "", details: dict[str, Any] | None = None) -> bool:
        """Write a mark of a run; False when the run has it already."""

    def marks(self, run: str) -> dict[MarkName, Mark]:
        """The marks of a run, in the order in which they were written."""

    def runs(self) -> dict[str, dict[MarkName, Mark]]:
        """The marks of every run that has one. A damaged record is logged and left out."""

    def forget_run(self, run: str) -> None:
        """Remove a run's marks."""

    def tidy(self) -> None:
        """Remove what interrupted operations left behind and nobody can need."""
