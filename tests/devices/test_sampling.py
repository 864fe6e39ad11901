from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sptrack.devices import (
    Asymmetry,
    ConstantStep,
    CycleNoise,
    Device,
    OneSidedAsymmetry,
    PowStep,
    Reference,
    SoftBounds,
    Spread,
    SymmetricPoints,
    cells_from_parameters,
    load_map,
    sample_cells,
)
from sptrack.errors import ParameterError
from tests.devices.zoo import RESPONSES, WITH_POINT, device

N = 100
SQUARE = (N, N)


def plain(**spread):
    return Device(dw_min=0.01, spread=Spread(**spread))


def scales(cells):
    """a_plus and a_minus of each cell."""
    return (np.asarray(row, np.float64) / cells.dw_min for row in cells.law.cell[:2])


def assert_normal(values, mean, std):
    """n = 1e4 draws: mean within 4 sigma (std/100), std within 4 sigma (std/141), Kolmogorov at the 1e-3
    level.
    """
    z = (values.ravel() - mean) / std
    assert abs(z.mean()) < 4.0 / N
    assert abs(z.std() - 1.0) < 4.0 / (N * np.sqrt(2.0))
    assert stats.kstest(z, "norm").statistic * N < 1.95


@pytest.mark.compiled
def test_the_default_device_is_the_published_array():
    """512 x 512: clipped 4.2 to 4.3 %, SP 0.3048 +- 0.3169; sigma of mean and std 6.2e-4 and 4.4e-4."""
    cells = sample_cells(Device(), (512, 512), seed=1)
    assert 0.041 < cells.clip_fraction < 0.0442
    assert cells.symmetric_point.mean() == pytest.approx(0.3048, abs=4 * 6.2e-4)
    assert cells.symmetric_point.std() == pytest.approx(0.3169, abs=4 * 4.4e-4)


def test_spread_of_the_gain():
    up, down = scales(sample_cells(plain(dw_min=0.3, log_normal=True), SQUARE, seed=1))
    np.testing.assert_array_equal(up, down)
    assert_normal(np.log(up), 0.0, 0.3)
    up, _ = scales(sample_cells(plain(dw_min=0.1), SQUARE, seed=1))
    assert_normal(up, 1.0, 0.1)


def test_spread_of_the_asymmetry():
    up, down = scales(sample_cells(plain(asymmetry=Asymmetry(mean=0.1, std=0.15)), SQUARE, seed=2))
    assert_normal(0.5 * (up - down), 0.1, 0.15)
    np.testing.assert_allclose(up + down, 2.0, rtol=1e-6)


def test_spread_of_the_bounds():
    cells = sample_cells(plain(w_max=0.1, w_min=0.2), SQUARE, seed=3)
    assert_normal(cells.upper, 1.0, 0.1)
    assert_normal(cells.lower, -1.0, 0.2)
    assert abs(np.corrcoef(cells.lower.ravel(), cells.upper.ravel())[0, 1]) < 4.0 / N


def test_spread_of_the_shape():
    description = Device(
        response=PowStep(gamma_up=1.4, gamma_down=0.8), dw_min=0.01, spread=Spread(shape=0.1)
    )
    up, down = sample_cells(description, SQUARE, seed=4).law.cell[4:]
    assert_normal(up, 1.4, 0.14)
    assert_normal(down, 0.8, 0.08)


def test_scales_stay_positive_whatever_the_spread():
    cells = sample_cells(
        plain(dw_min=1.0, asymmetry=Asymmetry(std=2.0), w_max=1.0, w_min=1.0), SQUARE, seed=5
    )
    up, down = scales(cells)
    assert min(up.min(), down.min(), cells.upper.min(), -cells.lower.max()) > 0
    lowest = stats.norm.cdf(0.05 - 1.0)  # P of one gain or bound below its limit
    skew = 2.0 * stats.norm.sf(0.95 / 2.0)  # at the mean gain; a rough guide
    assert cells.clip_fraction == pytest.approx(1.0 - (1.0 - lowest) ** 3 * (1.0 - skew), abs=0.06)


