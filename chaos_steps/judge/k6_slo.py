"""k6-slo: judge what the client saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chaos_steps.command import Context, Result, command, option
from chaos_steps.params import NAME
from chaos_steps.verdicts import (
    Bounds,
    Rule,
    baseline_options,
    check_bounds,
    conclude,
    judge_options,
    limit_options,
    no_limit,
)

if TYPE_CHECKING:
    from chaos_steps.points import Summary


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
@baseline_options
@judge_options
def k6_slo(
    ctx: Context,
    *,
    window: str,
    baseline_window: str,
    max_p99_latency_ms: float | None,
    min_success_rate: float | None,
    max_p99_increase_percent: float | None,
    max_success_drop: float | None,
    **rule: Any,
) -> None:
    """Judge the P99 latency and the success rate that k6 measured.

    Passes when the whole confidence interval keeps to the limit, fails (1) when none of it does, and is inconclusive
    (5) in between, naming about how many more requests a decision takes. The intervals are exact: Clopper and Pearson's
    for the success rate, order statistics for the P99. Those of a difference from the baseline combine both windows'
    intervals at their worst ends. Requests without an answer count as failures and have no duration.
    """
    bounds = Bounds(max_p99_latency_ms, min_success_rate, max_p99_increase_percent, max_success_drop)
    if not bounds.given:
        raise no_limit()
    decide = Rule(**rule)
    now, reason = _measured(ctx, window)
    before, reason_before = now, ""
    if bounds.against_baseline and baseline_window != window:
        before, reason_before = _measured(ctx, baseline_window)
    ctx.result("requests", now.requests)
    ctx.result("p99-latency-ms", now.p99_latency_ms)
    ctx.result("success-rate", now.success_rate)
    conclude(
        ctx,
        check_bounds(bounds, now, before, decide),
        decide,
        window=window,
        requests=now.requests,
        message="; ".join(filter(None, (reason, reason_before))),
    )


def _measured(ctx: Context, window: str) -> tuple[Summary, str]:
    """What the points of a window say; without points, a summary of none, and why."""
    import numpy as np  # noqa: PLC0415

    from chaos_steps.points import summarize  # noqa: PLC0415
    from chaos_steps.workspace import points_dtype  # noqa: PLC0415

    points = ctx.workspace.read_points(window)
    if points is not None:
        return summarize(points), ""
    if ctx.workspace.read_window(window) is None:
        names = ", ".join(sorted(ctx.workspace.windows())) or "none"
        reason = f"run {ctx.run} has no window {window!r} in {ctx.workspace.root}; there are: {names}"
    else:
        reason = f"the points of window {window!r} are missing or not the ones it was made of"
    return summarize(np.empty(0, points_dtype())), reason
