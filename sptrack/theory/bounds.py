"""Bounds on zero-shifting, as Xiao et al. 2026 (arXiv 2602.21321) print them and in a corrected form.

Symbols: h = dw_min, x = w - w*, n cells, N pulses in total, sigma the relative cycle noise, G the asymmetry
and phi its potential; mu, L = max|G'|, q_max, mu_each, Lip(q) as in `sptrack.devices.constants.Constants`,
per cell. Cells do not interact, so every corrected bound is a sum over cells of a bound with that cell's
own constants, where the printed forms take the worst constant of the array and one scalar q_max, however
many cells there are. v denotes the variance of one pulse's noise over h^2, at most sigma^2 q_max^2 (noise
proportional to the step) or sigma^2 q(0)^2 (additive, on linear devices).

Derivations of the corrected forms, for one cell
------------------------------------------------
T2.2 (stochastic). A pulse has mean -h G and mean square at most h^2 (q_max^2 + v). phi has curvature at
    most L, so E phi' <= phi - h G^2 + (L/2) h^2 (q_max^2 + v); sum over n < N and divide by N h.
TC.2 (stochastic). x G >= mu x^2 gives E x'^2 <= (1 - 2 h mu) x^2 + h^2 (q_max^2 + v); the geometric sum of
    the second term is at most h (q_max^2 + v)/(2 mu), half of what is printed, and only G has to be
    monotone.
TC.3 (cyclic). An up pulse from w to u, then a down pulse: w' - w = -2 h (G(w) + e) with the error
    e = (q_minus(u) - q_minus(w))/2, whose mean square is at most h^2 Lip(q_minus)^2 (q_max^2 + v)/4. This
    is gradient descent on phi with step 2h <= 1/L: phi' <= phi - h G^2 + h e^2. Noise adds (L/2) h^2 2v,
    and at most L Lip(q_minus) h^3 v through its correlation with e. Sum over the pairs. The error of a pair
    is e^2 ~ h^2, not h.
TC.4 (cyclic). With h Lip <= 1 a pulse contracts distances by 1 - h mu_each, and the pair moves w* itself by
    h |q_minus(w* + h q0) - q_minus(w*)| <= h^2 Lip(q_minus) q0. The noise-free path from w* therefore stays
    within h Lip(q_minus) q0/(mu (2 - h mu)) of w*, and the mean square distance of the cell from that path
    is at most (1 - h mu)^(2N) x_0^2 + h v/(mu (2 - h mu)). Minkowski's inequality adds the two.

Clipping at the hard bounds is a projection: it moves a cell towards w* and shortens distances. In TC.3 a pair
whose up pulse is clipped ends lower by the clipped part, but still above w* when w* lies inside by a pulse,
so phi is lower too; draws of noise that exceed a pulse at the very bound are not covered there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sptrack.devices.constants import (
    Constants,
    Flags,
    Interval,
    additive_levels,
    noise_power,
    potential,
    response_constants,
    working_interval,
)
from sptrack.errors import ParameterError
from sptrack.theory.moments import Array
from sptrack.theory.zero_shifting import Mode, start_moments
from sptrack.values import real_array

if TYPE_CHECKING:
    from sptrack.devices.cells import Cells

Form = Literal["printed", "corrected"]
Samples = Literal["every pulse", "after down", "last"]
Quantity = Literal["asymmetry", "offset"]

_MAX_PULSES = 2**53


class Premise(NamedTuple):
    """A condition of a bound and the cells that meet it, shape [*shape]."""

    text: str
    holds: Flags


class PulsesNeeded(NamedTuple):
    """Pulses after which a bound guarantees a target.

    Attributes
    ----------
    pulses : int or None
        Number of pulses N; None when the bound guarantees the target for no N.
    floor : float
        Smallest value that the bound can guarantee; NaN when it applies to no cell.
    reason : str
        Why there is no number; empty when there is one.
    """

    pulses: int | None
    floor: float
    reason: str


class BoundKind(NamedTuple):
    """Quantity that a bound limits.

    Attributes
    ----------
    mode : {"stochastic", "cyclic"}
        Pulse directions; cyclic starts with an up pulse.
    quantity : {"asymmetry", "offset"}
        Sum over the cells that the bound applies to of G(w)^2 (dimensionless) or of (w - w*)^2 (weight
        units squared), in expectation over coins and cycle noise.
    samples : {"every pulse", "after down", "last"}
        Mean over w_0 .. w_{N-1}; mean over w_0, w_2, .. w_{N-2}; or w_N alone.
    statement : str
        The same as a formula.
    """

    mode: Mode
    quantity: Quantity
    samples: Samples
    statement: str


_EVERY_STOCHASTIC = BoundKind(
    "stochastic", "asymmetry", "every pulse", "(1/N) sum over n = 0..N-1 of E ||G(w_n)||^2"
)
_LAST_STOCHASTIC = BoundKind("stochastic", "offset", "last", "E ||w_N - w*||^2")
_EVERY_CYCLIC = BoundKind("cyclic", "asymmetry", "every pulse", "(1/N) sum over n = 0..N-1 of E ||G(w_n)||^2")
_AFTER_DOWN = BoundKind(
    "cyclic", "asymmetry", "after down", "(2/N) sum over even n = 0, 2, .. N-2 of E ||G(w_n)||^2"
)
_LAST_CYCLIC = BoundKind("cyclic", "offset", "last", "E ||w_N - w*||^2, N even")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bound:
    """One bound on one array of cells from one start.

    Parameters
    ----------
    name : str
        "T2.2", "TC.2", "TC.3" or "TC.4".
    form : {"printed", "corrected"}
        The constants as published, or corrected.
    kind : BoundKind
        What is bounded.
    premises : tuple of Premise
        Conditions, cell by cell.
    law : callable
        Value after N pulses over the cells that meet every premise; decreasing in N, defined for N = inf.
    """

    name: str
    form: Form
    kind: BoundKind
    premises: tuple[Premise, ...]
    law: Callable[[float], float]

    @property
    def applies(self) -> Flags:
        """Cells that meet every premise, shape [*shape]: the only ones that the value speaks of."""
        return _all_hold(self.premises)

    @property
    def void(self) -> bool:
        """Whether the bound applies to no cell."""
        return not self.applies.any()

    @property
    def reason(self) -> str:
        """Text of the premises that some cells miss, with their number; empty when all cells meet all."""
        missed = [(p.text, int(np.size(p.holds) - np.sum(p.holds))) for p in self.premises]
        return "; ".join(f"{text} fails in {count} cells" for text, count in missed if count)

    def value(self, pulses: float) -> float:
        """Value of the bound after a number of pulses.

        Parameters
        ----------
        pulses : int or inf
            Number of pulses N, 1 or more, even in cyclic mode.

        Returns
        -------
        float
            In the units of `kind.quantity`; NaN when the bound is void.

        Raises
        ------
        ParameterError
            If `pulses` is below 1, or odd in cyclic mode.
        """
        if not pulses >= 1:
            raise ParameterError(f"pulses must be 1 or more, got {pulses}")
        if self.kind.mode == "cyclic" and math.isfinite(pulses) and pulses % 2:
            raise ParameterError(f"pulses must be even in cyclic mode, got {pulses}")
        return math.nan if self.void else self.law(pulses)

    @property
    def floor(self) -> float:
        """Value that the bound falls to for ever more pulses; NaN when void."""
        return self.value(math.inf)

    def pulses_to(self, target: float) -> PulsesNeeded:
        """Smallest number of pulses whose bound is at most a target.

        Parameters
        ----------
        target : float
            In the units of `kind.quantity`, above 0: for an RMS error r over n cells use n r^2.

        Returns
        -------
        PulsesNeeded
            An even number in cyclic mode.

        Raises
        ------
        ParameterError
            If the target is not above 0.
        """
        _check_target(target)
        if self.void:
            return PulsesNeeded(None, math.nan, f"no bound applies: {self.reason}")
        unit = 2 if self.kind.mode == "cyclic" else 1
        high = 1
        while self.law(high * unit) > target:
            high *= 2
            if self.floor > target or high > _MAX_PULSES:
                return PulsesNeeded(None, self.floor, f"floor {self.floor:.3g} not below target {target:.3g}")
        low = high // 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.law(middle * unit) > target else (low, middle)
        return PulsesNeeded(high * unit, self.floor, "")


def _all_hold(premises: tuple[Premise, ...]) -> Flags:
    holds: Flags = np.logical_and.reduce([premise.holds for premise in premises])
    return holds


def _check_target(target: float) -> None:
    if not target > 0:
        raise ParameterError(f"target must be > 0, got {target}")


class _Terms(NamedTuple):
    """Numbers of the cells that a bound speaks of, flat arrays; `noise` is v of the module's derivations."""

    dw: float
    offset: Array
    potential: Array
    noise: Array
    constants: Constants

    def of(self, cells: Flags) -> _Terms:
        """Select some of the cells."""
        fields = (getattr(self.constants, name)[cells] for name in Constants.__slots__)
        constants = Constants(**dict(zip(Constants.__slots__, fields, strict=True)))
        return _Terms(self.dw, self.offset[cells], self.potential[cells], self.noise[cells], constants)


