"""The error tree; each class is one exit code, the same for all commands.

    ChaosError
    |-- Breached          1   a limit is breached, a check failed
    |-- UsageError        2   usage or invalid configuration; nothing was changed
    |-- Unavailable       3   a needed system could not be reached or refused us; nothing is left changed
    |   |-- Denied        3   we lack the credentials; trying again does not help
    |   |-- TooLarge      3   an answer is larger than is taken (callers ask for less)
    |   `-- OutcomeUnknown  3  a write was sent, and whether it took effect is not known (callers undo it)
    |-- Refused           4   limits, another run's claim, a closed run, no steady state; nothing was changed
    |-- Inconclusive      5   not enough data, no data
    |-- FaultMayRemain    6   a fault may still be there
    |-- InvalidRun        7   the experiment did not happen as asked
    |-- ChildFailed     any   the COMMAND of `hold -- COMMAND` failed; its code is handed on
    `-- Stopped         143   stopped by SIGTERM (130: SIGINT), with everything reverted and read back

Anything else that reaches the entry point is a bug: a traceback and 70.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable
from typing import ClassVar

BUG = 70


class ChaosError(Exception):
    """An error for people: `message` says what was wrong and where, `hint` what to do next."""

    exit_code: ClassVar[int]
    meaning: ClassVar[str]

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    @property
    def code(self) -> int:
        """The exit code of this very error."""
        return self.exit_code


class Breached(ChaosError):
    """A limit is breached, a check failed."""

    exit_code = 1
    meaning = "a limit is breached, a check failed"


class UsageError(ChaosError):
    """Usage or invalid configuration; nothing was changed."""

    exit_code = 2
    meaning = "usage or invalid configuration; nothing was changed"


class Unavailable(ChaosError):
    """A needed system could not be reached or refused us; nothing is left changed."""

    exit_code = 3
    meaning = "a needed system could not be reached or refused us; nothing is left changed, and that was read back"


class Denied(Unavailable):
    """A needed system refused our credentials, or we have none for it; trying again does not help."""


class TooLarge(Unavailable):
    """The answer is larger than the caller takes."""


class OutcomeUnknown(Unavailable):
    """A write was sent and no clear answer came: it may have happened, or may still happen."""


class Refused(ChaosError):
    """Limits, another run's claim, a closed run, no steady state; nothing was changed."""

    exit_code = 4
    meaning = "refused: limits, another run's claim, a closed run, no steady state; nothing was changed"


class Inconclusive(ChaosError):
    """Not enough data, or none."""

    exit_code = 5
    meaning = "inconclusive: not enough data, no data"


class FaultMayRemain(ChaosError):
    """A fault may still be in its target."""

    exit_code = 6
    meaning = "a fault may still be there; the message says what to do"


class InvalidRun(ChaosError):
    """The experiment did not happen as asked."""

    exit_code = 7
    meaning = "invalid: the experiment did not happen as asked"


class ChildFailed(ChaosError):
    """The COMMAND that a fault was held for failed; its exit code is handed on."""

    def __init__(self, command: str, code: int) -> None:
        super().__init__(f"{command} ended with {code}")
        self._code = code

    @property
    def code(self) -> int:
        """The command's own exit code."""
        return self._code


class Stopped(ChaosError):
    """A signal asked the command to stop."""

    exit_code = 143
    meaning = "stopped by SIGTERM (130: SIGINT) with everything reverted and read back"

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum

    @property
    def code(self) -> int:
        """130 for SIGINT, 143 for every other signal."""
        return 130 if self.signum == signal.SIGINT else 143


MEANINGS: dict[int, str] = {
    0: "done; limits met",
    **{
        kind.exit_code: kind.meaning
        for kind in (Breached, UsageError, Unavailable, Refused, Inconclusive, FaultMayRemain, InvalidRun)
    },
    BUG: "a bug: traceback",
    Stopped.exit_code: Stopped.meaning,
}

_SEVERITY = (6, 7, 1, 5, 0)


def join_codes(codes: Iterable[int]) -> int:
    """One exit code for several: 6 > 7 > 1 > 5 > 0. A code outside this order wins over all but 6."""
    present = set(codes)
    if 6 in present:
        return 6
    outside = sorted(present - set(_SEVERITY))
    if outside:
        return outside[0]
    return next((code for code in _SEVERITY if code in present), 0)
