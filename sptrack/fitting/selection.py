"""Choice of a family by held-out readings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import ConvergenceError, ParameterError
from sptrack.fitting._parallel import in_threads
from sptrack.fitting.estimate import Estimates
from sptrack.fitting.fit import best_fit
from sptrack.fitting.laws import FAMILIES, Floats
from sptrack.fitting.readings import PulseResponse
from sptrack.fitting.statespace import innovations, maximise

__all__ = ["FamilyScore", "Selection", "fold_numbers", "held_out_scores", "select_family"]

FOLDS = 10
_FIRST = 3
_NEAR = 0.01
_TOLERANCE = 1e-3
"""Gain in log-likelihood below which a search ends: smaller differences of a score mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyScore:
    """Score of a family on readings that it has not seen.

    Attributes
    ----------
    family : str
        Name.
    coefficients : int
        Number of coefficients, both directions.
    score : float
        Mean log density of a held-out reading (natural logarithm, constant dropped).
    behind, error : float
        Score of the best family less this one, and its standard error over folds (one cell) or cells.
    """

    family: str
    coefficients: int
    score: float
    behind: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Families in the order tried, and the chosen one: the simplest within one standard error of the best.

    ``failed`` maps families without a score to the reason: their fit of a cell did not converge, or ended at
    a limit of their shape parameters.
    """

    scores: tuple[FamilyScore, ...]
    chosen: str
    failed: Mapping[str, str]


def fold_numbers(runs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Fold of every reading (-1: never held out): contiguous blocks, ten folds, never a whole run.

    The first twentieth of a run (three readings at least) stays: it tells where the run starts.
    """
    folds = np.full(runs.size, -1)
    count = 0
    for run in np.unique(runs):
        place = np.flatnonzero(runs == run)
        parts = max(2, round(FOLDS * place.size / runs.size))
        place = place[max(_FIRST, place.size // 20) :]
        if place.size < 2 * parts:
            continue
        for part in np.array_split(place, parts):
            folds[part] = count % FOLDS
            count += 1
    return folds


def held_out_scores(response: PulseResponse, fitted: Estimates) -> Floats:
    """Log density [folds] of each held-out block given the readings before it.

    Parameters are fitted to all other readings.

    Parameters
    ----------
    response : PulseResponse
        Readings of one cell.
    fitted : Estimates
        Its fit, from which the fits without a block start. The best parameters found are used, converged or
        not: a prediction is valid at any parameters that do not know the block.
    """
    folds = fold_numbers(response.program.runs)
    used = np.unique(folds[folds >= 0])
    problem = fitted.problem.rows(np.zeros(used.size, np.intp))
    training = np.where(folds == used[:, None], np.nan, problem.readings)
    without = problem._replace(readings=training)
    found = maximise(without, np.repeat(fitted.theta, used.size, axis=0), tolerance=_TOLERANCE)
    error, variance = (part[:, 0] for part in innovations(problem, found.theta[:, None]))
    density = -0.5 * (np.log(variance) + error * error / variance)
    return np.asarray(np.sum(np.where((folds == used[:, None]) & (error != 0.0), density, 0.0), axis=1))


def select_family(
    cells: Sequence[PulseResponse],
    families: Sequence[str] = FAMILIES,
    progress: Callable[[int], None] | None = None,
) -> Selection:
    """Hold families against readings that they have not seen.

    Contiguous blocks of readings are held out in turn (see `held_out_scores`). One family for all cells.

    Parameters
    ----------
    cells : sequence of PulseResponse
        Measured cells.
    families : sequence of str
        Names to choose from.
    progress : callable, optional
        Called with 1 after every fit of a cell.

    Returns
    -------
    Selection

    Raises
    ------
    ParameterError
        No family, or an unknown one.
    ConvergenceError
        No family could be fitted to all cells.
    """
    if not families:
        raise ParameterError("no family to choose from")
    table: dict[str, list[Floats]] = {}
    sizes: dict[str, int] = {}
    failed: dict[str, str] = {}
    jobs = [(family, cell) for family in families for cell in cells]
    for (family, _), found in zip(jobs, in_threads(_scored, jobs), strict=True):
        if isinstance(found, ConvergenceError):
            failed[family] = str(found)
        else:
            table.setdefault(family, []).append(found[0])
            sizes[family] = found[1]
        if progress is not None:
            progress(1)
    table = {family: parts for family, parts in table.items() if family not in failed}
    if not table:
        raise ConvergenceError("no family could be fitted: " + "; ".join(failed.values()))
    readings = sum(int(np.sum(fold_numbers(cell.program.runs) >= 0)) for cell in cells)
    return replace(_choose(table, sizes, readings), failed=failed)


def _scored(job: tuple[str, PulseResponse]) -> tuple[Floats, int] | ConvergenceError:
    """Scores of a family on a cell and its number of coefficients, or why there are none."""
    family, cell = job
    try:
        fitted = best_fit(cell, family)
        if _at_limit(fitted):
            return ConvergenceError(
                f"{cell.label}the best shape of {family} lies at the limit of those tried"
            )
        return held_out_scores(cell, fitted), 2 * fitted.problem.law.coefficients
    except ConvergenceError as error:
        return error


def _at_limit(fitted: Estimates) -> bool:
    """Whether a shape is at its limit: an exponent at either, a rate of an exponential at the upper one.

    Such a fit stands for another family: a hard bound, or steps that fall faster than those of its own.
    """
    family, problem = fitted.problem.law.family, fitted.problem
    if family not in ("pow-step", "exp-step", "soft-exponential"):
        return False
    width = problem.law.coefficients
    places = problem.limits.shape[1] - np.array([1 + width, 1])
    low, high = problem.limits[:, places]
    at = fitted.theta[0, places]
    return bool(np.any(at > high - _NEAR) or (family == "pow-step" and np.any(at < low + _NEAR)))


def _choose(table: dict[str, list[Floats]], sizes: dict[str, int], readings: int) -> Selection:
    single = len(next(iter(table.values()))) == 1
    units = {
        name: parts[0] if single else np.array([part.sum() for part in parts])
        for name, parts in table.items()
    }
    best = max(units, key=lambda name: float(units[name].sum()))
    scores = []
    for name, values in units.items():
        behind = units[best] - values
        spread = float(np.std(behind, ddof=1)) * np.sqrt(behind.size) if behind.size > 1 else 0.0
        scores.append(
            FamilyScore(
                family=name,
                coefficients=sizes[name],
                score=float(values.sum()) / readings,
                behind=float(behind.sum()) / readings,
                error=spread / readings,
            )
        )
    equal = _TOLERANCE * FOLDS / readings
    near = [score for score in scores if score.behind <= max(score.error, equal)]
    chosen = min(near, key=lambda score: (score.coefficients, score.behind))
    return Selection(scores=tuple(scores), chosen=chosen.family, failed={})
