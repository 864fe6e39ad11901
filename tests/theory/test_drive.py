"""Moments of pulse counts against quadrature and against drawn counts."""

import numpy as np
import pytest

from sptrack.theory import mean_size


def test_mean_size_at_its_limits_and_by_quadrature():
    nodes = np.linspace(-8, 8, 40001)
    for mean, std in ((0.3, 1.0), (1.0, 0.3), (0.0, 0.2)):
        density = np.exp(-(nodes**2) / 2) / np.sqrt(2 * np.pi)
        direct = np.sum(density * np.abs(mean + std * nodes)) * 16 / 40000
        assert mean_size(mean, std) == pytest.approx(direct, rel=1e-5)
    np.testing.assert_array_equal(mean_size([-0.5, 0.5], 0.0), 0.5)
