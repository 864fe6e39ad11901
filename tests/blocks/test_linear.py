"""Figures of merit: closed forms against the summed impulse response and scipy, however slow the filter."""

import numpy as np
import pytest
from scipy import signal

from sptrack.blocks import (
    CIC,
    EMA,
    FIR,
    SOS,
    Boxcar,
    Chain,
    Chopper,
    CorrectedEMA,
    SteadyKalman,
    enbw,
    group_delay,
    impulse_response,
    settling,
    step_response,
)
from sptrack.errors import ConvergenceError, ParameterError
from tests.blocks.zoo import CUSTOM, LINEAR, NONLINEAR, of

LOW_PASSES = {name: block for name, block in LINEAR.items() if abs(block.frequency_response(0.0)) > 1e-9}


def summed(block):
    """Noise bandwidth, group delay and settling to 1 % from the impulse response, by their definitions."""
    h, _ = block.process(np.eye(1, 6000)[0])
    unit = h / h.sum()
    left = np.flatnonzero(np.abs(np.cumsum(unit) - 1) > 0.01)
    return np.sum(unit**2), np.sum(np.arange(h.size) * unit), left[-1] + 1 if left.size else 0


@pytest.mark.parametrize("block", **of(LOW_PASSES))
def test_figures_of_merit_are_those_of_the_impulse_response(block):
    bandwidth, delay, samples = summed(block)
    assert enbw(block) == pytest.approx(bandwidth, rel=1e-11)
    assert group_delay(block) == pytest.approx(delay, rel=1e-9, abs=1e-11)
    assert settling(block) == samples


