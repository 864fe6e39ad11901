"""Achievable trade-offs: undominated settings by theory, a few of them checked by simulation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.design._progress import Progress
from sptrack.design.candidates import Candidate
from sptrack.design.checking import Check, check
from sptrack.design.choice import predict_grid
from sptrack.design.specification import Specification
from sptrack.devices import Cells
from sptrack.errors import ParameterError
from sptrack.values import check_whole

Array = NDArray[np.float64]

FRONTS = {
    "bias": ("bias", "pulses", "programs"),
    "rms": ("rms", "pulses", "programs"),
}
"""Quantities that are weighed against each other, by the name of the front: all are to be small."""


class Confirmed(NamedTuple):
    """A candidate of a front and its simulation."""

    candidate: Candidate
    check: Check


def undominated(points: ArrayLike) -> list[int]:
    """Indices of points [n][quantities], all to be small, that no other equals or beats in every quantity.

    Of equal points the first is kept.
    """
    values = np.asarray(points, np.float64)
    order = np.lexsort(values.T[::-1])
    kept: list[int] = []
    for k in order:
        if not (values[kept] <= values[k]).all(axis=1).any():
            kept.append(int(k))
    return sorted(kept)


def knee(values: Array) -> int:
    """Index of the row of a front [n, objectives] nearest to the ideal point.

    Every objective is scaled to 0 .. 1 over the front, in the logarithm if all its values are above 0.
    """
    scaled = []
    for column in values.T:
        x = np.log(column) if (column > 0).all() else column
        span = x.max() - x.min()
        scaled.append((x - x.min()) / span if span > 0 else np.zeros_like(x))
    return int(np.argmin(np.sum(np.square(scaled), axis=0)))


def front(found: Sequence[Candidate], quantities: Sequence[str]) -> list[int]:
    """Indices of the candidates that settle within the run and that no other one dominates.

    Parameters
    ----------
    found : sequence of Candidate
        Such as `Search.candidates`.
    quantities : sequence of str
        What is weighed; all are to be small.
    """
    usable = [k for k, one in enumerate(found) if np.isfinite(one.values["settling"])]
    points = [[found[k].values[name] for name in quantities] for k in usable]
    return [usable[k] for k in undominated(points)] if usable else []


def survey(spec: Specification, cells: Cells, *, fineness: int = 16) -> tuple[Candidate, ...]:
    """Settings all over the search, ``fineness`` rates alpha and eta each, that the linear model covers.

    Parameters
    ----------
    spec : Specification
        Device, gradient, run; its requirements do not matter.
    cells : Cells
        Cells on which is predicted.
    fineness : int
        Rates of each kind, at least 2; half as many choppers of each kind, twice as many rates of observers.

    Raises
    ------
    ParameterError
        A fineness below 2.
    """
    check_whole("fineness", fineness, 2)
    return tuple(one for one in predict_grid(spec, cells, fineness) if one.valid)


def confirm(
    spec: Specification,
    cells: Cells,
    found: Sequence[Candidate],
    *,
    quantities: Sequence[str] = FRONTS["rms"],
    count: int = 5,
    seeds: int = 4,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Confirmed]:
    """Simulate a few candidates along a front: some of each estimator, over its second quantity.

    Parameters
    ----------
    spec : Specification
        Device, gradient, run.
    cells : Cells
        Cells on which the candidates were predicted.
    found : sequence of Candidate
        Such as `survey` or `Search.candidates`.
    quantities : sequence of str
        The front, two quantities at least.
    count : int
        Candidates, at least 1; fewer where the front is shorter.
    seeds, seed
        As in `check`.
    progress : callable or None
        Called with the candidates done and all of them.

    Raises
    ------
    ParameterError
        No candidate to confirm, or fewer than two quantities.
    """
    if len(quantities) < 2 or count < 1:
        raise ParameterError(f"a front needs 2 quantities and 1 candidate, got {len(quantities)} and {count}")
    members = [found[k] for k in front(found, quantities)]
    if not members:
        raise ParameterError("no candidate settles within the run; raise steps")
    chosen = _spread(members, quantities[1], count)
    out = []
    for done, one in enumerate(chosen, 1):
        out.append(Confirmed(one, check(spec, cells, one, seeds=seeds, seed=seed)))
        if progress is not None:
            progress(done, len(chosen))
    return out


def _spread(members: Sequence[Candidate], name: str, count: int) -> list[Candidate]:
    """About ``count`` of the members: as many of each estimator, chopped or not, evenly in log ``name``."""
    groups: dict[tuple[str, bool], list[Candidate]] = {}
    for one in members:
        groups.setdefault((one.setting.estimator, one.chopper is not None), []).append(one)
    each, out = -(-count // len(groups)), []
    for group in groups.values():
        spent = np.log([max(one.values[name], 1e-12) for one in group])
        wanted = np.linspace(spent.min(), spent.max(), each)
        places = sorted({int(np.argmin(np.abs(spent - value))) for value in wanted})
        out += [group[place] for place in places]
    return out
