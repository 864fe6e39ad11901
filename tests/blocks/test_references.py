"""One truth-recovery suite over all reference estimators, then what is particular to each."""

import numpy as np
import pytest
from scipy import signal

from sptrack.blocks import (
    BoxcarReference,
    Chopper,
    CorrectedEMA,
    EMAReference,
    FixedReference,
    KalmanReference,
    LastReference,
    PeriodicChopper,
    PeriodMeanReference,
    ReferenceTracker,
    SteadyKalman,
)
from sptrack.errors import ParameterError
from tests.blocks.zoo import ESTIMATORS, name

CELLS, READS, HALF = 400, 800, 20
SIGNAL, NOISE = 0.3, 0.1
PERIODIC = PeriodicChopper(half_period=HALF, clock="read")
STD = {
    # per cell, of the mean over the last whole period (at most that of one reference); Kalman: gain 0.01
    "FixedReference": 0.0,
    "LastReference": NOISE / np.sqrt(2 * HALF),
    "EMAReference": NOISE * np.sqrt(0.02 / 1.98),
    "BoxcarReference": NOISE / np.sqrt(80),
    "PeriodMeanReference": NOISE * np.sqrt(0.25 / 1.75 / 2),
    "KalmanReference": NOISE * np.sqrt(0.01 / 1.99),
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
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name)
def test_recovers_the_symmetric_point(estimator, chopped):
    """Mean over the last period: unbiased within 5 sigma over 400 cells, each cell within 5 sigma."""
    truth, reads = chopped
    start = truth if isinstance(estimator, FixedReference) else 0.0
    state = estimator.init(CELLS, np.float64, initial=start)
    references, _ = estimator.process(reads, state, PERIODIC.flips(0, READS))
    error = references[-2 * HALF :].mean(axis=0) - truth
    std = STD[name(estimator)]
    assert abs(error.mean()) <= 5 * std / np.sqrt(CELLS) + 1e-12
    assert np.abs(error).max() <= 5 * std + 1e-12


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name)
def test_exact_on_reads_of_the_point_alone(estimator):
    """No noise, no chopper: every estimator ends at the point, from whatever start."""
    truth = np.array([0.4, -0.7])
    start = truth if isinstance(estimator, FixedReference) else 0.1
    flips = np.arange(600) % 20 == 19
    y, _ = estimator.process(np.tile(truth, (600, 1)), estimator.init(2, np.float64, start), flips)
    np.testing.assert_allclose(y[-1], truth, atol=2e-4)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reads_cut_anywhere_give_the_same_bytes(estimator, dtype):
    reads = np.random.default_rng(2).normal(size=(200, 2, 3)).astype(dtype)
    reads.flags.writeable = False
    flips = Chopper(p=0.1, scope="cell").flips(0, 200, (2, 3))
    whole, end = estimator.process(reads, flipped=flips)
    state, parts = None, []
    for first, last in ((0, 1), (1, 90), (90, 170), (170, 199)):
        y, state = estimator.process(reads[first:last], state, flips[first:last])
        parts.append(y)
    state, y = estimator.step(state, reads[199], flips[199])
    assert np.concatenate([*parts, y[None]]).tobytes() == whole.tobytes()
    assert whole.dtype == dtype
    assert state.memory.tobytes() == end.memory.tobytes()
    np.testing.assert_array_equal(end.memory[0], whole[-1])


@pytest.mark.parametrize("estimator", [ESTIMATORS[4], ESTIMATORS[5]], ids=name)
def test_tracker_in_a_chain_is_the_estimator_told_of_the_flips(estimator):
    chopper = Chopper(p=0.2, scope="cell", seed=3)
    reads = np.random.default_rng(3).normal(size=(100, 4))
    expected, _ = estimator.process(reads, flipped=chopper.flips(0, 100, 4))
    tracker = ReferenceTracker(estimator=estimator, chopper=chopper)
    np.testing.assert_array_equal(tracker.process(reads)[0], expected)


def test_ema_starts_from_its_initial_reference():
    estimator = EMAReference(eta=0.1)
    y, _ = estimator.process(np.zeros(20), estimator.init((), np.float64, 0.8))
    np.testing.assert_allclose(y, 0.8 * 0.9 ** np.arange(1, 21), rtol=1e-12)


