import numpy as np
import pytest

from sptrack.devices.constants import local_derivatives, noise_power, potential, response_constants
from sptrack.errors import ParameterError
from tests.theory.standins import Noise, exponential_cells, linear_cells, power_cells, sticking_cells

H = 1e-3


def test_linear_constants_are_exact():
    plus, minus, low, high = np.array([1.3, 0.6]), np.array([0.7, 1.1]), -0.8, 1.2
    c = response_constants(linear_cells(plus, minus, H, tau=(low, high)))
    s_plus, s_minus = plus / high, -minus / low
    top = np.maximum(plus * (1 - low / high), minus * (1 - high / low))
    q0 = plus - s_plus * (plus - minus) / (s_plus + s_minus)
    expected = (
        0,
        top,
        q0,
        (s_plus + s_minus) / 2,
        np.minimum(s_plus, s_minus),
        (s_plus + s_minus) / 2,
        s_plus,
        s_minus,
    )
    for name, value in zip(c.__slots__, expected, strict=True):
        np.testing.assert_allclose(
            getattr(c, name), np.broadcast_to(value, 2), rtol=1e-14, atol=1e-15, err_msg=name
        )


def test_exponential_slopes_are_the_analytic_ones():
    """|q'| = a (c/2) e^(c u)/(e^c - 1) with u from 0 to 1 away from the bound ahead."""
    up, down, rate = 1.2, 0.8, 3.0
    c = response_constants(exponential_cells(H, up=up, down=down, rate=rate))
    share = rate / 2 / (np.exp(rate) - 1)
    assert c.lipschitz_plus == pytest.approx(up * share * np.exp(rate), rel=1e-4)
    assert c.lipschitz_minus == pytest.approx(down * share * np.exp(rate), rel=1e-4)
    assert c.slope_max == pytest.approx((up * np.exp(rate) + down) * share / 2, rel=1e-4)
    assert c.mu_each == pytest.approx(down * share, rel=1e-4)
    assert c.mu == pytest.approx(np.sqrt(up * down) * np.exp(rate / 2) * share, rel=1e-4)


@pytest.mark.parametrize("exponent", [0.2, 0.5, 0.9])
def test_power_law_below_one_has_no_largest_slope(exponent):
    c = response_constants(power_cells(H, exponent))
    for value in (c.slope_max, c.lipschitz_plus, c.lipschitz_minus):
        assert np.isinf(value).all()
    assert np.isfinite([c.mu, c.mu_each, c.q_max]).all()


@pytest.mark.parametrize("exponent", [1.1, 2.0, 3.0])
def test_power_law_above_one_has_a_vanishing_slope_at_each_bound(exponent):
    c = response_constants(power_cells(H, exponent))
    np.testing.assert_array_equal(c.mu_each, 0)
    assert c.lipschitz_plus == pytest.approx(1.2 * exponent / 2, rel=1e-5)


def test_square_law_slope_of_the_asymmetry_lies_between_its_ends():
    """G' = up u + down (1 - u), halved: from down/2 = .4 to up/2 = .6."""
    c = response_constants(power_cells(H, 2.0))
    assert c.mu == pytest.approx(0.4, rel=1e-5)
    assert c.slope_max == pytest.approx(0.6, rel=1e-5)


def test_sub_interval_leaves_the_singular_ends_out():
    c = response_constants(power_cells(H, 0.5), interval=(-0.5, 0.5))
    assert c.lipschitz_plus == pytest.approx(1.2 * 0.25 / np.sqrt(0.25), rel=1e-4)
    with pytest.raises(ParameterError, match="within the hard bounds -1 to 1, got -2 to 0.5"):
        response_constants(power_cells(H, 0.5), interval=(-2, 0.5))


def test_locally_steep_mean_response_shows_in_each_slope_but_not_in_their_mean():
    c = response_constants(sticking_cells())
    assert c.lipschitz_minus == pytest.approx(10.0356, rel=1e-9)
    assert c.slope_max == pytest.approx(0.0356, rel=1e-6)


def test_potential_of_linear_cells_is_the_parabola():
    cells = linear_cells([1.3, 0.6], [0.7, 1.1], H)
    x0 = 0.4 - cells.symmetric_point
    np.testing.assert_allclose(potential(cells, 0.4), response_constants(cells).mu * x0**2 / 2, rtol=1e-14)


def test_potential_of_the_square_law_is_its_integral():
    cells = power_cells(H, 2.0)

    def integral(w):
        return (0.8 * (1 + w) ** 3 + 1.2 * (1 - w) ** 3) / 24

    expected = integral(-0.7) - integral(cells.symmetric_point)
    np.testing.assert_allclose(potential(cells, -0.7), expected, rtol=1e-13)


def test_derivatives_at_the_symmetric_point_are_the_analytic_ones():
    """q = a u^2: q' = a u, q'' = a/2 with u the distance to the bound over the range 2."""
    cells = power_cells(H, 2.0)
    point = cells.symmetric_point
    plus, minus, curvature = local_derivatives(cells)
    np.testing.assert_allclose(plus, 1.2 * (1 - point) / 2, rtol=1e-10)
    np.testing.assert_allclose(minus, 0.8 * (1 + point) / 2, rtol=1e-10)
    np.testing.assert_allclose(curvature, (0.8 - 1.2) / 4, rtol=1e-6)


@pytest.mark.parametrize(("additive", "base"), [(False, 0.7), (True, 1.1)])
def test_noise_deviation_is_sigma_times_level_offset_and_slope(additive, base):
    cells = linear_cells(1.0, 1.0, 0.01, noise=Noise(0.5, additive, offset=0.02, slope=0.03))
    power = noise_power(cells, np.array([0.7]), np.array([1.1]), np.array([-0.4]))
    assert power == pytest.approx((0.5 * (base + 2 + 0.03 * 0.4 / 0.01)) ** 2)
