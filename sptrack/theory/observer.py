"""Error law of input-aware observers: what they can know of a symmetric point, and settings that follow.

A stretch of m steps asks a cell for increments D; N = sum D, A = sum |D| (pulses), and the weight moves by
y = N F - A G' (x - w*) + v + e' - e: v, of variance V, is what pulses add (their number, given D, and their
cycle noise), e and e', of variance R, are the errors of the reads (dw_min squared).

**Consistency on linear cells.** With F and G linear the mean of y given N, A and the old weight x0 is exactly
N F - A G at the mean point of the expected path, x = x0 + s(D). The observer takes x = old read + s + t (y -
expected), so that x has the error u = e + t (v + e' - e), and E[u (v + e' - e)] = t (V + 2 R) - R vanishes
for t = R/(V + 2 R). The residual of the regression is then v + e' - e - (N F' - A G') u, and its product with
the regressors (N, N x, -A, -A x) has the mean (0, -N, 0, A) (N F' - A G') E u^2, E u^2 = R (1 - t): this is
what the observer takes off the information, after which the estimating equations have mean zero at the truth.
With any other t, or without the correction, they do not: with the midpoint, t = 1/2, the slope of stationary
data shrinks to `slope_kept` of its value. That moves the symmetric point by (1/kept - 1) times the distance
of the mean read from it: nothing while the mean gradient is zero, without bound when it is not. What is left
is of third order: s uses the estimates themselves, and v is taken as if it came at the mean of the path,
which errs by E|D| m G' of the (small) share that noise has in a displacement.

**Error.** With levers l = w A, w = 1/(2 R + V), and k = A G' the estimate errs by the sum of l (1 + k t) v
and of what is left of each read, which enters two residuals with opposite signs: the change of the levers and
l k. The variance of a stretch is E l^2 (V (1 + k t)^2 + R k^2) + 2 R Var l, over (G' E l A)^2, not that of
independent differences; the first and the last read count in full. In the limit R = 0, k = 0: (q0/G')^2
kappa/pulses, kappa being the count law's variance per pulse plus sigma^2. Known pulses leave sigma^2.

**Known slope.** With F and G' known no mean point is needed: over a stretch with d = A G' dw_min the weight
reaches e x0 + (1 - e)(w* + N F/(A G')), e = exp(-d), in the mean. The pulses leave V q, q = (1 - e^2)/(2 d),
and the order of the increments, of which N and A do not tell, F^2 Var N (q - ((1 - e)/d)^2). The
change y with N F (1 - e)/d taken off has the lever A G' (1 - e)/d on w* - old read, and the error v' + e' - e
times that of the old read: exact on linear cells however long the stretch, where after many pulses (d >> 1)
each read is a sample of w* + N F/(A G') by itself.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import erf

from sptrack.devices.counts import mean_count_variance
from sptrack.errors import ParameterError
from sptrack.theory.drive import mean_size
from sptrack.theory.moving import tracking_rate
from sptrack.values import check_choice, check_number, check_whole

MAX_DECAY = 0.2
"""Largest share of its distance from the symmetric point that a cell should go back between two reads."""
READ_PART = 0.25
"""Part of the pulses' variance that reading noise should add."""
LEAST_STRETCHES = 50
"""Fewest stretches in the memory of an observer: ten for each parameter and the point."""


