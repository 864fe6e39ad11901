"""Blocks in a row: as one after the other, flat, printed as a line of signal flow, over a stream."""

import numpy as np
import pytest

from sptrack.blocks import (
    EMA,
    FIR,
    SOS,
    Boxcar,
    Chain,
    Chopper,
    CorrectedEMA,
    Demodulator,
    GrowingBoxcar,
    Kalman,
    PeriodicChopper,
    PeriodMean,
    SPEstimator,
    SteadyKalman,
)
from sptrack.crossbar import Crossbar
from sptrack.devices import Device, sample_cells
from sptrack.errors import ParameterError
from tests.blocks.zoo import BLOCKS, LINEAR, NONLINEAR, of

CHOPPER = Chopper(p=0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_chain_of_all_blocks_is_its_blocks_one_after_the_other(dtype):
    """All 40 or so of them in a row; in float32 the chain rounds once, at its end."""
    x = np.random.default_rng(1).normal(size=(40, 3)).astype(dtype)
    expected = x.astype(np.float64)
    for block in BLOCKS.values():
        expected, _ = block.process(expected)
    y, state = Chain(*BLOCKS.values()).process(x)
    np.testing.assert_array_equal(y, expected.astype(dtype))
    assert len(state.memory) == sum(len(block.init(3).memory) for block in BLOCKS.values())


def test_printed_as_a_line_of_signal_flow():
    assert str(Chain(CHOPPER, EMA(eta=0.01))) == "x -> Chopper(p=0.1) -> EMA(eta=0.01) -> y"
    chain = Chain(FIR(taps=[1, 2]), SOS(sos=[[1, 0, 0, 1, 0, 0]]), Demodulator(chopper=CHOPPER, hold=3))
    assert (
        str(chain)
        == "x -> FIR(taps=2) -> SOS(sections=1) -> Demodulator(chopper=Chopper(p=0.1), hold=3) -> y"
    )
    estimator = SPEstimator(
        estimator=PeriodMean(eta=0.5, clock="read"),
        chopper=PeriodicChopper(half_period=5, clock="read"),
        clock="read",
    )
    assert str(estimator) == (
        "SPEstimator(clock=read, estimator=PeriodMean(clock=read, eta=0.5), "
        "chopper=PeriodicChopper(clock=read, half_period=5))"
    )


def test_chains_among_the_blocks_are_taken_apart():
    nested = Chain(CHOPPER, Chain(EMA(eta=0.1), Boxcar(length=3)))
    assert nested == Chain(CHOPPER, EMA(eta=0.1), Boxcar(length=3))
    assert hash(nested) == hash(Chain(*nested.blocks))


def test_response_is_the_product_of_the_linear_blocks():
    omega = np.linspace(-np.pi, np.pi, 7)
    blocks = [block for block in LINEAR.values() if not isinstance(block, Chain)]
    chain = Chain(CHOPPER, *blocks, Demodulator(chopper=CHOPPER))
    product = np.prod([block.frequency_response(omega) for block in blocks], axis=0)
    np.testing.assert_allclose(chain.frequency_response(omega), product, rtol=1e-12)


def test_a_chain_settles_part_by_part():
    chain = Chain(CorrectedEMA(eta=0.1), GrowingBoxcar(length=3), Kalman(read_std=1.0, drift_std=0.1))
    assert chain.settled == Chain(EMA(eta=0.1), Boxcar(length=3), SteadyKalman(read_std=1.0, drift_std=0.1))
    assert chain.operations == sum(block.operations for block in chain.blocks)


@pytest.mark.parametrize("block", **of(BLOCKS))
def test_the_output_row_of_a_chain_is_that_of_its_last_block(block):
    chain = Chain(Boxcar(length=3), block)
    y, state = chain.process(np.random.default_rng(1).normal(size=(9, 2)))
    assert (chain.output_row >= 0) == (block.output_row >= 0)
    if chain.output_row >= 0:
        np.testing.assert_array_equal(state.memory[chain.output_row], y[-1])


def test_a_chain_that_holds_a_filter_without_response_starts():
    y, _ = Chain(EMA(eta=0.5), NONLINEAR).process(np.zeros(5))
    np.testing.assert_array_equal(y, 0.0)


def test_an_estimator_starts_as_itself_within_a_chain():
    estimator = SPEstimator(estimator=PeriodMean(eta=0.5), chopper=CHOPPER)
    chain = Chain(EMA(eta=0.1), estimator)
    state = chain.init(2, 0.3)
    y, _ = chain.process(np.full((30, 2), 0.3), state)
    np.testing.assert_allclose(y, 0.3, rtol=1e-14)


def test_a_stream_of_a_crossbar_in_one_call():
    """The values are those of the weights put through by hand, whatever the blocks of the stream."""
    bar = Crossbar(sample_cells(Device(), (2, 3), seed=1), seed=4, threads=1)
    chain = Chain(EMA(eta=0.05), Boxcar(length=4))
    blocks = list(bar.stream("alternating", 60, every=4, samples=6))
    out = chain.run(iter(blocks))
    weights = np.concatenate([block.weights for block in blocks])
    np.testing.assert_array_equal(out.values, chain.process(weights)[0])
    np.testing.assert_array_equal(out.pulses, np.concatenate([block.pulses for block in blocks]))
    assert out.state.sample == len(weights)
    assert out.values.dtype == weights.dtype
    halves = chain.run(blocks[:1])
    later = chain.run(blocks[1:], halves.state)
    assert later.state.memory.tobytes() == out.state.memory.tobytes()


def test_an_empty_stream_is_refused():
    with pytest.raises(ParameterError, match="at least one block of samples"):
        EMA(eta=0.1).run([])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (Chain, "one or more blocks"),
        (lambda: Chain(EMA(eta=0.1), EMA(eta=0.1, clock="read")), r"clocks \['step', 'read'\]"),
        (lambda: Chain(EMA(eta=0.1), 3), "must be a block, got 3"),
        (lambda: SPEstimator(estimator=3, chopper=CHOPPER), "estimator must be a block, got 3"),
        (lambda: SPEstimator(estimator=EMA(eta=0.1, clock="read"), chopper=CHOPPER), "the step clock"),
        (lambda: SPEstimator(estimator=EMA(eta=0.1), chopper=EMA(eta=0.1)), "a chopper"),
    ],
)
def test_refusals(make, text):
    with pytest.raises(ParameterError, match=text):
        make()
