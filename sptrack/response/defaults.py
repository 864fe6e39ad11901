"""Filter, chopper and gradient of a method on a problem, one sample a step, for a look at its chain alone."""

import numpy as np

from sptrack.blocks import EMA, Block, Boxcar, SignSource
from sptrack.errors import ParameterError
from sptrack.tracking.methods import Method
from sptrack.tracking.plain import problem_gradient
from sptrack.tracking.problems import Problem
from sptrack.tracking.signs import method_chopper


def method_filter(method: Method) -> Block:
    """The reference filter, once settled, of a method that reads P at every step.

    Raises
    ------
    ParameterError
        A method without a filter, with one that has no frequency response, or with reads of columns in turn.
    """
    if method.reference != "filter" or method.estimator not in ("ema", "corrected-ema", "boxcar"):
        kind = method.estimator if method.reference == "filter" else method.reference
        raise ParameterError(
            f"{method.name}: its reference ({kind}) is no linear filter of its reads: give a filter"
        )
    _refuse_slow(method, "filter")
    if method.estimator == "boxcar":
        return Boxcar(length=round(2 / method.eta - 1))
    return EMA(eta=method.eta)


def method_signs(method: Method, *, seed: int = 0) -> SignSource:
    """The chopper of a method that flips by steps (errors as in `method_filter`)."""
    _refuse_slow(method, "chopper")
    return method_chopper(method, seed)


def _refuse_slow(method: Method, what: str) -> None:
    if method.transfer.by_column or method.transfer.every > 1:
        raise ParameterError(f"{method.name} reads P in turns, not at every step: give a {what}")


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
