"""A judge's checks in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from chaos_steps.operate.experiment_report.text import POINTS, measure, percent

if TYPE_CHECKING:
    from chaos_steps.workspace import Check, Verdict

_RELATIONS = {"<=": "at most", ">=": "at least", "<": "below", ">": "above", "==": "equal to", "!=": "other than"}

_LABELS = {
    "p99-latency-ms": "P99 latency",
    "success-rate": "success rate",
    "p99-increase-percent": "P99 increase over baseline",
    "success-drop": "success drop from baseline",
    "attempts-per-request": "attempts per request",
}


def label(metric: str) -> str:
    """A metric in words; one that is not known here keeps its name."""
    return _LABELS.get(metric, metric)


def why(verdict: Verdict) -> str:
    """Why a verdict is not a pass: the checks that were not met, else its own message."""
    unmet = [describe(check) for check in verdict.checks if check.decision != "pass"]
    return "; ".join(unmet) or verdict.message or f"the verdict is {verdict.verdict}"


def warnings(verdicts: Sequence[Verdict], notes: Sequence[str]) -> Iterator[str]:
    """What a reader should know besides: each judge's notes under its name, then those on the run."""
    yield from (f"{verdict.name}: {note}" for verdict in verdicts for note in verdict.notes)
    yield from notes


def describe(check: Check) -> str:
    """One check as a sentence without its end."""
    if check.value is None:
        return check.message or f"{check.metric} is not known, must be {limit(check)}"
    more = "" if check.needed is None else f", about {check.needed} more requests would decide"
    return f"{check.metric} is {value(check)}{_interval_in_brackets(check)}, must be {limit(check)}{more}"


def value(check: Check) -> str:
    """The point estimate."""
    return "not known" if check.value is None else measure(check.metric, check.value)


def limit(check: Check) -> str:
    """The limit with its direction."""
    return f"{_RELATIONS[check.comparison]} {measure(check.metric, check.limit)}"


def interval(check: Check) -> str:
    """The interval, open ends in words; empty when none was computed."""
    if check.confidence is None or (check.low is None and check.high is None):
        return ""
    if check.low is None:
        return f"up to {measure(check.metric, check.high or 0)}"
    if check.high is None:
        return f"{measure(check.metric, check.low)} or more"
    low, high = measure(check.metric, check.low), measure(check.metric, check.high)
    return f"{low.removesuffix(POINTS)} to {high}"


def _interval_in_brackets(check: Check) -> str:
    text = interval(check)
    return f" ({percent(check.confidence or 0)} interval {text})" if text else ""
