"""Measures that a response carries: theory beside simulation, aliases, rounded coefficients."""

import numpy as np
import pytest
from scipy import signal

from sptrack.blocks import EMA, SOS, Chopper, PeriodicChopper
from sptrack.devices import Device, Spread, SymmetricPoints, sample_cells
from sptrack.errors import ParameterError
from sptrack.plotting.measures import measures_figure
from sptrack.response import Digital, OpenLoop, fold_chopper, respond

pytestmark = pytest.mark.compiled

DEVICE = Device(spread=Spread(asymmetry=SymmetricPoints(mean=0.2, std=0.2)))


def chain(chopper, **settings):
    cells = sample_cells(DEVICE, (1, 64), seed=1)
    return OpenLoop(cells=cells, chopper=chopper, **{"alpha": 0.02, "mean": 0.2, "std": 0.5} | settings)


@pytest.fixture(scope="module")
def made():
    digital = Digital(every=8, bits=8)
    return respond(EMA(eta=0.02), chain(PeriodicChopper(half_period=20)), digital)


def test_the_allan_deviation_is_that_of_the_linear_model(made):
    data = made.data
    half = (data["allan_high"] - data["allan_low"]) / 2
    off = np.abs(data["allan"] - data["allan_expected"]) / (half / 2 + 0.02 * data["allan"])
    assert data["averages"].size >= 10
    assert float(off.max()) < 4


@pytest.mark.parametrize("read_noise", [0.0, 0.3])
def test_read_noise_and_a_telegraph_are_in_it(read_noise):
    data = respond(EMA(eta=0.05), chain(Chopper(p=0.1), read_noise=read_noise)).data
    few = data.isel(averages=slice(0, 9))
    np.testing.assert_allclose(few["allan"], few["allan_expected"], rtol=0.12)


def test_held_spectra_are_those_of_gaussian_cells(made):
    data = made.data
    ratio = (data["held_levels"] / data["held_expected"]).values
    place = data["bin"].values
    between = (place > 0.02) & (place < 0.12)  # below the first line of the chopper
    np.testing.assert_allclose(np.median(ratio[:, between], axis=1), 1, atol=0.12)
    assert (data["held_minimum"] <= data["held_levels"][0]).all()
    assert (data["held_maximum"] >= data["held_levels"][-1]).all()


def test_aliases_are_those_of_the_budget(made):
    driven = chain(PeriodicChopper(half_period=20))
    loop = driven.linear()
    amplitude = float(np.sqrt(np.mean(loop.chopped**2)))
    budget = fold_chopper(driven.chopper, EMA(eta=0.02), 8, pole=float(loop.pole.mean()), amplitude=amplitude)
    np.testing.assert_allclose(made.data["folded_level"], budget.level)
    assert made["alias_offset"] == pytest.approx(budget.offset)
    assert made["alias_ripple"] == pytest.approx(budget.ripple)
    assert np.hypot(budget.ripple, budget.offset) == pytest.approx(made["chopped_rms"], rel=0.05)


def test_rounded_coefficients_are_drawn_and_told(made):
    assert made["fixed_pole"] == pytest.approx(0.98, abs=2**-13)
    assert made["fixed_deviation"] == pytest.approx(float(made.data["fixed_error"].max()), rel=0.02)
    narrow = SOS(sos=signal.butter(2, 2e-3, output="sos"))
    told = respond(narrow, chain(Chopper(p=0.1)), Digital(bits=10))
    assert any("unstable with coefficients of 10 bits" in text for text in told.warnings)
    assert not any("unstable" in text for text in made.warnings)


def test_the_figure_shows_all_of_it(made):
    axes = measures_figure(made.data).axes
    assert len(axes) == 4
    np.testing.assert_allclose(axes[0].lines[0].get_ydata(), made.data["allan_expected"])
    assert axes[3].get_title(loc="left").endswith("read every 8")
    plain = respond(EMA(eta=0.05), chain(Chopper(p=0.1)))
    assert "magnitude_fixed" not in plain.data
    assert len(measures_figure(plain.data).axes) == 4


@pytest.mark.parametrize("wrong", [{"every": 0}, {"bits": -1}])
def test_numbers_that_do_not_fit_are_refused(wrong):
    with pytest.raises(ParameterError, match="must be a whole number"):
        Digital(**wrong)
