"""What holds for every block: explicit states, streams cut anywhere, both precisions, refusals."""

import numpy as np
import pytest

from sptrack.blocks import EMA, Block, Chopper, State
from sptrack.errors import ParameterError
from tests.blocks.zoo import BLOCKS, name

SHAPE = (2, 3)


def stream(count=40, shape=SHAPE, dtype=np.float64, seed=1):
    x = np.random.default_rng(seed).normal(size=(count, *shape)).astype(dtype)
    x.flags.writeable = False
    return x


@pytest.fixture(params=BLOCKS, ids=name)
def block(request):
    return request.param


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_stream_cut_anywhere_gives_the_same_bytes(block, dtype):
    x = stream(dtype=dtype)
    whole, end = block.process(x)
    assert whole.dtype == dtype
    state, parts = None, []
    for first, last in ((0, 1), (1, 1), (1, 6), (6, 19), (19, 40)):
        y, state = block.process(x[first:last], state)
        parts.append(y)
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert state.sample == end.sample == 40
    assert state.memory.tobytes() == end.memory.tobytes()


def test_steps_are_the_stretch(block):
    x = stream(12)
    state, outputs = block.init(SHAPE, np.float64), []
    for sample in x:
        state, y = block.step(state, sample)
        outputs.append(y)
    assert np.array(outputs).tobytes() == block.process(x)[0].tobytes()


def test_a_state_can_be_used_twice(block):
    x = stream(20)
    _, state = block.process(x[:9])
    kept = state.memory.copy()
    once, _ = block.process(x[9:], state)
    again, _ = block.process(x[9:], state)
    assert once.tobytes() == again.tobytes()
    assert kept.tobytes() == state.memory.tobytes()
    assert not state.memory.flags.writeable


def test_any_shape_of_cells(block):
    x = stream(10, (), np.float64)
    y, state = block.process(x)
    assert y.shape == (10,)
    assert state.memory.shape[1:] == ()
    assert block.process(stream(4, (2, 1, 3)))[0].shape == (4, 2, 1, 3)


def test_many_cells_are_worked_on_tile_by_tile(block):
    x = stream(3, (4100,), np.float32)
    y, _ = block.process(x)
    halves = [block.process(part)[0] for part in np.split(x, 2, axis=1)]
    if not name(block).endswith(("Chopper", "Demodulator", "LockIn", "Tracker", "Chain")):
        np.testing.assert_array_equal(y, np.concatenate(halves, axis=1))
    assert np.isfinite(y).all()


def test_single_precision_is_close_to_double(block):
    x = stream(dtype=np.float32)
    np.testing.assert_allclose(block.process(x)[0], block.process(x.astype(np.float64))[0], atol=2e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_with_their_place(block, bad):
    x = stream().copy()
    x[7, 1, 2] = bad
    with pytest.raises(ParameterError, match=r"x\[7, 1, 2\] = (nan|-?inf): finite"):
        block.process(x)


def test_a_state_of_another_shape_is_refused():
    state = EMA(eta=0.1).init((3, 2))
    with pytest.raises(ParameterError, match=r"state of shape \[1, 3, 2\].*\[1, \*shape\] wanted"):
        EMA(eta=0.1).process(stream(), state)


@pytest.mark.parametrize("x", [1.0, "text", [[1.0], [2.0, 3.0]], [1j]])
def test_what_is_no_stream_is_refused(x):
    with pytest.raises(ParameterError, match="time on axis 0"):
        EMA(eta=0.1).process(x)


@pytest.mark.parametrize(("shape", "dtype"), [((0,), np.float32), ((2.5,), np.float32), ((2,), np.int32)])
def test_impossible_states_are_refused(shape, dtype):
    with pytest.raises(ParameterError, match="wanted"):
        EMA(eta=0.1).init(shape, dtype)


def test_unknown_clock_is_refused():
    with pytest.raises(ParameterError, match="clock = 'tick': one of pulse, step"):
        EMA(eta=0.1, clock="tick")


def test_descriptions_are_frozen_and_compare_by_value():
    assert EMA(eta=0.1) == EMA(eta=0.1) != EMA(eta=0.2)
    assert hash(Chopper(p=0.1)) == hash(Chopper(p=0.1))
    with pytest.raises(AttributeError):
        EMA(eta=0.1).eta = 0.2
    assert isinstance(EMA(eta=0.1), Block)
    assert isinstance(EMA(eta=0.1).init(2), State)
