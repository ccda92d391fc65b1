"""report/report.html: one file that explains the run. It asks nothing of the network and runs no script."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos_steps.operate.experiment_report import checks, text
from chaos_steps.operate.experiment_report.compose import Composed
from chaos_steps.operate.experiment_report.document import Report
from chaos_steps.params import format_number, rfc3339

if TYPE_CHECKING:
    from jinja2 import Environment

    from chaos_steps.workspace import Check

_TEMPLATE = Path(__file__).with_name("page.html.j2")
_BAR_WIDTH = 150


def render(composed: Composed) -> str:
    """The page."""
    report = composed.report
    return (
        _environment()
        .from_string(_TEMPLATE.read_text())
        .render(
            report=report,
            name=(report.experiment or {}).get("experimentName") or "Experiment",
            grounds=list(_grounds(report)),
            plot=_plot(composed),
            bin_width=text.seconds(composed.axis.bin_seconds) if composed.axis else "",
            configuration={key: item for key, item in _flat(report.experiment or {}) if key != "run"},
        )
    )


def _environment() -> Environment:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415
    from markupsafe import Markup  # noqa: PLC0415

    def finalize(value: Any) -> Any:
        return text.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=finalize, trim_blocks=True, lstrip_blocks=True
    )
    filters: dict[str, Callable[..., Any]] = {
        "ms": text.milliseconds,
        "percent": text.percent,
        "seconds": text.seconds,
        "at": lambda epoch_ms: rfc3339(epoch_ms / 1000),
        "value": checks.value,
        "limit": checks.limit,
        "interval": checks.interval,
        "bar": bar,
        "flat": lambda details: dict(_flat(details)),
    }
    environment.filters.update(filters)
    return environment


def _grounds(report: Report) -> Iterator[str]:
    """What speaks for the verdict of a run that passed."""
    if report.verdict != "pass":
        return
    decided = [check for verdict in report.verdicts for check in verdict.checks]
    yield f"{len(report.verdicts)} judges, {len(decided)} checks: all met."
    if report.fault is not None:
        yield f"The fault was in its target at all {report.fault.read_backs} read-backs and is gone."
    if report.dose is not None:
        yield report.dose.message


def _plot(composed: Composed) -> Any:
    from markupsafe import Markup  # noqa: PLC0415

    from chaos_steps.operate.experiment_report.plot import FaultBand, Lines, draw  # noqa: PLC0415

    if composed.axis is None or not composed.curves:
        return None
    report, axis, fault = composed.report, composed.axis, composed.report.fault
    band = None
    if fault is not None and axis.begins_at(fault.start_ms):
        end = None if fault.end_ms is None else axis.seconds(fault.end_ms)
        band = FaultBand(axis.seconds(fault.start_ms), end, _fault_label(report))
    limits = [check for verdict in report.verdicts for check in verdict.checks]
    lines = Lines(
        latency_ms=sorted({check.limit for check in limits if check.metric == "p99-latency-ms"}),
        failed_share=sorted({1 - check.limit for check in limits if check.metric == "success-rate"}),
    )
    return Markup(draw(axis, report.windows, composed.curves, band, lines))  # noqa: S704 - drawn here, texts escaped by matplotlib


def _fault_label(report: Report) -> str:
    asked = None if report.dose is None else report.dose.asked_share
    kind = (report.experiment or {}).get("fault", {}).get("type") or (report.fault.kind if report.fault else "")
    return f"fault {kind}{'' if asked is None else f' {text.percent(asked)}'}"


@dataclass(frozen=True)
class Bar:
    """A check drawn as a line: where the interval, the value and the limit lie, in pixels of a fixed width."""

    low: float
    high: float
    value: float
    limit: float


def bar(check: Check) -> Bar | None:
    """Scale a check to the bar; open ends reach the edge. None when nothing was measured."""
    if check.value is None:
        return None
    known = [number for number in (check.low, check.high, check.value, check.limit) if number is not None]
    margin = (max(known) - min(known)) * 0.15 or 1.0
    start, width = min(known) - margin, max(known) - min(known) + 2 * margin

    def place(number: float) -> float:
        return round((number - start) / width * _BAR_WIDTH, 1)

    return Bar(
        low=0.0 if check.low is None and check.confidence else place(check.value if check.low is None else check.low),
        high=float(_BAR_WIDTH)
        if check.high is None and check.confidence
        else place(check.value if check.high is None else check.high),
        value=place(check.value),
        limit=place(check.limit),
    )


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as dotted paths with their values as text."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, float):
        yield path, format_number(value)
    elif value is not None:
        yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
