"""Looking at processes."""

from __future__ import annotations

from pathlib import Path


def child_of(pid: int, command: str) -> int:
    """The process that a process has started to run one of our commands."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    found = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    (child,) = (
        child for child in found if command.encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
    )
    return child
