"""From Zipkin's traces to a verdict, and to the file with what else they show."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import msgspec

from chaos_steps.command import Context
from chaos_steps.errors import Inconclusive, Unavailable
from chaos_steps.judge.zipkin_slo import sight
from chaos_steps.judge.zipkin_slo.api import Api, Query
from chaos_steps.judge.zipkin_slo.changes import stopped_calls
from chaos_steps.judge.zipkin_slo.dependencies import compare
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

    Raises Unavailable when Zipkin cannot be read.
    """
    api, rule = Api(url), criteria.rule
    notes = [*sight.fault_in_front(ctx.experiment(), subject)]
    if isinstance(window, Interval) and not settle(api, _query(subject, window), settle_seconds):
        notes.append(sight.UNSETTLED)
    # Nobody reads the calls between services without a place to write them, a limit on them or a caller.
    calls = ctx.has_workspace or criteria.max_attempts_per_request is not None or subject.caller is not None
    now = _read(api, subject, window, calls=calls)
    before = now if baseline == window.name else _read_before(ctx, api, subject, baseline, criteria.bounds, calls=calls)
    edges = now.traffic.edges(before.traffic.edges())
    notes += [
        *dict.fromkeys((*before.notes, *now.notes)),
        *sight.gaps(now.traffic, edges, subject.caller),
        *stopped_calls(before.traffic.edges(), edges, rule.confidence),
    ]
    links: tuple[Link, ...] = ()
    if now.traffic.traces and before.traffic.traces and before is not now:
        links, words = compare(api, before.traffic.interval, now.traffic.interval, rule.confidence)
        notes += words
    if ctx.has_workspace and now.whole and isinstance(window, Interval):
        _write(ctx, subject, now.traffic.document(edges), before if before is not now else None, links)
    requests = now.traffic.requests
    ctx.result("requests", requests.requests if now.whole else None)
    ctx.result("p99-latency-ms", requests.p99_latency_ms)
    ctx.result("success-rate", requests.success_rate)
    checks = check_bounds(criteria.bounds, requests, before.traffic.requests, rule)
    if criteria.max_attempts_per_request is not None:
        checks.append(check_attempts(edges, criteria.max_attempts_per_request))
    if not now.whole:
        checks = [msgspec.structs.replace(check, message=f"{check.metric} is not judged") for check in checks]
    reasons = [now.reason, before.reason if criteria.bounds.against_baseline and before is not now else ""]
    conclude(
        ctx,
        checks,
        rule,
        window=window.name,
        requests=requests.requests if now.whole else None,
        message="; ".join(filter(None, reasons)),
        notes=notes,
    )


@dataclass(frozen=True)
class _Reading:
    """What the traces of a window say."""

    traffic: Traffic
    reason: str = ""
    """Why there is nothing to judge; empty if there is."""
    whole: bool = True
    """False: Zipkin does not give out all traces, so none are judged."""
    notes: tuple[str, ...] = ()


def _query(subject: Subject, interval: Interval) -> Query:
    """Zipkin refuses an interval without length."""
    return Query(subject.traced, min(interval.start_ms, interval.end_ms - 1), interval.end_ms)


def _read(api: Api, subject: Subject, window: Interval | Missing, *, calls: bool) -> _Reading:
    if isinstance(window, Missing):
        return _Reading(Traffic(subject, Interval(window.name, 0, 0), calls=calls), window.reason)
    try:
        traffic, notes = read_whole(api, _query(subject, window), lambda: Traffic(subject, window, calls=calls))
    except Inconclusive as refusal:
        return _Reading(Traffic(subject, window, calls=calls), str(refusal), whole=False)
    log.info("%d traces of %s with %d spans", traffic.traces, subject.traced, traffic.spans)
    reason = "" if traffic.requests.requests else sight.nothing_found(api, subject, traffic)
    return _Reading(traffic, reason, notes=tuple(notes))


def _read_before(ctx: Context, api: Api, subject: Subject, name: str, bounds: Bounds, *, calls: bool) -> _Reading:
    """The baseline. One that no limit needs only explains: when Zipkin does not answer a note stands in its place."""
    missing = Missing(name, f"no workspace holds a window {name!r}")
    try:
        return _read(api, subject, interval_of_load(ctx, name) if ctx.has_workspace else missing, calls=calls)
    except Unavailable as error:
        if bounds.against_baseline:
            raise
        nothing = Traffic(subject, Interval(name, 0, 0), calls=calls)
        return _Reading(nothing, notes=(f"the traces of {name} could not be read: {error.message}",))


def _write(
    ctx: Context, subject: Subject, measured: TraceWindow, before: _Reading | None, links: tuple[Link, ...]
) -> None:
    document = Traces(
        run=ctx.run,
        name=ctx.name,
        service=subject.service,
        side="client" if subject.caller else "server",
        caller=subject.caller,
        error_rule=subject.error_rule,
        measured=measured,
        baseline=before.traffic.document(before.traffic.edges()) if before and before.traffic.traces else None,
        links=links,
    )
    ctx.workspace.write_json(f"traces/{ctx.name}.json", document)
