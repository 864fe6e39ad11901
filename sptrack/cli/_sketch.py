"""A picture in text: points on a grid of characters."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def sketch(values: ArrayLike, marks: Sequence[str], *, width: int = 64, height: int = 12) -> list[str]:
    """Lines of a picture of values against their number.

    Parameters
    ----------
    values : array [N]
        Heights; NaN: none.
    marks : sequence of N characters
        Sign of each value.
    width, height : int
        Characters and lines.
    """
    heights = np.asarray(values, np.float64)
    seen = np.flatnonzero(np.isfinite(heights))
    if not seen.size:
        return []
    low, high = float(heights[seen].min()), float(heights[seen].max())
    grid = np.full((height, width), " ")
    rows = np.round((high - heights[seen]) / max(high - low, 1e-300) * (height - 1)).astype(int)
    columns = (seen * width // heights.size).astype(int)
    for row, column, place in zip(rows.tolist(), columns.tolist(), seen.tolist(), strict=True):
        grid[row, column] = marks[place]
    labels = [""] * height
    labels[0], labels[-1] = f"{high:.4g}", f"{low:.4g}"
    wide = max(map(len, labels))
    return [f"{text:>{wide}} |{''.join(line)}".rstrip() for text, line in zip(labels, grid, strict=True)]
