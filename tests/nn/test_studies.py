"""Studies of networks: the errors that are put in, and what each ablation takes away."""

from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from analysis import GALLERY, accuracy_vs_pulses, published_tables, seed_spread
from analysis._calibration import START, array_shift, device, errors, left_by_calibration
from analysis.sp_error_in_training import PULSES, STATES
from analysis.training_ablations import VARIANTS, train_settings
from sptrack.devices import sample_cells
from sptrack.results import load
from sptrack.theory import array_offset, zero_shifting_moments
from sptrack.theory.sampling import array_offset_error

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cells():
    return sample_cells(device(STATES, calibrated=True), (64, 64), seed=3)


@pytest.mark.parametrize("pulses", PULSES)
def test_errors_of_zero_shifting_are_those_of_its_law(cells, pulses):
    """Against exact moments of the same cells, 5 sigma each."""
    moments = zero_shifting_moments(cells, "cyclic", pulses, start=START)
    law, sigma = array_offset(cells, moments), array_offset_error(cells, moments)
    own = left_by_calibration(cells, pulses, 1)
    assert abs(own.mean() - law.mean) < 5 * sigma.mean
    assert abs(np.sqrt(np.mean(own**2)) - law.rms) < 5 * sigma.rms
    points = cells.symmetric_point
    widened = (points + own).std() - points.std()
    assert abs(widened - law.std) < 5 * sigma.std
    tile = SimpleNamespace(shape=(512, 512))
    shift, widening = array_shift(STATES, pulses, 1)
    (wide,) = errors("array-wide", pulses, STATES, [tile], 1)
    assert abs(wide.mean() - shift) <= 5 * abs(widening) / 512
    assert wide.std() == pytest.approx(abs(widening), rel=5 / np.sqrt(2 * 512 * 512))
    assert abs(shift - law.mean) < 5 * own.std() / 64


