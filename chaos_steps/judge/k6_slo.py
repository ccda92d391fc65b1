"""k6-slo: judge what the client saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chaos_steps.command import Context, Result, command, option
from chaos_steps.errors import UsageError
from chaos_steps.params import NAME
from chaos_steps.verdicts import Rule, check_p99, check_success_rate, conclude, judge_options, limit_options

if TYPE_CHECKING:
    from numpy.typing import NDArray


@command(
    "k6-slo",
    results=(
        Result("verdict", "pass, fail or inconclusive"),
        Result("p99-latency-ms", "99th percentile of the durations of answered requests; empty without answers"),
        Result("success-rate", "share of requests answered with a status of 200-399; empty without requests"),
        Result("requests", "requests of the window"),
    ),
    exits=(0, 1, 2, 3, 5),
    family="points",
    config=True,
    workspace="write",
)
@option("--window", type=NAME, default="client", show_default=True, help="Name of the k6-load whose points to judge.")
@limit_options
@judge_options
def k6_slo(
    ctx: Context,
    *,
    window: str,
    max_p99_latency_ms: float | None,
    min_success_rate: float | None,
    **rule: Any,
) -> None:
    """Judge the P99 latency and the success rate that k6 measured.

    Passes when the whole confidence interval keeps to the limit, fails (1) when none of it does, and is inconclusive
    (5) in between, naming about how many more requests a decision takes. The intervals are exact: Clopper and Pearson's
    for the success rate, order statistics for the P99. Requests without an answer count as failures and have no
    duration.
    """
    from chaos_steps.points import summarize  # noqa: PLC0415

    if max_p99_latency_ms is None and min_success_rate is None:
        raise UsageError(
            "there is no limit", hint="give --max-p99-latency-ms or --min-success-rate, or slo in --config"
        )
    decide = Rule(**rule)
    points, reason = _points(ctx, window)
    summary = summarize(points)
    ctx.result("requests", summary.requests)
    ctx.result("p99-latency-ms", summary.p99_latency_ms)
    ctx.result("success-rate", summary.success_rate)
    checks = []
    if max_p99_latency_ms is not None:
        checks.append(check_p99(summary.durations_us, max_p99_latency_ms, decide))
    if min_success_rate is not None:
        checks.append(check_success_rate(summary.successes, summary.requests, min_success_rate, decide))
    conclude(ctx, checks, decide, window=window, requests=summary.requests, message=reason)


def _points(ctx: Context, window: str) -> tuple[NDArray[Any], str]:
    """The points of a window, or none and why."""
    import numpy as np  # noqa: PLC0415

    from chaos_steps.workspace import points_dtype  # noqa: PLC0415

    points = ctx.workspace.read_points(window)
    if points is not None:
        return points, ""
    if ctx.workspace.read_window(window) is None:
        names = ", ".join(sorted(ctx.workspace.windows())) or "none"
        reason = f"run {ctx.run} has no window {window!r} in {ctx.workspace.root}; there are: {names}"
    else:
        reason = f"the points of window {window!r} are missing or not the ones it was made of"
    return np.empty(0, points_dtype()), reason
