"""A design as files: settings that the commands read, filters that scipy and pyFDA read."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import freqz, lfilter, sosfilt

from sptrack.blocks import CIC, EMA, Boxcar, Chain, SteadyKalman
from sptrack.cli import main
from sptrack.design import Candidate, Requirements, Setting, Specification
from sptrack.design.export import design_to_toml, filter_csv, filter_npz, transfer_function
from sptrack.devices.presets import preset
from sptrack.response.defaults import method_filter, method_signs
from sptrack.tracking.config import load_setup
from sptrack.tracking.methods import periodic, telegraph
from sptrack.tracking.rated import rated_reference

SPEC = Specification(
    requirements=Requirements(rms=0.05), device=preset("soft-bounds"), steps=400, read_noise=0.01
)


def candidate(estimator, eta, chop):
    setting = Setting(0.03, chop, rated_reference(estimator, eta))
    return Candidate(setting=setting, gamma=0.5, beta=0.004, values={}, warnings=())


CHOSEN = [
    candidate("ema", 0.02, telegraph(0.01)),
    candidate("corrected-ema", 0.3, periodic(7)),
    candidate("boxcar", 2 / 21, periodic(5)),
    candidate("ema", 0.5, None),
]


def signal():
    return np.random.default_rng(2).standard_normal(200)


@pytest.mark.parametrize("chosen", CHOSEN, ids=lambda one: one.setting.estimator)
def test_scipy_filters_as_the_block_does(chosen):
    x = signal()
    expected = chosen.filter.process(x)[0]
    with np.load(io.BytesIO(filter_npz(chosen))) as saved:
        np.testing.assert_allclose(lfilter(saved["b"], saved["a"], x), expected, atol=1e-12)
        assert ("sos" in saved) == (chosen.setting.estimator != "boxcar")
        if "sos" in saved:
            np.testing.assert_allclose(sosfilt(saved["sos"], x), expected, atol=1e-12)


@pytest.mark.parametrize("chosen", CHOSEN, ids=lambda one: one.setting.estimator)
def test_the_columns_are_the_coefficients_to_the_last_bit(chosen):
    rows = np.array([[float(x) for x in row] for row in csv.reader(io.StringIO(filter_csv(chosen)))])
    b, a = transfer_function(chosen)
    assert rows.shape == (max(len(b), len(a)), 2)
    np.testing.assert_array_equal(np.trim_zeros(rows[:, 1], "b"), np.trim_zeros(a, "b"))
    np.testing.assert_array_equal(rows[: len(b), 0], b)
    np.testing.assert_allclose(lfilter(rows[:, 0], rows[:, 1], signal()), lfilter(b, a, signal()), atol=1e-14)


@pytest.mark.parametrize("chosen", CHOSEN, ids=lambda one: one.setting.estimator)
def test_settings_come_back_from_the_file(tmp_path, chosen):
    path = tmp_path / "design.toml"
    path.write_text(design_to_toml(SPEC, chosen))
    setup = load_setup(path)
    assert setup.method == chosen.method
    assert setup.settings.device == SPEC.device
    assert (setup.settings.read_noise, setup.settings.gradient_noise) == (0.01, 0.2)
    assert method_filter(setup.method) == chosen.filter
    assert chosen.chopper is None or str(method_signs(setup.method)) == str(chosen.chopper)


@pytest.mark.parametrize(
    "arguments", [["track", "--steps", "400", "--seeds", "2"], ["explain"], ["response"]], ids=lambda a: a[0]
)
def test_the_commands_read_the_file(tmp_path, capfd, arguments):
    path = tmp_path / "design.toml"
    path.write_text(design_to_toml(SPEC, CHOSEN[1]))
    status = main([*arguments, "--config", str(path), "--json"])
    out, _ = capfd.readouterr()
    assert status == 0
    told = json.loads(out)
    if arguments[0] == "explain":
        assert told["method"] == "e-rider"


@pytest.mark.parametrize(
    "block",
    [
        EMA(eta=0.02, order=3),
        CIC(length=7, order=2),
        SteadyKalman(drift_std=0.01, read_std=0.1),
        Chain(EMA(eta=0.1), Boxcar(length=5)),
    ],
)
def test_coefficients_are_those_of_the_filter(block):
    one = candidate("ema", 0.1, None)
    chosen = replace(one, setting=one.setting._replace(reference=block))
    b, a = transfer_function(chosen)
    omega = np.array([0.0, 0.01, 0.3, 2.0])
    assert np.allclose(freqz(b, a, omega)[1], block.frequency_response(omega), rtol=1e-9, atol=1e-12)
