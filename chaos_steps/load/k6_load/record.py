"""The load's side of the run record: who waits for whom, so that the load lies within the fault."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chaos_steps.errors import InvalidRun, Unavailable
from chaos_steps.params import format_number

if TYPE_CHECKING:
    from chaos_steps.ledger.documents import Claim, Mark, MarkName
    from chaos_steps.ledger.protocol import Ledger

log = logging.getLogger(__name__)

_POLL = 0.2
_WATCH = 0.5
# Seconds for which a claim may be past its lease: its owner is gone, and what happened is no experiment any more.
_OVERDUE = 5.0


class FaultRecord:
    """Marks of a load that runs while a fault lasts.

    load-ready -> fault-active -> load-started -> load-done -> fault-ended; the load writes its three.
    """

    def __init__(self, ledger: Ledger, run: str, window: str) -> None:
        self._ledger = ledger
        self._run = run
        self._window = window
        self._next_look = 0.0

    def announce(self) -> None:
        """Say that the load could start: from now on a fault may be injected. Raises InvalidRun for a second load."""
        if "load-started" in self._ledger.marks(self._run):
            raise self._second_load()
        self._ledger.mark(self._run, "load-ready")

    def wait_until_active(self, seconds: float) -> None:
        """Wait for fault-active. Raises InvalidRun when it does not come, or when the run is over already."""
        end = time.monotonic() + seconds
        log.info("waiting for the fault of run %s", self._run)
        while True:
            marks = self._ledger.marks(self._run)
            if over := _over(marks):
                raise InvalidRun(f"{over}, so nothing was sent")
            if "fault-active" in marks:
                return
            _require_owner(self._ledger.claims(self._run))
            if time.monotonic() > end:
                raise InvalidRun(
                    f"run {self._run} has no active fault after {format_number(seconds)} s, so nothing was sent",
                    hint="see what the injecting command says",
                )
            time.sleep(_POLL)

    @contextmanager
    def loading(self) -> Iterator[None]:
        """The time of the load: load-started, and load-done whatever happens.

        Raises InvalidRun for a second load, and when the fault ended before the load did.
        """
        if not self._ledger.mark(self._run, "load-started", details={"window": self._window}):
            raise self._second_load()
        try:
            yield
        finally:
            self._ledger.mark(self._run, "load-done")
        marks = self._ledger.marks(self._run)
        before = {name: mark for name, mark in marks.items() if mark.sequence < marks["load-done"].sequence}
        if over := _over(before):
            raise InvalidRun(f"{over} while the load was running")

    def is_over(self) -> bool:
        """Whether the fault has ended or the run is closed; looks every half second."""
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + _WATCH
        try:
            return bool(_over(self._ledger.hurried().marks(self._run)))
        except Unavailable as error:  # The load goes on; whether the fault lasted is settled at its end.
            log.warning("cannot see whether the fault is still there: %s", error)
            return False

    def _second_load(self) -> InvalidRun:
        return InvalidRun(f"run {self._run} has had its load already", hint="start a new run")


def wait_until_ended(ledger: Ledger, run: str) -> None:
    """Wait for fault-ended. Raises InvalidRun when there was no fault, or when nobody is left to end it."""
    if "fault-active" not in ledger.marks(run):
        raise InvalidRun(f"run {run} never had an active fault, so there is nothing to recover from; nothing was sent")
    log.info("waiting for the fault of run %s to end", run)
    while "fault-ended" not in ledger.marks(run):
        claims = ledger.claims(run)
        # Whoever removes a claim writes fault-ended first; so look once more.
        if not claims and "fault-ended" not in ledger.marks(run):
            raise InvalidRun(f"run {run} has no claim left and no end of its fault on record; nothing was sent")
        _require_owner(claims)
        time.sleep(_POLL)


def _require_owner(claims: list[Claim]) -> None:
    if claims and time.time() > max(claim.expires for claim in claims) + _OVERDUE:
        raise InvalidRun(
            f"{claims[0]} is overdue: its owner is gone and its fault may still be there; nothing was sent",
            hint="run fault-sweep or fault-revert",
        )


def _over(marks: dict[MarkName, Mark]) -> str:
    """Why the run is over, or an empty text."""
    if "fault-ended" in marks:
        reason = marks["fault-ended"].reason
        return "the fault ended" + (f" ({reason})" if reason else "")
    return "the run was closed" if "closed" in marks else ""
