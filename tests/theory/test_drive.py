"""Moments of pulse counts against quadrature and against drawn counts."""

import numpy as np
import pytest

from sptrack.devices.counts import rounding_variance
from sptrack.errors import ParameterError
from sptrack.theory import GradientStatistics, count_moments, mean_size

from .openloop import drawn_counts

NODES = np.linspace(-9, 9, 900001)
WEIGHTS = np.exp(-(NODES**2) / 2) / np.exp(-(NODES**2) / 2).sum()


def test_mean_size_at_its_limits_and_by_quadrature():
    for mean, std in ((0.3, 1.0), (1.0, 0.3), (0.0, 0.2)):
        assert mean_size(mean, std) == pytest.approx(np.sum(WEIGHTS * np.abs(mean + std * NODES)), rel=1e-5)
    np.testing.assert_array_equal(mean_size([-0.5, 0.5], 0.0), 0.5)


@pytest.mark.parametrize("std", [0.0, 1e-6, 0.02, 0.2, 0.399, 0.401, 0.7, 3.0])
def test_rounding_variance_by_quadrature(std):
    """On both sides of the switch from integrals of parabolas to the Fourier series."""
    for mean in (0.0, 0.3, 0.5, 7.98, -2.2):
        fraction = np.abs(mean + std * NODES) % 1.0
        direct = np.sum(WEIGHTS * fraction * (1 - fraction))
        assert rounding_variance(mean, std) == pytest.approx(direct, abs=2e-7)


def test_rounding_variance_keeps_shapes():
    both = rounding_variance(np.linspace(-3, 3, 7)[:, None], np.array([0.0, 0.3, 2.0]))
    assert both.shape == (7, 3)
    np.testing.assert_allclose(both[2], [rounding_variance(-1.0, s) for s in (0.0, 0.3, 2.0)], atol=1e-15)


@pytest.mark.parametrize("law", ["rounded", "binomial", "poisson"])
@pytest.mark.parametrize(("mean", "std"), [(0.2, 0.6), (3.0, 1.0), (0.4, 0.0)])
def test_count_moments_are_those_of_drawn_counts(law, mean, std):
    """2e6 draws; 4 standard errors of each mean."""
    rng = np.random.default_rng(5)
    wanted = np.abs(mean + std * rng.standard_normal(2_000_000))
    count = drawn_counts(wanted, law, 31, rng)
    moments = count_moments(mean, std, law=law)
    drawn = {
        "mean": count,
        "variance": (count - wanted) ** 2,
        "factorial": count * (count - 1.0),
    }
    for name, values in drawn.items():
        error = values.std() / np.sqrt(values.size)
        assert abs(values.mean() - getattr(moments, name)) <= 4 * error + 1e-12, name


def test_overload_is_the_share_of_steps_beyond_the_slots():
    assert count_moments(0.0, 10.0, law="binomial", slots=10).overload == pytest.approx(0.3173, abs=1e-4)
    assert count_moments([9.0, 11.0], 0.0, law="binomial", slots=10).overload.tolist() == [0.0, 1.0]
    assert count_moments(0.0, 10.0).overload == 0


def test_bad_input_is_refused():
    with pytest.raises(ParameterError, match="count law 'round'"):
        count_moments(0.0, 1.0, law="round")
    with pytest.raises(ParameterError, match="slots must .*got 0"):
        count_moments(0.0, 1.0, law="binomial", slots=0)
    with pytest.raises(ParameterError, match=r"gradient std must .*got -1\.0"):
        GradientStatistics(std=[0.0, -1.0])
    with pytest.raises(ParameterError, match="gradient mean must .*got nan"):
        GradientStatistics(mean=np.nan)
