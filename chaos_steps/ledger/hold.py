"""Holding a fault: while it lasts, a process owns it and reads it back every second.

The owner gets SIGTERM from whatever ends a run (a plain cancel, a timeout, a deletion), also where Tekton's `finally`
is skipped; the lease ends a fault whose owner got no signal at all.
"""

from __future__ import annotations

import logging
import signal
from dataclasses import dataclass, field
from typing import Protocol

from chaos_steps import signals
from chaos_steps.errors import BUG, ChaosError, FaultMayRemain, InvalidRun, Refused, Stopped, Unavailable
from chaos_steps.ledger.documents import Mark, MarkName
from chaos_steps.ledger.injection import Injection
from chaos_steps.ledger.probe import Probe
from chaos_steps.ledger.protocol import ClaimGone

log = logging.getLogger(__name__)

LEASE = 45.0
RENEWAL = 10.0
TICK = 1.0
LOAD_MARGIN = 30.0
"""Seconds beyond --duration that a load may take before the hold gives up on it."""


class Companion(Protocol):
    """The COMMAND of `hold -- COMMAND`."""

    def start(self) -> None:
        """Start it."""

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""

    def stop(self, signum: int) -> int:
        """Forward one signal, wait, and return the exit code."""


@dataclass
class _Readings:
    """What the read-backs saw; for the report."""

    there: int = 0
    missing: int = 0
    drifted: int = 0
    unreachable: int = 0


