"""Scores of a method: the numbers of a comparison, run by run, and what can be seen on the way."""

import numpy as np
import pytest

from sptrack import CostModel
from sptrack.design.scores import OBJECTIVES, Task, check_objectives, evaluate
from sptrack.errors import ParameterError
from sptrack.tracking import ProblemSettings, method
from sptrack.tracking.compare import compare

SETTINGS = ProblemSettings(size=8, read_noise=0.01)
TASK = Task(problem="separable", settings=SETTINGS, steps=2200, cost=CostModel(read=3.0))


@pytest.mark.parametrize("by_steps", [False, True])
@pytest.mark.parametrize("name", ["e-rider", "two-stage", "sgd"])
def test_scores_are_those_of_a_comparison(name, by_steps):
    data = compare([name], "separable", SETTINGS, 2200, seeds=3, seed=5, cost=TASK.cost, threads=1)[
        {"method": 0}
    ]
    scores = evaluate(method(name), TASK, range(5, 8), by_steps=by_steps)
    assert list(scores) == list(OBJECTIVES)
    for key in ("w", "q"):
        tail = data[f"{key}_error"][:, -1:].mean("sample")  # a tenth of 11 samples is one
        np.testing.assert_array_equal(scores[key], tail)
    for key in ("pulses", "reads", "programs", "cost"):
        np.testing.assert_allclose(scores[key], data[key][:, -1] / 8, rtol=1e-14)
    assert np.isnan(scores["q"]).all() == (name == "sgd")


def test_after_every_run_one_sees_the_scores_so_far():
    seen = []
    whole = evaluate(method("e-rider"), TASK, range(3), watch=seen.append)
    assert [len(scores["w"]) for scores in seen] == [1, 2]
    np.testing.assert_array_equal(seen[1]["w"], whole["w"][:2])


def test_after_every_stretch_one_sees_the_error_there():
    seen = []
    evaluate(method("e-rider"), TASK, range(3), by_steps=True, watch=seen.append)
    steps = 200 * np.cumsum(TASK.stretches)
    assert steps.tolist() == [400, 800, 1200, 1600, 2200]
    assert len(seen) == 4
    for scores, here in zip(seen, steps, strict=False):
        shorter = Task(problem="separable", settings=SETTINGS, steps=int(here), cost=TASK.cost)
        expected = evaluate(method("e-rider"), shorter, range(3))
        np.testing.assert_allclose(scores["w"], expected["w"], rtol=1e-14)
        np.testing.assert_array_equal(scores["cost"], expected["cost"])


def test_what_watching_raises_ends_the_evaluation():
    def stop(scores):
        raise StopIteration

    with pytest.raises(StopIteration):
        evaluate(method("e-rider"), TASK, range(3), watch=stop)


@pytest.mark.parametrize(
    ("objectives", "name", "says"),
    [
        (("w", "pulse"), "e-rider", "did you mean 'pulses'"),
        (("w", "w"), "e-rider", "different names"),
        ((), "e-rider", "one or more"),
        (("q",), "sgd", "no estimate"),
        (("q",), "residual", "no estimate"),
    ],
)
def test_refused_objectives(objectives, name, says):
    with pytest.raises(ParameterError, match=says):
        check_objectives(objectives, method(name))


def test_steps_are_whole_samples():
    with pytest.raises(ParameterError, match="multiple of 200"):
        Task(steps=300)
