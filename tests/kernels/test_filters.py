"""Scalar laws of filters and estimators, alone and inside another kernel."""

import numpy as np
import pytest

from sptrack.kernels._jit import kernel
from sptrack.kernels.choppers import telegraph_flip
from sptrack.kernels.estimators import (
    BoxcarEstimator,
    EmaEstimator,
    KalmanEstimator,
    LastEstimator,
    PeriodMeanEstimator,
    kalman_update,
    update_reference,
)
from sptrack.kernels.filters import corrected_gain, ema


@kernel
def _fused(estimator, memory, reads, flips, out):
    """What a fused loop does: read, update, use."""
    for k in range(reads.shape[0]):
        for i in range(reads.shape[1]):
            out[k, i] = update_reference(estimator, memory, i, reads[k, i], flips[k])


def run(estimator, dtype=np.float64):
    reads = np.random.default_rng(1).normal(size=(12, 3)).astype(dtype)
    memory, out = np.zeros((estimator.slots, 3), dtype), np.zeros((12, 3), dtype)
    _fused(estimator, memory, reads, np.arange(12) % 5 == 4, out)
    return reads, memory, out


def test_ema_is_its_equation():
    assert ema(0.5, 2.0, 0.1) == pytest.approx(0.9 * 0.5 + 0.1 * 2.0)


def test_corrected_gain_is_the_share_of_the_newest_weight():
    weight = 0.0
    for n in range(1, 6):
        weight, gain = corrected_gain(weight, 0.8)
        assert weight == pytest.approx(sum(0.8**k for k in range(n)))
        assert gain == pytest.approx(1 / weight)


@pytest.mark.parametrize(
    ("word", "flips"), [(0, True), (2**31 - 1, True), (2**31, False), (2**32 - 1, False)]
)
def test_telegraph_flips_below_its_threshold(word, flips):
    assert telegraph_flip(np.uint32(word), np.uint64(2**31)) == flips


def test_telegraph_with_certainty():
    assert telegraph_flip(np.uint32(2**32 - 1), np.uint64(2**32))
    assert not telegraph_flip(np.uint32(0), np.uint64(0))


def test_kalman_update_is_bayes():
    mean, variance = kalman_update(1.0, 3.0, 2.0, 1.0, 4.0)
    assert (mean, variance) == (pytest.approx(1.5), pytest.approx(1 / (1 / 4 + 1 / 4)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_type_of_an_estimator_selects_its_law(dtype):
    reads, memory, out = run(EmaEstimator(1, dtype(0.25)), dtype)
    expected = np.zeros(3)
    for k in range(12):
        expected = 0.75 * expected + 0.25 * reads[k]
        np.testing.assert_allclose(out[k], expected, rtol=1e-5 if dtype == np.float32 else 1e-12)
    np.testing.assert_array_equal(memory[0], out[-1])


def test_last_read():
    reads, _, out = run(LastEstimator(1))
    np.testing.assert_array_equal(out, reads)


@pytest.mark.parametrize("length", [1, 3, 20])
def test_boxcar_is_the_mean_of_the_reads_it_has(length):
    reads, _, out = run(BoxcarEstimator(length + 3, length))
    for k in range(12):
        np.testing.assert_allclose(out[k], reads[max(0, k + 1 - length) : k + 1].mean(axis=0), rtol=1e-12)


def test_period_mean_changes_at_flips_only():
    _, memory, out = run(PeriodMeanEstimator(2, 0.5))
    changed = np.any(np.diff(out, axis=0) != 0, axis=1)
    np.testing.assert_array_equal(np.flatnonzero(changed) + 1, [4, 9])
    assert not np.any(memory[0] == memory[1])


def test_kalman_without_prior_error_does_not_move():
    _, memory, out = run(KalmanEstimator(2, 0.0, 1.0))
    np.testing.assert_array_equal(out, 0.0)
    np.testing.assert_array_equal(memory, 0.0)
