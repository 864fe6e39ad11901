"""A method on a problem by linear theory: loop, chopper, filter or observer, error of the reference."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from sptrack.blocks import (
    EMA,
    Chain,
    Chopper,
    LinearBlock,
    PatternChopper,
    PeriodicChopper,
    PeriodMean,
    SignSource,
    SteadyKalman,
    TrackingLoop,
    first_order,
    group_delay,
)
from sptrack.blocks.responses import response_line
from sptrack.devices import Cells
from sptrack.errors import ConvergenceError, ParameterError
from sptrack.theory import (
    GradientStatistics,
    Loop,
    linearise,
    loop_pole,
    mean_size,
    passed_fraction_periodic,
    periodic_gain,
    telegraph_gain,
)
from sptrack.theory.chopping import Filter, FilterShare, demodulated_gain, sign_power
from sptrack.theory.observer import (
    LEAST_STRETCHES,
    NormalDrive,
    ObservedCell,
    ObserverError,
    observer_error,
    prior_fraction,
    recommend_observer,
)
from sptrack.tracking.methods import Method
from sptrack.tracking.problems import Problem, curvatures, mean_gradient
from sptrack.tracking.recorded import RecordedGradient
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


def gradient_statistics(
    recording: RecordedGradient | None, shape: tuple[int, ...], *, mean: float = 0.0, std: float = 0.0
) -> GradientStatistics:
    """Mean and std of the gradient of each cell: ``mean`` and ``std``, or what was recorded instead."""
    if recording is None:
        return GradientStatistics(mean=mean, std=std)
    own_mean, own_std = (one.reshape(shape) for one in recording.over(math.prod(shape)))
    return GradientStatistics(mean=own_mean, std=own_std)


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


class LoopMeans(NamedTuple):
    """The linearised loop of a typical cell, means over those with a symmetric point; NaN where none has one.

    Attributes
    ----------
    response : float
        q0 at the symmetric point, dimensionless.
    size_start, size_rest : float
        E|g| at W = 0, and at the optimum, where the gradient is noise.
    pole : float
        a = 1 - alpha E|g| G' at the optimum.
    pole_worst : float
        The same of the fastest cell under the larger of both gradients.
    pole_residual : float
        That less alpha q0 gamma h: feedback through the gradient, largest curvature h.
    variance : float
        Variance of the pulsed array around its symmetric point at the optimum, weight units squared.
    """

    response: float
    size_start: float
    size_rest: float
    pole: float
    pole_worst: float
    pole_residual: float
    variance: float


@dataclass(frozen=True, eq=False, kw_only=True)
class MethodPrediction:
    """Linear theory of a method on a problem, see `predict`; every part is computed when it is asked for.

    W rests at its optimum: what P and W give back to the gradient is in `LoopMeans.pole_residual` alone.

    Parameters
    ----------
    problem : Problem
        Objective, cells, noise.
    method : Method
        Settings of the recursion.
    steps : int
        Length of the run, for observers.
    """

    problem: Problem
    method: Method
    steps: int

    @cached_property
    def cells(self) -> Cells:
        """Cells that take the gradient pulses: P, or W in analog SGD."""
        return self.problem.w_cells if self.method.direct else self.problem.p_cells

    @cached_property
    def every(self) -> int:
        """Steps between reads of a cell."""
        return steps_between(self.method, self.problem.p_cells.shape[1])

    @cached_property
    def at_rest(self) -> GradientStatistics:
        """Gradient of each cell where W is at rest: noise alone, or what was recorded."""
        made = self.problem
        return gradient_statistics(made.recording, made.p_cells.shape, std=made.gradient_noise)

    @cached_property
    def loop(self) -> Loop:
        """The loop of each cell, linearised at its symmetric point, at rest."""
        return linearise(self.cells, alpha=self.method.alpha, gradient=self.at_rest)

    @cached_property
    def means(self) -> LoopMeans:
        """The loop of a typical cell."""
        method, problem = self.method, self.problem
        live = np.isfinite(self.cells.symmetric_point.ravel())
        if not live.any():
            return LoopMeans(*[math.nan] * len(LoopMeans._fields))
        rest_gradient = self.at_rest.mean, self.at_rest.std
        mean, noise = (np.broadcast_to(one, self.cells.shape).ravel() for one in rest_gradient)
        slope, response = self.loop.slope.ravel()[live], self.loop.response.ravel()[live]
        at_start = mean + mean_gradient(problem, np.zeros(len(problem.optimum)))
        start = mean_size(at_start, noise)[live]
        rest = float(mean_size(mean, noise)[live].mean())
        pole = float(loop_pole(method.alpha, rest, slope.mean()))
        worst = float(loop_pole(method.alpha, np.maximum(start, rest), slope).min())
        fed_back = 1.0 if method.direct else method.gamma
        feedback = method.alpha * float(response.max()) * fed_back * curvatures(problem)[1]
        step = float(self.loop.white.ravel()[live].mean())
        return LoopMeans(
            response=float(response.mean()),
            size_start=float(start.mean()),
            size_rest=rest,
            pole=pole,
            pole_worst=worst,
            pole_residual=worst - feedback,
            variance=step / (1 - pole**2) if abs(pole) < 1 else math.inf,
        )

    @cached_property
    def rate(self) -> float:
        """Rate per read of the moving average with the reference's mean delay, see `equivalent_rate`."""
        return equivalent_rate(self.method)

    @cached_property
    def low_pass(self) -> Filter:
        """The filter that the reference settles to (errors as in `linear_reference`)."""
        return known_filter(linear_reference(self.method))

    @property
    def flip_steps(self) -> float:
        """Mean steps between flips of a cell's chopper; infinite without one."""
        chopper = self.method.chopper
        if chopper is None or self.method.flips == 0:
            return math.inf
        return (self.every if chopper.clock == "read" else 1) * (1.0 / self.method.flips)

    @property
    def demodulated_gain(self) -> float:
        """Gain with which the mean gradient reaches W through P of a typical cell and the chopper."""
        pole, chopper = self.means.pole, self.method.chopper
        if isinstance(chopper, PatternChopper):
            if chopper.clock == "step":
                return float(demodulated_gain(pole, chopper))
            return float(periodic_gain(pole, self.flip_steps))
        return float(telegraph_gain(pole, 1 - 2 / self.flip_steps))

    @property
    def noise_rms(self) -> float:
        """Rms of Q around the symmetric point from the noise of P alone, typical cell, weight units."""
        passed = float(FilterShare(self.low_pass)(self.means.pole**self.every)) * self.means.variance
        return math.sqrt(passed)

    @property
    def passed_fraction(self) -> float | None:
        """Share of the chopper's power that passes the filter; None where reads do not follow it."""
        chopper, low_pass = self.method.chopper, self.low_pass
        if isinstance(chopper, PeriodicChopper) and chopper.duty == 0.5 and isinstance(low_pass, float):
            between = 1 if chopper.clock == "read" else self.every
            return passed_fraction_periodic(chopper.half_period / between, low_pass)
        try:
            signs = chopper_of_reads(self.method, self.every)
        except ParameterError:
            return None
        return None if signs is None else float(sign_power(signs, low_pass))

    @cached_property
    def observer(self) -> ObserverPrediction:
        """Error of the method's observer after the run at the optimum, and how often to read.

        The typical cell is the mean over cells of level and slope; the prior counts as information on the
        symmetric point (`sptrack.theory.observer`).

        Raises
        ------
        ParameterError
            A method without an observer; a device without symmetric points.
        """
        cells, every = self.problem.p_cells, self.every
        known = observer_of(self.method, cells, self.problem.read_noise)
        line, errors = response_line(cells), known.errors
        cell = ObservedCell(
            dw_min=known.dw_min,
            level=float(np.mean(line.f0 - line.f1 * line.g0 / line.g1)),
            slope=float(np.mean(line.g1)),
            read_noise=errors.read_noise,
            pulse=errors.pulse,
            relative=errors.relative,
            counts=errors.counts,
        )
        alpha, rest = self.method.alpha, self.at_rest
        mean, std = (alpha * float(np.asarray(one).mean()) for one in (rest.mean, rest.std))
        information = known.prior.point_information
        if (mean == 0 and std == 0) or self.steps < 2 * every:
            return ObserverPrediction(every=every, rms=information**-0.5, prior_fraction=1.0)
        drive = NormalDrive(mean=mean, std=std)
        form = "block" if known.form in ("block", "direction") else "scalar"
        error = observer_error(
            cell, drive, every=every, forgetting=self.method.eta, steps=float(self.steps), form=form
        )
        fraction = prior_fraction(error.rms, 1 / information)
        advice = recommend_observer(cell, drive, steps=max(self.steps, LEAST_STRETCHES))
        return ObserverPrediction(
            every=every,
            rms=error.rms * math.sqrt(1 - fraction),
            prior_fraction=fraction,
            error=error,
            advised=advice.every,
        )

    @cached_property
    def reference(self) -> ReferencePrediction:
        """Error that the reference settles to at the optimum.

        P is linearised around the symmetric point of each cell and driven by the noise of the gradient; the
        filter passes what `sptrack.theory.Loop.predict` says, for the reads that it gets. An observer's error
        is that of `observer`.
        """
        method = self.method
        if method.direct:
            return ReferencePrediction(mse=None, reason="no reference: gradient pulses go straight onto W")
        if not method.moving:
            return ReferencePrediction(mse=None, reason=f"the reference is fixed ({method.reference})")
        if not np.isfinite(self.problem.p_cells.symmetric_point).any():
            return ReferencePrediction(mse=None, reason="no cell has a symmetric point inside its bounds")
        try:
            if method.observer is not None:
                return ReferencePrediction(mse=self.observer.rms**2)
            return self._filtered()
        except (ConvergenceError, ParameterError) as error:
            return ReferencePrediction(mse=None, reason=str(error))

    def _filtered(self) -> ReferencePrediction:
        """`reference` of a filter of the reads."""
        low_pass, recording = self.low_pass, self.problem.recording
        if self.method.chopper is None:
            return ReferencePrediction(
                mse=None,
                reason="no chopper: an ideal W would keep W - (beta/eta) Q, Q need not reach the symmetric "
                "point",
            )
        found = self.loop.predict(
            low_pass,
            None if recording is None else chopper_of_reads(self.method, self.every),
            read_noise=self.problem.read_noise,
            every=self.every,
        )
        mse = float((found.rms_q[np.isfinite(self.loop.point)] ** 2).mean())
        if not np.isfinite(mse):
            return ReferencePrediction(mse=None, reason="the loop is unstable", warnings=found.warnings)
        own = () if recording is None else recording.warnings
        return ReferencePrediction(mse=mse, warnings=(*found.warnings, *own))


def predict(problem: Problem, method: Method, *, steps: int = 20000) -> MethodPrediction:
    """Linear theory of a method on a problem at the optimum, where the gradient is noise, without simulation.

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
    MethodPrediction
        Pole, drive, chopper, filter and the error of the reference (`MethodPrediction.reference`).
    """
    return MethodPrediction(problem=problem, method=method, steps=steps)
