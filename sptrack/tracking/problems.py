"""Problems to track on: an objective with known optimum, gradient noise, and the cells of W and P."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.devices import Cells, Device, Spread, SymmetricPoints, sample_cells
from sptrack.errors import ParameterError
from sptrack.kernels import objectives
from sptrack.values import as_seed, check_choice, check_number, check_whole, plain_fields, real_array

if TYPE_CHECKING:
    from sptrack.tracking.recorded import RecordedGradient

Array = NDArray[Any]

_CLIP = 0.7
_PROBE, _TOLERANCE, _DENSE = 0.1, 1e-4, 16


def default_device() -> Device:
    """Soft-bounds cells: symmetric points 0.4 +- 0.4 within 0.9 of the bounds, gain spread 0.1."""
    points = SymmetricPoints(mean=0.4, std=0.4, limit=0.9)
    return Device(spread=Spread(dw_min=0.1, log_normal=True, asymmetry=points))


class Belief(NamedTuple):
    """An observer's knowledge of P: cells, whose device it takes, and the std of a read (weight units)."""

    cells: Cells
    read_noise: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """Problem on which a method is run.

    Parameters
    ----------
    name : str
        Name.
    objective : Objective
        Of `sptrack.kernels.objectives`, float32.
    optimum : array [cells]
        Its minimum, weight units.
    gradient_noise : float
        Std of the normal noise on each element of each gradient.
    w_cells, p_cells : Cells
        Cells of W and of P, in one row: a column is a cell.
    read_noise : float
        Std of the noise of reading P, weight units.
    recording : RecordedGradient or None
        Added to the gradient, step by step; the objective is then constant, W has no optimum.
    believed : Belief or None
        What an observer is told of P; None: the truth.
    """

    name: str
    objective: Any
    optimum: Array
    gradient_noise: float
    w_cells: Cells
    p_cells: Cells
    read_noise: float = 0.0
    recording: "RecordedGradient | None" = None
    believed: "Belief | None" = None

    def __post_init__(self) -> None:
        if self.w_cells.size != len(self.optimum) or self.p_cells.size != len(self.optimum):
            sizes = f"{self.w_cells.size} and {self.p_cells.size}"
            raise ParameterError(f"W and P must have {len(self.optimum)} cells, got {sizes}")
        if self.believed is not None and self.believed.cells.shape != self.p_cells.shape:
            raise ParameterError(
                f"believed cells must have shape {self.p_cells.shape}, got {self.believed.cells.shape}"
            )
        for name in ("gradient_noise", "read_noise"):
            value = getattr(self, name)
            check_number(name, value, least=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemSettings:
    """Settings common to the problems of this module.

    Parameters
    ----------
    size : int
        Number of weights.
    low, high : float
        Smallest and largest eigenvalue of the Hessian; the others are evenly spaced.
    spread : float
        Std of the optimum, clipped at +-0.7 weight units.
    gradient_noise, read_noise : float
        See `Problem`.
    device : Device
        Device of W and P.
    recorded : str
        File of recorded gradients (`sptrack.tracking.recorded`), for the problem "recorded" alone.
    """

    size: int = 64
    low: float = 0.2
    high: float = 1.0
    spread: float = 0.3
    gradient_noise: float = 0.2
    read_noise: float = 0.0
    device: Device = field(default_factory=default_device)
    recorded: str = ""

    def __post_init__(self) -> None:
        plain_fields(self)
        check_whole("size", self.size, 1)
        if not 0 < self.low <= self.high:
            raise ParameterError(f"spectrum must satisfy 0 < low <= high, got {self.low} .. {self.high}")


def _cells_and_optimum(
    settings: ProblemSettings, seed: int
) -> tuple[dict[str, Any], Array, np.random.Generator]:
    rng = np.random.default_rng([seed, 7])
    optimum = np.clip(settings.spread * rng.standard_normal(settings.size), -_CLIP, _CLIP)
    shape = (1, settings.size)
    common = {
        "optimum": optimum,
        "gradient_noise": settings.gradient_noise,
        "read_noise": settings.read_noise,
        "w_cells": sample_cells(settings.device, shape, seed=2 * seed),
        "p_cells": sample_cells(settings.device, shape, seed=2 * seed + 1),
    }
    return common, optimum, rng


def _single(values: Array) -> Array:
    return np.ascontiguousarray(values, np.float32)


def _hessian(settings: ProblemSettings, rng: np.random.Generator) -> Array:
    basis, _ = np.linalg.qr(rng.standard_normal((settings.size, settings.size)))
    return np.asarray((basis * np.linspace(settings.low, settings.high, settings.size)) @ basis.T)


def quadratic(settings: ProblemSettings, seed: int) -> Problem:
    """Coupled quadratic: Hessian with a random basis and the spectrum of the settings."""
    common, optimum, rng = _cells_and_optimum(settings, seed)
    hessian = _hessian(settings, rng)
    made = objectives.quadratic(0.5 * (hessian + hessian.T), optimum)
    return Problem(name="quadratic", objective=made, **common)


def separable(settings: ProblemSettings, seed: int) -> Problem:
    """Separable quadratic: every weight has its own curvature."""
    common, optimum, _ = _cells_and_optimum(settings, seed)
    curvature = np.linspace(settings.low, settings.high, settings.size)
    return Problem(name="separable", objective=objectives.separable(curvature, optimum), **common)


def least_squares(settings: ProblemSettings, seed: int) -> Problem:
    """Least squares, exact targets: twice as many samples as weights, spectrum of the settings."""
    common, optimum, rng = _cells_and_optimum(settings, seed)
    samples = 2 * settings.size
    left, _ = np.linalg.qr(rng.standard_normal((samples, settings.size)))
    basis, _ = np.linalg.qr(rng.standard_normal((settings.size, settings.size)))
    singular = np.sqrt(samples * np.linspace(settings.low, settings.high, settings.size))
    features = (left * singular) @ basis.T
    made = objectives.least_squares(features, features @ optimum)
    return Problem(name="least-squares", objective=made, **common)


def logistic(settings: ProblemSettings, seed: int) -> Problem:
    """Ridge-regularised logistic regression on 256 samples; the optimum by Newton's method in float64."""
    common, _, rng = _cells_and_optimum(settings, seed)
    features = rng.standard_normal((256, settings.size)) / np.sqrt(settings.size)
    separator = rng.standard_normal(settings.size)
    labels = np.where(rng.random(256) < 1.0 / (1.0 + np.exp(-3.0 * features @ separator)), 1.0, -1.0)
    ridge = 0.1 * settings.low
    made = objectives.logistic(features, labels, ridge)
    return Problem(
        name="logistic", objective=made, **(common | {"optimum": _newton(features, labels, ridge)})
    )


def _newton(features: Array, labels: Array, ridge: float) -> Array:
    w = np.zeros(features.shape[1])
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(labels * (features @ w)))
        gradient = -features.T @ (labels * p) / len(labels) + ridge * w
        hessian = (features.T * (p * (1.0 - p))) @ features / len(labels) + ridge * np.eye(len(w))
        step = np.linalg.solve(hessian, gradient)
        w = w - step
        if np.abs(step).max() < 1e-12:
            break
    return w


