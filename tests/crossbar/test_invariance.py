"""The same cells, seed and calls give the same bytes, however the work is cut and shared."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from sptrack.crossbar import Crossbar, PulsedArray, PulseScheme
from sptrack.devices import CycleNoise, sample_cells
from sptrack.kernels.responses import DOWN, LOWER, SLOPE_DOWN, SLOPE_UP, UP, UPPER
from tests.devices.zoo import RESPONSES, device

SHAPE = (3, 90)
DETERMINISTIC = PulseScheme(pulse_type="deterministic-implicit")


def array(name="soft-bounds", *, write_noise=0.0, shape=SHAPE, dtype=np.float32, **options):
    description = replace(device(name, noise=0.3), write_noise=write_noise)
    return Crossbar(sample_cells(description, shape, seed=1, dtype=dtype), seed=5, **options)


def directions(count, *shape, seed=3):
    return np.random.default_rng(seed).integers(-1, 2, (count, *shape)).astype(np.int8)


def vectors(shape=SHAPE, seed=4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape[1]), rng.normal(size=shape[0])


PROGRAMS = {
    "up": ("up", 53),
    "down": ("down", 53),
    "alternating": ("alternating", 53),
    "random": ("random", 140),
    "explicit": (directions(53), None),
    "per-cell": (directions(53, *SHAPE), None),
}


def cut(program, count, sizes):
    """The program in pieces of the given sizes."""
    if isinstance(program, str):
        return [(program, size) for size in sizes]
    edges = np.cumsum([0, *sizes])
    return [(program[a:b], None) for a, b in zip(edges[:-1], edges[1:], strict=True)]


def everything(crossbar):
    """A run through every operation."""
    x, d = vectors(crossbar.shape)
    crossbar.pulse("alternating", 7)
    crossbar.pulse("random", 5)
    crossbar.pulse(directions(4, *crossbar.shape))
    for law in ("rounded", "binomial", "poisson"):
        crossbar.apply(0.03 * np.multiply.outer(d, x), law=law)
    crossbar.apply(-0.02, application="burst")
    crossbar.update(x, d, 0.02)
    crossbar.update(x, d, 0.02, scheme=DETERMINISTIC)
    crossbar.update(x, d, 0.02, scheme=PulseScheme(resolution=0.1, stochastic_rounding=True))
    return crossbar


def state_of(crossbar):
    return {name: value.tobytes() for name, value in crossbar.checkpoint().items()}


@pytest.mark.parametrize("write_noise", [0.0, 2.0])
@pytest.mark.parametrize("kind", list(PROGRAMS))
def test_trains_may_be_cut_anywhere(kind, write_noise):
    program, count = PROGRAMS[kind]
    whole = array(write_noise=write_noise)
    whole.pulse(program, count)
    total = len(program) if count is None else count
    for sizes in ([1, total - 1], [3, 2, total - 5], [total - 129, 129] if total > 129 else [30, total - 30]):
        parts = array(write_noise=write_noise)
        for piece in cut(program, count, sizes):
            parts.pulse(*piece)
        assert state_of(parts) == state_of(whole)


@pytest.mark.parametrize("write_noise", [0.0, 2.0])
@pytest.mark.parametrize("kind", list(PROGRAMS))
def test_a_stream_sends_the_same_pulses_and_shows_the_weights_on_the_way(kind, write_noise):
    program, count = PROGRAMS[kind]
    total = len(program) if count is None else count
    streamed, stepped = (array(write_noise=write_noise) for _ in range(2))
    blocks = list(streamed.stream(program, count, every=7, samples=3))
    assert max(len(block.pulses) for block in blocks) == 3
    np.testing.assert_array_equal(np.concatenate([b.pulses for b in blocks]), np.arange(7, total + 1, 7))
    seen = np.concatenate([block.weights for block in blocks])
    pieces = cut(program, count, [7] * (total // 7) + [total % 7])
    for piece, weights in zip(pieces[:-1], seen, strict=True):
        stepped.pulse(*piece)
        np.testing.assert_array_equal(stepped.weights, weights)
    stepped.pulse(*pieces[-1])
    assert state_of(streamed) == state_of(stepped)


@pytest.mark.parametrize("kind", ["alternating", "random"])
def test_a_stream_may_be_left_at_any_block(kind):
    """What was sent is counted, and the alternation goes on from there: pulse by pulse the same array."""
    for taken in (1, 2, 3, 4):
        left, whole = array(), array()
        stream = left.stream(kind, 22, every=3, samples=2)
        for _ in range(taken):
            next(stream)
        stream.close()
        sent = left.ledger.total() // left.cells.size
        assert sent == [6, 12, 18, 22][taken - 1]
        left.pulse(kind, 25 - sent)
        whole.pulse(kind, 25)
        assert state_of(left) == state_of(whole)


@pytest.mark.compiled
@pytest.mark.parametrize("write_noise", [0.0, 2.0])
def test_any_number_of_threads_gives_the_same_bytes(write_noise):
    shape = (130, 100)
    one = state_of(everything(array(shape=shape, write_noise=write_noise, threads=1)))
    for threads in (2, 3):
        assert state_of(everything(array(shape=shape, write_noise=write_noise, threads=threads))) == one


def test_the_same_seed_gives_the_same_bytes_and_another_does_not():
    one, same = state_of(everything(array())), state_of(everything(array()))
    assert one == same
    description = sample_cells(device("soft-bounds", noise=0.3), SHAPE, seed=1)
    assert state_of(everything(Crossbar(description, seed=6)))["weight"] != one["weight"]
    assert state_of(everything(Crossbar(description, seed=5, name="P")))["weight"] != one["weight"]


@pytest.mark.parametrize("write_noise", [0.0, 2.0])
def test_resumed_from_a_file_the_run_goes_on_with_the_same_bytes(tmp_path, write_noise):
    first = everything(array(write_noise=write_noise))
    first.read(0.1)
    first.save(tmp_path / "state.npz")
    second = array(write_noise=write_noise, weights=0.3)
    second.load(tmp_path / "state.npz")
    assert state_of(second) == state_of(first)
    np.testing.assert_array_equal(second.read(0.1), first.read(0.1))
    assert state_of(everything(second)) == state_of(everything(first))


@pytest.mark.parametrize("name", list(RESPONSES))
def test_every_family_runs_cut_or_whole(name):
    whole, parts = array(name, shape=(2, 20)), array(name, shape=(2, 20))
    whole.pulse("random", 40)
    for size in (1, 3, 36):
        parts.pulse("random", size)
    assert state_of(whole) == state_of(parts)
    assert np.isfinite(whole.weights).all()
    assert (whole.hidden >= whole.cells.lower).all()
    assert (whole.hidden <= whole.cells.upper).all()


@pytest.mark.parametrize("name", list(RESPONSES))
def test_stuck_cells_stay_where_they_are(name):
    description = device(name, noise=0.3, corrupt=0.5, corrupt_range=0.3)
    cells = sample_cells(description, (4, 10), seed=2)
    stuck = cells.lower == cells.upper
    assert 5 < stuck.sum() < 35
    crossbar = Crossbar(cells, seed=1)
    crossbar.pulse("random", 30)
    np.testing.assert_array_equal(crossbar.weights[stuck], cells.lower.astype(np.float32)[stuck])
    assert (crossbar.weights[~stuck] != 0.0).all()


@pytest.mark.parametrize(
    "noise", [CycleNoise(std=0.5, additive=True), CycleNoise(std=0.5, offset=0.1, slope=1.0)]
)
def test_stuck_cells_are_stuck_under_noise_that_does_not_vanish(noise):
    description = replace(device("soft-bounds", corrupt=0.5, corrupt_range=0.3), cycle_noise=noise)
    crossbar = Crossbar(sample_cells(description, (4, 10), seed=2), seed=1)
    stuck = crossbar.cells.lower == crossbar.cells.upper
    crossbar.pulse("random", 30)
    crossbar.apply(0.05)
    np.testing.assert_array_equal(crossbar.hidden[stuck], crossbar.cells.lower.astype(np.float32)[stuck])


def test_inputs_are_left_alone():
    x, d = vectors()
    program, per_cell = directions(6), directions(6, *SHAPE)
    increment, weights = np.multiply.outer(d, x) * 0.01, np.full(SHAPE, 0.1)
    given = (x, d, program, per_cell, increment, weights)
    for value in given:
        value.flags.writeable = False
    copies = [value.copy() for value in given]
    crossbar = array(weights=weights)
    crossbar.pulse(program)
    crossbar.pulse(per_cell)
    list(crossbar.stream(per_cell, every=2))
    crossbar.apply(increment)
    crossbar.update(x, d, 0.1)
    crossbar.set_weights(weights)
    state = crossbar.checkpoint()
    for value in state.values():
        value.flags.writeable = False
    crossbar.resume(state)
    crossbar.pulse("up", 3)
    for value, copy in zip(given, copies, strict=True):
        np.testing.assert_array_equal(value, copy)


def test_what_is_handed_out_is_a_copy():
    crossbar = array(write_noise=1.0)
    before = state_of(crossbar)
    for handed in (crossbar.weights, crossbar.hidden, crossbar.read(), *crossbar.checkpoint().values()):
        handed[...] = 1
    after = state_of(crossbar)
    assert after["weight"] == before["weight"]
    assert after["visible"] == before["visible"]


def test_a_crossbar_is_a_pulsed_array():
    assert isinstance(array(), PulsedArray)


@pytest.mark.compiled
def test_a_forked_child_has_threads_of_its_own():
    """Those of the parent do not survive the fork."""
    cells = sample_cells(device("soft-bounds"), (128, 128), seed=1)

    def pulsed():
        bar = Crossbar(cells, seed=1, threads=2)
        bar.pulse("alternating", 20)
        return bar.weights.tobytes()

    here = pulsed()
    child = os.fork()
    if not child:
        signal.alarm(30)
        os._exit(0 if pulsed() == here else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["soft-bounds", "exp-step"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.8])
def test_what_a_cell_gets_does_not_depend_on_the_others(kept, name, dtype):
    """Numbers of pulses from none to a hundred on more cells than a tile: all together, and some alone."""
    shape, rng = (30, 60), np.random.default_rng(7)
    alone = rng.random(shape) < kept
    whole, some = (array(name, shape=shape, dtype=dtype) for _ in range(2))
    for _ in range(2):
        numbers = rng.integers(0, 2, shape) * np.minimum(rng.pareto(0.7, shape), 100)
        wanted = whole.cells.dw_min * numbers * rng.choice([-1, 1], shape)
        sent, own = whole.apply(wanted), some.apply(np.where(alone, wanted, 0.0))
        np.testing.assert_array_equal(own, np.where(alone, sent, 0))
    np.testing.assert_array_equal(some.weights[alone], whole.weights[alone])
    assert abs(sent).max() > 50


@pytest.mark.parametrize("name", ["soft-bounds", "linear-step"])
def test_pulses_in_sequence_are_the_recursion_of_the_law(name):
    """Without noise, each pulse of each cell in turn, in double precision; numbers of pulses up to 100."""
    shape, rng = (30, 60), np.random.default_rng(8)
    quiet = replace(device(name, noise=0.3), cycle_noise=CycleNoise())
    bar = Crossbar(sample_cells(quiet, shape, seed=1, dtype=np.float64), seed=5)
    numbers = np.minimum(rng.pareto(0.7, shape), 100) * rng.choice([-1, 1], shape)
    law = bar.cells.law.cell
    w = bar.weights.ravel().copy()
    left = bar.apply(bar.cells.dw_min * numbers).ravel()
    for k in range(abs(left).max()):
        rises = w + law[UP] + law[SLOPE_UP] * w
        falls = w - law[DOWN] - law[SLOPE_DOWN] * w
        moved = np.clip(np.where(left > 0, rises, falls), law[LOWER], law[UPPER])
        w = np.where(abs(left) > k, moved, w)
    np.testing.assert_allclose(bar.weights.ravel(), w, rtol=1e-12, atol=1e-12)
