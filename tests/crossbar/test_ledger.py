import numpy as np
import pytest

from sptrack.crossbar import Crossbar, Ledger, PulseScheme
from sptrack.devices import Asymmetry, ConstantStep, Device, Spread, sample_cells
from sptrack.devices.device import CycleNoise

SHAPE = (6, 40)
STEP = 2.0**-10


def ideal(**options):
    """Constant step 2**-10 without spread or noise: weights count pulses exactly."""
    description = Device(
        response=ConstantStep(w_max=100.0, w_min=-100.0),
        dw_min=STEP,
        spread=Spread(asymmetry=Asymmetry()),
        cycle_noise=CycleNoise(),
    )
    return Crossbar(sample_cells(description, SHAPE), seed=3, **options)


def signs(count, seed=1):
    return np.random.default_rng(seed).integers(-1, 2, (count, *SHAPE))


def test_totals_of_every_kind_of_train():
    crossbar, program = ideal(), signs(30)
    crossbar.pulse("up", 5, phase="one")
    crossbar.pulse("alternating", 7, phase="one")
    crossbar.pulse("random", 11, phase="two")
    crossbar.pulse(program, phase="two")
    crossbar.pulse([1, 0, 0, -1], phase="two")
    list(crossbar.stream("down", 13, every=4, phase="three"))
    crossbar.read(phase="two")
    per_cell = crossbar.ledger.per_cell("W")
    np.testing.assert_array_equal(per_cell, 5 + 7 + 11 + np.abs(program).sum(axis=0) + 2 + 13)
    assert crossbar.ledger.total() == per_cell.sum()
    assert crossbar.ledger.total(phase="one") == 12 * 240
    assert crossbar.ledger.total("reads", phase="two") == 240
    assert crossbar.ledger.total("reads", phase="one") == 0
    assert crossbar.ledger.total(array="P") == 0
    np.testing.assert_array_equal(crossbar.ledger.per_cell("W", "three"), 13)


def test_updates_count_every_pulse():
    """On an ideal device the weight change is the signed number of pulses; the ledger has their number."""
    rng = np.random.default_rng(2)
    schemes = [
        PulseScheme(),
        PulseScheme(pulse_type="mean-count"),
        PulseScheme(pulse_type="deterministic-implicit"),
    ]
    for scheme in schemes:
        crossbar = ideal()
        crossbar.update(rng.normal(size=40), rng.normal(size=6), 0.01, scheme=scheme)
        moved = crossbar.weights.astype(np.float64) / STEP
        assert np.abs(moved).sum() > 0
        np.testing.assert_array_equal(np.abs(moved), crossbar.ledger.per_cell("W", "gradient"))
    for law in ("rounded", "binomial", "poisson"):
        for application in ("sequential", "burst"):
            crossbar = ideal()
            sent = crossbar.apply(rng.normal(size=SHAPE) * 4 * STEP, law=law, application=application)
            np.testing.assert_array_equal(crossbar.weights / STEP, sent)
            np.testing.assert_array_equal(np.abs(sent), crossbar.ledger.per_cell("W"))


def test_pulses_move_an_ideal_array_by_their_sum():
    crossbar, program = ideal(), signs(50)
    crossbar.pulse(program)
    np.testing.assert_array_equal(crossbar.weights / STEP, program.sum(axis=0))
    crossbar.set_weights(0.0)
    crossbar.pulse([1, 1, 0, -1, 1])
    np.testing.assert_array_equal(crossbar.weights / STEP, 2)


@pytest.mark.compiled
def test_the_coin_is_fair_per_cell_and_pulse():
    """4000 pulses on 240 cells: the sum of signs has variance 4000; mean over cells within 4 sigma, variance
    too, and the signs of neighbouring cells and of successive pulses are uncorrelated.
    """
    crossbar, count = ideal(), 4000
    record = np.concatenate([b.weights for b in crossbar.stream("random", count, samples=500)]).astype(
        np.float64
    )
    sign = np.diff(np.concatenate([np.zeros((1, *SHAPE)), record]), axis=0) / STEP
    assert set(np.unique(sign)) == {-1.0, 1.0}
    n = sign.size
    assert abs(sign.mean()) < 4.0 / np.sqrt(n)
    assert abs((sign[1:] * sign[:-1]).mean()) < 4.0 / np.sqrt(n)
    assert abs((sign[:, :, 1:] * sign[:, :, :-1]).mean()) < 4.0 / np.sqrt(n)
    total = sign.sum(axis=0)
    assert total.var() / count == pytest.approx(1.0, abs=4.0 * np.sqrt(2.0 / 240))


def test_alternation_goes_on_across_calls_and_other_programs():
    crossbar, whole = ideal(), ideal()
    whole.pulse("alternating", 9)
    for count in (1, 3, 1):
        crossbar.pulse("alternating", count)
        crossbar.pulse("up", 2)
    list(crossbar.stream("alternating", 4, every=3))
    np.testing.assert_array_equal(crossbar.weights / STEP, whole.weights / STEP + 6)


def test_arrays_share_a_ledger_by_name():
    ledger = Ledger()
    one, two = ideal(name="P", ledger=ledger), ideal(name="W", ledger=ledger)
    one.pulse("up", 3)
    two.pulse("down", 4, phase="transfer")
    assert ledger.table() == {
        ("calibrate", "P"): {"pulses": 720, "reads": 0, "programs": 0, "operations": 0, "passes": 0},
        ("transfer", "W"): {"pulses": 960, "reads": 0, "programs": 0, "operations": 0, "passes": 0},
    }
    ledger.add_programs("program", "P", 240)
    state = ledger.state()
    copy = Ledger()
    for name in ("P", "W"):
        copy.open(name, SHAPE)
    copy.restore({key: np.asarray(value) for key, value in state.items()})
    assert copy.table() == ledger.table()
    assert copy.total("programs") == 240