def open_loop(cells: Cells, *, mean: ArrayLike = 0.0, std: float = 0.0, read_noise: float = 0.0) -> Problem:
    """A gradient that does not depend on the weights: what filters and choppers make of P alone.

    Parameters
    ----------
    cells : Cells
        Cells of P; those of W are the same, and stay where they are with beta = 0.
    mean : array_like, broadcastable to the cells
        Mean gradient of each cell.
    std : float
        Std of its normal noise, new at each step.
    read_noise : float
        Std of the noise of reading P, weight units.

    Raises
    ------
    ParameterError
        A mean that is not finite or does not fit, a noise that is negative.
    """
    try:
        slope = _single(np.broadcast_to(np.asarray(mean, np.float64), cells.shape).ravel())
    except ValueError as error:
        raise ParameterError(f"mean must broadcast to {list(cells.shape)}") from error
    if not np.isfinite(slope).all():
        raise ParameterError(f"mean must be finite numbers, got {slope[~np.isfinite(slope)][0]}")
    return Problem(
        name="open-loop",
        objective=objectives.constant(slope),
        optimum=np.zeros(cells.size),
        gradient_noise=std,
        w_cells=cells,
        p_cells=cells,
        read_noise=read_noise,
    )


def recorded(settings: ProblemSettings, seed: int) -> Problem:
    """Recorded gradients as they were asked for, whatever the weights are.

    The symmetric point of P can be tracked; W has no optimum (``optimum`` is 0).
    """
    from sptrack.tracking.recorded import recorded_gradient

    common, _, _ = _cells_and_optimum(settings, seed)
    nothing = np.zeros(settings.size)
    changed = {"optimum": nothing, "gradient_noise": 0.0, "recording": recorded_gradient(settings.recorded)}
    return Problem(name=RECORDED, objective=objectives.constant(nothing), **(common | changed))


