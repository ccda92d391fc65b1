"""A circuit breaker: while most calls fail, it lets none through, and now and then one to see."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class CircuitOpen(Exception):
    """The call was not made."""

    def __init__(self) -> None:
        super().__init__("circuit breaker open")


class CircuitBreaker:
    """Opens when half of the last 20 calls have failed. After 2 seconds one call is tried; its outcome decides."""

    LAST_CALLS = 20
    OPEN_SECONDS = 2.0

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: deque[bool] = deque(maxlen=self.LAST_CALLS)
        self._open_until: float | None = None
        self._trying = False
        self._lock = threading.Lock()

    def call(self, call: Callable[[], T]) -> T:
        """Make a call, which fails if it raises. Raises CircuitOpen at once when none may be made."""
        is_trial = self._admit()
        failed = True
        try:
            result = call()
            failed = False
        finally:
            self._note(is_trial=is_trial, failed=failed)
        return result

    def _admit(self) -> bool:
        """Whether the call is the one that is tried while the breaker is open."""
        with self._lock:
            if self._open_until is None:
                return False
            if self._trying or self._clock() < self._open_until:
                raise CircuitOpen
            self._trying = True
            return True

    def _note(self, *, is_trial: bool, failed: bool) -> None:
        with self._lock:
            if is_trial:
                self._trying = False
                self._open_until = None if not failed else self._clock() + self.OPEN_SECONDS
            elif self._open_until is None:
                self._failed.append(failed)
                if len(self._failed) == self.LAST_CALLS and sum(self._failed) * 2 >= self.LAST_CALLS:
                    self._open_until = self._clock() + self.OPEN_SECONDS
                    self._failed.clear()
