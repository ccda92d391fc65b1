"""SIGTERM, SIGINT and SIGHUP become the exception `Stopped` in the main thread.

Python as PID 1 of a container ignores SIGTERM unless a handler is installed, and a plain KeyboardInterrupt knows
nothing of SIGTERM.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from chaos_steps.errors import Stopped

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _State:
    depth = 0
    pending: int | None = None
    first: int | None = None


def _handle(signum: int, _frame: FrameType | None) -> None:
    # The first signal decides. Later ones must not interrupt the undoing that the first one started.
    if _State.first is not None:
        return
    _State.first = signum
    if _State.depth:
        _State.pending = signum
    else:
        raise Stopped(signum)


def install() -> None:
    """Install the handlers. Call it once, in the main thread."""
    _State.depth, _State.pending, _State.first = 0, None, None
    for signum in STOPPING:
        signal.signal(signum, _handle)


def pending() -> int | None:
    """The signal that waits for the end of the `deferred` block, for loops inside one that must come to their end."""
    return _State.pending


def check() -> None:
    """Raise `Stopped` once more after a signal came.

    For loops that wait in an `interruptible` block: an exception that is raised inside somebody else's handler, such as
    logging's, is lost there.
    """
    if _State.first is not None:
        raise Stopped(_State.first)


def settle() -> None:
    """The outcome is decided: signals that come from here on come too late and change nothing.

    The system ignores them then: Python drops its own handlers when it ends, and a 6 would come out as 143.
    """
    _State.pending = None
    for signum in STOPPING:
        if signal.getsignal(signum) is _handle:
            signal.signal(signum, signal.SIG_IGN)


@contextmanager
def deferred() -> Iterator[None]:
    """Within the block a signal waits; `Stopped` is raised when the outermost block ends.

    For what must not be cut in two: a write to a target, an undo.
    """
    _State.depth += 1
    try:
        yield
    finally:
        _State.depth -= 1
    if not _State.depth and _State.pending is not None:
        pending, _State.pending = _State.pending, None
        raise Stopped(pending)


@contextmanager
def interruptible() -> Iterator[None]:
    """Within a `deferred` block, let a signal through at once: for waiting, where there is nothing to cut in two."""
    depth = _State.depth
    try:
        _State.depth = 0
        if _State.pending is not None:
            pending, _State.pending = _State.pending, None
            raise Stopped(pending)
        yield
    finally:
        _State.depth = depth
