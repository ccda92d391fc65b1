"""k6-load: produce traffic with k6 and record what the client saw."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from chaos_steps import signals
from chaos_steps.command import Context, Result, command, option
from chaos_steps.errors import ChaosError, InvalidRun, Unavailable, UsageError
from chaos_steps.params import DURATION, POSITIVE

if TYPE_CHECKING:
    from chaos_steps.load.k6_load.plan import Plan
    from chaos_steps.load.k6_load.record import FaultRecord
    from chaos_steps.load.k6_load.stream import Stream

log = logging.getLogger(__name__)

_CONNECT_BOUND = 5.0


def _target(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    """The address as given: unlike a base address it may have a query, and a trailing slash means something."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise click.BadParameter(f"{value!r} is not an http or https address")
    if "@" in parts.netloc:
        raise click.BadParameter("an address with a user or password in it is refused")
    return value


@command(
    "k6-load",
    results=(
        Result("requests", "requests that were sent"),
        Result("dropped", "requests that should have been sent and were not"),
        Result("p99-latency-ms", "99th percentile of the durations of answered requests; empty without answers"),
        Result("success-rate", "share of requests answered with a status of 200-399; empty without requests"),
    ),
    exits=(0, 2, 3, 7),
    family="load",
    config=True,
    workspace="write",
    ledger=True,
)
@option("--target-url", required=True, callback=_target, help="Address to load.")
@option("--rate-rps", type=POSITIVE, experiment="load.rps", required=True, help="Requests to start per second.")
@option("--duration", type=DURATION, experiment="durationSeconds", required=True, help="How long to start requests.")
@option(
    "--script",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="k6 script to run in place of the built-in GET.",
)
@option(
    "--wait-for-fault",
    type=DURATION,
    help="Announce that the load is ready, and wait so long for the run's fault to be active.",
)
@option("--after-fault", is_flag=True, help="Wait until the run's fault has ended.")
def k6_load(
    ctx: Context,
    *,
    target_url: str,
    rate_rps: float,
    duration: float,
    script: Path | None,
    wait_for_fault: float | None,
    after_fault: bool,
) -> None:
    """Produce load with k6 at a constant arrival rate and record what the client saw.

    Requests start at the asked rate however slowly the target answers (an open model). Every request becomes a record
    in points/NAME.npy; windows/NAME.json says from when to when they started. A load that was not delivered as asked is
    invalid (7): dropped iterations, exceptions in the script, k6 stopped by somebody else.

    The built-in script sends GET requests with traceparent, b3 and X-Chaos-Run headers. It follows no redirects, and
    gives a request 10 seconds, after which it counts as unanswered. A script of your own reads TARGET_URL and CHAOS_RUN
    from __ENV; the rate is that of its iterations, load settings of its own (scenarios, vus, stages, rps, ...) are put
    aside, and every HTTP request of its default function is recorded. Its thresholds do not decide anything here.

    k6 runs with a minimal environment: no proxy, no K6_ variables, nothing secret of the caller's.
    """
    # Imported late: numpy is needed to run, not for --help.
    from chaos_steps.load.k6_load.plan import REQUEST_TIMEOUT, Plan  # noqa: PLC0415
    from chaos_steps.load.k6_load.process import check_script, find_k6  # noqa: PLC0415

    if wait_for_fault and after_fault:
        raise UsageError("--wait-for-fault and --after-fault exclude one another")
    ctx.result("requests", 0)
    ctx.result("dropped", 0)
    plan = Plan.of(target_url, rate_rps, duration, script)
    environment = ctx.child_environment(
        "SSL_CERT_DIR",
        TARGET_URL=target_url,
        CHAOS_RUN=ctx.run,
        CHAOS_REQUEST_TIMEOUT=f"{REQUEST_TIMEOUT}s",
        HOME="/nonexistent",  # Or k6 would read a configuration file from there.
    )
    log.debug("points go to %s", ctx.workspace.points_path(ctx.name))  # Without a workspace it ends here.
    binary = find_k6(environment.get("PATH", ""))
    check_script(binary, plan, environment)
    record = _wait(ctx, plan, wait_for_fault, after_fault=after_fault)
    with signals.deferred():  # A signal stops k6 first, and the files are written.
        failure = _load(ctx, binary, plan, environment, record)
        if failure is not None and signals.pending() is None:
            raise failure


