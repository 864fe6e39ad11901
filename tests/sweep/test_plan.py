"""Plans: axes, designs, seeds and hashes of cells, and what is refused."""

from collections import Counter

import numpy as np
import pytest

from sptrack.design.space import Range
from sptrack.errors import ParameterError
from sptrack.sweep import Axis, Plan, load_plan, plan_from_mapping

TINY = {"steps": 200, "problem": {"size": 2}}


def plan(vary, fixed=TINY, **sweep):
    return plan_from_mapping({"sweep": {"command": "track"} | sweep, "set": fixed, "vary": vary})


def test_a_grid_is_all_combinations_in_the_order_of_the_axes():
    made = plan({"method": {"alpha": [0.01, 0.1]}, "steps": [200, 400, 600]}, repeats=2)
    cells = list(made.cells())
    assert [cell.point for cell in cells[::2]] == [(a, s) for a in (0.01, 0.1) for s in (200, 400, 600)]
    assert [cell.repeat for cell in cells] == [0, 1] * 6
    assert cells[-1].parameters["steps"] == 600
    assert cells[-1].parameters["method"] == {"name": "e-rider", "alpha": 0.1}
    assert cells[-1].parameters["problem"] == {"size": 2}


def test_ranges_on_a_grid_are_even_on_their_scale():
    linear = Axis(name="x", range=Range(low=0.0, high=1.0, log=False), count=5)
    log = Axis(name="x", range=Range(low=1e-3, high=10.0), count=5)
    whole = Axis(name="x", range=Range(low=200, high=1000, log=False, multiple=200), count=5)
    assert linear.grid() == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert log.grid() == (1e-3, 1e-2, 0.1, 1.0, 10.0)
    assert whole.grid() == (200, 400, 600, 800, 1000)
    assert all(isinstance(value, int) for value in whole.grid())


def test_whole_ends_make_whole_numbers():
    made = plan(
        {"problem": {"size": {"low": 1, "high": 8}}}, design="random", samples=300, fixed={"steps": 200}
    )
    counts = Counter(point[0] for point in made.design_points())
    assert set(counts) == set(range(1, 9))


@pytest.mark.parametrize("design", ["random", "sobol"])
def test_more_samples_and_repeats_keep_the_cells_that_were_there(design):
    vary = {"method": {"alpha": {"low": 1e-3, "high": 0.1, "scale": "log"}, "name": ["e-rider", "agad"]}}
    few = {cell.key: cell for cell in plan(vary, design=design, samples=16, repeats=2).cells()}
    many = {cell.key: cell for cell in plan(vary, design=design, samples=64, repeats=3).cells()}
    assert len(few) == 32
    assert len(many) == 192
    assert all(many[key].seed == cell.seed for key, cell in few.items())


def test_every_interval_of_a_sobol_design_has_one_point():
    """A scrambled (t, m, s)-net: each of 2^m equal intervals of an axis holds exactly one of 2^m points."""
    unit = Range(low=0.0, high=1.0, log=False)
    axes = tuple(Axis(name=f"problem.{name}", range=unit) for name in ("gradient_noise", "read_noise"))
    points = np.array(list(Plan(command="track", axes=axes, design="sobol").design_points()))
    for column in points.T:
        assert sorted((column * 64).astype(int)) == list(range(64))


def test_log_ranges_are_sampled_evenly_in_the_logarithm():
    """Share of 4096 random points below the geometric mean: 1/2 within 4 sigma = 4/(2 * 64)."""
    vary = {"method": {"alpha": {"low": 1e-4, "high": 0.1, "scale": "log"}}}
    points = np.array([point[0] for point in plan(vary, design="random", samples=4096).design_points()])
    assert points.min() >= 1e-4
    assert points.max() <= 0.1
    assert abs(np.mean(points < 10**-2.5) - 0.5) < 4 / 128