@pytest.mark.parametrize("off", ["dw_min", "w_max", "w_min", "asymmetry", "corrupt"])
def test_switching_one_spread_off_leaves_the_other_draws(off):
    everything = {"dw_min": 0.1, "w_max": 0.1, "w_min": 0.1, "asymmetry": Asymmetry(std=0.1), "corrupt": 0.2}
    cells = sample_cells(plain(**everything), (9, 9), seed=6)
    other = sample_cells(plain(**{k: v for k, v in everything.items() if k != off}), (9, 9), seed=6)
    same = {
        "lower": np.array_equal(cells.lower, other.lower),
        "upper": np.array_equal(cells.upper, other.upper),
        "gain": np.allclose(*(np.add(*scales(c)) for c in (cells, other)), rtol=1e-6),
        "skew": np.allclose(*(np.subtract(*scales(c)) for c in (cells, other)), atol=1e-7),
    }
    changed = {
        "dw_min": {"gain"},
        "w_max": {"upper"},
        "w_min": {"lower"},
        "asymmetry": {"skew"},
        "corrupt": {"lower", "upper", "gain", "skew"},
    }[off]
    stuck = cells.lower == cells.upper
    assert 4 < stuck.sum() < 30
    assert {name for name, equal in same.items() if not equal} == changed
    if off == "corrupt":
        np.testing.assert_array_equal(cells.lower[~stuck], other.lower[~stuck])


