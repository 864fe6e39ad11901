"""Filters made from a mean delay, and their transients beside the filters run sample by sample."""

import numpy as np
import pytest
from scipy import signal

from sptrack.blocks import EMA, Boxcar, enbw, group_delay, settling
from sptrack.design.candidates import transient_left
from sptrack.design.families import FAMILIES, butterworth, cascade, left_and_settling, representative_cells
from sptrack.theory.budget import transient

DELAYS = (1.0, 9.0, 300.0)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("delay", DELAYS)
def test_mean_delay_is_as_asked(name, delay):
    made = FAMILIES[name](delay)
    assert float(group_delay(made)) == pytest.approx(delay, rel=1e-6)
    assert made.frequency_response(np.zeros(1))[0] == pytest.approx(1, abs=1e-9)


def test_butterworth_is_that_of_scipy():
    made = butterworth(20.0)
    corner = 2 * np.arctan(1 / (np.sqrt(2) * 20.0)) / np.pi
    np.testing.assert_allclose(made.sos, signal.butter(2, corner, output="sos"), rtol=1e-9)


def test_products_of_settling_and_bandwidth_are_those_of_the_text():
    """Settling to 5 % times two-sided noise bandwidth, for delays of 300 samples."""
    found = {
        name: settling(low_pass, 0.05) * enbw(low_pass)
        for name, low_pass in {
            "one pole": cascade(300.0, 1),
            "two poles": cascade(300.0, 2),
            "butterworth": butterworth(300.0),
            "boxcar": Boxcar(length=601),
        }.items()
    }
    expected = {"one pole": 1.50, "two poles": 1.19, "butterworth": 1.03, "boxcar": 0.95}
    assert found == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("delay", DELAYS)
def test_what_is_left_is_what_the_running_filter_leaves(name, delay):
    rng = np.random.default_rng(4)
    pole = 1 - 1 / rng.uniform(30, 90, 40)
    weight = rng.dirichlet(np.ones(40))
    made = FAMILIES[name](delay)
    whole = transient_left(made, pole, 4000)
    outside = np.flatnonzero(np.abs(whole @ weight) > 0.05)
    nodes, weights = representative_cells(pole, weight)
    assert weights.sum() == pytest.approx(1)
    for most in (1, 7, 250, 4000):
        left, steps = left_and_settling(made, nodes, weights, most)
        np.testing.assert_allclose(np.interp(np.log(1 - pole), nodes, left), whole[most - 1], atol=2e-3)
        assert steps == pytest.approx(outside[-1] + 2 if outside[-1] + 2 <= most else np.inf, abs=1)


def test_one_pole_leaves_what_its_closed_form_says():
    nodes, weights = representative_cells(np.full(3, 0.97), np.full(3, 1 / 3))
    settled = next(n for n in range(1, 1000) if abs(transient(0.97, 0.03, n)) <= 0.05)
    for most in (1, 100, settled - 1, settled, 4000):
        left, steps = left_and_settling(EMA(eta=0.03), nodes, weights, most)
        np.testing.assert_allclose(left, [transient(0.97, 0.03, most)], rtol=1e-9)
        assert steps == (settled if most >= settled else np.inf)
