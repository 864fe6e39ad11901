"""Explanations: formulas against closed forms and against simulation."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack import preset
from sptrack.devices import Drift
from sptrack.evaluation.explain import explain
from sptrack.evaluation.rates import problem_premise
from sptrack.tracking import (
    METHODS,
    Method,
    ProblemSettings,
    Tracker,
    method,
    problem,
    track,
    with_settings,
)
from sptrack.tracking.problems import default_device

QUIET = problem(settings=ProblemSettings(size=256, spread=0.0), name="separable")
"""Optimum 0, where W starts: the gradient is noise alone as long as W rests."""


def test_a_periodic_chopper_is_explained():
    made = explain(problem(), with_settings(method("e-rider"), half_period=500))
    assert (made["chopper_period"], made["programs"]) == (1000, 1 / 500)
    assert 0 < made["chopped_fraction"] < 1
    assert made.warnings == ()


def _rest(**settings) -> tuple[Tracker, Method]:
    """A tracker whose W never moves, after P has forgotten its start."""
    chosen = with_settings(method("rider"), beta=0.0, gamma=0.0, **settings)
    tracker = Tracker(QUIET, chosen)
    tracker.run(5000)
    return tracker, chosen


@pytest.mark.parametrize("alpha", [0.02, 0.004, 0.0008])
def test_pulses_and_fluctuation_of_p_are_those_of_a_run(alpha):
    """Q = P with eta = 1. 256 cells, 10000 steps, loop time 1/(1 - a): some 256 (1 - a) 1e4/2 independent
    values.

    Tolerance of the variance: 4 sigma of those, and 2 % for the terms of higher order.
    """
    tracker, chosen = _rest(alpha=alpha, eta=1.0)
    made = explain(QUIET, chosen)
    extra = int(5 / (1 - made["loop_pole"]) / 100 + 1) * 100
    tracker.run(extra, samples=1)
    before = tracker.ledger.total("pulses", array="P")
    tracker.run(10000)
    per_step = (tracker.ledger.total("pulses", array="P") - before) / 256 / 10000
    assert per_step == pytest.approx(made["pulses_optimum"], rel=0.01)
    variance = tracker.result.errors[-100:, 2].mean()
    count = 256 * max(1.0, (1 - made["loop_pole"]) * 10000 / 2)
    assert variance == pytest.approx(made["p_rms"] ** 2, rel=4 * np.sqrt(2 / count) + 0.02)


def test_fluctuation_of_q_is_that_of_a_run():
    """As above, with eta = 0.005 the slower pole."""
    tracker, chosen = _rest(alpha=0.02, eta=0.005)
    tracker.run(10000)
    variance = tracker.result.errors[-100:, 2].mean()
    predicted = explain(QUIET, chosen)["reference_rms"] ** 2
    assert variance == pytest.approx(predicted, rel=4 * np.sqrt(2 / (256 * 12.5)) + 0.05)


def test_loop_pole_of_the_default():
    made = explain(problem(), method("e-rider"))
    slopes = problem().p_cells.linear
    slope = (slopes.slope_down - slopes.slope_up).mean() / 2 / 0.001
    assert made["loop_pole"] == pytest.approx(1 - 0.05 * 0.2 * np.sqrt(2 / np.pi) * slope)
    assert made["pulses_optimum"] == pytest.approx(50 * 0.2 * np.sqrt(2 / np.pi))
    assert (made["chopper_period"], made["filter_time"], made["programs"]) == (1000, 200, 0.002)


def test_thresholds_in_weight_units_and_pulses():
    made = explain(problem(), method("tt-v2", beta=0.02, threshold=0.003))
    assert made["threshold"] == 0.003
    assert made["threshold_displacement"] == pytest.approx(0.15)
    assert made["threshold_pulses"] == pytest.approx(0.15 / made["pulse_worth"])
    assert made["transfer_interval"] == 64


def test_largest_curvature_shows_in_the_residual_pole():
    settings = ProblemSettings(low=1.0, high=3.0)
    chosen = method("oracle", alpha=0.1, gamma=2.0)
    made = explain(problem(settings=settings), chosen)
    q0 = problem(settings=settings).p_cells.F(problem(settings=settings).p_cells.symmetric_point)
    drop = made["loop_pole_worst"] - made["loop_pole_residual"]
    assert drop == pytest.approx(0.1 * 2.0 * 3.0 * q0.max(), rel=0.02)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (method("e-rider"), []),
        (method("agad"), []),
        (method("o-rider"), []),
        (method("e-rider", alpha=20.0), ["unstable pole"]),
        (method("e-rider", eta=0.9), ["filter faster"]),
        (method("e-rider", alpha=0.001), ["drive below one pulse"]),
        (method("rider", alpha=0.05), ["without a chopper", "premise of T3.7 cannot hold"]),
        (method("tt-v2", alpha=0.05, beta=1e-8), ["buffer never"]),
        (method("tt-v2", alpha=0.05, beta=0.0), ["buffer never"]),
        (method("oracle", alpha=0.05, gamma=60.0), ["loop_pole_residual"]),
    ],
    ids=str,
)
def test_warnings(chosen, words):
    found = explain(problem(), chosen).warnings
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", ["logistic", "least-squares"])
def test_every_method_is_explained(name, kind):
    made = explain(problem(kind, ProblemSettings(size=6)), method(name))
    assert made["pulse_worth"] > 0
    with pytest.raises(KeyError):
        made["nothing"]


def test_cells_without_symmetric_point_are_said_so():
    settings = ProblemSettings(size=6, device=preset("idealized"))
    made = explain(problem(settings=settings), method("agad"))
    assert made["loop_pole"] is None
    assert made.warnings[0].startswith("no symmetric point")


def test_the_premise_is_explained_where_there_is_a_filter():
    made = explain(problem(), method("rider"))
    premise = problem_premise(problem())
    assert made["premise_level"] == pytest.approx(np.median(4 * np.sqrt(2) * premise.ratio**1.5))
    assert made["premise_optimum"] == pytest.approx(0.2 * np.sqrt(2 / np.pi))
    assert (made["premise_start"], made["premise_distance"]) == (0.0, premise.least_distance)
    assert made["premise_level"] == explain(problem(), method("e-rider"))["premise_level"]
    for name in ("two-stage", "o-rider"):
        with pytest.raises(KeyError):
            explain(problem(), method(name))["premise_level"]
    assert explain(problem(), method("o-rider"))["observer_memory"] == pytest.approx(5000)


def test_without_gradient_noise_the_premise_holds_at_the_start_and_ends_at_the_optimum():
    made = explain(problem(settings=ProblemSettings(gradient_noise=0.0)), method("rider"))
    assert (made["premise_level"], made["premise_start"], made["premise_distance"]) == (0.0, 1.0, 0.0)
    assert "premise of T3.7 ends at the optimum" in made.warnings[-1]


@pytest.mark.compiled
def test_drift_is_explained():
    """Lag and error of Q under drift: those of the theory, and of a run at the optimum within 10 %."""
    device = replace(default_device(), drift=Drift(per_step=1e-4, per_pulse=1e-6))
    made = problem("separable", ProblemSettings(device=device, spread=0.0, size=256))
    chosen = method("rider", alpha=0.05, beta=0.0, gamma=0.0, eta=0.02)
    told = explain(made, chosen)
    assert told["reference_lag"] == pytest.approx(1 / (1 - told["loop_pole"]) + 49, rel=1e-9)
    assert told["drift"] == pytest.approx(1e-4 + 1e-6 * told["pulses_optimum"], rel=1e-9)
    assert told["drift_rms"] == pytest.approx(told["drift"] * told["reference_lag"], rel=1e-9)
    lags = []
    for one in (made, problem("separable", ProblemSettings(spread=0.0, size=256))):
        tracker = Tracker(one, chosen)
        tracker.run(2000, samples=1)
        recording = tracker.record(2000)
        lags.append(np.mean(recording.target - recording.q))
    assert lags[0] - lags[1] == pytest.approx(told["drift_rms"], rel=0.1)
    with pytest.raises(KeyError):
        explain(problem("separable"), chosen)["drift"]
    assert explain(made, method("o-rider"))["reference_lag"] == pytest.approx(1 / 0.0002, rel=0.01)


def test_an_observer_is_predicted_as_it_is_measured():
    """rms of Q over three runs within a factor of two of the error law, with and without reading noise."""
    for read_noise in (0.0, 0.02):
        settings = ProblemSettings(read_noise=read_noise)
        expected = explain(problem(settings=settings), method("o-rider"))["observer_rms"]
        errors = [
            track(problem(settings=settings, seed=seed), method("o-rider"), 20000, seed=seed).tail()[2]
            for seed in (200, 201, 202)
        ]
        assert 0.5 < np.sqrt(np.mean(errors)) / expected < 2


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"read_noise": 0.02, "every": 1}, "read noise adds"),
        ({"every": 1000}, "reads too rare"),
        ({"alpha": 1e-7}, "no excitation"),
        ({"gradient_noise": 0.0}, "no excitation"),
    ],
)
def test_warnings_of_an_observer(settings, text):
    chosen = {name: value for name, value in settings.items() if name in ("every", "alpha")}
    rest = {name: value for name, value in settings.items() if name not in chosen}
    made = explain(problem(settings=ProblemSettings(**rest)), method("o-rider", **chosen))
    assert any(text in warning for warning in made.warnings)
    plain = explain(problem(), method("o-rider"))
    assert plain.warnings == ()
    assert plain["reads_per_step"] == 1 / 64
