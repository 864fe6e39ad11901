from dataclasses import replace

import numpy as np
import pytest

from sptrack.crossbar import Crossbar, Ledger, PulsedArray
from sptrack.crossbar.pair import OneSidedPair
from sptrack.crossbar.portrait import portrait, record_train
from sptrack.devices import ConstantStep, CycleNoise, Device, Spread, sample_cells
from sptrack.devices.presets import preset
from sptrack.errors import ParameterError

# exact in binary: every pulse raises a cell by 1/64 until the bound 2
STEADY = Device(
    response=ConstantStep(w_max=2.0, w_min=0.0),
    dw_min=1 / 64,
    spread=Spread(),
    cycle_noise=CycleNoise(),
    one_sided=True,
)


def steady(shape=(2, 3), **options):
    cells = sample_cells(STEADY, shape)
    return OneSidedPair(cells, cells, **options)


def test_a_pair_is_a_pulsed_array_and_a_crossbar_refuses_its_cells():
    assert isinstance(steady(), PulsedArray)
    with pytest.raises(ParameterError, match="one-sided"):
        Crossbar(sample_cells(STEADY, (2, 2)))
    with pytest.raises(ParameterError, match="not one-sided"):
        OneSidedPair.sample(Device(), (2, 2))
    with pytest.raises(ParameterError, match=r"\(2, 2\).*\(2, 3\)"):
        OneSidedPair(sample_cells(STEADY, (2, 2)), sample_cells(STEADY, (2, 3)))


@pytest.mark.parametrize(
    ("program", "count", "plus", "minus"),
    [
        ("up", 5, 5, 0),
        ("down", 5, 0, 5),
        ("alternating", 5, 3, 2),
        (np.array([1, 1, -1, 0]), None, 2, 1),
    ],
)
def test_every_pulse_raises_one_array(program, count, plus, minus):
    pair = steady()
    pair.pulse(program, count)
    assert (pair.plus.weights * 64 == plus).all()
    assert (pair.minus.weights * 64 == minus).all()
    assert (pair.weights * 64 == plus - minus).all()
    totals = {array: pair.ledger.total(array=array) for array in ("W+", "W-")}
    assert totals == {"W+": 6 * plus, "W-": 6 * minus}


def test_alternation_goes_on_where_it_stopped():
    pair = steady()
    pair.pulse("alternating", 3)
    pair.pulse("alternating", 4)
    assert (pair.plus.weights * 64 == 4).all()
    assert (pair.minus.weights * 64 == 3).all()


def test_programs_of_single_cells():
    program = np.zeros((2, 2, 3), int)
    program[:, 0, 1] = 1
    program[0, 1, 2] = -1
    pair = steady()
    pair.pulse(program)
    np.testing.assert_array_equal(pair.weights * 64, [[0, 2, 0], [0, 0, -1]])


def test_random_directions_are_fair_and_do_not_depend_on_the_cutting():
    whole, cut = steady((32, 32)), steady((32, 32))
    whole.pulse("random", 100)
    for count in (1, 60, 39):
        cut.pulse("random", count)
    np.testing.assert_array_equal(whole.weights, cut.weights)
    up = whole.ledger.per_cell("W+")
    assert (up + whole.ledger.per_cell("W-") == 100).all()
    # 102400 fair coins: sigma of the mean number of 100 is 5/32; variance 25 with sigma 25 sqrt(2/1024)
    assert up.mean() == pytest.approx(50, abs=4 * 5 / 32)
    assert up.var() == pytest.approx(25, abs=4 * 25 * np.sqrt(2 / 1024))


@pytest.mark.parametrize(
    ("program", "count"),
    [("upp", 1), ("up", None), ("random", -1), ([2], None), ([-2], None), ([[1]], None), ([1], 2)],
)
def test_a_bad_program_is_refused_and_nothing_is_sent(program, count):
    pair = steady()
    with pytest.raises(ParameterError):
        pair.pulse(program if isinstance(program, str) else np.array(program), count)
    assert pair.ledger.total() == 0
    assert (pair.weights == 0).all()


