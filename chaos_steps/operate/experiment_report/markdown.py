"""report/report.md, for a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from chaos_steps.operate.experiment_report import checks, tracing
from chaos_steps.operate.experiment_report.document import Report
from chaos_steps.operate.experiment_report.text import decimal, milliseconds, percent, printable, seconds
from chaos_steps.traces import Traces

_SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "❔", "invalid": "⛔", "disabled": "⏸️"}
_ZERO_WIDTH_SPACE = "\u200b"


def plain(text: str) -> str:
    """Text that stays text: no markup, HTML, link, image, mention of a person or reference to an issue."""
    escaped = re.sub(r"([\\`*_{}\[\]<>#|~&$])", r"\\\1", printable(text))
    escaped = re.sub(r"(@|#)(?=\w)", rf"\1{_ZERO_WIDTH_SPACE}", escaped)
    return re.sub(r"://|(?<=www)\.", lambda found: _ZERO_WIDTH_SPACE + found[0], escaped)


def render(report: Report) -> str:
    """The document."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    name = (report.experiment or {}).get("experimentName", "Experiment")
    yield f"## {_SIGNS[report.verdict]} {plain(str(name))}: {report.verdict}"
    yield ""
    yield f"{plain(report.summary)} Exit code {report.exit_code}, run {plain(report.run)}."
    yield ""
    for reason in report.reasons:
        yield f"- **{plain(reason.subject)}** {plain(reason.message)}"
    for ground in report.explanation.grounds:
        yield f"- {plain(ground)}"
    yield f"- **How sure:** {plain(report.explanation.sure)}"
    for needed in report.explanation.needed:
        yield f"- **Needed:** {plain(needed)}"
    yield f"- **Tried:** {plain(report.explanation.tried)}"
    for warning in checks.warnings(report.verdicts, report.notes):
        yield ""
        yield f"> {plain(warning)}"
    yield from _checks(report)
    yield from _windows(report)
    for traces in report.traces:
        yield from _traces(traces)
    yield from _fault(report)


def _checks(report: Report) -> Iterator[str]:
    rows = [
        (verdict.name, check.metric, checks.value(check), checks.interval(check), checks.limit(check), check.decision)
        for verdict in report.verdicts
        for check in verdict.checks
    ]
    if rows:
        yield from _table(("Verdict", "Measure", "Value", "Interval", "Limit", "Result"), rows)


def _windows(report: Report) -> Iterator[str]:
    rows = [
        (
            window.name,
            "" if window.requests is None else str(window.requests),
            "" if window.failures is None else str(window.failures),
            "" if window.p50_latency_ms is None else milliseconds(window.p50_latency_ms),
            "" if window.p99_latency_ms is None else milliseconds(window.p99_latency_ms),
            ", ".join(f"{status}: {count}" for status, count in window.statuses.items()),
        )
        for window in report.windows
    ]
    if rows:
        yield from _table(("Load", "Requests", "Failed", "Median", "P99", "Answers by status"), rows)


def _traces(traces: Traces) -> Iterator[str]:
    """Retries, timeouts and the rest by edge, and what became of dependencies."""
    rows = [
        (
            f"{pair.caller} → {pair.callee}",
            row.phase,
            row.attempts,
            tracing.of(row.edge.errors, row.edge.calls),
            tracing.of(row.edge.timeouts, row.edge.calls),
            tracing.of(row.edge.cut_short, row.edge.calls),
            tracing.of(row.edge.lost, row.edge.calling),
            tracing.of(row.edge.fallbacks, row.edge.lost),
        )
        for pair in tracing.edges(traces)
        for row in pair.rows
    ]
    if rows:
        head = ("Edge", "Window", "Attempts per request", "Failed calls", "Timeouts", "Cut short", "Lost", "Fallback")
        yield from _table(head, rows)
    links = [(f"{link.parent} → {link.child}", state) for link, state in tracing.changed(traces)]
    if links:
        yield from _table(("Dependency", "Change"), links[: tracing.MOST_LINKS])


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    head = tuple(head)
    yield ""
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(plain(cell) for cell in row)} |"


def _fault(report: Report) -> Iterator[str]:
    if report.fault is None:
        return
    fault = report.fault
    length = "" if fault.end_ms is None else f" for {seconds((fault.end_ms - fault.start_ms) / 1000)}"
    asked = (
        "" if report.dose is None or report.dose.asked_share is None else f", asked {percent(report.dose.asked_share)}"
    )
    read = f", read back {decimal(fault.read_backs, 0)} times" if fault.read_backs else ""
    yield ""
    yield f"Fault: {plain(fault.summary or fault.kind)} at {plain(fault.target)}{length}{asked}{read}."
    if report.dose is not None and report.dose.message not in _said(report):
        yield ""
        yield plain(report.dose.message)


def _said(report: Report) -> set[str]:
    """What stands among the reasons or grounds already."""
    return {*report.explanation.grounds, *(reason.message for reason in report.reasons)}
