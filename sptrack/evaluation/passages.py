"""Cost of reaching a given error: first passages of runs, random settings, and the cheapest of them.

C3.9 of Xiao et al. 2026 (arXiv 2602.21321) compares the pulses of RIDER, O(delta^-2), with those of
calibrating first, O(delta^-2 + delta^-1 dw^-1). It counts a fixed number of pulses per step. Those that are
sent are alpha |g|/dw on average, so every method's pulses grow as 1/dw once the error is well above its
floor, and none gets by with fewer than it takes to move W: `fewest_pulses`.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.cost import CostModel
from sptrack.crossbar.threads import thread_count
from sptrack.errors import ParameterError
from sptrack.evaluation.rates import faster
from sptrack.tracking.methods import Method, method
from sptrack.tracking.problems import Problem
from sptrack.tracking.run import Tracker
from sptrack.values import as_seed

Array = NDArray[Any]

WINDOW = 200
"""Steps over which an error is averaged before it is compared with a target."""
_WAY = 256
_COUNTED = ("pulses", "reads", "programs")


class Passage(NamedTuple):
    """When a run first met each of its targets, and what it had spent per cell until then, [targets].

    Calibration included; NaN where a target was not met.
    """

    steps: Array
    pulses: Array
    reads: Array
    programs: Array

    def cost(self, model: CostModel, columns: int = 1) -> Array:
        """Cost per cell [targets], in units of one pulse; ``columns`` as in `CostModel.total`."""
        spent = zip(self.pulses, self.reads, self.programs, strict=True)
        return np.array([model.total(pulses=p, reads=r, programs=w, columns=columns) for p, r, w in spent])


class Run(NamedTuple):
    """A run for `first_passages`: problem, method, and root seed of its noise."""

    problem: Problem
    method: Method
    seed: int


def first_passage(run: Run, targets: Sequence[float], *, max_steps: int) -> Passage:
    """Run a method until its weights have met every target, or for ``max_steps`` steps.

    Parameters
    ----------
    run : Run
        Problem, method and seed, as in `Tracker`.
    targets : sequence of float
        Largest mean over the cells and over 200 steps of (W - W*)^2, weight units squared, above 0.
    max_steps : int
        Steps after which to give up, a multiple of 200.

    Raises
    ------
    ParameterError
        As `Tracker`; a target that is not above 0, or a number of steps that is not a multiple of 200.
    """
    if not targets or not all(target > 0 for target in targets):
        raise ParameterError(f"targets must be one or more numbers > 0, got {list(targets)}")
    if max_steps < WINDOW or max_steps % WINDOW:
        raise ParameterError(f"max_steps must be a positive multiple of {WINDOW} steps, got {max_steps}")
    tracker = Tracker(run.problem, run.method, seed=run.seed)
    spent, aims = np.full((4, len(targets)), np.nan), np.asarray(targets, np.float64)
    while tracker.step < max_steps and np.isnan(spent[0]).any():
        tracker.run(WINDOW, samples=1)
        new = np.isnan(spent[0]) & (tracker.result.errors[-1, 0] <= aims)
        counts = [tracker.ledger.total(name) / run.problem.p_cells.size for name in _COUNTED]
        spent[:, new] = np.array([tracker.step, *counts])[:, None]
    return Passage(*spent)


def first_passages(
    runs: Sequence[Run], targets: Sequence[float], *, max_steps: int, threads: int | None = None
) -> list[Passage]:
    """`first_passage` of many runs, so many at a time; the result does not depend on ``threads``."""
    with ThreadPoolExecutor(thread_count(threads), thread_name_prefix="sptrack") as pool:
        return list(pool.map(lambda run: first_passage(run, targets, max_steps=max_steps), runs))


def fewest_pulses(problem: Problem, target: float) -> float:
    """Pulses per cell without which no method brings W from 0 to a mean (W - W*)^2 of ``target``.

    On the straight way cell i needs I_i = integral over 0 .. W* of dw/(dw_min q_i) pulses, q_i its response
    in that direction, and an error e_i saves |e_i| r_i at most, r_i the largest 1/(dw_min q_i): mean(I) -
    sqrt(target mean(r^2)) (Cauchy). To leading order in dw_min; without cycle noise, which can be lucky.
    """
    cells, fraction = problem.w_cells, (np.arange(_WAY) + 0.5)[:, None, None] / _WAY
    start = np.zeros(cells.shape) if cells.reference is None else np.asarray(cells.reference, np.float64)
    far = problem.optimum.reshape(cells.shape)
    way = start + fraction * far
    slowness = 1 / (cells.dw_min * np.where(far > 0, cells.q_plus(way), cells.q_minus(way)))
    needed = np.mean(slowness.mean(axis=0) * np.abs(far))
    return max(0.0, float(needed - np.sqrt(target * np.mean(slowness.max(axis=0) ** 2))))


def random_methods(
    name: str, ranges: Mapping[str, tuple[float, float]], number: int, *, seed: int = 0
) -> list[Method]:
    """Methods of one name with random settings, log-uniform in their ranges.

    Parameters
    ----------
    name : str
        Of a factory.
    ranges : mapping
        Ends of the range of each setting, both above 0: those of the factory (pulses made even), and "every",
        the steps between reads, rates being per step (`reading_every`).
    number : int
        How many.
    seed : int
        Root seed: the same seed and ranges give the same methods.

    Raises
    ------
    ParameterError
        Unknown name or setting, or a range that is not increasing and above 0.
    """
    for key, (low, high) in ranges.items():
        if not 0 < low <= high:
            raise ParameterError(f"range of {key} must satisfy 0 < low <= high, got {low} .. {high}")
    rng = np.random.default_rng(as_seed(seed))
    ends = np.log(np.array(list(ranges.values()), np.float64))
    draws = np.exp(ends[:, 0] + (ends[:, 1] - ends[:, 0]) * rng.random((number, len(ranges))))
    return [_made(name, dict(zip(ranges, row.tolist(), strict=True))) for row in draws]


def _made(name: str, settings: dict[str, float]) -> Method:
    if "pulses" in settings:
        settings["pulses"] = 2 * round(settings["pulses"] / 2)
    every = round(settings.pop("every", 1.0))
    made = method(name, **settings)
    return made if made.transfer.by_column else reading_every(made, every)


def reading_every(base: Method, every: int) -> Method:
    """The same method with so many steps between reads and transfers, and the same rates per step.

    beta, and eta unless it is an observer's, are stated per read: they grow with ``every``, eta up to 1; the
    filter as in `sptrack.evaluation.rates.faster`.

    Raises
    ------
    ParameterError
        Fewer than one step; a filter that no rate or length describes.
    """
    transfer = replace(base.transfer, every=every)
    ratio = every / base.transfer.every
    reference = base.reference if base.filter is None else faster(base.filter, ratio)
    return replace(base, beta=ratio * base.beta, reference=reference, transfer=transfer)


def cheapest(costs: ArrayLike, number: int = 1) -> list[int]:
    """Settings in the order of their misses, then of their geometric mean cost.

    Parameters
    ----------
    costs : array_like [settings, seeds]
        Positive; NaN where a run did not get there.
    number : int
        At most so many.

    Returns
    -------
    list of int
        Indices, without those that never got there.
    """
    logarithm = np.log(np.asarray(costs, np.float64))
    reached = np.isfinite(logarithm).sum(axis=1)
    mean = np.where(np.isfinite(logarithm), logarithm, 0.0).sum(axis=1) / np.maximum(reached, 1)
    return [int(k) for k in np.lexsort((mean, -reached)) if reached[k]][:number]
