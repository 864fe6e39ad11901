"""Study of the pulses to a training loss: the published count, censoring, resuming, and its figure."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'sptrack[nn]'")

from analysis import GALLERY, _calibration  # noqa: E402
from analysis import pulse_cost_to_loss as study  # noqa: E402
from sptrack.devices import sample_cells  # noqa: E402
from sptrack.nn.data import load_images  # noqa: E402
from sptrack.results import load  # noqa: E402
from tests.plotting.looks import faults  # noqa: E402

STORED = Path(__file__).parents[2] / GALLERY / "pulse_cost_to_loss.nc"
CALIBRATED = study.Run("tt-v2", "per cell", 100)
DRAWN = study.Run("tt-v2", "array-wide", 100)


@pytest.fixture(scope="module")
def images():
    return study.doubled(load_images("digits"), most=130)


@pytest.fixture(scope="module")
def small():
    return study.run(small=True)


@pytest.mark.parametrize(
    ("calibration", "epochs", "count", "batch", "pulses"),
    [
        (4000, 3, 60000, 64, 18070),  # 938 mini-batches, the last of 32 images
        (0, 5, 60000, 64, 23450),
        (8000, 6, 60000, 64, 36140),
        (100, 1, 65, 64, 110),
        (0, 0, 65, 64, 0),
    ],
)
def test_the_published_count_adds_a_train_for_each_mini_batch(calibration, epochs, count, batch, pulses):
    assert study.counted_pulses(calibration, epochs, count, batch) == pulses


@pytest.mark.parametrize(
    ("losses", "epochs"),
    [([0.5, 0.3, 0.2, 0.1], 3), ([0.1], 1), ([0.3, 0.21], None), ([], None), ([0.3, 0.1, 0.4], 2)],
)
def test_the_target_is_reached_when_the_loss_is_first_at_most_it(losses, epochs):
    assert study.reached_at(losses, 0.2) == epochs


def test_settings_are_the_printed_ones():
    rider, lr = study.settings_of("e-rider")
    assert (lr, rider.fast.rate, rider.transfer.rate) == (0.1, 0.1, 1.0)
    assert (rider.buffer.auto_granularity, rider.chopper.half_period) == (1000.0, 5)
    calibrated, lr = study.settings_of("tt-v2")
    assert (lr, calibrated.fast.rate, calibrated.transfer.rate) == (0.05, 0.01, 1.0)
    for states in study.STATES:
        assert study.device(states, calibrated=False).states == pytest.approx(states)


def fake(losses):
    """Stand-in of training: ``losses`` by states and method."""

    def made(one, states, images, epochs, state, **_):
        known = losses[states, one.method]
        history = {key: list(np.arange(1.0, len(known) + 1)) for key in study.CURVES}
        return history | {"loss": known}, np.zeros(3)

    return made


@pytest.fixture
def censored(tmp_path, monkeypatch):
    """1000 states: E-RIDER gets there, TT-v2 is given up; 500 states: neither run is finished."""
    losses = {
        (1000, "e-rider"): [0.5, 0.15],
        (1000, "tt-v2"): [0.9, 0.8, 0.7],
        (500, "e-rider"): [0.9],
        (500, "tt-v2"): [],
    }
    monkeypatch.setattr(study, "trained_to_loss", fake(losses))
    table = study.Table((1000, 500), (study.RIDER, study.Run("tt-v2", "array-wide", 4000)), 3)
    return study._trained(table, SimpleNamespace(train=np.zeros((60000, 1, 28, 28))), tmp_path, seed=0)


def test_a_run_that_is_given_up_is_no_result(censored):
    np.testing.assert_array_equal(censored["reached"], [[True, False], [False, False]])
    np.testing.assert_array_equal(censored["finished"], [[True, True], [False, False]])
    np.testing.assert_array_equal(censored["epochs"], [[2, 3], [np.nan, np.nan]])
    np.testing.assert_array_equal(censored["counted"], [[2 * 4690, 4000 + 3 * 4690], [np.nan, np.nan]])
    assert study.missing(censored) == ["e-rider, 500 states", "tt-v2 array-wide 4000, 500 states"]
    np.testing.assert_array_equal(censored["printed"], [[4, 3], [3, 3]])


def test_a_run_that_is_given_up_is_drawn_as_an_arrow(censored):
    """Filled markers: one in each upper panel, of the run that got there; bars: that of the other one."""
    figure = study.plot(censored)
    assert faults(figure) == []
    for ax in figure.axes[:2]:
        lines = [line for line in ax.get_lines() if len(line.get_xdata()) == 1]
        filled = [
            line for line in lines if line.get_marker() != "_" and line.get_markerfacecolor() != "white"
        ]
        bars = [line for line in lines if line.get_marker() == "_"]
        assert (len(filled), len(bars)) == (1, 1)
    title = " ".join(figure.get_suptitle().split())
    assert "E-RIDER in 1 of 1 finished runs, by calibrated TT-v2 in 0 of 1 finished runs" in title
    assert "1,000 states: 9,380 pulses as counted (published: 18,760), 2 sent" in title


def test_a_run_without_epochs_draws(censored):
    """Nothing is finished: the figure says so."""
    nothing = censored.isel(states=[1])
    figure = study.plot(nothing)
    assert "No run is finished" in figure.get_suptitle()
    assert faults(figure) == []


@pytest.mark.parametrize("one", [study.RIDER, CALIBRATED, DRAWN])
def test_a_run_goes_on_where_it_was_byte_for_byte(tmp_path, images, one):
    """After a whole epoch, and in the midst of the second."""
    whole, error = study.trained_to_loss(one, 500, images, 2, tmp_path / "whole.pt", seed=1)
    state = tmp_path / "parts.pt"
    study.trained_to_loss(one, 500, images, 1, state, seed=1)
    study.trained_to_loss(one, 500, images, 2, state, seed=1, end=_after(2))
    again, other = study.trained_to_loss(one, 500, images, 2, state, seed=1)
    assert len(whole["loss"]) == 2
    for key in study.CURVES:
        assert np.array(whole[key]).tobytes() == np.array(again[key]).tobytes()
    assert error.tobytes() == other.tobytes()


class _after(float):
    """End of a sitting that is over when it was asked for a number of times."""

    def __new__(cls, times):
        made = super().__new__(cls, 0.0)
        made.left = times
        return made

    def __gt__(self, now):
        self.left -= 1
        return self.left >= 0

    def __le__(self, now):
        return not self > now


def test_no_time_to_train_keeps_what_is_there(tmp_path, images):
    state = tmp_path / "state.pt"
    study.trained_to_loss(study.RIDER, 500, images, 1, state, seed=1)
    before = state.read_bytes()
    history, _ = study.trained_to_loss(study.RIDER, 500, images, 2, state, seed=1, end=0.0)
    assert len(history["loss"]) == 1
    assert state.read_bytes() == before


def test_the_drawn_error_has_the_offsets_of_an_array_and_the_other_one_is_of_the_cells():
    """Mean within 5 sigma; at 500 states pulses enough leave the array's mean, and not its cells, alone."""
    tiles = [
        SimpleNamespace(
            shape=(64, 64),
            p_array=SimpleNamespace(cells=sample_cells(study.device(500, calibrated=True), (64, 64))),
        )
    ]
    drawn, own = (_calibration.errors(kind, 4000, 500, tiles, 0)[0] for kind in study.KINDS)
    shift, widening = _calibration.array_shift(500, 4000, 0)
    assert abs(drawn.mean() - shift) < 5 * abs(widening) / 64
    assert drawn.std() == pytest.approx(abs(widening), rel=5 / np.sqrt(2 * 64 * 64))
    assert abs(own.mean() - shift) < 5 * own.std() / 64
    assert np.sqrt(np.mean(own**2)) > 3 * np.sqrt(np.mean(drawn**2))
    far, near = (abs(_calibration.array_shift(states, 4000, 0, side=64)[0]) for states in (2000, 500))
    assert far > 10 * near


