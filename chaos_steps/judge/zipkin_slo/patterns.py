"""Resilience patterns: what callers do when their calls fail."""

from __future__ import annotations

from chaos_steps.judge.zipkin_slo.spans import Trace
from chaos_steps.traces import Edge, ErrorRule


class Patterns:
    """Counts the calls between services, trace by trace, with memory for the edges only."""

    def __init__(self, subject: str, rule: ErrorRule) -> None:
        self._subject = subject.lower()
        self._rule = rule

    def add(self, trace: Trace) -> None:
        """Count one trace, as `merge_records` gives it."""

    def edges(self) -> tuple[Edge, ...]:
        """What was counted, sorted by caller and callee."""
        return ()
