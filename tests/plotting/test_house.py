"""Figures of the gallery, drawn from their stored data, follow the house style."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

import analysis
from sptrack import load
from sptrack.plotting.style import save_figure
from tests.plotting.looks import faults

GALLERY = Path(__file__).parents[2] / analysis.GALLERY
NAMES = (
    "eta_budget",
    "validity_map",
    "zs_bias_anatomy",
    "zs_offset_vs_pulses",
    "calibrators_nonlinear",
    "chopper_ablation",
    "rider_invariant",
    "zs_pulses_vs_granularity",
    "bounds_atlas",
    "calibrators_compared",
    "chopper_spectrum",
    "convergence_rate",
    "design_pareto",
    "error_budget",
    "filter_response",
    "measured_response",
    "moving_symmetric_point",
    "observer_limits",
    "pulse_complexity",
    "tone_response",
    "tracking_error_vs_pulses",
    "bias_vs_chopper",
    "training_ablations",
    "observer_in_training",
    "seed_spread",
    "accuracy_vs_pulses",
    "pulse_cost_to_loss",
)


@pytest.mark.parametrize(
    "name", [*NAMES[:3], *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES[3:])]
)
def test_a_figure_has_a_headline_and_no_small_overlapping_or_cut_text(name):
    figure = analysis.study(name).plot(load(GALLERY / f"{name}.nc"))
    assert len(figure.get_suptitle()) > 20
    assert len(figure.axes) <= 6
    assert faults(figure) == []


@pytest.mark.parametrize(
    "name",
    [
        "error_budget",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("pulse_complexity", "tone_response")),
    ],
)
def test_a_stored_picture_is_that_of_its_stored_data(tmp_path, name):
    """RMS of the pixels' difference within 3 % of full scale, for other versions of fonts and renderer."""
    save_figure(analysis.study(name).plot(load(GALLERY / f"{name}.nc")), tmp_path / "a.png")
    drawn, stored = (imread(path) for path in (tmp_path / "a.png", GALLERY / f"{name}.png"))
    assert drawn.shape == stored.shape
    assert np.sqrt(np.mean((drawn - stored) ** 2)) < 0.03
    assert np.sqrt(np.mean((np.roll(drawn, 9, axis=0) - stored) ** 2)) > 0.03
