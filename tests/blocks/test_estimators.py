"""One truth-recovery suite over all estimators of the symmetric point, then what is particular to each."""

import numpy as np
import pytest

from sptrack.blocks import (
    EMA,
    Boxcar,
    Chopper,
    CorrectedEMA,
    CustomFilter,
    Fixed,
    GrowingBoxcar,
    Kalman,
    LastSample,
    PeriodicChopper,
    PeriodMean,
    SPEstimator,
    SteadyKalman,
)
from sptrack.errors import ParameterError
from tests.blocks.zoo import SETTLING, of

CELLS, READS, HALF = 400, 800, 20
SIGNAL, NOISE = 0.3, 0.1
PERIODIC = PeriodicChopper(half_period=HALF, clock="read")


def average(memory, x, eta):
    """An exponential average as a user writes it."""
    memory[0] += eta * (x - memory[0])
    return memory[0]


ESTIMATORS = {
    "fixed": Fixed(),
    "last": LastSample(),
    "ema": EMA(eta=0.02),
    "ema order 2": EMA(eta=0.04, order=2),
    "corrected": CorrectedEMA(eta=0.02),
    "boxcar": GrowingBoxcar(length=80),
    "boxcar over periods": Boxcar.over(PERIODIC, periods=2),
    "period mean": PeriodMean(eta=0.25),
    "kalman": Kalman(read_std=0.4, drift_std=0.004),
    "custom": CustomFilter(update=average, parameters={"eta": 0.02}),
}
STD = {
    # per cell, of the mean over the last whole period (at most that of one reference); Kalman: gain 0.01
    "fixed": 0.0,
    "last": NOISE / np.sqrt(2 * HALF),
    "ema": NOISE * np.sqrt(0.02 / 1.98),
    "ema order 2": NOISE * np.sqrt(0.04 / 1.96**3 * (1 + 0.96**2)),
    "corrected": NOISE * np.sqrt(0.02 / 1.98),
    "boxcar": NOISE / np.sqrt(80),
    "boxcar over periods": NOISE / np.sqrt(80),
    "period mean": NOISE * np.sqrt(0.25 / 1.75 / 2),
    "kalman": NOISE * np.sqrt(0.01 / 1.99),
    "custom": NOISE * np.sqrt(0.02 / 1.98),
}


@pytest.fixture(scope="module")
def chopped():
    """Symmetric points, and reads of them with a chopped signal and noise, all cells in step."""
    rng = np.random.default_rng(7)
    truth = rng.uniform(-0.5, 0.5, CELLS)
    signs = PERIODIC.signs(0, READS)
    reads = truth + SIGNAL * signs[:, None] + NOISE * rng.normal(size=(READS, CELLS))
    return truth, reads


@pytest.mark.compiled
@pytest.mark.parametrize("name", ESTIMATORS)
def test_recovers_the_symmetric_point(name, chopped):
    """Mean over the last period: unbiased within 5 sigma over 400 cells, each cell within 5 sigma."""
    estimator, (truth, reads) = ESTIMATORS[name], chopped
    start = truth if isinstance(estimator, Fixed) else 0.0
    state = estimator.init(CELLS, start)
    references, _ = estimator.process(reads, state, PERIODIC.flips(0, READS))
    error = references[-2 * HALF :].mean(axis=0) - truth
    std = STD[name]
    assert abs(error.mean()) <= 5 * std / np.sqrt(CELLS) + 1e-12
    assert np.abs(error).max() <= 5 * std + 1e-12


@pytest.mark.parametrize("name", ESTIMATORS)
def test_exact_on_reads_of_the_point_alone(name):
    """No noise, no chopper: every estimator ends at the point, from whatever start."""
    estimator, truth = ESTIMATORS[name], np.array([0.4, -0.7])
    start = truth if isinstance(estimator, Fixed) else 0.1
    flips = np.arange(600) % 20 == 19
    y, _ = estimator.process(np.tile(truth, (600, 1)), estimator.init(2, start), flips)
    np.testing.assert_allclose(y[-1], truth, atol=2e-4)


@pytest.mark.parametrize(
    "estimator", [GrowingBoxcar(length=80), PeriodMean(eta=0.4), CorrectedEMA(eta=0.1)], ids=str
)
def test_told_of_a_chopper_it_is_the_estimator_with_its_flips(estimator):
    chopper = Chopper(p=0.2, scope="cell", seed=3)
    reads = np.random.default_rng(3).normal(size=(100, 4))
    expected, _ = estimator.process(reads, flips=chopper.flips(0, 100, 4))
    told = SPEstimator(estimator=estimator, chopper=chopper)
    np.testing.assert_array_equal(told.process(reads)[0], expected)