@lru_cache(maxsize=4096)
def _size(mean: float, std: float) -> float:
    return float(mean_size(mean, std))


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalDrive:
    """Increments D asked for in each step: normal, independent, ``mean`` and ``std`` in weight units.

    Raises
    ------
    ParameterError
        A number that is not finite, a negative std, no drive at all.
    """

    mean: float = 0.0
    std: float

    def __post_init__(self) -> None:
        check_number("mean", self.mean)
        check_number("std", self.std, least=0)
        if self.mean == 0 and self.std == 0:
            raise ParameterError("std must be > 0 where mean is 0, got 0")

    @property
    def size(self) -> float:
        """E|D|, weight units."""
        return _size(self.mean, self.std)

    @property
    def signed_square(self) -> float:
        """E[D |D|], weight units squared."""
        if self.std == 0:
            return self.mean * abs(self.mean)
        z = self.mean / self.std
        density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        square = self.mean**2 + self.std**2
        return float(square * erf(z / math.sqrt(2)) + 2 * self.mean * self.std * density)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedCell:
    """A cell as an observer meets it.

    Parameters
    ----------
    dw_min : float
        Granularity, weight units.
    level, slope : float
        q0 = F and G' at the symmetric point, dimensionless and per weight unit.
    read_noise : float
        Std of a read, weight units.
    pulse, relative : float
        Variance of a pulse over dw_min squared: pulse + relative q0^2 (relative: cycle noise sigma^2).
    counts : str
        Count law, or "known" where the pulses sent are told (`sptrack.devices.counts`).

    Raises
    ------
    ParameterError
        A value outside its range.
    """

    dw_min: float
    level: float = 1.0
    slope: float = 1.0
    read_noise: float = 0.0
    pulse: float = 0.0
    relative: float = 0.0
    counts: str = "rounded"

    def __post_init__(self) -> None:
        for name in ("dw_min", "level", "slope", "read_noise", "pulse", "relative"):
            low = {"above": 0} if name in ("dw_min", "level", "slope") else {"least": 0}
            check_number(name, getattr(self, name), **low)

    def step_variance(self, drive: NormalDrive) -> float:
        """Variance V of what the pulses of a step add, dw_min squared."""
        pulses = drive.size / self.dw_min
        counted = mean_count_variance(pulses, self.counts)
        return pulses * (self.pulse + self.relative * self.level**2) + self.level**2 * counted


class ObserverError(NamedTuple):
    """What an observer does not know, weight units where nothing else is said.

    ``rms``: of the symmetric point; ``centre``: the same with the slope known; ``slope_error``: relative std
    of G' (block form); ``pulses``: those remembered; ``read_part``: variance from reading over that from
    pulses; ``decay``: E|D| m G', the way back to the symmetric point in a stretch; ``offset``: mean of the
    weight from the symmetric point, ``spread`` its std.
    """

    rms: float
    centre: float
    slope_error: float
    pulses: float
    read_part: float
    decay: float
    offset: float
    spread: float


def observer_error(
    cell: ObservedCell,
    drive: NormalDrive,
    *,
    every: int,
    forgetting: float = 0.0,
    steps: float = math.inf,
    form: str = "block",
) -> ObserverError:
    """Error of the symmetric point after ``steps`` steps of a stationary drive, without a prior.

    Parameters
    ----------
    cell : ObservedCell
        Cell and noise.
    drive : NormalDrive
        Increments per step.
    every : int
        Steps m between reads.
    forgetting : float
        Share of the information forgotten per step.
    steps : float
        Steps so far; infinite wants forgetting.
    form : str
        "block" (level and slopes are fitted: lever and prior knowledge of F as the data give them) or
        "scalar" (both known).

    Raises
    ------
    ParameterError
        A value outside its range.
    """
    check_choice("form", form, ("block", "scalar"))
    check_whole("every", every, 1)
    check_number("forgetting", forgetting, least=0, below=1)
    if not steps >= every or (math.isinf(steps) and forgetting == 0):
        raise ParameterError(f"steps must be >= every = {every}, and finite without forgetting, got {steps}")
    total, squared, ends = _memory(every, forgetting, steps)
    asked = drive.size / cell.dw_min
    power = (drive.mean**2 + drive.std**2) / cell.dw_min**2
    pulses, reading = every * cell.step_variance(drive), (cell.read_noise / cell.dw_min) ** 2
    decay = drive.size * every * cell.slope
    lasting = 1.0
    if form == "scalar":
        lasting, spent = relaxed(decay), relaxed(2 * decay)
        order = every * (cell.level * drive.std / cell.dw_min) ** 2 * max(spent - lasting**2, 0.0)
        pulses = pulses * spent + order
    # pulse noise alone: weights as 1/A, which make all levers equal; reading noise alone: equal weights
    size_variance = every * (power - asked**2) * 2 * reading / (2 * reading + pulses)
    lever = (every * asked) ** 2 + size_variance
    if form == "block":
        lever = max(lever - _shared(cell, drive, every), 1e-9 * lever)
    fraction = reading / (pulses + 2 * reading) if reading > 0 and form == "block" else 0.0
    read = reading * (2 * size_variance + (decay * lasting) ** 2 * lever)
    summed = (pulses * (1 + decay * fraction) ** 2 * lever + read) * squared
    summed += reading * (every * asked) ** 2 * ends
    centre = summed / (cell.slope * lasting * lever * total) ** 2
    offset, spread = weight_statistics(cell, drive)
    slope_error = math.sqrt(centre) / spread if spread > 0 else math.inf
    further = (offset * slope_error) ** 2 if form == "block" else 0.0
    return ObserverError(
        rms=math.sqrt(centre + further),
        centre=math.sqrt(centre),
        slope_error=slope_error,
        pulses=asked * every * total**2 / squared,
        read_part=read / (pulses * lever) if pulses > 0 else math.inf,
        decay=decay,
        offset=offset,
        spread=spread,
    )