RECORDED = "recorded"
"""Name of the problem that plays recorded gradients."""
PROBLEMS: dict[str, Callable[[ProblemSettings, int], Problem]] = {
    "quadratic": quadratic,
    "separable": separable,
    "least-squares": least_squares,
    "logistic": logistic,
}
"""Factories by name of problems with an optimum; "quadratic" is the default."""
PROBLEM_NAMES = (*PROBLEMS, RECORDED)


def problem(name: str = "quadratic", settings: ProblemSettings | None = None, *, seed: int = 0) -> Problem:
    """A problem by name.

    Raises
    ------
    ParameterError
        Unknown name, settings out of range, a negative seed.
    """
    check_choice("problem", name, PROBLEM_NAMES)
    seed = as_seed(seed)
    made = ProblemSettings() if settings is None else settings
    if bool(made.recorded) != (name == RECORDED):
        raise ParameterError(
            f"problem {name!r} needs recorded = FILE, the gradients it plays"
            if name == RECORDED
            else f"recorded = {made.recorded!r} is for problem 'recorded', got problem {name!r}"
        )
    return recorded(made, seed) if name == RECORDED else PROBLEMS[name](made, seed)


def mean_gradient(problem: Problem, weights: ArrayLike) -> Array:
    """Gradient without noise at ``weights`` [..., cells] (weight units), float64."""
    at = real_array(weights, "weights", np.float32)
    rows = np.ascontiguousarray(at).reshape(-1, at.shape[-1])
    g = np.stack([objectives.gradient_of(problem.objective, row) for row in rows])
    return g.astype(np.float64).reshape(at.shape)


def curvatures(problem: Problem) -> tuple[float, float]:
    """Smallest and largest curvature mu and L at the optimum, from differences of the gradient."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    size, rest = len(problem.optimum), mean_gradient(problem, problem.optimum)

    def times(v: Array) -> Array:
        v = np.asarray(v).ravel()
        scale = _PROBE / max(float(np.abs(v).max()), np.finfo(np.float64).tiny)
        return (mean_gradient(problem, problem.optimum + scale * v) - rest) / scale

    if size <= _DENSE:
        values = np.linalg.eigvalsh(np.array([times(unit) for unit in np.eye(size)]))
        return float(values[0]), float(values[-1])
    start = np.random.default_rng(0).standard_normal(size)
    if not times(start).any():
        return 0.0, 0.0
    operator = LinearOperator((size, size), matvec=times, dtype=np.float64)
    low, high = (
        eigsh(operator, 1, which=end, v0=start, tol=_TOLERANCE, return_eigenvectors=False)[0]
        for end in ("SA", "LA")
    )
    return float(low), float(high)
