"""Fronts and knees."""

import numpy as np

from sptrack.design.fronts import knee, undominated
from sptrack.design.trials import Trial, best_trials


def trial(slot, state="complete", **scores):
    return Trial(slot=slot, state=state, point={}, scores=scores, seen=np.nan, reason="")


def test_a_front_by_hand():
    values = np.array([[3.0, 1.0], [1.0, 3.0], [2.0, 2.0], [2.0, 2.0], [3.0, 3.0], [1.0, 4.0]])
    assert undominated(values) == [0, 1, 2]


def test_undominated_against_all_pairs():
    """The definition, pair by pair, on coarse random values with many ties; infinite ones among them."""
    points = np.random.default_rng(3).integers(0, 6, (80, 3)).astype(float)
    points[points == 5] = np.inf
    kept = undominated(points)
    for k, one in enumerate(points):
        worse = [(other <= one).all() and (other < one).any() for other in points]
        earlier = any((points[j] == one).all() for j in range(k))
        assert (k in kept) == (not any(worse) and not earlier)


def test_undominated_keeps_the_first_of_equals_and_the_only_one():
    assert undominated([(1.0, 2.0), (1.0, 2.0)]) == [0]
    assert undominated([(np.inf, 1.0)]) == [0]


def test_the_best_of_several_objectives_stand_by_the_first():
    trials = [trial(k, w=w, pulses=p) for k, (w, p) in enumerate([(3.0, 1.0), (1.0, 3.0), (2.0, 2.0)])]
    best, _ = best_trials(trials, ("w", "pulses"))
    assert [one.slot for one in best] == [1, 2, 0]


def test_the_knee_of_a_corner():
    assert knee(np.array([[1e-4, 1e5], [2e-4, 2e2], [1.0, 1e2]])) == 1
    assert knee(np.array([[0.0, 9.0], [1.0, 1.0], [9.0, 0.0]])) == 1
    assert knee(np.array([[5.0]])) == 0


def test_only_complete_trials_can_be_best():
    trials = [trial(0, w=2.0), trial(1, state="pruned"), trial(2, w=1.0), trial(3, w=1.0)]
    best, chosen = best_trials(trials, ("w",))
    assert ([one.slot for one in best], chosen) == ([2], 0)
