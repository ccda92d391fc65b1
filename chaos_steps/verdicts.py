"""What all judges share: their options, a check against a limit, and the verdict with its exit code."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol

import click

from chaos_steps import stats
from chaos_steps.command import Context, option
from chaos_steps.errors import Breached, Inconclusive, UsageError, join_codes
from chaos_steps.params import LATENCY_MS, NAME, RATE, Number, format_number

if TYPE_CHECKING:
    from chaos_steps.workspace import Check

log = logging.getLogger(__name__)

Function = Callable[..., Any]

_CODES = {"pass": 0, "fail": 1, "inconclusive": 5}
_P99 = 0.99


class _Confidence(Number):
    """A confidence strictly between 0 and 1."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Parse and check."""
        number = super().convert(value, param, ctx)
        if number >= 1:
            self.fail(f"{value} is not below 1: no number of requests gives certainty", param, ctx)
        return number


def judge_options(function: Function) -> Function:
    """Options of every judge; the function takes `confidence`, `decision` and `on_inconclusive`, see `Rule`."""
    declared = (
        option(
            "--confidence",
            type=_Confidence("confidence", 0, 1, closed=False),
            default=0.95,
            show_default=True,
            help="Two-sided confidence of the intervals.",
        ),
        option(
            "--decision",
            type=click.Choice(["interval", "point"]),
            default="interval",
            show_default=True,
            help="interval: the whole confidence interval must be on one side of the limit; point: compare plainly.",
        ),
        option(
            "--on-inconclusive",
            type=click.Choice(["fail", "pass", "inconclusive"]),
            default="inconclusive",
            show_default=True,
            help="Verdict when there are too few requests to decide; no data at all is always inconclusive.",
        ),
    )
    return _apply(declared, function)


def limit_options(function: Function) -> Function:
    """The limits on latency and success; the function takes `max_p99_latency_ms` and `min_success_rate`."""
    declared = (
        option(
            "--max-p99-latency-ms",
            type=LATENCY_MS,
            experiment="slo.maxP99LatencyMs",
            help="Highest P99 of the durations of answered requests, failed ones included.",
        ),
        option(
            "--min-success-rate",
            type=RATE,
            experiment="slo.minSuccessRate",
            help="Lowest share of successful requests, 0 to 1.",
        ),
    )
    return _apply(declared, function)


def baseline_options(function: Function) -> Function:
    """The limits against a baseline; the function takes `max_p99_increase_percent`, `max_success_drop` and
    `baseline_window`.
    """
    declared = (
        option(
            "--max-p99-increase-percent",
            type=Number("percent", 0, 1e18, closed=True),
            experiment="slo.maxP99IncreasePercent",
            help="By how many percent the P99 may lie above the one of --baseline-window.",
        ),
        option(
            "--max-success-drop",
            type=RATE,
            experiment="slo.maxSuccessDrop",
            help="How far the share of successful requests may lie below the one of --baseline-window, 0 to 1.",
        ),
        option(
            "--baseline-window",
            type=NAME,
            default="baseline",
            show_default=True,
            help="Name of the load without a fault that the limits against a baseline compare with.",
        ),
    )
    return _apply(declared, function)


@dataclass(frozen=True)
class Rule:
    """How to decide."""

    confidence: float
    decision: Literal["interval", "point"]
    on_inconclusive: Literal["fail", "pass", "inconclusive"]


@dataclass(frozen=True)
class Bounds:
    """The limits of `limit_options` and `baseline_options`; None is no limit."""

    max_p99_latency_ms: float | None
    min_success_rate: float | None
    max_p99_increase_percent: float | None
    max_success_drop: float | None

    @property
    def given(self) -> bool:
        """Whether there is a limit."""
        return any(getattr(self, each.name) is not None for each in fields(self))

    @property
    def against_baseline(self) -> bool:
        """Whether a limit needs the baseline."""
        return self.max_p99_increase_percent is not None or self.max_success_drop is not None


def no_limit(*more: str) -> UsageError:
    """What to raise without any limit; `more` are options of the judge's own that would be one."""
    *options, last = [*(f"--{each.name.replace('_', '-')}" for each in fields(Bounds)), *more]
    return UsageError("there is no limit", hint=f"give {', '.join(options)} or {last}, or slo in --config")


