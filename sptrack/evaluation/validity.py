"""The linearised loop compared with simulated pulses: where its variances and biases can be trusted.

A `LoopRuns` is one description for both sides: `LoopRuns.loop` linearises it (`sptrack.theory`), the other
methods run it on a crossbar, many independent runs of each cell at a time, with choppers of their own. The
gradient does not depend on the weights: the loop is that of P around its symmetric point.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks.choppers import Chopper, PatternChopper
from sptrack.crossbar.array import Crossbar
from sptrack.devices.cells import Cells
from sptrack.devices.device import CycleNoise
from sptrack.devices.sampling import sample_cells
from sptrack.errors import ParameterError
from sptrack.evaluation.suite import suite
from sptrack.evaluation.verify import repeated
from sptrack.results import dataset, provenance
from sptrack.theory import GradientStatistics, Loop, linearise
from sptrack.theory.chopping import sign_law
from sptrack.theory.drive import CountLaw
from sptrack.values import as_seed, check_choice, check_number

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]

TOLERANCE = 0.1
"""Fraction of a predicted variance by which a simulated one may differ."""
SIZES = (0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4)
"""Predicted rms of P over half the range, at which the map compares."""
FAMILIES = ("linear-skewed", "exp-step", "soft-exponential", "power-2", "piecewise")
"""Devices of `sptrack.evaluation.suite.suite` on the map."""
DRIVES = ("noise", "chopper")
"""Drive of P: gradient noise, sized by the rate, or rare flips, sized by their probability."""

_BURN_IN, _TIMES, _FEWEST_STEPS = 5, 20, 500
_STREAM, _SIGNS_AT_ONCE = 17, 1 << 25
_GRANULARITY, _CYCLE_NOISE, _RATE, _SLOWER = 0.004, 0.3, 0.02, 0.2
_GRADIENTS = {"noise": (0.3, 1.0), "chopper": (1.0, 0.3)}


class SettledLoop(NamedTuple):
    """Simulated mean and variance of P - w* and Q - w*, once settled, with standard errors over the runs.

    Attributes
    ----------
    bias, bias_error, var_p, var_p_error, demodulated, demodulated_error : ndarray, shape [R, C]
        Mean of P - w*, its variance over time and runs, and mean of c_k (P_(k+1) - w*).
    var_q, var_q_error : ndarray, shape [rates, R, C]
        Variance of Q for each filter rate.
    """

    bias: Array
    bias_error: Array
    var_p: Array
    var_p_error: Array
    demodulated: Array
    demodulated_error: Array
    var_q: Array
    var_q_error: Array


class StepError(NamedTuple):
    """Simulated error of Q after a number of steps [rates, R, C]: root mean square and standard error."""

    rms: Array
    rms_error: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class LoopRuns:
    """Cells under a chopped normal gradient that does not depend on their weights.

    Parameters
    ----------
    cells : Cells
        Cells of P, each with a symmetric point.
    alpha : float
        Rate of the gradient pulses.
    gradient : GradientStatistics
        Mean and std of the gradient.
    chopper : Chopper or PatternChopper or None
        Its signs; every run has signs, or a phase, of its own.
    law, slots
        Count law and slots of the binomial one, see `Crossbar.apply`.
    read_noise : float
        Std of the noise of each read of P, weight units.
    seed : int
        Root seed.

    Attributes
    ----------
    loop : Loop
        The same, linearised.

    Raises
    ------
    ParameterError
        A value out of range, or a cell without a symmetric point.
    """

    cells: Cells
    alpha: float
    gradient: GradientStatistics
    chopper: Chopper | PatternChopper | None = None
    law: CountLaw = "rounded"
    slots: int = 31
    read_noise: float = 0.0
    seed: int = 0
    loop: Loop = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not np.isfinite(self.cells.symmetric_point).all():
            raise ParameterError("a cell without a symmetric point: every cell must have one to settle at")
        check_number("read_noise", self.read_noise, least=0)
        sign_law(self.chopper)
        loop = linearise(self.cells, alpha=self.alpha, gradient=self.gradient, law=self.law, slots=self.slots)
        object.__setattr__(self, "loop", loop)

    def settled(
        self,
        rates: Sequence[float],
        *,
        runs: int = 512,
        times: int = _TIMES,
        mirrored: bool = False,
        threads: int | None = 1,
    ) -> SettledLoop:
        """Run until P and Q have forgotten their start at w*, then measure.

        Parameters
        ----------
        rates : sequence of float
            Rates eta of exponential moving averages, all fed with the same reads.
        runs : int
            Independent runs of each cell, at least 2.
        times : int
            Length of the measurement in time constants of the slowest of pole, filters and telegraph, after
            5 of them to settle; at least 500 steps.
        mirrored : bool
            Second half of the runs with the gradients of the first and the opposite signs: what is odd in the
            drive cancels from the bias. Standard errors are then over the pairs; ``runs`` must be even.
        threads : int or None
            Threads of the kernels.

        Raises
        ------
        ParameterError
            Fewer than 2 runs, fewer than 4 or an odd number of mirrored ones, or an unstable pole.
        """
        if runs < 2 or (mirrored and (runs < 4 or runs % 2)):
            raise ParameterError(f"runs must be at least 2 (mirrored: an even number >= 4), got {runs}")
        slowest = self._slowest(rates)
        skipped, count = _BURN_IN * slowest, max(times * slowest, _FEWEST_STEPS)
        shape = (2, 1 + len(rates), runs, self.cells.size)
        sums, signal = np.zeros(shape), np.zeros(shape[2:])
        for k, signs, states in self._states(rates, skipped + count, (runs, mirrored), None, threads):
            if k >= skipped:
                sums[0] += states
                sums[1] += states**2
                signal += signs * states[0]
        if mirrored:
            sums, signal = (
                v.reshape(*v.shape[:-2], 2, -1, v.shape[-1]).mean(axis=-3) for v in (sums, signal)
            )
        first, second = sums / count
        bias, bias_error = _mean(first[0])
        mean = first.mean(axis=1)
        var = second.mean(axis=1) - mean**2
        influence = second - 2 * mean[:, None] * first
        var_error = influence.std(axis=1, ddof=1) / math.sqrt(influence.shape[1])
        var, var_error = (v.reshape(-1, *self.cells.shape) for v in (var, var_error))
        single = (bias, bias_error, *_mean(signal / count))
        bias, bias_error, demodulated, demodulated_error = (v.reshape(self.cells.shape) for v in single)
        return SettledLoop(
            bias=bias,
            bias_error=bias_error,
            var_p=var[0],
            var_p_error=var_error[0],
            demodulated=demodulated,
            demodulated_error=demodulated_error,
            var_q=var[1:],
            var_q_error=var_error[1:],
        )

    def after(
        self,
        rates: Sequence[float],
        steps: int,
        *,
        start: float = 0.0,
        runs: int = 512,
        threads: int | None = 1,
    ) -> StepError:
        """Error of Q after a number of steps from P_0 = Q_0 = ``start``.

        Parameters
        ----------
        rates : sequence of float
            Rates eta of exponential moving averages, all fed with the same reads.
        steps : int
            Number of steps, at least 1.
        start : float
            Internal weight, weight units.
        runs : int
            Independent runs of each cell, at least 2.
        threads : int or None
            Threads of the kernels.

        Raises
        ------
        ParameterError
            Fewer than 2 runs, or no step.
        """
        if runs < 2 or steps < 1:
            raise ParameterError(f"runs and steps must be at least 2 and 1, got {runs} and {steps}")
        for _, _, states in self._states(rates, steps, (runs, False), start, threads):
            last = states
        square = last[1:] ** 2
        rms = np.sqrt(square.mean(axis=1))
        error = square.std(axis=1, ddof=1) / math.sqrt(runs) / (2 * rms)
        return StepError(*(v.reshape(-1, *self.cells.shape) for v in (rms, error)))

    def _slowest(self, rates: Sequence[float]) -> int:
        """Longest time constant, steps."""
        times = [float(self.loop.time.max()), *(1 / rate for rate in rates)]
        if isinstance(self.chopper, Chopper) and 0 < self.chopper.p < 1:
            times.append(-1 / math.log(max(abs(1 - 2 * self.chopper.p), 1e-9)))
        if isinstance(self.chopper, PatternChopper):
            times.append(self.chopper.period)
        if not np.isfinite(times).all():
            raise ParameterError(
                f"pole of a loop that settles must be |a| < 1, got {self.loop.pole.min():.3g}"
            )
        return math.ceil(max(times))

    def _signs(self, steps: int, runs: int) -> Iterator[Array]:
        """Signs [runs, cells] of each step."""
        shape = (runs, self.cells.size)
        if self.chopper is None:
            yield from (np.ones(shape) for _ in range(steps))
        elif isinstance(self.chopper, PatternChopper):
            pattern = self.chopper.pattern()
            phase = (np.arange(math.prod(shape)) * pattern.size // math.prod(shape)).reshape(shape)
            yield from (pattern[(k + phase) % pattern.size] for k in range(steps))
        else:
            own = replace(self.chopper, scope="cell", seed=self.seed)
            every = max(1, _SIGNS_AT_ONCE // math.prod(shape))
            for first in range(0, steps, every):
                yield from own.signs(first, min(every, steps - first), shape)

    def _states(
        self,
        rates: Sequence[float],
        steps: int,
        runs: tuple[int, bool],
        start: float | None,
        threads: int | None,
    ) -> Iterator[tuple[int, Array, Array]]:
        """Number, signs [runs, cells], and offsets of P and each Q [1 + rates, runs, cells] of each step.

        ``runs`` = (their number, whether the second half mirrors the first).
        """
        many = repeated(self.cells, runs[0])
        point = np.asarray(self.cells.symmetric_point, np.float64).reshape(1, -1)
        mean, std = (
            np.broadcast_to(v, self.cells.shape).reshape(1, -1)
            for v in (self.gradient.mean, self.gradient.std)
        )
        begin = np.broadcast_to(point if start is None else start, many.shape)
        bar = Crossbar(many, seed=self.seed, weights=begin, name="P", threads=threads)
        eta = np.asarray(rates, np.float64).reshape(-1, 1, 1)
        rng = np.random.default_rng([as_seed(self.seed), _STREAM])
        q = np.repeat((begin - point)[None], len(rates), axis=0)
        own = runs[0] // 2 if runs[1] else runs[0]
        for k, signs in enumerate(self._signs(steps, own)):
            gradient = mean + std * rng.standard_normal((own, many.shape[1]))
            if runs[1]:
                signs, gradient = np.concatenate([signs, -signs]), np.concatenate([gradient, gradient])
            bar.apply(-self.alpha * signs * gradient, law=self.law, slots=self.slots)
            x = bar.hidden - point
            read = x + self.read_noise * rng.standard_normal(many.shape) if self.read_noise else x
            q = q + eta * (read - q)
            yield k, signs, np.concatenate([x[None], q])


def _mean(values: Array) -> tuple[Array, Array]:
    """Mean over the runs on axis 0 and its standard error."""
    return values.mean(axis=0), values.std(axis=0, ddof=1) / math.sqrt(len(values))


class OutOfReach(ParameterError):
    """A size of fluctuation that a drive cannot give."""


def case(name: str, drive: str, size: float, *, seed: int = 0) -> LoopRuns:
    """Open loop of a device of `verify.suite` whose P is predicted to fluctuate by ``size``.

    Parameters
    ----------
    name : str
        Name of the device; it runs at dw_min 0.004 with cycle noise 0.3.
    drive : {"noise", "chopper"}
        Gradient 0.3 +- 1, chopped with p = 0.1, rate alpha to fit; or gradient 1 +- 0.3, alpha = 0.02, flip
        probability to fit.
    size : float
        rms of P around w* over half the range.
    seed : int
        Root seed.

    Raises
    ------
    ParameterError
        Unknown drive.
    OutOfReach
        A size that the drive cannot give.
    """
    from scipy.optimize import brentq

    check_choice("drive", drive, DRIVES)
    device = replace(suite()[name].device, dw_min=_GRANULARITY, cycle_noise=CycleNoise(std=_CYCLE_NOISE))
    cells = sample_cells(device, (1, 1), dtype=np.float64)
    mean, std = _GRADIENTS[drive]
    gradient = GradientStatistics(mean=mean, std=std)

    def made(value: float) -> LoopRuns:
        alpha, p = (value, 0.1) if drive == "noise" else (_RATE, value)
        return LoopRuns(cells=cells, alpha=alpha, gradient=gradient, chopper=Chopper(p=p), seed=seed)

    def excess(log: float) -> float:
        loop = made(math.exp(log))
        found = loop.loop.predict(1.0, loop.chopper).var_p / loop.loop.half_range**2
        return math.log(min(float(found.item()), 1e6) / size**2)

    low, high = (1e-5, 5.0) if drive == "noise" else (1e-5, 0.999)
    ends = excess(math.log(low)), excess(math.log(high))
    if ends[0] * ends[1] > 0:
        raise OutOfReach(f"size = {size}: out of reach of the drive {drive!r} on {name!r}")
    return made(math.exp(brentq(excess, math.log(low), math.log(high), xtol=1e-10)))


def validity_map(
    families: Sequence[str] = FAMILIES,
    sizes: Sequence[float] = SIZES,
    *,
    runs: int = 512,
    seed: int = 0,
    threads: int | None = 1,
) -> xr.Dataset:
    """Compare simulated and predicted variances and biases over the size of P's fluctuation.

    Parameters
    ----------
    families : sequence of str
        Names of devices of `sptrack.evaluation.suite.suite`.
    sizes : sequence of float
        Predicted rms of P over half the range, rising.
    runs : int
        Runs of each case, in mirrored pairs: an even number from 4 on.
    seed : int
        Root seed.
    threads : int or None
        Threads of the kernels.

    Returns
    -------
    xarray.Dataset
        Over ``family``, ``drive`` and ``size``: simulated over predicted variance of P and of Q (``ratio_p``,
        ``ratio_q``), predicted and simulated bias, each measurement with its standard error; NaN where a
        drive cannot give a size. Over ``family``: ``limit``, the size at which a ratio leaves 1 +- 10 % for
        good (see `_limit`; NaN: none of the sizes), and ``rule``, the entry of
        `sptrack.theory.VALIDITY_LIMITS`.
    """
    names = ("ratio_p", "ratio_p_error", "ratio_q", "ratio_q_error", "bias_predicted", "bias", "bias_error")
    found = np.full((len(names), len(families), len(DRIVES), len(sizes)), np.nan)
    rules = []
    for i, family in enumerate(families):
        for j, drive in enumerate(DRIVES):
            for k, size in enumerate(sizes):
                try:
                    run = case(family, drive, size, seed=seed)
                except OutOfReach:
                    continue
                found[:, i, j, k] = _compared(run, runs, threads)
        rules.append(run.loop.limit)
    axes = ("family", "drive", "size")
    units = ["1"] * 4 + ["weight units"] * 3
    limits = [_limit(np.asarray(sizes), found[:, i]) for i in range(len(families))]
    one = {"units": "1"}
    return dataset(
        {
            **{name: (axes, found[n], {"units": units[n]}) for n, name in enumerate(names)},
            "limit": ("family", limits, one),
            "rule": ("family", rules, one),
        },
        {
            "family": ("family", list(families), {}),
            "drive": ("drive", list(DRIVES), {}),
            "size": ("size", list(sizes), one),
        },
        provenance(seed=seed, parameters={"runs": runs, "tolerance": TOLERANCE}),
    )


def _compared(run: LoopRuns, runs: int, threads: int | None) -> tuple[float, ...]:
    """Ratios of P and of Q, each with its error, then predicted and simulated bias and the error of that."""
    eta = _SLOWER * (1 - run.loop.pole.item())
    predicted = run.loop.predict(eta, run.chopper)
    measured = run.settled([eta], runs=runs, mirrored=True, threads=threads)
    p, q = predicted.var_p.item(), predicted.var_q.item()
    return (
        measured.var_p.item() / p,
        measured.var_p_error.item() / p,
        measured.var_q.item() / q,
        measured.var_q_error.item() / q,
        predicted.bias.item(),
        measured.bias.item(),
        measured.bias_error.item(),
    )


def _limit(sizes: Array, found: Array) -> float:
    """Size at which the worst ratio of both drives and of P and Q crosses 10 %, by interpolation in its log.

    The crossing below the first size at which the difference is more than 10 % by two standard errors; NaN if
    there is none.
    """
    off, error = np.abs(found[[0, 2]] - 1), found[[1, 3]]
    worst = np.nan_to_num(off).max(axis=(0, 1))
    sure = np.flatnonzero((off - 2 * error > TOLERANCE).any(axis=(0, 1)))
    if not sure.size:
        return math.nan
    inside = np.flatnonzero(worst[: sure[0]] <= TOLERANCE)
    if not inside.size:
        return float(sizes[0])
    last = int(inside[-1]) + 1
    fraction = (TOLERANCE - worst[last - 1]) / (worst[last] - worst[last - 1])
    return float(np.exp(np.interp(fraction, [0, 1], np.log(sizes[last - 1 : last + 1]))))
