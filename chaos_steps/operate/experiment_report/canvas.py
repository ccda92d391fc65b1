"""What the plots of a page have in common: SVG whose colours are the page's.

The same input gives the same bytes: ids are salted with constants and no date is written. Each plot is drawn twice,
wide and narrow, and the page shows the one that there is room for: on a phone a wide one could not be read.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chaos_steps.operate.experiment_report.text import decimal, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOADS = 6
"""Colours for loads; the seventh load has the first one's again."""

# matplotlib knows no CSS: each colour is drawn as a stand-in, then replaced by the page's variable of that name.
INKS = {
    name: f"#0000{number:02x}"
    for number, name in enumerate(
        (
            *("ink", "muted", "grid", "panel", "median", "tail", "good", "bad", "fault", "limit"),
            *(f"load-{number}" for number in range(1, LOADS + 1)),
        ),
        start=1,
    )
}
_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.color": INKS["ink"],
    "axes.edgecolor": INKS["muted"],
    "axes.labelcolor": INKS["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.color": INKS["muted"],
    "ytick.color": INKS["muted"],
    "xtick.labelcolor": INKS["ink"],
    "ytick.labelcolor": INKS["ink"],
    "grid.color": INKS["grid"],
    "grid.linewidth": 0.6,
}
_DPI = 72
_DASHES = ("solid", "dashed", "dotted")


@dataclass(frozen=True)
class Format:
    """Size of a drawing in inches, of which a point is 1/72; the page scales it."""

    name: str
    width: float
    height: float
    longest_name: int
    """Characters of a name that has to fit in."""


FORMATS = (Format("wide", 9.6, 4.8, 40), Format("narrow", 4.3, 4.6, 28))


class Drawing:
    """One figure, from its making to the SVG element."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def place(self, *, left: float, right: float, top: float, bottom: float) -> None:
        """Margins in inches around the axes."""
        width, height = self.figure.get_size_inches()
        self.figure.subplots_adjust(
            left=left / width, right=1 - right / width, top=1 - top / height, bottom=bottom / height
        )

    def svg(self) -> str:
        """One SVG element, to be put into a page that defines the colours as CSS variables."""
        buffer = io.StringIO()
        self.figure.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
        return _for_page(buffer.getvalue())


@contextlib.contextmanager
def drawing(name: str, size: Format) -> Iterator[Drawing]:
    """A figure in the page's style. `name` tells the ids of one plot of a page from those of another."""
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    style: Any = {**_STYLE, "svg.hashsalt": f"chaos-steps {name} {size.name}"}
    with mpl.rc_context(style):
        figure = Figure(figsize=(size.width, size.height), dpi=_DPI)
        FigureCanvasSVG(figure)
        yield Drawing(figure)


def load_ink(number: int) -> str:
    """Name of the colour of a page's load, counted from 0."""
    return f"load-{number % LOADS + 1}"


def load_dash(number: int) -> str:
    """Style of its line, so that colour is not all that tells two loads apart; CSS and matplotlib call it the same."""
    return _DASHES[(number + number // LOADS) % len(_DASHES)]


def text_width(text: str, points: float, *, bold: bool = False) -> float:
    """Inches that a text takes, about: the page has fonts of its own."""
    return len(text) * points / 72 * (0.68 if bold else 0.6)


def latency_axis(axes: Axes, headroom: float) -> None:
    """Make the vertical axis a latency in milliseconds, logarithmic if the data allow.

    `headroom` is the height above all data in inches, for texts.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: PLC0415

    axes.set_ylabel("latency, ms")
    low, high = axes.dataLim.intervaly
    if 0 < low <= high < float("inf"):
        low = low / 1.4
        height = axes.get_window_extent().height / _DPI
        axes.set_yscale("log")
        axes.set_ylim(low, high * (1.4 * high / low) ** (headroom / (height - headroom)))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1,)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: decimal(value, 3)))
    axes.minorticks_off()


def draw_limit(axes: Axes, height: float, label: str) -> None:
    """A dashed line across, with its label at the right."""
    axes.axhline(height, color=INKS["limit"], linewidth=1, linestyle=(0, (5, 3)))
    axes.annotate(
        label,
        (1, height),
        xycoords=axes.get_yaxis_transform(),
        xytext=(0, 2),
        textcoords="offset points",
        ha="right",
        va="bottom",
        size=8,
        color=INKS["limit"],
    )


def short(name: str, longest: int) -> str:
    """A name that has to fit in."""
    name = printable(name)
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def _for_page(svg: str) -> str:
    """Cut what only a file of its own needs, shorten coordinates, put the page's colours in."""
    element = svg[svg.index("<svg") :]
    element = re.sub(r' (?:width|height)="[\d.]+pt"', "", element, count=2)
    # Groups are numbered anew in each figure: two of one page would share those ids, and nothing refers to them.
    element = re.sub(r'<g id="[^"]*"', "<g", element)
    element = re.sub(r'\bd="[^"]*"', lambda path: re.sub(r"(\.\d)\d+", r"\1", path[0]), element)
    return re.sub(r'style="[^"]*"', _with_variables, element)


def _with_variables(style: re.Match[str]) -> str:
    text: str = style[0]
    for name, stand_in in INKS.items():
        text = text.replace(stand_in, f"var(--{name})")
    return text