def test_p_starts_where_calibration_left_it(images):
    """Its first reads are as far from the true points as the reference is."""
    from sptrack.nn.training import Trainer, TrainSettings

    settings, lr = study.settings_of("tt-v2")
    asked = TrainSettings(net="lenet5", settings=settings, device=study.device(500, calibrated=True), lr=lr)
    trainer = Trainer(asked, images)
    error = _calibration.calibrate(trainer, "per cell", 100, 500, 0)
    tiles = [tile for layer in trainer.layers for tile in layer.tiles]
    assert error.size == sum(tile.shape[0] * tile.shape[1] for tile in tiles)
    for tile in tiles:
        np.testing.assert_allclose(tile.p_array.weights, tile.reference, atol=1e-6)
        assert np.abs(tile.reference).mean() > 0.1


def test_a_small_run_draws(small):
    assert study.missing(small) == []
    assert small["loss"].notnull().all()
    assert not small["reached"].any()
    sent = small["sent"].values
    assert (np.diff(sent, axis=-1) > 0).all()
    assert (sent[0, 1:] > 100).all()
    assert faults(study.plot(small)) == []


@pytest.mark.skipif(not STORED.is_file(), reason="no stored results")
def test_finished_runs_of_the_stored_study_are_not_made_again(tmp_path, monkeypatch):
    """With no time to train, the runs of the stored figure come back, and of another seed none."""
    monkeypatch.setenv("SPTRACK_HOURS", "0")
    images, stored = SimpleNamespace(train=np.zeros((60000, 1, 28, 28))), load(STORED)
    again = study._trained(study.WHOLE, images, tmp_path, seed=0, stored=stored)
    for name in (*study.CURVES, "finished", "reached", "epochs", "counted", "error_rms"):
        np.testing.assert_array_equal(again[name], stored[name])
    other = study._trained(study.WHOLE, images, tmp_path, seed=1, stored=stored)
    assert len(study.missing(other)) == other["finished"].size
