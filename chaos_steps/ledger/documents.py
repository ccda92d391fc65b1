"""What the ledger keeps: claims with their changes, and the marks of a run."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

PROTOCOL = 1

MarkName = Literal["load-ready", "fault-active", "load-started", "load-done", "fault-ended", "closed"]

START_BOUND = 2.0
"""Seconds: a write that has not begun this long after the time its change is recorded with must not begin any more."""

WRITE_BOUND = 10.0
"""Seconds: a write to a target is over, one way or the other, this long after it began."""


class Owner(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A process, so that others can tell whether it still lives."""

    host: str
    machine_id: str
    boot_id: str
    pid_namespace: str
    pid: int
    start_time: int
    """Clock ticks after boot, field 22 of /proc/PID/stat: tells two processes with one pid apart."""
    pod_uid: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an owner is about to write, and what was there before."""

    before: Any
    change: Any
    at: float
    """Epoch seconds, from before it was recorded."""

    @property
    def landed_at(self) -> float:
        """Epoch seconds from which on its write cannot land any more, whatever has become of its owner."""
        return self.at + START_BOUND + WRITE_BOUND


class Claim(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The exclusive right of one run to change one target, as it stood when it was read."""

    id: str
    kind: str
    identity: str
    """The target, in the one spelling that its kind has for it."""
    target: dict[str, Any]
    """What the kind needs to find the target again; no secrets."""
    run: str
    created: float
    """Epoch seconds."""
    deadline: float
    """Epoch seconds; no lease reaches beyond."""
    owner: Owner | None = None
    expires: float = 0.0
    """End of the lease, epoch seconds."""
    change: Change | None = None
    """None: nothing was recorded, so nothing was touched."""
    active: bool = False
    reverting: bool = False
    ended: bool = False
    """The owner will not act any more."""
    protocol: int = PROTOCOL

    @property
    def key(self) -> str:
        """Name of the target in the ledger: one claim a key."""
        return hashlib.sha256(f"{self.kind}\n{self.identity}".encode()).hexdigest()[:32]

    def __str__(self) -> str:
        return f"claim {self.id} of run {self.run} on {self.kind} {self.identity}"


class Mark(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One event of a run; the first writer of a name wins."""

    name: MarkName
    run: str
    sequence: int
    """Place among the run's marks: a mark with a higher number was written knowing all lower ones."""
    at: float
    """Epoch seconds of the writer's clock; for people, never for ordering."""
    owner: Owner
    reason: str = ""
    details: dict[str, Any] = {}
