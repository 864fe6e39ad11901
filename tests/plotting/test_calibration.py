"""Figures of a calibration: they show what the dataset holds."""

import numpy as np
import pytest
from matplotlib import pyplot

from sptrack.calibration import zero_shift
from sptrack.crossbar import Crossbar
from sptrack.devices import Device, cells_from_parameters, sample_cells
from sptrack.evaluation.certificate import certify
from sptrack.plotting.calibration import certificate_figure, map_figure
from sptrack.plotting.style import save_figure


def calibrated(cells, counts=(20, 200)):
    return certify(cells, zero_shift(Crossbar(cells), counts)).labelled()


@pytest.fixture(scope="module")
def data():
    return calibrated(sample_cells(Device(dw_min=0.01), (12, 10)))


def test_errors_are_drawn_with_intervals_over_theory_floor_and_target(data):
    ax = certificate_figure(data).axes[0]
    lines = {line.get_label(): line for line in ax.get_lines()}
    np.testing.assert_array_equal(lines["RMS, exact moments"].get_ydata(), data["rms_theory"])
    np.testing.assert_array_equal(ax.containers[0].lines[0].get_ydata(), data["rms_error"])
    ends = np.array([segment[:, 1] for segment in ax.containers[0].lines[2][0].get_segments()])
    np.testing.assert_allclose(ends, data["rms_error_ci"])
    assert {"target (RMS)", "floor of the RMS"} <= set(lines)
    assert lines["target (RMS)"].get_ydata()[0] == 0.02


def test_the_distribution_ends_at_all_cells(data):
    curve = certificate_figure(data).axes[1].get_lines()[-1]
    error = np.abs(data["estimate"].values[-1] - data["symmetric_point"].values)
    assert curve.get_ydata()[-1] == 100
    assert curve.get_xdata()[-1] == pytest.approx(error.max())
    assert curve.get_label() == "200 pulses"


def test_maps_show_estimates_and_errors(data):
    left, right = map_figure(data).axes[:2]
    np.testing.assert_array_equal(left.get_images()[0].get_array(), data["estimate"][-1])
    np.testing.assert_array_equal(
        right.get_images()[0].get_array(), data["estimate"][-1] - data["symmetric_point"]
    )


@pytest.mark.parametrize("draw", [certificate_figure, map_figure])
def test_axes_have_titles_labels_and_units(data, draw):
    for ax in draw(data).axes:
        if ax.get_label() != "<colorbar>":
            assert ax.get_title(loc="left")
            assert ax.get_xlabel()
            assert ax.get_ylabel()
    text = " ".join(ax.get_xlabel() + ax.get_ylabel() for ax in draw(data).axes)
    assert "weight units" in text
    assert pyplot.get_fignums() == []


def overshooting():
    shape = (3, 3)
    given = {"step_up": np.full(shape, 1.2), "step_down": np.full(shape, 0.4)}
    return cells_from_parameters(Device(dw_min=0.5), given)


@pytest.mark.parametrize(
    "cells", [sample_cells(Device(), (1, 1)), overshooting()], ids=["one cell", "no theory, no floor"]
)
def test_unusual_arrays_are_drawn_too(cells, tmp_path):
    data = calibrated(cells)
    for draw in (certificate_figure, map_figure):
        save_figure(draw(data), tmp_path / "figure.png")
        assert (tmp_path / "figure.png").stat().st_size > 10_000
