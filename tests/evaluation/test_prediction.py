"""Predicted error of the reference against runs in which W rests at its optimum, and why there is none."""

import numpy as np
import pytest
from scipy.signal import butter, firwin

from sptrack import preset
from sptrack.blocks import (
    CIC,
    EMA,
    FIR,
    SOS,
    Boxcar,
    Chain,
    Chopper,
    CustomFilter,
    Fixed,
    Kalman,
    MaximumLengthChopper,
    PeriodicChopper,
    PeriodMean,
    TrackingLoop,
    group_delay,
)
from sptrack.evaluation.explain import explain
from sptrack.evaluation.prediction import (
    chopper_of_reads,
    equivalent_rate,
    linear_reference,
    predict,
)
from sptrack.theory.chopping import sign_power
from sptrack.tracking import ProblemSettings, Tracker, Transfer, method, problem, with_settings

RESTING = with_settings(method("e-rider"), alpha=0.02, beta=0.0, gamma=0.0)
FILTERS = [
    EMA(eta=0.02, order=2),
    SOS(sos=butter(4, 0.02, output="sos")),
    FIR(taps=firwin(101, 0.01)),
    Boxcar(length=100),
    CIC(length=40, order=2),
    Chain(EMA(eta=0.05), Boxcar(length=30)),
    Kalman(read_std=1.0, drift_std=0.02),
    TrackingLoop(bandwidth=0.01, damping=0.7071),
]


def quiet(**settings):
    """A separable problem whose optimum is 0, where W starts: the gradient is noise alone while W rests."""
    return problem("separable", ProblemSettings(size=256, spread=0.0, **settings))


def measured(made, chosen, steps=20000):
    """Mean |Q - SP|^2 of a run after 5000 steps."""
    tracker = Tracker(made, chosen)
    tracker.run(5000, samples=1)
    tracker.run(steps, samples=100)
    return tracker.result.errors[1:, 2].mean()


@pytest.mark.compiled
@pytest.mark.parametrize("low_pass", FILTERS, ids=str)
@pytest.mark.parametrize("every", [1, 5])
def test_any_filter_errs_as_predicted(low_pass, every):
    """Loop time 1/(1 - a) about 310 steps: 256 * 20000/(2 * 310) independent values of a variance.

    4 sigma of the variance, which is relative sqrt(2/8258) = .0156, and 3 % for terms of higher order.
    """
    chosen = with_settings(RESTING, reference=low_pass, transfer=Transfer(every=every))
    made = quiet(read_noise=0.05)
    found = predict(made, chosen).reference
    assert (found.reason, found.warnings) == ("", ())
    assert measured(made, chosen) == pytest.approx(found.mse, rel=4 * 0.0156 + 0.03)


@pytest.mark.compiled
@pytest.mark.parametrize(
    "chopper",
    [
        PeriodicChopper(half_period=50, duty=0.2),
        PeriodicChopper(half_period=7, scope="column", stagger=3),
        MaximumLengthChopper(register=6),
        Chopper(p=0.1, scope="cell"),
    ],
    ids=str,
)
def test_at_rest_the_chopper_does_not_matter(chopper):
    """As above; the gradient is noise, whose sign the chopper does not change in law."""
    chosen = with_settings(RESTING, chopper=chopper)
    assert predict(quiet(), chosen).reference == predict(quiet(), RESTING).reference
    assert measured(quiet(), chosen) == pytest.approx(
        predict(quiet(), chosen).reference.mse, rel=4 * 0.0156 + 0.03
    )


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        (method("sgd"), "no reference"),
        (method("residual"), "fixed (zero)"),
        (method("rider"), "no chopper"),
        (with_settings(method("e-rider"), reference=Fixed()), "not a linear filter"),
        (with_settings(method("e-rider"), reference=Kalman(read_std=1.0)), "gain never settles"),
        (with_settings(method("e-rider"), alpha=20.0), "unstable"),
        (with_settings(method("e-rider"), reference=CustomFilter(update=lambda memory, x: x)), "response="),
        (with_settings(method("e-rider"), reference=SOS(sos=[[1.0, 0, 0, 1, -1, 0]])), "has not decayed"),
    ],
    ids=["no reference", "fixed", "no chopper", "fixed filter", "kalman", "unstable", "custom", "integrator"],
)
def test_what_is_not_predicted_says_why(chosen, text):
    found = predict(problem(), chosen).reference
    assert found.mse is None
    assert found.reason
    assert text in found.reason


def test_without_symmetric_points_nothing_is_predicted():
    made = problem(settings=ProblemSettings(size=6, device=preset("idealized")))
    for name in ("e-rider", "o-rider"):
        assert "symmetric point" in predict(made, method(name)).reference.reason


def test_observers_are_predicted_by_their_law():
    made, chosen = problem(), method("o-rider")
    found = predict(made, chosen, steps=5000)
    assert found.reference.mse == found.observer.rms**2
    assert explain(made, chosen, steps=5000)["observer_rms"] == found.observer.rms


def test_equivalent_rates():
    assert equivalent_rate(method("e-rider", eta=0.03)) == 0.03
    assert equivalent_rate(method("residual")) == 0.0
    loop = with_settings(method("e-rider"), reference=TrackingLoop(bandwidth=0.02))
    assert equivalent_rate(loop) == pytest.approx(2 * 0.02 / 1.02)
    boxcar = with_settings(method("e-rider"), reference=Boxcar(length=39))
    assert equivalent_rate(boxcar) == pytest.approx(2 / 40)
    slow = SOS(sos=butter(4, 0.02, output="sos"))
    chosen = with_settings(method("e-rider"), reference=slow)
    assert explain(problem(), chosen)["filter_time"] == pytest.approx(1 + float(group_delay(slow)))
    assert linear_reference(with_settings(chosen, reference=PeriodMean(eta=0.1))) == EMA(eta=0.1)


@pytest.mark.parametrize("low_pass", FILTERS[:-1], ids=str)
@pytest.mark.parametrize(
    "chopper", [PeriodicChopper(half_period=20, duty=0.3), MaximumLengthChopper(register=6)], ids=str
)
def test_the_share_that_passes_is_that_of_the_running_filter(low_pass, chopper):
    """Mean square of the filtered signs over whole periods, once settled: exact."""
    chosen = with_settings(method("e-rider"), reference=low_pass, chopper=chopper)
    signs = np.tile(chopper.pattern(), 2000 // chopper.period + 40)
    passed = low_pass.process(signs)[0][-10 * chopper.period :]
    assert explain(problem(), chosen)["chopped_fraction"] == pytest.approx(
        np.mean(passed**2), rel=1e-6, abs=1e-9
    )


def test_choppers_as_reads_see_them():
    chosen = with_settings(method("e-rider"), chopper=PeriodicChopper(half_period=12))
    assert chopper_of_reads(chosen, 4) == PeriodicChopper(half_period=3)
    telegraph = chopper_of_reads(with_settings(chosen, chopper=Chopper(p=0.1)), 3)
    assert telegraph.p == pytest.approx((1 - 0.8**3) / 2)
    signs = Chopper(p=0.1, seed=3).signs(0, 300000)[::3]
    assert sign_power(telegraph, EMA(eta=0.2)) == pytest.approx(
        np.mean(EMA(eta=0.2).process(signs.astype(float))[0][100:] ** 2), rel=0.02
    )
