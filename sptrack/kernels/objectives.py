"""Gradients of the objectives that can be tracked in compiled code, one overload per NamedTuple.

    gradient(objective, w, g, start, work)    gradient at the weights ``w`` [n] of the cells from start on,
                                              into ``g``

A `Separable` or `Constant` objective is evaluated cell by cell, so a tile is enough; the others need all
weights at once.
"""

from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from sptrack.kernels._jit import inline
from sptrack.kernels.elementary import exp

Array = NDArray[Any]


class Separable(NamedTuple):
    """sum over cells of curvature (w - optimum)^2 / 2; both [cells]."""

    curvature: Array
    optimum: Array


class Constant(NamedTuple):
    """A gradient that does not depend on the weights, ``slope`` [cells]: the loop is open."""

    slope: Array


class Quadratic(NamedTuple):
    """(w - optimum)^T H (w - optimum) / 2 with symmetric ``hessian`` [cells, cells]."""

    hessian: Array
    optimum: Array


class LeastSquares(NamedTuple):
    """Mean over samples of (features w - targets)^2 / 2; [samples, cells] and [samples]."""

    features: Array
    targets: Array


class Logistic(NamedTuple):
    """Mean over samples of log(1 + exp(-label (features w))) + ridge |w|^2 / 2; labels +1 or -1."""

    features: Array
    labels: Array
    ridge: Any


@inline
def _separable(objective: Any, w: Any, g: Any, start: Any, work: Any) -> None:
    for i in range(len(w)):
        g[i] = objective.curvature[start + i] * (w[i] - objective.optimum[start + i])


@inline
def _constant(objective: Any, w: Any, g: Any, start: Any, work: Any) -> None:
    for i in range(len(w)):
        g[i] = objective.slope[start + i]


@inline
def _quadratic(objective: Any, w: Any, g: Any, start: Any, work: Any) -> None:
    n = len(w)
    for i in range(n):
        g[i] = 0.0
    for j in range(n):
        error = w[j] - objective.optimum[j]
        row = objective.hessian[j]
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


@inline
def _least_squares(objective: Any, w: Any, g: Any, start: Any, work: Any) -> None:
    _project(objective.features, w, work)
    for k in range(objective.features.shape[0]):
        work[k] -= objective.targets[k]
    for i in range(len(w)):
        g[i] = 0.0
    _backproject(objective.features, g, work)


@inline
def _logistic(objective: Any, w: Any, g: Any, start: Any, work: Any) -> None:
    _project(objective.features, w, work)
    for k in range(objective.features.shape[0]):
        label = objective.labels[k]
        work[k] = -label / (type(label)(1) + exp(label * work[k]))
    for i in range(len(w)):
        g[i] = objective.ridge * w[i]
    _backproject(objective.features, g, work)


_GRADIENTS: dict[type, Any] = {
    Separable: _separable,
    Constant: _constant,
    Quadratic: _quadratic,
    LeastSquares: _least_squares,
    Logistic: _logistic,
}


def gradient(objective: Any, w: Any, g: Any, start: Any, work: Any) -> None:
    """Gradient of ``objective`` at ``w`` [n] into ``g`` [n]; ``work`` [samples] is scratch."""
    _GRADIENTS[type(objective)](objective, w, g, start, work)


@overload(gradient)
def _gradient(objective: Any, w: Any, g: Any, start: Any, work: Any) -> Any:
    law = _GRADIENTS[objective.instance_class]

    def compiled(objective: Any, w: Any, g: Any, start: Any, work: Any) -> None:
        law(objective, w, g, start, work)

    return compiled


def samples(objective: Any) -> int:
    """Length of the scratch that `gradient` needs."""
    return len(objective.features) if isinstance(objective, LeastSquares | Logistic) else 0


def is_separable(objective: Any) -> bool:
    """Whether cells can be treated one tile at a time."""
    return isinstance(objective, Separable | Constant)


def zeros_like_objective(objective: Any) -> Array:
    """Scratch for `gradient`, in the objective's precision."""
    return np.zeros(samples(objective), objective[0].dtype)
