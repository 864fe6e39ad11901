"""Filters against `scipy.signal` and their own frequency response, in both precisions; rounding."""

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
    CorrectedEMA,
    GrowingBoxcar,
    MaximumLengthChopper,
    PeriodicChopper,
    SteadyKalman,
)
from sptrack.errors import ParameterError
from tests.blocks.zoo import LINEAR, SETTLING, of

DESIGNS = {
    "butter": signal.butter(4, 0.1, output="sos"),
    "cheby1": signal.cheby1(5, 1.0, 0.15, output="sos"),
    "cheby2 band": signal.cheby2(3, 40, [0.2, 0.4], "bandpass", output="sos"),
    "elliptic odd": signal.ellip(5, 0.5, 60, 0.3, output="sos"),
    "bessel high": signal.bessel(4, 0.3, "highpass", output="sos"),
}
PRECISIONS = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def stream(count=300, cells=3, seed=2, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=(count, cells)).astype(dtype)


def assert_filters(block, x, expected):
    """Float64 samples: to rounding of the arithmetic; float32 samples: to half an ulp of the output."""
    y, _ = block.process(x)
    assert y.dtype == x.dtype
    size = np.abs(expected).max()
    rounding = 2.0**-24 * np.abs(expected) if x.dtype == np.float32 else 0.0
    assert np.all(np.abs(y - expected) <= rounding * (1 + 1e-6) + 1e-12 * size)