def test_seeds_follow_from_content_and_not_from_place():
    one = {cell.key: cell.seed for cell in plan({"steps": [200, 400]}, repeats=3).cells()}
    other = {cell.key: cell.seed for cell in plan({"steps": [600, 400, 200]}, repeats=3).cells()}
    assert one.items() <= other.items()
    assert len(set(other.values())) == 9
    shifted = {cell.key: cell.seed for cell in plan({"steps": [200, 400]}, repeats=3, seed=1).cells()}
    assert not set(one) & set(shifted)
    assert not set(one.values()) & set(shifted.values())


def test_paired_repeats_share_their_seeds_between_points():
    cells = list(plan({"steps": [200, 400, 600]}, repeats=4, paired=True).cells())
    assert len({cell.key for cell in cells}) == 12
    assert len({(cell.repeat, cell.seed) for cell in cells}) == len({cell.seed for cell in cells}) == 4


def test_seeds_are_uniform():
    """Mean of 4000 seeds over their range: 1/2 within 4 sigma = 4/sqrt(12 * 4000)."""
    seeds = np.array([cell.seed for cell in plan({"steps": [200]}, repeats=4000).cells()]) / 2.0**48
    assert abs(seeds.mean() - 0.5) < 4 / np.sqrt(12 * 4000)
    assert seeds.max() < 1


def test_a_device_is_read_in_and_its_numbers_can_be_varied():
    cells = list(plan({"device": {"dw_min": [0.001, 0.02]}}, {**TINY, "device": "ecram"}).cells())
    other = list(plan({"device": ["ecram", "soft-bounds"]}).cells())
    assert [cell.parameters["device"]["dw_min"] for cell in cells] == [0.001, 0.02]
    assert cells[0].parameters["device"]["response"] == other[0].parameters["device"]["response"]
    assert other[1].point == ("soft-bounds",)


def test_without_a_device_the_default_of_the_command_is_varied():
    """The default of track has a wide spread of symmetric points, which a bare device has not."""
    (cell,) = plan({"device": {"dw_min": [0.001]}}).cells()
    assert cell.parameters["device"]["spread"]["asymmetry"]["kind"] == "symmetric-point"
    assert cell.parameters["device"]["dw_min"] == 0.001


def test_coefficients_of_a_file_are_in_the_cell(tmp_path):
    taps = tmp_path / "taps.csv"
    taps.write_text("0.25\n0.75\n")
    (cell,) = plan({"steps": [200]}, {**TINY, "filter": f"fir:file={taps}"}).cells()
    taps.write_text("0.5\n0.5\n")
    (other,) = plan({"steps": [200]}, {**TINY, "filter": f"fir:file={taps}"}).cells()
    assert "file" not in cell.parameters["filter"]
    assert "0.75" in cell.parameters["filter"]
    assert cell.key != other.key