@pytest.mark.parametrize("method", ["e-rider", "agad"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_ablation_takes_one_part_away(method, variant):
    pytest.importorskip("torch")
    whole, other = train_settings(method, "whole", 0), train_settings(method, variant, 0)
    changed = _differences(whole.settings, other.settings)
    assert whole.digital
    assert set(_differences(whole, other)) <= {"settings", "digital"}
    if variant == "whole" or (method == "agad" and variant == "no residual pass"):
        assert (changed, other.digital) == ([], True)
    elif variant == "digital parts frozen":
        assert (changed, other.digital) == ([], False)
    else:
        assert (len(changed), other.digital) == (1, True)


def _differences(first, second):
    return [one.name for one in fields(first) if getattr(first, one.name) != getattr(second, one.name)]


def test_the_gallery_shows_that_a_chopper_pays():
    """Runs with one differ by less than a point; without one the loss ran off."""
    data = load(ROOT / GALLERY / "chopper_probability.nc")
    score = data["score"].values
    assert data["diverged"].values.tolist() == [[True]] + [[False]] * 5
    assert score[1:].min() > 95
    assert np.ptp(score[1:]) < 1
    assert data["accuracy"].values[0, 0, 29] < 45


def test_the_gallery_shows_which_part_learns():
    """The last ten epochs of a run differ by less than two points, of two runs by less than four."""
    data = load(ROOT / GALLERY / "training_ablations.nc")
    score = data["score"].to_pandas()
    rider, agad = score.loc["e-rider"], score.loc["agad"]
    assert rider["W frozen"] < rider["whole"] - 10
    assert 2 < rider["whole"] - rider["digital parts frozen"] < 5
    for variant in ("no residual pass", "reference 0", "true reference"):
        assert abs(rider[variant] - rider["whole"]) < 1
    assert agad["digital parts frozen"] < agad["W frozen"] - 10 < agad["whole"] - 25
    for variant in ("reference 0", "true reference"):
        assert 3 < agad["whole"] - agad[variant] < 6
    late = data["accuracy"].isel(epoch=slice(-10, None))
    spread = (late.max("epoch") - late.min("epoch")).to_pandas()
    assert (spread.loc["e-rider"].drop("W frozen") < 2).all()
    assert float(spread.max(axis=None)) < 4
    early = data["accuracy"].isel(epoch=1, method=0).to_series()
    assert early["no residual pass"] < 15
    assert early["whole"] > 60
    assert np.isnan(agad["no residual pass"])


def test_the_gallery_shows_what_an_observer_is_worth_under_a_net():
    """In each of four runs it errs less than a period mean; true points gain less than ten points."""
    data = load(ROOT / GALLERY / "observer_in_training.nc")
    error = data["error"].isel(epoch=-1).to_pandas()
    assert (error.loc["observer"] < 0.7 * error.loc["period mean"]).all()
    assert not error.loc["true points"].any()
    score = data["accuracy"].isel(epoch=slice(-10, None)).mean(["epoch", "seed"]).to_pandas()
    assert abs(score["true points"] - score["period mean"]) < 10


def test_finished_cells_of_the_stored_table_are_not_run_again(tmp_path, monkeypatch):
    """With no time to train, the cells of the stored figure come back, and no other."""
    pytest.importorskip("torch")
    images = SimpleNamespace(train=np.zeros((60000, 1, 28, 28)))
    monkeypatch.setattr(published_tables, "course", lambda *_: (SimpleNamespace(history=[]), False))
    stored = load(ROOT / "figures" / "published_tables.nc")
    again = published_tables._trained(published_tables.WHOLE, images, tmp_path, seed=0, stored=stored)
    for name in ("accuracy", "loss", "pulses"):
        np.testing.assert_array_equal(again[name], stored[name])
    assert np.isfinite(again["accuracy"].values[..., -1]).any()
    other = published_tables._trained(published_tables.WHOLE, images, tmp_path, seed=1, stored=stored)
    assert np.isnan(other["accuracy"].values).all()


def test_spreads_over_rows_and_columns_are_told_apart():
    """Rows that differ by 0, 3, 6 and are 1, 2, 3 inside: variance 1 within a row, 9 within a column."""
    table = np.array([1.0, 2.0, 3.0]) + np.array([0.0, 3.0, 6.0])[:, None]
    within, *ends = seed_spread.spread_over(table, 1)
    across, *_ = seed_spread.spread_over(table, 0)
    assert within == pytest.approx(1.0)
    assert across == pytest.approx(3.0)
    # 95 % of chi squared with 6 degrees of freedom lie between 1.2373 and 14.4494
    assert ends == pytest.approx([(6 / 14.4494) ** 0.5, (6 / 1.2373) ** 0.5], rel=1e-4)


def test_every_method_gets_the_printed_settings_and_the_same_factors_in_range():
    asked, most = accuracy_vs_pulses.factors(8), np.array(list(accuracy_vs_pulses.KNOBS.values()))
    assert asked.shape == (9, 4)
    assert (asked[0] == 1).all()
    assert ((asked >= 1 / most) & (asked <= most)).all()
    # a Sobol sequence of eight has one point in each eighth of each range
    eighths = np.floor(8 * (np.log(asked[1:]) / np.log(most) + 1) / 2)
    assert (np.sort(eighths, axis=0) == np.arange(8)[:, None]).all()


def test_a_trial_must_keep_to_its_budget():
    score, sent = np.array([80.0, 95.0, 90.0, 85.0]), np.array([10.0, 30.0, 20.0, 5.0])
    assert [accuracy_vs_pulses._best(score, sent, limit) for limit in (40, 20, 19, 5, 4)] == [1, 2, 3, 3, -1]
    assert accuracy_vs_pulses._best(np.where(score == 80, np.nan, score), sent, 40) == -1


def test_the_winner_has_the_best_score_within_the_full_budget():
    score = np.array([[80.0, 95.0], [90.0, 85.0]])
    assert accuracy_vs_pulses._winner(score, np.array([[0, 0], [0, 1]])) == (1, 0)
    assert accuracy_vs_pulses._winner(score, np.array([[1, 0], [0, 1]])) == (0, 1)
    assert accuracy_vs_pulses._winner(score, np.array([[1, 0], [-1, 1]])) is None


def test_accuracy_counts_as_far_as_the_budget_lasts():
    """Three epochs of 10 pulses: two are within 20, none within 9; a run that is not trained has none."""
    accuracy = np.array([[[70.0, 80.0, 90.0], [70.0, 80.0, 90.0]], [[np.nan] * 3] * 2])
    pulses = np.where(np.isnan(accuracy), np.nan, np.array([10.0, 20.0, 30.0]))
    over = ("method", "budget", "epoch")
    data = xr.Dataset(
        {"accuracy": (over, accuracy), "pulses": (over, pulses), "limit": ("budget", [20.0, 9.0])}
    )
    np.testing.assert_array_equal(accuracy_vs_pulses.within(data), [[80.0, np.nan], [np.nan, np.nan]])


def test_held_out_images_are_not_trained_on():
    torch = pytest.importorskip("torch")
    from sptrack.nn.data import Images

    x, y = torch.arange(12.0).reshape(12, 1, 1, 1), torch.arange(12)
    part = accuracy_vs_pulses.held_out(Images(x, y, -x, -y))
    assert part.train.flatten().tolist() == part.train_labels.tolist() == list(range(10))
    assert part.test.flatten().tolist() == part.test_labels.tolist() == [10, 11]
