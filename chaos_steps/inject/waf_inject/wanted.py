"""What the options of waf-inject ask for."""

from __future__ import annotations

import hashlib
import re
from typing import Any, NamedTuple, Protocol

MARKER_HEADER = "X-Chaos-Rule"
"""A driver that can sends it with every faulted answer."""


class Wanted(NamedTuple):
    """A fault for a share of one host's requests: a status instead of the answer, or a delay before it."""

    run: str
    host: str
    path: str | None
    status: int | None
    delay_ms: float | None
    percentage: float


class Driver(Protocol):
    """One product's admin API, for one host. A state is what `read` returns, JSON data."""

    def change(self, wanted: Wanted) -> Any:
        """What `write` shall write. Raises UsageError for what the product cannot represent."""

    def read(self) -> Any:
        """Our rule as it is there, or None. Raises Unavailable."""

    def write(self, change: Any) -> None:
        """Add the rule: one request. Raises Unavailable or OutcomeUnknown."""

    def remove(self) -> None:
        """Remove the rule. Raises Unavailable or OutcomeUnknown."""

    def holds(self, state: Any, change: Any) -> bool:
        """Whether the rule of `change` is there."""

    def marked_by(self, state: Any) -> str | None:
        """The run that a rule of ours belongs to."""


def rule_id(host: str) -> str:
    """The id of the one rule of ours for a host; safe in a path."""
    readable = re.sub(r"[^a-z0-9]+", "-", host).strip("-")[:40]
    return f"chaos-{readable}-{hashlib.sha256(host.encode()).hexdigest()[:8]}"
