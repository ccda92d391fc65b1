"""What `chaos-steps run` tells people, on stderr."""

from __future__ import annotations

import json
import sys
import threading
from typing import BinaryIO

_lock = threading.Lock()


def say(text: str) -> None:
    """Write a line. A terminal or reader that has gone away must not end a run before its `finally`."""
    with _lock:
        try:
            print(text, file=sys.stderr, flush=True)
        except (OSError, ValueError):
            return


def follow(task: str, stream: BinaryIO) -> None:
    """Repeat what a task writes, with the task's name before each line, until it writes no more."""
    for line in stream:
        say(f"[{task}] {_readable(line.decode(errors='replace').rstrip())}")


def _readable(line: str) -> str:
    """The message of a JSON log line of our commands; any other line as it is."""
    if not line.startswith("{"):
        return line
    try:
        entry = json.loads(line)
        level = "" if entry["level"] == "info" else f"{entry['level']}: "
        return f"{level}{entry['message']}" + (f"\n{entry['traceback']}" if "traceback" in entry else "")
    except (ValueError, KeyError, TypeError):
        return line
