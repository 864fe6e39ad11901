"""Poles, filters and choppers: shares, gains and cycles against sums over plain recursions."""

import numpy as np
import pytest

from sptrack.blocks import CIC, EMA, Boxcar, Chain, Chopper, MaximumLengthChopper, PeriodicChopper
from sptrack.errors import ConvergenceError, ParameterError
from sptrack.theory import (
    demodulated_gain,
    loop_pole,
    passed_fraction,
    passed_fraction_periodic,
    periodic_gain,
    telegraph_gain,
)
from sptrack.theory.chopping import (
    FilterShare,
    Pattern,
    Telegraph,
    chopped_power,
    cycle_mean,
    impulse_response,
    sign_law,
    white_power,
)

CHOPPERS = (
    Chopper(p=0.1),
    Chopper(p=0.8),
    Chopper(p=1.0),
    PeriodicChopper(half_period=7),
    PeriodicChopper(half_period=5, duty=0.3),
    MaximumLengthChopper(register=4),
)
FILTERS = (EMA(eta=0.03), EMA(eta=0.05, order=2), Boxcar(length=20), CIC(length=9))
OMEGA = 2 * np.pi * np.arange(1 << 16) / (1 << 16)


def _integral(density):
    """Mean over a whole turn: exact to rounding for poles a few hundredths off the circle."""
    return density.mean()


@pytest.mark.parametrize(("pole", "eta"), [(0.95, 0.02), (-0.3, 0.4), (0.9, 1.0)])
def test_passed_share_is_the_energy_behind_both_poles(pole, eta):
    """White noise through a pole, then through the filter: energies of the impulse responses."""
    first = pole ** np.arange(3000)
    second = np.convolve(first, eta * (1 - eta) ** np.arange(3000))[:3000]
    assert passed_fraction(pole, eta) == pytest.approx(np.sum(second**2) / np.sum(first**2))


def test_passed_share_at_its_limits():
    assert passed_fraction(0.0, 0.1) == pytest.approx(0.1 / 1.9)
    assert passed_fraction(1.0, 0.1) == pytest.approx(1.0)
    assert passed_fraction(1.1, 0.1) == passed_fraction(np.nan, 0.1) == np.inf


def test_telegraph_gain_is_that_of_the_recursion():
    """Mean of c x' over 4e6 steps of 40 chains; its std over the chains gives the error of the mean."""
    a, p, drive = 0.98, 0.02, 0.01
    rng = np.random.default_rng(1)
    c, x, total = np.ones(40), np.zeros(40), np.zeros(40)
    for step in range(101000):
        c = np.where(rng.random(40) < p, -c, c)
        x = a * x - drive * c
        total += c * x if step >= 1000 else 0.0
    mean = total / 100000
    predicted = -drive * telegraph_gain(a, 1 - 2 * p)
    assert abs(mean.mean() - predicted) < 4 * mean.std(ddof=1) / np.sqrt(40)
    assert 4 * mean.std(ddof=1) / np.sqrt(40) < 0.02 * abs(predicted)


