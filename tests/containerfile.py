"""images/Containerfile as its stages."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATH = ROOT / "images" / "Containerfile"


@dataclass(frozen=True)
class Stage:
    """A stage: its name, what it is made from, its instructions as (NAME, rest of the line)."""

    name: str
    parent: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def arguments(self, instruction: str) -> list[str]:
        """What stands behind every instruction of that name."""
        return [rest for name, rest in self.instructions if name == instruction]


def stages() -> dict[str, Stage]:
    """All stages by name, in the order of the file."""
    found: dict[str, Stage] = {}
    for name, rest in _instructions():
        if name == "FROM":
            parent, _, stage = rest.partition(" AS ")
            found[stage] = Stage(stage, parent)
        elif found:
            [*found.values()][-1].instructions.append((name, rest))
    return found


def arguments() -> dict[str, str]:
    """The arguments before the first stage, with their defaults."""
    lines = [rest for name, rest in _instructions() if name == "ARG" and "=" in rest]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def line_of(stage: str) -> list[Stage]:
    """A stage and what it is made from, last stage first."""
    known = stages()
    line = [known[stage]]
    while line[-1].parent in known:
        line.append(known[line[-1].parent])
    return line


def commands() -> dict[str, str]:
    """The stages of commands, with the stage of their family."""
    return {stage.name: stage.parent for stage in stages().values() if stage.arguments("ENTRYPOINT")}


def _instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", PATH.read_text(), flags=re.MULTILINE))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line)]
