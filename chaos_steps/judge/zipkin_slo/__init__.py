"""zipkin-slo: judge what the traces of a service say."""

from __future__ import annotations

from typing import Any, Literal

import click

from chaos_steps.command import Context, Result, command, option
from chaos_steps.errors import UsageError
from chaos_steps.params import COUNT, DURATION_OR_ZERO, NAME, POSITIVE, URL
from chaos_steps.verdicts import Bounds, Rule, baseline_options, judge_options, limit_options, no_limit


@command(
    "zipkin-slo",
    results=(
        Result("verdict", "pass, fail or inconclusive"),
        Result("p99-latency-ms", "99th percentile of the requests' durations; empty without any"),
        Result("success-rate", "share of requests that did not fail; empty without requests"),
        Result("requests", "requests of the window"),
    ),
    exits=(0, 1, 2, 3, 5),
    config=True,
    workspace="write",
    credentials=True,
)
@option("--zipkin-url", type=URL, env="ZIPKIN_URL", help="Base address of Zipkin, such as http://zipkin:9411.")
@option("--service-name", experiment="zipkin.serviceName", help="Service whose requests are judged; case is ignored.")
@option(
    "--window",
    type=NAME,
    help="Name of the load in whose window to look; or give --start-ms and --end-ms. Without either, "
    "zipkin.lookbackSeconds of the experiment, back from now.",
)
@option("--start-ms", type=COUNT, help="Start of the window in epoch milliseconds, included.")
@option("--end-ms", type=COUNT, help="End of the window in epoch milliseconds, included.")
@limit_options
@baseline_options
@option(
    "--max-attempts-per-request",
    type=POSITIVE,
    help="Highest number of calls per request on any edge at or below the judged service, or --caller: the CLIENT "
    "spans of a service to another, retries included, divided by all requests of the first. Compared plainly.",
)
@option(
    "--error-rule",
    type=click.Choice(["tag", "status", "any"]),
    default="tag",
    show_default=True,
    help="What a failed request is. tag: its span has the tag error, even if its value is empty or false; status: its "
    "HTTP status is 500 or more, or, where it has none, the tag; any: either.",
)
@option(
    "--settle",
    type=DURATION_OR_ZERO,
    default="15s",
    show_default=True,
    help="Wait at most this long after the window's end for late spans.",
)
@option(
    "--side",
    type=click.Choice(["server", "client"]),
    default="server",
    show_default=True,
    help="server: judge the SERVER spans of the service; client: the CLIENT spans of --caller that call it.",
)
@option("--caller", help="Service that calls, for --side client.")
@judge_options
def zipkin_slo(
    ctx: Context,
    *,
    zipkin_url: str | None,
    service_name: str | None,
    window: str | None,
    start_ms: int | None,
    end_ms: int | None,
    max_p99_latency_ms: float | None,
    min_success_rate: float | None,
    max_p99_increase_percent: float | None,
    max_success_drop: float | None,
    baseline_window: str,
    max_attempts_per_request: float | None,
    error_rule: Literal["tag", "status", "any"],
    settle: float,
    side: Literal["server", "client"],
    caller: str | None,
    **rule: Any,
) -> None:
    """Judge the P99 latency, the success rate and the calls per request that the traces in Zipkin show.

    A request is a SERVER span of the service, at any depth of the trace, counted once; a trace belongs to the window if
    its root began in it. Passes when the whole confidence interval keeps to the limit, fails (1) when none of it does,
    and is inconclusive (5) in between, naming about how many more requests a decision takes. The intervals are exact:
    Clopper and Pearson's for the success rate, order statistics for the P99. A request without a duration counts, but
    not in the P99.

    The calls between services are read with --workspace, --max-attempts-per-request or --caller.

    All traces of the window are read, in slices. Zipkin silently truncates large answers: the largest are asked for
    again in two halves and compared; what cannot be read whole is not judged (5).

    What a gateway or a proxy aborts never reaches the service and has no SERVER span: judge that by --side client, or
    by what the load saw.
    """
    from chaos_steps.judge.zipkin_slo.judgement import Criteria, judge  # noqa: PLC0415 - imports requests and msgspec
    from chaos_steps.judge.zipkin_slo.traffic import Subject  # noqa: PLC0415
    from chaos_steps.judge.zipkin_slo.window import interval_of  # noqa: PLC0415

    bounds = Bounds(max_p99_latency_ms, min_success_rate, max_p99_increase_percent, max_success_drop)
    if not bounds.given and max_attempts_per_request is None:
        raise no_limit("--max-attempts-per-request")
    if (side == "client") != bool(caller):
        raise UsageError("--side client and --caller go together", hint="give both or none")
    subject = Subject(
        service=_given("--service-name", service_name, "zipkin.serviceName in --config").lower(),
        caller=caller and caller.lower(),
        error_rule=error_rule,
    )
    judge(
        ctx,
        url=_given("--zipkin-url", zipkin_url, "ZIPKIN_URL"),
        subject=subject,
        window=interval_of(ctx, window, start_ms, end_ms),
        baseline=baseline_window,
        criteria=Criteria(bounds, max_attempts_per_request, Rule(**rule)),
        settle_seconds=settle,
    )


def _given(flag: str, value: str | None, otherwise: str) -> str:
    if value is None:
        raise UsageError(f"missing option {flag}", hint=f"give it, or set {otherwise}")
    return value
