"""The verdict in words, for somebody who sees a report for the first time: what was tried, what the verdict rests on,
how sure it is, and what more it would take.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from chaos_steps.operate.experiment_report.checks import label
from chaos_steps.operate.experiment_report.document import Dose, Explanation, Fault, LoadWindow, Reason
from chaos_steps.operate.experiment_report.judgement import STEADY_STATE, Judgement
from chaos_steps.operate.experiment_report.text import decimal, percent, seconds

if TYPE_CHECKING:
    from chaos_steps.workspace import Check, Verdict

Judged = tuple["Verdict", "Check"]

_AGAIN = "Then run the experiment again: the numbers of this run do not count."
_PROBE = "give the injector a --probe-url, or the experiment a fault.probeUrl: an address whose requests pass the fault"
_NEEDED_BY_CODE = {
    2: "Correct what the reason names, and start the run again.",
    3: "Make the system that the reason names reachable (address, network, credentials), and start the run again.",
}
_NEEDED_BY_SUBJECT = {
    "run record": "The fault must be there before the load starts, and the load must be done before the fault ends.",
    "fault": "Nobody else may touch the target of the fault while the run lasts: find out who did.",
}


def explain(
    run: str, judgement: Judgement, verdicts: Sequence[Verdict], fault: Fault | None, windows: Sequence[LoadWindow]
) -> Explanation:
    """Put a judgement into sentences."""
    judged = [(verdict, check) for verdict in verdicts for check in verdict.checks]
    return Explanation(
        tried=_tried(fault, windows),
        grounds=tuple(_grounds(judgement, verdicts, fault)),
        sure=" ".join(_sure(judgement, judged)),
        needed=tuple(dict.fromkeys(_needed(run, judgement, judged, windows))),
    )


def _tried(fault: Fault | None, windows: Sequence[LoadWindow]) -> str:
    if fault is None:
        return "No fault was put in."
    length = "" if fault.end_ms is None else f", for {seconds((fault.end_ms - fault.start_ms) / 1000)}"
    meanwhile = [window for window in windows if window.phase == "during" and window.requests is not None]
    sent = sum(window.requests or 0 for window in meanwhile)
    load = f", while the load sent {sent} requests" if meanwhile else ""
    what = fault.summary or f"{fault.kind} at {fault.target}"
    return f"{what[0].upper()}{what[1:]}{length}{load}."


def _grounds(judgement: Judgement, verdicts: Sequence[Verdict], fault: Fault | None) -> Iterator[str]:
    if judgement.verdict == "disabled":
        yield "The experiment says enabled: false."
    if judgement.verdict != "pass":
        return
    met = [check for verdict in verdicts for check in verdict.checks if check.decision == "pass"]
    yield f"{_count(len(verdicts), 'judge')} passed, {_count(len(met), 'limit')} kept."
    if fault is not None and fault.read_backs:
        yield f"The fault was in its target at all {fault.read_backs} read-backs, and it is gone."
    if judgement.dose is not None:
        yield judgement.dose.message


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


# How sure.


def _sure(judgement: Judgement, judged: Sequence[Judged]) -> Iterator[str]:
    if judgement.verdict == "disabled":
        yield "Certain: the run left neither a fault nor a load nor a verdict."
    elif judgement.exit_code == 6:
        yield "It is not proven that the fault is gone. Until it is, take it for being there."
    elif judgement.exit_code in (2, 3, 4):
        yield "Certain: the run record knows no fault, so nothing was tested."
    elif judgement.exit_code == 7:
        yield "Whatever the judges say below, they did not see the experiment that was asked for."
    else:
        yield from _by_intervals(judgement, judged)


def _by_intervals(judgement: Judgement, judged: Sequence[Judged]) -> Iterator[str]:
    """What chance has to do with a verdict that rests on measured values."""
    decisive = [pair for pair in judged if pair[1].decision == judgement.verdict]
    intervals = [pair for pair in decisive if pair[1].confidence]
    if intervals:
        confidence = percent(min(check.confidence or 1 for _, check in intervals))
        yield {
            "pass": f"Chance is ruled out as far as {confidence} intervals can: each lies wholly within its limit.",
            "fail": f"Chance does not explain it: even the better end of the {confidence} interval breaches the limit.",
            "inconclusive": f"Open: the limit lies inside the {confidence} interval, so chance may explain either.",
        }[judgement.verdict]
    plain = [pair for pair in decisive if pair[1].value is not None and not pair[1].confidence]
    if plain:
        yield f"Compared plainly, without an interval that tells what is chance: {_names(plain)}."
    if any(check.value is None for _, check in decisive):
        yield f"{_names([pair for pair in decisive if pair[1].value is None])} had no data."
    let_pass = [pair for pair in judged if pair[1].decision == "inconclusive" and pair[0].verdict == "pass"]
    if let_pass:
        yield f"{_names(let_pass)} had too few requests to decide, and was told to pass then (--on-inconclusive)."
    if judgement.dose is not None and judgement.dose.outcome == "not-measured":
        yield "That the fault reached requests is known from its configuration alone."
    if not decisive:
        yield "The judges gave no numbers to tell it from."


def _names(pairs: Sequence[Judged]) -> str:
    return ", ".join(dict.fromkeys(verdict.name for verdict, _ in pairs))


# What more it would take.


def _needed(run: str, judgement: Judgement, judged: Sequence[Judged], windows: Sequence[LoadWindow]) -> Iterator[str]:
    if judgement.verdict == "disabled":
        yield "To run it, say enabled: true in the experiment."
    elif judgement.exit_code == 6:
        yield (
            f"Run fault-revert --run {run} now, look at the target, and start nothing else there before it is clean."
        )
    elif judgement.exit_code in (2, 3, 4):
        yield _to_start(judgement.reasons[0])
    elif judgement.exit_code == 7:
        for reason in judgement.reasons:
            if reason.code == 7:
                yield _to_be_valid(reason, judgement.dose)
        yield _AGAIN
    else:
        if judgement.verdict == "fail":
            yield "More data would not change it. Mend the service, or change the limit on purpose, and run it again."
        else:
            yield from _to_decide(judged, windows)
        if judgement.dose is not None and judgement.dose.outcome == "not-measured":
            yield f"To have the share of faulted requests measured, {_PROBE}."


def _to_start(reason: Reason) -> str:
    if reason.code == 4 and reason.subject == STEADY_STATE:
        return "The service must keep its limits without a fault before one may be put in."
    return _NEEDED_BY_CODE.get(
        reason.code, "Wait for the other run to end, or have the administrator widen the limits, and start it again."
    )


def _to_be_valid(reason: Reason, dose: Dose | None) -> str:
    if reason.subject == "dose" and dose is not None:
        return {
            "under": "Find out why the fault did less than asked: another rule in front, a cache, another path.",
            "over": "Find out what did more than asked: another fault at the same time, or a target that is not well.",
        }.get(dose.outcome, f"To have the dose measured, {_PROBE}.")
    return _NEEDED_BY_SUBJECT.get(reason.subject, f"Put right what kept {reason.subject} from its work.")


def _to_decide(judged: Sequence[Judged], windows: Sequence[LoadWindow]) -> Iterator[str]:
    for verdict, check in judged:
        if check.decision != "inconclusive":
            continue
        what = f"the {label(check.metric)} in {verdict.name}"
        if check.value is None:
            yield f"Data for {what}: there were none."
        elif check.needed is None:
            yield f"Another limit for {what}: it lies so close that 10 million more requests would not decide."
        else:
            yield f"About {check.needed} more requests would decide {what}{_as_load(verdict, check.needed, windows)}."


def _as_load(verdict: Verdict, more: int, windows: Sequence[LoadWindow]) -> str:
    """How long a load that is, if the judge's window tells its rate. A new run has to send the old requests too."""
    window = next((window for window in windows if window.name == verdict.window), None)
    if window is None or not window.requests or window.end_ms <= window.start_ms:
        return ""
    length = (window.end_ms - window.start_ms) / 1000
    longer = length * (window.requests + more) / window.requests
    return f": a load of {decimal(longer, 0)} s in place of {decimal(length, 0)} s"
