"""Explanations: formulas against closed forms and against simulation."""

import numpy as np
import pytest

from sptrack import preset
from sptrack.explain import (
    explain,
    loop_pole,
    mean_size,
    passed_share,
    passed_share_periodic,
    periodic_gain,
    telegraph_gain,
)
from sptrack.tracking import (
    METHODS,
    Chop,
    Method,
    ProblemSettings,
    Tracker,
    method,
    problem,
    track,
    with_settings,
)

QUIET = problem(settings=ProblemSettings(size=256, spread=0.0), name="separable")
"""Optimum 0, where W starts: the gradient is noise alone as long as W rests."""


def test_mean_size_at_its_limits_and_by_quadrature():
    nodes = np.linspace(-8, 8, 40001)
    for mean, std in ((0.3, 1.0), (1.0, 0.3), (0.0, 0.2)):
        density = np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi)
        direct = np.sum(density * np.abs(mean + std * nodes)) * 16 / 40000
        assert mean_size(mean, std) == pytest.approx(direct, rel=1e-5)
    np.testing.assert_array_equal(mean_size([-0.5, 0.5], 0.0), 0.5)


@pytest.mark.parametrize(("pole", "eta"), [(0.95, 0.02), (-0.3, 0.4), (0.9, 1.0)])
def test_passed_share_is_the_energy_behind_both_poles(pole, eta):
    """White noise through a pole, then through the filter: energies of the impulse responses."""
    first = pole ** np.arange(3000)
    second = np.convolve(first, eta * (1 - eta) ** np.arange(3000))[:3000]
    assert passed_share(pole, eta) == pytest.approx(np.sum(second**2) / np.sum(first**2))


def test_passed_share_at_its_limits():
    assert passed_share(0.0, 0.1) == pytest.approx(0.1 / 1.9)
    assert passed_share(1.0, 0.1) == pytest.approx(1.0)
    assert passed_share(1.1, 0.1) == passed_share(np.nan, 0.1) == np.inf


def test_telegraph_gain_is_that_of_the_recursion():
    """Mean of c x' over 4e6 steps of 40 chains; its std over the chains gives the error of the mean."""
    a, p, drive = 0.98, 0.02, 0.01
    rng = np.random.default_rng(1)
    c, x, total = np.ones(40), np.zeros(40), np.zeros(40)
    for step in range(101000):
        c = np.where(rng.random(40) < p, -c, c)
        x = a * x - drive * c
        total += c * x if step >= 1000 else 0.0
    mean = total / 100000
    predicted = -drive * telegraph_gain(a, 1 - 2 * p)
    assert abs(mean.mean() - predicted) < 4 * mean.std(ddof=1) / np.sqrt(40)
    assert 4 * mean.std(ddof=1) / np.sqrt(40) < 0.02 * abs(predicted)


@pytest.mark.parametrize(("pole", "half"), [(0.98, 25), (0.7, 1), (0.999, 7)])
def test_periodic_gain_and_share_are_those_of_the_recursion(pole, half):
    """Sums over the last period of a deterministic run; pole = 1 - eta makes the loop the filter, over
    eta."""
    c = np.where(np.arange(2 * half * 3000) // half % 2 == 0, 1.0, -1.0)
    x = np.zeros(len(c) + 1)
    for k, sign in enumerate(c):
        x[k + 1] = pole * x[k] + sign
    last = slice(-2 * half, None)
    assert periodic_gain(pole, half) == pytest.approx(np.mean(c[last] * x[1:][last]), rel=1e-6)
    share = np.mean((x[1:][last] * (1 - pole)) ** 2)
    assert passed_share_periodic(half, 1 - pole) == pytest.approx(share, rel=1e-6)


def test_gains_agree_where_the_choppers_are_the_same():
    """Flipping at every step is a telegraph with p = 1 and a half period of 1."""
    assert periodic_gain(0.8, 1) == pytest.approx(telegraph_gain(0.8, -1.0))
    assert periodic_gain(1.0, 50) == pytest.approx(periodic_gain(1 - 1e-7, 50), rel=1e-3)
    assert telegraph_gain(1.0, 1.0) == np.inf
    assert (passed_share_periodic(7, 0.0), passed_share_periodic(7, 1.0)) == (0.0, 1.0)


def test_a_periodic_chopper_is_explained():
    made = explain(problem(), with_settings(method("e-rider"), chop=Chop(half_period=500)))
    assert (made["chopper_period"], made["programs"]) == (1000, 1 / 500)
    assert 0 < made["chopped_share"] < 1
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
    assert variance == pytest.approx(made["fast_rms"] ** 2, rel=4 * np.sqrt(2 / count) + 0.02)


def test_fluctuation_of_q_is_that_of_a_run():
    """As above, with eta = 0.005 the slower pole."""
    tracker, chosen = _rest(alpha=0.02, eta=0.005)
    tracker.run(10000)
    variance = tracker.result.errors[-100:, 2].mean()
    predicted = explain(QUIET, chosen)["reference_rms"] ** 2
    assert variance == pytest.approx(predicted, rel=4 * np.sqrt(2 / (256 * 12.5)) + 0.05)


def test_loop_pole_of_the_default():
    made = explain(problem(), method("e-rider"))
    slopes = problem().fast.linear
    slope = (slopes.slope_down - slopes.slope_up).mean() / 2 / 0.001
    assert made["loop_pole"] == pytest.approx(1 - 0.05 * 0.2 * np.sqrt(2 / np.pi) * slope)
    assert made["pulses_optimum"] == pytest.approx(50 * 0.2 * np.sqrt(2 / np.pi))
    assert loop_pole(0.0, 1.0, 1.0) == 1.0
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
    q0 = problem(settings=settings).fast.F(problem(settings=settings).fast.symmetric_point)
    drop = made["loop_pole_worst"] - made["loop_pole_residual"]
    assert drop == pytest.approx(0.1 * 2.0 * 3.0 * q0.max(), rel=0.02)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (method("e-rider"), []),
        (method("agad"), []),
        (method("e-rider", alpha=20.0), ["unstable pole"]),
        (method("e-rider", eta=0.9), ["filter faster"]),
        (method("e-rider", alpha=0.001), ["drive below one pulse"]),
        (method("rider", alpha=0.05), ["without a chopper"]),
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
