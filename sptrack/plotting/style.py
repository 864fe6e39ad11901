"""House style of all figures: sizes, colours, markers, headlines, scales, labels at line ends, and files."""

import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import Formatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from sptrack.errors import ParameterError
from sptrack.results import write_atomic

FORMATS = (".png", ".svg", ".pdf")
BLUE, VERMILLION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, "#e69f00", "#000000")
"""Told apart by all kinds of colour vision (Okabe and Ito); of pulse directions, up is first, down second."""
GREY = "#555555"
LIGHT = "#b0b0b0"
"""Series in the background."""
WIDTHS = (3.5, 7.2)
"""Widths of a column and of a page, inches."""
DOTS_PER_INCH = 200
SMALLEST = 9.0
"""Smallest text, points."""
_TITLE, _LINE = 13.0, 1.3
_RCPARAMS: Any = {
    "svg.hashsalt": "sptrack",
    "font.size": 10.0,
    "axes.labelsize": 11.0,
    "axes.titlesize": 11.0,
    "axes.titlelocation": "left",
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 6.0,
    "lines.markeredgewidth": 1.4,
}
_OPTIONS: dict[str, dict[str, Any]] = {
    "png": {"pil_kwargs": {"compress_level": 6}},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}
"""Small files, without dates."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Look(NamedTuple):
    """Colour, marker and line of a series."""

    colour: str
    marker: str
    line: str = "-"


METHODS = {
    "e-rider": Look(BLUE, "o"),
    "o-rider": Look(VERMILLION, "^"),
    "two-stage": Look(GREEN, "s"),
    "oracle": Look("#000000", "D", "--"),
    "rider": Look(GREY, "v", "-."),
    "sgd": Look(LIGHT, "x", ":"),
    "tt-v1": Look(LIGHT, "<", "--"),
    "tt-v2": Look(LIGHT, ">", "-."),
    "c-ttv2": Look(GREY, "P", ":"),
    "agad": Look(GREY, "*", "--"),
    "residual": Look(LIGHT, "h", "-"),
}
"""Look of each tracking method in all figures: four have a colour, the others are grey."""


def look_of(method: str) -> Look:
    """Look of a tracking method; one without a look of its own is grey."""
    return METHODS.get(method, Look(GREY, "."))


def text_colour(colour: str) -> str:
    """Colour of the label of a series: dark grey for light ones, which text cannot be read in."""
    return GREY if colour == LIGHT else colour


@contextmanager
def house_style() -> Iterator[None]:
    """Draw inside with the house style alone, whatever the user's settings (LaTeX, fonts, sizes) say."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RCPARAMS)
        yield


class HouseLayout(ConstrainedLayoutEngine):
    """Constrained layout, after which labels at the ends of curves move to the heights of their curves."""

    def __init__(self) -> None:
        super().__init__()
        self._placing: list[Callable[[], None]] = []

    def afterwards(self, place: Callable[[], None]) -> None:
        """Call ``place`` after every layout."""
        self._placing.append(place)

    def execute(self, fig: Figure) -> None:
        """Lay a figure out."""
        super().execute(fig)
        for place in self._placing:
            place()


def new_figure(width: float, height: float) -> Figure:
    """Empty figure of a size in inches, laid out so that no labels overlap, without any global state."""
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout=HouseLayout())
    FigureCanvasAgg(figure)
    return figure


def headline(figure: Figure, finding: str, setting: str = "") -> None:
    """Write what a figure shows above it, and below that, in grey, its setting and encoding.

    Parameters
    ----------
    figure : Figure
        Of `new_figure`, not yet with a headline. Room is made above what else it holds.
    finding : str
        One sentence, set in bold; lines are broken where the figure ends.
    setting : str
        Setting of the simulation, and the meaning of lines, markers and bars.
    """
    width, height = figure.get_size_inches()
    margin = 0.1
    top = height - margin
    for write, text, size, colour, weight in (
        (figure.suptitle, finding, _TITLE, "black", "bold"),
        (lambda text, **style: figure.text(s=text, **style), setting, 10.0, GREY, "normal"),
    ):
        if text:
            lines = _broken(figure, text, width - 2 * margin, fontsize=size, fontweight=weight)
            written = write(
                "\n".join(lines), x=margin / width, y=top / height, ha="left", va="top", fontsize=size,
                fontweight=weight, color=colour, linespacing=_LINE,
            )  # fmt: skip
            written.set_in_layout(False)
            top -= (len(lines) * _LINE * size + 3.0) / 72
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        engine.set(rect=(0.0, 0.0, 1.0, (top - 0.02) / height))


