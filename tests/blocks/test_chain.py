import numpy as np
import pytest

from sptrack.blocks import (
    EMA,
    FIR,
    SOS,
    Boxcar,
    Chain,
    Chopper,
    Demodulator,
    PeriodicChopper,
    PeriodMeanReference,
    ReferenceTracker,
)
from sptrack.errors import ParameterError
from tests.blocks.zoo import BLOCKS, LINEAR

CHOPPER = Chopper(p=0.1)


def test_a_chain_is_its_blocks_one_after_the_other():
    x = expected = np.random.default_rng(1).normal(size=(40, 3))
    blocks = [BLOCKS[0], BLOCKS[4], BLOCKS[9], BLOCKS[10], BLOCKS[13]]
    for block in blocks:
        expected, _ = block.process(expected)
    assert Chain(*blocks).process(x)[0].tobytes() == expected.tobytes()


def test_printed_as_a_line_of_signal_flow():
    assert str(Chain(CHOPPER, EMA(eta=0.01))) == "x -> Chopper(p=0.1) -> EMA(eta=0.01) -> y"
    chain = Chain(FIR(taps=[1, 2]), SOS(sos=[[1, 0, 0, 1, 0, 0]]), Demodulator(chopper=CHOPPER, hold=3))
    assert (
        str(chain)
        == "x -> FIR(taps=2) -> SOS(sections=1) -> Demodulator(chopper=Chopper(p=0.1), hold=3) -> y"
    )
    tracker = ReferenceTracker(
        estimator=PeriodMeanReference(period=10.0),
        chopper=PeriodicChopper(half_period=5, clock="read"),
        clock="read",
    )
    assert str(tracker) == (
        "ReferenceTracker(clock=read, estimator=PeriodMeanReference(period=10), "
        "chopper=PeriodicChopper(clock=read, half_period=5))"
    )


def test_chains_among_the_blocks_are_taken_apart():
    nested = Chain(CHOPPER, Chain(EMA(eta=0.1), Boxcar(length=3)))
    assert nested == Chain(CHOPPER, EMA(eta=0.1), Boxcar(length=3))
    assert hash(nested) == hash(Chain(*nested.blocks))


def test_response_is_the_product_of_the_linear_blocks():
    omega = np.linspace(-np.pi, np.pi, 7)
    chain = Chain(CHOPPER, *LINEAR, Demodulator(chopper=CHOPPER))
    product = np.prod([block.frequency_response(omega) for block in LINEAR], axis=0)
    np.testing.assert_allclose(chain.frequency_response(omega), product, rtol=1e-12)


def test_a_tracker_starts_as_its_estimator_does():
    estimator = PeriodMeanReference(period=10.0)
    tracker = ReferenceTracker(estimator=estimator, chopper=CHOPPER)
    start = Chain(EMA(eta=0.1), tracker).init(2).memory
    np.testing.assert_array_equal(start, np.zeros((6, 2)))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (Chain, "one or more blocks"),
        (lambda: Chain(EMA(eta=0.1), EMA(eta=0.1, clock="read")), r"clocks \['step', 'read'\]"),
        (lambda: Chain(EMA(eta=0.1), 3), "block = 3: a block wanted"),
        (lambda: ReferenceTracker(estimator=EMA(eta=0.1), chopper=CHOPPER), "a reference estimator wanted"),
    ],
)
def test_refusals(make, text):
    with pytest.raises(ParameterError, match=text):
        make()
