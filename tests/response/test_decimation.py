"""Aliases and ripple of choppers behind a decimated filter: against the streams themselves."""

import numpy as np
import pytest
from scipy.signal import lfilter

from sptrack.blocks import CIC, EMA, Boxcar, Chopper, LastSample, MaximumLengthChopper, PeriodicChopper
from sptrack.errors import ParameterError
from sptrack.response import fold_chopper
from sptrack.theory.chopping import sign_power


def decimated(chopper, low_pass, every, pole, amplitude, samples):
    """Reads [phase, read] of the settled reference, a row for each phase."""
    signs = chopper.signs(0, samples).astype(float)
    q = low_pass.process(lfilter([amplitude], [1, -pole], signs))[0]
    rest = len(q) // 2 // (every * 840) * every * 840
    return q[-rest:].reshape(-1, every).T


@pytest.mark.parametrize("every", [1, 4, 7, 10])
@pytest.mark.parametrize(
    "chopper",
    [
        PeriodicChopper(half_period=10),
        PeriodicChopper(half_period=6, duty=0.3),
        MaximumLengthChopper(register=3),
        PeriodicChopper(half_period=1),
    ],
    ids=str,
)
def test_signs_that_repeat_leave_what_the_stream_shows(chopper, every):
    low_pass, pole, amplitude = EMA(eta=0.05), 0.9, 0.02
    found = fold_chopper(chopper, low_pass, every, pole=pole, amplitude=amplitude)
    reads = decimated(chopper, low_pass, every, pole, amplitude, 2 * every * 840 + 2000)
    mean = reads.mean()
    assert found.mean == pytest.approx(mean, abs=1e-9)
    assert found.offset == pytest.approx(np.abs(reads.mean(axis=1) - mean).max(), abs=1e-9)
    assert found.ripple == pytest.approx(reads.std(axis=1).max(), abs=1e-9)
    assert (found.band, found.folded) == (0, 0)
    # a line is an offset or a ripple: powers over all phases add up
    assert np.sum(found.level**2) == pytest.approx(reads.var(), rel=1e-9)


def test_harmonics_fold_where_they_must():
    # half period 10, period 20: odd harmonics of pi/10; every 8th step moves m pi/10 to 0.8 m pi
    found = fold_chopper(PeriodicChopper(half_period=10), LastSample(), 8)
    m = np.array([1, 3, 5, 7, 9])
    np.testing.assert_allclose(found.omega, m * np.pi / 10)
    np.testing.assert_allclose(found.alias / np.pi, [0.8, 0.4, 0, 0.4, 0.8], atol=1e-9)
    np.testing.assert_allclose(found.level, np.sqrt(2) / (10 * np.sin(m * np.pi / 20)))
    assert found.chopped == pytest.approx(1)
    np.testing.assert_allclose(found.decibels, 20 * np.log10(found.level))
    # sin(pi/4) / 10: the fifth harmonic stands still; largest where the reads meet it best
    assert found.offset == pytest.approx(2 / (10 * np.sin(np.pi / 4)) * np.cos(np.pi / 4))


def test_a_boxcar_over_a_period_leaves_nothing():
    chopper = PeriodicChopper(half_period=8)
    for low_pass in (Boxcar.over(chopper), CIC(length=16)):
        found = fold_chopper(chopper, low_pass, 16, pole=0.8)
        assert max(found.offset, found.ripple, found.total) < 1e-12
    off = fold_chopper(chopper, Boxcar(length=15), 16)
    assert off.offset > 0.01


def test_reads_once_a_period_turn_ripple_into_an_offset():
    chopper, low_pass = PeriodicChopper(half_period=8), EMA(eta=0.05)
    fine, coarse = (fold_chopper(chopper, low_pass, every) for every in (1, 16))
    assert fine.offset == pytest.approx(0, abs=1e-12)
    assert coarse.ripple == pytest.approx(0, abs=1e-12)
    assert coarse.offset > fine.ripple
    assert (coarse.alias == 0).all()


@pytest.mark.parametrize("every", [1, 5, 50])
def test_a_telegraph_passes_as_a_density(every):
    chopper, low_pass = Chopper(p=0.1), EMA(eta=0.02, order=2)
    found = fold_chopper(chopper, low_pass, every)
    assert found.band**2 + found.folded**2 == pytest.approx(sign_power(chopper, low_pass), rel=1e-6)
    assert (found.offset, found.ripple, found.mean, found.omega.size) == (0, 0, 0, 0)
    assert found.folded == pytest.approx(0, abs=1e-12) if every == 1 else found.folded > 0


def test_the_share_of_a_telegraph_that_folds_in_closed_form():
    # no filter: of r = 0.5 the power below w is 2/pi arctan(3 tan(w/2)) with 3 = (1 + r)/(1 - r)
    found = fold_chopper(Chopper(p=0.25), LastSample(), 4)
    assert found.band**2 == pytest.approx(2 / np.pi * np.arctan(3 * np.tan(np.pi / 8)), rel=1e-5)


def test_a_chopper_that_never_or_always_flips_is_a_line():
    still = fold_chopper(Chopper(p=0.0), EMA(eta=0.1), 3, amplitude=0.5)
    assert (still.mean, still.total) == (pytest.approx(0.5), 0)
    always = fold_chopper(Chopper(p=1.0), EMA(eta=0.1), 2)
    assert always.offset == pytest.approx(0.1 / 1.9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every must be a whole number >= 1"),
        ({"every": 1, "pole": 1.0}, "pole must"),
        ({"every": 1, "amplitude": -1.0}, "amplitude must"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        fold_chopper(Chopper(p=0.1), EMA(eta=0.1), **options)
