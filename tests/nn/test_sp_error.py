"""Study of the pulses of calibration before training: resuming, runs without an end, and its figure."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'sptrack[nn]'")

from analysis import sp_error_in_training as study  # noqa: E402
from analysis._training import doubled, of_same_setting  # noqa: E402
from sptrack.nn.data import load_images  # noqa: E402
from sptrack.nn.training import TrainingError  # noqa: E402
from sptrack.results import load  # noqa: E402
from tests.plotting.looks import faults  # noqa: E402


@pytest.fixture(scope="module")
def images():
    return doubled(load_images("digits"), most=60)


@pytest.fixture(scope="module")
def small():
    return study.run(small=True)


@pytest.mark.parametrize("asked", [None, ("per cell", 100), ("array-wide", 100)])
def test_a_run_goes_on_where_it_was(tmp_path, images, asked):
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole, lost, error = study.trained_with(images, asked, tmp_path / "whole", 2, 1)
    first, _, _ = study.trained_with(images, asked, tmp_path / "parts", 1, 1)
    again, _, other = study.trained_with(images, asked, tmp_path / "parts", 2, 1)
    assert (len(whole), first, again, lost) == (2, whole[:1], whole, False)
    assert error.tobytes() == other.tobytes()
    assert _bytes(tmp_path / "whole") == _bytes(tmp_path / "parts")


def _bytes(folder):
    """The model in the only state of a folder."""
    (state,) = folder.glob("*.pt")
    model = torch.load(state, weights_only=True)["model"]
    return {name: value.numpy().tobytes() for name, value in model.items() if torch.is_tensor(value)}


def test_the_gallery_shows_how_much_calibration_a_net_needs():
    """Numbers of the study's docstring; 0.3 points are the 95 % interval of 10,000 test images at 98 %."""
    data = load(study.STORED)
    last, exact = data["accuracy"].isel(epoch=-1).to_pandas().T, float(data["exact"][-1])
    assert study.missing(data) == []
    assert (last.loc[:2000] < 12).all(axis=None)
    assert (abs(last.loc[4000] - 94) < 0.5).all()
    assert (abs(last.loc[8000] - exact) < 1).all()
    assert exact == pytest.approx(98, abs=0.05)
    rms = data["rms"].to_pandas()
    ratio = rms.loc["per cell"] / rms.loc["array-wide"]
    assert (ratio > 1.03).all()
    assert (ratio < 1.65).all()
    assert (abs(last["per cell"] - last["array-wide"]) <= 0.5).all()


def test_without_time_no_run_is_begun(tmp_path, images):
    assert study.trained_with(images, ("per cell", 100), tmp_path, 1, 1, end=0.0) == ([], False, None)
    assert not list(tmp_path.iterdir())


def test_a_loss_that_runs_off_is_a_result(tmp_path, images, monkeypatch):
    """Of the epochs before it, and the run is not called missing."""
    from sptrack.nn.training import Trainer

    own = Trainer.run

    def run(self, epochs, **more):
        if epochs > 1:
            raise TrainingError("loss is nan")
        return own(self, epochs, **more)

    monkeypatch.setattr(Trainer, "run", run)
    data = study._table(images, tmp_path, (100,), epochs=2, seed=1)
    assert data["diverged"].all()
    np.testing.assert_array_equal(np.isfinite(data["accuracy"]), [[[True, False]], [[True, False]]])
    assert study.missing(data) == ["true SP"]


def test_the_figure_marks_runs_that_diverged_and_names_those_that_are_not_made(small):
    lost = small.copy(deep=True)
    lost["diverged"][1, 0], lost["accuracy"][1, 0] = True, np.nan
    figure = study.plot(lost)
    assert "diverged and" in " ".join(figure.get_suptitle().split())
    assert faults(figure) == []
    lost["accuracy"][0, 1] = np.nan
    figure = study.plot(lost)
    assert "1 of 5 runs are not finished" in figure.get_suptitle()
    assert study.missing(lost) == ["array-wide, 8000"]
    assert faults(figure) == []


def test_finished_runs_of_the_stored_figure_are_not_made_again(small, tmp_path, images, monkeypatch):
    told = doubled(load_images("digits"))
    monkeypatch.setattr(study, "course", None)
    again = study._table(told, tmp_path, study.PULSES[::4], epochs=1, seed=0, stored=small)
    for name in small.data_vars:
        np.testing.assert_array_equal(again[name], small[name])
    assert of_same_setting(small, {"seed": 1, "parameters": None}) is None
    assert of_same_setting(None, {}) is None
