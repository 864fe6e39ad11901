"""Families chosen by held-out readings; fits turned into devices and cells."""

import numpy as np
import pytest

from sptrack.devices import device_from_mapping, device_to_toml, sample_cells
from sptrack.devices.config import device_to_mapping
from sptrack.errors import ParameterError
from sptrack.fitting import (
    FAMILIES,
    Measurement,
    fit_responses,
    measured_cells,
    select_family,
    to_device,
    two_runs,
)
from sptrack.fitting.coverage import Setting, simulated_readings
from sptrack.fitting.selection import fold_numbers

pytestmark = pytest.mark.compiled


def curve(kind, seed, n=100):
    """Cell whose steps fall linearly, or as a power 3 of the distance to the bound (early, strongly)."""
    rng, runs = np.random.default_rng(seed), []
    for sign, step in ((1, 0.03), (-1, 0.025)):
        state, readings = -0.8 * sign, []
        for _ in range(n):
            readings.append(state + 0.01 * rng.normal())
            left = 1 - sign * state
            state += sign * step * (left if kind == "linear" else left**3) * (1 + 0.3 * rng.normal())
        runs.append(np.array(readings))
    return two_runs(*runs, name=str(seed))


@pytest.fixture(scope="module")
def linear():
    return fit_responses(Measurement(cells=(curve("linear", 1),)))


def test_blocks_are_contiguous_and_no_run_is_held_out_as_a_whole():
    runs = np.repeat([0, 1, 2], [60, 30, 2])
    folds = fold_numbers(runs)
    assert (folds[runs == 2] == -1).all()
    for run in (0, 1):
        assert len(set(folds[runs == run])) > 1
        part = folds[runs == run]
        assert np.count_nonzero(np.diff(part)) == len(set(part)) - 1
    assert set(folds) - {-1} == set(range(10))


def test_a_linear_cell_is_called_linear(linear):
    assert linear.family == "soft-bounds"
    assert [one.family for one in linear.selection.scores] == list(FAMILIES)
    assert min(one.behind for one in linear.selection.scores) == 0.0
    for one in linear.selection.scores:
        assert one.behind <= 0.0 or one.error > 0.0


@pytest.mark.slow
def test_a_cell_that_falls_as_a_power_is_not_called_linear():
    chosen = select_family([curve("power", k, n=200) for k in range(2)], ("soft-bounds", "pow-step"))
    assert chosen.chosen == "pow-step"
    linear = next(one for one in chosen.scores if one.family == "soft-bounds")
    assert linear.behind > linear.error > 0.0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_hard_bound_that_no_reading_reaches_is_left_open(seed):
    """Soft bounds are linear steps without a hard bound: two parameters more are not worth their gain."""
    hard, soft = (
        fit_responses(Measurement(cells=(curve("linear", seed),)), family).cells[0]
        for family in ("linear-step", "soft-bounds")
    )
    assert hard.parameters["w_max"].high == np.inf
    assert hard.parameters["w_min"].low == -np.inf
    assert hard.fitted.plain == pytest.approx(soft.fitted.plain, abs=1e-2)
    for end in ("value", "low", "high"):
        assert getattr(hard.symmetric_point, end) == pytest.approx(
            getattr(soft.symmetric_point, end), abs=2e-2
        )


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(f, marks=[pytest.mark.slow] if f not in ("soft-bounds", "exp-step") else [])
        for f in FAMILIES
    ],
)
def test_the_device_has_the_fitted_steps_and_survives_its_toml(family):
    fit = fit_responses(Measurement(cells=(curve("linear", 3),)), family)
    device = to_device(fit)
    assert device_from_mapping(device_to_mapping(device)) == device
    assert "family" in device_to_toml(device)
    cell, array = fit.cells[0], sample_cells(device, (1, 1), dtype=np.float64)
    weights = np.linspace(-0.6, 0.6, 5)
    want = cell.fitted.problem.law.steps(cell.coefficients[None], weights[None])[:, 0]
    found = np.stack(array.steps(weights[:, None, None]))[..., 0, 0]
    np.testing.assert_allclose(found, want, rtol=0.02)
    assert array.symmetric_point[0, 0] == pytest.approx(cell.symmetric_point.value, abs=5e-3)
    drawn = measured_cells(fit, (6, 5), seed=2)
    low, high = cell.symmetric_point.low, cell.symmetric_point.high
    assert low - (high - low) < np.nanmedian(drawn.symmetric_point) < high + (high - low)
    np.testing.assert_array_equal(drawn.symmetric_point, measured_cells(fit, (6, 5), seed=2).symmetric_point)


@pytest.mark.slow
def test_many_cells_give_a_spread():
    """Eight equal cells but for their gain: its spread is found, that of the bounds is not there."""
    cells = []
    for k, gain in enumerate(np.linspace(0.7, 1.3, 8)):
        setting = Setting(readings=120, read_noise=0.005, cycle_noise=0.2, scale=gain)
        cells.append(two_runs(*simulated_readings(setting, 1, k)[0].reshape(2, -1), name=str(k)))
    fit = fit_responses(Measurement(cells=tuple(cells)), "soft-bounds")
    assert fit.selection is None
    spread = fit.spread["step_up"]
    assert spread.mean.low < 0.02 < spread.mean.high
    assert spread.std.low < 0.02 * np.std(np.linspace(0.7, 1.3, 8)) < spread.std.high
    device = to_device(fit)
    assert device.spread.dw_min == pytest.approx(0.2, abs=0.08)
    assert device.spread.w_max < 0.05
    assert sample_cells(device, (8, 8)).symmetric_point.std() < 0.2
    assert measured_cells(fit, (4, 4)).shape == (4, 4)


def test_no_family_is_refused():
    with pytest.raises(ParameterError, match="no family"):
        select_family([curve("linear", 1)], ())
