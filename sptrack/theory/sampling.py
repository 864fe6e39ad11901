"""Sampling error of one run: how far a simulated array may lie from its exact moments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sptrack.theory.moments import Array, Moments
from sptrack.theory.zero_shifting import ArrayOffset, finite_cells

if TYPE_CHECKING:
    from sptrack.devices.cells import Cells


def array_offset_error(cells: Cells, moments: Moments) -> ArrayOffset:
    """Standard error of each field of `array_offset` when it is taken from a single run on these very cells.

    The cells are fixed; only pulse directions and cycle noise differ from run to run. For normal x of
    variance V, Var[(c + x)^2] = 4 c^2 V + 2 V^2, so that the standard error of a root mean square over n
    cells, r = sqrt(mean_i (c_i + x_i)^2), is sqrt(sum_i 4 c_i^2 V_i + 2 V_i^2) / (2 n r) to leading order.

    Parameters
    ----------
    cells : cells of a device
        The cells that the moments belong to.
    moments : Moments
        Moments of w - w*, shape [*shape].

    Returns
    -------
    ArrayOffset
        One sigma of mean, std and rms, weight units, over the cells with finite moments.

    Raises
    ------
    ParameterError
        If no cell has finite moments.
    """
    found = finite_cells(moments, np.asarray(cells.symmetric_point, dtype=np.float64))
    mean, variance, points = (values.ravel() for values in found)
    place = mean + points
    return ArrayOffset(
        mean=float(np.sqrt(variance.sum()) / variance.size),
        std=_root_error(place - place.mean(), variance),
        rms=_root_error(mean, variance),
        cells=mean.size,
    )


def _root_error(centre: Array, variance: Array) -> float:
    """Standard error of sqrt(mean (centre + x)^2), x normal with mean 0; 0 where nothing scatters."""
    root = np.sqrt(np.mean(centre**2 + variance))
    scatter = np.sqrt(np.sum(4 * centre**2 * variance + 2 * variance**2)) / variance.size
    return float(scatter / (2 * root)) if root > 0 else 0.0