class Sample(Protocol):
    """What was measured in a window."""

    @property
    def requests(self) -> int:
        """How many there were."""

    @property
    def successes(self) -> int:
        """How many of them succeeded."""

    @property
    def durations_us(self) -> stats.Ordered:
        """Microseconds of the requests that have a duration, sorted upwards."""


def check_p99(durations_us: stats.Ordered, limit_ms: float, rule: Rule) -> Check:
    """Check the P99 of durations (microseconds, sorted upwards) against a limit; the check is in milliseconds."""
    measured = _Measured("p99-latency-ms", "<=", limit_ms)
    n = len(durations_us)
    if not n:
        return measured.without_data("no request was answered")
    value = stats.p99(durations_us) / 1000
    if rule.decision == "point":
        return measured.at(value)
    low, high = stats.quantile_interval(durations_us, _P99, rule.confidence)

    def needed() -> int | None:
        within = stats.count_up_to(durations_us, limit_ms * 1000)
        return stats.further_for_quantile(within, n, _P99, rule.confidence)

    return measured.within(low / 1000, value, high / 1000, rule.confidence, needed)


def check_success_rate(successes: int, n: int, limit: float, rule: Rule) -> Check:
    """Check the share of successes among n requests against a lower limit."""
    measured = _Measured("success-rate", ">=", limit)
    if not n:
        return measured.without_data("there are no requests")
    value = successes / n
    if rule.decision == "point":
        return measured.at(value)
    low, high = stats.clopper_pearson(successes, n, rule.confidence)

    def needed() -> int | None:
        return stats.further_for_share(successes, n, limit, rule.confidence)

    return measured.within(low, value, high, rule.confidence, needed)


def check_p99_increase(now: Sample, before: Sample, limit_percent: float, rule: Rule) -> Check:
    """Check by how many percent the P99 lies above the baseline's; `before` is `now` if that is the baseline itself."""
    measured = _Measured("p99-increase-percent", "<=", limit_percent, " in each window")
    durations, durations_before = now.durations_us, before.durations_us
    if not len(durations_before):
        return measured.without_data("no request of the baseline was answered")
    if not len(durations):
        return measured.without_data("no request was answered")
    p99_before = stats.p99(durations_before)
    if not p99_before:
        return measured.without_data("the P99 of the baseline is 0, and an increase of that is no percentage")
    if now is before:
        return measured.of_the_baseline_itself()
    value = stats.increase(stats.p99(durations), p99_before)
    if rule.decision == "point":
        return measured.at(value)
    low, high = stats.increase_interval(durations, durations_before, _P99, rule.confidence)

    def needed() -> int | None:
        return stats.further_for_increase(durations, durations_before, _P99, limit_percent, rule.confidence)

    return measured.within(low, value, high, rule.confidence, needed)


def check_success_drop(now: Sample, before: Sample, limit: float, rule: Rule) -> Check:
    """Check how far the share of successes lies below the baseline's, below 0 when it rose; `before` as above."""
    measured = _Measured("success-drop", "<=", limit, " in each window")
    if not before.requests:
        return measured.without_data("there are no requests in the baseline")
    if not now.requests:
        return measured.without_data("there are no requests")
    if now is before:
        return measured.of_the_baseline_itself()
    share, share_before = (stats.Share(sample.successes, sample.requests) for sample in (now, before))
    value = stats.drop(share, share_before)
    if rule.decision == "point":
        return measured.at(value)
    low, high = stats.drop_interval(share, share_before, rule.confidence)

    def needed() -> int | None:
        return stats.further_for_drop(share, share_before, limit, rule.confidence)

    return measured.within(low, value, high, rule.confidence, needed)


def check_bounds(bounds: Bounds, now: Sample, before: Sample, rule: Rule) -> list[Check]:
    """A check for each limit that was given; `before` is looked at only where `bounds.against_baseline`."""
    checks = []
    if bounds.max_p99_latency_ms is not None:
        checks.append(check_p99(now.durations_us, bounds.max_p99_latency_ms, rule))
    if bounds.min_success_rate is not None:
        checks.append(check_success_rate(now.successes, now.requests, bounds.min_success_rate, rule))
    if bounds.max_p99_increase_percent is not None:
        checks.append(check_p99_increase(now, before, bounds.max_p99_increase_percent, rule))
    if bounds.max_success_drop is not None:
        checks.append(check_success_drop(now, before, bounds.max_success_drop, rule))
    return checks


