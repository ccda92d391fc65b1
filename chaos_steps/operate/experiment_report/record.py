"""The run record as a report reads it: the marks, and what injectors write into their details."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from chaos_steps.ledger.delays import Median

if TYPE_CHECKING:
    from chaos_steps.ledger.documents import Mark

Count = Annotated[int, msgspec.Meta(ge=0)]


class Details(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Details of a mark. Unknown fields are left alone: an injector may say more than a report reads."""


class Asked(Details, frozen=True, kw_only=True):
    """Details of fault-active."""

    kind: str = ""
    target: str = ""
    change: Any = None
    asked_share: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    """Null for a kind without a share."""
    asked_status: int | None = None
    """Null: faulted answers have no status of their own."""
    asked_delay_ms: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """Null or 0: no delay."""
    host: str | None = None
    """Only requests for this host are faulted; null: for any, or nobody said."""
    path: str | None = None
    """Only requests for this path are faulted, with * as wildcard; null: for any."""
    probe_url: str | None = None
    """An address on the faulted path."""


class Started(Details, frozen=True, kw_only=True):
    """Details of load-started."""

    window: str | None = None
    """Name of the load's window."""


class Counted(Details, frozen=True, kw_only=True):
    """Requests, and those of them that look faulted."""

    requests: Count
    faulted: Count

    def __post_init__(self) -> None:
        if self.faulted > self.requests:
            raise ValueError(f"{self.faulted} faulted of {self.requests} requests")


class Measured(Counted, frozen=True, kw_only=True):
    """A dose that somebody measured."""

    source: str
    url: str | None = None
    baseline: Counted | None = None
    """Requests before the fault; null: the fault is told from everything else."""
    delayed: Median | None = None
    """Of a delay: how long the delayed answers took, milliseconds."""
    others: Median | None = None
    """Of a delay: how long answers took without it, milliseconds."""
    slower_ms: float | None = None
    """By how much the slowest answers, as many as were to be delayed, took longer than the rest."""


class Held(Details, frozen=True, kw_only=True):
    """Details of fault-ended; whoever reverts a fault that it did not hold has read nothing back."""

    read_backs: Count = 0
    """Read-backs that found the change."""
    missing: Count = 0
    drifted: Count = 0
    dose: Measured | None = None
    exit_code: int | None = None


AnyDetails = TypeVar("AnyDetails", bound=Details)


@dataclass(frozen=True)
class RunRecord:
    """The marks of a run by name, in the order in which they were written."""

    marks: Mapping[str, Mark]
    asked: Asked = field(default_factory=Asked)
    started: Started = field(default_factory=Started)
    held: Held = field(default_factory=Held)
    unreadable: tuple[str, ...] = ()
    """Marks whose details cannot be understood, with the reason; nothing of them is believed."""


def read_record(marks: Mapping[Any, Mark]) -> RunRecord:
    """Take the marks apart."""
    problems: list[str] = []
    asked = _details(marks, "fault-active", Asked, problems)
    started = _details(marks, "load-started", Started, problems)
    held = _details(marks, "fault-ended", Held, problems)
    return RunRecord(marks=marks, asked=asked, started=started, held=held, unreadable=tuple(problems))


def _details(marks: Mapping[Any, Mark], name: str, kind: type[AnyDetails], problems: list[str]) -> AnyDetails:
    if name not in marks:
        return kind()
    try:
        return msgspec.convert(marks[name].details, kind)
    except msgspec.ValidationError as error:
        problems.append(f"the details of mark {name} cannot be read: {error}")
        return kind()
