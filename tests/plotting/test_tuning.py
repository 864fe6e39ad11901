"""Pictures of a study: every number drawn is one of the dataset."""

import numpy as np
import pytest

from sptrack.design import Budget, Plan, SearchSettings, Task, parse_space, tune
from sptrack.plotting.style import new_figure, save_figure
from sptrack.plotting.tuning import plot_held_out, plot_history, plot_slice, tuning_figure
from sptrack.results import load, save
from sptrack.tracking import ProblemSettings, method


def study(*vary, **chosen):
    start = method("e-rider")
    return tune(
        Plan(
            start=start,
            task=Task(settings=ProblemSettings(size=8), steps=400),
            search=SearchSettings(space=parse_space(vary, start), **chosen),
            budget=Budget(trials=14, seeds=2, finalists=2, held_out=3),
        )
    ).labelled()


@pytest.fixture(scope="module")
def data():
    return study()


@pytest.fixture
def ax():
    return new_figure(5.0, 4.0).subplots()


def drawn(ax, text):
    (line,) = [line for line in ax.get_lines() if line.get_label() == text]
    return line


def test_history(ax, data):
    plot_history(ax, data)
    np.testing.assert_array_equal(drawn(ax, "complete").get_ydata(), data["w"])
    np.testing.assert_array_equal(drawn(ax, "given up").get_ydata(), data["seen"])
    best = drawn(ax, "best so far").get_ydata()
    assert best[-1] == np.nanmin(data["w"])
    assert (np.diff(best) <= 0).all()
    assert drawn(ax, "start").get_ydata().tolist() == [float(data["w"][0])]
    taken = int(drawn(ax, "taken").get_xdata()[0])
    assert f"trial {taken}" == data.attrs["chosen"]


def test_held_out(ax, data):
    plot_held_out(ax, data)
    pairs = [line.get_ydata() for line in ax.get_lines()[:3]]
    np.testing.assert_array_equal(np.array(pairs).T, data["held_w"])
    (text,) = [text.get_text() for text in ax.texts]
    assert f"{float(data['difference_w'][1]):+.2g}" in text


def test_slice_over_the_range(ax, data):
    plot_slice(ax, data, "alpha")
    assert ax.get_xscale() == "log"
    low, high = ax.get_xlim()
    assert 0.5e-4 < low < 1e-4
    assert 0.5 < high < 1
    np.testing.assert_array_equal(ax.get_lines()[1].get_xdata(), data["setting_alpha"])


def test_slice_of_a_choice(ax):
    plot_slice(ax, study("estimator=ema|last", "alpha"), "estimator")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["ema", "last"]


@pytest.mark.parametrize("objectives", [("w",), ("programs", "w", "cost")])
def test_the_figure_from_a_file(tmp_path, objectives):
    save(study(objectives=objectives), tmp_path / "a.nc")
    figure = tuning_figure(load(tmp_path / "a.nc"))
    assert sum(len(part.axes) for part in figure.subfigs) == 2 + 5
    save_figure(figure, tmp_path / "a.png")
