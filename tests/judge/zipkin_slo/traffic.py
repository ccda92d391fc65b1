"""Traces for a real Zipkin, and beside them what a judge must find, kept while they are made."""

from __future__ import annotations

import itertools
import random
import time
from dataclasses import dataclass, field
from typing import Any

Span = dict[str, Any]

_numbers = itertools.count(1)


@dataclass
class Traffic:
    """Spans of a service, and what a judge of a window must find."""

    service: str = field(default_factory=lambda: f"Users-{next(_numbers)}")
    """As it reports itself: not in lower case."""
    random: random.Random = field(default_factory=lambda: random.Random(next(_numbers)))
    start_ms: int = field(default_factory=lambda: int(time.time() * 1000) - 90_000)
    """When the time that is judged begins; it has long been over."""
    seconds: int = 60
    """How long it is."""
    spans: list[Span] = field(default_factory=list)
    requests: int = 0
    failures: int = 0
    durations_us: list[int] = field(default_factory=list)

    @property
    def window(self) -> tuple[str, ...]:
        """The options that name the time that is judged."""
        return ("--start-ms", str(self.start_ms), "--end-ms", str(self.start_ms + 1000 * self.seconds))

    def at(self, ms: float) -> int:
        """Epoch microseconds of a time in the window."""
        return self.start_ms * 1000 + round(ms * 1000)

    def ids(self) -> tuple[str, str, str]:
        """A trace's id, and those of two spans."""
        trace, one, other = (self.random.getrandbits(bits) for bits in (128, 64, 64))
        return f"{trace:032x}", f"{one:016x}", f"{other:016x}"

    def request(self, at_ms: float, duration_us: int | None = 1000, *, failed: bool = False, **more: Any) -> Span:
        """A trace of one request, which the service served."""
        trace_id, span_id, _ = self.ids()
        span = self.span(trace_id, span_id, "SERVER", at_ms, duration_us, failed=failed, **more)
        self.spans.append(span)
        self.expect(duration_us, failed=failed)
        return span

    def span(
        self,
        trace_id: str,
        span_id: str,
        kind: str,
        at_ms: float,
        duration_us: int | None,
        *,
        service: str | None = None,
        failed: bool = False,
        **more: Any,
    ) -> Span:
        """A span, by default of the service."""
        return {
            "traceId": trace_id,
            "id": span_id,
            "kind": kind,
            "name": "get",
            "timestamp": self.at(at_ms),
            **({} if duration_us is None else {"duration": duration_us}),
            "localEndpoint": {"serviceName": service or self.service},
            **({"tags": {"error": ""}} if failed else {}),
            **more,
        }

    def expect(self, duration_us: int | None, *, failed: bool = False) -> None:
        """Count a request that a judge must find."""
        self.requests += 1
        self.failures += failed
        if duration_us is not None:
            self.durations_us.append(duration_us)

    @property
    def success_rate(self) -> float:
        """Share of the requests."""
        return 1 - self.failures / self.requests

    @property
    def p99_latency_ms(self) -> float:
        """By its definition, in fractions of which no bit is lost: 99 n is whole."""
        return sorted(self.durations_us)[-(-99 * len(self.durations_us) // 100) - 1] / 1000

    @property
    def results(self) -> dict[str, str]:
        """As the results of a command have them, without the verdict."""
        return {
            "p99-latency-ms": f"{self.p99_latency_ms:.6f}".rstrip("0").rstrip("."),
            "success-rate": f"{self.success_rate:.6f}".rstrip("0").rstrip("."),
            "requests": str(self.requests),
        }
