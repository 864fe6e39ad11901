"""Settings a design can have, and what the linear model predicts for each.

A setting is a rate alpha, a chopper and an estimator; gamma and beta follow by rule, and the pulses, reads
and programming events with them. Settings are evaluated together: one linearised loop per alpha, one
prediction per chopper, all rates of an estimator at once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks import (
    EMA,
    Block,
    GrowingBoxcar,
    ObserverSettings,
    PeriodicChopper,
    SignSource,
    group_delay,
)
from sptrack.blocks import enbw as noise_bandwidth
from sptrack.design.families import FAMILIES, left_and_settling, representative_cells
from sptrack.design.specification import QUANTITIES, SETTLED, Specification
from sptrack.design.training import training
from sptrack.devices import Cells
from sptrack.errors import ParameterError
from sptrack.evaluation.prediction import Linear, known_filter
from sptrack.theory.budget import error_after, transient
from sptrack.theory.chopping import demodulated_gain
from sptrack.theory.closed_loop import Loop, Prediction, linearise
from sptrack.theory.drive import GradientStatistics, mean_size
from sptrack.theory.windows import (
    boxcar_error_after,
    boxcar_transient,
    corrected_error,
    corrected_transient,
)
from sptrack.tracking import Method
from sptrack.tracking.methods import o_rider, periodic, telegraph
from sptrack.tracking.rated import flips_of, name_of, rate_of, rated_reference

Array = NDArray[Any]

ESTIMATORS = ("ema", "corrected-ema", "boxcar", *FAMILIES)
LARGEST_GAMMA, STABILITY = 0.7, 0.5
"""gamma is at most this, and so small that the feedback through the gradient stays below this fraction."""
WEIGHT_TIMES = 100.0
"""Time constants of W within the run that beta aims at, if the reference is not slower."""
FEWEST_FLIPS = 40
"""Flips of the chopper in a run below which its power is no spectrum, but a matter of phase."""
_SHORTEST_LOOP = 4.0


class Setting(NamedTuple):
    """A point of the search: rate of the gradient pulses, chopper, reference, steps of a read.

    ``family`` is the entry of `sptrack.design.families.FAMILIES` that made the reference, if one did.
    """

    alpha: float
    chopper: SignSource | None
    reference: Block | ObserverSettings
    every: int = 1
    family: str = ""

    @property
    def estimator(self) -> str:
        """Name of the family, else of the reference, see `sptrack.tracking.rated.name_of`."""
        return self.family or name_of(self.reference)

    @property
    def eta(self) -> float:
        """Rate of the moving average of one pole that has the mean delay of the reference."""
        return reference_rate(self.reference)

    @property
    def rate(self) -> str:
        """The rate of the reference, or the mean delay of a filter that no rate of its own describes."""
        if self.family or self.estimator == "filter":
            return f"mean delay {1 / self.eta - 1:.4g} steps" if self.eta else "no delay"
        return f"eta {self.eta:.4g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A setting with its predictions.

    Parameters
    ----------
    setting : Setting
        Where it lies in the search.
    gamma, beta : float
        By rule.
    values : dict
        Predicted value of every quantity of a specification.
    warnings : tuple of str
        What the linear model says about its own validity.
    """

    setting: Setting
    gamma: float
    beta: float
    values: dict[str, float]
    warnings: tuple[str, ...]

    @property
    def valid(self) -> bool:
        """Whether the linear model covers it."""
        return not self.warnings

    @property
    def method(self) -> Method:
        """The setting as a method of the tracking recursion."""
        s = self.setting
        if self.observes:
            made = o_rider(alpha=s.alpha, beta=self.beta, gamma=self.gamma, every=s.every)
            return replace(made, reference=s.reference)
        return Method(
            name="e-rider",
            alpha=s.alpha,
            beta=self.beta,
            gamma=self.gamma,
            reference=s.reference,
            chopper=s.chopper,
        )

    @property
    def observes(self) -> bool:
        """Whether the reference is an input-aware observer, which is no filter of the reads."""
        return isinstance(self.setting.reference, ObserverSettings)

    @property
    def filter(self) -> Linear | None:
        """The reference once settled, as a filter; None for an observer."""
        return settled_filter(self.setting) if isinstance(self.setting.reference, Block) else None

    @property
    def chopper(self) -> SignSource | None:
        """The chopper; None without one."""
        return self.setting.chopper

    @property
    def enbw(self) -> float | None:
        """Equivalent noise bandwidth of the filter, cycles per step; None for an observer."""
        return None if self.filter is None else noise_bandwidth(self.filter)