BAD = {
    "unknown command": (
        {"sweep": {"command": "trak"}},
        r"sweep.command must be one of track, .*\(did you mean 'track'",
    ),
    "no command": ({"vary": {"steps": [200]}}, "sweep.command must be one of .*, got None"),
    "no axis": ({"sweep": {"command": "track"}}, r"\[vary\] must have at least one axis"),
    "empty grid": (
        {"sweep": {"command": "track"}, "vary": {"steps": []}},
        r"steps must have at least one value, got \[\]",
    ),
    "value twice": (
        {"sweep": {"command": "track"}, "vary": {"steps": [200, 400, 200]}},
        "steps must have different values, got 200 twice",
    ),
    "axis twice": (
        {"sweep": {"command": "track"}, "vary": {"method": {"alpha": [0.1]}, "method.alpha": [0.2]}},
        "method.alpha must be one axis, got 2",
    ),
    "unknown parameter": (
        {"sweep": {"command": "track"}, "vary": {"stepz": [200]}},
        r"unknown parameter 'stepz'; choose from method, .*\(did you mean 'steps'",
    ),
    "unknown key": (
        {"sweep": {"command": "track"}, "vary": {"method": {"alfa": [0.2]}}},
        r"unknown key 'method.alfa'; choose from .*alpha.*\(did you mean 'alpha'",
    ),
    "unknown key of a device": (
        {"sweep": {"command": "calibrate"}, "vary": {"device": {"dw_mn": [0.2]}}},
        "unknown key 'dw_mn'.*did you mean 'dw_min'",
    ),
    "unknown parameter of all cells": (
        {"sweep": {"command": "track"}, "set": {"size": 4}, "vary": {"steps": [200]}},
        "unknown parameter 'size'",
    ),
    "value out of range": (
        {"sweep": {"command": "track"}, "vary": {"steps": [200, 300]}},
        "steps must .*a positive multiple of 200.*got 300",
    ),
    "wrong type": ({"sweep": {"command": "track"}, "vary": {"steps": ["many"]}}, "steps must .*got 'many'"),
    "seed": ({"sweep": {"command": "track"}, "vary": {"seed": [1, 2]}}, "seed must not be varied"),
    "seed of all": (
        {"sweep": {"command": "track"}, "set": {"seed": 1}, "vary": {"steps": [200]}},
        "seed must not be set",
    ),
    "no power of two": (
        {"sweep": {"command": "track", "design": "sobol", "samples": 100}, "vary": {"steps": [200]}},
        "samples must be a power of two for sobol, got 100: 64 or 128",
    ),
    "unknown design": (
        {"sweep": {"command": "track", "design": "grit"}, "vary": {"steps": [200]}},
        "design must be one of grid, random, sobol, got 'grit'",
    ),
    "no repeats": (
        {"sweep": {"command": "track", "repeats": 0}, "vary": {"steps": [200]}},
        "repeats must be at least 1, got 0",
    ),
    "truth for a number": (
        {"sweep": {"command": "track", "repeats": True}, "vary": {"steps": [200]}},
        "sweep.repeats must .*a whole number.*got True",
    ),
    "no count": (
        {"sweep": {"command": "track"}, "vary": {"method": {"alpha": {"low": 0.1, "high": 0.2}}}},
        "method.alpha.count must be at least 2 on a grid, got 0",
    ),
    "more counts than numbers": (
        {"sweep": {"command": "track"}, "vary": {"problem": {"size": {"low": 1, "high": 3, "count": 5}}}},
        "problem.size.count must be at most the whole numbers",
    ),
    "one end": (
        {"sweep": {"command": "track"}, "vary": {"method": {"alpha": {"low": 0.1}}}},
        "vary.method.alpha.high must be given",
    ),
    "reversed": (
        {"sweep": {"command": "track"}, "vary": {"method": {"alpha": {"low": 0.2, "high": 0.1}}}},
        "low end below the high end",
    ),
    "unknown scale": (
        {"sweep": {"command": "track"}, "vary": {"steps": {"low": 1, "high": 2, "scale": "lag"}}},
        "scale must be one of linear, log, got 'lag'",
    ),
    "unknown table": ({"sweeep": {}}, r"unknown table 'sweeep'; choose from sweep, set, vary \(did you mean"),
    "no table": ({"sweep": 3}, "sweep must be a table, got 3"),
    "no list": (
        {"sweep": {"command": "track"}, "vary": {"steps": 200}},
        "vary.steps must be a list of values",
    ),
    "inside of a number": (
        {"sweep": {"command": "track"}, "set": {"steps": 200}, "vary": {"steps": {"x": [1]}}},
        "steps.x cannot be varied: steps is not a table",
    ),
    "too many": (
        {"sweep": {"command": "track", "repeats": 10**9}, "vary": {"steps": [200]}},
        "at most 10,000,000 cells, got 1,000,000,000",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_meant_is_refused_in_one_line(name):
    mapping, message = BAD[name]
    with pytest.raises(ParameterError, match=message) as caught:
        plan_from_mapping(mapping, "scan.toml")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("scan.toml: ")


def test_a_file_that_is_not_toml_is_refused(tmp_path):
    path = tmp_path / "scan.toml"
    path.write_text("[vary]\nsteps = [1]\nsteps = [2]\n")
    with pytest.raises(ParameterError, match="not a TOML file"):
        load_plan(path)
