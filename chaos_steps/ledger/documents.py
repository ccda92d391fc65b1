"""What the ledger keeps: claims with their changes, and the marks of a run."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

PROTOCOL = 1

UNKNOWN = "?"
"""In place of what could not be read of a claim."""

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
        return key_of(self.kind, self.identity)

    def may_be_of(self, run: str) -> bool:
        """Whether the run may have made it."""
        return self.run == run

    def __str__(self) -> str:
        return f"claim {self.id} of run {self.run} on {self.kind} {self.identity}"


class Unreadable(Claim, frozen=True, kw_only=True):
    """A claim of another version, or a damaged one: as much as could be told, enough to name it, not to act on it."""

    why: str
    """What is wrong with it, and what to do."""

    def may_be_of(self, run: str) -> bool:
        """Whose it is may be among what could not be read: then it may be anybody's."""
        return self.run in (run, UNKNOWN)


def key_of(kind: str, identity: str) -> str:
    """The key of a target."""
    return hashlib.sha256(f"{kind}\n{identity}".encode()).hexdigest()[:32]


def read_claim(content: bytes, claim_id: str, place: str) -> Claim:
    """Decode a claim; one that cannot be decoded comes out as Unreadable.

    `claim_id` is its id when it does not tell its own, `place` says for people where it is.
    """
    fields: Any = None
    try:
        fields = msgspec.json.decode(content)
        if isinstance(fields, dict) and fields.get("protocol") != PROTOCOL:
            version = fields.get("protocol")
            why = f"it has protocol version {version}, this program knows {PROTOCOL}; use the one that made it"
            return _unreadable(fields, claim_id, why)
        return msgspec.convert(fields, Claim)
    except msgspec.MsgspecError as error:
        return damaged(claim_id, place, error, fields)


def damaged(claim_id: str, place: str, reason: object, fields: object = None) -> Unreadable:
    """A claim whose documents are not what they should be; `fields` are those of what could be decoded."""
    return _unreadable(fields, claim_id, f"{place} is damaged: {reason}; look at it by hand")


def _unreadable(fields: object, claim_id: str, why: str) -> Unreadable:
    known = fields if isinstance(fields, dict) else {}
    told = {name: known[name] for name in ("kind", "identity", "run") if isinstance(known.get(name), str)}
    version, deadline = known.get("protocol"), known.get("deadline")
    end = deadline if isinstance(deadline, (int, float)) else 0.0
    return Unreadable(
        id=claim_id,
        target={},
        created=0.0,
        deadline=end,
        expires=end,
        protocol=version if isinstance(version, int) else 0,
        why=why,
        **{**dict.fromkeys(("kind", "identity", "run"), UNKNOWN), **told},
    )


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
