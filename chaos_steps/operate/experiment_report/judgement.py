"""What a run amounts to: the rule of what is invalid, and how many codes become one. Pure functions on what was read.

6  a claim of the run is left, or somebody could not prove that the fault is gone
7  the experiment did not happen as asked: no fault, fault not there all the time, dose off, load not delivered,
   an expected verdict missing
1, 5, 0  what the judges say
2, 3, 4  what stopped a run before its fault; nothing was injected then, so nothing else counts but a 6
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from chaos_steps.errors import join_codes
from chaos_steps.operate.experiment_report.checks import why
from chaos_steps.operate.experiment_report.document import Dose, Reason, RunVerdict
from chaos_steps.operate.experiment_report.dose import assess
from chaos_steps.operate.experiment_report.record import Measured, RunRecord

if TYPE_CHECKING:
    from chaos_steps.ledger.documents import Claim, MarkName
    from chaos_steps.workspace import ErrorRecord, Verdict, Window

STEADY_STATE = "steady-state"
"""Name of the verdict without which nothing may be injected."""

ORDER: tuple[MarkName, ...] = ("fault-active", "load-started", "load-done", "fault-ended")
"""The marks of a run that happened, in this order. It comes from the marks' numbers, never from clocks."""

_CODES = {"pass": 0, "fail": 1, "inconclusive": 5}
_WORDS: dict[int, RunVerdict] = {0: "pass", 1: "fail", 5: "inconclusive"}
_SUMMARIES = {
    0: "Every limit was met while the fault was in place.",
    1: "A limit was breached.",
    2: "The run ended before the fault: something is configured wrongly. Nothing was injected.",
    3: "The run ended before the fault: a needed system could not be reached. Nothing was injected.",
    4: "The run was refused before the fault. Nothing was injected.",
    5: "There is not enough data to tell.",
    6: "A fault may still be in its target.",
    7: "The experiment did not happen as asked, so its numbers prove nothing.",
}
_RANK = {6: 0, 2: 1, 3: 1, 4: 1, 7: 2, 1: 3, 5: 4}


@dataclass(frozen=True)
class Evidence:
    """What is known of a run; only of this run."""

    enabled: bool
    expected: tuple[str, ...]
    verdicts: Mapping[str, Verdict]
    errors: Mapping[str, ErrorRecord]
    record: RunRecord
    claims: Sequence[Claim]
    left_out: tuple[str, ...] = ()
    """Verdicts that would be expected if their judges had been asked for."""
    windows: Mapping[str, Window] = field(default_factory=dict)
    """Loads by name."""
    client: Measured | None = None
    """The dose as the load itself saw it, if it could."""
    require_dose: bool = False
    require_baseline: bool = False


@dataclass(frozen=True)
class Judgement:
    """The verdict on a run."""

    verdict: RunVerdict
    exit_code: int
    summary: str
    reasons: tuple[Reason, ...] = ()
    dose: Dose | None = None


def judge(evidence: Evidence) -> Judgement:
    """Weigh the evidence."""
    if _is_untouched(evidence):
        return Judgement("disabled", 0, "The experiment is disabled: nothing was touched.")
    left = list(_left_behind(evidence))
    if "fault-active" not in evidence.record.marks:
        stopped = _stopped_by(evidence)
        return _judgement(stopped[0].code, left, stopped, None)
    dose = assess(evidence.record.asked, [each for each in (evidence.record.held.dose, evidence.client) if each])
    found = [*_not_as_asked(evidence, dose), *_missing(evidence), *_errors(evidence), *_judged(evidence)]
    return _judgement(join_codes(reason.code for reason in found), left, found, dose)


def _judgement(code: int, left: list[Reason], found: list[Reason], dose: Dose | None) -> Judgement:
    reasons = tuple(sorted([*left, *found], key=lambda reason: _RANK[reason.code]))
    code = 6 if any(reason.code == 6 for reason in reasons) else code
    return Judgement(_WORDS.get(code, "invalid"), code, _SUMMARIES[code], reasons, dose)


def _is_untouched(evidence: Evidence) -> bool:
    """Disabled, and no sign of the contrary: the word must not hide a fault that was injected all the same."""
    signs = (evidence.record.marks, evidence.claims, evidence.errors, evidence.verdicts)
    return not evidence.enabled and not any(signs)


def _left_behind(evidence: Evidence) -> Iterator[Reason]:
    for claim in evidence.claims:
        yield Reason(code=6, subject="ledger", message=f"{claim} is left; run fault-revert --run {claim.run}")


def _stopped_by(evidence: Evidence) -> list[Reason]:
    """Why there was no fault, the cause first and what followed from it after.

    The cause is an error of a command that judges nothing, then a steady state that is none, then an error of a load or
    judge: these follow from the others, as no load runs without a fault.
    """
    errors = sorted(evidence.errors.values(), key=lambda error: (error.name in evidence.expected, error.name))
    causes = [_as_stop(error) for error in errors if error.exit_code in (2, 3, 4)]
    own = [cause for cause in causes if cause.subject not in evidence.expected]
    others = [cause for cause in causes if cause.subject in evidence.expected]
    consequences = [_as_invalid(error) for error in errors if error.exit_code not in (2, 3, 4)]
    found = [*own, *_no_steady_state(evidence.verdicts), *others, *consequences]
    return found or [
        Reason(code=7, subject="run record", message="the fault never became active, and no command says why")
    ]


