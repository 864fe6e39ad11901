import numpy as np
import pytest
from numpy.polynomial.hermite_e import hermegauss
from scipy.sparse import csr_array

from sptrack.errors import ParameterError
from sptrack.theory.small_step import small_step_moments
from sptrack.theory.zero_shifting import stationary_moments
from tests.theory.standins import (
    Noise,
    exponential_cells,
    linear_cells,
    power_cells,
    weights_under_zero_shifting,
)


@pytest.mark.parametrize("noise", [Noise(0.3), Noise(0.3, additive=True)])
@pytest.mark.parametrize("mode", ["stochastic", "cyclic"])
def test_linear_devices_differ_from_the_exact_moments_by_order_h(mode, noise):
    for h in (1e-2, 1e-3):
        cells = linear_cells([1.3, 1.0], [0.7, 1.0], h, noise=noise)
        approximate, exact = small_step_moments(cells, mode), stationary_moments(cells, mode)
        np.testing.assert_allclose(approximate.variance, exact.variance, rtol=2 * h)
        np.testing.assert_allclose(approximate.mean, exact.mean, rtol=2 * h, atol=1e-15)


@pytest.mark.parametrize("make", [exponential_cells, lambda h: power_cells(h, 2.0)])
@pytest.mark.parametrize(("dw_min", "tolerance"), [(0.02, 0.02), (0.005, 0.005)])
def test_cyclic_limit_without_noise(make, dw_min, tolerance):
    cells = make(dw_min)
    pulses = 2 * int(20 / dw_min)
    *_, w = weights_under_zero_shifting(cells, "cyclic", pulses, cells.symmetric_point)
    expected = small_step_moments(cells, "cyclic").mean
    np.testing.assert_allclose(w[0] - cells.symmetric_point, expected, rtol=tolerance)


def pulse_operator(cells, grid, direction):
    """Transition matrix of one pulse on a grid, noise by 9 Gauss-Hermite nodes; keeps the mean exactly."""
    nodes, shares = hermegauss(9)
    rows, columns, entries = [], [], []
    response = cells.q_plus(grid) if direction > 0 else cells.q_minus(grid)
    for node, share in zip(nodes, shares / shares.sum(), strict=True):
        factor = direction * cells.dw_min * (1 + cells.cycle_noise.std * node)
        place = np.clip((grid + factor * response - grid[0]) / (grid[1] - grid[0]), 0, grid.size - 1)
        left = np.minimum(place.astype(int), grid.size - 2)
        rows += [left, left + 1]
        columns += [np.arange(grid.size)] * 2
        entries += [share * (1 - (place - left)), share * (place - left)]
    triplet = (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns)))
    return csr_array(triplet, shape=(grid.size, grid.size))


@pytest.mark.parametrize(("mode", "sigma"), [("stochastic", 0.0), ("stochastic", 0.5), ("cyclic", 1.0)])
def test_stationary_moments_of_a_curved_device(mode, sigma):
    """Against the stationary distribution on a fine grid: the first neglected order is about h."""
    cells = exponential_cells(0.02, Noise(sigma), up=1.6, down=0.5)
    point, expected = cells.symmetric_point[0], small_step_moments(cells, mode)
    grid = np.linspace(-1, 1, 4001)
    up, down = pulse_operator(cells, grid, 1), pulse_operator(cells, grid, -1)
    density = np.exp(-((grid - point) ** 2) / (2 * expected.variance[0]))
    density /= density.sum()
    for _ in range(3000):
        density = down @ (up @ density) if mode == "cyclic" else (up @ density + down @ density) / 2
    mean = density @ (grid - point)
    variance = density @ (grid - point - mean) ** 2
    assert expected.mean[0] == pytest.approx(mean, rel=0.05)
    assert expected.variance[0] == pytest.approx(variance, rel=0.05)


def test_unknown_mode_is_refused():
    with pytest.raises(ParameterError, match="'slow'"):
        small_step_moments(power_cells(0.01, 2.0), "slow")
