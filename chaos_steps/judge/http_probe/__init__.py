"""http-probe: does a service answer as it should, several times in a row?"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from chaos_steps.command import Context, Result, command, option
from chaos_steps.errors import Unavailable, UsageError
from chaos_steps.judge.http_probe.expectation import Expectation, JsonCondition, JsonConditionType, Regex, Statuses
from chaos_steps.params import COUNT, DURATION, LATENCY_MS, RATE, format_number, normalize_url
from chaos_steps.verdicts import Rule, conclude

if TYPE_CHECKING:
    from chaos_steps.http import Http

log = logging.getLogger(__name__)


@command(
    "http-probe",
    results=(
        Result("verdict", "pass or fail"),
        Result("success-ratio", "share of the checks that passed, 0 to 1"),
        Result("requests", "number of checks"),
        Result("max-latency-ms", "longest time to a whole answer, in milliseconds; empty without any answer"),
    ),
    exits=(0, 1, 2, 3),
    workspace="write",
    credentials=True,
)
@option("--url", help="Address to ask, with path and query; or give --service.")
@option("--service", help="Kubernetes service to ask, at http://SERVICE.NAMESPACE.svc:PORT.")
@option("--namespace", default="default", show_default=True, help="Namespace of --service.")
@option("--port", type=click.IntRange(1, 65535), help="Port of --service; by default the one of --scheme.")
@option("--scheme", type=click.Choice(["http", "https"]), default="http", show_default=True, help="Of --service.")
@option("--path", default="/", show_default=True, help="Path and query at --service.")
@option("--checks", type=COUNT, default=10, show_default=True, help="How often to ask.")
@option(
    "--interval", type=DURATION, default="1s", show_default=True, help="Time from the start of one check to the next."
)
@option("--timeout-ms", type=LATENCY_MS, default=2000, show_default=True, help="Total time of one check.")
@option(
    "--expect-status", type=Statuses(), default="200-399", show_default=True, help="Statuses, like 200,204,300-399."
)
@option("--expect-body", type=Regex(), help="Regular expression that the body must contain a match of.")
@option(
    "--expect-json",
    type=JsonConditionType(),
    multiple=True,
    help="PATH=VALUE that the body must hold as JSON, PATH dotted, such as status=UP or checks.0.ok=true; repeatable.",
)
@option("--max-latency-ms", type=LATENCY_MS, help="A check that takes longer has failed.")
@option("--min-success-ratio", type=RATE, default=1.0, show_default=True, help="Lowest share of passed checks, 0 to 1.")
def http_probe(
    ctx: Context,
    *,
    url: str | None,
    service: str | None,
    namespace: str,
    port: int | None,
    scheme: str,
    path: str,
    checks: int,
    interval: float,
    timeout_ms: float,
    expect_status: tuple[tuple[int, int], ...],
    expect_body: re.Pattern[str] | None,
    expect_json: tuple[JsonCondition, ...],
    max_latency_ms: float | None,
    min_success_ratio: float,
) -> None:
    """Ask a service several times and judge whether it is in its steady state.

    A check is one GET on a connection of its own, never retried, no redirect followed. It has failed without a whole
    answer in time, and when the answer meets not all conditions; a service that cannot be reached is not in its steady
    state, so that is exit code 1 like any other failed check. The share of passed checks is compared plainly with
    --min-success-ratio.
    """
    from chaos_steps.credentials import Credentials  # noqa: PLC0415
    from chaos_steps.http import Http  # noqa: PLC0415

    address, target = _target(url, service and _service_url(service, namespace, port, scheme, path))
    secret = Credentials.load().for_url(address)
    http = Http(address, secret=secret, timeout=timeout_ms / 1000, return_redirects=True)
    expectation = Expectation(expect_status, expect_body, expect_json, max_latency_ms)
    outcomes = [_check(http, target, expectation) for _ in _paced(checks, interval)]
    _judge(ctx, outcomes, min_success_ratio)


@dataclass(frozen=True)
class _Outcome:
    """One check: why it failed (empty: it passed) and how long a whole answer took, if there was one."""

    failure: str
    latency_ms: float | None = None


def _service_url(service: str, namespace: str, port: int | None, scheme: str, path: str) -> str:
    return f"{scheme}://{service}.{namespace}.svc{f':{port}' if port else ''}/{path.removeprefix('/')}"


def _target(url: str | None, service_url: str | None) -> tuple[str, str]:
    """Address without and with its query, the second as the rest to be appended to the first."""
    if bool(url) == bool(service_url):
        raise UsageError("give one of --url and --service")
    parts = urlsplit(url or service_url or "")
    try:
        address = normalize_url(parts._replace(query="", fragment="").geturl())
    except ValueError as error:
        raise UsageError(str(error)) from None
    slash = "/" if parts.path.endswith("/") else ""
    return address, slash + (f"?{parts.query}" if parts.query else "")


def _paced(checks: int, interval: float) -> Iterator[int]:
    """The number of each check when it is due, `interval` seconds after the one before was."""
    due = time.monotonic()
    for number in range(1, checks + 1):
        time.sleep(max(0.0, due - time.monotonic()))
        due += interval
        yield number


def _check(http: Http, target: str, expectation: Expectation) -> _Outcome:
    try:
        response = http.request("GET", target)
    except Unavailable as error:
        log.info("%s", error.message)
        return _Outcome(error.message)
    latency_ms = response.elapsed * 1000
    failure = expectation.failure(response)
    log.info("%s in %.1f ms%s", response.status, latency_ms, failure and f": {failure}")
    return _Outcome(failure, latency_ms)


def _judge(ctx: Context, outcomes: list[_Outcome], min_success_ratio: float) -> None:
    from chaos_steps.workspace import Check  # noqa: PLC0415

    failed = [(number, outcome.failure) for number, outcome in enumerate(outcomes, 1) if outcome.failure]
    ratio = (len(outcomes) - len(failed)) / len(outcomes)
    latencies = [outcome.latency_ms for outcome in outcomes if outcome.latency_ms is not None]
    ctx.result("success-ratio", ratio)
    ctx.result("requests", len(outcomes))
    ctx.result("max-latency-ms", max(latencies, default=None))
    passed = ratio >= min_success_ratio
    first = f"; check {failed[0][0]}: {failed[0][1]}" if failed else ""
    check = Check(
        metric="success-ratio",
        limit=min_success_ratio,
        comparison=">=",
        decision="pass" if passed else "fail",
        value=ratio,
        message=f"{len(outcomes) - len(failed)} of {len(outcomes)} checks passed, "
        f"at least {format_number(100 * min_success_ratio)} % must{first}",
    )
    plainly = Rule(confidence=0.95, decision="point", on_inconclusive="inconclusive")
    conclude(ctx, [check], plainly, window=None, requests=len(outcomes))
