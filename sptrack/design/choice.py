"""From a specification to a design: the cheapest setting that meets it with margin, or the nearest one."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from sptrack.blocks import Block, Chopper, PeriodicChopper, SignSource
from sptrack.cost import CostModel
from sptrack.design._progress import Progress
from sptrack.design.candidates import Candidate, alphas, choppers, etas, loop_of, predict_filters
from sptrack.design.observers import form_of, predict_observer, predict_observers
from sptrack.design.specification import QUANTITIES, Specification
from sptrack.devices import Cells, sample_cells
from sptrack.errors import ParameterError
from sptrack.tracking.methods import periodic, telegraph
from sptrack.values import check_number

Corrections = Mapping[bool, Mapping[str, float]]
"""Measured over predicted by quantity, of filters (False) and of observers (True): theirs are other laws."""

CELLS = 64
COARSE, REFINED, ROUNDS = 11, 5, 2
MARGINED = ("bias", "rms", "settling", "converging", "weights", "signal")
"""Quantities of which a design keeps a margin: the others are counted, not predicted to first order."""
_NEAR, _FINALISTS = 3, 40


class Miss(NamedTuple):
    """A requirement that no setting meets along with the others.

    Attributes
    ----------
    name : str
        Requirement.
    limit : float
        As specified.
    reachable : float
        Best value of any setting that meets all the others: the limit at which the rest is feasible. NaN if
        the others cannot be met together either.
    nearest : float
        Its value at the setting nearest to feasible.
    """

    name: str
    limit: float
    reachable: float
    nearest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Result of a search.

    Parameters
    ----------
    specification : Specification
        What was asked for.
    cells : Cells
        Cells on which the choice was predicted.
    best : Candidate
        Cheapest that meets all limits with margin; where there is none, the nearest to feasible.
    feasible : bool
        Whether it meets all limits.
    margin : float
        Factor by which bias, rms, settling and signal were to stay within their limits.
    candidates : tuple of Candidate
        All settings that were looked at and that the model covers.
    """

    specification: Specification
    cells: Cells
    best: Candidate
    feasible: bool
    margin: float
    candidates: tuple[Candidate, ...]


def search(
    spec: Specification,
    *,
    seed: int = 0,
    margin: float = 1.15,
    cost: CostModel | None = None,
    progress: Progress | None = None,
) -> Search:
    """Find the cheapest setting that meets a specification by prediction.

    A coarse grid over alpha, choppers and estimators (moving averages of one, two and four poles, one with
    its start corrected, Butterworth filters of second order, boxcars over whole periods, observers), on some
    cells of the device; then finer ones around the best. Settings outside the validity of the linear model
    are left out.

    Parameters
    ----------
    spec : Specification
        What must hold.
    seed : int
        Seed of the cells.
    margin : float
        Factor, at least 1: bias, rms, settling and signal are to stay within limit / margin.
    cost : CostModel or None
        What pulses, reads and programming events weigh; None: the default.
    progress : callable or None
        Called with the rounds done and all rounds.

    Returns
    -------
    Search

    Raises
    ------
    ParameterError
        A margin below 1, a device without symmetric points, or one on which no setting is covered by the
        model.
    """
    check_number("margin", margin, least=1)
    weights = CostModel() if cost is None else cost
    cells = sample_cells(spec.device, (1, CELLS), seed=seed)
    if not np.isfinite(cells.symmetric_point).any():
        raise ParameterError(f"device {spec.device.source.name!r} has no symmetric point within its bounds")
    found = predict_grid(spec, cells, COARSE)
    covered = [one for one in found if one.valid]
    if not covered:
        raise ParameterError(
            f"device {spec.device.source.name!r}: no setting within the linear model ({found[0].warnings[0]})"
        )
    for done in range(1, ROUNDS + 1):
        if progress is not None:
            progress(done, ROUNDS + 1)
        factor = (grid_step(spec, cells)) ** (0.5**done)
        near = sorted(covered, key=lambda one: rank(spec, one, margin, weights))[:_NEAR]
        for one in near:
            if one.observes:
                finer = one.setting.alpha * np.geomspace(1 / factor, factor, REFINED)
                forms = (form_of(one.setting),)
                covered += [more for more in predict_observers(spec, cells, finer, forms) if more.valid]
                continue
            around, close = _around(one, factor, spec.chopper is not None)
            own = (one.setting.estimator,)
            covered += [more for more in predict_filters(spec, cells, around, close, own) if more.valid]
    best = pick(spec, cells, covered, margin, weights)
    feasible = all(spec.requirements.excess(name, best.values[name]) <= 1 for name in QUANTITIES)
    if progress is not None:
        progress(ROUNDS + 1, ROUNDS + 1)
    return Search(
        specification=spec,
        cells=cells,
        best=best,
        feasible=feasible,
        margin=margin,
        candidates=tuple(covered),
    )


