"""Converters of an array: reference outputs, moments of the noise, closed forms."""

import json
from pathlib import Path

import numpy as np
import pytest

from sptrack.crossbar import Crossbar
from sptrack.devices import Device, sample_cells
from sptrack.errors import ParameterError
from sptrack.kernels.converters import analog_pass
from sptrack.tiles.io import IDEAL_IO, AnalogIO, Port

FILE = Path(__file__).parents[1] / "reference" / "aihwkit" / "analog_io.npz"


@pytest.fixture(scope="module")
def reference():
    with np.load(FILE) as data:
        return dict(data)


def io_of(case):
    return AnalogIO(
        input_resolution=case["inp_res"],
        output_resolution=case["out_res"],
        input_bound=case["inp_bound"],
        output_bound=case["out_bound"],
        output_noise=case["out_noise"],
        noise_management=case["nm"] == "abs_max",
        bound_management=case["bm"] == "iterative",
    )


@pytest.mark.parametrize("name", ["default", "small_bound", "tiny_bound", "no_bm", "no_nm_steps"])
def test_outputs_of_the_reference_simulator(reference, name):
    io = io_of(json.loads(str(reference["manifest"]))[name])
    port = Port(io)
    for run, given, wanted in (("forward", "x", "y"), ("backward", "g", "b")):
        x, expected = reference[given], reference[f"{name}/{wanted}"]
        found, passes = getattr(port, run)(reference["W"], x)
        largest = np.abs(x).max(axis=1, keepdims=True) if io.noise_management else 1.0
        step = float(io.adc.step) * largest * 2.0 ** np.maximum(passes - 1, 0)[:, None]
        off = np.abs(found - expected)
        assert np.all(off <= 1.001 * step + 1e-6)  # an edge may fall either way
        assert np.mean(off > 0.5 * step + 1e-6) <= 0.01
        if run == "forward" and io.noise_management:
            assert np.array_equal(passes, reference[f"{name}/rounds"])


@pytest.mark.compiled
def test_whoever_owns_the_weights_one_code_a_direction():
    rng = np.random.default_rng(2)
    free, x = rng.normal(size=(5, 7)).astype(np.float32), rng.normal(size=(3, 7)).astype(np.float32)
    frozen = free.copy()
    frozen.flags.writeable = False
    for weights in (free, frozen, np.asfortranarray(free), free.astype(np.float64)):
        assert np.array_equal(Port(IDEAL_IO).forward(weights, x).values, x @ free.T)
        Port(IDEAL_IO).backward(weights, x[:, :5])
    assert len(analog_pass.signatures) <= 2


def test_ideal_converters_multiply_exactly():
    rng = np.random.default_rng(1)
    w, x = rng.normal(size=(5, 7)).astype(np.float32), rng.normal(size=(3, 7)).astype(np.float32)
    assert np.array_equal(Port(IDEAL_IO).forward(w, x).values, x @ w.T)


def test_noise_of_the_outputs_has_its_std_times_the_scale():
    io = AnalogIO(input_resolution=0, output_resolution=0, output_noise=0.06)
    x = np.array([[0.5], [2.0]], np.float32)
    port = Port(io, seed=3)
    out = np.array([port.forward(np.zeros((400, 1)), x).values for _ in range(50)])
    for row, scale in enumerate((0.5, 2.0)):
        sample = out[:, row].ravel() / (0.06 * scale)
        assert abs(sample.mean()) < 4.5 / np.sqrt(sample.size)
        assert abs(sample.std() - 1) < 4.5 / np.sqrt(2 * sample.size)


def test_same_seed_and_event_give_the_same_bytes():
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
    first, second = Port(AnalogIO(), seed=5), Port(AnalogIO(), seed=5)
    first.forward(np.eye(4), x)
    second.event = first.event
    assert np.array_equal(first.forward(np.eye(4), x).values, second.forward(np.eye(4), x).values)


def test_works_on_a_crossbar():
    bar = Crossbar(sample_cells(Device(), (3, 4)), weights=0.25, threads=1)
    out = Port(IDEAL_IO).forward(bar, np.ones((1, 4))).values
    assert out == pytest.approx(np.full((1, 3), 1.0))
    Port(IDEAL_IO).backward(bar, np.ones((2, 3)))
    narrow = AnalogIO(output_bound=0.5, output_noise=0.0, output_resolution=0.0)
    sent = Port(narrow).forward(bar, np.ones((1, 4))).passes
    assert sent[0] > 1  # an output of 1 is beyond the bound
    counted = {phase: row["passes"] for (phase, _), row in bar.ledger.table().items()}
    assert counted == {"forward": 1 + sent[0], "backward": 2}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"output_noise": -1.0}, "output_noise"),
        ({"input_bound": 2.0}, "input_bound must be 1"),
        ({"output_bound": np.inf}, "output_bound must be finite"),
        ({"input_resolution": np.nan}, "input_resolution"),
        ({"noise_management": "abs_max"}, "noise_management must be True or False, got 'abs_max'"),
    ],
)
def test_refusals(settings, text):
    with pytest.raises(ParameterError, match=text):
        AnalogIO(**settings)


def test_a_wrong_shape_is_refused():
    with pytest.raises(ParameterError, match=r"\[n, 4\], got \[2, 3\]"):
        Port(IDEAL_IO).forward(np.eye(4), np.ones((2, 3)))
