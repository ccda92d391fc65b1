"""How much load, and the script that makes k6 produce just that."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from chaos_steps.errors import UsageError

REQUEST_TIMEOUT = 10
"""Seconds that the built-in script waits for an answer; a slower request has none."""

# An iteration that still waits when the time is up is let finish: its request was part of the load.
_GRACE = REQUEST_TIMEOUT + 5

# A virtual user costs about 0.12 MB and 0.3 ms of start (k6 1.1).
_MOST_USERS = 2000

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Plan:
    """An open load: `rate` iterations a second for `seconds`, however slowly the target answers."""

    target: str
    rate: Fraction
    seconds: float
    script: Path | None
    """The user's k6 script; None for the built-in one."""

    @classmethod
    def of(cls, target: str, rate: float, seconds: float, script: Path | None) -> Plan:
        """Raises UsageError when this makes no single iteration."""
        plan = cls(target, Fraction(str(rate)).limit_denominator(1000), seconds, script)
        if plan.asked < 1:
            raise UsageError(f"{rate:g} requests a second for {seconds:g} s make no request", hint="raise one of them")
        return plan

    @property
    def asked(self) -> int:
        """Iterations to be started; with the built-in script each is one request."""
        return math.floor(self.rate * Fraction(str(self.seconds)))

    @property
    def address(self) -> str | None:
        """Where all requests go, without the query, which may hold secrets; None: a user's script chooses."""
        return None if self.script else self.target.partition("?")[0]

    @property
    def users(self) -> int:
        """Virtual users, all made beforehand.

        k6 drops an iteration for every user that it has to add in mid-run, so there are enough of them for a target
        that answers nothing until the timeout: its slowness is a finding, not a load that was not delivered.
        """
        return max(math.ceil(self.rate), min(_MOST_USERS, math.ceil(self.rate * (REQUEST_TIMEOUT + 1)))) + 5

    @property
    def source(self) -> str:
        """The script to run: a wrapper that imports the user's script or ours."""
        scenario = {
            "rate": self.rate.numerator,
            "timeUnit": f"{self.rate.denominator}s",
            "duration": f"{round(self.seconds * 1000)}ms",
            "preAllocatedVUs": self.users,
            "maxVUs": self.users,
            "gracefulStop": f"{_GRACE}s",
        }
        text = (_HERE / "wrapper.js").read_text()
        return text.replace('"@SCRIPT@"', json.dumps(str(self._path))).replace("@SCENARIO@", json.dumps(scenario))

    @property
    def folder(self) -> Path:
        """Where k6 runs: the script's folder, so that its relative imports and open() work."""
        return self._path.parent

    @property
    def request_timeout_us(self) -> int:
        """Microseconds after which a request is given up; 0: the user's script decides."""
        return 0 if self.script else REQUEST_TIMEOUT * 1_000_000

    @property
    def _path(self) -> Path:
        return (self.script or _HERE / "script.js").resolve()
