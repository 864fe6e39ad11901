"""The linearised loop against an independent simulation of pulses, and against its own identities.

Tolerances are 4 standard errors over independent lanes, plus what the expansion leaves out where said so.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.signal import periodogram

from sptrack.blocks import EMA, Boxcar, Chain, Chopper, MaximumLengthChopper, PeriodicChopper
from sptrack.devices import (
    Asymmetry,
    CycleNoise,
    Device,
    LinearStep,
    PowStep,
    SoftBounds,
    Spread,
    cells_from_parameters,
    sample_cells,
)
from sptrack.errors import ParameterError
from sptrack.theory import GradientStatistics, linearise

from .openloop import (
    Drive,
    LinearCell,
    PowerCell,
    ema,
    lane_statistics,
    run,
    signs_of_pattern,
    signs_of_telegraph,
)

LANES, BURN_IN, STEPS = 400, 800, 2500
GRANULARITY = 0.008
OMEGA = 2 * np.pi * np.arange(1 << 15) / (1 << 15)


def _device(response=None, *, skew=0.3, noise=0.3, dw=GRANULARITY):
    return Device(
        response=SoftBounds() if response is None else response,
        dw_min=dw,
        spread=Spread(asymmetry=Asymmetry(mean=skew)),
        cycle_noise=CycleNoise(std=noise),
    )


def _loop(drive, device=None, **options):
    cells = sample_cells(_device() if device is None else device, (1, 1), dtype=np.float64)
    gradient = GradientStatistics(mean=drive.mean, std=drive.std)
    application = "euler" if drive.euler else "sequential"
    return linearise(
        cells, alpha=drive.alpha, gradient=gradient, law=drive.law, slots=drive.slots, application=application
    )


def _signs(chopper, steps, lanes, seed):
    rng = np.random.default_rng(seed)
    if isinstance(chopper, Chopper):
        return signs_of_telegraph(chopper.p, steps, lanes, rng)
    return signs_of_pattern(chopper.pattern(), steps, lanes, rng)


@cache
def _simulated(cell, drive, chopper, steps=STEPS):
    """Signs and offsets of P [steps, lanes] after the burn-in."""
    signs = _signs(chopper, BURN_IN + steps, LANES, 7)
    return signs[BURN_IN:], run(cell, drive, signs, seed=11)[BURN_IN:] - cell.point


LINEAR = LinearCell(dw=GRANULARITY)
MIRRORED = LinearCell(up=0.7, down=1.3, slope_up=0.7, slope_down=1.3, dw=GRANULARITY)
CASES = [
    (LINEAR, Drive(mean=0.3, std=1.0), Chopper(p=0.1)),
    (LINEAR, Drive(mean=0.8, std=0.3, law="binomial"), Chopper(p=0.3)),
    (LINEAR, Drive(mean=0.5, std=0.5, law="poisson"), Chopper(p=0.95)),
    (MIRRORED, Drive(mean=0.5, std=0.5), PeriodicChopper(half_period=20)),
    (LINEAR, Drive(mean=-0.4, std=0.4, alpha=0.01), MaximumLengthChopper(register=6)),
    (replace(LINEAR, noise=0.0), Drive(std=0.7, euler=True), Chopper(p=0.5)),
    (replace(LINEAR, noise=1.0), Drive(mean=0.3, std=0.5, euler=True), PeriodicChopper(half_period=3)),
]


def _predicted(cell, drive, chopper, low_pass=0.02):
    skew = (cell.up - cell.down) / 2
    return _loop(drive, _device(skew=skew, noise=cell.noise)).predict(low_pass, chopper)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[2]} {c[1].law} {c[1].mean:g}")
def test_bias_variances_and_demodulated_signal_are_those_of_the_pulses(case):
    """Terms beyond the expansion: up to 4 % of the variance at the x_rms here, 2 % of the signal."""
    cell, drive, chopper = case
    signs, p = _simulated(cell, drive, chopper)
    found = _predicted(cell, drive, chopper)
    mean, error = lane_statistics(p)
    assert abs(mean - found.bias.item()) < 4 * error
    q = ema(p, 0.02, 0.0)[500:]
    for series, predicted in ((p, found.var_p), (q, found.var_q)):
        variance, error = lane_statistics((series - series.mean()) ** 2)
        assert abs(variance - predicted.item()) < 4 * error + 0.04 * predicted.item()
    signal, error = lane_statistics(signs * p)
    assert abs(signal - found.demodulated.item()) < 4 * error + 0.02 * abs(found.demodulated.item())
    assert found.warnings == ()


def test_each_bias_term_shows_where_the_others_vanish():
    """Without a mean gradient the chopper does nothing; one Euler step has no later pulses."""
    sure = Drive(mean=0.0, std=1.0, alpha=0.04)
    _, p = _simulated(LINEAR, sure, Chopper(p=0.5))
    found = _predicted(LINEAR, sure, Chopper(p=0.5))
    mean, error = lane_statistics(p)
    assert found.bias_correlation == found.bias_curvature == 0
    assert abs(mean - found.bias_multi_pulse.item()) < 4 * error
    assert abs(found.bias_multi_pulse.item()) > 5 * error
    q0, slope, tilt, size = 0.91, 1.0, -0.3, np.sqrt(2 / np.pi)
    poisson = _predicted(LINEAR, replace(sure, law="poisson"), None).bias_multi_pulse.item()
    assert poisson == pytest.approx(0.04 * q0 * tilt * 1.0 / (2 * size * slope))
    euler = _predicted(LINEAR, replace(sure, euler=True), Chopper(p=0.5))
    assert euler.bias == 0


def test_curvature_pulls_the_mean_of_a_power_law_cell():
    """Exponents 2, scales 1.6 and .4; no mean gradient, Euler steps: curvature alone, to 10 %."""
    cell = PowerCell(up=1.6, down=0.4, dw=GRANULARITY)
    drive = Drive(std=1.0, alpha=0.15, euler=True)
    _, p = _simulated(cell, drive, Chopper(p=0.5), steps=8000)
    device = _device(PowStep(gamma_up=2.0, gamma_down=2.0), skew=0.6)
    found = _loop(drive, device).predict(0.02, Chopper(p=0.5))
    mean, error = lane_statistics(p)
    assert found.bias_correlation == found.bias_multi_pulse == 0
    assert abs(found.bias_curvature.item()) > 6 * error
    assert abs(mean - found.bias_curvature.item()) < 4 * error + 0.1 * abs(found.bias_curvature.item())


def test_read_noise_adds_white_noise_in_front_of_the_filter():
    drive = CASES[0][1]
    _, p = _simulated(*CASES[0])
    loop = _loop(drive)
    found = loop.predict(0.1, Chopper(p=0.1), read_noise=0.2)
    quiet = loop.predict(0.1, Chopper(p=0.1))
    assert (found.var_q - quiet.var_q).item() == pytest.approx(0.04 * 0.1 / 1.9)
    assert found.var_p == quiet.var_p
    q = ema(p, 0.1, 0.0, read_noise=0.2, seed=3)[200:]
    variance, error = lane_statistics((q - q.mean()) ** 2)
    assert abs(variance - found.var_q.item()) < 4 * error + 0.04 * found.var_q.item()


def test_density_of_p_and_q_in_every_band():
    """Periodograms of 400 lanes in 8 bands of a telegraph-chopped drive: ratio 1 within 4 errors and 5 %."""
    signs, p = _simulated(*CASES[0], steps=4096)
    drive = CASES[0][1]
    for low_pass, series in ((None, p), (0.1, ema(p, 0.1, 0.0))):
        omega, power = periodogram(series, fs=2 * np.pi, window="hann", axis=0, return_onesided=False)
        power = power * 2 * np.pi
        predicted = _loop(drive).spectrum(omega, Chopper(p=0.1), low_pass=low_pass).density[0, 0]
        edges = np.geomspace(0.01, np.pi, 9)
        for low, high in zip(edges[:-1], edges[1:], strict=True):
            band = (omega > low) & (omega <= high)
            found, error = lane_statistics(power[band])
            ratio = predicted[band].mean()
            assert abs(found / ratio - 1) < 4 * error / ratio + 0.05


def test_lines_of_p_under_a_periodic_chopper():
    """Power at 2 pi m/40 over 80 whole periods, one phase, less the noise floor: within 4 errors and 2 %."""
    cell, drive, chopper = MIRRORED, Drive(mean=0.5, std=0.5), PeriodicChopper(half_period=20)
    signs = np.repeat(np.tile(chopper.pattern(), 105)[:, None], 200, axis=1)
    p = run(cell, drive, signs, seed=2)[1000:]
    amplitude = np.fft.fft(p, axis=0) / len(p)
    found = _loop(drive, _device(skew=-0.3)).spectrum(OMEGA[:1], chopper)
    for m in (1, 3, 5):
        place = np.argmin(np.abs(found.line_omega - np.pi * m / 20))
        values = amplitude[m * len(p) // 40]
        error = 2 * np.abs(values.mean()) * np.abs(values).std() / np.sqrt(200)
        predicted = found.line_power[0, 0, place]
        assert abs(np.abs(values.mean()) ** 2 - predicted) < 4 * error + 0.02 * predicted
    even = np.abs(amplitude[2 * len(p) // 40].mean()) ** 2
    assert even < 0.05 * found.line_power.max()


@pytest.mark.parametrize("chopper", [None, *(case[2] for case in CASES[:5])], ids=str)
@pytest.mark.parametrize(
    "low_pass", [None, 0.05, Boxcar(length=25), Chain(EMA(eta=0.2), EMA(eta=0.1))], ids=str
)
def test_spectra_integrate_to_the_variances(chopper, low_pass):
    loop = _loop(Drive(mean=0.4, std=0.6))
    spectrum = loop.spectrum(OMEGA, chopper, low_pass=low_pass, read_noise=0.01)
    moving = np.abs(spectrum.line_omega) > 1e-9
    total = spectrum.density.mean(axis=-1) + spectrum.line_power[..., moving].sum(axis=-1)
    found = loop.predict(1.0 if low_pass is None else low_pass, chopper, read_noise=0.01)
    expected = found.var_q if low_pass is not None else found.var_p + 1e-4
    np.testing.assert_allclose(total, expected, rtol=1e-8)


def test_low_density_is_the_spectrum_at_zero_and_that_of_the_rule():
    """(q0/G')^2 [(s^2 + m^2 (1-p)/p)/e^2 + kappa dw/(alpha e)] for Poisson counts."""
    drive = Drive(mean=0.3, std=1.0, law="poisson")
    loop = _loop(drive)
    found = loop.predict(0.01, Chopper(p=0.1)).low_density.item()
    size = loop.gradient_size.item()
    rule = 0.91**2 * ((1 + 0.09 * 9) / size**2 + 1.09 * GRANULARITY / (0.02 * size))
    assert found == pytest.approx(rule)


def test_telegraph_bias_has_the_locks_as_its_limit():
    """For p -> 0 the mean is half the sum of both locks, and at p = 0 the lock of +1."""
    loop = _loop(Drive(mean=0.3, std=1.0, alpha=0.01))
    up, down = loop.lock(1).item(), loop.lock(-1).item()
    assert up == pytest.approx(-0.367, abs=5e-4)
    assert down == pytest.approx(0.296, abs=5e-4)
    assert loop.correlation_bias(Chopper(p=1e-7)).item() == pytest.approx((up + down) / 2, rel=1e-3)
    assert loop.correlation_bias(Chopper(p=0.0)).item() == pytest.approx(up)
    assert loop.correlation_bias(None).item() == pytest.approx(up)
    assert loop.correlation_bias(Chopper(p=1.0)).item() == pytest.approx(
        loop.correlation_bias(PeriodicChopper(half_period=1)).item()
    )


def test_p_locks_where_the_chopper_rests():
    drive = Drive(mean=0.3, std=1.0)
    p = run(LINEAR, drive, np.ones((1500, 300)), seed=1)[700:] - LINEAR.point
    mean, error = lane_statistics(p)
    found = _predicted(LINEAR, drive, None)
    assert abs(mean - found.bias.item()) < 4 * error + 0.02 * abs(found.bias.item())


def test_rms_of_q_over_the_flip_probability():
    """The published sweep at alpha .01, eta .002, m = .3, s = 1, granularity .001; three digits."""
    loop = _loop(Drive(mean=0.3, std=1.0, alpha=0.01, law="binomial"), _device(dw=0.001))
    sweep = [loop.predict(0.002, Chopper(p=p)).rms_q.item() for p in (0.1, 0.5, 1.0)]
    np.testing.assert_allclose(sweep, [0.043, 0.033, 0.031], rtol=0.04)


def test_a_prediction_beyond_its_limits_says_so():
    strong = _loop(Drive(mean=1.0, std=0.1)).predict(0.01, Chopper(p=0.001))
    assert "of half the range" in strong.warnings[0]
    assert "within 3 rms of a bound" in strong.warnings[1]
    power = _device(PowStep(gamma_up=2.0, gamma_down=2.0), skew=0.2)
    assert any("up to 0.1" in line for line in _loop(Drive(std=1.0, alpha=0.5), power).predict(0.01).warnings)
    runaway = _loop(Drive(std=1.0, alpha=4.0))
    assert "unstable pole" in runaway.warnings[0]
    assert runaway.predict(0.1, Chopper(p=0.1)).var_q == np.inf
    few = _loop(Drive(std=1.0, alpha=0.1, law="binomial", slots=10))
    assert "more than the 10 slots" in few.warnings[0]
    half = _loop(Drive(std=0.1)).predict(Chain(EMA(eta=0.5), _Half()))
    assert "gain 0.5" in half.warnings[0]


class _Half(Boxcar):
    def __init__(self):
        super().__init__(length=1)

    def frequency_response(self, omega):
        return 0.5 * super().frequency_response(omega)


def test_cells_without_symmetric_point_are_nan_and_said_so():
    cells = cells_from_parameters(
        _device(LinearStep(gamma_up=0.5, gamma_down=0.5)),
        {"step_up": [[0.008, 0.024]], "step_down": [[0.008, 0.004]]},
        dtype=np.float64,
    )
    loop = linearise(cells, alpha=0.01, gradient=GradientStatistics(mean=0.1, std=1.0))
    found = loop.predict(0.01, Chopper(p=0.1))
    assert "no symmetric point in 1 of 2" in found.warnings[0]
    for values in (found.bias, found.var_p, found.var_q, found.demodulated):
        assert np.isnan(values).tolist() == [[False, True]]


def test_arrays_are_predicted_cell_by_cell():
    cells = sample_cells(Device(), (3, 5), dtype=np.float64)
    means = np.linspace(-1, 1, 5)
    loop = linearise(cells, alpha=0.01, gradient=GradientStatistics(mean=means, std=0.5))
    found = loop.predict(0.01, MaximumLengthChopper(register=5))
    steps = {"step_up": cells.linear.up, "step_down": cells.linear.down}
    one = cells_from_parameters(cells.device, {k: v[1:2, 3:4] for k, v in steps.items()}, dtype=np.float64)
    alone = linearise(one, alpha=0.01, gradient=GradientStatistics(mean=means[3], std=0.5))
    expected = alone.predict(0.01, MaximumLengthChopper(register=5))
    for name in ("bias", "var_p", "var_q", "demodulated", "lock_up", "low_density"):
        assert getattr(found, name).shape == (3, 5)
        assert getattr(found, name)[1, 3] == pytest.approx(getattr(expected, name).item())


def test_bad_input_is_refused():
    cells = sample_cells(_device(), (2, 2))
    gradient = GradientStatistics(std=1.0)
    with pytest.raises(ParameterError, match="alpha must be >= 0, got -1.0"):
        linearise(cells, alpha=-1.0, gradient=gradient)
    with pytest.raises(ParameterError, match="application 'single'"):
        linearise(cells, alpha=0.1, gradient=gradient, application="single")
    with pytest.raises(ParameterError, match="gradient must be one number or the shape"):
        linearise(cells, alpha=0.1, gradient=GradientStatistics(mean=np.zeros(3)))
    loop = linearise(cells, alpha=0.1, gradient=gradient)
    with pytest.raises(ParameterError, match="eta must .*got 0"):
        loop.predict(0.0)
    with pytest.raises(ParameterError, match="read_noise must .*got -1"):
        loop.predict(0.1, read_noise=-1.0)
