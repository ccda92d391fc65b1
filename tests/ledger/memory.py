"""A target in memory."""

from __future__ import annotations

from typing import Any

from chaos_steps.ledger.target import Effect, Fault
from chaos_steps.scope import Scope


class Memory:
    """One text. A change is the text to write."""

    kind = "memory"

    def __init__(self, state: str = "before", identity: str = "a text") -> None:
        self.state = state
        self.identity = identity

    def address(self) -> dict[str, Any]:
        return {}

    def read(self) -> str:
        return self.state

    def write(self, change: str) -> None:
        self.state = change

    def restore(self, before: str, _change: str) -> None:
        self.state = before

    def holds(self, state: str, change: str) -> bool:
        return state == change

    def marked_by(self, _state: str) -> None:
        return None

    def scope(self, _change: str) -> Scope:
        return Scope()

    @property
    def fault(self) -> Fault:
        """That the text is "changed"."""
        return Fault(self, "changed", Effect(1.0, lambda *_: True), "a fault")
