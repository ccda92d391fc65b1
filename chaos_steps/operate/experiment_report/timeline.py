"""Latency and failures over time, with the windows of the loads and the fault's.

The drawing does not grow with the number of requests: curves are binned and only some requests are drawn as dots.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaos_steps.operate.experiment_report.canvas import (
    INKS,
    Format,
    draw_limit,
    drawing,
    latency_axis,
    load_ink,
    short,
    text_width,
)
from chaos_steps.operate.experiment_report.document import PHASES, LoadWindow
from chaos_steps.operate.experiment_report.loads import Curves, Loads, TimeAxis
from chaos_steps.operate.experiment_report.text import decimal

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_LEFT, _RIGHT = 0.62, 0.08
_ROW = 0.31
"""Inches that the names of windows take above the axes, a row."""
_MOST_ROWS = 4
_NAME, _PHASE = 9.0, 8.0
"""Sizes of a window's name and phase in points."""


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
    size: Format,
    axis: TimeAxis,
    loads: Loads,
    fault: FaultBand | None,
    lines: Lines,
) -> str:
    """One SVG element."""
    first, last = _span(axis, loads.windows, fault)
    labels = list(_labels(size, axis, loads.windows, first, last))
    with drawing("timeline", size) as canvas:
        latency, failures = canvas.figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
        above = 0.12 + _ROW * (1 + max(label.row or 0 for label in labels))
        canvas.place(left=_LEFT, right=_RIGHT, top=above, bottom=0.5)
        canvas.figure.subplots_adjust(hspace=0.1)
        latency.set_xlim(first, last)
        for curve in loads.curves:
            _draw_latency(latency, curve)
            _draw_failures(failures, curve, axis.bin_seconds)
        _draw_limits(latency, failures, lines)
        latency_axis(latency, headroom=0.4)
        _failures_axis(failures)
        failures.tick_params(axis="x", pad=6)  # Or the leftmost would touch the zero of the other axis.
        failures.set_xlabel("seconds since the fault became active" if fault else "seconds since the first request")
        canvas.figure.align_ylabels((latency, failures))
        for axes in (latency, failures):
            axes.grid(visible=True, axis="y")
            axes.set_axisbelow(True)
            axes.tick_params(length=0)
            _shade(axes, fault)
        for label in labels:
            _name(latency, label)
        _name_fault(latency, size, fault)
        return canvas.svg()


def _span(axis: TimeAxis, windows: Sequence[LoadWindow], fault: FaultBand | None) -> tuple[float, float]:
    """First and last second of the axis."""
    ends = [axis.seconds(time) for window in windows for time in (window.start_ms, window.end_ms)]
    if fault is not None:
        ends += [fault.start] if fault.end is None else [fault.start, fault.end]
    margin = max((max(ends) - min(ends)) * 0.01, axis.bin_seconds)
    return min(ends) - margin, max(ends) + margin


@dataclass(frozen=True)
class _Label:
    """A window's bar and name above the axes."""

    name: str
    phase: str
    start: float
    end: float
    middle: float
    """Where the text is centred, so that it stays inside the drawing."""
    row: int | None
    """0 is the lowest; names that would run into one another are put into different rows. None: no room, no name."""
    ink: str


def _labels(size: Format, axis: TimeAxis, windows: Sequence[LoadWindow], first: float, last: float) -> Iterator[_Label]:
    inch = (last - first) / (size.width - _LEFT - _RIGHT)
    taken = [-math.inf] * _MOST_ROWS
    for number, window in enumerate(windows):
        name, phase = short(window.name, size.longest_name), PHASES.get(window.phase or "", "")
        half = max(text_width(name, _NAME, bold=True), text_width(phase, _PHASE)) * inch / 2
        start, end = axis.seconds(window.start_ms), axis.seconds(window.end_ms)
        middle = max(first + half, min((start + end) / 2, last - half))
        row = next((row for row, until in enumerate(taken) if until < middle - half), None)
        if row is not None:
            taken[row] = middle + half
        yield _Label(name, phase, start, end, middle, row, load_ink(number))


def _draw_latency(axes: Axes, curve: Curves) -> None:
    axes.fill_between(curve.time, curve.p50, curve.p99, color=INKS["tail"], alpha=0.12, linewidth=0)
    _draw_dots(axes, curve.good_dots, "good", 2.2, 0.45)
    axes.plot(curve.time, curve.p99, color=INKS["tail"], linewidth=1.4)
    axes.plot(curve.time, curve.p50, color=INKS["median"], linewidth=1.4)
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
    patch = PathPatch(path, facecolor="none", edgecolor=INKS[colour], linewidth=size, alpha=alpha, capstyle="round")
    axes.add_patch(patch)
    axes.update_datalim(dots)


def _draw_failures(axes: Axes, curve: Curves, width: float) -> None:
    there = curve.failures > 0
    share = 100 * curve.failures[there] / curve.requests[there]
    axes.bar(curve.time[there], share, width=width, color=INKS["bad"], linewidth=0)


def _draw_limits(latency: Axes, failures: Axes, lines: Lines) -> None:
    for limit in lines.latency_ms:
        draw_limit(latency, limit, f"limit P99 {decimal(limit, 1)} ms")
    for share in lines.failed_share:
        draw_limit(failures, 100 * share, f"limit {decimal(100 * share, 2)} %")


def _failures_axis(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415

    axes.set_ylabel("failed, %")
    axes.set_ylim(0, max(axes.dataLim.y1 * 1.25, 1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3))


def _shade(axes: Axes, fault: FaultBand | None) -> None:
    if fault is None:
        return
    right = axes.get_xlim()[1] if fault.end is None else fault.end
    axes.axvspan(fault.start, right, color=INKS["fault"], alpha=0.13, linewidth=0, zorder=0)
    for edge in {fault.start, right if fault.end is not None else fault.start}:
        axes.axvline(edge, color=INKS["fault"], linewidth=1, zorder=1)


def _name(axes: Axes, label: _Label) -> None:
    """A bar as long as the window, its name and its phase above."""
    across = axes.get_xaxis_transform()
    axes.plot(
        [label.start, label.end],
        [1.025, 1.025],
        transform=across,
        clip_on=False,
        color=INKS[label.ink],
        linewidth=3.5,
        solid_capstyle="butt",
    )
    if label.row is None:
        return
    height = 5 + label.row * _ROW * 72
    for text, points, above, colour, weight in (
        (label.phase, _PHASE, height, "muted", "normal"),
        (label.name, _NAME, height + (10 if label.phase else 0), "ink", "bold"),
    ):
        axes.annotate(
            text,
            (label.middle, 1.025),
            xycoords=across,
            xytext=(0, above),
            textcoords="offset points",
            ha="center",
            va="bottom",
            size=points,
            color=INKS[colour],
            weight=weight,
        )


def _name_fault(axes: Axes, size: Format, fault: FaultBand | None) -> None:
    """The fault's name inside its band, or as near to it as there is room."""
    if fault is None:
        return
    name = short(fault.label, size.longest_name)
    first, last = axes.get_xlim()
    length = (last - first) * text_width(name, _NAME, bold=True) / (size.width - _LEFT - _RIGHT)
    axes.annotate(
        name,
        (max(first, min(fault.start, last - length)), 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(5, -4),
        textcoords="offset points",
        ha="left",
        va="top",
        size=_NAME,
        color=INKS["fault"],
        weight="bold",
    )