def settled_filter(setting: Setting) -> Linear:
    """Filter that the reference of a setting is once it has settled."""
    if not isinstance(setting.reference, Block):
        raise ParameterError(f"{setting.reference} is no filter of the reads")
    settled: Linear = setting.reference.settled
    return settled


def gamma_by_rule(spec: Specification, alpha: float, response: float) -> float:
    """Residual weight: `LARGEST_GAMMA`, less where alpha q0 gamma h would exceed `STABILITY`."""
    return float(min(LARGEST_GAMMA, STABILITY / (alpha * response * spec.curvature[1])))


def beta_by_rule(spec: Specification, gamma: float, eta: float) -> float:
    """Rate of the transfer: P follows (W - W*)/gamma, so beta/gamma is the rate at which W converges.

    It makes `WEIGHT_TIMES` time constants in the run, but beta is at most eta/2: where W moves faster than Q,
    it ends the gradient that P leans on before the chopper flips, and W - (beta/eta) Q hardly changes.
    """
    return min(gamma * WEIGHT_TIMES / spec.steps, eta / 2)


def loop_of(spec: Specification, cells: Cells, alpha: float, *, optimum: bool = False) -> Loop:
    """The linearised loop of a specification at a rate alpha; at the ``optimum`` the gradient has no mean."""
    mean, std = spec.gradient.over(cells.size)
    if optimum:
        mean, std = 0 * mean, np.where(std > 0, std, np.abs(mean))
    statistics = GradientStatistics(mean=mean.reshape(cells.shape), std=std.reshape(cells.shape))
    return linearise(cells, alpha=alpha, gradient=statistics)


def alphas(spec: Specification, cells: Cells, count: int) -> Array:
    """Rates whose drift to the symmetric point takes from 4 steps to a third of the run, at nominal slope."""
    mean, std = spec.gradient.over(cells.size)
    size = float(mean_size(mean, std).mean())
    slope = float(np.nanmean(loop_of(spec, cells, 1.0).slope))
    return np.geomspace(3.0 / spec.steps, 1 / _SHORTEST_LOOP, count) / (size * slope)


def choppers(spec: Specification, count: int) -> list[SignSource | None]:
    """No chopper, telegraphs and periodic ones from `FEWEST_FLIPS` in the run to a flip per step.

    Where the specification gives a chopper, that alone.
    """
    if spec.chopper is not None:
        return [spec.chopper]
    rates = np.geomspace(min(FEWEST_FLIPS / spec.steps, 0.25), 0.5, count)
    halves = sorted({max(1, round(1 / rate)) for rate in (*rates, 1.0)})
    return [None, *(telegraph(float(p)) for p in rates), *(periodic(t) for t in halves)]


def etas(spec: Specification, count: int) -> Array:
    """Rates of a moving average from two time constants in the run to 1/2."""
    return np.geomspace(2.0 / spec.steps, 0.5, count)


def predict_filters(
    spec: Specification,
    cells: Cells,
    points: Sequence[tuple[float, SignSource | None]],
    rates: Array,
    estimators: Sequence[str] = ESTIMATORS,
) -> Iterator[Candidate]:
    """Candidates of some estimators at every (alpha, chopper) of ``points`` and every rate of ``rates``."""
    loops: dict[float, tuple[Loop, Loop]] = {}
    for alpha, chopper in points:
        if alpha not in loops:
            loops[alpha] = loop_of(spec, cells, alpha), loop_of(spec, cells, alpha, optimum=True)
        yield from _at_point(spec, loops[alpha], chopper, rates, estimators)


def _at_point(
    spec: Specification,
    loops: tuple[Loop, Loop],
    chopper: SignSource | None,
    rates: Array,
    estimators: Sequence[str],
) -> Iterator[Candidate]:
    loop = loops[0]
    about = loop.predict(1.0, chopper)
    if spec.filter is not None:
        yield from _from_transients(spec, loops, about, (chopper, ""), [spec.filter], _run_through)
        return
    start = -loop.point
    options: dict[str, Any] = {"start": start, "chopper": chopper, "read_noise": spec.read_noise}
    if "ema" in estimators or "corrected-ema" in estimators:
        column = _column(rates, loop)
        plain = error_after(loop, column, spec.steps, **options)
        for name in ("ema", "corrected-ema"):
            corrected = name != "ema"
            error = corrected_error(*plain, start, (1 - column) ** spec.steps) if corrected else plain
            if name in estimators:
                made = [rated_reference(name, float(eta)) for eta in rates]
                yield from _predicted(spec, loops, about, (chopper, name), made, (column, *error))
    if "boxcar" in estimators and isinstance(chopper, PeriodicChopper):
        lengths = _whole_periods(rates, chopper.half_period, spec.steps)
        column = _column(lengths, loop)
        error = boxcar_error_after(loop, column, spec.steps, **options)
        boxes = [GrowingBoxcar(length=int(length)) for length in lengths]
        yield from _predicted(spec, loops, about, (chopper, "boxcar"), boxes, (column, *error))
    for name in FAMILIES:
        if name in estimators:
            filters = [FAMILIES[name](float(1 / eta - 1)) for eta in rates if eta < 1]
            yield from _from_transients(spec, loops, about, (chopper, name), filters, left_and_settling)


