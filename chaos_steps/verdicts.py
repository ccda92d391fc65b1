"""What all judges share: their options, a check against a limit, and the verdict with its exit code."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import click

from chaos_steps import stats
from chaos_steps.command import Context, option
from chaos_steps.errors import Breached, Inconclusive, join_codes
from chaos_steps.params import LATENCY_MS, RATE, Number, format_number

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
            help="What too few requests to decide by come to. No data at all stay inconclusive.",
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


@dataclass(frozen=True)
class Rule:
    """How to decide."""

    confidence: float
    decision: Literal["interval", "point"]
    on_inconclusive: Literal["fail", "pass", "inconclusive"]


def check_p99(durations_us: stats.Ordered, limit_ms: float, rule: Rule) -> Check:
    """Check the P99 of durations (microseconds, sorted upwards) against a limit; the check is in milliseconds."""
    measured = _Measured("p99-latency-ms", "<=", limit_ms)
    n = len(durations_us)
    if not n:
        return measured.without_data("no request was answered")
    value = stats.p99(durations_us) / 1000
    if rule.decision == "point":
        return measured.at(value)
    lower, upper = stats.order_statistic_interval(n, _P99, rule.confidence)
    low = 0.0 if lower is None else int(durations_us[lower - 1]) / 1000
    high = math.inf if upper is None else int(durations_us[upper - 1]) / 1000

    def needed() -> int | None:
        within = stats.count_up_to(durations_us, limit_ms * 1000)
        return stats.further_for_quantile(within, n, _P99, rule.confidence)

    return measured.within(low, value, high, rule.confidence, needed)


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


def conclude(
    ctx: Context, checks: Sequence[Check], rule: Rule, *, window: str | None, requests: int | None, message: str = ""
) -> None:
    """Write the verdict on all checks; raises Breached or Inconclusive unless it is a pass.

    A check is settled by `rule.on_inconclusive` if it has data but not enough of them. The worst one decides.
    `message` says why there are no data, when it is not for the checks to say.
    """
    from chaos_steps.workspace import Verdict  # noqa: PLC0415

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

    def without_data(self, reason: str) -> Check:
        return self._check("inconclusive", message=f"{self.metric} has no data: {reason}")

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
        need = f"about {more} more requests would" if more is not None else "10 million more requests would not"
        return f"does not yet show whether it is {bound}; {need}"
