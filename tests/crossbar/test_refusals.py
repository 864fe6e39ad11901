"""Bad input: one line that states the value, nothing changed."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.crossbar import Crossbar, Ledger, PulseScheme
from sptrack.devices import Device, sample_cells
from sptrack.errors import ParameterError
from tests.devices.zoo import device

SHAPE = (3, 4)
NAN = np.full(SHAPE, np.nan)


def array(name="soft-bounds", **options):
    return Crossbar(sample_cells(device(name), SHAPE), **options)


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda a: a.set_weights(NAN), "weights must be finite, got NaN"),
        (lambda a: a.set_weights(np.ones(5)), r"weights must have shape \(3, 4\), got \(5,\)"),
        (lambda a: a.pulse("alternate", 3), "did you mean 'alternating'"),
        (lambda a: a.pulse("up", -1), "count must .*got -1"),
        (lambda a: a.pulse("up"), "count must .*got None"),
        (lambda a: a.pulse([1, -1], 3), "count = 3: the program holds 2 pulses"),
        (lambda a: a.pulse([1, 2]), "program must hold only \\+1, -1 and 0, got 2"),
        (lambda a: a.pulse([1.0, np.nan]), "program must hold .*got nan"),
        (lambda a: a.pulse(np.ones((2, 4, 3), int)), r"program must have shape \(n,\) or \(n, 3, 4\)"),
        (lambda a: a.pulse(np.ones((2, 2), int)), r"program must have .*got \(2, 2\)"),
        (lambda a: next(a.stream("up", 3, every=0)), "every.* must be .*got 0"),
        (lambda a: next(a.stream("up", 3, samples=0)), "samples must be .*got .*0"),
        (lambda a: a.apply(NAN), "increment must be finite"),
        (lambda a: a.apply(np.inf), "increment must be finite, got NaN or infinity"),
        (lambda a: a.apply(np.ones(3)), r"increment must have shape .*got \(3,\)"),
        (lambda a: a.apply(1e9), "must ask for at most 100000000 pulses"),
        (lambda a: a.apply(0.1, law="round"), "did you mean 'rounded'"),
        (lambda a: a.apply(0.1, application="bursts"), "did you mean 'burst'"),
        (lambda a: a.apply(0.1, law="binomial", slots=0), "slots must .*1 .. 1000.*got 0"),
        (lambda a: a.apply(0.1, law="binomial", slots=1001), "slots must .*got 1001"),
        (lambda a: a.update(np.ones(3), np.ones(3), 0.1), "x must be .*got shape"),
        (lambda a: a.update(np.ones(4), np.full(3, np.nan), 0.1), "d must be .*got shape"),
        (lambda a: a.update(np.ones(4), np.ones(3), -0.1), "lr must .*got -0.1"),
        (lambda a: a.update(np.ones(4), np.ones(3), np.nan), "lr must .*got nan"),
        (lambda a: a.read(-1.0), "noise must .*got -1.0"),
        (lambda a: a.read(np.nan), "noise must .*got nan"),
        (lambda a: a.resume({}), "checkpoint without 'weight'"),
        (
            lambda a: a.resume(a.checkpoint() | {"weight": np.zeros(5, np.float32)}),
            r"weight must be float32 \[12\], got float32 \[5\]",
        ),
        (
            lambda a: a.resume(a.checkpoint() | {"weight": np.zeros(12)}),
            r"weight must be float32 \[12\], got float64 \[12\]",
        ),
        (lambda a: a.resume(a.checkpoint() | {"visible": np.zeros(12)}), "disagree about write noise"),
        (lambda a: a.ledger.per_cell("P"), "unknown array 'P'; choose from W"),
        (lambda a: a.pulse("up", 1, phase="a|b"), r"phase must be a name without .*got 'a\|b'"),
    ],
)
def test_bad_calls_are_refused_and_change_nothing(act, says):
    crossbar = array()
    crossbar.pulse("up", 2)
    before = {name: value.tobytes() for name, value in crossbar.checkpoint().items() if name != "clock"}
    with pytest.raises(ParameterError, match=says) as caught:
        act(crossbar)
    assert "\n" not in str(caught.value)
    if "phase" not in says:
        assert before == {n: v.tobytes() for n, v in crossbar.checkpoint().items() if n != "clock"}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: array(weights=NAN), "NaN"),
        (lambda: array(threads=0), "threads must be a whole number >= 1, got 0"),
        (
            lambda: Crossbar(sample_cells(Device(), SHAPE), name="a|b"),
            "must be a name without '|', got 'a|b'",
        ),
        (lambda: Crossbar(sample_cells(replace(Device(), one_sided=True), SHAPE)), "one-sided"),
        (lambda: array("pow-step").apply(0.1, application="burst"), "'burst' on pow-step"),
        (lambda: PulseScheme(pulse_type="stochastic"), "did you mean 'stochastic-compressed'"),
        (lambda: PulseScheme(train_length=0), "train_length must be a whole number >= 1, got 0"),
        (lambda: PulseScheme(resolution=1.0), "resolution must be >= 0 and < 1, got 1.0"),
        (lambda: PulseScheme(gradient_scale=0.0), "gradient_scale must be > 0, got 0.0"),
    ],
)
def test_bad_constructions(make, says):
    with pytest.raises(ParameterError) as caught:
        make()
    assert says in str(caught.value)


def test_two_arrays_of_one_name_in_one_ledger():
    ledger = Ledger()
    array(ledger=ledger)
    with pytest.raises(ParameterError, match=r"has shape \(3, 4\) in this ledger, not \(1, 1\)"):
        Crossbar(sample_cells(Device(), (1, 1)), ledger=ledger)


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04cut short", b"text"])
def test_files_that_are_not_checkpoints(tmp_path, content):
    path = tmp_path / "state.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ParameterError, match=r"state\.npz") as caught:
        array().load(path)
    assert "\n" not in str(caught.value)


def test_an_array_file_is_not_a_checkpoint(tmp_path):
    np.save(tmp_path / "state.npy", np.zeros(3))
    with pytest.raises(ParameterError, match="not a checkpoint"):
        array().load(tmp_path / "state.npy")


def test_a_damaged_checkpoint_is_noticed(tmp_path):
    crossbar = array()
    crossbar.save(tmp_path / "state.npz")
    content = bytearray((tmp_path / "state.npz").read_bytes())
    content[200] ^= 0xFF
    (tmp_path / "state.npz").write_bytes(content)
    with pytest.raises(ParameterError, match="not a checkpoint"):
        crossbar.load(tmp_path / "state.npz")


def test_nothing_asked_is_nothing_done():
    crossbar = array()
    crossbar.pulse("up", 0)
    crossbar.pulse(np.empty(0, int))
    crossbar.pulse(np.empty((0, *SHAPE), int))
    assert list(crossbar.stream("up", 0)) == []
    assert not crossbar.apply(0.0).any()
    crossbar.update(np.zeros(4), np.ones(3), 0.1)
    crossbar.update(np.ones(4), np.ones(3), 0.0)
    assert crossbar.ledger.total() == 0
    np.testing.assert_array_equal(crossbar.weights, 0.0)
