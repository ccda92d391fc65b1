"""traces/NAME.json: what zipkin-slo saw in the traces of a window besides its verdict. experiment-report shows it."""

from __future__ import annotations

from typing import Literal

import msgspec

from chaos_steps.workspace import Document

Side = Literal["server", "client"]
ErrorRule = Literal["tag", "status", "any"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class Edge(_Part, frozen=True, kw_only=True):
    """The calls of one service to another: a request is a SERVER span of the caller, a call a CLIENT span below it."""

    caller: str
    callee: str
    requests: int
    """Requests that the caller served, whether they made a call or not."""
    calling: int
    """Of these, the ones that called the callee at least once."""
    calls: int
    """More than one a request: retries, or several calls by design; the baseline tells which."""
    errors: int = 0
    """Calls that failed."""
    timeouts: int = 0
    """Failed calls that the caller gave up on, by its own words or because the callee went on for longer."""
    cut_short: int = 0
    """Failed calls that nobody answered: no SERVER span below, no HTTP status, no timeout. An open circuit breaker."""
    lost: int = 0
    """Calling requests without a single call that succeeded."""
    fallbacks: int = 0
    """Of the lost ones, the requests that succeeded all the same."""

    @property
    def attempts_per_request(self) -> float:
        """Calls per request of the caller."""
        return self.calls / self.requests if self.requests else 0.0


class TraceWindow(_Part, frozen=True, kw_only=True):
    """What the traces of one window hold."""

    window: str | None
    """Name of the load whose window it is; null: given by its times."""
    start_ms: int
    """Epoch milliseconds, included."""
    end_ms: int
    """Epoch milliseconds, included."""
    traces: int
    spans: int
    requests: int
    """Requests that were judged."""
    errors: int
    """Of these, the failed ones."""
    without_duration: int
    """Of these, the ones that have no duration: they count, but not in the quantile."""
    p99_latency_ms: float | None
    success_rate: float | None
    edges: tuple[Edge, ...] = ()
    """Sorted by caller and callee; those at and below the judged service, or from the caller that was named."""


class Link(_Part, frozen=True, kw_only=True):
    """One edge of Zipkin's own dependency graph, before and during."""

    parent: str
    child: str
    calls_before: int
    errors_before: int
    calls: int
    errors: int


class Traces(Document, frozen=True, kw_only=True):
    """What a zipkin-slo saw."""

    name: str
    """Name of the verdict it belongs to."""
    service: str
    side: Side
    caller: str | None
    """With side client: the service whose CLIENT spans were judged."""
    error_rule: ErrorRule
    measured: TraceWindow
    baseline: TraceWindow | None = None
    links: tuple[Link, ...] = ()
    """All edges that Zipkin knows in either window; empty without a baseline, or when it knows none."""
