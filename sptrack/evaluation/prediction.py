"""Error of the reference of a method on a problem, by linear theory of loop, filter and observer."""

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
    TrackingLoop,
    first_order,
    group_delay,
)
from sptrack.blocks.responses import response_line
from sptrack.errors import ConvergenceError, ParameterError
from sptrack.theory import GradientStatistics, linearise
from sptrack.theory.chopping import Filter
from sptrack.theory.observer import (
    LEAST_STRETCHES,
    NormalDrive,
    ObservedCell,
    ObserverError,
    observer_error,
    recommend_observer,
)
from sptrack.tracking.methods import Method
from sptrack.tracking.problems import Problem
from sptrack.tracking.references import observer_of, steps_between

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
    """Rate of the exponential moving average with the mean delay of the reference; 0 where there is none.

    A loop of second order has no delay: its rate is that of the average with the same noise bandwidth.
    """
    if method.eta > 0 or method.filter is None:
        return method.eta
    if isinstance(method.filter, TrackingLoop):
        return first_order(method.filter.bandwidth).eta
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


def gradient_at_rest(problem: Problem) -> GradientStatistics:
    """Mean and std of the gradient of each cell where W is at rest: noise alone, or what was recorded."""
    if problem.recording is None:
        return GradientStatistics(std=problem.gradient_noise)
    mean, std = (one.reshape(problem.p_cells.shape) for one in problem.recording.over(problem.p_cells.size))
    return GradientStatistics(mean=mean, std=std)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserverPrediction:
    """Error of an input-aware observer at the optimum, for a typical cell.

    Attributes
    ----------
    every : int
        Steps between reads of a cell.
    rms : float
        rms error of the symmetric point, prior included, weight units.
    prior_fraction : float
        Part of the information on the symmetric point that is the prior's.
    error : ObserverError or None
        Error from pulses and reads alone; None without drive: the prior is all there is.
    advised : int or None
        Steps between reads that the rule advises; None without drive.
    """

    every: int
    rms: float
    prior_fraction: float
    error: ObserverError | None = None
    advised: int | None = None


def predict_observer(problem: Problem, method: Method, steps: int) -> ObserverPrediction:
    """Error of a method's observer after ``steps`` steps at the optimum, and how often to read.

    The typical cell is the mean over cells of level and slope; the prior counts as information on the
    symmetric point (`sptrack.theory.observer`).

    Raises
    ------
    ParameterError
        A method without an observer; a device without symmetric points.
    """
    every = steps_between(method, problem.p_cells.shape[1])
    known = observer_of(method, problem.p_cells, problem.read_noise)
    line, errors = response_line(problem.p_cells), known.errors
    cell = ObservedCell(
        dw_min=known.dw_min,
        level=float(np.mean(line.f0 - line.f1 * line.g0 / line.g1)),
        slope=float(np.mean(line.g1)),
        read_noise=errors.read_noise,
        pulse=errors.pulse,
        relative=errors.relative,
        counts=errors.counts,
    )
    rest = gradient_at_rest(problem)
    mean, std = (method.alpha * float(np.asarray(one).mean()) for one in (rest.mean, rest.std))
    information = known.prior.point_information
    if (mean == 0 and std == 0) or steps < 2 * every:
        return ObserverPrediction(every=every, rms=information**-0.5, prior_fraction=1.0)
    drive, form = (
        NormalDrive(mean=mean, std=std),
        "block" if known.form in ("block", "direction") else "scalar",
    )
    error = observer_error(cell, drive, every=every, forgetting=method.eta, steps=float(steps), form=form)
    prior_fraction = error.rms**2 / (error.rms**2 + 1 / information)
    advice = recommend_observer(cell, drive, steps=max(steps, LEAST_STRETCHES))
    return ObserverPrediction(
        every=every,
        rms=error.rms * float(np.sqrt(1 - prior_fraction)),
        prior_fraction=prior_fraction,
        error=error,
        advised=advice.every,
    )


def predict_reference(problem: Problem, method: Method, *, steps: int = 20000) -> ReferencePrediction:
    """Error that the reference settles to at the optimum of a problem.

    P is linearised around the symmetric point of each cell and driven by the noise of the gradient; the
    filter passes what `sptrack.theory.Loop.predict` says, for the reads that it gets. W rests at its optimum:
    what P and W give back to the gradient is not in it. An observer's error is that of `predict_observer`.

    Parameters
    ----------
    problem : Problem
        Objective, cells, noise.
    method : Method
        Settings of the recursion.
    steps : int
        Length of the run, for observers.

    Returns
    -------
    ReferencePrediction
    """
    if method.direct:
        return ReferencePrediction(mse=None, reason="no reference: gradient pulses go straight onto W")
    if not method.moving:
        return ReferencePrediction(mse=None, reason=f"the reference is fixed ({method.reference})")
    if not np.isfinite(problem.p_cells.symmetric_point).any():
        return ReferencePrediction(mse=None, reason="no cell has a symmetric point inside its bounds")
    try:
        if method.observer is not None:
            return ReferencePrediction(mse=predict_observer(problem, method, steps).rms ** 2)
        return _predict_filter(problem, method)
    except (ConvergenceError, ParameterError) as error:
        return ReferencePrediction(mse=None, reason=str(error))


def _predict_filter(problem: Problem, method: Method) -> ReferencePrediction:
    """`predict_reference` of a filter of the reads."""
    low_pass = linear_reference(method)
    if method.chopper is None:
        return ReferencePrediction(
            mse=None,
            reason="no chopper: an ideal W would keep W - (beta/eta) Q, Q need not reach the symmetric point",
        )
    every = steps_between(method, problem.p_cells.shape[1])
    loop = linearise(problem.p_cells, alpha=method.alpha, gradient=gradient_at_rest(problem))
    found = loop.predict(
        known_filter(low_pass),
        None if problem.recording is None else chopper_of_reads(method, every),
        read_noise=problem.read_noise,
        every=every,
    )
    errors = found.rms_q[np.isfinite(loop.point)] ** 2
    mse = float(errors.mean())
    if not np.isfinite(mse):
        return ReferencePrediction(mse=None, reason="the loop is unstable", warnings=found.warnings)
    own = () if problem.recording is None else problem.recording.warnings
    return ReferencePrediction(mse=mse, warnings=(*found.warnings, *own))