@PRECISIONS
@pytest.mark.parametrize("eta", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_ema_is_lfilter(eta, order, dtype):
    x = stream(dtype=dtype)
    expected = x.astype(np.float64)
    for _ in range(order):
        expected = signal.lfilter([eta], [1, eta - 1], expected, axis=0)
    assert_filters(EMA(eta=eta, order=order), x, expected)


@pytest.mark.parametrize("eta", [1e-3, 0.1, 1.0])
def test_corrected_ema_is_the_ema_over_its_sum_of_weights(eta):
    x = stream()
    started = 1 - (1 - eta) ** np.arange(1, len(x) + 1)
    expected = signal.lfilter([eta], [1, eta - 1], x, axis=0) / started[:, None]
    assert_filters(CorrectedEMA(eta=eta), x, expected)


@PRECISIONS
@pytest.mark.parametrize("design", DESIGNS)
def test_sos_is_sosfilt(design, dtype):
    x = stream(dtype=dtype)
    assert_filters(SOS(sos=DESIGNS[design]), x, signal.sosfilt(DESIGNS[design], x.astype(np.float64), axis=0))


@pytest.mark.parametrize(
    ("b", "a"),
    [
        signal.butter(3, 0.2),
        signal.ellip(4, 1, 40, 0.3, "highpass"),
        ([0.2, 0.1], [2.0, -1.2, 0.3]),
        ([1.0, 0.5, 0.25, 0.1], [1.0, -0.3]),
        ([0.5], [1.0]),
        ([0.0, 0.0, 0.0, 0.4, 0.1], [1.0, -0.5]),
        ([0.0, 1.0], [4.0, 1.0, 0.5, 0.1]),
        ([1.0, 0.0], [1.0, 0.0, 0.0]),
    ],
    ids=str,
)
def test_from_b_and_a_is_lfilter(b, a):
    """Also with delays in b, and with b and a of different lengths."""
    x = stream()
    np.testing.assert_allclose(
        SOS.from_ba(b, a).process(x)[0], signal.lfilter(b, a, x, axis=0), rtol=0, atol=1e-11
    )


@PRECISIONS
@pytest.mark.parametrize("count", [1, 2, 3, 64])
def test_fir_is_lfilter(count, dtype):
    x, taps = stream(dtype=dtype), stream(count, 1, seed=3)[:, 0]
    assert_filters(FIR(taps=taps), x, signal.lfilter(taps, 1, x.astype(np.float64), axis=0))


@PRECISIONS
@pytest.mark.parametrize("length", [1, 2, 7, 100])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_boxcar_and_cic_are_moving_averages(length, order, dtype):
    x = stream(dtype=dtype)
    expected = x.astype(np.float64)
    for _ in range(order):
        expected = signal.lfilter(np.full(length, 1 / length), 1, expected, axis=0)
    assert_filters(CIC(length=length, order=order), x, expected)
    if order == 1:
        assert_filters(Boxcar(length=length), x, expected)


@pytest.mark.parametrize("length", [1, 3, 7, 400])
def test_growing_boxcar_is_the_mean_of_what_there_is(length):
    x = stream()
    expected = np.array([x[max(0, k + 1 - length) : k + 1].mean(axis=0) for k in range(len(x))])
    assert_filters(GrowingBoxcar(length=length), x, expected)


@pytest.mark.parametrize(
    "chopper", [PeriodicChopper(half_period=5), PeriodicChopper(half_period=4, duty=0.3)]
)
@pytest.mark.parametrize("kind", [Boxcar, GrowingBoxcar])
def test_boxcar_over_whole_periods_removes_the_chopper(chopper, kind):
    """What is left is the mean of the signs, 2 duty - 1, once the window is full."""
    boxcar = kind.over(chopper, periods=2)
    assert boxcar.length == 2 * chopper.period
    signs = chopper.signs(0, 100)
    y, _ = boxcar.process(0.3 + signs)
    np.testing.assert_allclose(y[boxcar.length :], 0.3 + signs[: chopper.period].mean(), rtol=0, atol=1e-14)
    lines = chopper.lines().omega
    nulls = boxcar.settled.frequency_response(lines[lines != 0])
    np.testing.assert_allclose(nulls, 0.0, rtol=0, atol=1e-14)


def test_boxcar_over_keeps_the_clock():
    assert Boxcar.over(MaximumLengthChopper(register=3, clock="read")).clock == "read"


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("length", [2, 5, 64])
def test_nulls_of_cic_and_boxcar(length, order):
    """At all multiples of 2 pi / length but 0, to the order of the filter; a tone there leaves nothing."""
    block = CIC(length=length, order=order)
    omega = 2 * np.pi * np.arange(1, length) / length
    np.testing.assert_allclose(block.frequency_response(omega), 0.0, rtol=0, atol=1e-14)
    near = np.abs(block.frequency_response(omega + 1e-4))
    slope = 1e-4 / 2 / np.sin(omega / 2)
    np.testing.assert_allclose(near, slope**order, rtol=2e-3 * order)
    tone = np.cos(omega * np.arange(4 * order * length)[:, None])
    np.testing.assert_allclose(block.process(tone)[0][order * length :], 0.0, rtol=0, atol=1e-13)


def impulse(block, count, dtype=np.float64, start=0):
    """Response to a 1 at sample ``start`` of a block that has rested."""
    x = np.zeros(count + start, dtype)
    x[start] = 1
    return block.process(x)[0][start:]


@PRECISIONS
@pytest.mark.parametrize("block", **of(LINEAR))
def test_frequency_response_is_the_transform_of_the_impulse_response(block, dtype):
    """4096 samples hold all of it; in float32 each output is rounded to half an ulp."""
    h = impulse(block, 4096, dtype).astype(np.float64)
    omega = 2 * np.pi * np.arange(4096) / 4096
    tolerance = 1e-12 if dtype == np.float64 else 2.0**-24 * np.abs(h).sum()
    assert np.abs(block.frequency_response(omega) - np.fft.fft(h)).max() <= tolerance
    assert h[-1] == pytest.approx(0.0, abs=1e-15)


@PRECISIONS
@pytest.mark.parametrize("block", **of(LINEAR))
def test_a_tone_leaves_with_gain_and_phase_of_the_response(block, dtype):
    omega = np.array([[0.0, 0.02, 0.7], [2.0, np.pi, -1.1]])
    n = np.arange(1200)
    tone = np.exp(1j * omega * n[:, None, None])
    real, imaginary = (block.process(part.astype(dtype))[0][-40:] for part in (tone.real, tone.imag))
    gain = (real + 1j * imaginary) / tone[-40:]
    expected = np.broadcast_to(block.frequency_response(omega), gain.shape)
    np.testing.assert_allclose(gain, expected, rtol=0, atol=1e-11 if dtype == np.float64 else 4e-7)


@pytest.mark.parametrize("block", **of(SETTLING))
def test_what_settles_ends_with_the_response_of_its_settled_form(block):
    """A tone after 2000 samples, when the start is forgotten."""
    omega = np.array([0.0, 0.03, 0.5, 1.7, np.pi])
    tone = np.exp(1j * omega * np.arange(2000)[:, None])
    real, imaginary = (block.process(part)[0][-40:] for part in (tone.real, tone.imag))
    gain = (real + 1j * imaginary) / tone[-40:]
    expected = np.broadcast_to(block.settled.frequency_response(omega), gain.shape)
    np.testing.assert_allclose(gain, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("design", DESIGNS)
def test_sos_response_is_scipys(design):
    block = SOS(sos=DESIGNS[design])
    omega, expected = signal.freqz(*signal.sos2tf(DESIGNS[design]), worN=64)
    np.testing.assert_allclose(block.frequency_response(omega), expected, atol=1e-9)


def test_ema_response_is_the_published_one():
    omega, eta = np.linspace(0, np.pi, 9), 0.2
    power = eta**2 / (1 + (1 - eta) ** 2 - 2 * (1 - eta) * np.cos(omega))
    np.testing.assert_allclose(np.abs(EMA(eta=eta).frequency_response(omega)) ** 2, power, rtol=1e-13)


@PRECISIONS
@pytest.mark.compiled
def test_a_slow_butterworth_settles_at_one(dtype):
    """Order 4 at cut-off 1e-4 of the Nyquist frequency, within 1e-6 after 30 time constants."""
    block = SOS(sos=signal.butter(4, 1e-4, output="sos"))
    y, state = block.process(np.ones(300_000, dtype))
    assert abs(y[-1] - 1) < 1e-6
    assert np.ptp(block.process(np.ones(20_000, dtype), state)[0]) <= 2e-7


@PRECISIONS
def test_a_slow_ema_follows_its_closed_form(dtype):
    """Eta 1e-6: after n samples 1 - (1 - start)(1 - eta)**n, from any start, to 1e-10 or half an ulp."""
    block = EMA(eta=1e-6)
    starts = np.array([0.0, 0.5, 1 - 1e-7, 1.0])
    y, state = block.process(np.ones((1000, 4), dtype), block.init(4, starts))
    left = (1 - starts) * np.exp(np.arange(1, 1001)[:, None] * np.log1p(-1e-6))
    np.testing.assert_allclose(state.memory[0], 1 - left[-1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(y, 1 - left, rtol=0, atol=6e-8 if dtype == np.float32 else 1e-12)
    assert y[-1, 3] == 1.0


@pytest.mark.compiled
@pytest.mark.parametrize("kind", ["boxcar", "cic", "growing", "ema"])
def test_running_means_do_not_drift(kind):
    """A million float32 samples of 1e4 + noise, then its last outputs against means in extended precision."""
    block = {
        "boxcar": Boxcar(length=1000),
        "cic": CIC(length=300, order=3),
        "growing": GrowingBoxcar(length=1000),
        "ema": EMA(eta=0.01),
    }[kind]
    x = (1e4 + np.random.default_rng(5).standard_normal((1_000_000, 1))).astype(np.float32)
    y, _ = block.process(x.astype(np.float64))
    tail = x[-5000:].astype(np.longdouble)
    expected, _ = block.process(tail.astype(np.float64), block.init(1, tail[0].astype(np.float64)))
    if kind in ("boxcar", "growing"):
        exact = np.array([tail[k - 999 : k + 1].mean(axis=0) for k in range(4990, 5000)], np.float64)
        np.testing.assert_allclose(y[-10:], exact, rtol=4e-15)
    np.testing.assert_allclose(y[-10:], expected[-10:], rtol=4e-15)
    np.testing.assert_array_equal(block.process(x)[0][-10:], y[-10:].astype(np.float32))


def test_boxcar_keeps_no_rounding_error_of_old_samples():
    x = np.concatenate([np.full((10, 1), 1e8), np.full((30, 1), 0.1)])
    for dtype, tolerance in ((np.float32, 6e-8), (np.float64, 1e-15)):
        y, _ = Boxcar(length=8).process(x.astype(dtype))
        np.testing.assert_allclose(y[20:], np.asarray(0.1, dtype), rtol=tolerance)


@pytest.mark.compiled
@pytest.mark.parametrize("block", **of(LINEAR | SETTLING))
def test_decaying_tails_leave_no_subnormal_numbers(block):
    """A burst, then zeros for 40000 samples: what the memory holds is zero or above the subnormals."""
    smallest = np.finfo(np.float64).tiny
    _, state = block.process(stream(40))
    for _ in range(50):
        y, state = block.process(np.zeros((800, 3)), state)
        memory = np.abs(state.memory)
        assert not np.any((memory > 0) & (memory < smallest))
        assert not np.any((np.abs(y) > 0) & (np.abs(y) < smallest))


@pytest.mark.parametrize(("drift", "read"), [(0.1, 0.5), (1.0, 0.01), (0.001, 2.0), (0.3, 0.0)])
def test_steady_kalman_gain_is_where_the_recursion_ends(drift, read):
    predicted = 1.0
    for _ in range(200_000 if drift < 0.01 else 500):
        predicted = predicted * read**2 / (predicted + read**2) + drift**2
    kalman = SteadyKalman(drift_std=drift, read_std=read)
    assert kalman.predicted_variance == pytest.approx(predicted, rel=1e-9)
    assert kalman.gain == pytest.approx(predicted / (predicted + read**2), rel=1e-9)
    assert kalman.error_variance == pytest.approx(kalman.predicted_variance - drift**2, rel=1e-6, abs=1e-15)


@pytest.mark.compiled
def test_steady_kalman_has_its_error_variance():
    """A walk of 4000 steps in 40 cells; error variance within 5 % (5 sigma of 20000 samples)."""
    rng = np.random.default_rng(4)
    kalman = SteadyKalman(drift_std=0.3, read_std=0.5)
    truth = np.cumsum(0.3 * rng.normal(size=(4000, 40)), axis=0)
    y, _ = kalman.process(truth + 0.5 * rng.normal(size=truth.shape))
    error = (y - truth)[200:]
    assert np.mean(error**2) == pytest.approx(kalman.error_variance, rel=0.05)


def test_a_chain_is_one_filter_in_float64():
    """Between blocks of a chain nothing is rounded, whatever the samples."""
    x = stream(dtype=np.float32)
    chain = Chain(EMA(eta=1e-3), EMA(eta=1e-3))
    np.testing.assert_array_equal(chain.process(x)[0], EMA(eta=1e-3, order=2).process(x)[0])


@pytest.mark.parametrize("eta", [1.0, 0.7, 0.2, 0.011, 1e-6])
def test_a_boxcar_like_an_ema_has_its_delay(eta):
    """(M - 1)/2 samples against (1 - eta)/eta, to half a sample; one law for both boxcars."""
    length = Boxcar.like(eta).length
    assert GrowingBoxcar.like(eta).length == length
    assert abs((length - 1) / 2 - (1 - eta) / eta) <= 0.25 + 1e-9 or length == 1


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
        (lambda: EMA(eta=0.0), r"eta must be > 0 and <= 1, got 0.0"),
        (lambda: EMA(eta=np.nan), "eta must .*got nan"),
        (lambda: EMA(eta=0.1, order=0), "order must .*a whole number >= 1.*got 0"),
        (lambda: CorrectedEMA(eta=1.5), "eta must .*got 1.5"),
        (lambda: Boxcar(length=2.5), "length must .*got 2.5"),
        (lambda: Boxcar.like(0.0), "eta must .*got 0.0"),
        (lambda: GrowingBoxcar(length=0), "length must .*got 0"),
        (lambda: CIC(length=2, order=0), "order must .*got 0"),
        (lambda: SteadyKalman(drift_std=0.0, read_std=1.0), "drift_std must .*got 0.0"),
        (lambda: SteadyKalman(drift_std=1.0, read_std=-1.0), "read_std must .*got -1.0"),
        (lambda: SOS(sos=np.ones((2, 5))), r"sos must have 6 numbers per section, got shape \[2, 5\]"),
        (lambda: SOS(sos=[[1, 0, 0, 2, 0, 0]]), "a0 = 2.0"),
        (lambda: SOS.from_ba([1.0], [0.0, 1.0]), r"a\[0\] must not be 0"),
        (lambda: SOS.from_ba([0.0], [1.0]), "b must hold a coefficient"),
        (lambda: SOS.from_ba([[1.0]], [1.0]), r"b must be .*got shape \[1, 1\]"),
        (lambda: FIR(taps=[]), r"taps must be .*got shape \[0\]"),
        (lambda: FIR(taps=[1.0, np.inf]), "finite"),
        (lambda: FIR(taps="abc"), "real numbers"),
        (lambda: Boxcar.over(PeriodicChopper(half_period=2), periods=0), "periods must .*got 0"),
    ],
)
def test_refusals(make, text):
    with pytest.raises(ParameterError, match=text):
        make()
