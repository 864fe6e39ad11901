"""How all figures look, and how they are written."""

import io
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation

from sptrack.errors import ParameterError
from sptrack.results import write_atomic

FORMATS = (".png", ".svg", ".pdf")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#000000")
"""Told apart by all kinds of colour vision (Okabe and Ito); of pulse directions, up is first, down second."""
GREY = "#555555"
DOTS_PER_INCH = 120
_OPTIONS: dict[str, dict[str, Any]] = {
    "png": {"pil_kwargs": {"compress_level": 3}},
    "svg": {"metadata": {"Date": None}},
    "pdf": {"metadata": {"CreationDate": None}},
}
"""Files as fast as good ones, and without dates."""
_POWER = re.compile(r"\$\\mathdefault\{(-?)(?:([\d.]+)\\times)?10\^\{(-?\d+)\}\}\$")
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@contextmanager
def house_style() -> Iterator[None]:
    """Draw inside with matplotlib's own defaults, whatever the user's settings (LaTeX, fonts, sizes) say."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = "sptrack"
        yield


def new_figure(width: float, height: float) -> Figure:
    """Empty figure of a size in inches, laid out so that no labels overlap, without any global state."""
    figure = Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


class DecadeFormatter(LogFormatterSciNotation):
    """Tick labels 10⁻² and 2×10⁻² in plain text: the look of mathtext without its parser."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Label of the tick at ``x``, the one at place ``pos``; empty where it has none."""
        text = super().__call__(x, pos)
        found = _POWER.fullmatch(text)
        if found is None:
            return text
        sign, factor, exponent = found.groups(default="")
        return f"{sign}{factor}{'×' if factor else ''}10{exponent.translate(_RAISED)}"


def log_scale(ax: Axes, directions: Literal["x", "y", "xy"]) -> None:
    """Make one or both directions logarithmic."""
    for each in directions:
        getattr(ax, f"set_{each}scale")("log")
        axis = getattr(ax, f"{each}axis")
        axis.set_major_formatter(DecadeFormatter())
        axis.set_minor_formatter(DecadeFormatter())


def label(ax: Axes, title: str, x: str, y: str, *, pad: float = 6.0) -> Axes:
    """Title (``pad`` points above the axes) and axis labels (with units), a light grid, no box."""
    ax.set_title(title, loc="left", fontsize=11, pad=pad)
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def check_figure_path(path: str | os.PathLike[str]) -> None:
    """Refuse a name under which no figure can be written.

    Raises
    ------
    ParameterError
        If the name does not end on .png, .svg or .pdf.
    """
    if Path(path).suffix.lower() not in FORMATS:
        raise ParameterError(f"{os.fspath(path)}: a figure name ending on {', '.join(FORMATS)} wanted")


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
