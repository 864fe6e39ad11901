"""How figures are labelled and written."""

import matplotlib
import numpy as np
import pytest

from sptrack.errors import ParameterError
from sptrack.plotting.style import DecadeFormatter, house_style, log_scale, new_figure, save_figure


@pytest.mark.parametrize(("value", "text"), [(1e-3, "10⁻³"), (1.0, "10⁰"), (1e12, "10¹²"), (-100.0, "-10²")])
def test_decades_are_plain_text(value, text):
    formatter = DecadeFormatter()
    formatter.create_dummy_axis(minpos=1e-3)
    formatter.set_locs([1e-3, 1e-2])
    assert formatter(value) == text


def test_ticks_of_less_than_a_decade_have_labels():
    figure = new_figure(4, 3)
    ax = figure.subplots()
    ax.plot([1, 2], [0.2, 0.5])
    log_scale(ax, "y")
    figure.draw_without_rendering()
    shown = [tick.label1.get_text() for tick in ax.yaxis.get_minor_ticks()]
    assert "3×10⁻¹" in shown
    assert not any("$" in text for text in shown)
    assert ax.get_xscale() == "linear"


def test_all_formats_show_one_layout_and_the_same_bytes_again(tmp_path, monkeypatch):
    figure = new_figure(4, 3)
    figure.subplots().plot(np.arange(3))
    layouts = []
    engine = type(figure.get_layout_engine())
    execute = engine.execute
    monkeypatch.setattr(engine, "execute", lambda self, fig: layouts.append(execute(self, fig)))
    paths = [tmp_path / f"a.{ending}" for ending in ("png", "svg", "pdf")]
    save_figure(figure, *paths)
    assert len(layouts) == 1
    first = [path.read_bytes() for path in paths]
    save_figure(figure, *paths)
    assert [path.read_bytes() for path in paths] == first
    assert isinstance(figure.get_layout_engine(), engine)


def test_a_wrong_ending_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ParameterError, match=r"a\.jpg"):
        save_figure(new_figure(1, 1), tmp_path / "a.png", tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []


def test_the_style_is_ours_inside_and_the_users_outside():
    with matplotlib.rc_context({"text.usetex": True, "font.size": 30}):
        with house_style():
            assert matplotlib.rcParams["font.size"] == matplotlib.rcParamsDefault["font.size"]
            assert not matplotlib.rcParams["text.usetex"]
        assert matplotlib.rcParams["font.size"] == 30
