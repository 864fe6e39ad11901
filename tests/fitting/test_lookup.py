"""Look-up tables of steps: both forms of a table with known mean and deviation."""

import numpy as np
import pytest
from scipy.stats import norm

from sptrack import sample_cells
from sptrack.errors import ParameterError
from sptrack.fitting.lookup import is_lookup, read_lookup, table_device

G = np.linspace(10e-6, 90e-6, 41)
SCALE = 1e-6
UP, DOWN = 0.02 * (90e-6 - G), 0.03 * (G - 10e-6)
DEVIATION = 0.3


def quantiles(path, sign, mean):
    """CrossSim's form: conductances, probabilities, steps at each of them."""
    points = np.linspace(0.0, 1.0, 201)
    draws = norm.ppf(np.clip(points, 1e-4, 1 - 1e-4))
    steps = sign * mean + DEVIATION * mean * draws[:, None]
    lines = ["bins, points, steps", *(",".join(f"{v:.9e}" for v in row) for row in (G, points, *steps))]
    path.write_text("\n".join(lines) + "\n")


def cumulative(folder, word, sign, mean):
    """XBTorch's form: axes and probabilities in files of their own."""
    axis = np.linspace(-4e-6, 4e-6, 801)
    with np.errstate(divide="ignore", invalid="ignore"):
        table = norm.cdf((axis - sign * mean[:, None]) / np.maximum(DEVIATION * mean[:, None], 2e-8))
    np.savetxt(folder / f"x_{word}_cdf.txt", table)
    np.savetxt(folder / f"x_{word}_axis_G.txt", G)
    np.savetxt(folder / f"x_{word}_axis_dG.txt", axis)


@pytest.fixture(params=["quantiles", "cumulative"])
def folder(request, tmp_path):
    for word, sign, mean in (("set", 1, UP), ("reset", -1, DOWN)):
        if request.param == "quantiles":
            quantiles(tmp_path / f"dG_{word}.txt", sign, mean)
        else:
            cumulative(tmp_path, word, sign, mean)
    return tmp_path


def test_tables_become_a_device(folder):
    """Steps 0.02 (90 - G) and 0.03 (G - 10): SP 42 uS, w = -0.2; deviation 0.3 of the step (to 6 %)."""
    assert is_lookup([folder])
    tables = read_lookup([folder])
    assert tables.unit == "uS"
    assert tables.symmetric_point == pytest.approx(42.0, abs=0.1)
    inner = slice(5, -5)
    grid = tables.conductance[inner]
    np.testing.assert_allclose(
        tables.mean[:, inner], [0.02 * (90 - grid), 0.03 * (grid - 10)], rtol=0.02, atol=0.01
    )
    np.testing.assert_allclose(
        tables.deviation[:, inner], DEVIATION * tables.mean[:, inner], rtol=0.06, atol=0.02
    )
    device = table_device(tables)
    assert device.dw_min == pytest.approx(0.025, rel=0.02)
    assert device.cycle_noise.std == pytest.approx(DEVIATION, rel=0.06)
    assert device.scale.reading(0.0) == pytest.approx(50.0)
    np.testing.assert_allclose(sample_cells(device, (2, 2)).symmetric_point, -0.2, atol=0.005)


def test_refused_tables(tmp_path):
    quantiles(tmp_path / "set.txt", 1, UP)
    with pytest.raises(ParameterError, match="no table of steps for down pulses"):
        read_lookup([tmp_path])
    quantiles(tmp_path / "up.txt", 1, UP)
    with pytest.raises(ParameterError, match="a second table for up pulses"):
        read_lookup([tmp_path])
    readings = tmp_path / "readings.csv"
    readings.write_text("up,down\n" + "".join(f"{k},{-k}\n" for k in range(30)))
    assert not is_lookup([readings])


@pytest.mark.parametrize(("name", "point"), [("crosssim_enode", 790.0), ("xbtorch_rram", 18.1)])
def test_published_tables(data_folder, name, point):
    tables = read_lookup([data_folder / "devices" / name])
    assert tables.symmetric_point == pytest.approx(point, rel=0.01)
    assert np.all(np.isfinite(sample_cells(table_device(tables), (4, 4)).symmetric_point))
