"""What the traces of one window say: the requests that are judged, and the calls between services."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaos_steps.judge.zipkin_slo.once import Once
from chaos_steps.judge.zipkin_slo.patterns import Patterns
from chaos_steps.judge.zipkin_slo.requests import Requests, called_by, served_by
from chaos_steps.judge.zipkin_slo.spans import merge_records
from chaos_steps.traces import Edge, ErrorRule, TraceWindow

if TYPE_CHECKING:
    from chaos_steps.judge.zipkin_slo.slices import Answer
    from chaos_steps.judge.zipkin_slo.window import Interval


@dataclass(frozen=True)
class Subject:
    """Whose requests are judged, with names in lower case, and what makes a span a failure.

    With a caller, its CLIENT spans of calls to the service; else the service's SERVER spans.
    """

    service: str
    caller: str | None
    error_rule: ErrorRule

    @property
    def traced(self) -> str:
        """The service whose traces are read."""
        return self.caller or self.service


class Traffic:
    """Collects the answers of slices; memory grows by the duration of each request.

    `calls`: also those between services, which takes about as long as all the rest.
    """

    def __init__(self, subject: Subject, interval: Interval, *, calls: bool) -> None:
        select = called_by(subject.caller, subject.service) if subject.caller else served_by(subject.service)
        self.interval = interval
        self.requests = Requests(select, subject.error_rule)
        self.traces = 0
        self.spans = 0
        self.first_us = 0
        """When the first of the traces began; 0 without any."""
        self._patterns = Patterns(subject.traced, subject.error_rule) if calls else None
        self._once = Once(interval.start_ms, interval.end_ms)

    def take(self, answer: Answer) -> None:
        """Count the traces of a slice that belong to the window and have not been counted."""
        for trace in answer.traces:
            began = self._once.begin(trace, answer.query)
            if began:
                spans = merge_records(trace)
                self.first_us = min(self.first_us or began, began)
                self.traces += 1
                self.spans += len(trace)
                self.requests.add(spans)
                if self._patterns:
                    self._patterns.add(spans)

    def edges(self, known: Iterable[Edge] = ()) -> tuple[Edge, ...]:
        """The calls between services, see `Patterns.edges`."""
        return self._patterns.edges(known) if self._patterns else ()

    def document(self, edges: tuple[Edge, ...]) -> TraceWindow:
        """As it stands in traces/NAME.json."""
        requests = self.requests
        return TraceWindow(
            window=self.interval.name,
            start_ms=self.interval.start_ms,
            end_ms=self.interval.end_ms,
            traces=self.traces,
            spans=self.spans,
            requests=requests.requests,
            errors=requests.errors,
            without_duration=requests.without_duration,
            p99_latency_ms=requests.p99_latency_ms,
            success_rate=requests.success_rate,
            edges=edges,
        )
