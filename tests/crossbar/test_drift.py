"""Crossbars whose response curves move: the response at the moved curve, sizes, cutting, checkpoints."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.crossbar import Crossbar
from sptrack.devices import (
    Asymmetry,
    CycleNoise,
    Device,
    Drift,
    PowStep,
    Reference,
    SoftBounds,
    Spread,
    sample_cells,
)
from sptrack.errors import ParameterError

SPREAD = Spread(dw_min=0.1, log_normal=True, asymmetry=Asymmetry(mean=0.2, std=0.1))
STEADY = Drift(per_pulse=3e-5, per_pulse_std=1e-5, per_step=1e-5, per_step_std=1e-5)
WANDERING = replace(STEADY, walk=1e-3)


def made(drift, shape=(4, 5), *, noise=0.0, dtype=np.float32, threads=1, **device):
    cells = sample_cells(
        Device(dw_min=0.01, spread=SPREAD, cycle_noise=CycleNoise(std=noise), drift=drift, **device),
        shape,
        seed=4,
        dtype=dtype,
    )
    return Crossbar(cells, seed=7, weights=0.1, threads=threads)


@pytest.mark.parametrize("response", [SoftBounds(), PowStep()])
def test_a_moved_curve_responds_as_it_did_further_down(response):
    """Every pulse of a train against w <- w +- step(w - s), s <- s + rate, in float64."""
    array = made(STEADY, dtype=np.float64, response=response)
    array.rest(500)
    cells, w, s = array.cells, array.weights, array.moved
    np.testing.assert_allclose(s, 500 * cells.drift.per_step, rtol=0, atol=1e-12)
    for k in range(6):
        up, down = cells.steps(w - s)
        w = np.clip(w - s + (up if k % 2 == 0 else -down), cells.lower, cells.upper) + s
        s = s + cells.drift.per_pulse
    array.pulse("alternating", 6)
    np.testing.assert_allclose(array.weights, w, rtol=0, atol=1e-12)
    np.testing.assert_allclose(array.symmetric_point, cells.symmetric_point + s, rtol=0, atol=1e-12)


def test_rest_moves_points_and_not_weights():
    for reference in (None, Reference(std=0.1)):
        array = made(STEADY, reference=reference, write_noise=2.0)
        before, points = array.weights, array.symmetric_point
        array.rest(3000)
        np.testing.assert_allclose(array.weights, before, atol=1e-6)
        moved = array.symmetric_point - points
        np.testing.assert_allclose(moved, 3000 * array.cells.drift.per_step, rtol=0, atol=2e-6)


def test_moves_far_below_the_last_digit_add_up():
    """1e-9 a step is a fiftieth of the last digit of a float32 near 0.5: 1e5 steps are 1e-4 all the same."""
    array = made(Drift(per_step=1e-9))
    array.rest(100_000)
    np.testing.assert_allclose(array.moved, 1e-4, rtol=0, atol=1e-6)


def test_a_bound_takes_the_weight_along():
    array = made(Drift(per_step=1e-3))
    array.rest(2000)
    np.testing.assert_allclose(array.weights, array.cells.lower + 2.0, atol=1e-5)


@pytest.mark.compiled
def test_a_walk_has_its_variance():
    """4000 cells, 100 steps: std .01 within 4 sigma (.01/sqrt(8000)), mean too; steps are independent."""
    array = made(Drift(walk=1e-3), (40, 100))
    array.rest(60)
    first = array.moved
    array.rest(40)
    moved, later = array.moved, array.moved - first
    assert abs(moved.std() - 0.01) < 4 * 0.01 / np.sqrt(8000)
    assert abs(moved.mean()) < 4 * 0.01 / np.sqrt(4000)
    assert abs(np.corrcoef(first.ravel(), later.ravel())[0, 1]) < 4 / np.sqrt(4000)


def run(array, cut):
    """Trains, increments, updates and time, each in parts of ``cut``."""
    rng = np.random.default_rng(1)
    for start in range(0, 60, cut):
        for program in ("alternating", "random"):
            array.pulse(program, min(cut, 60 - start))
        array.rest(min(cut, 60 - start))
    array.apply(0.05 * rng.standard_normal(array.shape))
    array.update(rng.standard_normal(array.shape[1]), rng.standard_normal(array.shape[0]), 0.01)
    return array


def assert_same(one, other):
    for name in ("weights", "hidden", "moved", "symmetric_point"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.compiled
def test_threads_change_nothing():
    assert_same(*(run(made(WANDERING, (90, 100), noise=0.3, threads=threads), 60) for threads in (1, 3)))


def test_cutting_changes_nothing():
    """Time and trains do not commute, so each is cut on its own."""
    one, other = made(WANDERING, noise=0.3), made(WANDERING, noise=0.3)
    for parts, array in (((40,), one), ((13, 1, 26), other)):
        for part in parts:
            array.rest(part)
        for part in parts:
            array.pulse("alternating", part)
    assert_same(one, other)


def test_a_stream_shows_what_a_bench_would_see():
    """Samples of a stream are the weights of an array stopped there."""
    whole = made(STEADY, noise=0.3, reference=Reference(std=0.1))
    whole.rest(1000)
    (block,) = whole.stream("alternating", 12, every=4)
    for k, pulses in enumerate(block.pulses):
        stopped = made(STEADY, noise=0.3, reference=Reference(std=0.1))
        stopped.rest(1000)
        stopped.pulse("alternating", int(pulses))
        np.testing.assert_allclose(block.weights[k], stopped.weights, rtol=0, atol=3e-7)


def test_a_checkpoint_goes_on(tmp_path):
    array = run(made(WANDERING, noise=0.3, write_noise=1.0), 20)
    array.save(tmp_path / "state.npz")
    again = made(WANDERING, noise=0.3, write_noise=1.0)
    again.load(tmp_path / "state.npz")
    assert_same(array, again)
    assert_same(run(array, 20), run(again, 20))
    with pytest.raises(ParameterError, match="drift"):
        made(None, write_noise=1.0).load(tmp_path / "state.npz")


def test_drift_of_zero_is_no_drift():
    still, zero = (run(made(drift, noise=0.3), 20) for drift in (None, Drift()))
    np.testing.assert_allclose(still.weights, zero.weights, rtol=0, atol=1e-6)
    assert (zero.moved == 0).all()


def test_weights_can_be_set_on_moved_curves():
    array = made(STEADY)
    array.rest(2000)
    array.set_weights(0.2)
    np.testing.assert_allclose(array.weights, 0.2, atol=1e-6)


def test_refusals():
    for steps in (-1, 10**9):
        with pytest.raises(ParameterError, match=f"steps must .*got {steps}"):
            made(STEADY).rest(steps)