def _as_stop(error: ErrorRecord) -> Reason:
    return Reason(code=error.exit_code, subject=error.name, message=error.message)


def _no_steady_state(verdicts: Mapping[str, Verdict]) -> Iterator[Reason]:
    steady = verdicts.get(STEADY_STATE)
    if steady is not None and steady.verdict != "pass":
        yield Reason(code=4, subject=STEADY_STATE, message=f"refused: no steady state: {why(steady)}")


def _not_as_asked(evidence: Evidence, dose: Dose) -> Iterator[Reason]:
    for problem in evidence.record.unreadable:
        yield Reason(code=7, subject="run record", message=problem)
    yield from _order(evidence.record)
    yield from _read_backs(evidence.record)
    yield from _holder(evidence)
    yield from _undelivered(evidence)
    if dose.outcome in ("under", "over"):
        yield Reason(code=7, subject="dose", message=dose.message)
    if dose.outcome == "not-measured" and evidence.require_dose:
        yield Reason(
            code=7, subject="dose", message=f"{dose.message} limits.yaml asks for a measured one (requireDose)."
        )
    steady = evidence.verdicts.get(STEADY_STATE)
    if evidence.require_baseline and (steady is None or steady.verdict != "pass"):
        message = "no passing steady state, and limits.yaml asks for one (requireBaseline)"
        yield Reason(code=7, subject=STEADY_STATE, message=message)


def _order(record: RunRecord) -> Iterator[Reason]:
    for name in ORDER:
        if name not in record.marks:
            yield Reason(code=7, subject="run record", message=f"there is no mark {name}")
    present = [record.marks[name] for name in ORDER if name in record.marks]
    for former, latter in pairwise(present):
        if former.sequence >= latter.sequence:
            because = f" ({latter.reason})" if latter.reason else ""
            yield Reason(code=7, subject="run record", message=f"{latter.name} came before {former.name}{because}")


def _read_backs(record: RunRecord) -> Iterator[Reason]:
    """The change must have been in the target whenever somebody looked, and somebody must have looked."""
    if "fault-ended" not in record.marks:
        return
    held, reason = record.held, record.marks["fault-ended"].reason
    looks = held.read_backs + held.missing + held.drifted
    if not looks:
        message = f"nobody read the change back while it lasted; it ended: {reason or 'no reason given'}"
        yield Reason(code=7, subject="fault", message=message)
    if held.missing:
        message = f"the change was missing at {held.missing} of {looks} read-backs"
        yield Reason(code=7, subject="fault", message=message)
    if held.drifted:
        message = f"something else was in the change's place at {held.drifted} of {looks} read-backs"
        yield Reason(code=7, subject="fault", message=message)


def _holder(evidence: Evidence) -> Iterator[Reason]:
    """How the fault's holder ended, unless its own error record says so already."""
    code = evidence.record.held.exit_code
    if code and all(error.exit_code != code for error in evidence.errors.values()):
        message = f"whoever held the fault ended with {code}: {evidence.record.marks['fault-ended'].reason}"
        yield Reason(code=_as_late(code), subject="fault", message=message)


def _undelivered(evidence: Evidence) -> Iterator[Reason]:
    """Loads that fell short, unless their own error records say so already: a load may be killed before it does."""
    for name, window in evidence.windows.items():
        if window.dropped and name not in evidence.errors:
            message = f"the load was not delivered: {window.dropped} requests were dropped, {window.requests or 0} sent"
            yield Reason(code=7, subject=name, message=message)


def _missing(evidence: Evidence) -> Iterator[Reason]:
    for name in evidence.expected:
        if name not in evidence.verdicts:
            error = evidence.errors.get(name)
            message = (
                "and no error record says why" if error is None else f"exit code {error.exit_code}: {error.message}"
            )
            yield Reason(code=7, subject=name, message=f"the expected verdict is missing: {message}")
    if not evidence.expected and not evidence.verdicts:
        yield Reason(code=5, subject="verdicts", message="nothing was judged")


def _errors(evidence: Evidence) -> Iterator[Reason]:
    """Any command that ended otherwise than 0, 1, 5; those of missing verdicts are told there, but for a 6."""
    for error in evidence.errors.values():
        told = error.name in evidence.expected and error.name not in evidence.verdicts
        if not told or error.exit_code == 6:
            yield _as_invalid(error)


def _as_invalid(error: ErrorRecord) -> Reason:
    message = error.message if error.exit_code in (6, 7) else f"exit code {error.exit_code}: {error.message}"
    return Reason(code=_as_late(error.exit_code), subject=error.name, message=message)


def _as_late(code: int) -> int:
    """Once a fault was active, whatever is not a judge's word makes the run invalid."""
    return code if code in (0, 1, 5, 6) else 7


def _judged(evidence: Evidence) -> Iterator[Reason]:
    """Every verdict counts, also one that was not expected: leaving it out of --expect must not turn a run green."""
    for verdict in evidence.verdicts.values():
        code = join_codes((_CODES[verdict.verdict], _as_late(verdict.exit_code)))
        if code:
            yield Reason(code=code, subject=verdict.name, message=why(verdict))
