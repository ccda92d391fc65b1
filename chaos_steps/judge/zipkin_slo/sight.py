"""What a judge of traces cannot see, in words: its reader must know although it does not change the verdict."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from chaos_steps.errors import Unavailable
from chaos_steps.experiment import EnvoyFault, Experiment, HttpDelayFault, HttpErrorFault
from chaos_steps.judge.zipkin_slo.patterns import UNKNOWN
from chaos_steps.params import format_number, rfc3339
from chaos_steps.traces import Edge

if TYPE_CHECKING:
    from chaos_steps.judge.zipkin_slo.api import Api
    from chaos_steps.judge.zipkin_slo.traffic import Subject, Traffic

UNSETTLED = "spans still came in when the time of --settle was over: the numbers may lack some"

_ENOUGH = 0.9
_MEMORY_SPANS = 500_000


def fault_in_front(experiment: Experiment | None, subject: Subject) -> Iterator[str]:
    """Says so when the fault acts before a request reaches the service whose SERVER spans are judged."""
    if experiment is None or subject.caller:
        return
    fault = experiment.fault
    if isinstance(fault, HttpErrorFault | HttpDelayFault):
        place = fault.target_host
    elif isinstance(fault, EnvoyFault):
        place = fault.upstream.rpartition("|")[2]  # Istio's name of a cluster: outbound|80||HOST.
    else:
        return
    if re.split(r"[.:]", place)[0].lower() == subject.service:
        yield (
            f"the fault sits in front of {subject.service}: what is aborted or delayed there never shows in its SERVER "
            "spans; judge with --side client --caller NAME, or by what the client saw"
        )


def gaps(traffic: Traffic, edges: Iterable[Edge], caller: str | None) -> Iterator[str]:
    """Says what the traces of a window seem to lack."""
    requests, interval = traffic.requests, traffic.interval
    if interval.sent and requests.requests < _ENOUGH * interval.sent:
        yield (
            f"the load of window {interval.name} sent {interval.sent} requests and the traces show "
            f"{requests.requests}: the others were not sampled, were lost, or never came this far"
        )
    length_ms = interval.end_ms - interval.start_ms
    late_ms = traffic.first_us / 1000 - interval.start_ms
    if interval.name and traffic.traces and late_ms > max((1 - _ENOUGH) * length_ms, 1000):
        yield (
            f"there are no traces of the first {format_number(round(late_ms / 1000, 1))} s of window {interval.name}: "
            "Zipkin may have dropped its oldest ones for want of room (MEM_MAX_SPANS)"
        )
    elif traffic.spans > _ENOUGH * _MEMORY_SPANS:
        yield (
            f"there are {traffic.spans} spans, and Zipkin's storage in memory drops the oldest beyond {_MEMORY_SPANS} "
            "unless MEM_MAX_SPANS says otherwise"
        )
    if requests.without_duration:
        yield f"{requests.without_duration} requests have no duration: they count, but not in the P99"
    nameless = sum(edge.calls for edge in edges if edge.caller == caller and edge.callee == UNKNOWN)
    if nameless:
        yield f"{nameless} calls of {caller} name no service and none answered: they are not among the judged ones"


def nothing_found(api: Api, subject: Subject, traffic: Traffic) -> str:
    """Why there is nothing to judge, and what to check."""
    traced, interval = subject.traced, traffic.interval
    times = f"from {rfc3339(interval.start_ms / 1000)} to {rfc3339(interval.end_ms / 1000)}"
    if traffic.traces:
        spans = f"CLIENT span of it that calls {subject.service}" if subject.caller else "SERVER span of it"
        return f"of the {traffic.traces} traces with {traced} {times} none has a {spans}"
    try:
        names = sorted(api.services())
    except Unavailable as error:
        return f"Zipkin has no trace of {traced} {times}, and does not say what services it knows: {error.message}"
    if traced in names:
        return f"Zipkin has no trace of {traced} {times}; check the window, the clocks, and that requests are sampled"
    near = difflib.get_close_matches(traced, names, 3, 0.4) or names[:5]
    known = f"it knows {', '.join(near)}" if near else "it knows none"
    return f"Zipkin knows no service {traced!r}, {known}; check the service name"
