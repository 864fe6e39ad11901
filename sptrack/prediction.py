"""The reference that a method ends with on a problem, by linear theory of filter and chopper."""

from dataclasses import dataclass, replace

import numpy as np

from sptrack.blocks import (
    EMA,
    Chain,
    Chopper,
    LinearBlock,
    PeriodicChopper,
    PeriodMean,
    SignSource,
    SteadyKalman,
    group_delay,
)
from sptrack.errors import ConvergenceError, ParameterError
from sptrack.theory import GradientStatistics, linearise
from sptrack.theory.chopping import Filter
from sptrack.tracking.methods import Method
from sptrack.tracking.problems import Problem
from sptrack.tracking.references import steps_between

Linear = LinearBlock | Chain


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencePrediction:
    """Predicted error of the reference at the optimum, where the gradient is noise.

    Attributes
    ----------
    mse : float or None
        Mean over cells of |Q - SP|^2, weight units squared; None where theory says nothing.
    reason : str
        Why it is None; empty otherwise.
    warnings : tuple of str
        Why the number may not hold.
    """

    mse: float | None
    reason: str = ""
    warnings: tuple[str, ...] = ()


def linear_reference(method: Method) -> Linear:
    """The linear filter of the reads that the reference of a method settles to, one sample a read.

    A period mean counts as the exponential moving average that it is taken from.

    Raises
    ------
    ParameterError
        A method whose reference is no filter, or none with a frequency response.
    """
    if method.filter is None:
        raise ParameterError(f"{method.name}: its reference ({method.estimator}) is no filter of its reads")
    if isinstance(method.filter, PeriodMean):
        return EMA(eta=method.filter.eta)
    settled: Linear = method.filter.settled
    return settled


def known_filter(low_pass: Linear) -> Filter:
    """The rate of an exponential moving average, for which theory has closed forms, or the block itself."""
    if isinstance(low_pass, SteadyKalman):
        return low_pass.gain
    return low_pass.eta if isinstance(low_pass, EMA) and low_pass.order == 1 else low_pass


def equivalent_rate(method: Method) -> float:
    """Rate of the exponential moving average with the mean delay of the reference; 0 where there is none."""
    if method.eta > 0 or method.filter is None:
        return method.eta
    try:
        return float(1 / (1 + group_delay(linear_reference(method))))
    except (ConvergenceError, ParameterError):
        return 0.0


def chopper_of_reads(method: Method, interval: int) -> SignSource | None:
    """The chopper as the reads see it, which come every ``interval`` steps.

    A telegraph of correlation r per step has r**interval per read. A periodic chopper whose half period is a
    whole number of reads stays periodic.

    Raises
    ------
    ParameterError
        Another chopper that the reads do not follow step by step.
    """
    chopper = method.chopper
    if chopper is None or interval == 1 or chopper.clock == "read":
        return chopper
    if isinstance(chopper, Chopper):
        return replace(chopper, p=(1 - (1 - 2 * chopper.p) ** interval) / 2)
    if isinstance(chopper, PeriodicChopper) and chopper.half_period % interval == 0:
        return replace(chopper, half_period=chopper.half_period // interval)
    raise ParameterError(f"{chopper}: its signs at every {interval}-th step have no form of their own")


def predict_reference(problem: Problem, method: Method) -> ReferencePrediction:
    """Error that the reference settles to at the optimum of a problem.

    P is linearised around the symmetric point of each cell and driven by the noise of the gradient; the
    filter passes what `sptrack.theory.Loop.predict` says. For a loop that is read at every step.

    Parameters
    ----------
    problem : Problem
        Objective, cells, noise.
    method : Method
        A method whose reference is a filter of its reads.

    Returns
    -------
    ReferencePrediction
    """
    if method.direct:
        return ReferencePrediction(mse=None, reason="no reference: gradient pulses go straight onto W")
    if not method.moving:
        return ReferencePrediction(mse=None, reason=f"the reference does not move ({method.reference})")
    if method.observer is not None:
        return ReferencePrediction(mse=None, reason="an observer: see observer_rms of `sptrack explain`")
    if steps_between(method, problem.fast.shape[1]) > 1:
        return ReferencePrediction(mse=None, reason="P is not read at every step")
    if not np.isfinite(problem.fast.symmetric_point).any():
        return ReferencePrediction(mse=None, reason="no cell has a symmetric point inside its bounds")
    try:
        low_pass = linear_reference(method)
        gradient = GradientStatistics(std=problem.gradient_noise)
        loop = linearise(problem.fast, alpha=method.alpha, gradient=gradient)
        found = loop.predict(known_filter(low_pass), method.chopper, read_noise=problem.read_noise)
    except (ConvergenceError, ParameterError) as error:
        return ReferencePrediction(mse=None, reason=str(error))
    mse = float(np.nanmean(found.rms_q**2))
    if not np.isfinite(mse):
        return ReferencePrediction(mse=None, reason="the loop is unstable", warnings=found.warnings)
    return ReferencePrediction(mse=mse, warnings=found.warnings)
