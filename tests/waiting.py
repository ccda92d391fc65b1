"""Waiting for a condition, in place of sleeping for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T | None], what: str, *, timeout: float = 120.0) -> T:
    """Ask `condition` until its answer is true, and return that answer.

    `timeout` in seconds only bounds a test that has gone wrong. Raises AssertionError naming `what` was waited for.
    """
    end = time.monotonic() + timeout
    while not (answer := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout:g} s in vain: {what}")
        time.sleep(0.01)
    return answer
