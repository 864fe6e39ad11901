"""Pictures of designs from datasets alone: axes, units, legends, and what they must not hide."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sptrack import load
from sptrack.plotting.design import design_figure, pareto_figure
from sptrack.results import dataset, provenance

NAMES = ["bias", "rms", "settling", "converging", "weights", "pulses", "reads", "programs", "signal"]
VERDICTS = ["no limit", "met", "missed", "predicted", "uncertain", "no limit", "no limit", "no limit", "met"]


@pytest.fixture
def made():
    """A design by hand: rms met, settling missed, converging predicted alone."""
    limits = [np.nan, 0.05, 1000.0, 1e4, 0.05, np.nan, np.nan, np.nan, 0.5]
    measured = np.array([0.001, 0.02, 2000.0, np.nan, 0.05, 1e4, 2e4, 0.0, 0.8])
    variables = {
        "limit": (("quantity",), limits, {"units": "1"}),
        "predicted": (("quantity",), [0.001, 0.03, 1500.0, 5e3, 0.03, 1e4, 2e4, 0.0, 0.7], {"units": "1"}),
        "measured": (("quantity",), measured, {"units": "1"}),
        "measured_ci": (("quantity", "end"), measured[:, None] * [0.9, 1.1], {"units": "1"}),
        "verdict": (("quantity",), VERDICTS, {"units": "1"}),
        "quantity_units": (("quantity",), ["weight units"] * 9, {"units": "1"}),
        "left_measured": (("sample",), [0.5, 0.1], {"units": "1"}),
        "left_predicted": (("sample",), [0.6, 0.1], {"units": "1"}),
        "rms_measured": (("sample",), [0.2, 0.02], {"units": "weight units"}),
    }
    coordinates = {
        "quantity": (("quantity",), NAMES, {}),
        "step": (("sample",), [100, 200], {"units": "steps"}),
    }
    setting = {"alpha": 0.01, "estimator": "ema", "eta": 0.001, "rate": "eta 0.001", "every": 1}
    spec = {"requirements": {"rms": 0.05}, "device": "soft-bounds", "steps": 200}
    asked = {"specification": spec, "setting": setting, "gamma": 0.5, "beta": 0.001, "seeds": 8, "met": False}
    return dataset(variables, coordinates, provenance(seed=0, parameters=asked))


def test_every_requirement_stands_on_its_side_of_the_limit(made):
    figure = design_figure(made)
    requirements, left, error = figure.axes
    assert [tick.get_text() for tick in requirements.get_yticklabels()] == [
        "signal", "weights", "converging", "settling", "rms",
    ]  # fmt: skip
    dots = [line for line in requirements.lines if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    assert sorted(round(float(line.get_xdata()[0]), 3) for line in dots) == [0.4, 0.625, 1.0, 2.0]
    assert "its limit" in requirements.get_xlabel()
    assert left.get_ylabel() == "fraction of start offset"
    assert "weight units" in error.get_ylabel()
    assert "not all requirements met" in figure.get_suptitle()
    assert {text.get_text() for text in left.get_legend().get_texts()} >= {"predicted", "simulated, mean"}


def test_fronts_show_kinds_units_and_upper_limits():
    data = load(Path(__file__).parents[2] / "figures" / "design_pareto.nc")
    measured = xr.Dataset(
        {
            "pulses": ("point", [1e4, 1e5]),
            "bias": ("point", [0.01, 0.0]),
            "bias_ci": (("point", "end"), [[0.005, 0.02], [0.0, 0.001]]),
            "rms": ("point", [0.02, 0.01]),
            "rms_ci": (("point", "end"), [[0.01, 0.03], [0.005, 0.02]]),
        }
    )
    figure = pareto_figure(data, measured)
    bias, rms = figure.axes
    for ax in (bias, rms):
        assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
        assert ax.get_xlabel() == "pulses per cell and run"
    assert "weight units" in bias.get_ylabel()
    lines = {line.get_label(): line for line in rms.lines}
    assert {"observer", "filter, up to 100 events", "filter, more events", "filter, not programmed"} <= set(
        lines
    )
    assert all((np.diff(line.get_ydata()) <= 0).all() for name, line in lines.items() if "filter" in name)
    assert float(lines["observer"].get_ydata()[-1]) == pytest.approx(
        float(data["candidate_rms"].values[data["estimator"].values == "observer"].min()), rel=1e-9
    )
    limits = [line for line in bias.lines if line.get_label() == "simulated: not above"]
    assert [line.get_ydata().tolist() for line in limits] == [[0.001]]