def relaxed(decay: float) -> float:
    """(1 - exp(-d))/d: displacement of a relaxation by exp(-d), per initial slope and duration."""
    return -math.expm1(-decay) / decay if decay > 0 else 1.0


def prior_fraction(rms: float, variance: float) -> float:
    """Part of the information on a point that is the prior's: rms without it, variance of the prior."""
    return rms**2 / (rms**2 + variance)


def _memory(every: int, forgetting: float, steps: float) -> tuple[float, float, float]:
    """Sum of the weights of the stretches, of their squares, and of the squares of their jumps."""
    keep, count = (1 - forgetting) ** every, steps / every
    if forgetting == 0:
        return count, count, 2.0
    left = keep**count if math.isfinite(count) else 0.0
    squared = (1 - left**2) / (1 - keep**2)
    return (1 - left) / (1 - keep), squared, (1 - keep) ** 2 * squared + 1 + left**2


def _shared(cell: ObservedCell, drive: NormalDrive, every: int) -> float:
    """Part (E N A)^2/E N^2 of E A^2 that cannot be told from the symmetric response, pulses squared."""
    pairs = every * (every - 1)
    square = drive.mean**2 + drive.std**2
    crossed = every * drive.signed_square + pairs * drive.mean * drive.size
    return crossed**2 / (every * square + pairs * drive.mean**2) / cell.dw_min**2


def weight_statistics(cell: ObservedCell, drive: NormalDrive) -> tuple[float, float]:
    """Mean of the weight from the symmetric point and its std in the long run, weight units.

    From x' = a x + q0 D + v, a = 1 - E|D| G': q0 E D/(E|D| G') and sqrt((q0^2 Var D + V)/(1 - a^2)).
    """
    away = cell.level * drive.mean / (drive.size * cell.slope)
    pole = 1 - drive.size * cell.slope
    added = (cell.level * drive.std) ** 2 + cell.step_variance(drive) * cell.dw_min**2
    return away, math.sqrt(added / (1 - pole * pole)) if abs(pole) < 1 else math.inf


def slope_kept(cell: ObservedCell, drive: NormalDrive) -> float:
    """Share of G' that a regression on the midpoint of two reads finds in stationary data of one step each.

    The part of the displacement that is asked for, q0^2 Var D/(q0^2 Var D + V), times s^2/(s^2 + R/2) with s
    the spread of the weight: pulse noise enters y and the midpoint alike, reading noise the midpoint alone.
    """
    asked = (cell.level * drive.std) ** 2
    _, spread = weight_statistics(cell, drive)
    seen = spread**2 / (spread**2 + cell.read_noise**2 / 2)
    return asked / (asked + cell.step_variance(drive) * cell.dw_min**2) * seen


class Tracking(NamedTuple):
    """Best forgetting per step for a moving symmetric point, and the rms error it leaves, weight units."""

    forgetting: float
    rms: float


def tracking_forgetting(per_step: float, *, walk: float = 0.0, ramp: float = 0.0) -> Tracking:
    """Trade of lag against noise for a symmetric point that moves.

    With forgetting h the noise is ``per_step`` h/2, ``per_step`` being the variance of an observer without
    forgetting times its steps; a random walk of std ``walk`` per step lags by the variance walk^2/(2 h), a
    ramp by ramp/h. The walk alone is best followed with h = walk/sqrt(per_step), variance walk
    sqrt(per_step); the ramp alone with h^3 = 4 ramp^2/per_step. Both: `tracking_rate`.

    Raises
    ------
    ParameterError
        A number out of range, or nothing that moves.
    """
    check_number("per_step", per_step, above=0)
    check_number("walk", walk, least=0)
    check_number("ramp", ramp, least=0)
    if walk + ramp == 0:
        raise ParameterError("walk or ramp must be > 0, got 0 for both")
    h = float(tracking_rate(per_step, ramp, walk))
    return Tracking(h, math.sqrt(per_step * h / 2 + walk**2 / (2 * h) + (ramp / h) ** 2))