@dataclass
class Hold:
    """One fault, held. Durations are seconds."""

    injection: Injection
    duration: float
    wait_for_load: float | None = None
    probe: Probe | None = None
    companion: Companion | None = None
    _readings: _Readings = field(default_factory=_Readings)
    _renewed: float = 0.0

    def run(self) -> int:
        """Hold the fault to its end and revert it; returns the exit code of the companion, else 0.

        Raises InvalidRun when the experiment did not happen as asked, Stopped after a signal, FaultMayRemain whenever
        the target is not proved to be as before.
        """
        with signals.deferred():
            with signals.interruptible():
                self._await_start()
            self._renewed = self.injection.clock.monotonic()  # The claim's lease counts from when it is made.
            self.injection.apply()
            code = self._hold()
            signals.check()  # One may have come while the fault was being taken out.
            return code

    def _await_start(self) -> None:
        marks = self._marks()
        if "fault-ended" in marks:
            log.info("the fault of run %s has ended already: %s", self.injection.run, marks["fault-ended"].reason)
            raise Stopped(signal.SIGTERM)
        if self.wait_for_load is not None:
            self._await_load(self.wait_for_load)

    def _hold(self) -> int:
        """From the applied fault to the reverted one. Deferred: a signal comes through only while `_watch` waits."""
        code, reason = 0, ""
        failure: Exception | None = None
        try:
            started = self._announce()
            if self.probe:
                self.probe.start()
            if self.companion:
                self.companion.start()
            with signals.interruptible():
                code, reason = self._watch(started)
        except Exception as error:  # noqa: BLE001 - whatever it is, a bug included, the fault comes out first
            failure, reason = error, str(error)
            code = error.code if isinstance(error, ChaosError) else BUG
        try:
            self._end(reason, code)
        finally:
            if self.companion and self.companion.poll() is None:
                self.companion.stop(failure.signum if isinstance(failure, Stopped) else signal.SIGTERM)
        if failure:
            raise failure
        return code

    def _await_load(self, patience: float) -> None:
        clock = self.injection.clock
        give_up = clock.monotonic() + patience
        while True:
            signals.check()
            marks = self._marks()
            if "closed" in marks:
                raise Refused(f"run {self.injection.run} is closed", hint="start a new run")
            if "load-ready" in marks:
                return
            if clock.monotonic() >= give_up:
                raise InvalidRun(f"no load was ready within {patience:g} s; nothing was injected")
            clock.sleep(TICK / 4)

    def _announce(self) -> float:
        """Write fault-active, unless an earlier owner of this hold has; returns its time, the start."""
        announce(self.injection)
        log.info("fault active: %s", self.injection.fault.summary)
        mark = self._marks().get("fault-active")
        if mark is None:
            raise InvalidRun(f"the record of run {self.injection.run} was removed from the ledger")
        return mark.at

    def _watch(self, started: float) -> tuple[int, str]:
        """Tick until the hold is over; returns the exit code and the reason. Raises what ends it badly."""
        clock = self.injection.clock
        while True:
            signals.check()
            self._renew()
            marks = self._news()
            if "closed" in marks or "fault-ended" in marks:
                raise InvalidRun(f"run {self.injection.run} was ended by somebody else while the fault was held")
            self._look()
            over = self._is_over(marks, clock.now() - started)
            if over is not None:
                return over
            clock.sleep(TICK)

    def _is_over(self, marks: dict[MarkName, Mark], held: float) -> tuple[int, str] | None:
        if self.companion is not None:
            code = self.companion.poll()
            if code is not None:
                return code, f"the command ended with {code}"
        if self.wait_for_load is not None:
            if "load-done" in marks:
                return 0, "the load is done"
            if held >= self.duration + LOAD_MARGIN:
                raise InvalidRun(f"the load was not done {LOAD_MARGIN:g} s after the {self.duration:g} s of the fault")
        elif self.companion is not None:
            if held >= self.duration + LOAD_MARGIN:
                raise InvalidRun(f"the command still ran {LOAD_MARGIN:g} s after the {self.duration:g} s of the fault")
        elif held >= self.duration:
            return 0, "the duration is over"
        return None

    def _renew(self) -> None:
        injection, clock = self.injection, self.injection.clock
        since = clock.monotonic() - self._renewed
        if since < RENEWAL:
            return
        until = min(injection.claim.deadline, clock.now() + LEASE)
        try:
            if since >= LEASE:
                raise InvalidRun(f"{injection.claim} could not be renewed for {since:.0f} s")
            injection.ledger.renew(injection.claim, until)
            self._renewed = clock.monotonic()
        except ClaimGone:
            raise InvalidRun(f"{injection.claim} was reverted by somebody else") from None
        except Unavailable as error:
            if since >= LEASE - RENEWAL:
                raise InvalidRun(f"{injection.claim} cannot be renewed: {error}") from error
            log.warning("lease: %s", error)
        if clock.now() >= injection.claim.deadline:
            raise InvalidRun(f"{injection.claim} has reached its deadline")

    def _look(self) -> None:
        try:
            there = self.injection.is_there()
        except Unavailable as error:
            self._readings.unreachable += 1
            log.warning("read-back: %s", error)
            return
        if there:
            self._readings.there += 1
        elif there is False:
            self._readings.missing += 1
            raise InvalidRun(
                f"the fault is not in {self.injection.fault.target.identity} any more; this run did not remove it"
            )
        elif self.injection.is_settled_by_others():
            raise InvalidRun(f"{self.injection.claim} was reverted by somebody else")
        else:
            self._readings.drifted += 1
            raise FaultMayRemain(
                f"somebody else changed {self.injection.fault.target.identity} while the fault was held"
            )

    def _end(self, reason: str, code: int) -> None:
        """Revert, read back, write fault-ended, give the claim up: in this order, so that who waits finds it done."""
        injection = self.injection
        if self.probe:
            self.probe.stop()
        injection.restore()
        details = {
            "readBacks": self._readings.there,
            "missing": self._readings.missing,
            "drifted": self._readings.drifted,
            "unreachable": self._readings.unreachable,
            "dose": self.probe.dose() if self.probe else None,
            "exitCode": code,
        }
        injection.say_ended(reason, details)
        injection.release()
        log.info("fault reverted and read back: %s", reason)

    def _news(self) -> dict[MarkName, Mark]:
        """The marks, or none while they cannot be read: a ledger that stays away ends the hold by its lease."""
        try:
            return self._marks()
        except Unavailable as error:
            log.warning("run record: %s", error)
            return {}

    def _marks(self) -> dict[MarkName, Mark]:
        return self.injection.ledger.marks(self.injection.run)


def announce(injection: Injection) -> None:
    """Write fault-active with what the report needs of the fault."""
    fault = injection.fault
    injection.ledger.mark(
        injection.run,
        "fault-active",
        reason=fault.summary,
        details={
            "claim": injection.claim.id,
            "kind": fault.target.kind,
            "target": fault.target.identity,
            "change": fault.change,
            "askedShare": fault.effect.share,
            "askedStatus": fault.effect.status,
            "askedDelayMs": fault.effect.delay_ms,
            "host": fault.effect.host,
            "path": fault.effect.path,
            "probeUrl": fault.probe_url,
        },
    )