def conclude(
    ctx: Context,
    checks: Sequence[Check],
    rule: Rule,
    *,
    window: str | None,
    requests: int | None,
    message: str = "",
    notes: Sequence[str] = (),
) -> None:
    """Write the verdict on all checks; raises Breached or Inconclusive unless it is a pass.

    A check is settled by `rule.on_inconclusive` if it has data but not enough of them. The worst one decides.
    `message` says why there are no data, when it is not for the checks to say. `notes` are warnings, which change
    nothing: they are logged, and written with the verdict.
    """
    from chaos_steps.workspace import Verdict  # noqa: PLC0415

    for note in notes:
        log.warning("%s: %s", ctx.name, note)
    code = join_codes(_CODES[_settle(check, rule)] for check in checks)
    verdict: Literal["pass", "fail", "inconclusive"] = "fail" if code == 1 else "inconclusive" if code else "pass"
    text = "; ".join([*([message] if message else []), *(_describe(check, rule) for check in checks)])
    ctx.result("verdict", verdict)
    if ctx.has_workspace:
        ctx.workspace.write_verdict(
            Verdict(
                run=ctx.run,
                name=ctx.name,
                task_run=ctx.task_run,
                command=ctx.command.name or "",
                verdict=verdict,
                exit_code=code,
                checks=tuple(checks),
                window=window,
                requests=requests,
                message=text,
                notes=tuple(notes),
            )
        )
    if code == 1:
        raise Breached(f"{ctx.name}: {text}")
    if code:
        raise Inconclusive(f"{ctx.name}: {text}")
    log.info("%s: %s", ctx.name, text)


def _apply(declared: Sequence[Callable[[Function], Function]], function: Function) -> Function:
    for each in reversed(declared):
        function = each(function)
    return function


def _settle(check: Check, rule: Rule) -> str:
    return rule.on_inconclusive if check.decision == "inconclusive" and check.value is not None else check.decision


def _describe(check: Check, rule: Rule) -> str:
    settled = _settle(check, rule)
    return check.message if settled == check.decision else f"{check.message}, which --on-inconclusive makes a {settled}"


@dataclass(frozen=True)
class _Measured:
    """A metric and its limit, to be made a check of."""

    metric: str
    comparison: stats.Comparison
    limit: float
    where: str = ""
    """Where more requests would be needed, if not just in the one window; a blank before it."""

    def without_data(self, reason: str) -> Check:
        return self._check("inconclusive", message=f"{self.metric} has no data: {reason}")

    def of_the_baseline_itself(self) -> Check:
        return self._check("pass", value=0.0, message=f"{self.metric} is 0: this is the baseline itself")

    def at(self, value: float) -> Check:
        decision = stats.decide(value, value, self.limit, self.comparison)
        return self._check(decision, value=value, message=f"{self._number(value)} {self._relation(decision)}")

    def within(
        self, low: float, value: float, high: float, confidence: float, needed: Callable[[], int | None]
    ) -> Check:
        decision = stats.decide(low, high, self.limit, self.comparison)
        more = needed() if decision == "inconclusive" else None
        end = format_number(high) if math.isfinite(high) else "unbounded"
        interval = f"({format_number(100 * confidence)} % interval {format_number(low)} to {end})"
        return self._check(
            decision,
            value=value,
            low=low,
            high=high if math.isfinite(high) else None,
            confidence=confidence,
            needed=more,
            message=f"{self._number(value)} {interval} {self._relation(decision, more)}",
        )

    def _check(self, decision: stats.Decision, **fields: Any) -> Check:
        from chaos_steps.workspace import Check  # noqa: PLC0415

        return Check(metric=self.metric, limit=self.limit, comparison=self.comparison, decision=decision, **fields)

    def _number(self, value: float) -> str:
        return f"{self.metric} {format_number(value)}"

    def _relation(self, decision: str, more: int | None = None) -> str:
        bound = f"{self.comparison} {format_number(self.limit)}"
        if decision != "inconclusive":
            return f"is {bound}" if decision == "pass" else f"is not {bound}"
        need = "10 million" if more is None else f"about {more}"
        would = "would not" if more is None else "would"
        return f"does not yet show whether it is {bound}; {need} more requests{self.where} {would}"
