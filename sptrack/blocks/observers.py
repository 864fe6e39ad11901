"""Input-aware observers as blocks: increments asked for and reads in, symmetric point with its std out.

The laws stand in `sptrack.kernels.observers`, their error laws in `sptrack.theory.observer`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.blocks.block import (
    Shape,
    State,
    as_samples,
    as_shape,
    as_state,
    frozen,
    refuse_unbounded,
    writable_memory,
)
from sptrack.blocks.responses import ResponsePrior
from sptrack.devices.counts import COUNTS, mean_count_variance
from sptrack.errors import ParameterError
from sptrack.kernels import adaptive, observer_rows, observers
from sptrack.kernels.counts import BINOMIAL, POISSON, ROUNDED
from sptrack.values import check_choice, check_number, check_whole, integer_array, real_array

Array = NDArray[Any]

FORMS = ("adaptive", "block", "direction", "scalar", "predictor")
_LAWS = {"rounded": ROUNDED, "binomial": BINOMIAL, "poisson": POISSON, "known": -1}
OPERATIONS = {
    "adaptive": (9, 190),
    "block": (6, 225),
    "direction": (6, 120),
    "scalar": (8, 80),
    "predictor": (5, 5),
}
_LEAST_READ = 1e-3
"""Least std of a read, in pulses, that fixed gains are made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriveErrors:
    """Noise model between requested weight changes and reads.

    Parameters
    ----------
    read_noise : float
        Std of a read, write noise included, weight units.
    pulse, relative : float
        Variance that a pulse adds, over dw_min squared: pulse + relative F^2.
    counts : str
        Count law: "rounded", "binomial", "poisson", or "known" where the pulses sent are told.
    train : int
        Slots of the binomial law.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    read_noise: float = 0.0
    pulse: float = 0.01
    relative: float = 0.0
    counts: str = "rounded"
    train: int = 31

    def __post_init__(self) -> None:
        for name in ("read_noise", "pulse", "relative"):
            value = getattr(self, name)
            check_number(name, value, least=0)
        check_whole("train", self.train, 1)
        check_choice("counts", self.counts, COUNTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PointLimits:
    """Limits of an observer's estimates.

    Parameters
    ----------
    low, high : float
        Least and greatest symmetric point, weight units.
    floor : float
        Least slope of G that is used, per weight unit, above 0; F is at least the same fraction of
        its prior.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    low: float = -0.95
    high: float = 0.95
    floor: float = 0.3

    def __post_init__(self) -> None:
        check_number("low", self.low, below=self.high)
        check_number("high", self.high)
        check_number("floor", self.floor, above=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedGains:
    """Design point and word lengths of an observer with fixed gains.

    Parameters
    ----------
    drive : float
        Mean |increment| per step, weight units, above 0.
    weight_bits, point_bits : int
        Bits of the expected weight and of the symmetric point over a range of -1.28 .. 1.28 weight units,
        sign included; 0: floating point.

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    drive: float
    weight_bits: int = 0
    point_bits: int = 0

    def __post_init__(self) -> None:
        check_number("drive", self.drive, above=0)
        check_whole("weight_bits", self.weight_bits, 0)
        check_whole("point_bits", self.point_bits, 0)


class Observed(NamedTuple):
    """Estimates of an observer after each read, arrays [reads, *shape].

    ``point``: symmetric point, ``std``: its standard deviation, weight units; ``prior_fraction``: the
    part of the information on it that is the prior's, 1 without excitation, near 0 after enough of it.
    """

    point: Array
    std: Array
    prior_fraction: Array


def _grid(bits: int) -> float:
    """Step of fixed-point numbers of a width; 0 for floating point."""
    return 2.56 / 2**bits if bits else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class InputAwareObserver:
    """Symmetric point of each cell from the increments that it was asked for and its reads.

    Parameters
    ----------
    dw_min : float
        Granularity, weight units.
    prior : ResponsePrior
        What is known of level and slopes of the response.
    errors : DriveErrors
        Reading and pulse noise.
    form : str
        "adaptive": level and slopes of F and G by a Kalman filter per cell, noise and priors by all cells
        that are read together (`sptrack.kernels.adaptive`); "block": the same by one regression per stretch
        between reads; "direction": up and
        down response by a regression each, for reads at every step; "scalar": the symmetric point alone, with
        the prior's F and slope of G; "predictor": the same with fixed gains, two accumulators a cell.
    every : int
        Steps between reads.
    forgetting : float
        Share of what is known that is forgotten per step, 0 <= forgetting < 1.
    limits : PointLimits
        Where estimates may lie.
    gains : FixedGains or None
        Of a predictor, which also wants some forgetting.

    Raises
    ------
    ParameterError
        A value outside its range, settings that do not go together.
    """

    dw_min: float
    prior: ResponsePrior
    errors: DriveErrors = DriveErrors()
    form: str = "block"
    every: int = 1
    forgetting: float = 0.0
    limits: PointLimits = PointLimits()
    gains: FixedGains | None = None

    def __post_init__(self) -> None:
        check_number("dw_min", self.dw_min, above=0)
        check_whole("every", self.every, 1)
        check_number("forgetting", self.forgetting, least=0, below=1)
        check_choice("form", self.form, FORMS)
        if self.form == "direction" and self.every > 1:
            raise ParameterError(f"every must be 1, got {self.every} for a direction observer")
        if self.form == "predictor" and (self.gains is None or self.forgetting == 0):
            raise ParameterError(
                "a predictor must have gains and forgetting > 0, got "
                f"gains {self.gains} and forgetting {self.forgetting}"
            )

    @property
    def keep(self) -> float:
        """Fraction of the information that is left after a stretch between reads."""
        return float((1 - self.forgetting) ** self.every)

    @property
    def slots(self) -> int:
        """Rows of memory per cell."""
        return observers.SLOTS[self.form]

    @property
    def operations(self) -> tuple[int, int]:
        """Digital operations per cell: of a step, and of a read.

        An adaptive observer takes a 5 x 5 Kalman filter and four changes of rank one, a block observer 16
        decays, 14 sums of products and a 4 x 4 Cholesky solution with its variance, a direction observer 12
        decays, 5 sums and two 2 x 2 solutions, a scalar observer two exponentials, the variance of a stretch
        and one information, a predictor two products and two sums; a step adds to N, A, the variance of the
        counts and, of a scalar observer, the sum of squares, or moves the expected weight.
        """
        return OPERATIONS[self.form]

    def record(self) -> Any:
        """The observer as the compiled loop of this process takes it (`sptrack.kernels.observers`)."""
        bounds, known, error = self.limits, self.prior, self.errors
        least = bounds.floor * abs(known.level) / known.slope
        noise = observers.Noise(
            float((error.read_noise / self.dw_min) ** 2),
            float(error.pulse),
            float(error.relative),
            _LAWS[error.counts],
            int(error.train),
        )
        weight, point, variance, grids = 0.0, 0.0, 0.0, (0.0, 0.0)
        if self.gains is not None and self.form == "predictor":
            weight, point, variance = self.steady_gains()
            bits = (self.gains.weight_bits, self.gains.point_bits)
            grids = (_grid(bits[0]), _grid(bits[1]))
        prior = np.zeros(observers.PRIOR_NUMBERS)
        told = self._prior_numbers()
        prior[: len(told)] = told
        return observers.Observer(
            *observers.addresses(self.form),
            self.keep,
            noise,
            float(self.dw_min),
            int(error.counts == "known"),
            prior,
            observers.Limits(float(bounds.low), float(bounds.high), float(bounds.floor), float(least)),
            float(known.level),
            float(known.slope),
            weight,
            point,
            *grids,
            variance,
        )

    def _prior_numbers(self) -> Array:
        if self.form == "block":
            return self.prior.rows()
        if self.form == "direction":
            return self.prior.direction_rows()
        if self.form == "adaptive":
            return np.concatenate(self.prior.lines())
        return self.prior.point_information * np.array([1.0, self.prior.point])

    def steady_gains(self) -> tuple[float, float, float]:
        """Gains of a predictor on weight and point per read, and the variance of its point in the long run.

        The Kalman filter of (weight, point) under the drive that it is made for, older reads weighing less by
        the forgetting (a discrete Riccati equation); the variance is that of these gains on cells as the
        prior's mean, with a drive as assumed (a Lyapunov equation), weight units squared.

        Raises
        ------
        ParameterError
            Not a predictor.
        """
        from scipy.linalg import solve_discrete_are, solve_discrete_lyapunov

        if self.gains is None or self.forgetting == 0:
            raise ParameterError(f"form must be 'predictor', with gains, got {self.form!r}")
        error, level, asked = self.errors, self.prior.level, self.gains.drive / self.dw_min
        counted = level**2 * mean_count_variance(asked, error.counts, error.train)
        each = asked * (error.pulse + error.relative * level**2) + counted
        left = math.exp(-self.gains.drive * self.every * self.prior.slope)
        move = np.array([[left, 1 - left], [0.0, 1.0]])
        added = np.diag([self.every * each * self.dw_min**2, 0.0])
        read = max(error.read_noise, _LEAST_READ * self.dw_min) ** 2
        seen = np.array([[1.0, 0.0]])
        aged = move / math.sqrt(self.keep)
        p = solve_discrete_are(aged.T, seen.T, added, np.array([[read]]))
        gain = p[:, :1] / (p[0, 0] + read)
        rest = np.eye(2) - gain @ seen
        error_of = solve_discrete_lyapunov(rest @ move, rest @ added @ rest.T + read * gain @ gain.T)
        return float(gain[0, 0]), float(gain[1, 0]), float(error_of[1, 1])

    def init(self, shape: Shape = ()) -> State:
        """State before the first step: what the prior says.

        Parameters
        ----------
        shape : int or tuple of int
            Shape of the cells; () for a single one.

        Raises
        ------
        ParameterError
            An empty shape.
        """
        memory = np.zeros((self.slots, *as_shape(shape)))
        memory[observer_rows.POINT] = np.clip(self.prior.point, self.limits.low, self.limits.high)
        memory[observer_rows.VARIANCE] = 1 / self.prior.point_information
        memory[observer_rows.SHARE] = 1
        if self.form == "predictor":
            memory[observer_rows.SHARE] = 0
        else:
            memory[observer_rows.LEVEL], memory[observer_rows.SLOPE] = self.prior.level, self.prior.slope
        if self.form == "adaptive":
            for k, (mean, variance) in enumerate(zip(*self.prior.lines(), strict=True)):
                memory[adaptive.LINES + k] = memory[adaptive.PRIOR + k] = mean
                memory[adaptive.PRIOR + 4 + k] = variance
                memory[adaptive.COVARIANCE + adaptive.entry(k + 1, k + 1)] = variance
        return State(0, frozen(memory))

    def step(
        self, state: State, drive: ArrayLike, read: ArrayLike | None = None, pulses: ArrayLike | None = None
    ) -> tuple[State, Observed | None]:
        """Next state after one step; what is observed if the step ends with a read, else None.

        Parameters
        ----------
        state : State
            Not modified.
        drive : array_like, shape [*shape]
            Increments asked for, weight units.
        read : array_like, shape [*shape], or None
            Read after the step, wanted where (steps so far) is a multiple of ``every``.
        pulses : array_like of int, shape [*shape], or None
            Signed pulses sent, wanted with counts "known".

        Raises
        ------
        ParameterError
            As `process`.
        """
        asked = real_array(drive, "drive")[None]
        reads = (
            np.empty((0, *asked.shape[1:]), asked.dtype)
            if read is None
            else real_array(read, "read", None)[None]
        )
        sent = None if pulses is None else integer_array(pulses, "pulses")[None]
        made, after = self.process(asked, reads, state, sent)
        return after, None if read is None else Observed(*(one[0] for one in made))

    def process(
        self,
        drive: ArrayLike,
        reads: ArrayLike,
        state: State | None = None,
        pulses: ArrayLike | None = None,
    ) -> tuple[Observed, State]:
        """Estimates after each read of a stretch of steps, and the state after them.

        Parameters
        ----------
        drive : array_like, shape [steps, *shape]
            Increments asked for, weight units. Whatever their precision, the observer computes in float64.
        reads : array_like, shape [reads, *shape]
            Reads after every ``every``-th step since the start, weight units.
        state : State, optional
            State before the first step, not modified; that of `init` when not given.
        pulses : array_like of int, shape [steps, *shape], or None
            Signed pulses sent, wanted with counts "known".

        Returns
        -------
        Observed, State
            However the steps are cut into stretches, the bytes are the same.

        Raises
        ------
        ParameterError
            Shapes that do not fit, NaN or infinity, pulses missing.
        """
        asked, seen = (frozen(np.asarray(as_samples(one), np.float64)) for one in (drive, reads))
        cells = asked.shape[1:]
        before = self.init(cells) if state is None else as_state(state)
        count = (before.sample + len(asked)) // self.every - before.sample // self.every
        if seen.shape != (count, *cells):
            raise ParameterError(
                f"reads must be {[count, *cells]}, got shape {list(seen.shape)}, "
                f"steps {before.sample} to {before.sample + len(asked)} with a read every {self.every}"
            )
        for one in (asked, seen):
            if not np.isfinite(one).all():
                refuse_unbounded(one)
        memory = writable_memory(before, self.slots, cells)
        flat = math.prod(cells)
        out = np.empty((3, count, flat))
        observers.run_observer(
            self.record(),
            memory,
            asked.reshape(len(asked), flat),
            self._sent(pulses, asked),
            (before.sample, self.every),
            seen.reshape(count, flat),
            out,
        )
        point, variance, prior_fraction = out.reshape(3, count, *cells)
        after = State(before.sample + len(asked), frozen(memory.reshape(-1, *cells)))
        return Observed(point, np.sqrt(variance), prior_fraction), after

    def _sent(self, pulses: ArrayLike | None, asked: Array) -> Array:
        """Pulses [steps, cells] as the kernel wants them."""
        if self.errors.counts != "known":
            return frozen(np.zeros((len(asked), math.prod(asked.shape[1:])), np.int32))
        sent = np.asarray(0 if pulses is None else pulses)
        if sent.shape != asked.shape or not np.issubdtype(sent.dtype, np.integer):
            raise ParameterError(
                f"pulses must be whole numbers of shape {list(asked.shape)} with counts 'known', got shape "
                f"{list(sent.shape)}, type {sent.dtype}"
            )
        return frozen(np.array(sent.reshape(len(asked), math.prod(asked.shape[1:])), np.int32, order="C"))
