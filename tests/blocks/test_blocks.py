"""What holds for every block: explicit states, streams cut anywhere, both precisions, rest, refusals."""

import numpy as np
import pytest

import sptrack.blocks
from sptrack.blocks import EMA, Block, Chopper, SignSource, State
from sptrack.blocks.block import LinearBlock
from sptrack.blocks.choppers import PatternChopper
from sptrack.errors import ParameterError
from sptrack.kernels.stages import slots
from tests.blocks.zoo import BLOCKS, CUSTOM, LINEAR, OTHERS, SETTLING, is_chopped, of

SHAPE = (2, 3)
ABSTRACT = {Block, LinearBlock, SignSource, PatternChopper}


def stream(count=40, shape=SHAPE, dtype=np.float64, seed=1):
    x = np.random.default_rng(seed).normal(size=(count, *shape)).astype(dtype)
    x.flags.writeable = False
    return x


@pytest.fixture(**{"params": list(BLOCKS.values()), "ids": list(BLOCKS)})
def block(request):
    return request.param


def test_no_kind_is_missing():
    """Every public block stands in the zoo, where all suites of this folder find it."""
    public = {
        kind for kind in vars(sptrack.blocks).values() if isinstance(kind, type) and issubclass(kind, Block)
    }
    assert public - ABSTRACT == {type(block) for block in BLOCKS.values()}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_stream_cut_anywhere_gives_the_same_bytes(block, dtype):
    x = stream(dtype=dtype)
    flips = Chopper(p=0.2, scope="cell").flips(0, 40, SHAPE)
    whole, end = block.process(x, flips=flips)
    assert whole.dtype == dtype
    state, parts = None, []
    for first, last in ((0, 1), (1, 1), (1, 6), (6, 19), (19, 40)):
        y, state = block.process(x[first:last], state, flips[first:last])
        parts.append(y)
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    assert state.sample == end.sample == 40
    assert state.memory.tobytes() == end.memory.tobytes()


def test_steps_are_the_stretch(block):
    x, flips = stream(12), Chopper(p=0.3).flips(0, 12)
    state, outputs = block.init(SHAPE), []
    for sample, flip in zip(x, flips, strict=True):
        state, y = block.step(state, sample, flip)
        outputs.append(y)
    assert np.array(outputs).tobytes() == block.process(x, flips=flips)[0].tobytes()


def test_a_state_can_be_used_twice(block):
    x = stream(20)
    _, state = block.process(x[:9])
    kept = state.memory.copy()
    once, _ = block.process(x[9:], state)
    again, _ = block.process(x[9:], state)
    assert once.tobytes() == again.tobytes()
    assert kept.tobytes() == state.memory.tobytes()
    assert not state.memory.flags.writeable
    assert state.memory.dtype == np.float64


def test_any_shape_of_cells(block):
    x = stream(10, ())
    y, state = block.process(x)
    assert y.shape == (10,)
    assert state.memory.shape == (slots(block.stages(())),)
    assert block.process(stream(4, (2, 1, 3)))[0].shape == (4, 2, 1, 3)


def test_many_cells_are_worked_on_tile_by_tile(block):
    """More cells than a tile holds: a part of them alone gives the same bytes."""
    x = stream(3, (4100,), np.float32)
    y, _ = block.process(x)
    if not is_chopped(block):
        halves = [block.process(part)[0] for part in np.split(x, 2, axis=1)]
        np.testing.assert_array_equal(y, np.concatenate(halves, axis=1))
    assert np.isfinite(y).all()


def test_single_precision_is_the_double_one_rounded(block):
    """The arithmetic is float64 whatever the samples: outputs differ by their last rounding alone."""
    x = stream(dtype=np.float32)
    single, double = block.process(x)[0], block.process(x.astype(np.float64))[0]
    np.testing.assert_array_equal(single, double.astype(np.float32))


@pytest.mark.parametrize("block", **of(LINEAR | SETTLING))
@pytest.mark.parametrize("value", [0.0, 0.3, -1e-3])
def test_at_rest_it_stays_at_rest(block, value):
    """An output that has long been some value stays there while that value's input comes in."""
    gain = 1.0 if block in SETTLING.values() else float(block.frequency_response(0.0).real)
    if gain == 0 or holds_custom(block):
        value, gain = 0.0, 1.0
    initial = np.full(SHAPE, value)
    y, _ = block.process(np.full((200, *SHAPE), value / gain), block.init(SHAPE, initial))
    np.testing.assert_allclose(y, value, rtol=0, atol=4e-14 * abs(value))


