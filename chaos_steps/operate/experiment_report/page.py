"""report/report.html: one file that explains the run. It asks nothing of the network and runs no script."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos_steps.operate.experiment_report import canvas, checks, tails, text, timeline, tracing
from chaos_steps.operate.experiment_report.compose import Composed
from chaos_steps.operate.experiment_report.distribution import PERCENTILES
from chaos_steps.operate.experiment_report.document import PHASES, LoadWindow, Report
from chaos_steps.params import format_number, rfc3339

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

    from chaos_steps.workspace import Check

_TEMPLATE = Path(__file__).with_name("page.html.j2")
_BAR_WIDTH = 120
_NOT_SETTINGS = ("run", "experimentName", "source")


def render(composed: Composed) -> str:
    """The page."""
    report, loads = composed.report, composed.loads
    experiment = report.experiment or {}
    return (
        _environment()
        .from_string(_TEMPLATE.read_text())
        .render(
            report=report,
            warnings=list(checks.warnings(report.verdicts, report.notes)),
            name=experiment.get("experimentName") or "Experiment",
            phases=PHASES,
            timeline=_timeline(composed),
            bins=_bins(composed),
            bin_width=text.seconds(loads.axis.bin_seconds) if loads.axis else "",
            tails=_tails(composed),
            styles=_styles(report),
            percentiles=tuple(PERCENTILES),
            tracing=tracing,
            settings=dict(_flat({key: item for key, item in experiment.items() if key not in _NOT_SETTINGS})),
            source=experiment.get("source") or {},
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
        "label": checks.label,
        "value": checks.value,
        "limit": checks.limit,
        "interval": checks.interval,
        "bar": bar,
        "flat": lambda details: dict(_flat(details)),
    }
    environment.filters.update(filters)
    return environment


# Plots, and what their legends and tables need.


@dataclass(frozen=True)
class Style:
    """How a load is drawn: CSS's names of its colour and its kind of line."""

    ink: str
    dash: str


def _styles(report: Report) -> dict[str, Style]:
    return {
        window.name: Style(canvas.load_ink(number), canvas.load_dash(number))
        for number, window in enumerate(report.windows)
    }


def _timeline(composed: Composed) -> dict[str, Markup]:
    """One drawing for each format by its name; empty when there is nothing to draw."""
    report, axis, fault = composed.report, composed.loads.axis, composed.report.fault
    if axis is None or not composed.loads.curves:
        return {}
    band = None
    if fault is not None and axis.begins_at(fault.start_ms):
        end = None if fault.end_ms is None else axis.seconds(fault.end_ms)
        band = timeline.FaultBand(axis.seconds(fault.start_ms), end, _fault_label(report))
    lines = timeline.Lines(
        latency_ms=_limits(report, "p99-latency-ms"),
        failed_share=[1 - limit for limit in _limits(report, "success-rate")],
    )
    return _drawn(lambda size: timeline.draw(size, axis, composed.loads, band, lines))


def _tails(composed: Composed) -> dict[str, Markup]:
    """As `_timeline`."""
    report = composed.report
    distributions = {each.name: each for each in composed.loads.distributions}
    drawn = [
        tails.Tail(number, distributions[window.name], _judged_p99(report, window))
        for number, window in enumerate(report.windows)
        if window.name in distributions
    ]
    return _drawn(lambda size: tails.draw(size, drawn, _limits(report, "p99-latency-ms"))) if drawn else {}


def _drawn(draw: Callable[[canvas.Format], str]) -> dict[str, Markup]:
    from markupsafe import Markup  # noqa: PLC0415

    return {size.name: Markup(draw(size)) for size in canvas.FORMATS}  # noqa: S704 - drawn here, texts escaped by matplotlib


def _limits(report: Report, metric: str) -> list[float]:
    """The limits on a metric, each once."""
    return sorted({check.limit for verdict in report.verdicts for check in verdict.checks if check.metric == metric})


def _judged_p99(report: Report, window: LoadWindow) -> Check | None:
    """The check with an interval of the P99 that is drawn: of these very points."""
    for verdict in report.verdicts:
        for check in verdict.checks:
            drawn = verdict.window == window.name and check.value == window.p99_latency_ms
            if drawn and check.metric == "p99-latency-ms" and check.confidence:
                return check
    return None


def _fault_label(report: Report) -> str:
    asked = None if report.dose is None else report.dose.asked_share
    kind = (report.experiment or {}).get("fault", {}).get("type") or (report.fault.kind if report.fault else "")
    return f"fault {kind}{'' if asked is None else f' {text.percent(asked)}'}"


@dataclass(frozen=True)
class Bin:
    """One bin of a load's curves."""

    start: str
    """Seconds on the plot's axis."""
    requests: int
    failures: int
    p50_ms: float | None
    p99_ms: float | None


def _bins(composed: Composed) -> dict[str, list[Bin]]:
    """The numbers behind the timeline, by load."""
    axis = composed.loads.axis
    width = axis.bin_seconds if axis else 0.0
    return {
        curve.name: [
            Bin(
                start=text.decimal(float(time) - width / 2, 1),
                requests=int(requests),
                failures=int(failures),
                p50_ms=None if math.isnan(p50) else float(p50),
                p99_ms=None if math.isnan(p99) else float(p99),
            )
            for time, requests, failures, p50, p99 in zip(
                curve.time, curve.requests, curve.failures, curve.p50, curve.p99, strict=True
            )
        ]
        for curve in composed.loads.curves
    }


# Checks and settings.


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
