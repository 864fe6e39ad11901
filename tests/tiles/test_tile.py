"""Updates of mini-batches against theory, and tiles against the compounds of `sptrack.tracking`."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.blocks import EMA, Chopper, ObserverSettings, PeriodicChopper, PeriodMean
from sptrack.crossbar import Crossbar, PulseScheme
from sptrack.crossbar.outer import plan_trains
from sptrack.devices import (
    ConstantStep,
    CycleNoise,
    Device,
    ExpStep,
    OneSidedAsymmetry,
    PowStep,
    Reference,
    SoftBounds,
    Spread,
    sample_cells,
)
from sptrack.errors import ParameterError
from sptrack.tiles import ALGORITHMS, IDEAL_IO, Tile, TileArray, TileSettings, algorithm
from sptrack.tiles.tile import split
from sptrack.tracking.compounds import (
    SINGLE_PULSES,
    Buffer,
    Compound,
    CompoundSettings,
    FastUpdate,
    SliceChopper,
    SliceTransfer,
)

STEP = 2.0**-10
PLAIN = Device(
    response=ConstantStep(w_max=1e3, w_min=-1e3), dw_min=STEP, spread=Spread(), cycle_noise=CycleNoise()
)
SKEWED = Device(
    response=SoftBounds(),
    dw_min=0.01,
    spread=Spread(asymmetry=OneSidedAsymmetry(mean=0.2)),
    cycle_noise=CycleNoise(),
)
TRAINS = PulseScheme(train_length=5)


@pytest.mark.parametrize(
    "scheme",
    [
        PulseScheme(),
        TRAINS,
        PulseScheme(length_management=False),
        PulseScheme(update_management=False, length_management=False),
        PulseScheme(update_management=False, length_management=False, fixed_length=False, train_length=7),
        PulseScheme(gradient_scale=0.5),
    ],
)
@pytest.mark.parametrize("lr", [0.01, 0.05])
def test_counts_have_the_moments_of_coincident_trains(scheme, lr):
    rng = np.random.default_rng(5)
    x, d = rng.uniform(-1, 1, 8).astype(np.float32), rng.uniform(-1, 1, 6).astype(np.float32)
    x[2] = 0.0
    array = TileArray(sample_cells(PLAIN, (6, 8)), seed=2)
    found = np.empty((1500, 6, 8))
    for k in range(len(found)):
        before = array.weights.copy()
        array.update(x[None], d[None], lr, scheme)
        found[k] = np.rint((array.weights - before) / STEP)
    plan = plan_trains(x, d, lr, STEP, scheme)
    q = np.multiply.outer(np.minimum(plan.p_d, 1), np.minimum(plan.p_x, 1)).astype(np.float64)
    mean, variance = -np.sign(np.multiply.outer(d, x)) * plan.length * q, plan.length * q * (1 - q)
    error = np.sqrt(np.maximum(variance, 1e-9) / len(found))
    assert np.all(np.abs(found.mean(axis=0) - mean) <= 5 * error + 1e-5)  # 96 cells at 5 sigma
    excess = variance * (1 + 2 * variance) / len(found)  # of the variance, a bound on that of a binomial
    assert np.all(np.abs(found.var(axis=0) - variance) <= 6 * np.sqrt(excess) + 1e-4)


def test_a_batch_is_its_samples_in_turn():
    rng = np.random.default_rng(6)
    x, d = rng.normal(size=(7, 300)).astype(np.float32), rng.normal(size=(7, 5)).astype(np.float32)
    device = Device(response=SoftBounds(), dw_min=0.01, cycle_noise=CycleNoise(std=0.3))
    one, many = (TileArray(sample_cells(device, (5, 300)), seed=3) for _ in range(2))
    one.update(x, d, 0.05, TRAINS)
    for k in range(7):
        many.update(x[k : k + 1], d[k : k + 1], 0.05, TRAINS)
    assert one.pulses > 1000
    assert np.array_equal(one.weights, many.weights)


@pytest.mark.parametrize("response", [SoftBounds(), ExpStep(), PowStep(gamma_up=1.4, gamma_down=0.7)])
def test_certain_pulses_are_those_of_a_crossbar(response):
    device = Device(response=response, dw_min=0.02, cycle_noise=CycleNoise())
    cells = sample_cells(device, (4, 9), seed=1)
    array, bar = TileArray(cells), Crossbar(cells, threads=1)
    rng = np.random.default_rng(7)
    for _ in range(20):
        x, d = rng.choice([-1.0, 1.0], 9).astype(np.float32), rng.choice([-1.0, 1.0], 4).astype(np.float32)
        array.update(x[None], d[None], 0.06, TRAINS)
        bar.update(x, d, 0.06, scheme=TRAINS)
    assert array.weights == pytest.approx(bar.weights, abs=1e-6)
    array.count()
    assert array.ledger.total() == bar.ledger.total() == array.pulses


def test_write_noise_of_what_is_seen():
    device = Device(response=SoftBounds(), dw_min=0.01, write_noise=2.0, cycle_noise=CycleNoise())
    array = TileArray(sample_cells(device, (100, 100), seed=1), seed=4)
    first = array.weights.copy()
    assert np.array_equal(first, array.weights)  # it stays until the next pulse
    ones = np.zeros((1, 100), np.float32)
    ones[0, :50] = 1
    array.update(ones, np.ones((1, 100), np.float32), 0.01, TRAINS)
    second = array.weights
    assert np.array_equal(first[:, 50:], second[:, 50:])
    noise = (second - array._weight.reshape(100, 100))[:, :50] / 0.02
    assert abs(noise.mean()) < 4.5 / np.sqrt(noise.size)
    assert abs(noise.std() - 1) < 4.5 / np.sqrt(2 * noise.size)


COMPOUNDS = {
    "tt-v2": (Buffer(scale=0.8, momentum=0.1), None, 0),
    "keeping": (Buffer(scale=1.5, momentum=0.2, forget=False), None, 0),
    "c-ttv2": (Buffer(auto_granularity=10.0, momentum=0.0), SliceChopper(probability=0.25), 0),
    "agad": (Buffer(momentum=0.0), SliceChopper(probability=0.2, tail=5.0), 6),
    "agad-tail": (
        Buffer(momentum=0.3, forget=False, cap=3.0),
        SliceChopper(probability=0.1, tail=2.0),
        11,
    ),
}


@pytest.mark.parametrize("name", COMPOUNDS)
def test_tiles_follow_the_compounds(name):
    """Trains of probability one: no chance is left, so both must take the same steps."""
    buffer, chopper, hold = COMPOUNDS[name]
    fast = FastUpdate(rate=0.02, scaled=False, scheme=TRAINS)
    transfer = SliceTransfer(rate=2.0, scaled=True, scheme=SINGLE_PULSES)
    cells = {key: sample_cells(SKEWED, (3, 4)) for key in "PW"}
    compound = Compound(
        CompoundSettings(gamma=0.0, fast=fast, transfer=transfer, buffer=buffer, chopper=chopper),
        Crossbar(cells["P"], threads=1, name="P"),
        Crossbar(cells["W"], threads=1, name="W"),
    )
    settings = TileSettings(
        fast=fast,
        transfer=transfer,
        buffer=buffer,
        chopper=None if chopper is None else PeriodicChopper(half_period=chopper.period, clock="read"),
        reference=PeriodMean.over(chopper.period, chopper.tail) if hold else "zero",
        hold=hold,
        reads=IDEAL_IO,
    )
    tile = Tile(settings, SKEWED, (3, 4))
    rng = np.random.default_rng(8)
    for _ in range(400):
        x, d = rng.choice([-1.0, 0.0, 1.0], 4), rng.choice([-1.0, 1.0, 1.0], 3)
        compound.update(x, d, 0.05)
        tile.update(x[None].astype(np.float32), d[None].astype(np.float32), 0.05)
    assert tile.w_array.pulses > 50
    assert tile.p_array.weights == pytest.approx(compound.fast.weights, abs=1e-5)
    assert tile.w_array.weights == pytest.approx(compound.slow.weights, abs=1e-5)
    assert np.array_equal(tile.signs(), compound.chopper)


@pytest.mark.parametrize(
    ("name", "rate", "unit"),
    [
        ("tt-v2", 0.01 * 0.05, 0.8 * STEP),
        ("agad", 0.3 * 0.05, 1000 * STEP / 4),
        ("e-rider", 0.05, 1000 * STEP / 4),
    ],
)
@pytest.mark.parametrize("signal", [1.0, -0.4])
def test_a_published_transfer_sends_a_pulse_per_unit_of_what_was_read(name, rate, unit, signal):
    """Rates and thresholds as printed, at a learning rate of 0.05 and 4 columns.

    A read of ``signal`` adds rate * signal to the buffer of its column, and W gets a pulse per unit there.
    """
    settings = algorithm(name, reference="zero", chopper=None, hold=0, reads=IDEAL_IO)
    tile, nothing = Tile(settings, PLAIN, (3, 4)), np.zeros((1, 4), np.float32)
    assert tile.p_array is not None
    tile.p_array.set_weights(signal)
    reads = int(np.ceil(unit / (rate * abs(signal))))
    for _ in range(4 * (reads - 1)):
        tile.update(nothing, nothing[:, :3], 0.05)
    assert tile.w_array.pulses == 0
    for _ in range(4):
        tile.update(nothing, nothing[:, :3], 0.05)
    assert np.array_equal(tile.w_array.weights, np.full((3, 4), np.sign(signal) * STEP, np.float32))


@pytest.mark.parametrize(("name", "period"), [("agad", 10), ("e-rider", 20)])
def test_w_is_held_for_a_chopper_period_and_a_pass(name, period):
    buffer = Buffer(scale=0.01, momentum=0.0)
    tile = Tile(algorithm(name, buffer=buffer, reads=IDEAL_IO), PLAIN, (3, 4))
    nothing = np.zeros((1, 4), np.float32)
    assert tile.p_array is not None
    for batch in range(4 * (period + 2)):
        tile.p_array.set_weights(0.5 * tile.signs())  # a gradient that never ends
        assert (tile.w_array.pulses > 0) == (batch > 4 * (period + 1))
        tile.update(nothing, nothing[:, :3], 0.05)
    assert np.all(tile.w_array.weights > 0)


@pytest.mark.parametrize("name", ["sgd", "tt-v1", "e-rider"])
def test_a_frozen_w_is_never_pulsed(name):
    buffer = Buffer(scale=0.1) if name == "e-rider" else None
    settings = algorithm(name, buffer=buffer, hold=0)
    frozen, free = (driven(Tile(replace(settings, frozen=one), NOISY, (5, 6)), 100) for one in (True, False))
    assert frozen.w_array.pulses == 0 < free.w_array.pulses


def driven(tile, batches, first=0):
    for k in range(first, batches):
        rng = np.random.default_rng(k)
        x, d = rng.normal(size=(4, 6)).astype(np.float32), rng.normal(size=(4, 5)).astype(np.float32)
        tile.forward(x)
        tile.backward(d)
        tile.update(x, 0.1 * d, 0.05)
    return tile


NOISY = Device(
    response=SoftBounds(),
    dw_min=0.02,
    write_noise=0.5,
    cycle_noise=CycleNoise(std=0.3, additive=True),
    spread=Spread(dw_min=0.2),
    reference=Reference(mean=0.2, std=0.05),
)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_resumed_tiles_go_on_with_the_same_bytes(name):
    settings = algorithm(name)

    def fresh():
        return Tile(settings, NOISY, (5, 6), seed=3, device_seed=4)

    whole, first = driven(fresh(), 60), driven(fresh(), 25)
    second = fresh()
    second.restore({key: value.copy() for key, value in first.state().items()})
    driven(second, 60, 25)
    state = second.state()
    for key, value in whole.state().items():
        assert np.array_equal(value, state[key]), key


@pytest.mark.parametrize(
    "chopper", [Chopper(p=0.3, scope="column", clock="read"), PeriodicChopper(half_period=3, clock="read")]
)
@pytest.mark.parametrize("resumed", [False, True])
def test_signs_of_columns_are_those_of_their_number_of_reads(chopper, resumed):
    settings = algorithm("c-ttv2", chopper=chopper)
    tile, own = Tile(settings, PLAIN, (2, 3), seed=7), chopper.seeded(7)
    groups = own.groups((2, 3))
    for k in range(205):
        every = own.group_signs(0, 70, groups)
        wanted = [every[tile.reads[j], j if groups > 1 else 0] for j in range(3)]
        np.testing.assert_array_equal(tile.signs(), wanted)
        if resumed and k % 50 == 1:
            state = tile.state()
            tile = Tile(settings, PLAIN, (2, 3), seed=7)
            tile.signs()  # a restored tile does not go on with those
            tile.restore(state)
        tile.update(np.ones((1, 3), np.float32), np.ones((1, 2), np.float32), 0.01)
    assert tile.reads.tolist() == [69, 68, 68]


def test_what_is_seen_follows_the_pulses_of_columns():
    """Write noise is drawn anew in the columns that were pulsed since the weights were seen, only there."""
    array = TileArray(sample_cells(NOISY, (5, 6), seed=1), seed=2)
    before = array.weights.copy()
    for columns in ([2], [4, 4], [0, 5]):
        for k in columns:
            array.pulse_column(k, np.ones(5, np.int64))
        after = array.weights
        changed = (after != before).all(axis=0)
        assert np.flatnonzero(changed).tolist() == sorted(set(columns))
        assert not (after != before)[:, ~changed].any()
        before = after.copy()


def test_cells_may_start_beyond_their_bounds():
    """As in aihwkit 1.2.0: what is read is limited, and the first pulse brings a cell between its bounds."""
    device = replace(SKEWED, reference=Reference(subtract=False, mean=0.5))
    cells = sample_cells(device, (1, 4))
    asked = np.array([[-1.5, -0.2, 0.7, 1.5]], np.float32)
    within = TileArray(cells, weights=asked)
    assert within.weights == pytest.approx(np.array([[-1.5, -0.2, 0.5, 0.5]]), abs=1e-6)
    beyond = TileArray(cells, weights=asked, beyond_bounds=True)
    assert beyond.weights == pytest.approx(np.array([[-1.0, -0.2, 0.7, 1.0]]), abs=1e-6)
    for k in range(4):
        beyond.pulse_column(k, np.array([-1]))
    after = beyond.weights[0]
    assert after[3] == pytest.approx(0.5, abs=1e-6)  # 1.5 in the cell, brought to its bound 1
    assert after[2] == pytest.approx(0.5, abs=1e-6)
    assert -0.22 < after[1] < -0.2


def test_true_and_calibrated_references():
    device = Device(
        response=SoftBounds(), dw_min=0.002, cycle_noise=CycleNoise(), reference=Reference(mean=0.2)
    )
    true = Tile(algorithm("agad", reference="true"), device, (5, 6))
    assert true.reference == pytest.approx(np.full((5, 6), -0.2), abs=1e-6)
    found = Tile(algorithm("two-stage", reads=IDEAL_IO, calibration=8000), device, (5, 6))
    assert found.reference == pytest.approx(true.reference, abs=0.01)
    assert found.ledger.total(phase="calibrate") == 8000 * 30


def test_any_filter_is_a_reference():
    tile = driven(Tile(algorithm("e-rider", reference=EMA(eta=0.3)), NOISY, (5, 6)), 30)
    assert np.abs(tile.reference).max() > 0.01


def test_stored_matrix_is_the_latest_signed_reads():
    tile = driven(Tile(algorithm("e-rider", reads=IDEAL_IO), NOISY, (5, 6), seed=2), 6)
    read = tile.p_array.weights[:, 5] - tile.reference[:, 5]
    assert tile.stored[:, 5] == pytest.approx(read, abs=1e-6)


def test_residual_pass_adds_gamma_times_the_stored_matrix():
    ideal = {"forward": IDEAL_IO, "backward": IDEAL_IO}
    tile = driven(Tile(algorithm("e-rider", **ideal), NOISY, (5, 6)), 10)
    x = np.eye(6, dtype=np.float32)
    wanted = tile.w_array.weights + 0.1 * tile.stored
    assert np.allclose(tile.forward(x).T, wanted, atol=1e-5)


def test_parts_are_nearly_equal():
    assert [one.stop - one.start for one in split(784, 512)] == [392, 392]
    assert [one.stop - one.start for one in split(513, 512)] == [256, 257]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"residual": "half"}, "residual must be"),
        ({"reference": "nothing"}, "reference must be"),
        (
            {"reference": ObserverSettings(form="block")},
            "must be scalar, got block",
        ),
        ({"reference": "calibrated"}, "calibration must be > 0"),
        ({"hold": -1}, "hold must be a whole number >= 0, got -1"),
        ({"hold": 1.5}, "hold must be a whole number >= 0, got 1.5"),
        ({"gamma": np.inf}, "gamma must be a finite number >= 0, got inf"),
        ({"reference": None}, "reference must be a block, an observer, zero, calibrated or true, got None"),
        ({"transfer": SliceTransfer(read_noise=0.1)}, "transfer.read_noise must be 0 on a tile, got 0.1"),
        (
            {"buffer": None, "transfer": SliceTransfer(scheme=PulseScheme(pulse_type="mean-count"))},
            "transfer.scheme of a tile must have stochastic trains without resolution, got mean-count",
        ),
        ({"single": True}, "agad pulses W alone: it takes no chopper"),
        ({"nothing": 1}, "unknown setting 'nothing'"),
    ],
)
def test_refusals(changes, text):
    with pytest.raises(ParameterError, match=text):
        algorithm("agad", **changes)


def test_unknown_algorithm():
    with pytest.raises(ParameterError, match="did you mean 'agad'"):
        algorithm("agat")


def test_a_signed_array_knows_the_pulses_of_either_direction():
    """Steps of one size, far from the bounds: the weight has moved by up minus down pulses."""
    cells = sample_cells(PLAIN, (5, 7), seed=1)
    array, plain = TileArray(cells, seed=3, signed=True), TileArray(cells, seed=3)
    rng = np.random.default_rng(0)
    for _ in range(4):
        x, d = (rng.standard_normal((6, n)).astype(np.float32) for n in (7, 5))
        for one in (array, plain):
            one.update(x, d, 0.05, TRAINS)
            one.pulse_column(2, np.array([3, 0, -2, 1, -1]))
    np.testing.assert_array_equal(array.weights, plain.weights)
    up, down = (np.stack(one, axis=1) for one in zip(*map(array.directions, range(7)), strict=True))
    np.testing.assert_array_equal(up + down, array.state()["pulsed"].reshape(5, 7))
    np.testing.assert_allclose(STEP * (up - down), array.weights, rtol=1e-6)
    assert up.min() > 0
    assert down.min() > 0


def test_an_observer_follows_the_pulses_and_reads_of_its_column():
    """Beside the law written out: lever 1 - e, noise of pulses, of their order and of two reads, per turn."""
    settings = ObserverSettings(form="scalar", forgetting=0.05)
    tile = Tile(algorithm("o-rider", reference=settings, reads=IDEAL_IO), SKEWED, (4, 3), seed=1)
    assert tile.p_array is not None
    known = replace(settings, sent=True).bind(tile.p_array.cells)
    dw, slope, level = 0.01, known.prior.slope, known.prior.level
    info, moment = (
        np.full((3, 4), known.prior.point_information * value) for value in (1.0, known.prior.point)
    )
    before, old = np.zeros((3, 2, 4)), np.full((3, 4), np.nan)
    rng = np.random.default_rng(2)
    fresh, says = np.zeros((2, 3, 4))
    for turn in range(30):
        k = turn % 3
        x, d = (rng.standard_normal((5, n)).astype(np.float32) for n in (3, 4))
        tile.update(x, d, 0.05)
        counts = np.array(tile.p_array.directions(k))
        up, down = counts - before[k]
        before[k], read = counts, tile.p_array.weights[:, k].astype(np.float64)
        if turn >= 3:
            a, n = up + down, up - down
            decay = a * slope * dw
            left = np.exp(-decay)
            spent, lasting = (1 - left**2) / (2 * decay), (1 - left) / decay
            order = level**2 * a * (1 - (n / a) ** 2) * (spent - lasting**2)
            error = known.errors
            noise = a * (error.pulse + error.relative * level**2) * spent + order
            noise = (noise + (error.read_noise / dw) ** 2 * (1 + left**2)) * dw**2
            new = (1 - left) ** 2 / noise
            point = (read - left * old[k]) / (1 - left) - level * n / (a * slope)
            fresh[k], says[k] = 0.95 * fresh[k] + new, 0.95 * says[k] + new * point
            wanted = (says[k] + moment[k]) / (fresh[k] + info[k])
            np.testing.assert_allclose(tile.reference[:, k], np.clip(wanted, -2, 2), rtol=1e-9, atol=1e-12)
        old[k] = read
    assert np.ptp(tile.reference) > 0


def test_the_observer_of_a_tile_finds_symmetric_points():
    """Fine cells that are read after few pulses: rms error below a third of the spread of points."""
    spread = Spread(asymmetry=OneSidedAsymmetry(std=0.2))
    device = replace(SKEWED, spread=spread)
    errors = {}
    for name in ("o-rider", "e-rider"):
        tile = Tile(algorithm(name, reads=IDEAL_IO), device, (16, 4), seed=1)
        assert tile.p_array is not None
        rng = np.random.default_rng(3)
        for _ in range(400):
            x, d = (rng.standard_normal((5, n)).astype(np.float32) for n in (4, 16))
            tile.update(x, d, 0.05)
        points = tile.p_array.cells.target
        errors[name] = np.sqrt(np.mean((tile.reference - points) ** 2)) / np.std(points)
    assert errors["o-rider"] < min(1 / 3, errors["e-rider"])


def test_every_pulse_of_a_cell_has_a_noise_of_its_own():
    """Nine pulses at once, then two in turn, on 6000 cells of constant steps: moments within 4 sigma."""
    noisy = replace(PLAIN, cycle_noise=CycleNoise(std=0.5))
    array = TileArray(sample_cells(noisy, (200, 30), seed=1), seed=2)
    seen = [array.weights.copy()]
    for count in (9, 1, 1):
        for k in range(30):
            array.pulse_column(k, np.full(200, count))
        seen.append(array.weights.copy())
    many, first, second = np.diff(seen, axis=0).reshape(3, -1) / STEP
    for moves, variance in ((many, 9 * 0.25), (first, 0.25), (second, 0.25)):
        assert abs(moves.var() / variance - 1.0) < 4 * (2 / moves.size) ** 0.5
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / first.size**0.5


@pytest.mark.parametrize(
    ("x", "d"),
    [((1, 400), (1, 3)), ((1, 4), (1, 300)), ((1, 4), (2, 3)), ((1, 3), (1, 4)), ((4,), (3,)), ((), ())],
)
@pytest.mark.parametrize("name", ["sgd", "agad"])
def test_updates_of_another_shape_are_refused(name, x, d):
    tile = Tile(algorithm(name), NOISY, (3, 4))
    with pytest.raises(ParameterError, match=r"must have the shapes \[n, 4\] and \[n, 3\], got"):
        tile.update(np.ones(x, np.float32), np.ones(d, np.float32), 0.1)
    assert tile.pulses == 0


def test_columns_that_are_not_there_are_refused():
    array = TileArray(sample_cells(NOISY, (3, 4)))
    for k in (4, -1, 10**6):
        with pytest.raises(ParameterError, match=rf"column of W must lie in 0 \.\. 3, got {k}"):
            array.column(k)
        with pytest.raises(ParameterError, match="column of W must lie"):
            array.pulse_column(k, np.ones(3))
    with pytest.raises(ParameterError, match=r"must have the shape \[3\], got \[300\]"):
        array.pulse_column(0, np.ones(300))
    assert array.pulses == 0
