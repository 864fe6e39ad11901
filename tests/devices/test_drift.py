"""Drift of response curves as a property of a device: draws, files, refusals."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.devices import (
    Cells,
    Device,
    Drift,
    DriftRates,
    Spread,
    cells_from_parameters,
    device_from_mapping,
    device_to_toml,
    load_device,
    sample_cells,
)
from sptrack.errors import ParameterError

DRIFT = Drift(per_pulse=1e-6, per_pulse_std=5e-7, per_step=-2e-7, per_step_std=1e-7, walk=1e-5)


def test_rates_have_their_mean_and_std():
    """10000 cells: means within 4 sigma of std/100, stds within 4 sigma of std/sqrt(2e4), streams apart."""
    rates = sample_cells(Device(drift=DRIFT), (100, 100), seed=1).drift
    for rate, mean, std in (
        (rates.per_pulse, DRIFT.per_pulse, DRIFT.per_pulse_std),
        (rates.per_step, DRIFT.per_step, DRIFT.per_step_std),
    ):
        assert abs(rate.mean() - mean) < 4 * std / 100
        assert abs(rate.std() - std) < 4 * std / np.sqrt(2e4)
    assert abs(np.corrcoef(rates.per_pulse.ravel(), rates.per_step.ravel())[0, 1]) < 0.04
    np.testing.assert_array_equal(rates.walk, DRIFT.walk)


def test_drift_leaves_other_draws_alone():
    with_, without = (sample_cells(Device(drift=drift), (8, 8), seed=2) for drift in (DRIFT, None))
    np.testing.assert_array_equal(with_.law.cell, without.law.cell)
    assert without.drift is None


def test_stuck_cells_stay():
    device = Device(spread=Spread(corrupt=0.5, corrupt_range=0.5), drift=DRIFT)
    cells = sample_cells(device, (20, 20), seed=0)
    stuck = cells.lower == cells.upper
    assert 0.3 < stuck.mean() < 0.7
    for rate in cells.drift:
        assert (rate[stuck] == 0).all()
        assert (rate[~stuck] != 0).all()


def test_given_parameters_take_the_mean_rates():
    cells = cells_from_parameters(Device(drift=DRIFT), {"step_up": np.full((2, 3), 0.001)})
    np.testing.assert_array_equal(cells.drift.per_pulse, np.full((2, 3), 1e-6))
    np.testing.assert_array_equal(cells.drift.per_step, np.full((2, 3), -2e-7))


def test_thinning_keeps_each_cell_its_rates():
    cells = sample_cells(Device(drift=DRIFT), (10, 10), seed=1)
    thin = cells.thinned(25)
    np.testing.assert_array_equal(thin.drift.per_pulse, cells.drift.per_pulse.reshape(1, -1)[:, ::4])


def test_toml_round_trip(tmp_path):
    path = tmp_path / "device.toml"
    device = Device(drift=DRIFT)
    path.write_text(device_to_toml(device))
    assert load_device(path) == device
    assert "[drift]" in path.read_text()
    path.write_text(device_to_toml(Device()))
    assert load_device(path).drift is None
    assert device_from_mapping({"drift": {"walk": 1e-4}}).drift == Drift(walk=1e-4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"walk": -1e-5}, "drift.walk must .*got -1e-05"),
        ({"per_pulse": np.nan}, "drift.per_pulse.mean"),
        ({"per_step_std": -1.0}, "drift.per_step.std"),
        ({"per_pulse": 0.2}, "at most 0.1"),
        ({"per_step": -0.2}, "at most 0.1"),
    ],
)
def test_refusals(values, message):
    with pytest.raises(ParameterError, match=message):
        Drift(**values)


def test_other_refusals():
    with pytest.raises(ParameterError, match="one-sided"):
        Device(one_sided=True, drift=Drift())
    with pytest.raises(ParameterError, match=r"unknown key 'drift.wak'.*walk"):
        device_from_mapping({"drift": {"wak": 1.0}})
    cells = sample_cells(Device(), (2, 2))
    with pytest.raises(ParameterError, match="drift rates must have shape"):
        Cells(device=Device(), law=cells.law, shape=(2, 2), drift=DriftRates(*np.zeros((3, 1, 4))))
    assert replace(cells, reference=None).drift is None
