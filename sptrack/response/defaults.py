"""Filter, chopper and gradient of a method on a problem, one sample a step, for a look at its chain alone."""

import numpy as np

from sptrack.blocks import Chopper, SignSource
from sptrack.errors import ParameterError
from sptrack.prediction import Linear, linear_reference
from sptrack.tracking.methods import Method
from sptrack.tracking.plain import problem_gradient
from sptrack.tracking.problems import Problem
from sptrack.tracking.signs import method_chopper


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
        main=problem.main,
        fast=problem.fast,
    )
    at_start = problem_gradient(still)(np.zeros((1, len(problem.optimum))), 0)
    return float(np.sqrt(np.mean(np.square(at_start, dtype=np.float64))))
