"""Laws of filters by their equations, and that kinds are data: one compiled chain for all of them."""

import numpy as np
import pytest

from sptrack.blocks import CIC, EMA, FIR, SOS, Boxcar, GrowingBoxcar, Kalman, LastSample, PeriodMean
from sptrack.kernels import pointers
from sptrack.kernels.chains import run_chain, scratch_of
from sptrack.kernels.filters import ema, kalman_update
from sptrack.kernels.stages import FLUSH_EVERY, ROW, Stage, pack, slots


def law(function):
    """The Python of a function that only kernels call."""
    return getattr(function, "py_func", function)


def run(stages, x, flips=None, first=0):
    """Outputs and memory of stages over samples [time, cells]."""
    memory, y, x = np.zeros((slots(stages), x.shape[1])), np.empty_like(x), read_only(x)
    flags = np.zeros((0, 1), np.int8) if flips is None else np.ascontiguousarray(flips, np.int8)
    packed = pack(stages, first, len(x))
    assert run_chain(packed, memory, first, x, flags, y, scratch_of(len(memory)))
    return y, memory


def read_only(x):
    """As `Block.process` passes samples on."""
    shown = x.view()
    shown.flags.writeable = False
    return shown


def samples(count=24, cells=3):
    return np.random.default_rng(1).normal(size=(count, cells))


def test_ema_is_its_equation():
    assert law(ema)(0.5, 2.0, 0.1) == pytest.approx(0.9 * 0.5 + 0.1 * 2.0)


def test_kalman_update_is_bayes(monkeypatch):
    """Prior variance 3 + 1 and noise 4: half way, and half the variance."""
    monkeypatch.setitem(law(kalman_update).__globals__, "ema", law(ema))
    mean, variance = law(kalman_update)(1.0, 3.0, 2.0, 1.0, 4.0)
    assert (mean, variance) == (pytest.approx(1.5), pytest.approx(1 / (1 / 4 + 1 / 4)))


def test_a_code_says_where_a_stage_keeps_what():
    """Rows of memory follow one another, and each stage's numbers stand where its code points."""
    blocks = (
        EMA(eta=0.25, order=2),
        Boxcar(length=3),
        FIR(taps=[0.5, 0.25]),
        SOS(sos=[[1, 2, 3, 1, 0.5, 0.25]]),
    )
    stages = [stage for block in blocks for stage in block.stages((2,))]
    packed = pack(stages)
    assert packed.code[:, ROW].tolist() == [0, 2, 6, 8]
    assert slots(stages) == 10
    assert packed.number.tolist() == [0.0, 0.25, 0.5, 0.25, 1, 2, 3, 0.5, 0.25]
    assert len(set(packed.code[:, 0])) == 4


def test_stages_in_a_row_are_stages_one_after_the_other():
    blocks = (EMA(eta=0.25), CIC(length=3), GrowingBoxcar(length=5), Kalman(read_std=0.3), LastSample())
    x = expected = samples()
    for block in blocks:
        expected, _ = run(block.stages((3,)), expected)
    y, _ = run([stage for block in blocks for stage in block.stages((3,))], x)
    np.testing.assert_array_equal(y, expected)


def test_flips_reach_every_stage():
    """Two period means in a row: each takes over its running mean at the flips, per cell."""
    x, flips = samples(12, 2), np.zeros((12, 2), np.int8)
    flips[[4, 9], 0] = flips[6, 1] = 1
    y, _ = run(PeriodMean(eta=0.5).stages((2,)), x, flips)
    for cell, when in ((0, [4, 9]), (1, [6])):
        np.testing.assert_array_equal(np.flatnonzero(np.diff(y[:, cell]) != 0) + 1, when)
    shared, _ = run(PeriodMean(eta=0.5).stages((2,)), x, flips[:, :1])
    np.testing.assert_array_equal(shared[:, 0], y[:, 0])


def test_a_strangers_tile_function_runs_in_a_chain():
    """What `sptrack.kernels.stages` promises: a function of these arguments is a stage."""

    def negated(code, number, sign, memory, x, flip, at):
        _, _, rows, n, _ = at
        for r in range(rows):
            for i in range(n):
                memory[code[1], i] = x[r, i]
                x[r, i] = -x[r, i]

    x = samples()
    stages = (Stage(negated, 1, own=True), *EMA(eta=0.25).stages((3,)))
    y, memory = run(stages, x)
    np.testing.assert_array_equal(y, run(EMA(eta=0.25).stages((3,)), -x)[0])
    np.testing.assert_array_equal(memory[0], x[-1])


def test_numbers_far_below_any_sample_become_zero():
    """At every eighth sample, wherever the stream is cut; what is still large stays to the bit."""
    x, y = read_only(np.zeros((1, 2))), np.empty((1, 2))
    memory = np.array([[1e-260, 1e-240]])
    packed, room, flags = pack(EMA(eta=0.5).stages((2,))), scratch_of(1), np.zeros((0, 1), np.int8)
    for k in range(2 * FLUSH_EVERY):
        run_chain(packed, memory, k, x, flags, y, room)
        flushed = k + 1 >= FLUSH_EVERY
        assert memory[0, 0] == (0.0 if flushed else 1e-260 * 0.5 ** (k + 1))
        assert memory[0, 1] == pytest.approx(1e-240 * 0.5 ** (k + 1), rel=1e-12)


@pytest.mark.compiled
def test_a_function_is_compiled_once_and_kept_by_address():
    before = len(pointers._ADDRESSES)
    first = pack(EMA(eta=0.3).stages((2,))).code[0, 0]
    assert pack(EMA(eta=0.7, order=4).stages((5, 6))).code[0, 0] == first
    assert len(pointers._ADDRESSES) <= before + 1


@pytest.mark.compiled
def test_kinds_are_data():
    """All kinds above, in both precisions: one specialisation of the chain for each precision."""
    for dtype in (np.float32, np.float64):
        for block in (EMA(eta=0.1), Boxcar(length=3), PeriodMean(eta=0.2), Kalman(read_std=1.0)):
            block.process(np.zeros((4, 2), dtype))
    assert len(run_chain.signatures) <= 2
