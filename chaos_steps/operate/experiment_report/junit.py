"""report/junit.xml, for the test pages of CI systems.

Valid against the strictest schema in use, that of Ant's JUnit tasks (github.com/windyroad/JUnit-Schema): one suite, all
attributes given, a time without zone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree as ET

from chaos_steps.operate.experiment_report import tracing
from chaos_steps.operate.experiment_report.checks import describe, warnings, why
from chaos_steps.operate.experiment_report.document import Report
from chaos_steps.operate.experiment_report.text import decimal, printable
from chaos_steps.params import rfc3339

FAULT_HAPPENED = "fault happened"
FAULT_GONE = "fault gone"

State = Literal["passed", "failure", "error", "skipped"]

_STATES: dict[str, State] = {"pass": "passed", "fail": "failure", "inconclusive": "error"}


@dataclass(frozen=True)
class Case:
    """One test case: a failure is a limit that was breached, an error whatever else is not right."""

    name: str
    state: State
    messages: tuple[str, ...] = ()
    seconds: float = 0.0


def cases(report: Report) -> Iterator[Case]:
    """A case for each verdict, expected or not, and one each for the fault's coming and going."""
    names = dict.fromkeys([*report.expected, *(verdict.name for verdict in report.verdicts)])
    for name in names:
        yield _judged(report, name)
    yield _happened(report, set(names))
    yield _gone(report)


def _judged(report: Report, name: str) -> Case:
    verdict = next((verdict for verdict in report.verdicts if verdict.name == name), None)
    invalid = tuple(reason.message for reason in report.reasons if reason.subject == name and reason.code not in (1, 5))
    if verdict is None:
        if report.verdict == "disabled":
            return Case(name, "skipped")
        return Case(name, "error", invalid or (f"there is no verdict: {report.summary}",))
    length = next((_seconds(w.start_ms, w.end_ms) for w in report.windows if w.name == verdict.window), 0.0)
    told = (*invalid, why(verdict), *(describe(check) for check in verdict.checks))
    return Case(name, "error" if invalid else _STATES[verdict.verdict], told, length)


def _happened(report: Report, judged: set[str]) -> Case:
    if report.verdict == "disabled":
        return Case(FAULT_HAPPENED, "skipped")
    against = tuple(
        f"{reason.subject}: {reason.message}"
        for reason in report.reasons
        if reason.code not in (1, 5, 6) and reason.subject not in judged
    )
    if report.fault is None:
        return Case(FAULT_HAPPENED, "error", against or (report.summary,))
    length = 0.0 if report.fault.end_ms is None else _seconds(report.fault.start_ms, report.fault.end_ms)
    return Case(FAULT_HAPPENED, "error" if against else "passed", against, length)


def _gone(report: Report) -> Case:
    left = tuple(f"{reason.subject}: {reason.message}" for reason in report.reasons if reason.code == 6)
    return Case(FAULT_GONE, "error" if left else "skipped" if report.verdict == "disabled" else "passed", left)


def _seconds(start_ms: int, end_ms: int) -> float:
    return (end_ms - start_ms) / 1000


def render(report: Report) -> bytes:
    """The document."""
    found = list(cases(report))
    suite = ET.Element(
        "testsuite",
        name=f"chaos-steps {_experiment_name(report)}",
        timestamp=_timestamp(report),
        hostname="localhost",
        tests=str(len(found)),
        failures=str(sum(case.state == "failure" for case in found)),
        errors=str(sum(case.state == "error" for case in found)),
        skipped=str(sum(case.state == "skipped" for case in found)),
        time=decimal(sum(case.seconds for case in found), 3),
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(report).items():
        ET.SubElement(properties, "property", name=name, value=printable(value))
    for case in found:
        _add(suite, case, _experiment_name(report))
    ET.SubElement(suite, "system-out").text = "\n".join(printable(line) for line in _told(report))
    ET.SubElement(suite, "system-err").text = "\n".join(
        printable(f"{reason.subject}: {reason.message}") for reason in report.reasons
    )
    ET.indent(suite)
    content: bytes = ET.tostring(suite, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _told(report: Report) -> Iterator[str]:
    """What the page says in words; the schema gives a passed case no room for any."""
    explanation = report.explanation
    yield report.summary
    yield from explanation.grounds
    yield f"How sure: {explanation.sure}"
    yield from (f"Needed: {needed}" for needed in explanation.needed)
    yield f"Tried: {explanation.tried}"
    yield from (f"Note: {warning}" for warning in warnings(report.verdicts, report.notes))
    for traces in report.traces:
        for pair in tracing.edges(traces):
            attempts = ", ".join(f"{row.attempts} ({row.phase})" for row in pair.rows)
            yield f"Attempts per request, {pair.caller} to {pair.callee}: {attempts}"
        yield from (f"Dependency {link.parent} to {link.child}: {state}" for link, state in tracing.changed(traces))


def _add(suite: ET.Element, case: Case, experiment: str) -> None:
    attributes = {"name": printable(case.name), "classname": experiment, "time": decimal(case.seconds, 3)}
    element = ET.SubElement(suite, "testcase", attributes)
    if case.state in ("failure", "error"):
        child = ET.SubElement(element, case.state, type=case.state, message=printable(case.messages[0]))
        child.text = "\n".join(printable(message) for message in dict.fromkeys(case.messages))
    elif case.state == "skipped":
        ET.SubElement(element, "skipped")


def _experiment_name(report: Report) -> str:
    name = (report.experiment or {}).get("experimentName")
    return printable(name).strip() if isinstance(name, str) and name.strip() else "experiment"


def _properties(report: Report) -> dict[str, str]:
    return {"run": report.run, "verdict": report.verdict, "exit-code": str(report.exit_code), **report.versions}


def _timestamp(report: Report) -> str:
    """When the run began as far as the documents tell; the epoch when they do not."""
    starts = [window.start_ms for window in report.windows]
    if report.fault is not None:
        starts.append(report.fault.start_ms)
    return rfc3339(min(starts, default=0) / 1000)[:19]