def _wait(ctx: Context, plan: Plan, wait_for_fault: float | None, *, after_fault: bool) -> FaultRecord | None:
    """Wait for what the load has to wait for; the record to keep during a load under a fault."""
    from chaos_steps.load.k6_load.record import FaultRecord, wait_until_ended  # noqa: PLC0415

    if after_fault:
        wait_until_ended(ctx.ledger, ctx.run)
    if wait_for_fault is None:
        return None
    _check_target(plan.target)
    record = FaultRecord(ctx.ledger, ctx.run, ctx.name)
    record.announce()
    record.wait_until_active(wait_for_fault)
    return record


def _check_target(url: str) -> None:
    """Connect once. Before the fault the target has to be there; for other loads its absence is a finding."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    try:
        socket.create_connection(address, _CONNECT_BOUND).close()
    except OSError as error:
        raise Unavailable(f"target {url} cannot be reached: {error}; nothing was sent") from error


def _load(
    ctx: Context, binary: str, plan: Plan, environment: dict[str, str], record: FaultRecord | None
) -> ChaosError | None:
    """Run k6 to its end and write everything down; returns why the load is not valid, if so."""
    from chaos_steps.load.k6_load.process import K6, version  # noqa: PLC0415
    from chaos_steps.load.k6_load.progress import Progress  # noqa: PLC0415
    from chaos_steps.load.k6_load.stream import Stream  # noqa: PLC0415

    versions = {"k6": version(binary, environment)}
    stream = Stream(plan.request_timeout_us, plan.asked)
    failure: ChaosError | None = None
    try:
        with (
            record.loading() if record else contextlib.nullcontext(),
            K6(binary, plan, environment, stream) as k6,
            Progress(plan.seconds, stream) as progress,
        ):
            k6.run(lambda: _tick(progress.show, record))
            failure = k6.failure()
    except (InvalidRun, Unavailable) as error:
        failure = error
    finally:
        _save(ctx, plan, stream, versions)
    return failure


def _tick(show: Callable[[], None], record: FaultRecord | None) -> int | None:
    """Show the progress; the signal to stop k6 with, if it is time to."""
    show()
    if record is not None and record.is_over():
        return signal.SIGTERM
    return signals.pending()


def _save(ctx: Context, plan: Plan, stream: Stream, versions: dict[str, str]) -> None:
    """Write points, window and results."""
    from chaos_steps.points import summarize  # noqa: PLC0415
    from chaos_steps.workspace import Window  # noqa: PLC0415

    points = stream.points
    summary = summarize(points)
    ctx.result("requests", summary.requests)
    ctx.result("dropped", stream.dropped)
    ctx.result("p99-latency-ms", summary.p99_latency_ms)
    ctx.result("success-rate", summary.success_rate)
    if not summary.requests:
        return
    ctx.workspace.write_window(
        Window(
            run=ctx.run,
            name=ctx.name,
            start_ms=int(points["start_us"].min()) // 1000,
            end_ms=-(-int(points["start_us"].max()) // 1000),
            source="k6-load",
            points_sha256=ctx.workspace.write_points(ctx.name, points),
            requests=summary.requests,
            dropped=stream.dropped,
            target=plan.address,
            versions=versions,
        )
    )
    log.info(
        "%d requests, %d without an answer, %d dropped, success rate %s",
        *(summary.requests, summary.unanswered, stream.dropped, ctx.results["success-rate"]),
    )