class ObserverAdvice(NamedTuple):
    """Settings of an observer, and the error that they leave if the drive is as assumed.

    ``form`` "block" or "scalar", ``every`` steps between reads, ``forgetting`` per step, ``weight`` of a flat
    prior; ``warnings`` of a line each.
    """

    form: str
    every: int
    forgetting: float
    weight: float
    error: ObserverError
    warnings: tuple[str, ...]


def recommend_observer(
    cell: ObservedCell,
    drive: NormalDrive,
    *,
    steps: int,
    point_spread: float = 0.5,
    slope_spread: float = 0.3,
    walk: float = 0.0,
) -> ObserverAdvice:
    """Form, steps between reads, forgetting and prior weight from granularity, read noise and drive.

    - m: the fewest steps for which reading noise adds no more than a quarter of the pulses' variance, but no
      more than bring a cell back by a fifth of its distance from the symmetric point, and no more than leave
      fifty stretches in the memory.
    - Forgetting: one run's length of memory, or what a moving symmetric point asks for.
    - Prior: information 1/variance of its mean, the spread of the symmetric points times G' squared.
    - Form: "block" if it finds the slope better than a cell's slope is known beforehand, else "scalar".

    Parameters
    ----------
    cell : ObservedCell
        Typical cell.
    drive : NormalDrive
        Increments per step once training has settled.
    steps : int
        Length of the run.
    point_spread, slope_spread : float
        Std of the symmetric points over cells (weight units), of G' (relative).
    walk : float
        Std of the random walk of the symmetric point per step, weight units.

    Raises
    ------
    ParameterError
        A value outside its range.
    """
    check_number("steps", steps, least=LEAST_STRETCHES)
    check_number("point_spread", point_spread, above=0)
    check_number("slope_spread", slope_spread, above=0)
    most = max(1, min(int(MAX_DECAY / (drive.size * cell.slope)), steps // LEAST_STRETCHES))
    every = _fewest(cell, drive, most)
    forgetting = 1 / steps
    if walk > 0:
        still = observer_error(cell, drive, every=every, steps=float(steps), form="scalar")
        found = tracking_forgetting(still.centre**2 * steps, walk=walk).forgetting
        forgetting = min(max(forgetting, found), 1 / (LEAST_STRETCHES * every))
    block = observer_error(cell, drive, every=every, forgetting=forgetting, steps=float(steps))
    form = "block" if block.slope_error < slope_spread else "scalar"
    error = observer_error(cell, drive, every=every, forgetting=forgetting, steps=float(steps), form=form)
    return ObserverAdvice(
        form,
        every,
        forgetting,
        1 / (point_spread * cell.slope) ** 2,
        error,
        observer_warnings(error, point_spread),
    )


def _fewest(cell: ObservedCell, drive: NormalDrive, most: int) -> int:
    """Least m up to ``most`` for which reading adds at most `READ_PART` of the pulses' variance."""
    for every in np.unique(np.geomspace(1, most, 200).astype(int)).tolist():
        if observer_error(cell, drive, every=every, steps=float(every), form="scalar").read_part <= READ_PART:
            return int(every)
    return most


def observer_warnings(error: ObserverError, point_spread: float = 0.5) -> tuple[str, ...]:
    """What stands in the way of an observer: excitation, reading noise, stretches too long for the drive."""
    out = []
    if error.rms > point_spread:
        out.append(
            f"no excitation: {error.pulses:.3g} pulses remembered leave an error of {error.rms:.2g}, "
            f"more than the spread {point_spread:.2g} of the prior"
        )
    if error.read_part > 1:
        out.append(f"read noise too large: it adds {error.read_part:.2g} times the variance of the pulses")
    if error.decay > 2 * MAX_DECAY:
        out.append(f"reads too rare: a cell goes {error.decay:.2g} of the way to its SP between two reads")
    return tuple(out)
