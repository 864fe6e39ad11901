"""Streams as numbers, and the types of this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.errors import ParameterError
from sptrack.values import real_array

Real = NDArray[np.float64]
Density = Callable[[Real], Any]

LEVEL = 0.95
"""Of all intervals."""
ENDS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
MANY_CELLS = 16
"""Independent cells from which intervals come from their spread unless told otherwise."""


def streams_of(name: str, x: ArrayLike) -> Real:
    """Finite numbers [time, cells] in float64 (ParameterError)."""
    values = real_array(x, name)
    if values.ndim not in (1, 2) or values.size == 0:
        raise ParameterError(
            f"{name} must be numbers [time] or [time, cells], not empty, got shape {list(values.shape)}"
        )
    if not np.isfinite(values).all():
        place = np.argwhere(~np.isfinite(values))[0].tolist()
        raise ParameterError(f"{name}{place} must be a finite number, got {values[tuple(place)]}")
    return values if values.ndim == 2 else values[:, None]