def holds_custom(block):
    return CUSTOM in getattr(block, "blocks", (block,))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_refused_with_their_place(block, bad):
    x = stream().copy()
    x[7, 1, 2] = bad
    with pytest.raises(ParameterError, match=r"x\[7, 1, 2\] must be finite numbers, got (nan|-?inf)"):
        block.process(x)


def test_operations_and_output_row_belong_to_the_block(block):
    """Operations are counted; the output row is a row of the memory that is the output, or there is none."""
    assert isinstance(block.operations, int)
    assert block.operations >= 0
    y, state = block.process(stream(17))
    assert -1 <= block.output_row < len(state.memory)
    if block.output_row >= 0:
        np.testing.assert_array_equal(state.memory[block.output_row], y[-1])


@pytest.mark.parametrize("block", **of(LINEAR | SETTLING))
def test_what_settles_is_linear(block):
    omega = np.linspace(-np.pi, np.pi, 5)
    settled = block.settled
    assert settled.frequency_response(omega).shape == (5,)
    assert settled.settled == settled
    assert settled.clock == block.clock
    if block in LINEAR.values():
        assert settled is block


@pytest.mark.parametrize("name", sorted(set(OTHERS) - {"estimator that needs no flips", "signal chain"}))
def test_what_is_not_linear_has_no_settled_form(name):
    with pytest.raises(ParameterError, match="no frequency response"):
        _ = BLOCKS[name].settled


def test_a_state_of_another_shape_is_refused():
    state = EMA(eta=0.1).init((3, 2))
    with pytest.raises(ParameterError, match=r"state must have shape \[1, \*shape\], got \[1, 3, 2\]"):
        EMA(eta=0.1).process(stream(), state)


@pytest.mark.parametrize("x", [1.0, "text", [[1.0], [2.0, 3.0]], [1j]])
def test_what_is_no_stream_is_refused(x):
    with pytest.raises(ParameterError, match=r"time on axis 0|x must be real numbers"):
        EMA(eta=0.1).process(x)


@pytest.mark.parametrize(
    ("flips", "text"),
    [
        ([1, 0, 1], "flips must be True or False"),
        ([True, False], r"flips must have the shape \[3\] or \[3, 2\], got \[2\]"),
    ],
)
def test_flips_that_do_not_fit_are_refused(flips, text):
    with pytest.raises(ParameterError, match=text):
        EMA(eta=0.1).process(np.zeros((3, 2)), flips=flips)


@pytest.mark.parametrize(
    ("shape", "initial", "text"),
    [
        ((0,), 0.0, "shape must .*got 0"),
        ((2.5,), 0.0, "shape must .*got 2.5"),
        ((3,), np.zeros(2), r"initial must be numbers of shape \[3\]"),
        ((3,), np.nan, "initial must be finite"),
    ],
)
def test_impossible_states_are_refused(shape, initial, text):
    with pytest.raises(ParameterError, match=text):
        EMA(eta=0.1).init(shape, initial)


def test_unknown_clock_is_refused():
    with pytest.raises(ParameterError, match="unknown clock 'tick'; choose from pulse, step"):
        EMA(eta=0.1, clock="tick")


def test_descriptions_are_frozen_and_compare_by_value():
    assert EMA(eta=0.1) == EMA(eta=0.1) != EMA(eta=0.2)
    assert hash(Chopper(p=0.1)) == hash(Chopper(p=0.1))
    with pytest.raises(AttributeError):
        EMA(eta=0.1).eta = 0.2
    assert isinstance(EMA(eta=0.1), Block)
    assert isinstance(EMA(eta=0.1).init(2), State)


def test_descriptions_of_coefficients_compare_by_value():
    for name in ("Butterworth", "FIR"):
        one = LINEAR[name]
        same = type(one)(**{key: np.array(getattr(one, key)) for key in ("sos", "taps") if hasattr(one, key)})
        assert same == one
        assert hash(same) == hash(one)
        assert one != LINEAR["elliptic"]