def predict_grid(spec: Specification, cells: Cells, fineness: int) -> list[Candidate]:
    """Candidates all over the search, ``fineness`` rates alpha and eta each, that the model covers or not.

    Half as many choppers of each kind, twice as many rates of observers.
    """
    signs = choppers(spec, max(2, fineness // 2))
    points = [(float(alpha), chopper) for alpha in alphas(spec, cells, fineness) for chopper in signs]
    found = list(predict_filters(spec, cells, points, etas(spec, fineness)))
    return [*found, *predict_observers(spec, cells, alphas(spec, cells, 2 * fineness))]


def pick(
    spec: Specification,
    cells: Cells,
    found: Sequence[Candidate],
    margin: float,
    cost: CostModel,
    correction: Corrections = MappingProxyType({}),
) -> Candidate:
    """Best of the candidates on other cells: the first few by rank are predicted anew there.

    ``correction`` multiplies predictions, such as the ratio of measured to predicted of an earlier design.
    """
    first = sorted(found, key=lambda one: rank(spec, one, margin, cost, correction))[:_FINALISTS]
    again: list[Candidate] = []
    for one in first:
        s = one.setting
        if one.observes:
            loops = loop_of(spec, cells, s.alpha), loop_of(spec, cells, s.alpha, optimum=True)
            again.append(predict_observer(spec, cells, loops, s, one.gamma, one.beta))
        else:
            again += predict_filters(spec, cells, [(s.alpha, s.chopper)], np.array([s.eta]), (s.estimator,))
    return min(again, key=lambda one: rank(spec, one, margin, cost, correction))


def grid_step(spec: Specification, cells: Cells) -> float:
    """Ratio of neighbouring rates in the coarse grid."""
    values = alphas(spec, cells, COARSE)
    return float(values[1] / values[0])


def _around(
    one: Candidate, factor: float, fixed: bool
) -> tuple[list[tuple[float, SignSource | None]], np.ndarray]:
    """Points and rates around a candidate: alpha, chopper and eta up to a factor up and down."""
    s = one.setting
    scales = np.geomspace(1 / factor, factor, REFINED)
    near: list[SignSource | None] = [s.chopper]
    if fixed:
        pass
    elif isinstance(s.chopper, PeriodicChopper):
        halves = {max(1, round(s.chopper.half_period * k)) for k in scales}
        near = [periodic(t) for t in sorted(halves)]
    elif isinstance(s.chopper, Chopper):
        near = [telegraph(min(1.0, s.chopper.p * float(k))) for k in scales]
    points = [(s.alpha * float(k), chopper) for k in scales for chopper in near]
    return points, np.minimum(s.eta * scales, 1.0)


def rank(
    spec: Specification,
    one: Candidate,
    margin: float,
    cost: CostModel,
    correction: Corrections = MappingProxyType({}),
) -> tuple[float, float, int]:
    """Worst excess over the limits (1 for all within), cost per cell, operations of the filter a read."""
    worst, values = 1.0, corrected(one, correction)
    for name in QUANTITIES:
        excess = spec.requirements.excess(name, values[name])
        worst = max(worst, excess * (margin if name in MARGINED else 1.0))
    reference = one.setting.reference
    operations = reference.operations if isinstance(reference, Block) else 0
    return worst, float(f"{price(one, cost):.9g}"), operations


def corrected(one: Candidate, correction: Corrections) -> dict[str, float]:
    """Predictions of a candidate, each times the correction of its kind."""
    factors = correction.get(one.observes, {})
    return {name: value * factors.get(name, 1.0) for name, value in one.values.items()}


def price(one: Candidate, cost: CostModel) -> float:
    """Cost per cell of a run, pulse units."""
    v = one.values
    return cost.total(pulses=v["pulses"], reads=v["reads"], programs=v["programs"])


def misses(
    spec: Specification,
    found: Iterable[Candidate],
    nearest: Candidate,
    correction: Corrections = MappingProxyType({}),
) -> tuple[Miss, ...]:
    """Requirements that cannot be met along with the others, and what could be had instead.

    ``correction`` multiplies the predictions, as in `pick`.
    """
    limits, out = spec.requirements.limits, []
    known = [corrected(one, correction) for one in (*found, nearest)]
    own = known[-1]
    for name, limit in limits.items():
        others = [other for other in limits if other != name]
        meeting = [
            values[name]
            for values in known
            if all(spec.requirements.excess(other, values[other]) <= 1 for other in others)
        ]
        best = max if name == "signal" else min
        reachable = float(best(meeting)) if meeting else float("nan")
        beyond = spec.requirements.excess(name, own[name]) > 1
        if beyond or (meeting and spec.requirements.excess(name, reachable) > 1):
            out.append(Miss(name, limit, reachable, own[name]))
    return tuple(out)


class Conflict(NamedTuple):
    """Two requirements that no setting meets together, or one that none meets at all.

    Attributes
    ----------
    names : tuple of str
        The requirements, one or two.
    reachable : tuple of float
        Best value of each among the settings that meet the other (of one alone: among all); NaN if none does.
    """

    names: tuple[str, ...]
    reachable: tuple[float, ...]


def conflicts(
    spec: Specification,
    found: Iterable[Candidate],
    nearest: Candidate,
    correction: Corrections = MappingProxyType({}),
) -> tuple[Conflict, ...]:
    """Requirements that are out of reach, then pairs that exclude each other though each is within reach.

    ``correction`` multiplies the predictions, as in `pick`.
    """
    needs, limits = spec.requirements, tuple(spec.requirements.limits)
    known = [corrected(one, correction) for one in (*found, nearest)]

    def best(name: str, others: tuple[str, ...]) -> float:
        meeting = [
            one[name] for one in known if all(needs.excess(other, one[other]) <= 1 for other in others)
        ]
        reachable = [value for value in meeting if math.isfinite(value)]
        return (max if name == "signal" else min)(reachable, default=math.nan)

    def beyond(name: str, value: float) -> bool:
        return not needs.excess(name, value) <= 1

    alone = {name: best(name, ()) for name in limits}
    out = [Conflict((name,), (value,)) for name, value in alone.items() if beyond(name, value)]
    within = [name for name in limits if not beyond(name, alone[name])]
    for first, second in combinations(within, 2):
        reached = best(first, (second,))
        if beyond(first, reached):
            out.append(Conflict((first, second), (reached, best(second, (first,)))))
    return tuple(out)
