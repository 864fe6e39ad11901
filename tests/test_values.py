"""Nothing that callers hand in is dropped in a cast, seeds have one rule, numpy's scalars are numbers."""

import json
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from sptrack import Crossbar, Device, ParameterError, preset, sample_cells
from sptrack.blocks import EMA, FIR, SOS, Boxcar, Chopper, PeriodicChopper, State
from sptrack.blocks.spec import chopper_from, filter_from, spec_text
from sptrack.crossbar import OneSidedPair
from sptrack.design import Budget
from sptrack.devices import CycleNoise, PiecewiseStep, SoftBounds, Spread, cells_from_parameters
from sptrack.devices.config import device_from_mapping, device_to_toml
from sptrack.fitting import PulseResponse, two_runs
from sptrack.intervals import student_interval
from sptrack.spectrum import Tones, Welch
from sptrack.tracking import ProblemSettings, Tracker, method, problem
from sptrack.tracking.compare import compare
from sptrack.tracking.recorded import RecordedGradient
from sptrack.values import as_seed, integer_array, real_array

CELLS = sample_cells(Device(), (2, 3))
RISING = np.arange(30.0)


def tracker(drive):
    made = Tracker(problem("quadratic", ProblemSettings(size=4)), method("e-rider"))
    made.record(16, drive=drive)


INLETS = {
    "samples": (lambda x: EMA(eta=0.5).process(x), RISING),
    "initial output": (lambda x: EMA(eta=0.5).init(30, x), RISING),
    "taps": (lambda x: FIR(taps=x), RISING),
    "sections": (lambda x: SOS(sos=x), np.array([[1.0, 0, 0, 1, 0.5, 0]])),
    "omega": (lambda x: EMA(eta=0.5).frequency_response(x), RISING / 30),
    "chopper omega": (lambda x: Chopper(p=0.1).psd(x), RISING / 30),
    "spectrum": (lambda x: Welch(segment=8).estimate(x), RISING),
    "weights": (lambda x: Crossbar(CELLS, weights=x), np.zeros((2, 3))),
    "increment": (lambda x: Crossbar(CELLS).apply(x), np.zeros((2, 3))),
    "program": (lambda x: Crossbar(CELLS).pulse(x), np.ones(8)),
    "vectors": (lambda x: Crossbar(CELLS).update(x, np.ones(2), 0.01), np.ones(3)),
    "reference map": (CELLS.with_reference, np.zeros((2, 3))),
    "parameters": (lambda x: cells_from_parameters(Device(), {"step_up": x}), np.full((2, 3), 0.01)),
    "readings": (lambda x: two_runs(x, -RISING), RISING),
    "pulses": (
        lambda x: PulseResponse(readings=np.r_[RISING, -RISING], pulses=x),
        np.r_[[1] * 30, [-1] * 30],
    ),
    "gradients": (lambda x: RecordedGradient(values=x), RISING),
    "drive": (tracker, np.zeros(16)),
    "interval": (student_interval, RISING),
}


def masked(x):
    return np.ma.masked_array(x, np.arange(x.size).reshape(x.shape) == 1)


@pytest.mark.parametrize("inlet", INLETS)
@pytest.mark.parametrize(
    "spoil", [lambda x: x + 0j, masked, lambda x: x.astype("m8[s]"), lambda x: x.astype(str)]
)
def test_what_a_cast_would_drop_is_refused(inlet, spoil):
    take, good = INLETS[inlet]
    take(good)
    take(np.ma.masked_array(good))
    with pytest.raises(ParameterError, match=r"must (be real|hold no masked)"):
        take(spoil(np.asarray(good)))


def test_every_real_type_means_its_numbers():
    expected = EMA(eta=0.25).process(RISING)[0]
    for dtype in (np.float16, np.int8, np.uint64, np.longdouble, object):
        np.testing.assert_array_equal(EMA(eta=0.25).process(RISING.astype(dtype))[0], expected)
    assert real_array([Fraction(1, 4)], "x") == 0.25
    assert real_array([1, 2], "x", None).dtype == np.int64
    for wrong in ([1, [2]], [None, "a"], [object()]):
        with pytest.raises(ParameterError, match="x must be real"):
            real_array(wrong, "x")


def test_a_state_of_integers_goes_on_in_floats():
    block = EMA(eta=0.25)
    _, after = block.process(np.full(3, 8.0), State(0, np.zeros((1,), np.int64)))
    np.testing.assert_array_equal(after.memory, block.process(np.full(3, 8.0))[1].memory)


@pytest.mark.parametrize("wrong", [0.5, np.nan, 300, -129])
def test_whole_numbers_stay_whole(wrong):
    assert integer_array([1.0, -2.0], "n", np.int8).tolist() == [1, -2]
    assert integer_array(np.uint64([5]), "n").dtype == np.int64
    with pytest.raises(ParameterError, match="n must be whole numbers"):
        integer_array([0, wrong], "n", np.int8)


SEEDED = {
    "cells": lambda seed: sample_cells(Device(), (2, 2), seed=seed).symmetric_point,
    "crossbar": lambda seed: pulsed(Crossbar(CELLS, seed=seed)),
    "pair": lambda seed: OneSidedPair.sample(preset("pcm"), (2, 2), seed=seed).minus.cells.law.cell,
    "chopper": lambda seed: Chopper(p=0.4, seed=seed).signs(0, 64),
    "problem": lambda seed: problem("quadratic", ProblemSettings(size=4), seed=seed).optimum,
    "tracker": lambda seed: tracked(seed),
    "tones": lambda seed: Tones(period=16, bins=(1, 2, 3), seed=seed).samples(16),
    "comparison": lambda seed: compare(
        ["sgd"], settings=ProblemSettings(size=4), steps=200, seeds=1, seed=seed
    ),
    "tuning": lambda seed: Budget(seed=seed).seed,
}