def test_corrected_ema_is_the_filter():
    reads = np.random.default_rng(4).normal(size=(50, 2))
    estimator = EMAReference(eta=0.1, corrected=True)
    state = estimator.init(2, np.float64, 0.7)
    expected, _ = CorrectedEMA(eta=0.1).process(reads)
    np.testing.assert_allclose(estimator.process(reads, state)[0], expected, atol=1e-14)


def test_boxcar_averages_all_reads_until_it_is_full():
    reads = np.random.default_rng(5).normal(size=(60, 3))
    y, _ = BoxcarReference(length=7).process(reads)
    expected = signal.lfilter(np.ones(7), 1, reads, axis=0) / np.minimum(np.arange(1, 61), 7)[:, None]
    np.testing.assert_allclose(y, expected, atol=1e-13)


def test_last_and_fixed():
    reads = np.arange(5.0)
    np.testing.assert_array_equal(LastReference().process(reads)[0], reads)
    fixed = FixedReference()
    np.testing.assert_array_equal(fixed.process(reads, fixed.init((), np.float64, 0.3))[0], 0.3)


def test_period_mean_takes_its_running_mean_at_flips():
    reads, flips = np.random.default_rng(6).normal(size=40), np.arange(40) % 8 == 7
    running, reference, expected = 0.0, 0.0, []
    for read, flip in zip(reads, flips, strict=True):
        reference = running if flip else reference
        running = (1 - 5 / 8) * running + 5 / 8 * read
        expected.append(reference)
    y, _ = PeriodMeanReference(period=8.0, tail=5.0).process(reads, flipped=flips)
    np.testing.assert_allclose(y, expected, atol=1e-14)
    assert PeriodMeanReference(period=8.0, tail=100.0).eta == 1.0


def test_period_mean_sees_the_last_sign_but_two_of_them_do_not():
    point, g = 0.2, 0.3
    reads = point + g * PERIODIC.signs(0, READS)
    estimator = PeriodMeanReference(period=float(HALF), tail=2.0)
    y, _ = estimator.process(reads, flipped=PERIODIC.flips(0, READS))
    settled = (1 - estimator.eta) ** HALF
    offset = g * (1 - settled) / (1 + settled)
    np.testing.assert_allclose(
        np.unique(y[-2 * HALF :].round(12)), [point - offset, point + offset], atol=1e-11
    )


def test_kalman_is_the_least_squares_mean_without_drift():
    """With prior N(0, v0) and n reads the mean is v0 sum / (n v0 + n_r): the Gaussian posterior."""
    reads = np.random.default_rng(8).normal(size=30)
    n = np.arange(1, 31)
    y, state = KalmanReference(read_std=0.5, initial_std=2.0).process(reads)
    np.testing.assert_allclose(y, 4.0 * np.cumsum(reads) / (4.0 * n + 0.25), rtol=1e-12)
    assert state.memory[1] == pytest.approx(4.0 * 0.25 / (4.0 * 30 + 0.25))


def test_kalman_ends_as_the_steady_one():
    estimator = KalmanReference(read_std=0.5, drift_std=0.2)
    _, state = estimator.process(np.zeros(100))
    assert state.memory[1] == pytest.approx(SteadyKalman(drift_std=0.2, read_std=0.5).error_variance)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: EMAReference(eta=0.0), "eta = 0.0"),
        (lambda: BoxcarReference(length=0), "length = 0"),
        (lambda: PeriodMeanReference(period=0.5), "period = 0.5"),
        (lambda: PeriodMeanReference(period=5.0, tail=0.0), "tail = 0.0"),
        (lambda: KalmanReference(read_std=0.0), "read_std = 0.0"),
        (lambda: KalmanReference(read_std=1.0, drift_std=-1.0), "drift_std = -1.0"),
        (lambda: KalmanReference(read_std=1.0, initial_std=np.inf), "initial_std = inf"),
        (lambda: FixedReference().init(3, initial=np.zeros(2)), r"initial: numbers of shape \[3\]"),
        (lambda: FixedReference().init(3, initial=np.nan), "NaN or infinity"),
        (lambda: LastReference().process([1.0, np.nan]), r"x\[1\] = nan"),
        (lambda: LastReference().process(np.zeros(3), flipped=[1, 0, 1]), "True and False wanted"),
        (lambda: LastReference().process(np.zeros(3), flipped=[True, False]), r"flipped of shape \[2\]"),
    ],
)
def test_refusals(make, text):
    with pytest.raises(ParameterError, match=text):
        make()
