"""Trials of a study as plain data, and which of them are best."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.tuning.space import Value

Array = NDArray[Any]


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


def front(values: Array) -> Array:
    """Indices of the rows of ``values`` [n, objectives] that no other row beats; by the first objective.

    A row beats another if it is nowhere larger and somewhere smaller; of equal rows the first is kept.
    """
    kept = []
    for k, row in enumerate(values):
        no_worse = (values <= row).all(axis=1)
        beaten = (no_worse & (values < row).any(axis=1)).any()
        if not beaten and not (no_worse & (values == row).all(axis=1))[:k].any():
            kept.append(k)
    return np.array(sorted(kept, key=lambda k: tuple(values[k])), dtype=int)


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


def best_trials(trials: Sequence[Trial], objectives: Sequence[str]) -> tuple[tuple[Trial, ...], int]:
    """Complete trials that no other beats, and which to take: the best, or the `knee` of the front."""
    complete = [trial for trial in trials if trial.state == "complete"]
    values = np.array([[trial.scores[name] for name in objectives] for trial in complete])
    kept = front(values)
    return tuple(complete[k] for k in kept), knee(values[kept])
