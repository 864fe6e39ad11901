"""How all figures look, and how they are written."""

import io
import os
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sptrack.errors import ParameterError
from sptrack.results import write_atomic

FORMATS = (".png", ".svg", ".pdf")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#000000")
"""Told apart by all kinds of colour vision (Okabe and Ito); of pulse directions, up is first, down second."""
GREY = "#555555"
DOTS_PER_INCH = 120


def new_figure(width: float, height: float) -> Figure:
    """Empty figure of a size in inches, laid out so that no labels overlap, without any global state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


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


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure in the format its name ends on; the same figure gives the same bytes.

    Raises
    ------
    ParameterError
        If the ending is not that of a format, or the folder does not exist.
    """
    check_figure_path(path)
    suffix = Path(path).suffix.lower()[1:]
    dates = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "sptrack"}):
        figure.savefig(buffer, format=suffix, dpi=DOTS_PER_INCH, metadata=dates.get(suffix))
    write_atomic(path, buffer.getvalue())