def pulsed(bar):
    bar.pulse("alternating", 20)
    return bar.weights


def tracked(seed):
    made = Tracker(problem("quadratic", ProblemSettings(size=4)), method("e-rider"), seed=seed)
    made.run(20, samples=1)
    return made.result.weights


@pytest.mark.parametrize("name", SEEDED)
def test_one_rule_for_seeds(name):
    """Whole numbers from 0 of any integer type; anything else is refused, not read as something near."""
    make = SEEDED[name]
    first = make(1)
    for same in (np.int64(1), np.uint8(1)):
        again = make(same)
        assert (
            first.drop_attrs().equals(again.drop_attrs())
            if name == "comparison"
            else np.array_equal(first, again)
        )
    for wrong in (1.0, True, None, -1, "1", np.float64(1), np.bool_(True), (1,)):
        with pytest.raises(ParameterError, match=r"seed must be a whole number >= 0, got "):
            make(wrong)


def test_a_seed_is_as_large_as_you_like():
    assert as_seed(2**200) == 2**200


@pytest.mark.parametrize(
    ("block", "back"),
    [
        (EMA(eta=np.float64(0.01)), filter_from),
        (EMA(eta=np.float32(0.01), order=np.int32(2)), filter_from),
        (Boxcar(length=np.int64(5)), filter_from),
        (FIR(taps=np.float32([0.5, 0.25])), filter_from),
        (PeriodicChopper(half_period=np.int64(20), duty=np.float16(0.25)), chopper_from),
        (Chopper(p=np.float32(0.125), seed=np.uint8(3)), chopper_from),
    ],
)
def test_text_of_numpy_scalars_is_read_back(block, back):
    text = spec_text(block)
    assert "np." not in text
    assert back(text) == block


def test_a_device_of_numpy_scalars_is_written_and_read_back():
    import tomllib

    device = Device(
        dw_min=np.float32(0.01),
        response=SoftBounds(w_max=np.int64(1)),
        spread=Spread(dw_min=np.float16(0.25), log_normal=np.bool_(True)),
    )
    assert device_from_mapping(tomllib.loads(device_to_toml(device))) == device
    assert type(device.dw_min) is float
    assert type(device.spread.log_normal) is bool
    assert device_from_mapping({"dw_min": np.float32(0.5)}).dw_min == 0.5


@pytest.mark.parametrize("value", [np.array(0.25), np.float16(0.25), Fraction(1, 4), Decimal("0.25")])
def test_numbers_of_any_kind_are_pythons(value):
    assert spec_text(EMA(eta=value)) == spec_text(EMA(eta=0.25))
    assert type(EMA(eta=value).eta) is float


@pytest.mark.parametrize("value", [True, np.True_, np.ma.masked, np.timedelta64(1), "0.25", 0.25j, [0.25]])
def test_what_is_no_number_is_refused(value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ParameterError, match="eta must be a finite number"):
            EMA(eta=value)
        with pytest.raises(ParameterError, match="length must be a whole number >= 1"):
            Boxcar(length=value)
        with pytest.raises(ParameterError, match="seed must be a whole number >= 0"):
            sample_cells(Device(), (2, 2), seed=value)


def test_whole_numbers_that_numpy_cannot_count_are_refused():
    with pytest.raises(ParameterError, match=r"length must be a whole number in 1 \.\. 9223372036854775807"):
        Boxcar(length=10**30)


@pytest.mark.parametrize(
    "made", [Crossbar(CELLS), OneSidedPair.sample(preset("pcm"), (2, 3))], ids=["one", "pair"]
)
@pytest.mark.parametrize("count", [1.5, 2.0, "3", True, None, np.nan, -1, np.timedelta64(2)])
def test_one_rule_for_counts_of_pulses(made, count):
    with pytest.raises(ParameterError, match="count must be a whole number >= 0"):
        made.pulse("up", count)


def test_truth_values_are_no_directions():
    with pytest.raises(ParameterError, match="program must hold only"):
        Crossbar(CELLS).pulse(np.array([True, False]))


@pytest.mark.parametrize("shape", [(True, 3), (2.0, 3), ("2", 3), (2,), 2, None, (2, 0), "2x3"])
def test_one_rule_for_shapes(shape):
    with pytest.raises(ParameterError, match="shape must be two positive numbers of cells"):
        sample_cells(Device(), shape)


@pytest.mark.parametrize("state", [0, np.zeros((1, 3)), (0, np.zeros((1, 3)))])
def test_a_state_that_is_none_is_refused(state):
    with pytest.raises(ParameterError, match="state must be what a call before returned"):
        EMA(eta=0.1).process(np.zeros((4, 3)), state)


def test_numbers_too_large_for_a_vector_are_refused_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ParameterError, match="x must be 3 finite numbers"):
            Crossbar(CELLS).update(np.full(3, 1e300), np.ones(2), 0.01)


def test_plain_fields_of_tuples():
    made = CycleNoise(std=np.float32(0.5))
    nodes = PiecewiseStep(nodes_up=tuple(np.linspace(1.5, 0.5, 3)), nodes_down=(np.float32(0.5), 1.0, 1.5))
    assert (
        json.dumps([made.std, nodes.nodes_up, nodes.nodes_down]) == "[0.5, [1.5, 1.0, 0.5], [0.5, 1.0, 1.5]]"
    )
