"""Rates of convergence of tracking, and whether the premise of T3.7 was met on the way.

T3.7 of Xiao et al. 2026 (arXiv 2602.21321) bounds the mean over K steps of ||W - W*||^2 + ||P - Q||^2 +
||G_p(P)||^2, with rates that shrink as 1/sqrt(K).
"""

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks import (
    CIC,
    Block,
    Boxcar,
    Chain,
    Chopper,
    Fixed,
    Kalman,
    LastSample,
    ObserverSettings,
    PeriodicChopper,
    SignSource,
    SteadyKalman,
    TrackingLoop,
)
from sptrack.devices.constants import response_constants, working_interval
from sptrack.errors import ParameterError
from sptrack.kernels.objectives import QUADRATIC, SEPARABLE
from sptrack.theory.premise import DrivePremise, drive_premise
from sptrack.tracking.methods import Method
from sptrack.tracking.problems import Problem, curvatures, mean_gradient
from sptrack.tracking.rated import rate_of, with_rate
from sptrack.tracking.results import Recording
from sptrack.tracking.run import Tracker
from sptrack.values import check_number

Array = NDArray[Any]

REFERENCE_STEPS = 20000
"""Run length for which the default settings of the methods were chosen."""
LOOKS = 400
"""Steps of a run, evenly spaced, at which the gradient is compared with the premise."""
_CHUNK = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Means over the steps of one run, per cell.

    Attributes
    ----------
    steps : int
        K.
    weights, residual, asymmetry, reference : float
        Mean of (W - W*)^2, (P - Q)^2, G_p(P)^2 (dimensionless) and (Q - SP)^2 (weight units squared).
    tail : float
        Sum of the first three over the last tenth of the steps.
    premise, moving : float
        Shares of steps and elements whose E|g_d| is above 0 and at least C* of T3.7, or at least the level
        above which RIDER cannot rest at a wrong place: `DrivePremise.level` and ``rest``.
    """

    steps: int
    weights: float
    residual: float
    asymmetry: float
    reference: float
    tail: float
    premise: float
    moving: float

    @property
    def total(self) -> float:
        """The quantity that T3.7 bounds, per cell."""
        return self.weights + self.residual + self.asymmetry


def problem_premise(problem: Problem) -> DrivePremise:
    """Premise of T3.7 on a problem, as easy to meet as it can be.

    The working interval of each cell of P is the least it has to cover: from its start to its symmetric
    point, and one pulse beyond. A cell without a symmetric point has all of its bounds.

    Raises
    ------
    ParameterError
        A loss that is not strongly convex at its optimum.
    """
    cells, pulse = problem.p_cells, problem.p_cells.dw_min
    low, high = working_interval(cells)
    start, point = _reference(problem), cells.symmetric_point
    live = np.isfinite(point)
    first = np.clip(np.fmin(start, point) - pulse, low, high - pulse)
    last = np.clip(np.fmax(start, point) + pulse, low + pulse, high)
    constants = response_constants(cells, (np.where(live, first, low), np.where(live, last, high)))
    convexity, smoothness = curvatures(problem)
    return drive_premise(constants, noise=problem.gradient_noise, convexity=convexity, smoothness=smoothness)


def _reference(problem: Problem) -> Array:
    """Internal weight of P that reads as 0, float64 [rows, columns]."""
    cells = problem.p_cells
    return np.zeros(cells.shape) if cells.reference is None else np.asarray(cells.reference, np.float64)


def scaled(method: Method, factor: float) -> Method:
    """The same method run ``factor`` times faster: rates per step times the factor.

    alpha, beta, eta (at most 1) and the flip probability (at most 1/2) are multiplied, lengths of moving
    averages and half periods of a chopper divided; where several steps pass between reads, their number is
    divided instead, and what is stated per read stays.

    Raises
    ------
    ParameterError
        A factor that is not finite and above 0; a filter or a chopper that no rate or length describes.
    """
    check_number("factor", factor, above=0)
    between = method.transfer.every
    every = max(1, round(between / factor)) if between > 1 else 1
    read = factor * every / between
    reference = method.reference
    if isinstance(reference, ObserverSettings):
        reference = with_rate(reference, min(factor * method.eta, 1.0))
    elif isinstance(reference, Block):
        reference = faster(reference, read)
    return replace(
        method,
        alpha=factor * method.alpha,
        beta=read * method.beta,
        reference=reference,
        chopper=_more_flips(method.chopper, factor, read),
        transfer=replace(method.transfer, every=every),
    )


def faster(block: Block, factor: float) -> Block:
    """The same filter with ``factor`` times its rate, at most 1, or its length over the factor, at least 1.

    Raises
    ------
    ParameterError
        A filter that no rate or length describes, unless the factor is 1.
    """
    if factor == 1 or isinstance(block, LastSample | Fixed):
        return block
    if isinstance(block, Chain):
        return Chain(*(faster(part, factor) for part in block.blocks))
    if isinstance(block, Boxcar | CIC):
        return replace(block, length=max(1, round(block.length / factor)))
    if isinstance(block, TrackingLoop):
        return replace(block, bandwidth=min(factor * block.bandwidth, 0.5))
    if isinstance(block, Kalman | SteadyKalman):
        return replace(block, drift_std=factor * block.drift_std)
    return cast("Block", with_rate(block, min(factor * rate_of(block), 1.0)))


def _more_flips(chopper: SignSource | None, factor: float, read: float) -> SignSource | None:
    """Chopper with ``factor`` times the flips per step, or ``read`` times those per read."""
    if chopper is None:
        return None
    flips = read if chopper.clock == "read" else factor
    if flips == 1:
        return chopper
    if isinstance(chopper, Chopper):
        return replace(chopper, p=min(flips * chopper.p, 0.5))
    if isinstance(chopper, PeriodicChopper):
        return replace(chopper, half_period=max(1, round(chopper.half_period / flips)))
    raise ParameterError(f"{chopper} flips at given samples: scale a telegraph or a periodic one")


def for_steps(method: Method, steps: int, *, at: int = REFERENCE_STEPS) -> Method:
    """Settings of a method that holds for ``at`` steps, for a run of ``steps``, as T3.7 scales them.

    `scaled` by sqrt(at/steps): alpha, beta and eta go as 1/sqrt(steps), gamma stays.

    Raises
    ------
    ParameterError
        A number of steps below 1.
    """
    if steps < 1 or at < 1:
        raise ParameterError(f"steps and at must be at least 1, got {steps} and {at}")
    return scaled(method, float(np.sqrt(at / steps)))


def with_optimum(problem: Problem, optimum: Array) -> Problem:
    """The same (separable or coupled) quadratic problem with its optimum [cells] elsewhere.

    Raises
    ------
    ParameterError
        Another objective.
    """
    if problem.objective.kind not in (SEPARABLE, QUADRATIC):
        raise ParameterError(
            f"problem must be quadratic or separable to move its optimum, got {problem.name}"
        )
    cell = problem.objective.cell.copy()
    cell[1] = optimum
    moved = problem.objective._replace(cell=cell)
    return replace(problem, optimum=np.array(optimum, np.float64), objective=moved)


def measure_rate(problem: Problem, method: Method, steps: int, *, seed: int = 0, **options: Any) -> Rate:
    """Run a method and average what T3.7 bounds over every step.

    Parameters
    ----------
    problem, method, seed
        As in `Tracker`; ``options`` are its other parameters.
    steps : int
        K, at least 10.

    Raises
    ------
    ParameterError
        As `Tracker`; a method without P, or fewer than 10 steps.
    """
    if method.direct or steps < 10:
        raise ParameterError(
            f"rates need a method with P and at least 10 steps, got {method.name} over {steps} steps"
        )
    tracker, premise = Tracker(problem, method, seed=seed, **options), problem_premise(problem)
    reference_copy, values, met = tracker.result.reference, [], []
    for chunk in np.array_split(np.arange(steps), -(-steps // _CHUNK)):
        taken = tracker.record(len(chunk))
        values.append(_squares(problem, taken))
        copies = _copies(method, taken, reference_copy)
        looks = np.linspace(1, len(taken.w) - 1, -(-LOOKS * len(taken.w) // steps)).astype(int)
        mixed = taken.w[looks - 1] + method.gamma * taken.signs[looks] * (taken.p[looks - 1] - copies[looks])
        means = mean_gradient(problem, mixed).reshape(-1, *problem.p_cells.shape)
        met.append([premise.met(means).mean(), premise.met(means, premise.rest).mean()])
        reference_copy = copies[-1]
    each = np.concatenate(values)
    weights, residual, asymmetry, reference = each.mean(axis=0).tolist()
    premise, moving = np.mean(met, axis=0).tolist()
    return Rate(
        steps=steps,
        weights=weights,
        residual=residual,
        asymmetry=asymmetry,
        reference=reference,
        tail=float(each[-max(1, steps // 10) :, :3].sum(axis=1).mean()),
        premise=premise,
        moving=moving,
    )


def _squares(problem: Problem, taken: Recording) -> Array:
    """(W - W*)^2, (P - Q)^2, G(P)^2 and (Q - SP)^2 [steps, 4], means over cells."""
    inside = taken.p.reshape(-1, *problem.p_cells.shape) + _reference(problem)
    asymmetry = problem.p_cells.G(inside).reshape(taken.p.shape)
    point = np.nan_to_num(problem.p_cells.target.ravel())
    rows = (taken.w - problem.optimum, taken.p - taken.q, asymmetry, taken.q - point)
    return np.stack([np.mean(np.square(row, dtype=np.float64), axis=1) for row in rows], axis=1)


def _copies(method: Method, taken: Recording, reference_copy: Array) -> Array:
    """Reference R of each step [steps, cells] but the first of a recording, where it may be a step old."""
    before = np.concatenate([taken.q[:1], taken.q[:-1]])
    if method.sync:
        return before
    flips = np.zeros(taken.signs.shape, bool)
    flips[1:] = taken.signs[1:] != taken.signs[:-1]
    flips = np.broadcast_to(flips, before.shape)
    last = np.maximum.accumulate(np.where(flips, np.arange(len(flips))[:, None], 0), axis=0)
    return np.where(last > 0, np.take_along_axis(before, last, axis=0), reference_copy)
