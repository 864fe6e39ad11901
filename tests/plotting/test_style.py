"""How figures are labelled and written."""

from itertools import combinations, pairwise

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from sptrack.errors import ParameterError
from sptrack.plotting.style import (
    COLOURS,
    METHODS,
    PowerFormatter,
    StepLocator,
    headline,
    house_style,
    label_ends,
    log_scale,
    look_of,
    new_figure,
    save_figure,
    show_outside,
    spread,
)
from tests.plotting.looks import faults


@pytest.mark.parametrize(
    ("value", "ends", "text"),
    [
        (1e-3, (1e-5, 1.0), "10⁻³"), (0.02, (1e-2, 1.0), "0.02"), (2e-5, (1e-6, 1e-2), "2×10⁻⁵"),
        (20000.0, (1.0, 1e5), "20,000"), (1e12, (1.0, 1e13), "10¹²"), (0.0, (0.0, 1.0), "0"),
    ],
)  # fmt: skip
def test_ticks_are_plain_text_as_short_as_the_axis_allows(value, ends, text):
    ax = new_figure(4, 3).subplots()
    log_scale(ax, "x")
    ax.set_xlim(max(ends[0], 1e-300), ends[1])
    formatter = PowerFormatter()
    formatter.set_axis(ax.xaxis)
    assert formatter(value) == text


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.9, 120.0, [1, 2, 5, 10, 20, 50, 100]), (0.9, 1100.0, [1, 3, 10, 30, 100, 300, 1000]),
        (1e-6, 1e-1, [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]),
    ],
)  # fmt: skip
def test_logarithmic_ticks_stand_at_1_2_5_where_there_is_room(low, high, ticks):
    np.testing.assert_allclose(StepLocator().tick_values(low, high), ticks)


@pytest.mark.parametrize(("low", "high"), [(0.21, 0.45), (3.1, 3.6), (1e-9, 1e9), (0.5, 0.9)])
def test_every_logarithmic_axis_has_two_to_nine_ticks(low, high):
    ticks = np.array(StepLocator().tick_values(low, high))
    inside = ticks[(ticks >= low) & (ticks <= high)]
    assert 2 <= len(inside) <= 9


def as_seen(colour):
    """CIELAB of a colour as a person without red-sensitive or green-sensitive cones of one kind sees it."""
    linear = np.where((c := np.array(to_rgb(colour))) <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    # deuteranopia of severity 1, Machado, Oliveira and Fernandes 2009, table 1
    seen = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]]) @ linear  # fmt: skip
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(
        seen, 0, 1
    )
    f = np.cbrt(xyz / np.array([0.9505, 1.0, 1.089]))
    f = np.where(
        xyz / np.array([0.9505, 1.0, 1.089]) > 0.008856,
        f,
        7.787 * xyz / np.array([0.9505, 1.0, 1.089]) + 16 / 116,
    )
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_colours_are_told_apart_under_deuteranopia():
    """CIELAB distances of at least 15, six just noticeable differences; a red and a green brown fail that."""
    for one, other in combinations(COLOURS, 2):
        assert np.linalg.norm(as_seen(one) - as_seen(other)) > 15, (one, other)
    assert np.linalg.norm(as_seen("#a05000") - as_seen("#6b7000")) < 15


def test_methods_differ_in_marker_and_four_in_colour():
    looks = list(METHODS.values())
    assert len({look.marker for look in looks}) == len(looks)
    assert len({look.colour for look in looks if look.colour in COLOURS}) == 4
    assert look_of("mine").colour not in COLOURS


def test_labels_are_spread_without_overlap_and_with_least_movement():
    rng = np.random.default_rng(0)
    for _ in range(50):
        places, sizes = np.sort(rng.random(6)), rng.uniform(0.02, 0.15, 6)
        found = spread(places, sizes, 0.0, 1.0)
        gaps = np.diff(found) - (sizes[1:] + sizes[:-1]) / 2
        assert (gaps > -1e-12).all()
    assert spread([0.2, 0.5, 0.9], [0.1] * 3, 0.0, 1.0) == pytest.approx([0.2, 0.5, 0.9])
    assert spread([0.5, 0.5], [0.1, 0.1], 0.0, 1.0) == pytest.approx([0.45, 0.55])


def test_a_headline_is_broken_and_leaves_room():
    figure = new_figure(7.2, 4)
    headline(figure, "word " * 30, "grey " * 40)
    figure.subplots().plot([1, 2])
    assert figure.get_suptitle().count("\n") >= 2
    assert faults(figure) == []


def test_labels_at_line_ends_stand_beside_their_curves():
    figure = new_figure(7.2, 4)
    ax = figure.subplots()
    levels = (1.0, 1.01, 3.0)
    for level in levels:
        ax.plot([0, 1], [level, level])
    label_ends(ax, [(level, f"at {level}", "black") for level in levels])
    assert faults(figure) == []
    heights = [note.xy[1] for note in ax.texts]
    assert all(low < high for low, high in pairwise(heights))


def test_points_outside_are_shown_by_arrows_with_their_values():
    ax = new_figure(7.2, 4).subplots()
    ax.set(xlim=(0, 3), ylim=(0, 1))
    show_outside(ax, [1, 2, 2.5], [0.5, 7.0, -3.0], "black")
    assert [text.get_text() for text in ax.texts] == ["7", "-3"]
    assert [line.get_marker() for line in ax.lines] == ["^", "v"]


def test_faults_of_a_bad_figure_are_found():
    figure = new_figure(5.0, 3.0)
    ax = figure.subplots()
    for k in range(6):
        ax.plot([0, 1, 2], [k, k, k], color=f"C{k}")
    ax.text(1, 1, "first label")
    ax.text(1.05, 1, "second label", fontsize=7)
    ax.annotate("far away", (1.0, 0.5), (0.98, 0.5), xycoords="figure fraction", textcoords="figure fraction",
                annotation_clip=False).set_in_layout(False)  # fmt: skip
    found = " ".join(faults(figure))
    for words in ("width 5 in", "7 pt", "overlaps", "cut by the edge", "6 coloured series"):
        assert words in found


def test_all_formats_show_one_layout_and_the_same_bytes_again(tmp_path, monkeypatch):
    figure, again = (new_figure(4, 3) for _ in range(2))
    for one in (figure, again):
        one.subplots().plot(np.arange(3))
    layouts = []
    engine = type(figure.get_layout_engine())
    execute = engine.execute
    monkeypatch.setattr(engine, "execute", lambda self, fig: layouts.append(execute(self, fig)))
    paths = [tmp_path / f"a.{ending}" for ending in ("png", "svg", "pdf")]
    save_figure(figure, *paths)
    assert len(layouts) == 1
    first = [path.read_bytes() for path in paths]
    save_figure(again, *paths)
    assert [path.read_bytes() for path in paths] == first
    assert isinstance(figure.get_layout_engine(), engine)


def test_a_wrong_ending_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ParameterError, match=r"a\.jpg"):
        save_figure(new_figure(1, 1), tmp_path / "a.png", tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []


def test_the_style_is_ours_inside_and_the_users_outside():
    with matplotlib.rc_context({"text.usetex": True, "font.size": 30}):
        with house_style():
            assert matplotlib.rcParams["font.size"] == 10
            assert not matplotlib.rcParams["text.usetex"]
        assert matplotlib.rcParams["font.size"] == 30