@pytest.mark.parametrize(("pole", "half"), [(0.98, 25), (0.7, 1), (0.999, 7)])
def test_periodic_gain_and_share_are_those_of_the_recursion(pole, half):
    """Sums over the last period of a deterministic run; pole = 1 - eta makes the loop the filter, over
    eta."""
    c = np.where(np.arange(2 * half * 3000) // half % 2 == 0, 1.0, -1.0)
    x = np.zeros(len(c) + 1)
    for k, sign in enumerate(c):
        x[k + 1] = pole * x[k] + sign
    last = slice(-2 * half, None)
    assert periodic_gain(pole, half) == pytest.approx(np.mean(c[last] * x[1:][last]), rel=1e-6)
    share = np.mean((x[1:][last] * (1 - pole)) ** 2)
    assert passed_fraction_periodic(half, 1 - pole) == pytest.approx(share, rel=1e-6)


def test_gains_agree_where_the_choppers_are_the_same():
    """Flipping at every step is a telegraph with p = 1 and a half period of 1."""
    assert periodic_gain(0.8, 1) == pytest.approx(telegraph_gain(0.8, -1.0))
    assert periodic_gain(1.0, 50) == pytest.approx(periodic_gain(1 - 1e-7, 50), rel=1e-3)
    assert telegraph_gain(1.0, 1.0) == np.inf
    assert (passed_fraction_periodic(7, 0.0), passed_fraction_periodic(7, 1.0)) == (0.0, 1.0)
    assert loop_pole(0.0, 1.0, 1.0) == 1.0


@pytest.mark.parametrize("filter_", FILTERS, ids=str)
def test_share_of_any_filter_is_the_integral_over_its_response(filter_):
    share = FilterShare(filter_)
    for pole in (0.0, 0.95, -0.7):
        density = (1 - pole**2) / (1 + pole**2 - 2 * pole * np.cos(OMEGA))
        direct = _integral(density * np.abs(filter_.frequency_response(OMEGA)) ** 2)
        assert share(pole) == pytest.approx(direct, rel=1e-9)
    assert share(np.array([0.5, 1.5])).shape == (2,)
    assert share(1.5) == np.inf
    np.testing.assert_allclose(impulse_response(filter_)[:9], filter_.process(np.eye(1, 9)[0])[0], atol=1e-12)


def test_share_of_the_average_is_the_closed_form():
    poles = np.array([-0.5, 0.0, 0.3, 0.99])
    np.testing.assert_allclose(FilterShare(EMA(eta=0.02))(poles), passed_fraction(poles, 0.02), rtol=1e-9)
    np.testing.assert_allclose(
        FilterShare(Chain(EMA(eta=0.02), EMA(eta=1.0)))(poles), FilterShare(0.02)(poles)
    )


def test_powers_of_two_poles_in_the_form_of_the_literature():
    """V(a, b) = (1 + ab)/((1 - a^2)(1 - b^2)(1 - ab)), and with three poles the double sum over them."""
    a, eta, r = 0.97, 0.02, 0.8
    b = 1 - eta
    two = (1 + a * b) / ((1 - a**2) * (1 - b**2) * (1 - a * b))
    assert white_power(np.array(a), FilterShare(eta)) == pytest.approx(eta**2 * two)
    poles = np.array([a, b, r])
    weight = [p**2 / np.prod([p - q for q in poles if q != p]) for p in poles]
    three = sum(
        x * y / (1 - p * q)
        for x, p in zip(weight, poles, strict=True)
        for y, q in zip(weight, poles, strict=True)
    )
    power = chopped_power(np.array(a), Chopper(p=0.1), eta)
    assert power == pytest.approx(eta**2 * (1 - r**2) * three, rel=1e-9)


@pytest.mark.parametrize("chopper", CHOPPERS, ids=str)
@pytest.mark.parametrize("filter_", [1.0, 0.05, Boxcar(length=20)], ids=str)
def test_chopped_power_is_the_integral_and_the_lines(chopper, filter_):
    """Over the spectrum of the signs, without the line at 0."""
    poles = np.array([0.9, 0.2, -0.5])
    gain = lambda w: 1 / np.abs(1 - poles[:, None] * np.exp(-1j * w)) ** 2  # noqa: E731
    passed = FilterShare(filter_)
    response = EMA(eta=filter_) if isinstance(filter_, float) else filter_
    through = lambda w: gain(w) * np.abs(response.frequency_response(w)) ** 2  # noqa: E731
    place, power = chopper.lines()
    moving = np.abs(place) > 1e-9
    direct = (chopper.psd(OMEGA) * through(OMEGA)).mean(axis=1)
    direct += (power * through(place))[:, moving].sum(axis=1)
    np.testing.assert_allclose(chopped_power(poles, chopper, filter_, passed), direct, rtol=1e-9)


@pytest.mark.parametrize("off", [0.0, 1e-9, 1e-5, 1e-4])
def test_chopped_power_where_both_poles_meet(off):
    r = 0.98
    a = np.array([r + off])
    direct = (1 - r**2) / np.abs((1 - r * np.exp(-1j * OMEGA)) * (1 - a * np.exp(-1j * OMEGA))) ** 2
    assert chopped_power(a, Chopper(p=0.01)) == pytest.approx(direct.mean(), rel=1e-7)


def test_unstable_poles_have_no_power():
    poles = np.array([1.0, -1.2, np.nan])
    for power in (white_power(poles), chopped_power(poles, CHOPPERS[0]), chopped_power(poles, CHOPPERS[3])):
        np.testing.assert_array_equal(power, [np.inf, np.inf, np.nan])


@pytest.mark.parametrize("chopper", CHOPPERS, ids=str)
def test_demodulated_gain_sums_the_autocorrelation(chopper):
    lags = np.arange(3000)
    direct = np.sum(0.98**lags * chopper.autocorrelation(lags))
    assert demodulated_gain(0.98, chopper) == pytest.approx(direct)
    assert demodulated_gain(np.array([0.5, 0.98]), chopper)[1] == pytest.approx(direct)


def test_demodulated_gain_has_the_closed_forms_as_cases():
    assert demodulated_gain(0.9, Chopper(p=0.2)) == pytest.approx(telegraph_gain(0.9, 0.6))
    assert demodulated_gain(0.9, PeriodicChopper(half_period=6)) == pytest.approx(periodic_gain(0.9, 6))
    assert demodulated_gain(0.9, None) == pytest.approx(10.0)


@pytest.mark.parametrize("chopper", CHOPPERS[2:], ids=str)
def test_cycle_mean_is_that_of_the_recursion(chopper):
    """Several cells at once; 400 periods to settle, then one is averaged."""
    pole, tilt, drive = (
        np.array([0.9, 0.95, 0.3]),
        np.array([0.04, -0.02, 0.1]),
        np.array([0.02, 0.01, -0.05]),
    )
    x, total = np.zeros(3), np.zeros(3)
    for k, c in enumerate(np.tile(chopper.pattern() if hasattr(chopper, "pattern") else [1.0, -1.0], 400)):
        x = (pole - c * tilt) * x - c * drive
        period = getattr(chopper, "period", 2)
        total += x if k >= 399 * period else 0.0
    np.testing.assert_allclose(
        cycle_mean(pole, tilt, drive, sign_law(chopper).signs), total / period, rtol=1e-9, atol=1e-15
    )


def test_kinds_of_choppers():
    assert sign_law(Chopper(p=0.25)) == Telegraph(0.5)
    assert sign_law(Chopper(p=0.0)).mean == sign_law(None).mean == 1.0
    assert sign_law(Chopper(p=1.0)).signs.tolist() == [1.0, -1.0]
    assert isinstance(sign_law(MaximumLengthChopper(register=3)), Pattern)

    class Strange(Chopper):
        def autocorrelation(self, lag):
            return np.cos(np.asarray(lag))

    with pytest.raises(ParameterError, match="telegraph"):
        sign_law(Strange(p=0.1))


def test_a_filter_that_does_not_decay_is_refused():
    class Integrator:
        def frequency_response(self, omega):
            return 1 / (1 - (1 - 1e-9) * np.exp(-1j * np.asarray(omega)))

    with pytest.raises(ConvergenceError, match="not decayed"):
        FilterShare(Integrator())
