"""Trials of a study as plain data, and which of them are best."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sptrack.design.fronts import knee, undominated
from sptrack.design.settings import Value


class Trial(NamedTuple):
    """One trial.

    Attributes
    ----------
    slot : int
        Place in the study.
    state : str
        "complete", "pruned" (given up on the way), "excluded" (above a limit), "failed" (its settings were
        refused) or "running" (of another worker).
    point : mapping
        Settings that are varied.
    scores : mapping
        Of a complete trial, means over the tuning seeds of every `OBJECTIVES` that means something.
    seen : float
        Last objective seen on the way.
    reason : str
        Why it failed.
    """

    slot: int
    state: str
    point: Mapping[str, Value]
    scores: Mapping[str, float]
    seen: float
    reason: str


def best_trials(trials: Sequence[Trial], objectives: Sequence[str]) -> tuple[tuple[Trial, ...], int]:
    """Complete trials that no other beats, and which to take: the best, or the `knee` of the front."""
    complete = [trial for trial in trials if trial.state == "complete"]
    values = np.array([[trial.scores[name] for name in objectives] for trial in complete])
    kept = sorted(undominated(values), key=lambda k: tuple(values[k]))
    return tuple(complete[k] for k in kept), knee(values[kept])