def test_seeds_and_sizes():
    one, same, other = (sample_cells(Device(), (4, 8), seed=s).law.cell for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(sample_cells(Device(), (8, 8), seed=1).law.cell[:, :32], one)


@pytest.mark.compiled
@pytest.mark.parametrize("name", WITH_POINT)
def test_symmetric_points_come_out_as_asked(name):
    """The point itself is drawn: mean, std and distribution over 1e4 cells, with a spread of gains."""
    asked = SymmetricPoints(mean=-0.05, std=0.12)
    cells = sample_cells(
        device(name, asymmetry=asked, w_max=0.0, w_min=0.0, shape=0.0), SQUARE, seed=7, dtype=np.float64
    )
    assert cells.clip_fraction == 0.0
    assert_normal(cells.symmetric_point, -0.05, 0.12)


def test_points_beyond_the_limit_are_clipped_and_counted():
    asked = SymmetricPoints(mean=0.3, std=0.4, limit=0.5)
    cells = sample_cells(
        Device(response=SoftBounds(w_max=1.2, w_min=-0.8), spread=Spread(asymmetry=asked)), SQUARE
    )
    point = cells.symmetric_point
    assert point.min() == pytest.approx(0.2 - 0.5, abs=1e-6)
    assert point.max() == pytest.approx(0.2 + 0.5, abs=1e-6)
    clipped = stats.norm.cdf(-0.6 / 0.4) + stats.norm.sf(0.4 / 0.4)
    assert cells.clip_fraction == pytest.approx(clipped, abs=4.0 * np.sqrt(clipped / 1e4))


def test_points_that_a_family_cannot_have_are_refused():
    constant = Device(
        response=ConstantStep(), dw_min=0.01, spread=Spread(asymmetry=SymmetricPoints(mean=0.1))
    )
    with pytest.raises(ParameterError, match="not one that constant-step can have"):
        sample_cells(constant, (2, 2))
    narrow = Spread(asymmetry=SymmetricPoints(mean=0.9), w_max=0.3)
    with pytest.raises(ParameterError, match="not one that soft-bounds can have"):
        sample_cells(Device(spread=narrow), SQUARE)


@pytest.mark.parametrize("name", list(RESPONSES))
def test_corrupt_cells_are_stuck(name):
    """2000 cells, probability 0.2: the share within 4 sigma (0.036); values uniform in the range."""
    description = device(name, corrupt=0.2, corrupt_range=0.3)
    cells = sample_cells(description, (40, 50), seed=8)
    stuck = cells.lower == cells.upper
    assert stuck.mean() == pytest.approx(0.2, abs=0.036)
    assert np.abs(cells.lower[stuck]).max() <= 0.3
    assert stats.kstest(cells.lower[stuck], "uniform", args=(-0.3, 0.6)).pvalue > 1e-3
    for step in cells.steps(cells.lower):
        assert (step[stuck] == 0.0).all()
        assert np.isfinite(step).all()
    assert np.isnan(cells.symmetric_point[stuck]).all()


def test_the_simulators_asymmetry_acts_on_one_side():
    """u+ = g + min(m, 0) + r, u- = g - max(m, 0) - r."""
    up, down = scales(sample_cells(plain(asymmetry=OneSidedAsymmetry(mean=0.3)), (2, 2)))
    np.testing.assert_allclose([up, down], [np.ones(4), np.full(4, 0.7)], rtol=1e-6)
    up, down = scales(sample_cells(plain(asymmetry=OneSidedAsymmetry(mean=-0.2, std=0.1)), SQUARE, seed=9))
    assert_normal(up, 0.8, 0.1)
    assert_normal(down, 1.0, 0.1)


def test_the_simulators_way_with_impossible_draws():
    """Negative scales lose their sign; crossed bounds are swapped, then upper and lower get their signs."""
    wild = Spread(dw_min=1.0, w_max=1.5, w_min=1.5, asymmetry=OneSidedAsymmetry())
    cells = sample_cells(Device(dw_min=0.01, spread=wild), SQUARE, seed=10)
    tame = sample_cells(Device(dw_min=0.01, spread=replace(wild, asymmetry=Asymmetry())), SQUARE, seed=10)
    low, high = tame.lower, tame.upper
    kept = (low < -0.0501) & (high > 0.0501)
    np.testing.assert_array_equal(cells.lower[kept], low[kept])
    np.testing.assert_array_equal(cells.upper[kept], high[kept])
    assert (cells.upper >= 0).all()
    assert (cells.lower <= 0).all()
    assert cells.clip_fraction == 0.0
    up, _ = scales(cells)
    assert up.min() >= 0.0
    assert np.mean(up < 0.05) == pytest.approx(stats.norm.cdf(-0.95) - stats.norm.cdf(-1.05), abs=0.01)


def test_reference_is_the_symmetric_point_plus_an_error():
    description = replace(device("soft-bounds"), reference=Reference(mean=0.05, std=0.1))
    cells = sample_cells(description, SQUARE, seed=11)
    assert_normal(cells.reference - cells.symmetric_point, 0.05, 0.1)
    np.testing.assert_allclose(cells.target, cells.symmetric_point - cells.reference, atol=1e-12)
    alone = sample_cells(
        replace(description, reference=Reference(subtract=False, mean=0.05)), SQUARE, seed=11
    )
    np.testing.assert_allclose(alone.reference, 0.05)


def test_given_parameters_are_taken_as_they_are():
    up, low = np.full((2, 3), 0.02), np.linspace(-1.2, -0.7, 6).reshape(2, 3)
    cells = cells_from_parameters(Device(), {"step_up": up, "w_min": low}, reference=np.ones((2, 3)))
    np.testing.assert_allclose(cells.lower, low, rtol=1e-7)
    np.testing.assert_allclose(cells.steps(0.5)[0], 0.01, rtol=1e-6)
    np.testing.assert_allclose(cells.steps(low / 2)[1], 0.0005, rtol=1e-6)
    np.testing.assert_array_equal(cells.reference, 1.0)


@pytest.mark.parametrize("name", list(RESPONSES))
def test_every_row_of_sampled_cells_can_be_given_back(name):
    description = device(name)
    cells = sample_cells(description, (3, 4), seed=12, dtype=np.float64)
    names = ("step_up", "step_down", "w_min", "w_max", *description.response.row_names())
    rows = {n: row.reshape(3, 4) for n, row in zip(names, cells.law.cell, strict=True)}
    again = cells_from_parameters(description, rows, dtype=np.float64)
    np.testing.assert_array_equal(again.law.cell, cells.law.cell)


MAP = np.ones((2, 3))


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"step_upp": MAP}, "did you mean 'step_up'"),
        ({}, "must have one shape"),
        ({"step_up": MAP, "step_down": MAP.T}, "must have one shape"),
        ({"step_up": np.ones(3)}, "must have one shape"),
        ({"step_up": -MAP}, "steps >= 0"),
        ({"step_up": np.where(np.eye(2, 3), np.nan, 0.1)}, r"cell \(0, 0\)"),
        ({"w_min": 2.0 * MAP}, "w_min <= w_max"),
        ({"slope_up": np.full((2, 3), np.inf)}, "not finite"),
    ],
)
def test_bad_given_parameters(parameters, says):
    with pytest.raises(ParameterError, match=says) as caught:
        cells_from_parameters(Device(), parameters)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: sample_cells(Device(), (0, 3)), "two positive numbers"),
        (lambda: sample_cells(Device(), (3,)), "two positive numbers"),
        (lambda: sample_cells(Device(), (2.5, 3)), "two positive numbers"),
        (lambda: sample_cells(Device(), (2, 2), dtype=np.float16), "float32 or float64"),
        (lambda: Device(dw_min=0.0), "dw_min must .*got 0.0"),
        (lambda: Device(dw_min=3.0), "below the range 2"),
        (lambda: Device(dw_min=float("nan")), "dw_min must .*got nan"),
        (lambda: Device(write_noise=-1.0), "write_noise must .*got -1.0"),
        (lambda: Spread(dw_min=-0.1), "spread.dw_min must .*got -0.1"),
        (lambda: Spread(corrupt=1.5), "spread.corrupt must .*got 1.5"),
        (lambda: Asymmetry(std=float("inf")), "asymmetry.std must .*got inf"),
        (lambda: Asymmetry(mean=float("nan")), "asymmetry.mean must .*got nan"),
        (lambda: SymmetricPoints(limit=1.0), "asymmetry.limit must .*got 1.0"),
        (lambda: CycleNoise(std=-0.3), "cycle_noise.std must .*got -0.3"),
        (lambda: Reference(mean=float("nan")), "reference.mean must .*got nan"),
        (lambda: sample_cells(Device(), (2, 2)).with_reference(np.ones(3)), r"shape \(3,\)"),
        (lambda: sample_cells(Device(), (2, 2)).with_reference(np.full((2, 2), np.nan)), "finite"),
    ],
)
def test_bad_descriptions_are_refused_on_one_line(make, says):
    with pytest.raises(ParameterError, match=says) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", ["npy", "csv"])
