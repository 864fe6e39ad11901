"""Rates: averages of a run against a plain sum over its records, the premise along it, settings by budget."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack import ParameterError
from sptrack.blocks import (
    CIC,
    EMA,
    FIR,
    Boxcar,
    Chain,
    GrowingBoxcar,
    LastSample,
    MaximumLengthChopper,
    PeriodicChopper,
    SteadyKalman,
)
from sptrack.evaluation.rates import for_steps, measure_rate, problem_premise, scaled, with_optimum
from sptrack.tracking import ProblemSettings, Tracker, Transfer, method, problem, track, with_settings
from sptrack.tracking.problems import mean_gradient


def _steps(made, chosen, steps, seed):
    """Every step by itself: W, P, Q after it, and the reference copy and chopper sign it used."""
    tracker, held, before, rows = Tracker(made, chosen, seed=seed), None, None, []
    held = previous = tracker.result.reference
    for _ in range(steps):
        one = tracker.record(1)
        flipped = before is not None and one.signs[0, 0] != before
        held = previous if chosen.sync or flipped else held
        rows.append((one.w[0], one.p[0], one.q[0], held, one.signs[0, 0]))
        previous, before = one.q[0], one.signs[0, 0]
    return rows


@pytest.mark.parametrize("name", ["rider", "e-rider", "o-rider", "two-stage"])
def test_a_rate_is_the_mean_over_the_steps(name, monkeypatch):
    """Chunks of 64 steps and a look at every step but the first of each, against a plain loop."""
    monkeypatch.setattr("sptrack.evaluation.rates._CHUNK", 64)
    monkeypatch.setattr("sptrack.evaluation.rates.LOOKS", 256)
    made = problem(settings=ProblemSettings(size=8, gradient_noise=0.003), seed=3)
    changes = {"p": 0.05} if name == "e-rider" else {"pulses": 300} if name == "two-stage" else {}
    chosen = method(name, **changes)
    found = measure_rate(made, chosen, 256, seed=5)
    w, p, q, held, sign = (np.array(row) for row in zip(*_steps(made, chosen, 256, 5), strict=True))
    asymmetry = made.p_cells.G(p[:, None])[:, 0] ** 2
    parts = [(w - made.optimum) ** 2, (p - q) ** 2, asymmetry, (q - made.p_cells.target.ravel()) ** 2]
    means = [float(part.mean()) for part in parts]
    assert (found.weights, found.residual, found.asymmetry, found.reference) == pytest.approx(means, rel=1e-5)
    assert found.total == pytest.approx(sum(means[:3]), rel=1e-5)
    last = sum(part[-25:].mean() for part in parts[:3])
    assert found.tail == pytest.approx(float(last), rel=1e-5)
    looks = np.array([k for k in range(256) if k % 64])
    mixed = w[looks - 1] + chosen.gamma * sign[looks, None] * (p[looks - 1] - held[looks])
    premise, means = problem_premise(made), mean_gradient(made, mixed)[:, None]
    assert found.premise == pytest.approx(premise.met(means).mean(), abs=2e-3)
    assert found.moving == pytest.approx(premise.met(means, premise.rest).mean(), abs=2e-3)
    assert 0 < found.moving < 1


def test_without_noise_the_premise_is_met_and_with_much_noise_never():
    for noise, share in ((0.0, 1.0), (0.5, 0.0)):
        made = problem(settings=ProblemSettings(gradient_noise=noise))
        assert measure_rate(made, method("rider"), 100).premise == share


def test_rider_falls_as_one_over_root_k_just_if_the_targets_lie_on_its_line():
    """Ideal W, no noise, 64 cells: from K = 2000 to 8000 the mean halves on the line, and stays elsewhere."""
    from analysis.rider_invariant import ideal_weights

    base = method("e-rider")
    chosen = method("rider", alpha=base.alpha, beta=base.beta, gamma=base.gamma, eta=base.eta)
    made = ideal_weights(problem(settings=ProblemSettings(gradient_noise=0.0)))
    on_line = with_optimum(made, base.beta / base.eta * made.p_cells.target.ravel())
    ratios = [
        measure_rate(one, for_steps(chosen, 8000), 8000).total
        / measure_rate(one, for_steps(chosen, 2000), 2000).total
        for one in (on_line, made)
    ]
    assert ratios[0] == pytest.approx(0.5, abs=0.03)
    assert ratios[1] > 0.95


def test_the_invariant_of_rider_is_that_of_an_ideal_w_alone():
    """W - (beta/eta) Q moves by less than .002 on each of 64 ideal cells, by over .1 rms on default ones.

    2000 steps; rms of 64 cells with a relative sigma below 9 %.
    """
    from analysis.rider_invariant import ideal_weights

    base = method("e-rider")
    chosen = method("rider", alpha=base.alpha, beta=base.beta, gamma=base.gamma, eta=base.eta)
    moved = []
    for made in (ideal_weights(problem()), problem()):
        end = track(made, chosen, 2000, samples=1)
        moved.append(end.weights - base.beta / base.eta * end.reference)
    assert np.abs(moved[0]).max() < 0.002
    assert np.sqrt(np.mean(moved[1] ** 2)) > 0.1


def test_the_premise_of_a_problem_is_over_the_way_of_p():
    made = problem(settings=ProblemSettings(size=5))
    premise, point = problem_premise(made), made.p_cells.symmetric_point
    ratio = []
    for cell, end in enumerate(point.ravel()):
        way = np.linspace(min(0, end) - 1e-3, max(0, end) + 1e-3, 1001)
        q = np.stack([made.p_cells.q_plus(way[:, None, None]), made.p_cells.q_minus(way[:, None, None])])
        ratio.append(q[..., cell].max() / q[..., cell].min())
    np.testing.assert_allclose(premise.ratio.ravel(), ratio, rtol=1e-4)
    assert (premise.convexity, premise.smoothness) == pytest.approx((0.2, 1.0), rel=1e-4)


def test_settings_by_budget():
    base = method("e-rider")
    quarter = for_steps(base, 80000)
    assert (quarter.alpha, quarter.beta, quarter.eta) == pytest.approx((0.025, 0.00125, 0.0025))
    assert (quarter.gamma, quarter.transfer.every) == (base.gamma, 1)
    assert quarter.chopper.p == pytest.approx(0.001)
    assert scaled(base, 1000.0).chopper.p == 0.5
    assert scaled(method("rider", eta=0.1), 100.0).eta == 1.0


def test_faster_means_fewer_steps_between_reads():
    base = method("o-rider")
    twice = scaled(base, 2.0)
    assert (twice.transfer.every, twice.beta) == (32, pytest.approx(base.beta))
    assert twice.eta == pytest.approx(2 * base.eta)
    column = with_settings(base, chop={"probability": 0.1, "scope": "column"}, transfer=Transfer(every=10))
    assert scaled(column, 2.0).chopper.p == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (EMA(eta=0.01, order=3), EMA(eta=0.02, order=3)),
        (Boxcar(length=40), Boxcar(length=20)),
        (CIC(length=41, order=2), CIC(length=20, order=2)),
        (GrowingBoxcar(length=39), GrowingBoxcar(length=19)),
        (SteadyKalman(drift_std=0.01, read_std=1.0), SteadyKalman(drift_std=0.02, read_std=1.0)),
        (Chain(EMA(eta=0.1), Boxcar(length=8)), Chain(EMA(eta=0.2), Boxcar(length=4))),
        (LastSample(), LastSample()),
    ],
    ids=str,
)
def test_filters_scale_their_rate_or_length(before, after):
    base = with_settings(method("e-rider"), reference=before, chopper=PeriodicChopper(half_period=30))
    twice = scaled(base, 2.0)
    assert twice.reference == after
    assert twice.chopper == PeriodicChopper(half_period=15)
    assert scaled(base, 1.0) == base


@pytest.mark.parametrize(
    "settings",
    [
        {"reference": FIR(taps=np.full(4, 0.25))},
        {"reference": Chain(EMA(eta=0.1), FIR(taps=np.full(4, 0.25)))},
        {"chopper": MaximumLengthChopper(register=4)},
    ],
)
def test_what_has_no_rate_is_not_scaled(settings):
    base = with_settings(method("e-rider"), **settings)
    assert scaled(base, 1.0) == base
    with pytest.raises(ParameterError, match="no rate|flips at given samples"):
        scaled(base, 2.0)


def test_a_moved_optimum_is_where_the_gradient_vanishes():
    made = with_optimum(problem(settings=ProblemSettings(size=6)), np.linspace(-0.5, 0.5, 6))
    np.testing.assert_allclose(mean_gradient(made, made.optimum), 0.0, atol=1e-7)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: measure_rate(problem(), method("sgd"), 100),
        lambda: measure_rate(problem(), method("rider"), 9),
        lambda: scaled(method("rider"), 0.0),
        lambda: for_steps(method("rider"), 0),
        lambda: with_optimum(problem("logistic", ProblemSettings(size=4)), np.zeros(4)),
        lambda: problem_premise(replace(problem(), gradient_noise=-1.0)),
    ],
)
def test_refusals(wrong):
    with pytest.raises(ParameterError, match="must|need"):
        wrong()