def _run_through(low_pass: Block, nodes: Array, weights: Array, most: int) -> tuple[Array, float]:
    """As `left_and_settling`, of any filter, by running it: the last read outside 5 % counts."""
    left = transient_left(low_pass, 1 - np.exp(nodes), most)
    outside = np.flatnonzero(np.abs(left @ weights) > SETTLED)
    steps = float(outside[-1] + 2) if outside.size else 1.0
    return left[-1], steps if steps <= most else np.inf


def _from_transients(
    spec: Specification,
    loops: tuple[Loop, Loop],
    about: Prediction,
    where: tuple[SignSource | None, str],
    filters: Sequence[Block],
    follow: Callable[[Block, Array, Array, int], tuple[Array, float]],
) -> Iterator[Candidate]:
    """Candidates of filters whose transients ``follow`` finds; settled variances."""
    if not filters:
        return
    loop, chopper = loops[0], where[0]
    pole, weight = _weights(loop)
    live, stable = np.isfinite(loop.pole.ravel()), bool((np.abs(pole) < 1).all())
    nodes, weights = representative_cells(pole, weight) if stable else (pole, weight)
    settled, means, variances = [], [], []
    for low_pass in filters:
        left, steps = np.where(live, 1.0, np.nan), np.inf
        if stable:
            at_nodes, steps = follow(low_pass, nodes, weights, spec.steps)
            left[live] = np.interp(np.log(1 - pole), nodes, at_nodes)
        known = known_filter(low_pass.settled)
        settled.append(steps)
        means.append(_from_start(loop, about.bias, left))
        variances.append(loop.filtered_variance(known, chopper, read_noise=spec.read_noise))
    error = (np.array(settled), np.array(means), np.array(variances))
    yield from _predicted(spec, loops, about, where, filters, error)


def _from_start(loop: Loop, bias: Array, left: Array) -> Array:
    """Mean of Q - w* where a fraction ``left`` [cells] of the way from Q = 0 to its mean is left."""
    return np.asarray(bias - (loop.point + bias) * left.reshape(loop.pole.shape))


def transient_left(given: Block, pole: Array, steps: int) -> Array:
    """Share [steps, cells] of a start offset left in Q after each read, P relaxing with ``pole`` [cells].

    Reads of cells whose symmetric point is 1 rise as 1 - a^k from 0; what the filter lacks to 1 is left.
    """
    a = np.where(np.isfinite(pole) & (np.abs(pole) < 1), pole, 0.0)
    reads = 1 - a ** np.arange(1, steps + 1)[:, None]
    return np.asarray(1 - given.process(reads)[0])


def reference_rate(reference: Block | ObserverSettings) -> float:
    """Rate of the moving average of one pole with the mean delay of a reference."""
    rate = rate_of(reference)
    cascade = isinstance(reference, EMA) and reference.order > 1
    if isinstance(reference, Block) and (rate == 0 or cascade):
        rate = 1 / (1 + float(group_delay(reference.settled)))
    return rate


def _column(values: Array, loop: Loop) -> Array:
    """``values`` [n] as [n, *ones], to broadcast with the cells."""
    return values.reshape(-1, *[1] * loop.pole.ndim)


