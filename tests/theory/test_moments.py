import itertools
from decimal import Decimal, localcontext

import numpy as np
import pytest

from sptrack.errors import ParameterError
from sptrack.theory.moments import Moments, coin_map, down_map, program_map, up_map
from sptrack.theory.zero_shifting import start_moments, zero_shifting_map, zero_shifting_moments
from tests.theory.standins import Noise, exponential_cells, linear_cells, weights_under_zero_shifting

PLUS, MINUS = np.array([1.3, 1.0, 0.6]), np.array([0.7, 1.0, 1.1])
NOISES = [Noise(), Noise(0.4), Noise(0.4, additive=True)]


def cells_with(noise, dw_min=0.05):
    return linear_cells(PLUS, MINUS, dw_min, noise=noise, tau=(-0.8, 1.2))


def enumerate_moments(cells, start, choices):
    """Mean and variance by summing over every coin and over two-point noise, exact for second moments.

    `choices` lists, pulse by pulse, the directions that are equally likely.
    """
    line, sigma = cells.linear, cells.cycle_noise.std
    total = square = 0.0
    branches = [list(itertools.product(c, (-1.0, 1.0))) for c in choices]
    paths = list(itertools.product(*branches))
    for path in paths:
        w = np.full(cells.shape, start)
        for direction, xi in path:
            base = line.up if direction > 0 else line.down
            step = base + (line.slope_up if direction > 0 else line.slope_down) * w
            w = w + direction * (step + sigma * xi * (base if cells.cycle_noise.additive else step))
        total, square = total + w, square + w**2
    mean = total / len(paths)
    return mean - cells.symmetric_point, square / len(paths) - mean**2


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("runs", [[1], [-1], [1, 1, -1, 1, -1], [3, -2]])
def test_program_equals_the_sum_over_all_noise_paths(noise, runs):
    cells = cells_with(noise)
    moments = program_map(cells, runs).apply(start_moments(cells, 0.1))
    directions = [[1 if run > 0 else -1] for run in runs for _ in range(abs(run))]
    mean, variance = enumerate_moments(cells, 0.1, directions)
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(moments.variance, variance, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("noise", NOISES)
def test_coin_equals_the_sum_over_all_coins_and_noise_paths(noise):
    cells = cells_with(noise)
    moments = zero_shifting_moments(cells, "stochastic", 5, 0.1)
    mean, variance = enumerate_moments(cells, 0.1, [(1, -1)] * 5)
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(moments.variance, variance, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("one", [up_map, down_map, coin_map])
def test_repetition_equals_a_plain_loop_of_ten_thousand_pulses(noise, one):
    cells = cells_with(noise, dw_min=1e-3)
    pulse = one(cells)
    loop = start = start_moments(cells, 0.3)
    for _ in range(10_000):
        loop = pulse.apply(loop)
    power = pulse.repeated(10_000).apply(start)
    np.testing.assert_allclose(power.mean, loop.mean, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(power.variance, loop.variance, rtol=1e-10, atol=1e-18)


@pytest.mark.parametrize("pulses", [1000, 1_000_000, 8_000_000])
def test_coin_keeps_the_digits_of_the_closed_form_over_millions_of_pulses(pulses):
    """E x = A^n x0, E x^2 = B^n x0^2 + C x0 (A^n-B^n)/(A-B) + D (1-B^n)/(1-B), in 60 decimal digits."""
    h, sigma, plus, minus, start = 1e-6, 0.3, 1.3, 0.7, 0.2
    cells = linear_cells(plus, minus, h, noise=Noise(sigma))
    moments = coin_map(cells).repeated(pulses).apply(start_moments(cells, start))
    line, point = cells.linear, Decimal(float(cells.symmetric_point[0]))
    with localcontext() as context:
        context.prec = 60
        up, down, a, b = (Decimal(float(v[0])) for v in (line.up, line.down, -line.slope_up, line.slope_down))
        kappa, x0 = 1 + Decimal(sigma) ** 2, Decimal(start) - point
        step = (up * b + down * a) / (a + b)
        A, B = 1 - (a + b) / 2, 1 - (a + b) + kappa * (a * a + b * b) / 2
        An, Bn = A**pulses, B**pulses
        square = Bn * x0**2 + kappa * step * (b - a) * x0 * (An - Bn) / (A - B)
        square += kappa * step**2 * (1 - Bn) / (1 - B)
        mean, variance = float(An * x0), float(square - (An * x0) ** 2)
    assert moments.mean[0] == pytest.approx(mean, rel=1e-11, abs=1e-30)
    assert moments.variance[0] == pytest.approx(variance, rel=1e-9)


def test_burst_of_ups_is_the_closed_exponential():
    cells = linear_cells(PLUS, MINUS, 1e-3)
    n, step, slope = 700, up_map(cells).shift, up_map(cells).loss
    keep = (1 - slope) ** n
    x0 = start_moments(cells, -0.4)
    expected = x0.mean * keep + step / slope * (1 - keep)
    np.testing.assert_allclose(program_map(cells, [n]).apply(x0).mean, expected, rtol=1e-12)


def test_without_noise_a_known_program_has_no_variance_at_all():
    cells = cells_with(Noise())
    assert not zero_shifting_moments(cells, "cyclic", 100_000, 0.5).variance.any()


@pytest.mark.parametrize("noise", [Noise(0.5), Noise(0.5, additive=True)])
@pytest.mark.parametrize("mode", ["stochastic", "cyclic"])
@pytest.mark.parametrize("pulses", [7, 150])
def test_moments_agree_with_simulation(noise, mode, pulses):
    """M = 40000, fixed seed, 4 standard errors; that of a variance from the sample's fourth moment."""
    cells = linear_cells(PLUS, MINUS, 0.01, noise=noise)
    moments = zero_shifting_moments(cells, mode, pulses, -0.2)
    *_, w = weights_under_zero_shifting(cells, mode, pulses, -0.2, replicas=40_000, seed=3)
    x = w - cells.symmetric_point
    error = np.sqrt(moments.variance / len(x))
    assert (np.abs(x.mean(0) - moments.mean) < 4 * error).all()
    centred = x - x.mean(0)
    error = np.sqrt(((centred**4).mean(0) - (centred**2).mean(0) ** 2) / len(x))
    assert (np.abs(centred.var(0) - moments.variance) < 4 * error).all()


def test_composition_is_associative_and_repetition_adds_up():
    cells = cells_with(Noise(0.3))
    up, down, coin = up_map(cells), down_map(cells), coin_map(cells)
    state = Moments(np.array([0.1, -0.2, 0.3]), np.array([0.01, 0.0, 0.02]))
    left, right = up.then(down).then(coin).apply(state), up.then(down.then(coin)).apply(state)
    np.testing.assert_allclose(left, right, rtol=1e-13)
    np.testing.assert_allclose(
        coin.repeated(5).then(coin.repeated(8)).apply(state), coin.repeated(13).apply(state), rtol=1e-13
    )


def test_cells_without_a_symmetric_point_or_with_overshoot_have_no_moments():
    live = np.array([True, False, True])
    cells = linear_cells([1.0, 1.0, 30.0], [1.0, 1.0, 1.0], 0.05, live=live)
    moments = zero_shifting_moments(cells, "cyclic", 4)
    np.testing.assert_array_equal(np.isfinite(moments.mean), [True, False, False])


def test_refusals_name_the_value():
    cells = cells_with(Noise())
    with pytest.raises(ParameterError, match="not linear"):
        up_map(exponential_cells(1e-3))
    with pytest.raises(ParameterError, match="offset or slope"):
        up_map(cells_with(Noise(0.3, slope=0.1)))
    with pytest.raises(ParameterError, match="-3"):
        up_map(cells).repeated(-3)
    with pytest.raises(ParameterError, match="'fast'"):
        zero_shifting_map(cells, "fast")
