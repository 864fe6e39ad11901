"""Recorded gradients: CSV and npy, one column or many; bad fields are named."""

import numpy as np
import pytest

from sptrack.blocks import EMA, Chopper
from sptrack.devices import sample_cells
from sptrack.devices.presets import preset
from sptrack.errors import ParameterError
from sptrack.evaluation.prediction import predict
from sptrack.response import OpenLoop, respond
from sptrack.tracking import ProblemSettings, Tracker
from sptrack.tracking.compare import compare
from sptrack.tracking.config import load_setup, setup_from_mapping, setup_to_mapping
from sptrack.tracking.methods import method
from sptrack.tracking.problems import problem
from sptrack.tracking.recorded import RecordedGradient, recorded_gradient
from tests.tracking.test_plain import assert_equal_runs

VALUES = np.arange(12.0).reshape(6, 2) / 10


def test_files_of_both_kinds(tmp_path):
    np.save(tmp_path / "g.npy", VALUES)
    np.save(tmp_path / "one.npy", VALUES[:, 0])
    lines = ["step;a;b", *(f"{k};{a};{b}".replace(".", ",") for k, (a, b) in enumerate(VALUES))]
    (tmp_path / "g.csv").write_text("\n".join(lines) + "\n")
    for name in ("g.npy", "g.csv"):
        np.testing.assert_allclose(recorded_gradient(tmp_path / name).values, VALUES)
    one = recorded_gradient(tmp_path / "one.npy")
    np.testing.assert_allclose(one.drive(8, 3), VALUES[[0, 1, 2, 3, 4, 5, 0, 1]][:, [0, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(
        RecordedGradient(values=VALUES).drive(2, 3), VALUES[:2][:, [0, 1, 0]], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "g.csv",
            "1,2\n3,x\n" + "1,2\n" * 30,
            "row 2, column 2: a gradient must be finite, got 'x'",
        ),
        ("g.csv", "a\n1\n", "at least 2 steps"),
        ("g.npy", "junk", "not a .npy file|cannot be read"),
    ],
)
def test_refused_files(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ParameterError, match=message):
        recorded_gradient(tmp_path / name)
    with pytest.raises(ParameterError, match="got nan in step 2, column 1"):
        RecordedGradient(values=np.array([1.0, np.nan]))


# --- as a drive


RNG = np.random.default_rng(7)
RECORDED = RecordedGradient(
    values=0.02 * RNG.standard_normal(16) + 0.2 * RNG.standard_normal((8000, 16)), name="g.npy"
)


def played(tmp_path, size=16):
    np.save(tmp_path / "g.npy", RECORDED.values)
    return ProblemSettings(size=size, recorded=str(tmp_path / "g.npy"))


@pytest.mark.compiled
def test_fused_and_plain_recursion_play_the_same_recording(tmp_path):
    """For any cutting of the steps, over the end of the recording: W, P and Q as in plain Python."""
    np.save(tmp_path / "g.npy", RECORDED.values[:70])
    made = problem("recorded", ProblemSettings(size=5, recorded=str(tmp_path / "g.npy")), seed=3)
    chosen = method("e-rider")
    cut, whole = Tracker(made, chosen, seed=3), Tracker(made, chosen, seed=3)
    cut.run(60, samples=2)
    kept = cut.record(40)
    whole.run(100, samples=100)
    np.testing.assert_array_equal(kept.q[-1], whole.result.reference)
    assert_equal_runs(made, chosen, steps=100)


@pytest.mark.compiled
def test_tracked_recordings_have_the_predicted_error_of_the_reference(tmp_path):
    """Mean square of Q - SP over the second half of 8 runs, within 25 % of linear theory with a mean."""
    settings, chosen = played(tmp_path), method("e-rider")
    found, predicted = [], []
    for seed in range(8):
        made = problem("recorded", settings, seed=seed)
        tracker = Tracker(made, chosen, seed=seed)
        tracker.run(8000)
        found.append(tracker.result.errors[50:, 2].mean())
        predicted.append(predict(made, chosen).reference.mse)
    assert np.mean(found) == pytest.approx(np.mean(predicted), rel=0.25)


@pytest.mark.compiled
def test_response_of_a_recording_is_measured_and_predicted():
    """Cells under their own columns: bias within its interval (four sigma) and the rms of Q to 15 %."""
    cells = sample_cells(preset("soft-bounds"), (1, 16), seed=1)
    driven = OpenLoop(cells=cells, chopper=Chopper(p=0.05), alpha=0.02, recording=RECORDED)
    made = respond(EMA(eta=0.02), driven)
    rms = made.data.sel(term="rms error of Q")
    assert float(rms["measured"]) == pytest.approx(float(rms["predicted"]), rel=0.15)
    bias = made.data.sel(term="bias of Q")
    width = float(bias["measured_ci"][1] - bias["measured_ci"][0])
    assert abs(float(bias["measured"]) - float(bias["predicted"])) < width
    assert not any("columns drive" in text for text in made.warnings)
    with pytest.raises(ParameterError, match="beside recorded gradients"):
        OpenLoop(cells=cells, chopper=Chopper(p=0.05), alpha=0.02, mean=0.1, recording=RECORDED)


@pytest.mark.compiled
def test_compared_methods_have_no_error_of_the_weights(tmp_path):
    data = compare(["tt-v2", "e-rider"], "recorded", played(tmp_path, 4), steps=400, seeds=2)
    assert np.isnan(data["w_error"].values).all()
    assert np.isfinite(data["q_error"].sel({"method": "e-rider"}).values).all()


def test_files_name_recordings(tmp_path):
    """Relative to the file; there and back; a recording without its problem, or the reverse, is refused."""
    played(tmp_path)
    (tmp_path / "setup.toml").write_text('[problem]\nrecorded = "g.npy"\nsize = 3\n')
    setup = load_setup(tmp_path / "setup.toml")
    assert (setup.problem, setup.settings.size) == ("recorded", 3)
    assert problem(setup.problem, setup.settings).recording.values.shape == (8000, 16)
    assert setup_from_mapping(setup_to_mapping(setup)) == setup
    with pytest.raises(ParameterError, match="needs recorded = FILE"):
        problem("recorded")
    with pytest.raises(ParameterError, match="is for problem 'recorded'"):
        problem("quadratic", setup.settings)
    with pytest.raises(ParameterError, match="all 0"):
        RecordedGradient(values=np.zeros((3, 2)))
