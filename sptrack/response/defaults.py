"""Filter, chopper and gradient of a method on a problem, one sample a step, for a look at its chain alone."""

from typing import Any

import numpy as np

from sptrack.blocks import Chopper, SignSource
from sptrack.errors import ParameterError
from sptrack.evaluation.prediction import Linear, linear_reference
from sptrack.response.open_loop import OpenLoop
from sptrack.tracking.config import Setup
from sptrack.tracking.methods import Method
from sptrack.tracking.plain import problem_gradient
from sptrack.tracking.problems import Problem, problem
from sptrack.tracking.recorded import RecordedGradient
from sptrack.tracking.signs import method_chopper


def driven_cells(
    setup: Setup,
    method: Method,
    *,
    chopper: SignSource | None = None,
    mean: float | None = None,
    std: float | None = None,
    recording: RecordedGradient | None = None,
    alpha: float | None = None,
    seed: int = 0,
) -> OpenLoop:
    """Cells of P of a problem, driven by a gradient that does not depend on them.

    Parameters
    ----------
    setup : Setup
        Problem and device.
    method : Method
        Rate and chopper.
    chopper : chopper or None
        Chopper; None: the method's (errors as in `method_signs`).
    mean, std : float or None
        Mean of the gradient and std of its noise; None: `start_gradient`, and the problem's noise, or what
        the problem plays.
    recording : RecordedGradient or None
        Gradients instead.
    alpha : float or None
        Rate of the pulses; None: the method's.
    seed : int
        Root seed of cells, chopper, noise and pulses.
    """
    tracked = problem(setup.problem, setup.settings, seed=seed)
    played = tracked.recording if recording is None and mean is None and std is None else recording
    gradient: dict[str, Any] = {"recording": played}
    if played is None:
        gradient = {
            "mean": start_gradient(tracked) if mean is None else mean,
            "std": tracked.gradient_noise if std is None else std,
        }
    return OpenLoop(
        cells=tracked.p_cells,
        chopper=method_signs(method, seed=seed) if chopper is None else chopper,
        alpha=method.alpha if alpha is None else alpha,
        **gradient,
        read_noise=tracked.read_noise,
        seed=seed,
    )


def method_filter(method: Method) -> Linear:
    """The reference filter, once settled, of a method that reads P at every step.

    Raises
    ------
    ParameterError
        A method without a filter, with one that has no frequency response, or with reads of columns in turn.
    """
    if method.filter is None:
        raise ParameterError(
            f"{method.name}: its reference ({method.estimator}) is no filter of its reads: pass --filter"
        )
    _refuse_slow(method, "filter")
    return linear_reference(method)


def method_signs(method: Method, *, seed: int = 0) -> SignSource:
    """The chopper of a method that flips by steps (errors as in `method_filter`)."""
    _refuse_slow(method, "chopper")
    return method_chopper(method, seed) or Chopper(p=0.0)


def _refuse_slow(method: Method, what: str) -> None:
    if method.transfer.by_column or method.transfer.every > 1:
        raise ParameterError(f"{method.name} reads P in turns, not at every step: pass --{what}")


def start_gradient(problem: Problem) -> float:
    """Root mean square over the cells of the noise-free gradient of a problem at W = 0, gradient units."""
    still = Problem(
        name=problem.name,
        objective=problem.objective,
        optimum=problem.optimum,
        gradient_noise=0.0,
        w_cells=problem.w_cells,
        p_cells=problem.p_cells,
    )
    at_start = problem_gradient(still)(np.zeros((1, len(problem.optimum))), 0)
    return float(np.sqrt(np.mean(np.square(at_start, dtype=np.float64))))
