"""report/verdict.json: all that a report says, as one published document. The other files are renderings of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from chaos_steps.traces import Traces
from chaos_steps.workspace import Document, Verdict

RunVerdict = Literal["pass", "fail", "inconclusive", "invalid", "disabled"]


class Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A part of the document."""


class Reason(Part, frozen=True, kw_only=True):
    """Why the run did not pass."""

    code: int
    """Exit code that this alone would give."""
    subject: str
    """What it is about: a command's name, `run record`, `dose`, `ledger`."""
    message: str


class Fault(Part, frozen=True, kw_only=True):
    """The fault as the run record has it."""

    kind: str
    target: str
    summary: str
    """The fault in words, by its injector."""
    start_ms: int
    """Epoch milliseconds, clock of the injector."""
    end_ms: int | None
    """Epoch milliseconds, clock of whoever reverted; null: the run record shows no end."""
    change: Any = None
    """What was changed in the target."""
    end_reason: str = ""
    read_backs: int | None = None
    """How often the target was read and the change was there."""
    missing: int | None = None
    """Read-backs that did not find the change."""
    drifted: int | None = None
    """Read-backs that found something else in its place."""


Outcome = Literal["agrees", "under", "over", "measured", "not-measured"]
"""How a measured dose stands to the asked one; `measured`: nothing was asked that it could be compared with."""


class Dose(Part, frozen=True, kw_only=True):
    """Which share of the requests was to be faulted, by how much delayed, and what was measured of it."""

    outcome: Outcome
    message: str
    asked_share: float | None = None
    asked_delay_ms: float | None = None
    source: str | None = None
    """What counted the requests; null when nothing did."""
    url: str | None = None
    requests: int | None = None
    faulted: int | None = None
    share: float | None = None
    low: float | None = None
    """Lower end of the exact interval of the share."""
    high: float | None = None
    """Upper end of the exact interval of the share."""
    delay_ms: float | None = None
    """By how much delayed answers took longer than others, by their medians; at most that, if the lower end is 0."""
    delay_low_ms: float | None = None
    """Lower end of the interval of the delay."""
    delay_high_ms: float | None = None
    """Upper end of the interval of the delay; null: open, or no delay was measured."""
    confidence: float | None = None
    """Of either interval."""


Phase = Literal["before", "during", "after"]
"""How a load stands to the fault by their clocks: where its middle lies."""

PHASES: dict[str, str] = {"before": "before the fault", "during": "under the fault", "after": "after the fault"}
"""Phases in words."""


class LoadWindow(Part, frozen=True, kw_only=True):
    """What the client saw in one stretch of load."""

    name: str
    start_ms: int
    end_ms: int
    source: str
    requests: int | None
    dropped: int | None
    phase: Phase | None = None
    """Null: there was no fault, or the clocks disagree too much to tell."""
    points: bool
    """Whether there are points that the window vouches for; the numbers below come from them."""
    failures: int | None = None
    """Answers outside 200-399 and connection errors."""
    connection_errors: int | None = None
    success_rate: float | None = None
    p50_latency_ms: float | None = None
    p99_latency_ms: float | None = None
    percentiles_ms: dict[str, float] = {}
    """Latency by percentile, `p50` to `p99.9`, and `max`; empty without answers."""
    statuses: dict[str, int] = {}
    """Requests by HTTP status; `none`: no answer."""


class RecordMark(Part, frozen=True, kw_only=True):
    """One event of the run record."""

    name: str
    sequence: int
    at: str
    """RFC 3339, clock of the writer."""
    owner: str
    reason: str = ""
    details: dict[str, Any] = {}


class Explanation(Part, frozen=True, kw_only=True):
    """The verdict for somebody who has never seen a report; whole sentences."""

    tried: str
    """What was done to the target, and under which load."""
    grounds: tuple[str, ...] = ()
    """What a verdict without reasons rests on."""
    sure: str
    """How sure the verdict is."""
    needed: tuple[str, ...] = ()
    """What more it would take: to decide, to make the run valid, to be surer; empty: nothing."""


class Report(Document, frozen=True, kw_only=True):
    """What experiment-report writes to report/verdict.json."""

    verdict: RunVerdict
    exit_code: Annotated[int, msgspec.Meta(ge=0, le=7)]
    summary: str
    """The verdict in one sentence."""
    explanation: Explanation
    reasons: tuple[Reason, ...] = ()
    """The weightiest first; empty when the run passed."""
    notes: tuple[str, ...] = ()
    """What a reader should know although it does not change the verdict."""
    experiment: dict[str, Any] | None = None
    """The experiment file as it was read, with its source."""
    expected: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    """What each judge decided, with its checks."""
    traces: tuple[Traces, ...] = ()
    """What the judges of traces saw besides, in the order of their verdicts."""
    fault: Fault | None = None
    dose: Dose | None = None
    windows: tuple[LoadWindow, ...] = ()
    """By start."""
    marks: tuple[RecordMark, ...] = ()
    """By sequence."""
    claims: tuple[str, ...] = ()
    """Claims of the run that are still in the ledger."""
    versions: dict[str, str] = msgspec.field(default_factory=dict)
