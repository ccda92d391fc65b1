"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from generation.commands import Documented


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; line breaks and bars in cells are made harmless."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def exit_table(documented: Documented) -> str:
    """The exit codes of a command with their meanings."""
    return table(("code", "meaning"), [(str(code), meaning) for code, meaning in documented.exits.items()])
