"""What `chaos-steps run` tells people."""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import BinaryIO, TextIO

_lock = threading.Lock()


def say(text: str) -> None:
    """Write a line to stderr."""
    write(text, sys.stderr)


def write(text: str, stream: TextIO) -> None:
    """Write a line. A reader that has gone away must neither end a run early nor change its exit code."""
    with _lock:
        try:
            print(text, file=stream, flush=True)
        except OSError:
            # What is left in the stream goes nowhere; else Python itself would end with 120 when it flushes at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def follow(task: str, stream: BinaryIO) -> None:
    """Repeat what a task writes, with the task's name before each line, until it writes no more."""
    with stream:
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
