"""Figures of a result: drawn last, since no fault of theirs may cost the result."""

import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

from sptrack.errors import one_line

ENDINGS = ("png", "svg")


def load_ahead(*modules: str) -> None:
    """Import modules in a thread of their own, while compiled kernels leave the interpreter free."""

    def load() -> None:
        for module in modules:
            with suppress(Exception):  # it is raised again where the module is used
                import_module(module)

    Thread(target=load, daemon=True).start()


def write_figures(folder: Path, data: Any, **draw: str) -> None:
    """Draw figures of ``data`` and write each as PNG and SVG.

    A figure that cannot be drawn or written is left out, with a line on stderr: a broken installation of
    matplotlib, its settings or its fonts are no reason to lose what is computed.

    Parameters
    ----------
    folder
        Where they go.
    data
        What is drawn.
    draw
        Name of the file (without ending) to "module:function", a function of ``data`` that returns a figure.
    """
    for name, place in draw.items():
        module, function = place.split(":")
        try:
            from sptrack.plotting.style import house_style, save_figure

            with house_style():
                figure = getattr(import_module(module), function)(data)
                save_figure(figure, *(folder / f"{name}.{ending}" for ending in ENDINGS))
        except Exception as error:
            text = one_line(f"{type(error).__name__}: {error}")
            print(f"sptrack: figure {name!r} is left out ({text})", file=sys.stderr)
