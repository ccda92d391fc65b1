"""The dose: which share of the requests was to be faulted, and which was.

The sources, in the order of what they are worth: the target's own counters, the driver's marker header, the probe of
`hold`. Whoever reverts the fault writes the first of them that there is into the mark fault-ended. The share that a
client saw is no source here: a caller that retries in between hides the fault.
"""

from __future__ import annotations

from chaos_steps.operate.experiment_report.document import Dose, Outcome
from chaos_steps.operate.experiment_report.record import Asked, Measured
from chaos_steps.operate.experiment_report.text import percent
from chaos_steps.stats import clopper_pearson

CONFIDENCE = 0.9999
"""So high that one run in ten thousand, not one in twenty, is called invalid by chance alone."""


def assess(asked: Asked, measured: Measured | None) -> Dose:
    """Compare the asked share with the exact interval of the measured one."""
    if measured is None or not measured.requests:
        return Dose(
            outcome="not-measured",
            message="The share of faulted requests was not measured; the fault is confirmed by its configuration only.",
            asked_share=asked.asked_share,
            asked_delay_ms=asked.asked_delay_ms,
        )
    low, high = clopper_pearson(measured.faulted, measured.requests, CONFIDENCE)
    outcome = _compare(asked.asked_share, low, high)
    return Dose(
        outcome=outcome,
        message=_message(outcome, asked.asked_share, measured, low, high),
        asked_share=asked.asked_share,
        asked_delay_ms=asked.asked_delay_ms,
        source=measured.source,
        url=measured.url,
        requests=measured.requests,
        faulted=measured.faulted,
        share=measured.faulted / measured.requests,
        low=low,
        high=high,
        confidence=CONFIDENCE,
    )


def _compare(asked: float | None, low: float, high: float) -> Outcome:
    if asked is None:
        return "measured"
    return "under" if high < asked else "over" if low > asked else "agrees"


def _message(outcome: Outcome, asked: float | None, measured: Measured, low: float, high: float) -> str:
    share = percent(measured.faulted / measured.requests)
    counted = f"{measured.faulted} of {measured.requests} requests ({share}) were faulted"
    interval = f"{percent(CONFIDENCE)} interval {percent(low)} to {percent(high)}"
    seen = f"{counted}, as counted by the {measured.source}; {interval}"
    if asked is None:
        return f"{seen}."
    verb = {"agrees": "agrees with", "under": "is below", "over": "is above"}[outcome]
    return f"The dose {verb} the asked {percent(asked)}: {seen}."
