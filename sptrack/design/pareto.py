"""Achievable trade-offs: undominated settings by theory, a few of them checked by simulation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from sptrack.design.candidates import Candidate, alphas, choppers, etas, evaluate
from sptrack.design.checking import Check, check
from sptrack.design.choice import undominated
from sptrack.design.observed import evaluate_observers
from sptrack.design.specification import Specification
from sptrack.devices import Cells
from sptrack.errors import ParameterError
from sptrack.values import check_whole

FRONTS = {
    "bias": ("bias", "pulses", "programs"),
    "rms": ("rms", "pulses", "programs"),
}
"""Quantities that are weighed against each other, by the name of the front: all are to be small."""


class Confirmed(NamedTuple):
    """A candidate of a front and its simulation."""

    candidate: Candidate
    check: Check


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
    rates, signs = etas(spec, fineness), choppers(spec, max(2, fineness // 2))
    grid = [(float(alpha), chop) for alpha in alphas(spec, cells, fineness) for chop in signs]
    found = [*evaluate(spec, cells, grid, rates)]
    found += evaluate_observers(spec, cells, alphas(spec, cells, 2 * fineness))
    return tuple(one for one in found if one.valid)


def confirm(
    spec: Specification,
    cells: Cells,
    found: Sequence[Candidate],
    *,
    quantities: Sequence[str] = FRONTS["rms"],
    count: int = 5,
    seeds: int = 4,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
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
