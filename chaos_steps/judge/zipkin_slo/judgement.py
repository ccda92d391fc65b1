"""From Zipkin's traces to a verdict, and to the file with what else they show."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from chaos_steps.command import Context
from chaos_steps.errors import Unavailable
from chaos_steps.judge.zipkin_slo import sight
from chaos_steps.judge.zipkin_slo.api import Api, Query
from chaos_steps.judge.zipkin_slo.changes import changed_links, stopped_calls
from chaos_steps.judge.zipkin_slo.dependencies import read_links
from chaos_steps.judge.zipkin_slo.patterns import check_attempts
from chaos_steps.judge.zipkin_slo.settling import settle
from chaos_steps.judge.zipkin_slo.traffic import Subject, Traffic
from chaos_steps.judge.zipkin_slo.whole import read_whole
from chaos_steps.judge.zipkin_slo.window import Interval, Missing, interval_of_load
from chaos_steps.traces import Link, Traces, TraceWindow
from chaos_steps.verdicts import Bounds, Rule, check_bounds, conclude

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Criteria:
    """What is asked of the traffic, and how sure the answer must be."""

    bounds: Bounds
    max_attempts_per_request: float | None
    rule: Rule


def judge(
    ctx: Context,
    *,
    url: str,
    subject: Subject,
    window: Interval | Missing,
    baseline: str,
    criteria: Criteria,
    settle_seconds: float,
) -> None:
    """Read a window and its baseline, write what they show, and conclude; see `conclude` for what that raises.

    Raises Unavailable when Zipkin cannot be read, and Inconclusive when it does not give out everything.
    """
    api, rule = Api(url), criteria.rule
    notes = [*sight.fault_in_front(ctx.experiment(), subject)]
    if isinstance(window, Interval) and not settle(api, _query(subject, window), settle_seconds):
        notes.append(sight.UNSETTLED)
    now = _read(api, subject, window)
    before = now if baseline == window.name else _read(api, subject, _baseline(ctx, baseline))
    edges = now.traffic.edges(before.traffic.edges())
    notes += [
        *sight.gaps(now.traffic, edges, subject.caller),
        *stopped_calls(before.traffic.edges(), edges, rule.confidence),
    ]
    links: tuple[Link, ...] = ()
    if now.traffic.traces and before.traffic.traces and before is not now:
        links, words = _links(api, before.traffic.interval, now.traffic.interval, rule)
        notes += words
    if ctx.has_workspace and isinstance(window, Interval):
        _write(ctx, subject, now.traffic.document(edges), before, links)
    requests = now.traffic.requests
    ctx.result("requests", requests.requests)
    ctx.result("p99-latency-ms", requests.p99_latency_ms)
    ctx.result("success-rate", requests.success_rate)
    checks = check_bounds(criteria.bounds, requests, before.traffic.requests, rule)
    if criteria.max_attempts_per_request is not None:
        checks.append(check_attempts(edges, criteria.max_attempts_per_request))
    reasons = [now.nothing, before.nothing if criteria.bounds.against_baseline and before is not now else ""]
    conclude(
        ctx,
        checks,
        rule,
        window=window.name,
        requests=requests.requests,
        message="; ".join(filter(None, reasons)),
        notes=notes,
    )


@dataclass(frozen=True)
class _Reading:
    """What the traces of a window say; `nothing` is why there is nothing to judge, or empty."""

    traffic: Traffic
    nothing: str = ""


def _query(subject: Subject, interval: Interval) -> Query:
    """Zipkin refuses an interval without length."""
    return Query(subject.traced, min(interval.start_ms, interval.end_ms - 1), interval.end_ms)


def _read(api: Api, subject: Subject, window: Interval | Missing) -> _Reading:
    if isinstance(window, Missing):
        return _Reading(Traffic(subject, Interval(window.name, 0, 0)), window.reason)
    traffic = read_whole(api, _query(subject, window), lambda: Traffic(subject, window))
    log.info("%d traces of %s with %d spans", traffic.traces, subject.traced, traffic.spans)
    return _Reading(traffic, "" if traffic.requests.requests else sight.nothing_found(api, subject, traffic))


def _baseline(ctx: Context, name: str) -> Interval | Missing:
    return interval_of_load(ctx, name) if ctx.has_workspace else Missing(name, f"no workspace holds a window {name!r}")


def _links(api: Api, before: Interval, now: Interval, rule: Rule) -> tuple[tuple[Link, ...], list[str]]:
    """Zipkin's own graph, and notes on it. It adds to the verdict and does not make it: without it there is a note."""
    try:
        links = read_links(api, before, now)
    except Unavailable as error:
        return (), [f"Zipkin's dependencies could not be read: {error.message}"]
    return links, changed_links(links, rule.confidence)


def _write(ctx: Context, subject: Subject, measured: TraceWindow, before: _Reading, links: tuple[Link, ...]) -> None:
    document = Traces(
        run=ctx.run,
        name=ctx.name,
        service=subject.service,
        side="client" if subject.caller else "server",
        caller=subject.caller,
        error_rule=subject.error_rule,
        measured=measured,
        baseline=before.traffic.document(before.traffic.edges()) if before.traffic.traces else None,
        links=links,
    )
    ctx.workspace.write_json(f"traces/{ctx.name}.json", document)