def _broken(figure: Figure, text: str, width: float, **font: Any) -> list[str]:
    """Lines of at most a width in inches; given line breaks stay."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    lines: list[str] = []
    for paragraph in text.replace(" %", "\u00a0%").replace(" ± ", "\u00a0±\u00a0").split("\n"):
        lines.append("")
        for word in paragraph.split(" "):
            longer = f"{lines[-1]} {word}" if lines[-1] else word
            sample = Text(0, 0, longer, figure=figure, **font)
            if lines[-1] and sample.get_window_extent(renderer).width > width * figure.dpi:
                lines.append(word)
            else:
                lines[-1] = longer
    return lines


class StepLocator(LogLocator):
    """Ticks of a logarithmic axis at 1, 2 and 5 of every decade, or at decades alone where they are many."""

    def __init__(self, most: int = 7) -> None:
        super().__init__(base=10.0, subs=(1.0,))
        self.most = most

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """Places of the ticks between two positive limits, at most ``most`` unless a decade has more."""
        low, high = sorted((vmin, vmax))
        if not low > 0:
            return []
        powers = np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
        for digits in ((1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
            ticks = np.outer(10.0**powers, digits).ravel()
            inside = ticks[(ticks >= low * (1 - 1e-9)) & (ticks <= high * (1 + 1e-9))]
            if len(inside) <= self.most:
                break
        else:
            inside = inside[:: -(-len(inside) // self.most)]
        if len(inside) < 2:
            return MaxNLocator(4).tick_values(low, high)
        return [float(tick) for tick in inside]


class PowerFormatter(Formatter):
    """Tick labels in plain text: 0.02, 500, 20,000 or 2×10⁻⁵, as short as the whole axis allows."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Label of the tick at ``x``."""
        del pos
        ends = [abs(float(end)) for end in (self.axis.get_view_interval() if self.axis else (x,)) if end]
        if x == 0:
            return "0"
        if min(ends, default=1.0) >= 0.8e-3 and max(ends, default=1.0) <= 1.2e5:
            return f"{x:,.10g}"
        exponent = int(np.floor(np.log10(abs(x)) + 1e-9))
        factor = x / 10.0**exponent
        power = f"10{str(exponent).translate(_RAISED)}"
        if abs(abs(factor) - 1) < 1e-6:
            return power if factor > 0 else f"-{power}"
        return f"{factor:.3g}×{power}"


def log_scale(ax: Axes, directions: Literal["x", "y", "xy"], *, most: int = 7) -> None:
    """Make one or both directions logarithmic, with at most about ``most`` labelled ticks."""
    for each in directions:
        getattr(ax, f"set_{each}scale")("log")
        axis = getattr(ax, f"{each}axis")
        axis.set_major_locator(StepLocator(most))
        axis.set_major_formatter(PowerFormatter())
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())


