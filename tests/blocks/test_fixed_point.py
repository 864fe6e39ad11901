"""Coefficients in fixed point: words by hand, bounds on the deviation, stability."""

import numpy as np
import pytest
from scipy import signal

from sptrack.blocks import (
    CIC,
    EMA,
    FIR,
    SOS,
    Boxcar,
    Chain,
    LastSample,
    SteadyKalman,
    TrackingLoop,
    enbw,
    fixed_point,
)
from sptrack.blocks.fixed_point import fixed_words
from sptrack.errors import ParameterError
from tests.blocks.zoo import CUSTOM

BLOCKS = [
    EMA(eta=0.013, order=2),
    SteadyKalman(drift_std=0.01, read_std=0.5),
    SOS(sos=signal.butter(4, 0.2, output="sos")),
    FIR(taps=signal.firwin(31, 0.1)),
    Boxcar(length=100),
    CIC(length=10, order=3),
    TrackingLoop(bandwidth=0.02),
    Chain(EMA(eta=0.1), FIR(taps=[0.3, 0.7])),
]


def test_words_by_hand():
    # 4 bits below 2^0: units of 1/8, from -1 to 7/8
    x = [0.30, -0.30, 0.95, -0.99]
    np.testing.assert_array_equal(fixed_words(x, bits=4), [0.25, -0.25, 0.875, -1.0])
    np.testing.assert_array_equal(fixed_words(x, bits=4, rounding="floor"), [0.25, -0.375, 0.875, -1.0])
    np.testing.assert_array_equal(fixed_words(x, bits=4, rounding="zero"), [0.25, -0.25, 0.875, -0.875])
    np.testing.assert_array_equal(fixed_words([1.2, 0.1], bits=4), [1.25, 0.0])
    assert fixed_words(0.0, bits=4) == 0
    assert fixed_words(2.0**-20 * 0.75, bits=3) == 2.0**-20 * 0.75


@pytest.mark.parametrize("rounding", ["nearest", "floor", "zero"])
@pytest.mark.parametrize("bits", [6, 10, 16])
def test_taps_deviate_by_no_more_than_their_rounding(bits, rounding):
    taps = signal.firwin(31, 0.1)
    found = fixed_point(FIR(taps=taps), bits, rounding=rounding)
    unit = 2.0 ** (np.frexp(np.abs(taps).max())[1] + 1 - bits)
    error = found.block.taps - taps
    assert np.abs(error).max() <= (0.5 if rounding == "nearest" else 1.0) * unit
    assert 0 < found.worst()[0] <= np.abs(error).sum() * (1 + 1e-9)
    grid = np.linspace(0, np.pi, 4096)
    by_hand = np.abs(np.polynomial.polynomial.polyval(np.exp(-1j * grid), error)).max()
    assert found.worst()[0] >= by_hand * (1 - 1e-9)
    assert (found.pole, found.stable) == (0.0, True)


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_the_deviation_halves_with_every_bit(block):
    worst = [fixed_point(block, bits).worst()[0] for bits in (12, 20, 28)]
    assert worst[0] < 0.02
    assert worst[1] < worst[0] / 16
    assert worst[2] < worst[1] / 16
    assert fixed_point(block, 53).worst()[0] < 1e-8


def test_loops_keep_their_gain_at_zero():
    for block in (EMA(eta=0.0137, order=3), TrackingLoop(bandwidth=0.003)):
        rounded = fixed_point(block, 6).block
        assert np.abs(rounded.frequency_response(np.zeros(1)))[0] == pytest.approx(1)
        assert enbw(rounded) != pytest.approx(enbw(block), rel=1e-6)


def test_a_narrow_section_loses_its_stability():
    # poles at radius 0.9990: 1 + a1 + a2 = 8e-6 is below the unit of 2^-10
    narrow = SOS(sos=signal.butter(2, 1e-3, output="sos"))
    assert fixed_point(narrow, 40).stable
    found = fixed_point(narrow, 12)
    assert not found.stable
    assert found.pole >= 1 - 1e-12
    assert found.worst()[0] > 0.5


def test_a_power_of_two_needs_no_rounding():
    assert fixed_point(Boxcar(length=64), 2).block == Boxcar(length=64)
    assert fixed_point(LastSample(), 4).block == LastSample()
    assert fixed_point(EMA(eta=0.25), 3).block == EMA(eta=0.25)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((EMA(eta=0.1), 1), {}, "bits must be a whole number in 2 .. 53, got 1"),
        ((EMA(eta=0.1), 54), {}, "bits must be a whole number in 2 .. 53, got 54"),
        ((EMA(eta=0.1), 8), {"rounding": "up"}, "unknown rounding 'up'"),
        ((CUSTOM, 8), {}, "no coefficients to round"),
    ],
)
def test_what_cannot_be_rounded_is_refused(arguments, options, message):
    with pytest.raises(ParameterError, match=message):
        fixed_point(*arguments, **options)
