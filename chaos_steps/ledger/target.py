"""What a kind of fault brings along: where it goes, what it writes, and how to see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from chaos_steps.errors import Unavailable
from chaos_steps.scope import Scope

if TYPE_CHECKING:
    from chaos_steps.ledger.documents import Claim

State = Any
"""What a target says of itself, as JSON data; only the target itself looks inside."""


class Target(Protocol):
    """A place that holds one fault at a time. Built from a claim alone, so that anybody can revert it."""

    kind: str
    identity: str
    """One spelling for one target; claims exclude one another by it."""

    def address(self) -> dict[str, Any]:
        """What the claim keeps to build this object again; no secrets."""

    def read(self) -> State:
        """The part of the target that the fault is about. Raises Unavailable."""

    def write(self, change: Any) -> None:
        """Put the fault in: one write, at most 10 s in all, never retried.

        Raises Unavailable when it certainly did not happen, OutcomeUnknown when it may have, or may still.
        """

    def restore(self, before: State, change: Any) -> None:
        """Put back what was there before. Raises Unavailable or OutcomeUnknown; the caller reads back in any case."""

    def holds(self, state: State, change: Any) -> bool:
        """Whether the change is in the target; only fields that we set are compared."""

    def marked_by(self, state: State) -> str | None:
        """The id of the run whose fault is in the target, as far as its marks tell; None when there is none of ours."""

    def scope(self, change: Any) -> Scope:
        """What the change reaches, for the limits."""


@dataclass(frozen=True)
class Effect:
    """Which requests should be faulted, and how an answer tells whether the fault was in it."""

    share: float
    """Share of requests that should be faulted, 0 to 1."""
    seen: Callable[[int, Mapping[str, str]], bool] | None = None
    """Whether an answer with this status and these headers has the fault in it; None: only its duration tells."""
    marked: bool = False
    """Whether `seen` goes by a header of the target's that no other answer has."""
    status: int | None = None
    """Status of faulted answers, where it is always the same."""
    delay_ms: float = 0.0
    host: str | None = None
    """Only requests for this host are faulted; None: for any."""
    path: str | None = None
    """Only requests for this path are faulted, with * as wildcard; None: for any."""


@dataclass(frozen=True)
class Fault:
    """A change for a target."""

    target: Target
    change: Any
    effect: Effect
    summary: str
    """For people: what happens to whom."""
    probe_url: str | None = None
    """An address on the faulted path, from the experiment."""


@dataclass(frozen=True)
class Aim:
    """What an injector's options name: a target, and how to make the fault for it.

    Reverting and asking for the state need the target alone.
    """

    target: Target
    fault: Callable[[], Fault]
    """Raises UsageError when an option that the fault needs is missing or wrong."""


TargetOf = Callable[["Claim"], Target]
"""Builds the target of a claim. Raises ChaosError when its kind is unknown here."""


def restore_once(target: Target, before: State, change: Any) -> bool:
    """Restore where the change is in the target, then read back.

    True: the target is as it was before. False: it is neither that nor ours, so somebody else changed it.
    Raises Unavailable when the target cannot be read, or when the change is still in it.
    """
    state = target.read()
    if target.holds(state, change):
        failure = Unavailable(f"{target.kind} {target.identity} accepted the revert, but the fault is still there")
        try:
            target.restore(before, change)
        except Unavailable as error:  # Whatever the answer was, what counts is what is there now.
            failure = error
        state = target.read()
        if target.holds(state, change):
            raise failure
    return bool(state == before)