def test_maps_come_back_from_files(tmp_path, suffix):
    path, values = tmp_path / f"map.{suffix}", np.arange(6.0).reshape(2, 3) / 7.0
    if suffix == "npy":
        np.save(path, values)
    else:
        path.write_text(
            "# symmetric points\n\n" + "\n".join(",".join(map(repr, row)) for row in values.tolist())
        )
    np.testing.assert_array_equal(load_map(path), values)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none.npy", None, "none.npy"),
        ("map.txt", b"1,2", "a .npy or .csv file"),
        ("map.csv", b"1,2\n3,x\n", "row 2: could not convert"),
        ("map.csv", b"1,2\n3\n", "row 2: 1 values, the rows above have 2"),
        ("map.csv", b"1,2\n3,nan\n", "row 2 of the table is not finite"),
        ("map.csv", b"", "two axes"),
        ("map.csv", b"\xff\xfe\x00", "map.csv"),
        ("map.npy", b"", "map.npy"),
        ("map.npy", b"not an array", "map.npy"),
    ],
)
def test_bad_map_files(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ParameterError, match=says) as caught:
        load_map(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("values", [np.ones(3), np.full((2, 2), np.inf), np.array([["a", "b"]])])
def test_bad_arrays_in_files(tmp_path, values):
    np.save(tmp_path / "map.npy", values)
    with pytest.raises(ParameterError, match=r"map\.npy"):
        load_map(tmp_path / "map.npy")
