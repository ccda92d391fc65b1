"""The requests that are judged: SERVER spans of a service, or the CLIENT spans of those who call it."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence

from chaos_steps.judge.zipkin_slo.spans import FAILED, Span, remote_service_of, service_of
from chaos_steps.stats import p99
from chaos_steps.traces import ErrorRule

Select = Callable[[Sequence[Span]], Iterable[Span]]


class Requests:
    """Counts requests trace by trace; what is kept of a request is its duration."""

    def __init__(self, select: Select, rule: ErrorRule) -> None:
        self._select = select
        self._failed = FAILED[rule]
        self._durations = array("q")
        self._ordered: list[int] | None = None
        self.requests = 0
        self.errors = 0

    def add(self, spans: Sequence[Span]) -> None:
        """Count the requests of one trace, as `merge_records` gives it."""
        for span in self._select(spans):
            self.requests += 1
            self.errors += self._failed(span)
            if span.duration is not None:
                self._durations.append(span.duration)

    @property
    def successes(self) -> int:
        """Requests that did not fail."""
        return self.requests - self.errors

    @property
    def durations_us(self) -> list[int]:
        """Microseconds of the requests that have a duration, sorted upwards. Ask when all have been added."""
        if self._ordered is None:
            self._ordered = sorted(self._durations)
        return self._ordered

    @property
    def without_duration(self) -> int:
        """Requests that count, but not in the quantile."""
        return self.requests - len(self._durations)

    @property
    def success_rate(self) -> float | None:
        """Share of all requests; None without any."""
        return self.successes / self.requests if self.requests else None

    @property
    def p99_latency_ms(self) -> float | None:
        """The ceil(0.99 n)-th smallest duration; None without durations."""
        return p99(self.durations_us) / 1000 if self.durations_us else None


def served_by(service: str) -> Select:
    """Selects the requests that a service served: its SERVER spans, at any depth. `service` is lower-case."""

    def select(spans: Sequence[Span]) -> Iterable[Span]:
        return [span for span in spans if span.kind == "SERVER" and service_of(span) == service]

    return select


def called_by(caller: str, service: str) -> Select:
    """Selects the requests that a caller sent to a service: its CLIENT spans that name it, or that it answered.

    A name may be the service's host, whose first label is its name. Both arguments are lower-case.
    """

    def select(spans: Sequence[Span]) -> Iterable[Span]:
        calls = [span for span in spans if span.kind == "CLIENT" and service_of(span) == caller]
        served = [span for span in spans if calls and span.kind == "SERVER" and service_of(span) == service]
        answered = {name for span in served for name in (span.id, span.parent_id)}  # Both sides may share an id.
        return [call for call in calls if _is_for(service, remote_service_of(call), answered=call.id in answered)]

    return select


def _is_for(service: str, named: str, *, answered: bool) -> bool:
    return service in (named, named.partition(".")[0]) if named else answered
