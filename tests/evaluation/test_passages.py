"""First passages against the samples of a comparison, the lower bound on pulses, random settings."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack import CostModel, ParameterError
from sptrack.blocks import Boxcar
from sptrack.evaluation.passages import (
    Run,
    cheapest,
    fewest_pulses,
    first_passage,
    first_passages,
    random_methods,
    reading_every,
)
from sptrack.tracking import ProblemSettings, Tracker, method, problem
from sptrack.tracking.compare import compare
from sptrack.tracking.problems import default_device

TARGETS = (0.05, 0.02, 1e-9)


@pytest.mark.parametrize("name", ["e-rider", "o-rider", "two-stage"])
def test_a_passage_is_the_first_sample_at_most_the_target(name):
    found = first_passage(Run(problem(seed=1), method(name), 1), TARGETS, max_steps=4000)
    data = compare([name], steps=4000, seeds=1, seed=1).squeeze(["method", "seed"])
    for k, target in enumerate(TARGETS[:2]):
        first = int(np.flatnonzero(data["w_error"] <= target)[0])
        sample = data.isel(sample=first)
        assert found.steps[k] == sample["step"]
        for name_, part in (("pulses", found.pulses), ("reads", found.reads), ("programs", found.programs)):
            assert part[k] == float(sample[name_]) / 64
        assert found.cost(CostModel())[k] == pytest.approx(float(sample["cost"]) / 64)
    assert np.isnan([part[2] for part in found]).all()


def test_threads_do_not_change_passages():
    runs = [Run(problem(seed=k), method("o-rider"), k) for k in range(3)]
    one, two = (first_passages(runs, [0.05], max_steps=2000, threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_the_oracle_spends_more_than_the_fewest_pulses_which_go_as_the_inverse_granularity():
    made = problem(seed=2)
    spent = first_passage(Run(made, method("oracle"), 2), [1e-2, 1e-3], max_steps=20000).pulses
    least = [fewest_pulses(made, target) for target in (1e-2, 1e-3)]
    assert (least < spent).all()
    assert 10 < least[0] < least[1]
    finer = ProblemSettings(device=replace(default_device(), dw_min=1e-5))
    ratio = fewest_pulses(problem(settings=finer, seed=2), 1e-3) / least[1]
    assert ratio == pytest.approx(100, rel=0.05)


def test_the_fewest_pulses_of_a_straight_walk():
    """Pulses in one direction only, until each weight is there; half a pulse of overshoot on average."""
    made = problem(settings=ProblemSettings(size=16), seed=4)
    w, count, pulse = np.zeros(16), 0.0, made.w_cells.dw_min
    up = made.optimum > 0
    while ((w < made.optimum) == up).any():
        go = (w < made.optimum) == up
        q = np.where(up, made.w_cells.q_plus(w[None])[0], -made.w_cells.q_minus(w[None])[0])
        w, count = w + np.where(go, pulse * q, 0.0), count + go.mean()
    assert fewest_pulses(made, 1e-12) == pytest.approx(count - 0.5, abs=0.5)
    assert fewest_pulses(made, 10.0) == 0.0


def test_random_methods_stay_in_their_ranges_and_repeat():
    ranges = {"alpha": (1e-3, 1e-1), "beta": (2e-3, 2e-3), "pulses": (100, 200), "every": (1, 8)}
    made = random_methods("two-stage", ranges, 200, seed=1)
    assert made == random_methods("two-stage", ranges, 200, seed=1)
    alpha = np.array([one.alpha for one in made])
    assert 1e-3 < alpha.min() < 2e-3
    assert 0.05 < alpha.max() < 0.1
    assert np.mean(alpha < 1e-2) == pytest.approx(0.5, abs=0.15)
    assert {one.transfer.every for one in made} == set(range(1, 9))
    assert all(one.beta == pytest.approx(2e-3 * one.transfer.every) for one in made)
    assert all(one.pulses % 2 == 0 and 100 <= one.pulses <= 200 for one in made)


def test_reading_less_often_keeps_the_rates_per_step():
    """W of two-stage after the same steps, read at every step or at every fourth: within the noise of W."""
    base = method("oracle")
    slow = reading_every(base, 4)
    assert (slow.beta, slow.transfer.every) == (4 * base.beta, 4)
    assert reading_every(method("o-rider"), 32).eta == method("o-rider").eta
    assert reading_every(method("rider", eta=0.5), 4).eta == 1.0
    averaged = replace(method("rider"), reference=Boxcar(length=40))
    assert reading_every(averaged, 4).reference == Boxcar(length=10)
    errors = []
    for chosen in (base, slow):
        tracker = Tracker(problem(), chosen, seed=0)
        tracker.run(3000, samples=10)
        errors.append(tracker.result.errors[-1, 0])
    assert errors[1] == pytest.approx(errors[0], rel=0.1)


def test_cheapest_looks_at_misses_first():
    costs = [[4.0, 9.0], [5.0, 5.0], [1.0, np.nan], [1.0, 100.0], [np.nan, np.nan]]
    assert cheapest(costs, 9) == [1, 0, 3, 2]
    assert cheapest(costs) == [1]
    assert cheapest([[np.nan]]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: first_passage(Run(problem(), method("sgd"), 0), [], max_steps=200),
        lambda: first_passage(Run(problem(), method("sgd"), 0), [0.0], max_steps=200),
        lambda: first_passage(Run(problem(), method("sgd"), 0), [0.1], max_steps=300),
        lambda: random_methods("sgd", {"alpha": (0.0, 1.0)}, 3),
        lambda: random_methods("sgd", {"beta": (0.1, 1.0)}, 3),
        lambda: reading_every(method("rider"), 0),
    ],
)
def test_refusals(wrong):
    with pytest.raises(ParameterError, match="must|unknown"):
        wrong()
