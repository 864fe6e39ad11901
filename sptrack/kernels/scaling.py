"""Digital scales around the tiles of a layer: their outputs to those of the layer, its errors to them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import disjoint_tile, kernel

Array = NDArray[Any]


@disjoint_tile
def _scale(y: Any, scale: Any, factor: Any, part: Any) -> None:
    for j in range(np.uint64(len(y))):
        y[j] *= scale[j]
        part[j] = factor * y[j]


@disjoint_tile
def _add(part: Any, out: Any) -> None:
    for j in range(np.uint64(len(part))):
        out[j] += part[j]


@kernel
def add_outputs(y: Array, scale: Array, factor: Any, out: Array, first: int) -> None:
    """Scale outputs ``y`` [n, R] of a tile by ``scale`` [R]; add ``factor`` times them to ``out`` [n, rows].

    Its rows in ``out`` begin at ``first``.
    """
    rows = y.shape[1]
    part = np.empty(rows, np.float32)
    for k in range(y.shape[0]):
        _scale(y[k], scale, factor, part)
        _add(part, out[k, first : first + rows])


@disjoint_tile
def _send(d: Any, scale: Any, factor: Any, sent: Any) -> None:
    for j in range(np.uint64(len(d))):
        sent[j] = factor * d[j] / scale[j]


@disjoint_tile
def _return(d: Any, scale: Any, factor: Any, back: Any) -> None:
    for j in range(np.uint64(len(d))):
        back[j] = factor * d[j] * scale[j]


@kernel
def split_errors(d: Array, scale: Array, factor: Any, first: int, sent: Array, back: Array) -> None:
    """Errors of a tile, whose rows in ``d`` [n, rows] begin at ``first``, for its array and backward pass.

    ``sent`` [n, R] becomes ``factor`` d / ``scale``, and ``back`` [n or 0, R] ``factor`` d times ``scale``.
    """
    rows = sent.shape[1]
    for k in range(sent.shape[0]):
        _send(d[k, first : first + rows], scale, factor, sent[k])
    for k in range(back.shape[0]):
        _return(d[k, first : first + rows], scale, factor, back[k])
