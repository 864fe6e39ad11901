"""Digital work around the arrays of a layer, each by plain numpy, and kernels called without a search."""

import pickle

import numpy as np
import pytest

from sptrack.kernels._jit import Direct
from sptrack.kernels.buffers import BufferRule, collect
from sptrack.kernels.patches import Steps, gather, scatter
from sptrack.kernels.scaling import add_outputs, split_errors

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("forget", [True, False])
@pytest.mark.parametrize("cap", [0.0, 0.3])
def test_a_buffer_gives_whole_pulses_away(forget, cap):
    rule = BufferRule(3.0, 0.25, forget, cap)
    read, reference, level = RNG.normal(size=(3, 200))
    level *= 4
    beyond = -(read - reference)
    filled = level + 0.7 * beyond / 0.2
    number = np.clip(np.trunc(filled), -3, 3)
    kept = 0.25 * filled if forget else filled - 0.75 * number
    if cap and not forget:
        kept = np.clip(kept, -3 * cap, 3 * cap)
    made = np.empty((2, 200))
    assert collect(read, reference, (-1.0, 0.7, 0.2), rule, level, made)
    np.testing.assert_array_equal(made, [beyond, number])
    np.testing.assert_allclose(level, np.where(number != 0, kept, filled), rtol=1e-14, atol=1e-14)
    assert (np.abs(number) == 3).any()
    assert (number == 0).any()


def test_a_buffer_below_a_pulse_only_fills():
    level, made = np.zeros(4), np.empty((2, 4))
    rule = BufferRule(1.0, 0.0, True, 0.0)
    assert not collect(np.full(4, 0.4), np.zeros(4), (1.0, 1.0, 1.0), rule, level, made)
    np.testing.assert_array_equal(level, 0.4)
    assert collect(np.full(4, 0.7), np.zeros(4), (1.0, 1.0, 1.0), rule, level, made)
    np.testing.assert_array_equal(made[1], 1.0)
    np.testing.assert_array_equal(level, 0.0)


@pytest.mark.parametrize(
    "steps",
    [
        Steps((3, 3), (1, 1), (1, 1)),
        Steps((2, 3), (1, 2), (2, 1)),
        Steps((1, 4), (1, 1), (3, 2)),
    ],
)
def test_patches_are_those_of_sliding_windows_and_go_back_to_their_pixels(steps):
    images = RNG.integers(-9, 9, (2, 3, 7, 8)).astype(np.float32)
    spans = tuple(d * (k - 1) + 1 for k, d in zip(steps.kernel, steps.dilation, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(images, spans, axis=(2, 3))
    (down, across), (inner_down, inner_across) = steps.stride, steps.dilation
    wanted = windows[:, :, ::down, ::across, ::inner_down, ::inner_across]
    places = wanted.shape[2:4]
    patches = np.full((2 * np.prod(places), 3 * np.prod(steps.kernel)), np.nan, np.float32)
    gather(images, steps, places, patches)
    np.testing.assert_array_equal(patches, wanted.transpose(0, 2, 3, 1, 4, 5).reshape(patches.shape))
    sent, back = RNG.integers(-9, 9, patches.shape).astype(np.float32), np.zeros_like(images)
    scatter(sent, steps, places, back)
    assert np.vdot(sent, patches) == np.vdot(back, images)  # whole numbers: exact


def test_scales_of_a_tile():
    y, scale = RNG.normal(size=(4, 3)).astype(np.float32), RNG.uniform(1, 2, 3).astype(np.float32)
    factor, out = np.float32(0.3), RNG.normal(size=(4, 7)).astype(np.float32)
    scaled, wanted = y * scale, out.copy()
    wanted[:, 2:5] += factor * scaled
    add_outputs(y, scale, factor, out, 2)
    np.testing.assert_array_equal(y, scaled)
    np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("returned", [True, False])
def test_errors_of_a_tile(returned):
    d, scale = RNG.normal(size=(4, 7)).astype(np.float32), RNG.uniform(1, 2, 3).astype(np.float32)
    sent = np.empty((4, 3), np.float32)
    back = np.empty((4 if returned else 0, 3), np.float32)
    split_errors(d, scale, np.float32(0.3), 2, sent, back)
    own = np.float32(0.3) * d[:, 2:5]
    np.testing.assert_array_equal(sent, own / scale)
    np.testing.assert_array_equal(back, (own * scale)[: len(back)])


def test_a_direct_call_is_the_kernel():
    scale, outs = np.ones(3, np.float32), np.zeros((2, 5, 3), np.float32)
    direct = Direct(add_outputs)
    for call, out in zip((direct, pickle.loads(pickle.dumps(direct))), outs, strict=True):
        for rows in (2, 5):  # another size of the same types
            call(np.ones((rows, 3), np.float32), scale, np.float32(2), out, 0)
    np.testing.assert_array_equal(outs[0, :, 0], [4, 4, 2, 2, 2])
    np.testing.assert_array_equal(outs[0], outs[1])