def test_ema_starts_from_its_initial_reference():
    estimator = EMA(eta=0.1)
    y, _ = estimator.process(np.zeros(20), estimator.init((), 0.8))
    np.testing.assert_allclose(y, 0.8 * 0.9 ** np.arange(1, 21), rtol=1e-12)


@pytest.mark.parametrize("estimator", [CorrectedEMA(eta=0.1), GrowingBoxcar(length=9)], ids=str)
def test_an_initial_reference_counts_until_the_first_read(estimator):
    reads = np.random.default_rng(4).normal(size=(50, 2))
    expected, _ = estimator.process(reads)
    np.testing.assert_allclose(estimator.process(reads, estimator.init(2, 0.7))[0], expected, atol=1e-14)


def test_last_and_fixed():
    reads = np.arange(5.0)
    np.testing.assert_array_equal(LastSample().process(reads)[0], reads)
    np.testing.assert_array_equal(Fixed().process(reads, Fixed().init((), 0.3))[0], 0.3)


def test_period_mean_takes_its_running_mean_at_flips():
    reads, flips = np.random.default_rng(6).normal(size=40), np.arange(40) % 8 == 7
    running, reference, expected = 0.0, 0.0, []
    for read, flip in zip(reads, flips, strict=True):
        reference = running if flip else reference
        running = (1 - 5 / 8) * running + 5 / 8 * read
        expected.append(reference)
    y, _ = PeriodMean.over(8.0, tail=5.0).process(reads, flips=flips)
    np.testing.assert_allclose(y, expected, atol=1e-14)
    assert PeriodMean.over(8.0, tail=100.0).eta == 1.0


def test_period_mean_sees_the_last_sign_but_two_of_them_do_not():
    point, g = 0.2, 0.3
    reads = point + g * PERIODIC.signs(0, READS)
    estimator = PeriodMean.over(HALF, tail=2.0)
    y, _ = estimator.process(reads, flips=PERIODIC.flips(0, READS))
    settled = (1 - estimator.eta) ** HALF
    offset = g * (1 - settled) / (1 + settled)
    np.testing.assert_allclose(
        np.unique(y[-2 * HALF :].round(12)), [point - offset, point + offset], atol=1e-11
    )


def test_kalman_is_the_least_squares_mean_without_drift():
    """With prior N(0, v0) and n reads the mean is v0 sum / (n v0 + n_r): the Gaussian posterior."""
    reads = np.random.default_rng(8).normal(size=30)
    n = np.arange(1, 31)
    y, state = Kalman(read_std=0.5, initial_std=2.0).process(reads)
    np.testing.assert_allclose(y, 4.0 * np.cumsum(reads) / (4.0 * n + 0.25), rtol=1e-12)
    assert state.memory[1] == pytest.approx(4.0 * 0.25 / (4.0 * 30 + 0.25))


def test_kalman_ends_as_the_steady_one():
    estimator = Kalman(read_std=0.5, drift_std=0.2)
    _, state = estimator.process(np.zeros(100))
    assert state.memory[1] == pytest.approx(SteadyKalman(drift_std=0.2, read_std=0.5).error_variance)
    with pytest.raises(ParameterError, match="without drift its gain never settles"):
        _ = Kalman(read_std=0.5).settled


@pytest.mark.parametrize("estimator", **of(SETTLING))
def test_its_noise_is_that_of_its_settled_form(estimator):
    """Variance of white noise of variance 1 after 100 reads in 20000 cells, within 5 sigma (5 %)."""
    reads = np.random.default_rng(9).normal(size=(101, 20_000)).astype(np.float32)
    y, _ = estimator.process(reads)
    omega = 2 * np.pi * np.arange(4096) / 4096
    expected = np.mean(np.abs(estimator.settled.frequency_response(omega)) ** 2)
    assert np.var(y[-1]) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: PeriodMean(eta=0.0), "eta must .*got 0.0"),
        (lambda: PeriodMean.over(0.5), "period must .*got 0.5"),
        (lambda: PeriodMean.over(5.0, tail=0.0), "tail must .*got 0.0"),
        (lambda: Kalman(read_std=0.0), "read_std must .*got 0.0"),
        (lambda: Kalman(read_std=1.0, drift_std=-1.0), "drift_std must .*got -1.0"),
        (lambda: Kalman(read_std=1.0, initial_std=np.inf), "initial_std must .*got inf"),
        (lambda: LastSample().process([1.0, np.nan]), r"x\[1\] must .*got nan"),
    ],
)
def test_refusals(make, text):
    with pytest.raises(ParameterError, match=text):
        make()
