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
    enbw,
    group_delay,
    impulse_response,
    settling,
    step_response,
)
from sptrack.errors import ConvergenceError, ParameterError


@pytest.mark.parametrize("eta", [0.5, 0.1, 0.003])
def test_closed_forms_of_the_ema(eta):
    block = EMA(eta=eta)
    assert enbw(block) == pytest.approx(eta / (2 - eta), rel=1e-9)
    assert group_delay(block) == pytest.approx((1 - eta) / eta, rel=1e-9)
    assert settling(block, 0.02) == int(np.log(0.02) / np.log(1 - eta))
    np.testing.assert_allclose(step_response(block, 50), 1 - (1 - eta) ** np.arange(1, 51), atol=1e-14)


@pytest.mark.parametrize("length", [1, 2, 50])
def test_closed_forms_of_the_boxcar(length):
    block = Boxcar(length=length)
    assert enbw(block) == pytest.approx(1 / length)
    assert settling(block, 1e-6) == length - 1
    np.testing.assert_allclose(group_delay(block, [0.0, 0.01]), (length - 1) / 2, atol=1e-9)


def test_impulse_response_holds_late_taps():
    taps = np.zeros(900)
    taps[899] = 0.5
    np.testing.assert_array_equal(impulse_response(FIR(taps=taps))[:900], taps)


def test_delays_add_and_bandwidths_of_cascades():
    chain = Chain(EMA(eta=0.1), CIC(length=10, order=3))
    assert group_delay(chain, 0.02) == pytest.approx(group_delay(EMA(eta=0.1), 0.02) + 13.5)
    h = np.convolve(impulse_response(EMA(eta=0.1)), impulse_response(CIC(length=10, order=3)))
    assert enbw(chain) == pytest.approx(np.sum(h**2))


def test_group_delay_is_scipys():
    b, a = signal.butter(4, 0.2)
    omega, expected = signal.group_delay((b, a), w=np.linspace(0, 0.8, 9))
    delay = group_delay(SOS(sos=signal.butter(4, 0.2, output="sos")), omega)
    np.testing.assert_allclose(delay, expected, rtol=1e-7)


def test_group_delay_is_not_a_number_at_a_null():
    assert np.isnan(group_delay(Boxcar(length=4), np.pi / 2))


@pytest.mark.parametrize("block", [CorrectedEMA(eta=0.1), Chain(EMA(eta=0.1), Chopper(p=0.1))], ids=str)
@pytest.mark.parametrize("measure", [enbw, settling, group_delay, impulse_response])
def test_only_linear_time_invariant_blocks(block, measure):
    with pytest.raises(ParameterError, match="a linear block"):
        measure(block)


def test_refusals():
    with pytest.raises(ParameterError, match="no gain at omega = 0"):
        enbw(FIR(taps=[1.0, -1.0]))
    with pytest.raises(ParameterError, match="tolerance = 1.0"):
        settling(EMA(eta=0.1), 1.0)
    with pytest.raises(ParameterError, match="count = -1"):
        step_response(EMA(eta=0.1), -1)
    with pytest.raises(ConvergenceError, match="has not decayed"):
        impulse_response(SOS(sos=[[1, 0, 0, 1, -1.5, 0]]))
