import numpy as np
import pytest
from scipy import signal

from sptrack.blocks import CIC, EMA, FIR, SOS, Boxcar, CorrectedEMA, PeriodicChopper, SteadyKalman
from sptrack.errors import ParameterError
from tests.blocks.zoo import LINEAR, name

DESIGNS = {
    "butter": signal.butter(4, 0.1, output="sos"),
    "cheby2 band": signal.cheby2(3, 40, [0.2, 0.4], "bandpass", output="sos"),
    "elliptic odd": signal.ellip(5, 0.5, 60, 0.3, output="sos"),
}


def stream(count=300, cells=3, seed=2):
    return np.random.default_rng(seed).normal(size=(count, cells))


@pytest.mark.parametrize("eta", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("stages", [1, 3])
def test_ema_is_lfilter(eta, stages):
    x = expected = stream()
    for _ in range(stages):
        expected = signal.lfilter([eta], [1, eta - 1], expected, axis=0)
    np.testing.assert_allclose(EMA(eta=eta, stages=stages).process(x)[0], expected, atol=1e-12)


@pytest.mark.parametrize("eta", [1e-3, 0.1, 1.0])
def test_corrected_ema_is_the_ema_over_its_sum_of_weights(eta):
    x = stream()
    started = 1 - (1 - eta) ** np.arange(1, len(x) + 1)
    expected = signal.lfilter([eta], [1, eta - 1], x, axis=0) / started[:, None]
    np.testing.assert_allclose(CorrectedEMA(eta=eta).process(x)[0], expected, atol=1e-12)


@pytest.mark.parametrize("design", DESIGNS)
def test_sos_is_sosfilt(design):
    x = stream()
    expected = signal.sosfilt(DESIGNS[design], x, axis=0)
    np.testing.assert_allclose(SOS(sos=DESIGNS[design]).process(x)[0], expected, atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3, 64])
def test_fir_is_lfilter(count):
    x, taps = stream(), stream(count, 1, seed=3)[:, 0]
    np.testing.assert_allclose(FIR(taps=taps).process(x)[0], signal.lfilter(taps, 1, x, axis=0), atol=1e-12)


@pytest.mark.parametrize("length", [1, 2, 7, 100])
@pytest.mark.parametrize("order", [1, 2])
def test_boxcar_and_cic_are_moving_averages(length, order):
    x = expected = stream()
    for _ in range(order):
        expected = signal.lfilter(np.full(length, 1 / length), 1, expected, axis=0)
    np.testing.assert_allclose(CIC(length=length, order=order).process(x)[0], expected, atol=1e-12)
    if order == 1:
        np.testing.assert_allclose(Boxcar(length=length).process(x)[0], expected, atol=1e-12)


def test_boxcar_keeps_no_rounding_error_of_old_samples():
    x = np.concatenate([np.full((10, 1), 1e8), np.full((30, 1), 0.1)]).astype(np.float32)
    np.testing.assert_allclose(Boxcar(length=8).process(x)[0][20:], 0.1, rtol=2e-7)


def test_boxcar_over_whole_periods_removes_the_chopper():
    chopper = PeriodicChopper(half_period=5, clock="read")
    boxcar = Boxcar.over(chopper, periods=2)
    assert (boxcar.length, boxcar.clock) == (20, "read")
    y, _ = boxcar.process(0.3 + chopper.signs(0, 60))
    np.testing.assert_allclose(y[19:], 0.3, atol=1e-14)
    np.testing.assert_allclose(boxcar.frequency_response(chopper.lines().omega), 0.0, atol=1e-14)


@pytest.mark.parametrize("block", LINEAR, ids=name)
def test_frequency_response_is_that_of_an_exponential(block):
    omega = np.array([[0.0, 0.02, 0.7], [2.0, np.pi, -1.1]])
    n = np.arange(400)
    x = np.exp(1j * omega * n[:, None, None])
    y = block.process(x.real)[0][-1] + 1j * block.process(x.imag)[0][-1]
    np.testing.assert_allclose(block.frequency_response(omega), y / x[-1], atol=1e-12)


