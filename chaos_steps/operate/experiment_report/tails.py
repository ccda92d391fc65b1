"""Latency by percentile, the loads over one another: the tail is what a mean or a median hides.

The axis of percentiles is logarithmic towards 100 %, as in Gil Tene's plots of HdrHistogram: each further nine takes
the same room. The drawing does not grow with the number of answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chaos_steps.operate.experiment_report.canvas import (
    INKS,
    Format,
    draw_limit,
    drawing,
    latency_axis,
    load_dash,
    load_ink,
    text_width,
)
from chaos_steps.operate.experiment_report.distribution import Distribution
from chaos_steps.operate.experiment_report.text import decimal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from chaos_steps.workspace import Check

_LEFT, _RIGHT = 0.62, 0.12
_TICK = 9.0
"""Size of the percentiles on the axis in points."""
_P99 = 0.99


@dataclass(frozen=True)
class Tail:
    """What is drawn of one load."""

    number: int
    """The load's number on the page, which gives its colour and dashes."""
    distribution: Distribution
    judged: Check | None
    """The check of its P99 that has an interval."""


def draw(size: Format, tails: Sequence[Tail], limits_ms: Sequence[float]) -> str:
    """One SVG element."""
    with drawing("tails", size) as canvas:
        axes = canvas.figure.subplots()
        canvas.place(left=_LEFT, right=_RIGHT, top=0.12, bottom=0.46)
        for tail in tails:
            axes.plot(
                [_place(1 - slower) for slower in tail.distribution.slower],
                tail.distribution.latency_ms,
                color=INKS[load_ink(tail.number)],
                linestyle=load_dash(tail.number),
                linewidth=1.8,
            )
        for position, tail in enumerate(tails):
            _draw_interval(axes, tail, position - (len(tails) - 1) / 2)
        for limit in limits_ms:
            draw_limit(axes, limit, f"limit P99 {decimal(limit, 1)} ms")
        latency_axis(axes, headroom=0.25)
        _percentile_axis(axes, size, min(float(tail.distribution.slower[-1]) for tail in tails))
        axes.grid(visible=True)
        axes.set_axisbelow(True)
        axes.tick_params(length=0)
        return canvas.svg()


def _place(share: float) -> float:
    """Where the percentile lies along the axis: 0 for 0 %, 1 for 90 %, 2 for 99 %."""
    return -math.log10(1 - share) if share < 1 else math.inf


def _percentile_axis(axes: Axes, size: Format, least: float) -> None:
    """`least` is the smallest share of slower answers that is drawn."""
    end = max(-math.log10(least), 2.1)
    shares = _ticks(end, (size.width - _LEFT - _RIGHT) / end)
    axes.set_xlim(0, end)
    axes.set_xticks([_place(share) for share in shares], [_percent(share) for share in shares], size=_TICK)
    axes.set_xlabel("share of answers that were not slower")


def _ticks(end: float, inch: float) -> list[float]:
    """The percentiles that have room for their names, the nines first; `inch` is the length of a nine."""
    nines = [1 - 10**-count for count in range(1, math.floor(end) + 1)]
    taken: dict[float, float] = {}
    for share in (_P99, *nines, 0.5, 0.0, 0.95, 0.75):
        half = text_width(_percent(share), _TICK) / 2 + 0.04
        room = all(abs(_place(share) - _place(other)) * inch >= half + width for other, width in taken.items())
        if room and _place(share) * inch + half <= end * inch + _RIGHT:
            taken[share] = half
    return sorted(taken)


def _percent(share: float) -> str:
    return f"{decimal(100 * share, 6)} %"


def _draw_interval(axes: Axes, tail: Tail, aside: float) -> None:
    """The P99's interval as an upright bar, a little aside so that no load hides another's; an arrow: it is open."""
    judged = tail.judged
    if judged is None or judged.value is None:
        return
    ink, place = INKS[load_ink(tail.number)], _place(_P99) + aside * 0.03
    bottom = judged.low or float(tail.distribution.latency_ms[0])
    top = judged.high or float(tail.distribution.latency_ms[-1])
    axes.plot([place, place], [bottom, top], color=ink, linewidth=5, alpha=0.45, solid_capstyle="butt")
    axes.plot([place], [judged.value], color=ink, marker="o", markersize=4)
    if judged.high is None:
        axes.plot([place], [top], color=ink, marker="^", markersize=6)
