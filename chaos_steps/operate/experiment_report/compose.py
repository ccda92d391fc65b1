"""From what a run left behind to the report: the document that all files render."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from chaos_steps import __version__
from chaos_steps.operate.experiment_report.document import Fault, LoadWindow, RecordMark, Report
from chaos_steps.operate.experiment_report.explanation import explain
from chaos_steps.operate.experiment_report.judgement import Evidence, judge
from chaos_steps.operate.experiment_report.loads import Loads, read_loads
from chaos_steps.operate.experiment_report.record import RunRecord
from chaos_steps.operate.experiment_report.text import decimal
from chaos_steps.params import rfc3339
from chaos_steps.traces import Traces

if TYPE_CHECKING:
    from chaos_steps.experiment import Experiment
    from chaos_steps.ledger.documents import Mark, Owner
    from chaos_steps.workspace import Workspace


@dataclass(frozen=True)
class Composed:
    """The document, and the loads with the curves that only the page draws."""

    report: Report
    loads: Loads


def compose(workspace: Workspace, evidence: Evidence, experiment: Experiment | None) -> Composed:
    """Judge the evidence and put everything that explains the judgement around it."""
    judgement = judge(evidence)
    fault = _fault(evidence.record)
    loads = read_loads(workspace, fault)
    verdicts = tuple(_in_order(evidence))
    traces = (workspace.read(f"traces/{verdict.name}.json", Traces) for verdict in verdicts)
    report = Report(
        run=workspace.run,
        verdict=judgement.verdict,
        exit_code=judgement.exit_code,
        summary=judgement.summary,
        explanation=explain(workspace.run, judgement, verdicts, fault, loads.windows),
        reasons=judgement.reasons,
        notes=tuple(_notes(evidence, fault, loads.windows)),
        experiment=None if experiment is None else _set_fields(experiment),
        expected=evidence.expected,
        verdicts=verdicts,
        traces=tuple(each for each in traces if each is not None),
        fault=fault,
        dose=judgement.dose,
        windows=loads.windows,
        marks=tuple(_mark(mark) for mark in evidence.record.marks.values()),
        claims=tuple(str(claim) for claim in evidence.claims),
        versions=_versions(workspace),
    )
    return Composed(report, loads)


def _versions(workspace: Workspace) -> dict[str, str]:
    """Our own, and what the loads were made with; two loads may have used different ones."""
    found = {"chaos-steps": {__version__}, "python": {platform.python_version()}}
    for window in workspace.windows().values():
        for program, version in window.versions.items():
            found.setdefault(program, set()).add(version or "of an unknown version")
    return {program: " and ".join(sorted(versions)) for program, versions in found.items()}


def _set_fields(experiment: Experiment) -> dict[str, Any]:
    """The experiment without the fields that it leaves open."""

    def without_none(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_none(item) for key, item in value.items() if item is not None}
        return value

    found: dict[str, Any] = without_none(msgspec.to_builtins(experiment))
    return found


def _in_order(evidence: Evidence) -> Iterator[Any]:
    """Verdicts in the order of --expect, then the others by name."""
    names = [name for name in evidence.expected if name in evidence.verdicts]
    for name in [*names, *sorted(set(evidence.verdicts) - set(names))]:
        yield evidence.verdicts[name]


def _fault(record: RunRecord) -> Fault | None:
    active, ended = record.marks.get("fault-active"), record.marks.get("fault-ended")
    if active is None:
        return None
    return Fault(
        kind=record.asked.kind,
        target=record.asked.target,
        summary=active.reason,
        change=record.asked.change,
        start_ms=round(active.at * 1000),
        end_ms=None if ended is None else round(ended.at * 1000),
        end_reason="" if ended is None else ended.reason,
        read_backs=None if ended is None else record.held.read_backs,
        missing=None if ended is None else record.held.missing,
        drifted=None if ended is None else record.held.drifted,
    )


def _mark(mark: Mark) -> RecordMark:
    return RecordMark(
        name=mark.name,
        sequence=mark.sequence,
        at=rfc3339(mark.at),
        owner=_owner(mark.owner),
        reason=mark.reason,
        details=mark.details,
    )


def _owner(owner: Owner) -> str:
    """Host and process; the ids of machine and boot are nobody's business outside the ledger."""
    return f"{owner.host}, process {owner.pid}"


def _notes(evidence: Evidence, fault: Fault | None, windows: Sequence[LoadWindow]) -> Iterator[str]:
    for name in evidence.left_out:
        if name not in evidence.verdicts:
            yield f"The judge {name} was left out: the parameter that it needs is empty."
    for name in sorted(set(evidence.verdicts) - set(evidence.expected)):
        yield f"The verdict {name} was not expected; it counts all the same."
    if fault is not None and windows and not any(_overlap(fault, window) for window in windows):
        yield "By their clocks the fault and the loads do not overlap; what counts is the order of the run record."
    for window in windows:
        if not window.points:
            yield f"The load {window.name} has no points that its window vouches for, so it is not in the plot."
        if window.dropped:
            share = decimal(100 * window.dropped / max(1, window.dropped + (window.requests or 0)), 2)
            yield f"The load {window.name} dropped {window.dropped} requests ({share} %) that it should have sent."


def _overlap(fault: Fault, window: LoadWindow) -> bool:
    return fault.start_ms <= window.end_ms and (fault.end_ms is None or window.start_ms <= fault.end_ms)
