"""Checkpoints that were changed on disk or made of something else are refused, and change nothing."""

import numpy as np
import pytest

from sptrack import Crossbar, Device, ParameterError, sample_cells
from sptrack.crossbar.checkpoint import read_state, write_state
from sptrack.devices import Drift
from sptrack.tracking import ProblemSettings, Tracker, method, problem


def crossbar():
    device = Device(write_noise=0.1, drift=Drift(per_pulse=1e-5, walk=1e-5))
    bar = Crossbar(sample_cells(device, (2, 3), seed=1), threads=1)
    bar.pulse("alternating", 5)
    bar.apply(np.full((2, 3), 0.01))
    return bar


def tracker():
    made = Tracker(problem("quadratic", ProblemSettings(size=4)), method("e-rider"))
    made.run(20, samples=2)
    return made


MADE = {"crossbar": crossbar, "tracker": tracker}


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", MADE)
def test_what_was_saved_goes_on(tmp_path, kind):
    made = MADE[kind]()
    write_state(tmp_path / "a.npz", made.checkpoint())
    other = MADE[kind]()
    other.resume(read_state(tmp_path / "a.npz"))
    assert same(other.checkpoint(), made.checkpoint())


@pytest.mark.parametrize("kind", MADE)
def test_a_file_with_any_bit_flipped_is_refused(tmp_path, kind):
    path = tmp_path / "a.npz"
    write_state(path, MADE[kind]().checkpoint())
    content = path.read_bytes()
    rng = np.random.default_rng(1)
    for place in rng.integers(0, 8 * len(content), 2500):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ParameterError, match=r"a\.npz: not a checkpoint"):
            read_state(path)


def test_a_file_cut_anywhere_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    write_state(path, crossbar().checkpoint())
    content = path.read_bytes()
    for end in range(0, len(content), 7):
        path.write_bytes(content[:end])
        with pytest.raises(ParameterError, match=r"a\.npz: not a checkpoint"):
            read_state(path)


def spoils(state):
    """States near a good one: an entry missing, of another shape, type or value, or one too many."""
    for name in state:
        if name.endswith("|own"):
            continue  # pulses that differ between cells: without them there are none
        yield name, {key: one for key, one in state.items() if key != name}
    for name, value in state.items():
        yield name, state | {name: value[None]}
        yield name, state | {name: np.full_like(value, -1)}
        yield name, state | {name: value.astype(complex)}
        yield name, state | {name: value.astype(str)}
        if value.dtype.kind == "f":
            yield name, state | {name: np.full_like(value, np.nan)}
            yield name, state | {name: value.astype(np.float16)}
        else:
            yield name, state | {name: value + 0.5}
    yield "more", state | {"ledger|gradient|X|totals": np.zeros(5, np.int64)}
    yield "more", state | {"ledger|gradient": np.zeros(5, np.int64)}
    yield "more", state | {"ledger|a|b|c|totals": np.zeros(5, np.int64)}


@pytest.mark.parametrize("kind", MADE)
def test_states_of_something_else_are_refused_and_change_nothing(kind):
    made = MADE[kind]()
    before = made.checkpoint()
    refused = 0
    for name, state in spoils(before):
        try:
            made.resume(state)
        except ParameterError:
            refused += 1
            assert same(made.checkpoint(), before), name
        else:
            value = state.get(name)
            lost = name.startswith("ledger") and name not in state
            assert lost or (value.dtype.kind == "f" and (value == -1).all()), name
            made.resume(before)
    assert refused > 30


def test_a_weight_out_of_bounds_is_refused():
    made = crossbar()
    state = made.checkpoint()
    with pytest.raises(ParameterError, match="within the bounds, got 7"):
        made.resume(state | {"weight": np.full_like(state["weight"], 7.0)})


@pytest.mark.parametrize(
    "steps", [[20, 10], [0, 20], [10, 30], [10, 10]], ids=["falling", "zero", "beyond", "twice"]
)
def test_samples_that_do_not_rise_to_the_last_step_are_refused(steps):
    made = tracker()
    with pytest.raises(ParameterError, match="steps must rise to the last step"):
        made.resume(made.checkpoint() | {"steps": np.array(steps)})