@pytest.mark.parametrize("block", **of(LINEAR))
def test_group_delay_is_the_slope_of_the_phase(block):
    """Central differences of the response's phase, at frequencies off its nulls."""
    omega, h = np.array([0.013, 0.31, 0.95, 1.83, 2.9]), 1e-5
    before, after = (block.frequency_response(omega + step) for step in (-h, h))
    slope = -np.angle(after / before) / (2 * h)
    np.testing.assert_allclose(group_delay(block, omega), slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("eta", [1e-8, 1e-7, 0.003, 0.1, 0.5, 1.0])
def test_closed_forms_of_the_ema(eta):
    block = EMA(eta=eta)
    assert enbw(block) == pytest.approx(eta / (2 - eta), rel=1e-14)
    assert group_delay(block) == pytest.approx((1 - eta) / eta, rel=1e-14)
    wanted = np.log(0.02) / np.log1p(-eta) if eta < 1 else 0
    assert settling(block, 0.02) == int(wanted)
    assert enbw(SteadyKalman(drift_std=1.0, read_std=0.0)) == 1.0


def test_the_first_outputs_of_an_ema():
    eta = 0.003
    np.testing.assert_allclose(step_response(EMA(eta=eta), 50), 1 - (1 - eta) ** np.arange(1, 51), atol=1e-14)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("eta", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("tolerance", [1e-6, 0.011, 0.3])
def test_settling_and_bandwidth_of_cascades(eta, order, tolerance):
    block = EMA(eta=eta, order=order)
    h, _ = block.process(np.eye(1, 6000)[0])
    assert settling(block, tolerance) == int(np.sum(np.abs(np.cumsum(h) - 1) > tolerance))
    assert enbw(block) == pytest.approx(np.sum(h**2), rel=1e-12)


@pytest.mark.parametrize("order", [2, 4])
def test_slow_cascades_scale_as_their_rate(order):
    """As eta goes to 0 bandwidth and time become those of a continuous cascade of unit time constants."""
    fast, slow = EMA(eta=1e-5, order=order), EMA(eta=1e-8, order=order)
    assert enbw(slow) / 1e-8 == pytest.approx(enbw(fast) / 1e-5, rel=1e-4)
    assert settling(slow) * 1e-8 == pytest.approx(settling(fast) * 1e-5, rel=1e-4)
    assert group_delay(slow) == pytest.approx(order * 1e8, rel=1e-7)


@pytest.mark.parametrize("length", [1, 2, 3, 50, 10**8])
def test_closed_forms_of_the_boxcar(length):
    block = Boxcar(length=length)
    assert enbw(block) == pytest.approx(1 / length, rel=1e-14)
    assert settling(block, 1e-9) == length - 1
    assert settling(block, 0.3) == max(0, int(np.ceil(0.7 * length)) - 1)
    np.testing.assert_allclose(group_delay(block, [0.0, 0.01 / length]), (length - 1) / 2, rtol=1e-12)


@pytest.mark.parametrize(("length", "order"), [(2, 2), (7, 3), (30, 4), (5, 1)])
def test_cic_figures_are_those_of_its_taps(length, order):
    taps = np.ones(1)
    for _ in range(order):
        taps = np.convolve(taps, np.full(length, 1 / length))
    block = CIC(length=length, order=order)
    assert enbw(block) == pytest.approx(np.sum(taps**2), rel=1e-13)
    for tolerance in (1e-8, 0.01, 0.5):
        outside = np.abs(np.cumsum(taps) - 1) > tolerance
        assert settling(block, tolerance) == int(outside.sum())
    assert group_delay(block, 0.1) == pytest.approx(order * (length - 1) / 2)


def test_a_long_cic_is_the_triangle_and_the_cubic():
    """Sum of squares of the triangle 2/(3 M), of three averages 11/(20 M), as the length grows."""
    assert enbw(CIC(length=10**6, order=2)) * 10**6 == pytest.approx(2 / 3, rel=1e-9)
    assert enbw(CIC(length=10**6, order=3)) * 10**6 == pytest.approx(11 / 20, rel=1e-9)
    assert settling(CIC(length=10**5, order=2), 0.02) == pytest.approx(1.8e5, rel=1e-4)


def test_impulse_response_holds_late_taps():
    taps = np.zeros(900)
    taps[899] = 0.5
    np.testing.assert_array_equal(impulse_response(FIR(taps=taps))[:900], taps)


def test_delays_add_and_bandwidths_of_cascades():
    chain = Chain(EMA(eta=0.1), CIC(length=10, order=3))
    assert group_delay(chain, 0.02) == pytest.approx(group_delay(EMA(eta=0.1), 0.02) + 13.5)
    h = np.convolve(impulse_response(EMA(eta=0.1)), impulse_response(CIC(length=10, order=3)))
    assert enbw(chain) == pytest.approx(np.sum(h**2))
    assert enbw(Chain(EMA(eta=1e-7))) == pytest.approx(1e-7 / 2, rel=1e-6)


@pytest.mark.parametrize("cutoff", [0.01, 0.05, 0.4])
@pytest.mark.parametrize("order", [1, 2, 4])
def test_group_delay_is_scipys(order, cutoff):
    sos = signal.butter(order, cutoff, output="sos")
    omega = np.array([0.0, 0.3, 0.8]) * cutoff * np.pi
    expected = sum(signal.group_delay((row[:3], row[3:]), w=omega)[1] for row in sos)
    np.testing.assert_allclose(group_delay(SOS(sos=sos), omega), expected, rtol=1e-7)


@pytest.mark.compiled
def test_a_slow_butterworth_has_its_published_bandwidth():
    """Order 1 to 4: ENBW over the 3 dB bandwidth (pi/2n)/sin(pi/2n), at a cut-off of 1e-4 to 1e-4."""
    for order in (1, 2, 4):
        block = SOS(sos=signal.butter(order, 1e-4, output="sos"))
        ratio = np.pi / (2 * order) / np.sin(np.pi / (2 * order))
        assert enbw(block) == pytest.approx(1e-4 * ratio, rel=2e-4)


def test_group_delay_is_not_a_number_at_a_null():
    for block in (Boxcar(length=4), FIR(taps=[1.0, 0.0, 1.0]), CIC(length=4, order=3)):
        assert np.isnan(group_delay(block, np.pi / 2))
        assert np.isfinite(group_delay(block, np.pi / 2 + 0.01))


@pytest.mark.parametrize("block", [CorrectedEMA(eta=0.1), Chain(EMA(eta=0.1), Chopper(p=0.1))], ids=str)
@pytest.mark.parametrize("measure", [enbw, settling, group_delay, impulse_response])
def test_only_linear_time_invariant_blocks(block, measure):
    with pytest.raises(ParameterError, match="must be a linear, time-invariant block"):
        measure(block)


@pytest.mark.parametrize("measure", [enbw, settling, group_delay, impulse_response])
def test_filters_of_ones_own(measure):
    """Those with a response are taken at its word that they are linear; the others are refused."""
    assert np.all(np.isfinite(measure(CUSTOM)))
    for block in (NONLINEAR, Chain(EMA(eta=0.1), NONLINEAR)):
        with pytest.raises(ParameterError, match="pass response="):
            measure(block)


def test_refusals():
    with pytest.raises(ParameterError, match="no gain at omega = 0"):
        enbw(FIR(taps=[1.0, -1.0]))
    with pytest.raises(ParameterError, match="tolerance must .*got 1.0"):
        settling(EMA(eta=0.1), 1.0)
    with pytest.raises(ParameterError, match="count must .*got -1"):
        step_response(EMA(eta=0.1), -1)


@pytest.mark.parametrize(
    "block",
    [
        SOS(sos=[[1, 0, 0, 1, -1.5, 0]]),
        SOS(sos=[[1, 0, 0, 1, -1.0, 0]]),
        SOS(sos=[[1, 0, 0, 1, -1 + 1e-9, 0]]),
        Chain(EMA(eta=1e-9), EMA(eta=0.1)),
    ],
    ids=str,
)
def test_what_does_not_decay_is_refused_at_once(block):
    with pytest.raises(ConvergenceError, match=r"does not decay within 4194304 samples, the largest pole"):
        impulse_response(block)