def _decay(rate: Array | float, pulses: float) -> Any:
    """(1 - rate)^pulses, also for a rate of 1 and endless pulses."""
    with np.errstate(divide="ignore"):
        return np.exp(pulses * np.log1p(-np.asarray(rate)))


def _last_pulse_radius(dw: float, c: Constants) -> Array:
    """Limit of the distance from w* of the noise-free path after its down pulses, weight units."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(dw * c.lipschitz_minus * c.q0 / (c.mu_each * (2 - dw * c.mu_each)))


def _printed(name: str, t: _Terms) -> Callable[[float], float]:
    """Return the published value as a function of the number of pulses."""
    c, h = t.constants, t.dw
    q2, slope, mu = float(np.max(c.q_max)) ** 2, float(np.max(c.slope_max)), float(np.min(c.mu_each))
    start, distance = float(np.sum(t.potential)), float(np.sum(t.offset**2))
    if name == "T2.2":
        return lambda pulses: start / (pulses * h) + slope / 2 * h * q2
    if name == "TC.3":
        return lambda pulses: start / (pulses * h) + 1.5 * h * q2 * slope
    floor = h * q2 / mu if name == "TC.2" else h * q2 * (4 + slope**2 / mu + 2 * mu) / mu
    return lambda pulses: float(_decay(2 * h * mu, pulses)) * distance + floor


def _corrected(name: str, t: _Terms) -> Callable[[float], float]:
    """Return the corrected value as a function of the number of pulses."""
    c, h = t.constants, t.dw
    power, start = c.q_max**2 + t.noise, float(np.sum(t.potential))
    if name == "T2.2":
        floor = float(np.sum(c.slope_max / 2 * h * power))
        return lambda pulses: start / (pulses * h) + floor
    if name == "TC.2":
        floor = float(np.sum(h * power / (2 * c.mu)))
        return lambda pulses: float(np.sum(_decay(2 * h * c.mu, pulses) * t.offset**2)) + floor
    if name == "TC.3":
        steep = h * c.lipschitz_minus
        floor = float(np.sum(steep**2 * power / 4 + h * t.noise * c.slope_max * (1 + steep)))
        return lambda pulses: 2 * start / (pulses * h) + floor
    last_pulse, noise = _last_pulse_radius(h, c), h * t.noise / (c.mu_each * (2 - h * c.mu_each))

    def value(pulses: float) -> float:
        path = _decay(h * c.mu_each, 2 * pulses) * t.offset**2 + noise
        return float(np.sum((last_pulse + np.sqrt(path)) ** 2))

    return value


def _stays(cells: Cells, ends: tuple[Array, Array], start: Array, c: Constants, mode: Mode) -> Flags:
    """Cells whose weight never leaves the interval.

    The hard bounds are never left. A smaller interval is left by chance or by noise; a noise-free cyclic
    path stays within |w_0 - w*|, plus the radius of its limit, plus one pulse, of w*.
    """
    low, high = ends
    hard = (low <= np.asarray(cells.lower)) & (high >= np.asarray(cells.upper))
    if mode == "stochastic" or cells.cycle_noise.std > 0:
        return hard
    point, dw = np.asarray(cells.symmetric_point, dtype=np.float64), cells.dw_min
    contracts = (c.mu_each > 0) & (dw * np.maximum(c.lipschitz_plus, c.lipschitz_minus) <= 1)
    radius = np.abs(start - point) + dw * c.q_max + _last_pulse_radius(dw, c)
    stays: Flags = hard | (contracts & (point - radius >= low) & (point + radius <= high))
    return stays


def _common_premises(
    cells: Cells, ends: tuple[Array, Array], start: Array, c: Constants, mode: Mode
) -> tuple[Premise, ...]:
    low, high = ends
    point = np.asarray(cells.symmetric_point, dtype=np.float64)
    margin = cells.dw_min * c.q_max
    interior = (low + margin <= point) & (point <= high - margin)
    interior &= (cells.G(low) < 0) & (cells.G(high) > 0)
    return (
        Premise("symmetric point inside the interval by one pulse", interior),
        Premise("start inside the interval", (low <= start) & (start <= high)),
        Premise("interval never left", _stays(cells, ends, start, c, mode)),
        Premise("size of the cycle noise known", np.isfinite(_noise_power(cells, c, ends))),
    )


def _own_premises(name: str, form: Form, dw: float, c: Constants) -> tuple[Premise, ...]:
    finite = Premise("finite slope of G", np.isfinite(c.slope_max))
    rising = Premise("slope of each response above 0", c.mu_each > 0)
    if name == "T2.2" or (name, form) == ("TC.3", "printed"):
        return (finite,)
    if name == "TC.3":
        step = Premise("dw_min max|G'| <= 1/2", dw * c.slope_max <= 0.5)
        return (step, Premise("finite slope of q_minus", np.isfinite(c.lipschitz_minus)))
    if form == "printed":
        step = Premise("dw_min mu <= 1/2", dw * c.mu_each <= 0.5)
        return (rising, step, finite) if name == "TC.4" else (rising, step)
    if name == "TC.2":
        return (Premise("slope of G above 0", c.mu > 0), Premise("dw_min mu <= 1/2", dw * c.mu <= 0.5))
    steepest = np.maximum(c.lipschitz_plus, c.lipschitz_minus)
    return (rising, Premise("dw_min max|q'| <= 1", dw * steepest <= 1))


_KINDS: dict[tuple[str, Form], BoundKind] = {
    ("T2.2", "printed"): _EVERY_STOCHASTIC,
    ("T2.2", "corrected"): _EVERY_STOCHASTIC,
    ("TC.2", "printed"): _LAST_STOCHASTIC,
    ("TC.2", "corrected"): _LAST_STOCHASTIC,
    ("TC.3", "printed"): _EVERY_CYCLIC,
    ("TC.3", "corrected"): _AFTER_DOWN,
    ("TC.4", "printed"): _LAST_CYCLIC,
    ("TC.4", "corrected"): _LAST_CYCLIC,
}
BOUND_NAMES = ("T2.2", "TC.2", "TC.3", "TC.4")


def _noise_power(cells: Cells, c: Constants, ends: tuple[Array, Array]) -> Array:
    """Largest variance of one pulse's noise over dw_min^2 in the interval, shape [*shape]."""
    farthest = np.maximum(np.abs(ends[0]), np.abs(ends[1]))
    return noise_power(cells, c.q_max, np.maximum(*additive_levels(cells)), farthest)


