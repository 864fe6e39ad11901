"""Loops by noise bandwidth and damping: bandwidth, poles, lag in closed form; lock in the tracker."""

import numpy as np
import pytest

from sptrack.blocks import EMA, SOS, Boxcar, TrackingLoop, enbw, first_order, impulse_response, settling
from sptrack.errors import ParameterError

GRID = [(b, z) for b in (1e-4, 0.01, 0.2) for z in (0.3, 0.7071, 1.0, 2.0)]


@pytest.mark.parametrize(("bandwidth", "damping"), GRID)
def test_bandwidth_is_what_was_asked_for(bandwidth, damping):
    loop = TrackingLoop(bandwidth=bandwidth, damping=damping)
    response = impulse_response(loop)
    assert response.sum() == pytest.approx(1, rel=1e-6)
    assert np.sum(response**2) == pytest.approx(bandwidth, rel=1e-6)
    assert enbw(loop) == pytest.approx(bandwidth, rel=1e-6)


@pytest.mark.parametrize(("bandwidth", "damping"), GRID)
def test_poles_are_those_of_the_analog_loop(bandwidth, damping):
    loop = TrackingLoop(bandwidth=bandwidth, damping=damping)
    root = np.sqrt(complex(damping**2 - 1))
    poles = np.exp(loop.natural * np.array([-damping + root, -damping - root]))
    section = loop.sections.sos[0]
    assert section[4] == pytest.approx(-poles.sum().real, abs=1e-12)
    assert section[5] == pytest.approx(poles.prod().real, abs=1e-12)


def test_a_slow_loop_has_the_bandwidth_of_the_analog_one():
    for damping in (0.4, 0.7071, 1.5):
        loop = TrackingLoop(bandwidth=1e-5, damping=damping)
        assert loop.natural * (damping + 1 / (4 * damping)) == pytest.approx(1e-5, rel=1e-3)


def test_a_ramp_is_followed_without_lag_where_an_ema_lags():
    ramp = np.arange(4000.0)
    loop, ema = TrackingLoop(bandwidth=0.02), first_order(0.02)
    assert ramp[-1] - loop.process(ramp)[0][-1] == pytest.approx(0, abs=1e-7)
    assert ramp[-1] - ema.process(ramp)[0][-1] == pytest.approx((1 - ema.eta) / ema.eta)
    assert enbw(ema) == pytest.approx(enbw(loop))


def test_it_is_the_recursion_of_value_and_rate():
    x = np.random.default_rng(0).normal(size=200)
    loop = TrackingLoop(bandwidth=0.1, damping=0.5)
    alpha, beta = loop.gains
    q, v, by_hand = 0.0, 0.0, []
    for sample in x:
        e = sample - (q + v)
        q, v = q + v + alpha * e, v + beta * e
        by_hand.append(q)
    np.testing.assert_allclose(loop.process(x)[0], by_hand, atol=1e-12)


@pytest.mark.parametrize("damping", [0.5, 0.7071, 1.0])
def test_lock_time_follows_the_poles(damping):
    # the step response is exp(-zeta omega_n t) times a factor of order 1: ln(100) time constants within 60 %
    loop = TrackingLoop(bandwidth=1e-3, damping=damping)
    assert settling(loop) == pytest.approx(np.log(100) / (damping * loop.natural), rel=0.6)


def test_what_no_loop_has_is_refused():
    with pytest.raises(ParameterError, match="bandwidth must be > 0 and < 1"):
        TrackingLoop(bandwidth=1.0)
    with pytest.raises(ParameterError, match="damping must be > 0"):
        TrackingLoop(bandwidth=0.1, damping=0.0)
    with pytest.raises(ParameterError, match="bandwidth must be at most"):
        TrackingLoop(bandwidth=0.999, damping=0.7071)
    with pytest.raises(ParameterError, match="bandwidth must"):
        first_order(0.0)
    assert first_order(1.0) == EMA(eta=1.0)
    assert isinstance(TrackingLoop(bandwidth=0.1).sections, SOS)
    assert Boxcar(length=10).settled == Boxcar(length=10)
