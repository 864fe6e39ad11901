"""State space of filters with poles: variances against closed forms and the sum over the impulse response."""

import numpy as np
import pytest
from scipy import signal

from sptrack.blocks import CIC, EMA, FIR, SOS, Boxcar, Chain, SteadyKalman, TrackingLoop
from sptrack.theory.chopping import FilterShare, passed_fraction
from sptrack.theory.state_space import correlated_variance, state_space

DECAYS = np.array([-0.99, -0.5, 0.0, 0.3, 0.9, 0.999, 1.0])
FILTERS = {
    "ema": EMA(eta=0.02),
    "cascade": EMA(eta=0.05, order=4),
    "kalman": SteadyKalman(drift_std=0.01, read_std=0.1),
    "butterworth": SOS(sos=signal.butter(4, 0.02, output="sos")),
    "elliptic": SOS(sos=signal.ellip(5, 0.5, 60, 0.05, output="sos")),
    "notch": SOS(sos=signal.tf2sos(*signal.iirnotch(0.1, 5))),
    "loop": TrackingLoop(bandwidth=0.02),
    "chain": Chain(EMA(eta=0.1), SOS(sos=signal.bessel(3, 0.1, output="sos"))),
    "equal poles": SOS(sos=[[0.01, 0, 0, 1, -1.8, 0.81]]),
}


def summed(low_pass, decays):
    """Sum of R(n) z^abs(n) over the autocorrelation of 20000 samples of the impulse response."""
    h = low_pass.process(np.eye(1, 20_000)[0])[0]
    r = signal.fftconvolve(h, h[::-1])[len(h) - 1 :]
    powers = decays[:, None] ** np.arange(len(r))
    return r[0] + 2 * powers[:, 1:] @ r[1:]


@pytest.mark.parametrize("low_pass", FILTERS.values(), ids=FILTERS)
def test_variance_is_the_sum_over_the_impulse_response(low_pass):
    space = state_space(low_pass)
    np.testing.assert_allclose(correlated_variance(space, DECAYS), summed(low_pass, DECAYS), rtol=1e-9)
    np.testing.assert_allclose(FilterShare(low_pass)(DECAYS), correlated_variance(space, DECAYS))


@pytest.mark.parametrize("low_pass", FILTERS.values(), ids=FILTERS)
def test_zeros_and_poles_give_the_frequency_response(low_pass):
    omega = np.linspace(0, np.pi, 50)
    zeros, poles, gain = low_pass.zpk()
    _, expected = signal.freqz_zpk(zeros, poles, gain, worN=omega)
    np.testing.assert_allclose(low_pass.frequency_response(omega), expected, atol=1e-9)


@pytest.mark.parametrize("low_pass", FILTERS.values(), ids=FILTERS)
def test_a_constant_stays_what_it_is(low_pass):
    space = state_space(low_pass)
    gain = space.c @ space.at_rest + space.d
    assert gain == pytest.approx(low_pass.frequency_response(np.zeros(1))[0], abs=1e-9)


@pytest.mark.parametrize("eta", [1e-7, 1e-4, 0.3])
def test_slow_averages_keep_their_digits(eta):
    np.testing.assert_allclose(
        correlated_variance(state_space(EMA(eta=eta)), DECAYS), passed_fraction(DECAYS, eta), rtol=1e-8
    )
    two = (1 + (1 - eta) ** 2) * eta / (2 - eta) ** 3  # sum of (n + 1)^2 eta^4 b^(2 n)
    assert correlated_variance(state_space(EMA(eta=eta, order=2)), 0.0) == pytest.approx(two, rel=1e-8)


@pytest.mark.parametrize("cut", [1e-5, 1e-3])
def test_noise_bandwidth_of_slow_butterworth_filters(cut):
    """Order n, corner omega: the two-sided bandwidth omega/(2 n sin(pi/(2 n))) of the analog filter."""
    for order in (2, 4):
        low_pass = SOS(sos=signal.butter(order, cut, output="sos"))
        analog = np.pi * cut / (2 * order * np.sin(np.pi / (2 * order)))
        found = correlated_variance(state_space(low_pass), 0.0)
        assert found == pytest.approx(analog, rel=max(1e-5, cut**2)), order


def test_filters_without_such_a_form_have_none():
    delay = SOS(sos=[[0.0, 0.5, 0.0, 1, -0.5, 0]])
    unstable = SOS(sos=[[1.0, 0, 0, 1, -1.0, 0]])
    for other in (delay, unstable, Boxcar(length=5), CIC(length=5, order=2), FIR(taps=[0.5, 0.5]), 0.1):
        assert state_space(other) is None
    assert Chain(EMA(eta=0.1), Boxcar(length=5)).zpk() is None
    np.testing.assert_allclose(FilterShare(delay)(DECAYS), summed(delay, DECAYS), rtol=1e-9)
