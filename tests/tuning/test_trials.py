"""Fronts and knees."""

import numpy as np

from sptrack.tuning.trials import Trial, best_trials, front, knee


def trial(slot, state="complete", **scores):
    return Trial(slot=slot, state=state, point={}, scores=scores, seen=np.nan, reason="")


def test_a_front_by_hand():
    values = np.array([[3.0, 1.0], [1.0, 3.0], [2.0, 2.0], [2.0, 2.0], [3.0, 3.0], [1.0, 4.0]])
    assert front(values).tolist() == [1, 2, 0]


def test_no_row_is_beaten_by_a_row_of_the_front_alone():
    """The definition, pair by pair, on coarse random values with many ties."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 6, (60, 3)).astype(float)
    kept = set(front(values).tolist())

    def beats(one, other):
        return (one <= other).all() and (one < other).any()

    for k, row in enumerate(values):
        beaten = any(beats(other, row) for other in values)
        repeated = any((values[i] == row).all() for i in range(k))
        assert (k in kept) == (not beaten and not repeated)


def test_the_knee_of_a_corner():
    assert knee(np.array([[1e-4, 1e5], [2e-4, 2e2], [1.0, 1e2]])) == 1
    assert knee(np.array([[0.0, 9.0], [1.0, 1.0], [9.0, 0.0]])) == 1
    assert knee(np.array([[5.0]])) == 0


def test_only_complete_trials_can_be_best():
    trials = [trial(0, w=2.0), trial(1, state="pruned"), trial(2, w=1.0), trial(3, w=1.0)]
    best, chosen = best_trials(trials, ("w",))
    assert ([one.slot for one in best], chosen) == ([2], 0)