@pytest.mark.parametrize("design", DESIGNS)
def test_sos_response_is_scipys(design):
    block = SOS(sos=DESIGNS[design])
    omega, expected = signal.freqz(*signal.sos2tf(DESIGNS[design]), worN=64)
    np.testing.assert_allclose(block.frequency_response(omega), expected, atol=1e-9)


def test_ema_response_is_the_published_one():
    omega, eta = np.linspace(0, np.pi, 9), 0.2
    power = eta**2 / (1 + (1 - eta) ** 2 - 2 * (1 - eta) * np.cos(omega))
    np.testing.assert_allclose(np.abs(EMA(eta=eta).frequency_response(omega)) ** 2, power, rtol=1e-13)


@pytest.mark.parametrize(("drift", "read"), [(0.1, 0.5), (1.0, 0.01), (0.001, 2.0), (0.3, 0.0)])
def test_steady_kalman_gain_is_where_the_recursion_ends(drift, read):
    predicted = 1.0
    for _ in range(200_000 if drift < 0.01 else 500):
        predicted = predicted * read**2 / (predicted + read**2) + drift**2
    kalman = SteadyKalman(drift_std=drift, read_std=read)
    assert kalman.predicted_variance == pytest.approx(predicted, rel=1e-9)
    assert kalman.gain == pytest.approx(predicted / (predicted + read**2), rel=1e-9)
    assert kalman.error_variance == pytest.approx(kalman.predicted_variance - drift**2, rel=1e-6, abs=1e-15)


def test_steady_kalman_has_its_error_variance():
    """A walk of 4000 steps in 40 cells; error variance within 5 % (5 sigma of 20000 samples)."""
    rng = np.random.default_rng(4)
    kalman = SteadyKalman(drift_std=0.3, read_std=0.5)
    truth = np.cumsum(0.3 * rng.normal(size=(4000, 40)), axis=0)
    y, _ = kalman.process(truth + 0.5 * rng.normal(size=truth.shape))
    error = (y - truth)[200:]
    assert np.mean(error**2) == pytest.approx(kalman.error_variance, rel=0.05)


def test_designs_are_copied_and_read_only():
    taps = np.ones(3)
    block = FIR(taps=taps)
    taps[0] = 7
    assert block.taps.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="read-only"):
        block.taps[0] = 2


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: EMA(eta=0.0), r"eta = 0.0: a number above 0 and at most 1 wanted"),
        (lambda: EMA(eta=np.nan), "eta = nan"),
        (lambda: EMA(eta=0.1, stages=0), "stages = 0: a whole number >= 1 wanted"),
        (lambda: CorrectedEMA(eta=1.5), "eta = 1.5"),
        (lambda: Boxcar(length=2.5), "length = 2.5"),
        (lambda: CIC(length=2, order=0), "order = 0"),
        (lambda: SteadyKalman(drift_std=0.0, read_std=1.0), "drift_std = 0.0"),
        (lambda: SteadyKalman(drift_std=1.0, read_std=-1.0), "read_std = -1.0"),
        (lambda: SOS(sos=np.ones((2, 5))), r"sos of shape \[2, 5\]: 6 numbers"),
        (lambda: SOS(sos=[[1, 0, 0, 2, 0, 0]]), "a0 = 2.0"),
        (lambda: FIR(taps=[]), r"taps of shape \[0\]"),
        (lambda: FIR(taps=[1.0, np.inf]), "finite"),
        (lambda: FIR(taps="abc"), "real numbers"),
        (lambda: Boxcar.over(PeriodicChopper(half_period=2), periods=0), "periods = 0"),
    ],
)
def test_refusals(make, text):
    with pytest.raises(ParameterError, match=text):
        make()
