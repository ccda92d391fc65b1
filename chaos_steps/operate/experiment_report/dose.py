"""The dose: which share of the requests was to be faulted or delayed, by how much, and what was measured of it.

A measured dose contradicts the asked one when its whole interval lies beside it. Both intervals assume nothing about
how durations are spread:

- of the share: the exact one (Clopper and Pearson). Where the load itself is the measure, requests of the baseline look
  faulted too, a share b of all. The fault takes its share s of good and bad requests alike, so that b + (1 - b) s look
  faulted under it; s lies between the ends of the two exact intervals combined at their worst;
- of the delay: the median of the delayed answers less that of undelayed ones, of two intervals by order statistics, as
  well combined at their worst. Where every answer was delayed and nothing tells how long it would have taken without,
  it took the delay at most.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from chaos_steps.operate.experiment_report.document import Dose, Outcome
from chaos_steps.operate.experiment_report.record import Asked, Measured
from chaos_steps.operate.experiment_report.text import milliseconds, percent
from chaos_steps.stats import clopper_pearson

CONFIDENCE = 0.9999
"""So high that one run in ten thousand, not one in twenty, is called invalid by chance alone."""

SOURCES = {
    "counters": "the target's own counters",
    "marker": "the probe, by the header that the target marks its faults with",
    "probe": "the probe",
    "client": "the load itself",
}
"""Who counted, in words, in the order of what they are worth. Whoever holds the fault writes the first that it has of
the upper three into the mark fault-ended."""

TOLERANCE = 0.1
"""Share of the asked delay by which the measured one may lie beside it, but for the floors below."""

EARLY_MS = 2.0
"""Milliseconds by which a delay may be too short in any case: timers count in whole ticks and may fire one early."""

LATE_MS = 20.0
"""Milliseconds by which it may be too long in any case: a timer fires late in a busy proxy, and requests that are held
back are sent on in bursts."""


@dataclass(frozen=True)
class _Finding:
    """One measured quantity: how it stands to the asked one, in numbers and as a sentence."""

    outcome: Outcome
    value: float
    low: float
    high: float
    message: str


def assess(asked: Asked, measured: Sequence[Measured]) -> Dose:
    """Compare the asked dose with the best of the measured ones."""
    sources = sorted((each for each in measured if each.requests), key=_worth)
    if not sources:
        return Dose(
            outcome="not-measured",
            message="The share of faulted requests was not measured; the fault is confirmed by its configuration only.",
            asked_share=asked.asked_share,
            asked_delay_ms=asked.asked_delay_ms,
        )
    best = sources[0]
    share = _share(asked, best)
    # Where too few were delayed these may be no delayed ones at all, only slow.
    delay = _delay(asked.asked_delay_ms, sources) if asked.asked_delay_ms and share.outcome != "under" else None
    # What contradicts comes first.
    findings = sorted((each for each in (share, delay) if each), key=lambda each: each.outcome not in ("under", "over"))
    return Dose(
        outcome=findings[0].outcome,
        message=" ".join(each.message for each in findings),
        asked_share=asked.asked_share,
        asked_delay_ms=asked.asked_delay_ms,
        source=best.source,
        url=best.url,
        requests=best.requests,
        faulted=best.faulted,
        share=share.value,
        low=share.low,
        high=share.high,
        delay_ms=None if delay is None else delay.value,
        delay_low_ms=None if delay is None else delay.low,
        delay_high_ms=None if delay is None or math.isinf(delay.high) else delay.high,
        confidence=CONFIDENCE,
    )


def _worth(measured: Measured) -> int:
    known = list(SOURCES)
    return known.index(measured.source) if measured.source in known else len(known)


def _share(asked: Asked, measured: Measured) -> _Finding:
    low, value, high = _interval(measured)
    counted = f"{measured.faulted} of {measured.requests} requests"
    if measured.baseline is None:
        counted += f" ({percent(value)}) were faulted"
    else:
        before = f"{measured.baseline.faulted} of {measured.baseline.requests} in the baseline"
        counted += f" look faulted, and {before}, which makes {percent(value)}"
    interval = f"{percent(CONFIDENCE)} interval {percent(low)} to {percent(high)}"
    seen = f"{counted}, as counted by {SOURCES.get(measured.source, measured.source)}; {interval}."
    if asked.asked_share is None:
        return _Finding("measured", value, low, high, seen)
    outcome = _compare(asked.asked_share, low, high)
    message = f"The dose {_VERBS[outcome]} the asked {percent(asked.asked_share)}: {seen}"
    if outcome == "under" and asked.asked_delay_ms:
        message += _shorter(asked.asked_delay_ms, asked.asked_share, measured)
    if outcome == "over" and asked.asked_delay_ms and measured.baseline is None:
        message += " An answer that takes as long by itself counts too."
    return _Finding(outcome, value, low, high, message)


def _interval(measured: Measured) -> tuple[float, float, float]:
    """Lower end, value and upper end of the share of faulted requests."""
    if measured.baseline is None:
        low, high = clopper_pearson(measured.faulted, measured.requests, CONFIDENCE)
        return low, measured.faulted / measured.requests, high
    before = measured.baseline
    low, high = clopper_pearson(measured.faulted, measured.requests, math.sqrt(CONFIDENCE))
    low_before, high_before = clopper_pearson(before.faulted, before.requests, math.sqrt(CONFIDENCE))
    value = _beyond(measured.faulted / measured.requests, before.faulted / max(1, before.requests))
    return _beyond(low, high_before), value, _beyond(high, low_before)


def _beyond(share: float, before: float) -> float:
    """The s of share = before + (1 - before) s, from 0; 0 when every request looked faulted before."""
    return max(0.0, (share - before) / (1 - before)) if before < 1 else 0.0


def _shorter(asked_ms: float, share: float, measured: Measured) -> str:
    """What there was in place of the asked delay."""
    if measured.slower_ms is not None:
        longer = f"The slowest {percent(share)} of the answers took {milliseconds(measured.slower_ms)} longer than"
        return f" {longer} the others, not {milliseconds(asked_ms)}."
    if measured.others is not None:
        took = f"took {milliseconds(measured.others.value)} at the median"
        return f" The answers that were not delayed by {milliseconds(asked_ms)} {took}."
    return ""


def _delay(asked_ms: float, sources: Sequence[Measured]) -> _Finding | None:
    """By the best source that timed undelayed answers too, else by the best that timed delayed ones."""
    timed = sorted((each for each in sources if each.delayed), key=lambda each: each.others is None)
    if not timed or timed[0].delayed is None:
        return None
    delayed, others = timed[0].delayed, timed[0].others
    by = SOURCES.get(timed[0].source, timed[0].source)
    high = math.inf if delayed.high is None else delayed.high
    if others is None:
        outcome = _compare(asked_ms, 0.0, high, early=_early(asked_ms), late=_late(asked_ms))
        seen = f"every answer was, and took {milliseconds(delayed.value)} at the median, which the delay is at most"
        low, value = 0.0, delayed.value
    else:
        low = 0.0 if others.high is None else max(0.0, delayed.low - others.high)
        high, value = max(0.0, high - others.low), max(0.0, delayed.value - others.value)
        outcome = _compare(asked_ms, low, high, early=_early(asked_ms), late=_late(asked_ms))
        seen = f"delayed answers took {milliseconds(value)} longer"
    end = "unbounded" if math.isinf(high) else milliseconds(high)
    interval = f"{percent(CONFIDENCE)} interval {milliseconds(low)} to {end}"
    message = f"The delay {_VERBS[outcome]} the asked {milliseconds(asked_ms)}: {seen}, as timed by {by}; {interval}."
    return _Finding(outcome, value, low, high, message)


def _early(asked_ms: float) -> float:
    return max(EARLY_MS, TOLERANCE * asked_ms)


def _late(asked_ms: float) -> float:
    return max(LATE_MS, TOLERANCE * asked_ms)


_VERBS = {"agrees": "agrees with", "under": "is below", "over": "is above"}


def _compare(asked: float, low: float, high: float, early: float = 0.0, late: float = 0.0) -> Outcome:
    return "under" if high < asked - early else "over" if low > asked + late else "agrees"
