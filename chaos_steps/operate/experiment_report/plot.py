"""The plot of a page: latency and failures over time, with the fault's window. SVG whose colours are the page's.

The same input gives the same bytes: ids are salted with a constant and no date is written. The drawing does not grow
with the number of requests: curves are binned and only some requests are drawn as dots.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaos_steps.operate.experiment_report.document import LoadWindow
from chaos_steps.operate.experiment_report.loads import Curves, TimeAxis
from chaos_steps.operate.experiment_report.text import decimal, printable

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

# matplotlib knows no CSS: each colour is drawn as a stand-in, then replaced by the page's variable of that name.
_STAND_INS = {
    name: f"#0000{number:02x}"
    for number, name in enumerate(("ink", "muted", "grid", "median", "tail", "good", "bad", "fault", "limit"), start=1)
}
_STYLE = {
    "svg.hashsalt": "chaos-steps",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": _STAND_INS["ink"],
    "axes.edgecolor": _STAND_INS["muted"],
    "axes.labelcolor": _STAND_INS["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.color": _STAND_INS["muted"],
    "ytick.color": _STAND_INS["muted"],
    "xtick.labelcolor": _STAND_INS["ink"],
    "ytick.labelcolor": _STAND_INS["ink"],
    "grid.color": _STAND_INS["grid"],
    "grid.linewidth": 0.6,
}
_LONGEST_NAME = 40


@dataclass(frozen=True)
class FaultBand:
    """Where the fault was, in seconds on the axis; without a known end it is open."""

    start: float
    end: float | None
    label: str


@dataclass(frozen=True)
class Lines:
    """Limits to draw, each once."""

    latency_ms: Sequence[float] = ()
    failed_share: Sequence[float] = ()


def draw(
    axis: TimeAxis, windows: Sequence[LoadWindow], curves: Sequence[Curves], fault: FaultBand | None, lines: Lines
) -> str:
    """One SVG element, to be put into a page that defines the colours as CSS variables."""
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(10, 4.9))
        FigureCanvasSVG(figure)
        latency, failures = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
        _frame(figure, latency, failures, fault)
        _span(latency, axis, windows, fault)
        for curve in curves:
            _draw_latency(latency, curve)
            _draw_failures(failures, curve, axis.bin_seconds)
        _draw_limits(latency, failures, lines)
        _scale(latency, failures)
        for axes in (latency, failures):
            _shade(axes, fault)
        _name(latency, axis, windows, fault)
        buffer = io.StringIO()
        figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    return _for_page(buffer.getvalue())


def _frame(figure: Figure, latency: Axes, failures: Axes, fault: FaultBand | None) -> None:
    figure.subplots_adjust(left=0.065, right=0.99, top=0.885, bottom=0.095, hspace=0.1)
    latency.set_ylabel("latency, ms")
    failures.set_ylabel("failed, %")
    failures.set_xlabel("seconds since the fault became active" if fault else "seconds since the first request")
    figure.align_ylabels((latency, failures))
    for axes in (latency, failures):
        axes.grid(visible=True, axis="y")
        axes.set_axisbelow(True)
        axes.tick_params(length=0)


def _span(axes: Axes, axis: TimeAxis, windows: Sequence[LoadWindow], fault: FaultBand | None) -> None:
    ends = [axis.seconds(time) for window in windows for time in (window.start_ms, window.end_ms)]
    if fault is not None:
        ends += [fault.start] if fault.end is None else [fault.start, fault.end]
    margin = max((max(ends) - min(ends)) * 0.01, axis.bin_seconds)
    axes.set_xlim(min(ends) - margin, max(ends) + margin)


def _draw_latency(axes: Axes, curve: Curves) -> None:
    axes.fill_between(curve.time, curve.p50, curve.p99, color=_STAND_INS["tail"], alpha=0.12, linewidth=0)
    _draw_dots(axes, curve.good_dots, "good", 2.2, 0.45)
    axes.plot(curve.time, curve.p99, color=_STAND_INS["tail"], linewidth=1.4)
    axes.plot(curve.time, curve.p50, color=_STAND_INS["median"], linewidth=1.4)
    _draw_dots(axes, curve.failed_dots, "bad", 3.4, 0.9)


def _draw_dots(axes: Axes, dots: NDArray[np.float64], colour: str, size: float, alpha: float) -> None:
    """All dots as one path of round-capped strokes without length: a tenth of the bytes of markers."""
    import numpy as np  # noqa: PLC0415
    from matplotlib.patches import PathPatch  # noqa: PLC0415
    from matplotlib.path import Path  # noqa: PLC0415

    if not len(dots):
        return
    path = Path(np.repeat(dots, 2, axis=0), np.tile([Path.MOVETO, Path.LINETO], len(dots)))
    path.should_simplify = False
    patch = PathPatch(
        path, facecolor="none", edgecolor=_STAND_INS[colour], linewidth=size, alpha=alpha, capstyle="round"
    )
    axes.add_patch(patch)
    axes.update_datalim(dots)


def _draw_failures(axes: Axes, curve: Curves, width: float) -> None:
    there = curve.failures > 0
    share = 100 * curve.failures[there] / curve.requests[there]
    axes.bar(curve.time[there], share, width=width, color=_STAND_INS["bad"], linewidth=0)


def _draw_limits(latency: Axes, failures: Axes, lines: Lines) -> None:
    for limit in lines.latency_ms:
        _draw_limit(latency, limit, f"limit P99 {decimal(limit, 1)} ms")
    for share in lines.failed_share:
        _draw_limit(failures, 100 * share, f"limit {decimal(100 * share, 2)} %")


def _draw_limit(axes: Axes, height: float, label: str) -> None:
    axes.axhline(height, color=_STAND_INS["limit"], linewidth=1, linestyle=(0, (5, 3)))
    axes.text(
        1,
        height,
        label,
        transform=axes.get_yaxis_transform(),
        ha="right",
        va="bottom",
        size=8,
        color=_STAND_INS["limit"],
    )


def _scale(latency: Axes, failures: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter  # noqa: PLC0415

    low, high = latency.dataLim.intervaly
    if 0 < low <= high < float("inf"):
        latency.set_yscale("log")
        latency.set_ylim(low / 1.4, high * 2)
        latency.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1,)))
    latency.yaxis.set_minor_formatter(NullFormatter())
    latency.yaxis.set_major_formatter(FuncFormatter(lambda value, _: decimal(value, 3)))
    latency.minorticks_off()
    failures.set_ylim(0, max(failures.dataLim.y1 * 1.25, 1))
    failures.yaxis.set_major_locator(MaxNLocator(nbins=3))


def _shade(axes: Axes, fault: FaultBand | None) -> None:
    if fault is None:
        return
    right = axes.get_xlim()[1] if fault.end is None else fault.end
    axes.axvspan(fault.start, right, color=_STAND_INS["fault"], alpha=0.13, linewidth=0, zorder=0)
    for edge in {fault.start, right if fault.end is not None else fault.start}:
        axes.axvline(edge, color=_STAND_INS["fault"], linewidth=1, zorder=1)


def _name(axes: Axes, axis: TimeAxis, windows: Sequence[LoadWindow], fault: FaultBand | None) -> None:
    """Windows as bars above the axes, the fault's name inside its band."""
    across = axes.get_xaxis_transform()
    for window in windows:
        start, end = axis.seconds(window.start_ms), axis.seconds(window.end_ms)
        axes.plot(
            [start, end],
            [1.035, 1.035],
            transform=across,
            clip_on=False,
            color=_STAND_INS["muted"],
            linewidth=3,
            solid_capstyle="butt",
        )
        axes.text((start + end) / 2, 1.06, _short(window.name), transform=across, ha="center", va="bottom", size=9)
    if fault is not None:
        axes.annotate(
            _short(fault.label),
            (fault.start, 1),
            xycoords=across,
            xytext=(5, -4),
            textcoords="offset points",
            ha="left",
            va="top",
            color=_STAND_INS["fault"],
            weight="bold",
        )


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _for_page(svg: str) -> str:
    """Cut what only a file of its own needs, shorten coordinates, put the page's colours in."""
    element = svg[svg.index("<svg") :]
    element = re.sub(r' (?:width|height)="[\d.]+pt"', "", element, count=2)
    element = re.sub(r'\bd="[^"]*"', lambda path: re.sub(r"(\.\d)\d+", r"\1", path[0]), element)
    return re.sub(r'style="[^"]*"', _with_variables, element)


def _with_variables(style: re.Match[str]) -> str:
    text: str = style[0]
    for name, stand_in in _STAND_INS.items():
        text = text.replace(stand_in, f"var(--{name})")
    return text
