"""The figure of a response shows what the dataset holds."""

import numpy as np
import pytest
from matplotlib import pyplot

from sptrack.blocks import Boxcar, PeriodicChopper
from sptrack.devices import Device, Spread, SymmetricPoints, sample_cells
from sptrack.plotting.response import response_figure
from sptrack.response import OpenLoop, respond
from sptrack.results import read_provenance

pytestmark = pytest.mark.compiled


@pytest.fixture(scope="module")
def data():
    spread = Spread(asymmetry=SymmetricPoints(mean=0.2, std=0.2))
    cells = sample_cells(Device(spread=spread), (1, 16), seed=1)
    driven = OpenLoop(cells=cells, chopper=PeriodicChopper(half_period=10), alpha=0.01, mean=0.2, std=0.4)
    return respond(Boxcar(length=50), driven).data


@pytest.fixture(scope="module")
def axes(data):
    return dict(
        zip(
            ("magnitude", "phase", "delay", "step", "spectrum", "errors"),
            response_figure(data).axes,
            strict=True,
        )
    )


def test_every_panel_has_a_title_and_units(axes):
    text = {name: ax.get_xlabel() + ax.get_ylabel() for name, ax in axes.items()}
    assert all(ax.get_title(loc="left") for ax in axes.values())
    for name, unit in (
        ("magnitude", "dB"), ("phase", "degrees"), ("delay", "steps"), ("step", "steps"),
        ("spectrum", "cycle per step"), ("errors", "weight units"),
    ):  # fmt: skip
        assert unit in text[name]
    assert pyplot.get_fignums() == []


def test_corner_and_chopper_are_marked(data, axes):
    told = read_provenance(data)["parameters"]
    for name in ("magnitude", "phase", "delay", "spectrum"):
        marks = {line.get_label(): line.get_xdata()[0] for line in axes[name].get_lines()}
        assert marks["-3 dB corner"] == told["corner"]
        assert marks["chopper"] == pytest.approx(np.pi / 10)


def test_theory_is_a_line_over_measured_points_and_their_interval(data, axes):
    lines = {line.get_label(): line for line in axes["spectrum"].get_lines()}
    for name, text in (("chopped", "chopped gradient"), ("passed", "what passes")):
        np.testing.assert_array_equal(lines[f"{text}, measured"].get_ydata(), data[name][1:])
        np.testing.assert_array_equal(lines[f"{text}, theory"].get_ydata(), data[f"{name}_expected"][1:])
    low = axes["spectrum"].collections[0].get_paths()[0].vertices[:, 1]
    assert set(data["chopped_low"].values[1:]) <= set(low)


def test_bars_are_predicted_and_points_measured(data, axes):
    bars = [patch.get_width() for patch in axes["errors"].patches]
    np.testing.assert_allclose(bars, np.abs(data["predicted"]))
    points = axes["errors"].containers[1].lines[0].get_xdata()
    np.testing.assert_allclose(points, np.abs(data["measured"])[[0, 3, 4]])
    assert all(f"{value:.3g}" in tick.get_text() for value, tick in zip(
        data["predicted"].values, axes["errors"].get_yticklabels(), strict=True))  # fmt: skip


def test_the_step_is_marked_where_it_has_settled(data, axes):
    line = next(line for line in axes["step"].get_lines() if "settled" in line.get_label())
    assert line.get_xdata()[0] == 49
    assert "50 steps" in line.get_label() or "49 steps" in line.get_label()