def _whole_periods(rates: Array, half_period: int, steps: int) -> Array:
    """Lengths of boxcars over whole periods of a chopper with the delays of the rates, up to half a run."""
    period = 2 * half_period
    lengths = np.unique(np.maximum(np.rint((2 / rates - 1) / period), 1) * period)
    return lengths[lengths <= steps // 2]


def _predicted(
    spec: Specification,
    loops: tuple[Loop, Loop],
    about: Prediction,
    where: tuple[SignSource | None, str],
    references: Sequence[Block | ObserverSettings],
    error: tuple[Array, Array, Array],
) -> Iterator[Candidate]:
    """Candidates from the error (parameter, mean, variance; each [references, cells]) of an estimator."""
    chopper, estimator = where
    column, mean, variance = error
    loop, rest = loops
    rms = np.sqrt(_mean((mean**2 + variance).reshape(len(references), -1)))
    settled = settling_steps(loop, estimator, column, spec.steps) if estimator in _LEFT else column
    bias = np.sqrt(_mean((mean**2).reshape(len(references), -1)))
    response = float(np.nanmean(loop.response))
    gamma = gamma_by_rule(spec, loop.alpha, response)
    reach = float(_mean(mean_size(about.demodulated, np.sqrt(about.var_p)).reshape(1, -1))[0])
    programs = _programs(chopper, spec.steps)
    trained = training(spec, rest, chopper, gamma)
    signal = float(np.nanmean((1 - loop.pole) * demodulated_gain(loop.pole, chopper)))
    for k, reference in enumerate(references):
        beta = beta_by_rule(spec, gamma, reference_rate(reference))
        sent = float(np.nanmean(loop.pulses)) + beta * reach / spec.device.dw_min
        values = {
            "bias": float(bias[k]),
            "rms": float(rms[k]),
            "settling": float(settled[k]),
            "converging": trained.converging(beta),
            "weights": trained.weights(beta),
            "pulses": spec.steps * sent,
            "reads": float(spec.steps),
            "programs": programs,
            "signal": signal,
        }
        yield Candidate(
            setting=Setting(
                loop.alpha, chopper, reference, family=estimator if estimator in FAMILIES else ""
            ),
            gamma=gamma,
            beta=beta,
            values={name: values[name] for name in QUANTITIES},
            warnings=about.warnings,
        )


def _mean(values: Array) -> Array:
    """Mean over the cells (last axis) that have a symmetric point; infinite if one of them is unstable."""
    live = ~np.isnan(values)
    return np.asarray(np.where(live, values, 0.0).sum(axis=-1) / np.maximum(live.sum(axis=-1), 1))


def _programs(chopper: SignSource | None, steps: int) -> float:
    if chopper is None:
        return 0.0
    if isinstance(chopper, PeriodicChopper):
        return float(steps // chopper.half_period)
    return flips_of(chopper) * steps


_LEFT: dict[str, Callable[..., Array]] = {
    "ema": transient,
    "corrected-ema": corrected_transient,
    "boxcar": boxcar_transient,
}


def left_curve(loop: Loop, setting: Setting, steps: Array) -> Array:
    """Predicted fraction of the start offset left in Q after ``steps`` [samples], projected over cells."""
    reference = setting.reference
    if setting.estimator not in _LEFT and isinstance(reference, Block):
        pole, weight = _weights(loop)
        whole = transient_left(reference, pole, int(np.max(steps)))
        return np.asarray(whole[np.maximum(np.asarray(steps, np.int64) - 1, 0)] @ weight)
    parameter = reference.length if isinstance(reference, GrowingBoxcar) else setting.eta
    pole, weight = _weights(loop)
    return np.asarray(_LEFT[setting.estimator](pole, parameter, np.asarray(steps)[:, None]) @ weight)


def _weights(loop: Loop) -> tuple[Array, Array]:
    """Poles of the cells that have a symmetric point, and their fraction of the squared start offset."""
    live = np.isfinite(loop.pole.ravel())
    weight = loop.point.ravel()[live] ** 2
    return loop.pole.ravel()[live], weight / max(float(weight.sum()), 1e-300)


def settling_steps(loop: Loop, estimator: str, parameter: Array, most: int) -> Array:
    """Steps [parameters] until the start offset, projected on itself over the cells, has settled.

    The fraction left is sum e^2 left(K)/sum e^2 over cells with offsets e at the start; infinite beyond
    ``most``. ``parameter`` [parameters, *ones] is eta, or the length of a boxcar.
    """
    pole, weight = _weights(loop)
    if (np.abs(pole) >= 1).any():
        return np.full(len(parameter), np.inf)
    values = parameter.reshape(-1, 1)
    left = _LEFT[estimator]

    def fraction(k: Array) -> Array:
        return np.asarray(left(pole, values, k[:, None]) @ weight)

    low, high = np.zeros(len(values)), np.full(len(values), float(most))
    never = fraction(high) > SETTLED
    while (high - low > 1).any():
        middle = np.floor((low + high) / 2)
        above = fraction(np.maximum(middle, 1)) > SETTLED
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return np.where(never, np.inf, high)