def zero_shifting_bounds(
    cells: Cells,
    start: ArrayLike = 0.0,
    *,
    form: Form = "corrected",
    interval: Interval | None = None,
    constants: Constants | None = None,
) -> dict[str, Bound]:
    """Bound zero-shifting by the four theorems of Xiao et al. 2026 (arXiv 2602.21321) on an array of cells.

    Parameters
    ----------
    cells : cells of a device
        Any cells.
    start : array_like, broadcastable to [*shape]
        Internal weights w_0, weight units.
    form : {"corrected", "printed"}
        Printed: Theorems 2.2, C.2, C.3 and C.4 word for word, with the scalar q_max of the whole array and
        no account of cycle noise; these can fail. Corrected: what the module's derivations prove.
    interval : (lower, upper), optional
        Interval over which the constants are taken, weight units; the hard bounds when not given. Smaller
        ones serve noise-free cyclic zero-shifting only, which cannot leave them.
    constants : Constants, optional
        Result of `response_constants(cells, interval)` where it is at hand.

    Returns
    -------
    dict of str to Bound
        By name: "T2.2", "TC.2" (stochastic), "TC.3", "TC.4" (cyclic).

    Raises
    ------
    ParameterError
        If the form is unknown, the interval is not within the hard bounds, or a start is not finite.
    """
    if form not in ("printed", "corrected"):
        raise ParameterError(f"form must be 'printed' or 'corrected', got {form!r}")
    weights = np.broadcast_to(real_array(start, "start"), cells.shape)
    offset = start_moments(cells, weights).mean
    c = response_constants(cells, interval) if constants is None else constants
    ends = working_interval(cells, interval)
    terms = _Terms(cells.dw_min, offset, potential(cells, weights), _noise_power(cells, c, ends), c)
    value_law = _printed if form == "printed" else _corrected
    bounds = {}
    for name in BOUND_NAMES:
        kind = _KINDS[name, form]
        premises = _common_premises(cells, ends, weights, c, kind.mode)
        premises += _own_premises(name, form, cells.dw_min, c)
        chosen = _all_hold(premises)
        law = value_law(name, terms.of(chosen)) if chosen.any() else _no_value
        bounds[name] = Bound(name=name, form=form, kind=kind, premises=premises, law=law)
    return bounds


