"""Objectives that can be tracked in compiled code: one record, whose kind says which gradient it has.

The gradient at the weights ``w`` [n] of the cells from ``start`` on goes into ``g`` [n]. A `SEPARABLE` or
`CONSTANT` objective is evaluated cell by cell, so a tile is enough; the others need all weights at once.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import ArrayLike, NDArray

from sptrack.kernels._jit import inline, kernel, tile_function
from sptrack.kernels.elementary import exp32
from sptrack.kernels.pointers import address, call

Array = NDArray[Any]

SEPARABLE, CONSTANT, QUADRATIC, LEAST_SQUARES, LOGISTIC = range(5)


class Objective(NamedTuple):
    """An objective, float32 (made by the functions below).

    ``cell`` [2, cells]: curvature and optimum, or the constant gradient, or the optimum alone in row 1;
    ``matrix``: Hessian [cells, cells] or features [samples, cells]; ``data`` [samples]: targets or labels;
    ``ridge`` of a logistic regression.
    """

    kind: int
    cell: Array
    matrix: Array
    data: Array
    ridge: np.float32


def _single(values: ArrayLike) -> Array:
    return np.ascontiguousarray(values, np.float32)


def _objective(
    kind: int,
    cells: int,
    rows: dict[int, ArrayLike],
    matrix: ArrayLike = (),
    data: ArrayLike = (),
    ridge: float = 0.0,
) -> Objective:
    cell = np.zeros((2, cells), np.float32)
    for row, values in rows.items():
        cell[row] = values
    square = _single(matrix).reshape(-1, cells)
    return Objective(kind, cell, square, _single(data), np.float32(ridge))


def separable(curvature: ArrayLike, optimum: ArrayLike) -> Objective:
    """Sum over cells of curvature (w - optimum)^2 / 2; both [cells]."""
    return _objective(SEPARABLE, len(_single(optimum)), {0: curvature, 1: optimum})


def constant(slope: ArrayLike) -> Objective:
    """A gradient that does not depend on the weights, ``slope`` [cells]: the loop is open."""
    return _objective(CONSTANT, len(_single(slope)), {0: slope})


def quadratic(hessian: ArrayLike, optimum: ArrayLike) -> Objective:
    """(w - optimum)^T H (w - optimum) / 2 with symmetric ``hessian`` [cells, cells]."""
    return _objective(QUADRATIC, len(_single(optimum)), {1: optimum}, hessian)


def least_squares(features: ArrayLike, targets: ArrayLike) -> Objective:
    """Mean over samples of (features w - targets)^2 / 2; [samples, cells] and [samples]."""
    return _objective(LEAST_SQUARES, _single(features).shape[1], {}, features, targets)


def logistic(features: ArrayLike, labels: ArrayLike, ridge: float) -> Objective:
    """Mean over samples of log(1 + exp(-label (features w))) + ridge |w|^2 / 2; labels +1 or -1."""
    return _objective(LOGISTIC, _single(features).shape[1], {}, features, labels, ridge)


def _separable(objective: Any, w: Any, g: Any, start: Any, work: Any) -> None:
    curvature, optimum = objective.cell[0, start:], objective.cell[1, start:]
    for i in range(len(w)):
        g[i] = curvature[i] * (w[i] - optimum[i])


def _constant(objective: Any, w: Any, g: Any, start: Any, work: Any) -> None:
    slope = objective.cell[0, start:]
    for i in range(len(w)):
        g[i] = slope[i]


def _quadratic(objective: Any, w: Any, g: Any, start: Any, work: Any) -> None:
    n, optimum = len(w), objective.cell[1]
    for i in range(n):
        g[i] = 0.0
    for j in range(n):
        error = w[j] - optimum[j]
        row = objective.matrix[j]
        for i in range(n):
            g[i] += row[i] * error


@inline
def _project(features: Any, w: Any, work: Any) -> None:
    """``work`` [samples] = features w, one sample after the other."""
    for k in range(features.shape[0]):
        total = type(w[0])(0)
        for i in range(len(w)):
            total += features[k, i] * w[i]
        work[k] = total


@inline
def _backproject(features: Any, g: Any, work: Any) -> None:
    """``g`` += mean over samples of features^T work."""
    scale = type(g[0])(1) / type(g[0])(features.shape[0])
    for k in range(features.shape[0]):
        error = work[k] * scale
        row = features[k]
        for i in range(len(g)):
            g[i] += row[i] * error


def _least_squares(objective: Any, w: Any, g: Any, start: Any, work: Any) -> None:
    _project(objective.matrix, w, work)
    for k in range(objective.matrix.shape[0]):
        work[k] -= objective.data[k]
    for i in range(len(w)):
        g[i] = 0.0
    _backproject(objective.matrix, g, work)


def _logistic(objective: Any, w: Any, g: Any, start: Any, work: Any) -> None:
    _project(objective.matrix, w, work)
    for k in range(objective.matrix.shape[0]):
        label = objective.data[k]
        work[k] = -label / (type(label)(1) + exp32(label * work[k]))
    for i in range(len(w)):
        g[i] = objective.ridge * w[i]
    _backproject(objective.matrix, g, work)


_GRADIENTS = {
    SEPARABLE: _separable,
    CONSTANT: _constant,
    QUADRATIC: _quadratic,
    LEAST_SQUARES: _least_squares,
    LOGISTIC: _logistic,
}
_SINGLE = types.float32[::1]


def gradient_address(objective: Objective) -> int:
    """Address of the gradient of an objective, for `gradient`."""
    return address(_GRADIENTS[objective.kind], objective, _SINGLE, _SINGLE, types.int64, _SINGLE)


@tile_function
def gradient(place: Any, objective: Any, w: Any, g: Any, start: Any, work: Any) -> None:
    """Gradient at ``w`` [n] into ``g`` [n], float32; ``work`` [samples] is scratch."""
    call(place, (objective, w, g, start, work))


@kernel
def fill_gradient(place: Any, objective: Any, w: Any, g: Any, work: Any) -> None:
    """`gradient` of all cells."""
    gradient(place, objective, w, g, 0, work)


def gradient_of(objective: Objective, w: Array) -> Array:
    """Gradient at the weights ``w`` [cells], float32."""
    at, g = _single(w), np.empty(w.shape, np.float32)
    fill_gradient(gradient_address(objective), objective, at, g, gradient_scratch(objective))
    return g


def is_separable(objective: Objective) -> bool:
    """Whether cells can be treated one tile at a time."""
    return objective.kind in (SEPARABLE, CONSTANT)


def gradient_scratch(objective: Objective) -> Array:
    """Scratch for `gradient`, float32 [samples]."""
    return np.zeros(len(objective.data), np.float32)
