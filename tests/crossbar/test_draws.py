"""Pulse by pulse against plain numpy: laws, clipping, noise, coins, and where every draw comes from."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.crossbar import Crossbar, PulseScheme
from sptrack.devices import CycleNoise, Device, SoftBounds, Spread, sample_cells
from sptrack.kernels.random import philox, stream_key
from tests.devices.zoo import RESPONSES, device, plain_steps

SHAPE = (2, 3)
SEED = 4
MIXED = CycleNoise(std=0.4, offset=0.003, slope=0.02)
NOISES = {
    "none": CycleNoise(),
    "step": CycleNoise(std=0.4),
    "additive": CycleNoise(std=0.4, additive=True),
    "mixed": MIXED,
}


def words(stream, block):
    """The four words of every cell, uint32 [cells, 4], at the counter (block, event 0, cell, array 0)."""
    key = stream_key(SEED, f"W/{stream}")
    zero, law = np.uint32(0), getattr(philox, "py_func", philox)
    return [law(np.uint32(block), zero, np.uint32(i), zero, key.low, key.high) for i in range(6)]


def normals(pulse):
    """Draws of a pulse by its number in the train: Box and Muller in float64."""
    table = np.array(words("cycle", pulse // 4), np.float64)
    pair = table[:, 2 * (pulse % 4 // 2) :][:, :2]
    radius = np.sqrt(-2.0 * np.log((pair[:, 0] + 0.5) * 2.0**-32))
    angle = 2.0 * np.pi * pair[:, 1] * 2.0**-32
    return (radius * (np.sin(angle) if pulse % 2 else np.cos(angle))).reshape(SHAPE)


def coins(pulse):
    """Bit of a pulse in 128 bits per cell: 0 is up."""
    table = np.array(words("coin", pulse // 128), np.int64)
    return (1 - 2 * (table[:, pulse % 128 // 32] >> (pulse % 32) & 1)).reshape(SHAPE)


def step_of(cells, w, direction, z):
    up, down = plain_steps(cells, w)
    scale = [np.asarray(row, np.float64).reshape(SHAPE) for row in cells.law.cell[:2]]
    mean, size = np.where(direction > 0, up, down), np.where(direction > 0, *scale)
    noise = cells.cycle_noise
    std = noise.std * ((size if noise.additive else mean) + noise.offset + noise.slope * np.abs(w))
    return direction * (mean + std * z)


def expected(cells, w, directions):
    for pulse, direction in enumerate(directions):
        w = np.clip(w + step_of(cells, w, direction, normals(pulse)), cells.lower, cells.upper)
    return w


def array(name, noise="step", dtype=np.float64, **options):
    description = replace(device(name, dw_min=0.05), cycle_noise=NOISES[noise])
    return Crossbar(sample_cells(description, SHAPE, seed=2, dtype=dtype), seed=SEED, **options)


@pytest.mark.parametrize("name", list(RESPONSES))
@pytest.mark.parametrize(("dtype", "atol"), [(np.float64, 2e-5), (np.float32, 3e-5)])
def test_alternating_pulses_by_hand(name, dtype, atol):
    """Normals are float32, good to 5e-6: 20 pulses of at most 0.1 with noise 0.4."""
    crossbar = array(name, dtype=dtype, weights=0.1)
    crossbar.pulse("alternating", 20)
    truth = expected(crossbar.cells, np.full(SHAPE, 0.1), [1, -1] * 10)
    np.testing.assert_allclose(crossbar.hidden, truth, rtol=0, atol=atol)


@pytest.mark.parametrize("noise", list(NOISES))
def test_noise_models_by_hand(noise):
    crossbar = array("soft-bounds", noise, weights=-0.2)
    crossbar.pulse([1, 1, 1, -1, -1, 1])
    truth = expected(crossbar.cells, np.full(SHAPE, -0.2), [1, 1, 1, -1, -1, 1])
    np.testing.assert_allclose(crossbar.hidden, truth, rtol=0, atol=1e-5)


def test_random_pulses_by_hand():
    crossbar = array("soft-bounds", "none")
    crossbar.pulse("random", 150)
    truth = expected(crossbar.cells, np.zeros(SHAPE), [coins(pulse) for pulse in range(150)])
    np.testing.assert_allclose(crossbar.hidden, truth, rtol=0, atol=1e-12)


def test_programs_per_cell_by_hand():
    program = np.random.default_rng(1).integers(-1, 2, (12, *SHAPE))
    crossbar = array("soft-bounds")
    crossbar.pulse(program)
    truth = expected(crossbar.cells, np.zeros(SHAPE), program)
    np.testing.assert_allclose(crossbar.hidden, truth, rtol=0, atol=1e-5)


def test_large_noise_is_clipped_at_the_bounds():
    """Noise 5 times the step: cells reach their bounds and come back."""
    description = Device(dw_min=0.2, spread=Spread(w_max=0.2, w_min=0.2), cycle_noise=CycleNoise(std=5.0))
    crossbar = Crossbar(sample_cells(description, SHAPE, seed=2, dtype=np.float64), seed=SEED)
    record = np.concatenate([block.weights for block in crossbar.stream("alternating", 12)])
    truth = np.zeros(SHAPE)
    touched = 0
    for pulse, seen in enumerate(record):
        truth = np.clip(
            truth + step_of(crossbar.cells, truth, 1 if pulse % 2 == 0 else -1, normals(pulse)),
            crossbar.cells.lower,
            crossbar.cells.upper,
        )
        np.testing.assert_allclose(seen, truth, rtol=0, atol=1e-3)
        touched += np.count_nonzero((seen == crossbar.cells.lower) | (seen == crossbar.cells.upper))
        truth = seen
    assert 10 < touched < 70


@pytest.mark.parametrize("name", list(RESPONSES))
@pytest.mark.parametrize("count", [4, -3])
def test_an_increment_without_noise_is_that_many_pulses(name, count):
    asked, sent = array(name, "none"), array(name, "none")
    asked.apply(count * asked.cells.dw_min)
    sent.pulse("up" if count > 0 else "down", abs(count))
    np.testing.assert_allclose(asked.hidden, sent.hidden, rtol=0, atol=1e-15)


@pytest.mark.parametrize("count", [1, 7, -3, -40])
def test_a_burst_without_noise_is_the_closed_form(count):
    """w <- w + step(w) ((1 + s)^n - 1)/s with the slope s of the step per pulse."""
    crossbar = array("soft-bounds", "none", weights=0.2)
    up, down, slope_up, slope_down = crossbar.cells.linear
    crossbar.apply(count * crossbar.cells.dw_min, application="burst")
    sign, slope, scale = (1, slope_up, up) if count > 0 else (-1, -slope_down, down)
    step = sign * scale + slope * 0.2
    truth = 0.2 + step * ((1.0 + slope) ** abs(count) - 1.0) / slope
    np.testing.assert_allclose(crossbar.hidden, truth, rtol=0, atol=1e-12)


@pytest.mark.compiled
@pytest.mark.parametrize("application", ["sequential", "burst"])
def test_one_pulse_has_the_noise_of_a_step_in_either_application(application):
    """40 000 equal cells: mean and std of the step within 4 sigma, 0.4/200 and 0.4/sqrt(80 000)."""
    cells = sample_cells(
        Device(spread=Spread(), cycle_noise=CycleNoise(std=0.4)), (200, 200), dtype=np.float64
    )
    crossbar = Crossbar(cells, seed=SEED, weights=0.2)
    crossbar.apply(cells.dw_min, application=application)
    steps = (crossbar.hidden - 0.2) / (cells.dw_min * 0.8)
    assert abs(steps.mean() - 1.0) < 4 * 0.4 / 200
    assert abs(steps.std() - 0.4) < 4 * 0.4 / np.sqrt(80_000)


@pytest.mark.parametrize("slots", [1, 5])
def test_certain_coincidences_reach_every_cell(slots):
    """p = 1 on all lines: 40 x 30 cells (several lists of 256) get as many pulses as there are slots."""
    description = Device(dw_min=0.01, spread=Spread(), cycle_noise=CycleNoise(), response=SoftBounds())
    coincident, straight = (Crossbar(sample_cells(description, (40, 30)), seed=1) for _ in range(2))
    x, d = np.where(np.arange(30) % 3 == 0, -1.0, 1.0), np.where(np.arange(40) % 2 == 0, -1.0, 1.0)
    coincident.update(x, d, slots * 0.01, scheme=PulseScheme(train_length=slots))
    direction = -np.sign(np.multiply.outer(d, x)).astype(int)
    straight.pulse(np.repeat(direction[None], slots, axis=0))
    np.testing.assert_array_equal(coincident.hidden, straight.hidden)
    np.testing.assert_array_equal(coincident.ledger.per_cell("W"), slots)


@pytest.mark.parametrize("pulse_type", ["stochastic-compressed", "deterministic-implicit", "mean-count"])
def test_silent_lines_get_no_pulses_and_signs_follow_descent(pulse_type):
    """w <- w - lr d x^T: up where d x < 0; a zero in x or d silences its line."""
    description = Device(dw_min=0.001, spread=Spread(), cycle_noise=CycleNoise(), response=SoftBounds())
    crossbar = Crossbar(sample_cells(description, (4, 5)), seed=1)
    x, d = np.array([1.0, -1.0, 0.0, 0.9, -0.9]), np.array([1.0, 0.0, -1.0, 0.9])
    crossbar.update(x, d, 0.02, scheme=PulseScheme(pulse_type=pulse_type))
    np.testing.assert_array_equal(np.sign(crossbar.weights), -np.sign(np.multiply.outer(d, x)))
