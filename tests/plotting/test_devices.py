import numpy as np
import pytest
from matplotlib import pyplot

from sptrack.crossbar.portrait import portrait
from sptrack.devices import sample_cells
from sptrack.devices.presets import preset
from sptrack.errors import ParameterError
from sptrack.plotting.devices import device_figure
from sptrack.plotting.style import FORMATS, new_figure, save_figure


@pytest.fixture(scope="module")
def portraits():
    return {
        name: portrait(sample_cells(preset(name), (8, 8)))
        for name in ("reram-array-om", "gokmen-vlasov", "pcm")
    }


@pytest.mark.parametrize("name", ["reram-array-om", "gokmen-vlasov", "pcm"])
def test_a_device_figure_shows_the_data_with_units(portraits, name):
    shown = portraits[name]
    figure = device_figure(shown)
    responses, points, train = figure.axes
    lines = {line.get_label(): line for line in responses.get_lines()}
    np.testing.assert_array_equal(lines["$q_+$, up pulse, nominal cell"].get_ydata(), shown.curves.nominal[0])
    assert ("$q_-$, down pulse, nominal cell" in lines) == (name != "pcm")
    assert any("symmetric point" in label for label in lines) == (name == "reram-array-om")
    for column, line in zip(
        shown.weights.T, [x for x in train.get_lines() if len(x.get_xdata()) > 2], strict=True
    ):
        np.testing.assert_array_equal(line.get_ydata(), column)
    assert all("weight units" in ax.get_xlabel() + ax.get_ylabel() for ax in figure.axes)
    assert bool(points.patches) == (name == "reram-array-om")
    assert name in figure.get_suptitle()


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_figure_gives_the_same_bytes_and_leaves_no_global_state(portraits, tmp_path, suffix):
    files = [tmp_path / f"{k}{suffix}" for k in range(2)]
    for file in files:
        save_figure(device_figure(portraits["pcm"]), file)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].stat().st_size > 5000
    assert pyplot.get_fignums() == []
    assert sorted(tmp_path.iterdir()) == files


def test_a_figure_of_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(ParameterError, match=r"x\.gif.*\.png, \.svg, \.pdf"):
        save_figure(new_figure(2, 2), tmp_path / "x.gif")
    assert not list(tmp_path.iterdir())
