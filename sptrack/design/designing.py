"""A specification in, a design that has been checked against simulation out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sptrack.cost import CostModel
from sptrack.design._progress import Stage, of_stage
from sptrack.design.candidates import Candidate
from sptrack.design.checking import MISSED, UNCERTAIN, Check, check, enough_seeds
from sptrack.design.choice import (
    MARGINED,
    Conflict,
    Corrections,
    Miss,
    Search,
    conflicts,
    misses,
    pick,
    rank,
    search,
)
from sptrack.design.specification import Specification
from sptrack.evaluation.knowledge import knowledge, knowledge_warnings

if TYPE_CHECKING:
    import xarray as xr

LARGEST_STEP = 1.5
"""Largest change of a correction from one attempt to the next."""
ATTEMPTS = 3
"""Designs that are simulated before the last one is returned as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Result of `design`.

    Parameters
    ----------
    search : Search
        The search.
    chosen : Candidate
        The design: the search's best, or one chosen after an earlier one failed in simulation.
    check : Check
        Prediction, measurement, margin and verdict of every quantity.
    attempts : int
        Designs that were simulated.
    misses : tuple of Miss
        What is in the way where no setting meets everything, predictions corrected by what was measured.
    conflicts : tuple of Conflict
        Requirements that are out of reach and pairs that exclude each other, by the same predictions.
    """

    search: Search
    chosen: Candidate
    check: Check
    attempts: int
    misses: tuple[Miss, ...]
    conflicts: tuple[Conflict, ...] = ()

    def labelled(self) -> "xr.Dataset":
        """The design as a dataset, see `sptrack.design.design_dataset`."""
        from sptrack.design.results import design_dataset

        return design_dataset(self)

    def record(self) -> dict[str, Any]:
        """The design as plain data, see `sptrack.design.design_record`."""
        from sptrack.design.results import design_record

        return design_record(self)

    @property
    def met(self) -> bool:
        """Whether simulation confirms every requirement."""
        return self.check.met

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reservations to weigh before relying on the design."""
        recording = self.search.specification.gradient.recording
        told = (self.chosen.method.observer, self.search.specification.device)
        own = (*self.chosen.warnings, *knowledge_warnings(*told))
        return (*own, *(() if recording is None else recording.warnings))

    @property
    def notes(self) -> tuple[str, ...]:
        """Knowledge that the error of an observer rests on, see `sptrack.evaluation.knowledge`."""
        return knowledge(self.chosen.method.observer, self.search.specification.device)


def design(
    spec: Specification,
    *,
    seed: int = 0,
    seeds: int = 8,
    margin: float = 1.15,
    cost: CostModel | None = None,
    progress: Stage | None = None,
) -> Design:
    """Find settings that meet a specification, and simulate them.

    Where simulation misses a limit that was predicted to hold, the ratio of measured to predicted corrects
    the predictions of its kind (filters or observers), and the next best setting is simulated; the last
    attempt is one of the other kind, if that has settings predicted to do.

    Parameters
    ----------
    spec : Specification
        What must hold.
    seed : int
        Seed of the cells and first seed of the noises.
    seeds : int
        Independent noises of a simulation.
    margin, cost
        As in `search`.
    progress : callable or None
        Called with the name of the stage, what of it is done, and all of it.

    Returns
    -------
    Design

    Raises
    ------
    ParameterError
        As `search` and `check`.
    """
    enough_seeds(seeds)
    weights = CostModel() if cost is None else cost
    found = search(spec, seed=seed, margin=margin, cost=weights, progress=of_stage(progress, "search"))
    chosen, attempts = found.best, 1
    checked = check(
        spec, found.cells, chosen, seeds=seeds, seed=seed, progress=of_stage(progress, "simulation 1")
    )
    correction = _corrected(checked, chosen, {})
    while found.feasible and not checked.met and attempts < ATTEMPTS:
        pool: Sequence[Candidate] = found.candidates
        if attempts == ATTEMPTS - 1 and len(correction) == 1:
            others = [one for one in pool if one.observes != chosen.observes]
            pool = [one for one in others if rank(spec, one, 1.0, weights)[0] <= 1] or pool
        other = pick(spec, found.cells, pool, margin, weights, correction)
        if other.setting == chosen.setting:
            break
        chosen, attempts = other, attempts + 1
        follower = of_stage(progress, f"simulation {attempts}")
        checked = check(spec, found.cells, chosen, seeds=seeds, seed=seed, progress=follower)
        correction = _corrected(checked, chosen, correction)
    made = Design(search=found, chosen=chosen, check=checked, attempts=attempts, misses=())
    if checked.met:
        return made
    among = (spec, found.candidates, chosen, correction)
    return replace(made, misses=misses(*among), conflicts=conflicts(*among))


def _corrected(checked: Check, chosen: Candidate, before: Corrections) -> Corrections:
    """Corrections of all kinds, those of the kind that was simulated brought up to date."""
    kind = chosen.observes
    return {**before, kind: _corrections(checked, before.get(kind, {}))}


def _corrections(checked: Check, before: Mapping[str, float]) -> dict[str, float]:
    """Far end of the measured interval over predicted, of the quantities that were not met.

    At most `LARGEST_STEP` times the correction ``before``: a single bad run must not throw the next design
    far beyond what is asked for.
    """
    out = dict(before)
    for row in checked.rows:
        measured = row.measured == row.measured
        if row.name in MARGINED and measured and row.verdict in (MISSED, UNCERTAIN) and row.predicted > 0:
            known = before.get(row.name, 1.0)
            if row.name == "signal":
                out[row.name] = max(row.interval[0] / row.predicted, known / LARGEST_STEP)
            else:
                out[row.name] = min(row.interval[1] / row.predicted, known * LARGEST_STEP)
    return out