def label(ax: Axes, title: str, x: str, y: str, *, pad: float = 6.0) -> Axes:
    """Title (``pad`` points above the axes) and axis labels (with units), a light grid, no box."""
    ax.set_title(title, loc="left", fontsize=11, pad=pad)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.grid(color="#e3e3e3", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def label_ends(ax: Axes, ends: Sequence[tuple[float, str, str]], *, size: float = 9.5) -> None:
    """Write labels right of the axes, each as near as possible to the height of its curve's end.

    In a figure of `new_figure` they are placed whenever it is laid out, in any other at once.

    Parameters
    ----------
    ax : Axes
        Axes with the curves.
    ends : sequence of (y, text, colour)
        Height in data, label and colour of each curve; heights outside the axes are moved to its edge.
    size : float
        Size of the text, points.
    """
    figure = ax.get_figure(root=True)
    known = sorted((end for end in ends if np.isfinite(end[0])), key=lambda end: end[0])
    if figure is None or not known:
        return
    notes = [
        ax.annotate(
            text, (1.0, 0.5), (6, 0), xycoords="axes fraction", textcoords="offset points", va="center",
            fontsize=size, color=colour, annotation_clip=False, linespacing=1.05,
        )
        for _, text, colour in known
    ]  # fmt: skip

    def place() -> None:
        to_axes = ax.transData + ax.transAxes.inverted()
        start = ax.get_xlim()[0]
        natural = [float(np.clip(to_axes.transform((start, y))[1], 0.0, 1.0)) for y, _, _ in known]
        height = ax.get_window_extent().height * 72 / figure.dpi
        rows = [1.2 * size * (1 + text.count("\n")) / height for _, text, _ in known]
        for note, at in zip(notes, spread(natural, rows, 0.0, 1.0), strict=True):
            note.xy = (1.0, at)

    engine = figure.get_layout_engine()
    if isinstance(engine, HouseLayout):
        engine.afterwards(place)
    else:
        place()


def spread(places: Sequence[float], sizes: Sequence[float], low: float, high: float) -> list[float]:
    """Centres of labels on a line that do not overlap, with least total squared movement.

    Parameters
    ----------
    places : sequence of float
        Wanted centres, rising.
    sizes : sequence of float
        Extent of each label.
    low, high : float
        Range of the centres; it is left at both ends where the labels are more than it holds.
    """
    offsets = np.concatenate([[0.0], np.cumsum((np.array(sizes[:-1]) + np.array(sizes[1:])) / 2)])
    blocks: list[list[float]] = []
    for place, offset in zip(places, offsets.tolist(), strict=True):
        blocks.append([place - offset, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            value, count = blocks.pop()
            before, more = blocks.pop()
            blocks.append([(value * count + before * more) / (count + more), count + more])
    level = np.concatenate([np.full(int(count), value) for value, count in blocks])
    highest = high - offsets[-1]
    middle = (low + highest) / 2
    level = np.clip(level, low, highest) if low <= highest else np.full(len(level), middle)
    return [float(at) for at in level + offsets]


def show_outside(ax: Axes, x: Any, y: Any, colour: str, *, text: str = "{:.3g}") -> None:
    """Mark points above or below the limits of an axes by arrows at its edge, with their values.

    Parameters
    ----------
    ax : Axes
        Axes whose limits are set.
    x, y : array_like
        Points; those inside the limits, and NaN, are left alone.
    colour : str
        Colour of the arrows.
    text : str
        Format of the value of y.
    """
    low, high = sorted(ax.get_ylim())
    for at, value in zip(np.ravel(x), np.ravel(y), strict=True):
        if not (value < low or value > high):
            continue
        up = value > high
        ax.plot(
            at, 1.0 if up else 0.0, "^" if up else "v", color=colour, clip_on=False,
            transform=ax.get_xaxis_transform(), zorder=6,
        )  # fmt: skip
        right = (ax.transScale + ax.transLimits).transform((at, ax.get_ylim()[0]))[0] > 0.5
        ax.annotate(
            text.format(value), (at, 1.0 if up else 0.0), (-6 if right else 6, -4 if up else 4),
            xycoords=ax.get_xaxis_transform(), textcoords="offset points", fontsize=SMALLEST, color=colour,
            ha="right" if right else "left", va="top" if up else "bottom",
        )  # fmt: skip


def check_figure_path(path: str | os.PathLike[str]) -> None:
    """Refuse a name under which no figure can be written.

    Raises
    ------
    ParameterError
        If the name does not end on .png, .svg or .pdf.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise ParameterError(f"{os.fspath(path)}: a figure name must end on {', '.join(FORMATS)}")


def save_figure(figure: Figure, *paths: str | os.PathLike[str]) -> None:
    """Write a figure, laid out once, in the formats that the names end on; equal figures give equal bytes.

    Raises
    ------
    ParameterError
        If an ending is not that of a format, or a folder does not exist.
    """
    for path in paths:
        check_figure_path(path)
    layout = figure.get_layout_engine()
    with house_style():
        if layout is not None:
            layout.execute(figure)
        figure.set_layout_engine(None)
        try:
            for path in paths:
                suffix, buffer = Path(path).suffix.lower()[1:], io.BytesIO()
                figure.savefig(buffer, format=suffix, dpi=DOTS_PER_INCH, **_OPTIONS.get(suffix, {}))
                write_atomic(path, buffer.getvalue())
        finally:
            figure.set_layout_engine(layout)