def test_weights_lie_on_one_array_and_reading_adds_one_noise():
    pair = steady((64, 64))
    wanted = np.broadcast_to(np.linspace(-2.0, 2.0, 64), (64, 64))
    pair.set_weights(wanted)
    np.testing.assert_allclose(pair.weights, wanted, atol=1e-7)
    assert (np.minimum(pair.plus.weights, pair.minus.weights) == 0).all()
    error = pair.read(0.1) - pair.weights
    # 4096 normals: sigma of their std is 0.1 / sqrt(8192)
    assert error.std() == pytest.approx(0.1, abs=4 * 0.1 / np.sqrt(8192))
    assert pair.ledger.total("reads") == 2 * 64 * 64
    with pytest.raises(ParameterError, match="NaN"):
        pair.set_weights(np.nan)


def test_refresh_keeps_the_difference_and_frees_the_range():
    pair = steady((1, 3))
    pair.plus.set_weights([[1.75, 1.75, 0.75]])
    pair.minus.set_weights([[0.75, 0.25, 1.625]])
    before = pair.weights
    worn = pair.refresh(upper=0.75, lower=0.25)
    np.testing.assert_array_equal(worn, [[True, False, True]])
    np.testing.assert_array_equal(pair.weights, before)
    np.testing.assert_array_equal(pair.plus.weights, [[1.0, 1.75, 0.0]])
    np.testing.assert_array_equal(pair.minus.weights, [[0.0, 0.25, 0.875]])
    assert pair.ledger.total("programs") == 6
    assert pair.ledger.total("reads", phase="program") == 6
    assert pair.ledger.total() == 0
    assert not pair.refresh().any()
    with pytest.raises(ParameterError, match="lower <= upper"):
        pair.refresh(upper=0.2, lower=0.3)


def test_a_pair_saturates_whatever_the_order():
    pair = steady()
    pair.pulse("up", 50)
    pair.pulse("alternating", 512)
    assert (pair.plus.weights == 2).all()
    assert (pair.minus.weights == 2).all()
    assert (pair.weights == 0).all()


def test_arrays_of_a_sampled_pair_differ_and_share_a_ledger():
    ledger = Ledger()
    assert steady(ledger=ledger).ledger is ledger
    pair = OneSidedPair.sample(preset("pcm"), (4, 4))
    assert not np.isclose(pair.plus.cells.upper, pair.minus.cells.upper).any()
    pair.pulse("up", 3)
    assert {array for _, array in pair.ledger.table()} == {"W+", "W-"}


def test_a_recorded_train_is_read_on_the_way():
    pulses, weights = record_train(steady((1, 1)), [("up", 5), ("alternating", 7)], samples=3)
    np.testing.assert_array_equal(pulses, [0, 2, 4, 5, 9, 12])
    np.testing.assert_array_equal(weights.ravel() * 64, [0, 2, 4, 5, 5, 6])


@pytest.mark.parametrize("name", ["reram-array-om", "pcm"])
def test_a_portrait_covers_the_device(name):
    device = replace(preset(name), write_noise=0.0, cycle_noise=CycleNoise())
    shown = portrait(sample_cells(device, (8, 8)))
    assert [leg for leg, _ in shown.legs] == ["up", "down", "alternating"]
    assert shown.pulses[-1] == sum(count for _, count in shown.legs)
    assert shown.weights.shape == (shown.pulses.size, shown.levels.size)
    assert (shown.weights[shown.pulses <= shown.legs[0][1]][-1] > 0.7 * device.response.w_max).mean() > 0.5
    assert np.isnan(shown.points).all() == device.one_sided
    if device.reference is not None:
        np.testing.assert_allclose(shown.levels, shown.targets[:4])
