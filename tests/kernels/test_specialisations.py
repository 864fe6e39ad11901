"""Kinds are data: every law, noise, count law and drift runs in the same machine code, one per precision."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.crossbar import Crossbar, PulseScheme
from sptrack.devices import (
    ConstantStep,
    CustomResponse,
    CycleNoise,
    Device,
    Drift,
    ExpStep,
    LinearStep,
    PiecewiseStep,
    PowStep,
    SoftBounds,
    sample_cells,
)
from sptrack.kernels import counts, drift, pulses, responses, tracking, updates
from sptrack.tracking import ProblemSettings, Tracker, method, problem

LAWS = {
    "soft bounds": SoftBounds(),
    "linear": LinearStep(),
    "constant": ConstantStep(),
    "exponential": ExpStep(),
    "power": PowStep(gamma_up=1.5, gamma_down=2.0),
    "few nodes": PiecewiseStep(nodes_up=(1.3, 1.1, 0.8, 0.5), nodes_down=(0.5, 0.8, 1.1, 1.3)),
    "many nodes": PiecewiseStep(
        nodes_up=tuple(np.linspace(1.4, 0.6, 17)), nodes_down=tuple(np.linspace(0.6, 1.4, 17))
    ),
    "custom": CustomResponse(
        q_plus=lambda w, c: 1.0 - c * w, q_minus=lambda w, c: 1.0 + c * w, parameters={"c": 0.8}
    ),
}
NOISES = {
    "none": CycleNoise(),
    "proportional": CycleNoise(std=0.3),
    "additive": CycleNoise(std=0.3, additive=True),
    "mixed": CycleNoise(std=0.2, offset=1e-4, slope=1e-3),
}
KERNELS = (
    pulses.train,
    pulses.train_apart,
    updates.apply_counts,
    updates.outer_product,
    counts.draw_counts,
    responses.steps,
    drift.drift_by_pulses,
    drift.drift_by_steps,
)


def made(law, noise, moves, dtype, rows=3, columns=90):
    move = Drift(per_pulse=1e-5, per_step=1e-6, walk=1e-5) if moves else None
    device = replace(Device(), response=LAWS[law], cycle_noise=NOISES[noise], drift=move)
    return Crossbar(sample_cells(device, (rows, columns), seed=1, dtype=dtype), seed=2, threads=1)


def laid_out(values):
    """The same numbers as callers may hold them: read-only, strided, of another type, one for all cells."""
    frozen = values.copy()
    frozen.flags.writeable = False
    yield from (
        values,
        frozen,
        np.asfortranarray(values),
        values[::-1],
        values.astype(np.float32),
        values[0, 0],
    )


def work(bar):
    """Every operation once."""
    rng = np.random.default_rng(3)
    for program in ("alternating", "up", "random"):
        bar.pulse(program, 9)
    bar.pulse(np.sign(rng.standard_normal((4, *bar.shape))))
    for law in ("rounded", "binomial", "poisson"):
        bar.apply(0.004 * rng.standard_normal(bar.shape), law=law)
    for values in laid_out(rng.normal(0.0, 0.004, bar.shape)):
        bar.apply(values)
    if bar.cells.linear is not None:
        bar.apply(0.004 * rng.standard_normal(bar.shape), application="burst")
    for kind in ("stochastic-compressed", "mean-count"):
        x, d = rng.standard_normal(bar.shape[1]), rng.standard_normal(bar.shape[0])
        bar.update(x, d, 0.01, scheme=PulseScheme(pulse_type=kind))
    bar.rest(2)
    return bar.weights


@pytest.mark.slow
@pytest.mark.compiled
def test_at_most_one_specialisation_per_precision():
    for dtype in (np.float32, np.float64):
        for law in LAWS:
            for noise in NOISES:
                work(made(law, noise, moves=law == "power", dtype=dtype, rows=2, columns=20))
    for kernel in KERNELS:
        assert 1 <= len(kernel.signatures) <= 2, kernel


@pytest.mark.compiled
def test_the_layout_of_a_drive_makes_no_specialisation():
    tracker = Tracker(problem("quadratic", ProblemSettings(size=8)), method("e-rider"))
    tracker.record(5)
    before = len(tracking.track.signatures)
    for drive in laid_out(np.zeros((5, 8))):
        tracker.record(5, drive=np.broadcast_to(drive, (5, 8)))
    assert len(tracking.track.signatures) == before


@pytest.mark.compiled
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("noise", NOISES)
def test_rising_and_falling_trains_agree_with_numpy(law, noise):
    """Pulse by pulse in float64 from the same normals: the step of the law, the noise, the bounds."""
    bar = made(law, noise, moves=False, dtype=np.float64, rows=1, columns=70)
    cells, settings = bar.cells, NOISES[noise]
    quiet = Crossbar(cells, seed=2, threads=1)
    quiet._noise = quiet._noise._replace(relative=0.0, additive=0.0, offset=0.0, slope=0.0)
    for sign in (1, 1, -1, 1, -1, -1):
        before = bar.hidden
        quiet.set_weights(before)
        for one in (bar, quiet):
            one.pulse(np.array([sign]))
        up, down = cells.steps(before)
        step = up if sign > 0 else down
        np.testing.assert_allclose(
            quiet.hidden, np.clip(before + sign * step, cells.lower, cells.upper), atol=1e-13
        )
        scale = cells.law.cell[responses.UP if sign > 0 else responses.DOWN].reshape(cells.shape)
        size = scale if settings.additive else step
        std = settings.std * (size + settings.offset + settings.slope * np.abs(before))
        inside = (bar.hidden > cells.lower) & (bar.hidden < cells.upper) & (std > 0)
        z = ((bar.hidden - before) * sign - step)[inside] / std[inside]
        assert np.abs(z).max(initial=0.0) < 6.8
        if settings.std:
            assert 0.6 < z.std() < 1.4


def in_sequence(bar, number):
    """Weights after ``number`` signed pulses of each cell in one update."""
    bar._apply_counts(number, bar._event("count"), "gradient", burst=False)
    return bar.hidden.ravel()


@pytest.mark.parametrize("law", ["soft bounds", "exponential", "few nodes"])
def test_many_pulses_are_the_steps_one_after_the_other(law):
    """Without noise: dense tiles, lists and sorted remainders, counts of 0 to 40, against a plain loop."""
    bar = made(law, "none", moves=False, dtype=np.float64, rows=4, columns=150)
    rng = np.random.default_rng(5)
    number = np.concatenate(
        [rng.integers(-2, 3, 150), rng.poisson(9, 150), -rng.poisson(0.2, 150), rng.integers(-40, 41, 150)]
    ).astype(np.int32)
    weight = bar.hidden
    for k in range(np.abs(number).max()):
        up, down = bar.cells.steps(weight)
        moved = weight + np.where(number.reshape(weight.shape) > 0, up, -down)
        moved = np.clip(moved, bar.cells.lower, bar.cells.upper)
        weight = np.where(np.abs(number).reshape(weight.shape) > k, moved, weight)
    got = in_sequence(bar, number)
    np.testing.assert_allclose(got.reshape(weight.shape), weight, atol=1e-12)


@pytest.mark.compiled
def test_a_pulse_has_the_same_noise_whatever_else_is_pulsed():
    """One cell's sequence alone, and among cells that fill tiles and lists: the same bytes."""
    rng = np.random.default_rng(6)
    full = rng.integers(-12, 13, 600).astype(np.int32)
    together = in_sequence(made("soft bounds", "proportional", False, np.float32, 4, 150), full)
    for cell in (0, 37, 311, 599):
        alone = np.zeros(600, np.int32)
        alone[cell] = full[cell]
        got = in_sequence(made("soft bounds", "proportional", False, np.float32, 4, 150), alone)
        assert got[cell] == together[cell]
