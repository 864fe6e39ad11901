"""Faults of a figure that a reader would see: small text, overlapping or cut text, wrong width."""

from itertools import combinations

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from sptrack.plotting.style import SMALLEST, WIDTHS


def texts_of(figure: Figure) -> list[Text]:
    """All texts that are drawn, after the layout."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)
    figure.draw_without_rendering()
    found, hidden = [], set()
    for artist in figure.findobj():
        if not artist.get_visible():
            hidden |= {id(part) for part in artist.findobj()}
    for text in figure.findobj(Text):
        if text.get_text().strip() and id(text) not in hidden:
            found.append(text)
    shown = []
    children = [child for ax in figure.axes for child in ax.child_axes]
    for ax in [*figure.axes, *children]:
        if not ax.axison:
            shown += [id(part) for axis in (ax.xaxis, ax.yaxis) for part in axis.findobj()]
        for axis, low_high in ((ax.xaxis, sorted(ax.get_xlim())), (ax.yaxis, sorted(ax.get_ylim()))):
            low, high = axis.get_transform().transform(np.array(low_high, float))
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                at = float(axis.get_transform().transform(np.array([tick.get_loc()], float))[0])
                margin = 1e-6 * abs(high - low)
                if not low - margin <= at <= high + margin:
                    shown += [id(tick.label1), id(tick.label2)]
    return [text for text in found if id(text) not in shown]


def faults(figure: Figure) -> list[str]:
    """One line for each fault; an empty list for a figure in the house style."""
    texts = texts_of(figure)
    out = []
    if not any(abs(figure.get_figwidth() - width) < 1e-9 for width in WIDTHS):
        out.append(f"width {figure.get_figwidth():g} in")
    out += [
        f"{text.get_text()!r}: {text.get_fontsize():g} pt" for text in texts if text.get_fontsize() < SMALLEST
    ]
    boxes = [text.get_window_extent() for text in texts]
    for text, box in zip(texts, boxes, strict=True):
        if box.x0 < -1 or box.y0 < -1 or box.x1 > figure.bbox.x1 + 1 or box.y1 > figure.bbox.y1 + 1:
            out.append(f"{text.get_text()!r} is cut by the edge")
    for (one, a), (other, b) in combinations(zip(texts, boxes, strict=True), 2):
        width, height = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        if width > 1.5 and height > 0.25 * min(a.height, b.height):
            out.append(f"{one.get_text()!r} overlaps {other.get_text()!r}")
    for ax in figure.axes:
        coloured = {to_rgb(line.get_color()) for line in ax.get_lines() if len(line.get_xdata()) > 2}
        hues = [rgb for rgb in coloured if max(rgb) - min(rgb) > 0.1]
        if len(hues) > 4:
            out.append(f"{ax.get_title(loc='left')!r}: {len(hues)} coloured series")
    return out
