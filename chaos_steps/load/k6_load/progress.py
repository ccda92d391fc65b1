"""How far the load is: a bar on a terminal, a log line every few seconds elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import ExitStack
from typing import Self

import click

from chaos_steps.load.k6_load.stream import Stream

log = logging.getLogger(__name__)

_EVERY = 5.0


class Progress:
    """A context manager; `show` may be called as often as one likes."""

    def __init__(self, seconds: float, stream: Stream) -> None:
        self._seconds = seconds
        self._stream = stream
        self._stack = ExitStack()
        self._started = self._shown = time.monotonic()
        self._bar = (
            click.progressbar(length=int(seconds * 10), label="load", file=sys.stderr, show_eta=False)
            if sys.stderr.isatty()
            else None
        )

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._stack.enter_context(self._bar)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def show(self) -> None:
        """Show the present state."""
        now = time.monotonic()
        elapsed = min(now - self._started, self._seconds)
        if self._bar is not None:
            self._bar.update(int(elapsed * 10) - self._bar.pos)
        elif now - self._shown >= _EVERY:
            self._shown = now
            log.info(
                "%.0f of %.0f s: %d requests, %d dropped",
                *(elapsed, self._seconds, len(self._stream.points), self._stream.dropped),
            )
