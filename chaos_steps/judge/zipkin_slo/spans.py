"""Spans as Zipkin's API v2 gives them, as far as they are judged; the order of spans in a trace means nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TypeVar

import msgspec

from chaos_steps.traces import ErrorRule


class _Part(msgspec.Struct, gc=False):
    """Fields that are not declared are skipped. Hundreds of thousands are decoded, and none can be in a cycle."""


class Endpoint(_Part, rename="camel"):
    """A side of a call."""

    service_name: str | None = None


class Tags(_Part):
    """The tags that tell a failure; their values are text."""

    error: str | None = None
    """Its presence means a failure, whatever it says."""
    status: str | None = msgspec.field(default=None, name="http.status_code")
    response_status: str | None = msgspec.field(default=None, name="http.response.status_code")
    """OpenTelemetry's newer name of the same."""


class Span(_Part, rename="camel"):
    """One record of a span; several records may make one span, see `merge_records`."""

    trace_id: str
    id: str
    parent_id: str | None = None
    kind: str | None = None
    """CLIENT, SERVER, PRODUCER, CONSUMER; None: something local."""
    timestamp: int | None = None
    """Epoch microseconds."""
    duration: int | None = None
    """Microseconds; None: unfinished, or the end was not reported."""
    shared: bool | None = None
    """B3: a SERVER span that has the id of the CLIENT span that called it."""
    local_endpoint: Endpoint | None = None
    remote_endpoint: Endpoint | None = None
    tags: Tags | None = None


Trace = list[Span]

_ID = attrgetter("id")
_Value = TypeVar("_Value", int, str)
_TRACES = msgspec.json.Decoder(list[Trace])


def decode(body: bytes) -> list[Trace]:
    """The traces of an answer of /api/v2/traces. Raises msgspec.DecodeError when it is something else."""
    return _TRACES.decode(body)


def service_of(span: Span) -> str:
    """Lower-case name of the service that reported the span; empty when it does not say."""
    endpoint = span.local_endpoint
    return endpoint.service_name.lower() if endpoint is not None and endpoint.service_name else ""


def remote_service_of(span: Span) -> str:
    """Lower-case name of the service on the other side, as the reporting one knows it; empty when it does not say."""
    endpoint = span.remote_endpoint
    return endpoint.service_name.lower() if endpoint is not None and endpoint.service_name else ""


def http_status(span: Span) -> int | None:
    """The HTTP status of the answer; None without one, also where the tracer wrote 0 or a word for that."""
    tags = span.tags
    text = tags and (tags.status or tags.response_status)
    return int(text) if text and len(text) == 3 and text.isdecimal() else None


def _has_error_tag(span: Span) -> bool:
    return span.tags is not None and span.tags.error is not None


def _has_error_status(span: Span) -> bool:
    status = http_status(span)
    return _has_error_tag(span) if status is None else status >= 500


def _has_either(span: Span) -> bool:
    return _has_error_tag(span) or _has_error_status(span)


FAILED: dict[ErrorRule, Callable[[Span], bool]] = {
    "tag": _has_error_tag,
    "status": _has_error_status,
    "any": _has_either,
}
"""What makes a span a failure: the tag `error`, an HTTP status of 500 or more, or either.

Where a span has no HTTP status, as of a call that nobody answered, the tag decides under every rule.
"""


def merge_records(trace: Trace) -> Trace:
    """The trace with one record a span; the very same list when it has that already, which is the usual case.

    A span may be reported in parts, or twice: those records have the same id, kind and service. CLIENT and SERVER
    records of one id are the two sides of a call (B3 shared spans), and stay apart. A record that lacks the kind or the
    service goes to the one that has both, if just one fits. The result does not depend on the order of the records.
    """
    if len(set(map(_ID, trace))) == len(trace):
        return trace
    same_id: dict[str, list[Span]] = {}
    for record in trace:
        same_id.setdefault(record.id, []).append(record)
    return [span for records in same_id.values() for span in _spans_of(records)]


def _spans_of(records: list[Span]) -> list[Span]:
    """The spans that records of one id make."""
    if len(records) == 1:
        return records
    parts: dict[tuple[str, str], list[Span]] = {}
    for record in records:
        parts.setdefault((record.kind or "", service_of(record)), []).append(record)
    complete = [key for key in parts if all(key)]
    for key in [key for key in parts if not all(key)]:
        fitting = [
            other for other in complete if all(ours in ("", theirs) for ours, theirs in zip(key, other, strict=True))
        ]
        if len(fitting) == 1:
            parts[fitting[0]] += parts.pop(key)
    return [_merged(same) for same in parts.values()]


def _merged(records: list[Span]) -> Span:
    """One span of all its records: earliest start, longest duration, and of several texts the last of the alphabet."""
    if len(records) == 1:
        return records[0]
    tags = [record.tags for record in records if record.tags is not None]
    return Span(
        trace_id=max(record.trace_id for record in records),
        id=records[0].id,
        parent_id=_greatest(record.parent_id for record in records),
        kind=_greatest(record.kind for record in records),
        timestamp=min((record.timestamp for record in records if record.timestamp is not None), default=None),
        duration=_greatest(record.duration for record in records),
        shared=any(record.shared for record in records) or None,
        local_endpoint=Endpoint(_greatest(service_of(record) for record in records)),
        remote_endpoint=Endpoint(_greatest(remote_service_of(record) for record in records)),
        tags=Tags(
            error=_greatest(each.error for each in tags),
            status=_greatest(each.status for each in tags),
            response_status=_greatest(each.response_status for each in tags),
        ),
    )


def _greatest(values: Iterable[_Value | None]) -> _Value | None:
    return max((value for value in values if value is not None), default=None)
