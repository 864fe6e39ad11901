"""The transfer compounds against the reference simulator's traces, update by update."""

import numpy as np
import pytest

from sptrack.crossbar import Crossbar, PulseScheme
from sptrack.devices import CycleNoise, Device, OneSidedAsymmetry, SoftBounds, Spread, sample_cells
from sptrack.errors import ParameterError
from sptrack.tracking.compounds import (
    Buffer,
    Compound,
    CompoundSettings,
    FastUpdate,
    SliceChopper,
    SliceTransfer,
)
from tests.golden.simulated import manifest

CASES = [
    "ttv1",
    "ttv1_gamma_rows",
    "ttv2",
    "ttv2_keep",
    "chopped",
    "chopped_auto",
    "chopped_gamma",
    "chopped_cgm",
    "agad",
    "agad_keep",
]
TRAINS = PulseScheme(pulse_type="deterministic-implicit", train_length=31)


def settings_of(entry):
    """The simulator's parameters in our terms."""
    p, kind = entry["parameters"], entry["kind"]
    chopped = kind in ("ChoppedTransferCompound", "DynamicTransferCompound")
    transfer = {"scheme": TRAINS} if kind == "TransferCompound" else {}
    buffer = Buffer(
        scale=p.get("thres_scale", 1.0),
        auto_granularity=p.get("auto_granularity", 0.0),
        momentum=p.get("momentum", 0.1),
        forget=p.get("forget_buffer", True),
        cap=p.get("buffer_cap", 0.0),
        correct_magnitudes=p.get("correct_gradient_magnitudes", False),
    )
    return CompoundSettings(
        gamma=p.get("gamma", 0.0),
        fast=FastUpdate(
            rate=p["fast_lr"],
            scaled=not chopped,
            auto_scale=p.get("auto_scale", False),
            auto_momentum=p.get("auto_momentum", 0.99),
            scheme=TRAINS,
        ),
        transfer=SliceTransfer(
            every=p["transfer_every"],
            columns=p.get("transfer_columns", True),
            rate=p["transfer_lr"],
            **transfer,
        ),
        buffer=None if kind == "TransferCompound" else buffer,
        chopper=SliceChopper(probability=p["in_chop_prob"], tail=p.get("tail_weightening", 0.0))
        if chopped
        else None,
    )


def crossbar_of(entry, which, dtype=np.float64, shape=(3, 4)):
    values = entry[f"{which}_device"]["SoftBoundsDevice"]
    device = Device(
        response=SoftBounds(w_max=values["w_max"], w_min=values["w_min"]),
        dw_min=values["dw_min"],
        spread=Spread(asymmetry=OneSidedAsymmetry(mean=values["up_down"])),
        cycle_noise=CycleNoise(),
    )
    return Crossbar(sample_cells(device, shape, dtype=dtype), name=which, threads=1)


def compound_of(entry, dtype=np.float64):
    fast, slow = (crossbar_of(entry, which, dtype) for which in ("fast", "slow"))
    return Compound(settings_of(entry), fast, slow)


def traces(golden, case, dtype=np.float64):
    """States after each update, by the names of the archive."""
    entry = manifest(golden)[case]
    compound, rows = compound_of(entry, dtype), []
    for x, d in zip(golden["x"], golden["d"], strict=True):
        compound.update(x, d, entry["learning_rate"])
        state = (
            compound.fast.weights,
            compound.slow.weights,
            compound.weights,
            compound.buffer,
            compound.chopper < 0,
            compound.mean,
            compound.reference,
        )
        rows.append([np.array(value) for value in state])
    names = ("A", "C", "W", "H", "in_chopper", "running_mean", "past_mean")
    return dict(zip(names, map(np.array, zip(*rows, strict=True)), strict=True)), compound


def test_every_case_is_here(reference):
    assert sorted(CASES) == sorted(manifest(reference("compounds")))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_traces(reference, case, dtype):
    """300 updates of 3 x 4 cells; the simulator works in float32."""
    golden = reference("compounds")
    ours, compound = traces(golden, case, dtype)
    for name, trace in ours.items():
        if f"{case}/{name}" in golden:
            tolerance = 1e-4 if name == "H" else 2e-5
            np.testing.assert_allclose(trace, golden[f"{case}/{name}"], rtol=0, atol=tolerance, err_msg=name)
    written = manifest(golden)[case]["pulses_written"]
    assert written is None or compound.slow.ledger.total("pulses", array="slow") == written


@pytest.mark.parametrize("case", ["ttv1", "ttv2", "chopped_gamma", "agad_keep"])
def test_rows_of_the_transpose_are_columns(reference, case):
    golden = reference("compounds")
    entry = manifest(golden)[case]
    columns = compound_of(entry)
    base = columns.settings
    by_row = CompoundSettings(
        gamma=base.gamma,
        fast=base.fast,
        transfer=SliceTransfer(
            every=base.transfer.every, columns=False, rate=base.transfer.rate, scheme=base.transfer.scheme
        ),
        buffer=base.buffer,
        chopper=base.chopper,
    )
    rows = Compound(by_row, *(crossbar_of(entry, which, shape=(4, 3)) for which in ("fast", "slow")))
    for x, d in zip(golden["x"], golden["d"], strict=True):
        columns.update(x, d, entry["learning_rate"])
        rows.update(d, x, entry["learning_rate"])
    np.testing.assert_array_equal(rows.weights.T, columns.weights)
    np.testing.assert_array_equal(rows.buffer.T, columns.buffer)