def _no_value(pulses: float) -> float:
    return math.nan


def corollary_pulses(
    cells: Cells,
    target: float,
    start: ArrayLike = 0.0,
    *,
    form: Form = "corrected",
    interval: Interval | None = None,
) -> PulsesNeeded:
    """Pulses of stochastic zero-shifting that suffice by the corollary of Theorem C.2.

    N >= log(2 ||x_0||^2/target)/(2 mu h) makes the transient at most half of the target; the other half
    must hold the error floor, so the target cannot be below 2 h q_max^2/mu as printed, or h sum (q_max^2 +
    v)/mu as corrected, where mu is the smallest over the cells. `Bound.pulses_to` of "TC.2" is the sharper
    inversion of the same bound.

    Parameters
    ----------
    cells : cells of a device
        Any cells.
    target : float
        Sum over cells of E (w_N - w*)^2, weight units squared: n r^2 for an RMS error r over n cells.
    start : array_like, broadcastable to [*shape]
        Internal weights w_0, weight units.
    form : {"corrected", "printed"}
        Which constants.
    interval : (lower, upper), optional
        As in `zero_shifting_bounds`.

    Returns
    -------
    PulsesNeeded

    Raises
    ------
    ParameterError
        If the target is not above 0, or as `zero_shifting_bounds`.
    """
    _check_target(target)
    c = response_constants(cells, interval)
    bound = zero_shifting_bounds(cells, start, form=form, interval=interval, constants=c)["TC.2"]
    if bound.void:
        return PulsesNeeded(None, math.nan, f"no bound applies: {bound.reason}")
    counted = bound.applies
    if form == "printed":
        mu, power = float(np.min(c.mu_each[counted])), 2 * float(np.max(c.q_max[counted])) ** 2
    else:
        step_power = c.q_max**2 + _noise_power(cells, c, working_interval(cells, interval))
        mu, power = float(np.min(c.mu[counted])), float(np.sum(step_power[counted]))
    floor = cells.dw_min * power / mu
    if floor > target:
        return PulsesNeeded(None, floor, f"floor {floor:.3g} above target {target:.3g}")
    offset = np.broadcast_to(start_moments(cells, start).mean, cells.shape)
    transient = float(np.sum(offset[counted] ** 2))
    pulses = math.log(max(2 * transient / target, 1.0)) / (2 * mu * cells.dw_min)
    return PulsesNeeded(max(1, math.ceil(pulses)), floor, "")
