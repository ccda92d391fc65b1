"""What a change reaches, as far as limits speak of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scope:
    """None: the change has no such thing."""

    percentage: float | None = None
    """Share of requests or pods, in percent."""
    host: str | None = None
    namespace: str | None = None