def random_flips(tail, seed=0, updates=4000, probability=0.2, random=True):
    """Signs [updates, 4] of a compound that flips at random, once per read of a slice."""
    device = Device(spread=Spread(), cycle_noise=CycleNoise())
    settings = CompoundSettings(
        buffer=Buffer(), chopper=SliceChopper(probability=probability, random=random, tail=tail)
    )
    arrays = (Crossbar(sample_cells(device, (1, 4)), name=name, threads=1) for name in ("A", "C"))
    compound, signs = Compound(settings, *arrays, seed=seed), []
    for _ in range(updates):
        compound.update(np.zeros(4), np.zeros(1), 0.1)
        signs.append(compound.chopper.copy())
    return np.array(signs)


@pytest.mark.parametrize("random", [True, False])
def test_a_chopper_of_probability_0_never_flips(random):
    assert (random_flips(0.0, updates=200, probability=0.0, random=random) == 1).all()


@pytest.mark.compiled
def test_random_flips_come_with_their_probability():
    """4000 reads, p = .2: share of flips within 4 sigma (.0063); only the slice just read flips."""
    signs = np.vstack([np.ones(4), random_flips(0.0)])
    changed = signs[1:] != signs[:-1]
    assert abs(changed.any(axis=1).mean() - 0.2) < 4 * np.sqrt(0.16 / 4000)
    elsewhere = np.arange(4) != (np.arange(4000) % 4)[:, None]
    assert not changed[elsewhere].any()
    np.testing.assert_array_equal(signs[1:], random_flips(0.0))


@pytest.mark.compiled
def test_agad_flips_regularly_and_at_random():
    """Regular flips in the last of 5 passes, toggled again with probability .2."""
    signs = np.vstack([np.ones(4), random_flips(5.0)])
    changed = (signs[1:] != signs[:-1]).any(axis=1)
    last = (np.arange(4000) // 4) % 5 == 4
    assert abs(changed[last].mean() - 0.8) < 4 * np.sqrt(0.16 / 800)
    assert abs(changed[~last].mean() - 0.2) < 4 * np.sqrt(0.16 / 3200)


def test_reads_are_counted_by_slice(reference):
    entry = manifest(reference("compounds"))["ttv1"]
    compound = compound_of(entry)
    for _ in range(9):
        compound.update(np.ones(4), np.ones(3), 0.1)
    assert compound.fast.ledger.total("reads") == 3 * 3


@pytest.mark.parametrize(
    "make",
    [
        lambda: FastUpdate(rate=-1.0),
        lambda: FastUpdate(auto_momentum=1.5),
        lambda: FastUpdate(rate=0.0, auto_scale=True),
        lambda: SliceTransfer(every=0),
        lambda: SliceTransfer(every=1.5),
        lambda: SliceTransfer(read_noise=np.nan),
        lambda: Buffer(scale=0.0),
        lambda: Buffer(momentum=2.0),
        lambda: SliceChopper(probability=-0.1),
        lambda: SliceChopper(probability=0.0, tail=5.0),
        lambda: CompoundSettings(chopper=SliceChopper()),
        lambda: CompoundSettings(gamma=-0.1),
    ],
)
def test_refusals(make):
    with pytest.raises(ParameterError, match="must|needs"):
        make()


def test_two_shapes_are_refused():
    arrays = (Crossbar(sample_cells(Device(), shape), name=str(shape)) for shape in ((2, 3), (3, 2)))
    with pytest.raises(ParameterError, match="must have one shape"):
        Compound(CompoundSettings(), *arrays)


@pytest.mark.parametrize(
    ("x", "d", "lr"),
    [(np.ones(3), np.ones(3), 0.1), (np.ones(4), np.full(3, np.nan), 0.1), (np.ones(4), np.ones(3), -0.1)],
)
def test_wrong_vectors_are_refused(reference, x, d, lr):
    compound = compound_of(manifest(reference("compounds"))["agad"])
    with pytest.raises(ParameterError):
        compound.update(x, d, lr)
    assert compound.fast.ledger.total("reads") == 0


@pytest.mark.parametrize("case", CASES)
def test_nothing_comes_of_nothing(reference, case):
    """Zero inputs leave both arrays where they are, a learning rate of 0 leaves finite numbers."""
    golden = reference("compounds")
    compound = compound_of(manifest(golden)[case])
    for d in golden["d"][:20]:
        compound.update(np.zeros(4), d, 0.1)
    assert not compound.weights.any()
    assert compound.fast.ledger.total() == compound.slow.ledger.total() == 0
    for x, d in zip(golden["x"][:20], golden["d"][:20], strict=True):
        compound.update(x, d, 0.0)
    assert np.isfinite(compound.buffer).all()
