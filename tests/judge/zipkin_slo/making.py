"""Spans as Zipkin's API gives them."""

from __future__ import annotations

import json
from typing import Any

from chaos_steps.judge.zipkin_slo.spans import Trace, decode

TRACE_ID = "00000000000000ab"
Record = dict[str, Any]


def record(
    span_id: str,
    kind: str | None = None,
    service: str | None = None,
    parent: str | None = None,
    *,
    duration: int | None = 1000,
    remote: str | None = None,
    error: str | None = None,
    status: int | str | None = None,
    **more: Any,
) -> Record:
    """One record of a span, in a trace of its own id; None is left out."""
    fields = {
        "traceId": TRACE_ID,
        "id": span_id,
        "parentId": parent,
        "kind": kind,
        "duration": duration,
        "localEndpoint": service and {"serviceName": service, "ipv4": "10.0.0.1"},
        "remoteEndpoint": remote and {"serviceName": remote, "port": 80},
        "tags": _present({"http.method": "GET", "error": error, "http.status_code": status and str(status)}),
    }
    return _present({**fields, **more})


def server(span_id: str, service: str | None, parent: str | None = None, **more: Any) -> Record:
    """A request that a service served."""
    return record(span_id, "SERVER", service, parent, **more)


def client(span_id: str, service: str | None, parent: str | None = None, **more: Any) -> Record:
    """A call that a service made."""
    return record(span_id, "CLIENT", service, parent, **more)


def decoded(*records: Record) -> Trace:
    """A trace of these records, as it is read from an answer."""
    return decode(json.dumps([records]).encode())[0]


def _present(fields: Record) -> Record:
    return {name: value for name, value in fields.items() if value is not None}
