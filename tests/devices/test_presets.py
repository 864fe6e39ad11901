import tomllib
from dataclasses import replace

import numpy as np
import pytest

from sptrack.devices import Device, OneSidedAsymmetry, SoftBounds, Source, Spread, sample_cells
from sptrack.devices.config import device_from_mapping, device_to_toml
from sptrack.devices.presets import preset, preset_names
from sptrack.devices.statistics import BAND, cell_statistics, nominal_cells, response_curves, symmetric_points
from sptrack.errors import ParameterError

# Figures stated with the fits: states as range over the nominal down step at weight 0, write noise in weight
# units, nominal symmetric point (None: the family has none).
PUBLISHED = {
    "reram-es": (1004, 0.101, -0.2172),
    "reram-sb": (1000, 0.112, 0.0),
    "reram-array-om": (21, 0.134, 0.0),
    "reram-array-hfo2": (4.3, 0.270, 0.0),
    "capacitor": (400, 0.0, 0.0),
    "ecram": (1000, 0.0, 0.0),
    "ecram-mo": (7089, 0.0, 0.0),
    "idealized": (10000, 0.0, None),
    "gokmen-vlasov": (1250, 0.0, None),
    "pcm": (62, 0.0, None),
}


def test_the_default_device_has_one_definition():
    device = preset("soft-bounds")
    assert replace(device, source=Source()) == Device()
    assert (device.source.name, preset_names()[0]) == ("soft-bounds", "soft-bounds")


def test_every_preset_is_in_the_table():
    assert set(preset_names()) == {"soft-bounds", *PUBLISHED}


@pytest.mark.parametrize("name", PUBLISHED)
def test_presets_have_their_published_figures(name):
    states, written, point = PUBLISHED[name]
    device = preset(name)
    cell = nominal_cells(device)
    down = cell.steps(0.0)[1].item()
    width = device.response.w_max - device.response.w_min
    assert width / down == pytest.approx(states, rel=0.01)
    assert device.write_noise * device.dw_min == pytest.approx(written, abs=5e-4)
    nominal = symmetric_points(cell).item()
    assert np.isnan(nominal) if point is None else nominal == pytest.approx(point, abs=5e-5)
    assert isinstance(device.spread.asymmetry, OneSidedAsymmetry)
    assert device.source.name == name
    assert device.source.citation


def test_nominal_point_of_the_exponential_fit_balances_the_printed_law():
    w = symmetric_points(nominal_cells(preset("reram-es"))).item()
    z = -0.5 * w - 0.5
    up = 1.0 + 1.18445 * np.exp(5.0 * z)
    down = (1.0 - 0.259359) * (1.0 + 0.081404 * np.exp(-5.0 * z))
    assert up == pytest.approx(down, rel=1e-9)


def test_additive_noise_reference_and_direction_are_those_of_the_fits():
    additive = {name for name in PUBLISHED if preset(name).cycle_noise.additive}
    assert additive == {"reram-sb", "reram-array-om", "reram-array-hfo2", "capacitor"}
    referenced = {name: preset(name).reference.std for name in PUBLISHED if preset(name).reference}
    assert referenced == {"reram-array-om": 0.05, "reram-array-hfo2": 0.05}
    assert [name for name in PUBLISHED if preset(name).one_sided] == ["pcm"]
    assert [name for name in PUBLISHED if preset(name).spread.log_normal] == [
        "reram-array-om",
        "reram-array-hfo2",
    ]


@pytest.mark.parametrize("name", preset_names())
def test_presets_survive_their_toml_text(name):
    assert device_from_mapping(tomllib.loads(device_to_toml(preset(name)))) == preset(name)


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(ParameterError, match="did you mean 'reram-array-hfo2'"):
        preset("reram_array_hfo2")


def test_statistics_count_stuck_cells():
    cells = sample_cells(Device(spread=Spread(corrupt=0.25)), (64, 64))
    # 4096 Bernoulli cells of probability 1/4: sigma 0.0068
    assert cell_statistics(cells).stuck == pytest.approx(0.25, abs=4 * 0.0068)
    assert cell_statistics(cells).without_point == 0.0


@pytest.mark.parametrize("bounds", [(-4.0, 1.0), (-1.0, 4.0)])
def test_a_cell_overshoots_when_a_step_times_its_slope_reaches_one(bounds):
    # the steeper slope is one over the nearer bound, here 1: the product is dw_min
    response = SoftBounds(w_min=bounds[0], w_max=bounds[1])
    for dw_min, share in ((1.0, 1.0), (0.99, 0.0)):
        device = Device(response=response, dw_min=dw_min, spread=Spread())
        assert cell_statistics(sample_cells(device, (2, 2))).overshooting == share


def test_statistics_see_what_a_reference_leaves():
    statistics = cell_statistics(sample_cells(preset("reram-array-om"), (64, 64)))
    # target = -N(0, 0.05) over 4096 cells: sigma of the mean 7.8e-4, of the std 5.5e-4
    assert statistics.target.mean == pytest.approx(0.0, abs=4 * 7.8e-4)
    assert statistics.target.std == pytest.approx(0.05, abs=4 * 5.5e-4)


def test_cells_without_symmetric_point_have_no_moments():
    statistics = cell_statistics(sample_cells(preset("gokmen-vlasov"), (8, 8)))
    assert (statistics.point, statistics.target, statistics.without_point) == (None, None, 1.0)
    assert np.isnan(statistics.overshooting)


def test_curves_are_the_printed_law_and_the_band_holds_its_share_of_the_cells():
    cells = sample_cells(Device(), (64, 64))
    curves = response_curves(cells, 11)
    w = np.linspace(-1.0, 1.0, 11)
    np.testing.assert_allclose(curves.weights, w)
    np.testing.assert_allclose(curves.nominal, [1.3 * (1.0 - w), 0.7 * (1.0 + w)], atol=1e-12)
    assert curves.point == pytest.approx(0.3)
    q = cells.q_plus(w[3])
    inside = np.mean((q > curves.low[0, 3]) & (q < curves.high[0, 3]))
    assert inside == pytest.approx((BAND[1] - BAND[0]) / 100, abs=1e-3)


def test_the_band_ends_where_no_cell_reaches():
    cells = sample_cells(Device(spread=Spread(corrupt=1.0)), (2, 2))
    curves = response_curves(cells, 5)
    assert np.isnan(curves.low).all()
    assert not np.isnan(curves.nominal).any()
