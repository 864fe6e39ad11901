import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sptrack.errors import ParameterError
from sptrack.results import (
    arrays,
    dataset,
    json_text,
    load,
    output_folder,
    provenance,
    read_provenance,
    save,
    write_atomic,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    dw_min: float
    bounds: tuple[float, float]


def make(values, **parameters):
    return dataset(
        {"sp": (("row", "column"), values, {"units": "weight units", "long_name": "symmetric point"})},
        {"row": ("row", np.arange(values.shape[0]), {"units": "1"})},
        provenance(seed=7, parameters=parameters),
    )


@pytest.fixture(autouse=True, scope="module")
def quickly():
    """Without waiting for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "map.nc"
    save(make(np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)), path)
    return path


@settings(deadline=None)
@given(
    hnp.arrays(
        st.sampled_from(["<f4", "<f8", "<i4", ">f8"]),
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=4),
    )
)
def test_round_trip_keeps_values_bit_for_bit(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("round") / "map.nc"
    made = make(values)
    save(made, path)
    loaded = load(path)
    xr.testing.assert_identical(loaded, made)
    assert loaded.sp.values.astype(values.dtype).tobytes() == values.tobytes()


def test_round_trip_keeps_labels_units_and_provenance(tmp_path):
    settings = np.array(["cyclic", "stochastic Δw"])
    origin = provenance(seed=2**100, parameters={"device": Setting(dw_min=1e-3, bounds=(-1.0, 1.0))})
    made = dataset(
        {"rms": ("setting", np.array([0.1, np.nan]), {"units": "weight units"})},
        {"setting": ("setting", settings, {})},
        origin,
    )
    save(made, tmp_path / "r.nc")
    loaded = load(tmp_path / "r.nc")
    xr.testing.assert_identical(loaded, made)
    assert read_provenance(loaded) == origin
    assert origin["seed"] == 2**100
    assert origin["parameters"] == {"device": {"dw_min": 1e-3, "bounds": [-1.0, 1.0]}}


def test_arrays_and_the_dataset_of_them_are_read_alike(tmp_path):
    weight, one = {"units": "weight units", "long_name": "Δw"}, {"units": "1"}
    made = arrays(
        {
            "sp": (("row", "column"), np.array([[0.5, np.nan, -0.0]], np.float32), weight),
            "live": ("column", np.array([True, False, True]), one),
            "count": ("column", np.array([1, 2**60, 3]), one),
            "total": ((), 2.5, one),
        },
        {
            "column": ("column", np.array(["a", "b", "µ"]), {}),
            "angle": (("column",), np.linspace(0, 1, 3), {"units": "rad"}),
            "run": ((), 7, one),
        },
        provenance(seed=1, parameters={}),
    )
    save(made, tmp_path / "arrays.nc")
    save(made.labelled(), tmp_path / "labelled.nc")
    xr.testing.assert_identical(load(tmp_path / "arrays.nc"), made.labelled())
    xr.testing.assert_identical(load(tmp_path / "arrays.nc"), load(tmp_path / "labelled.nc"))
    assert load(tmp_path / "arrays.nc")["live"].dtype == bool
    np.testing.assert_array_equal(made["angle"], [0, 0.5, 1])
    assert "angle" in made
    assert "sp" in made
    assert "row" not in made


def test_arrays_are_written_without_xarray(tmp_path):
    code = """
import sys, numpy as np
from sptrack.results import arrays, provenance, save
one = {"units": "1"}
save(arrays({"x": ("n", np.ones(3), one)}, {}, provenance(seed=None, parameters={})), sys.argv[1])
print(sorted({"xarray", "pandas"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "x.nc"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
    np.testing.assert_array_equal(load(tmp_path / "x.nc")["x"], [1, 1, 1])


def test_a_netcdf_reader_without_sptrack_opens_the_file(saved):
    with xr.open_dataset(saved, engine="h5netcdf") as plain:
        xr.testing.assert_identical(plain.load(), load(saved))


def test_every_changed_bit_is_found(saved):
    content = saved.read_bytes()
    places = np.random.default_rng(1).integers(0, len(content), 200)
    for place in [0, len(content) - 1, *places]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 8)
        saved.write_bytes(damaged)
        with pytest.raises(ParameterError, match=r"damaged|not a complete"):
            load(saved)


@pytest.mark.parametrize("size", [0, 1, 70, 500, -1, -72])
def test_a_cut_file_is_refused_in_one_line(saved, size):
    saved.write_bytes(saved.read_bytes()[:size])
    with pytest.raises(ParameterError, match=r"map\.nc: not a complete sptrack dataset") as caught:
        load(saved)
    assert "\n" not in str(caught.value)


def test_foreign_and_missing_files_are_refused(tmp_path):
    foreign = tmp_path / "foreign.csv"
    foreign.write_text("up,down\n" * 100)
    with pytest.raises(ParameterError, match="no checksum"):
        load(foreign)
    with pytest.raises(ParameterError, match="cannot be read"):
        load(tmp_path / "absent.nc")


@pytest.mark.parametrize("attributes", [{}, {"units": ""}, {"long_name": "symmetric point"}])
def test_a_variable_without_units_is_refused(attributes):
    with pytest.raises(ParameterError, match="'sp' has no units"):
        dataset({"sp": ("cell", np.zeros(3), attributes)}, {}, {})
    with pytest.raises(ParameterError, match="'cell' has no units"):
        dataset({}, {"cell": ("cell", np.zeros(3), attributes)}, {})


def test_a_shape_that_does_not_fit_is_refused():
    with pytest.raises(ParameterError, match="dataset: "):
        dataset({"sp": (("row", "column"), np.zeros(3), {"units": "1"})}, {}, {})


@pytest.mark.parametrize("attributes", [{}, {"provenance": "text"}, {"provenance": "[1]"}, {"provenance": 3}])
def test_save_refuses_a_dataset_without_provenance(tmp_path, attributes):
    bare = xr.Dataset({"sp": ("cell", np.zeros(3), {"units": "1"})}, attrs=attributes)
    with pytest.raises(ParameterError, match="provenance"):
        save(bare, tmp_path / "bare.nc")
    assert not any(tmp_path.iterdir())


def test_inputs_stay_as_they_are(tmp_path):
    values = np.arange(6.0).reshape(2, 3)
    values.flags.writeable = False
    attributes = {"units": "weight units"}
    variables = {"sp": (("row", "column"), values, attributes)}
    made = dataset(variables, {}, provenance(seed=None, parameters={}))
    before = made.copy(deep=True)
    save(made, tmp_path / "a.nc")
    assert attributes == {"units": "weight units"}
    assert list(variables) == ["sp"]
    xr.testing.assert_identical(made, before)


def test_json_is_strict_and_plain():
    value = {
        "array": np.array([[1.5, np.nan], [np.inf, -2.0]]),
        "count": np.int64(3),
        "flag": np.bool_(True),
        "path": Path("a") / "b",
        "setting": Setting(dw_min=float("nan"), bounds=(0.0, 1.0)),
        3: None,
    }
    text = json_text(value)
    assert text.endswith("}\n")
    assert json.loads(text, parse_constant=pytest.fail) == {
        "array": [[1.5, None], [None, -2.0]],
        "count": 3,
        "flag": True,
        "path": "a/b",
        "setting": {"dw_min": None, "bounds": [0.0, 1.0]},
        "3": None,
    }
    with pytest.raises(ParameterError, match="type object has no JSON form"):
        json_text({"x": object()})


def test_write_atomic_replaces_whole_files(tmp_path):
    path = tmp_path / "certificate.json"
    write_atomic(path, "long " * 100)
    write_atomic(path, "µ\n")
    assert path.read_bytes() == "µ\n".encode()
    write_atomic(path, b"\x00\r\n")
    assert path.read_bytes() == b"\x00\r\n"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "certificate.json"
    write_atomic(path, "old")

    def refuse(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_atomic_refuses_impossible_targets(tmp_path):
    with pytest.raises(ParameterError, match="does not exist"):
        write_atomic(tmp_path / "absent" / "a.json", "")
    with pytest.raises(ParameterError, match="is a folder"):
        write_atomic(tmp_path, "")


def names(folder):
    return sorted(f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file())


def write_and_raise(target, failure):
    with output_folder(target) as folder:
        write_atomic(folder / "map.nc", "lost")
        raise failure


def test_output_folder_appears_only_when_complete(tmp_path):
    target = tmp_path / "out"
    with output_folder(target) as folder:
        (folder / "figures").mkdir()
        write_atomic(folder / "figures" / "a.svg", "a")
        assert folder.parent == tmp_path
        assert not target.exists()
    assert names(target) == [".sptrack", "figures/a.svg"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("failure", [ParameterError, KeyboardInterrupt])
def test_a_failing_block_leaves_nothing(tmp_path, failure):
    with pytest.raises(failure):
        write_and_raise(tmp_path / "out", failure)
    assert not any(tmp_path.iterdir())


def test_a_second_run_replaces_its_own_files_and_no_others(tmp_path):
    target = tmp_path / "out"
    with output_folder(target) as folder:
        write_atomic(folder / "map.nc", "1")
        write_atomic(folder / "old.svg", "1")
    (target / "notes.txt").write_text("mine")
    with pytest.raises(RuntimeError):
        write_and_raise(target, RuntimeError)
    assert (target / "map.nc").read_text() == "1"
    with output_folder(target) as folder:
        write_atomic(folder / "map.nc", "2")
    assert names(target) == [".sptrack", "map.nc", "notes.txt"]
    assert (target / "map.nc").read_text() == "2"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_list_cannot_reach_outside_its_folder(tmp_path):
    precious = tmp_path / "precious.txt"
    precious.write_text("keep")
    target = tmp_path / "out"
    target.mkdir()
    (target / ".sptrack").write_text(f"../precious.txt\n{precious}\n")
    with output_folder(target) as folder:
        write_atomic(folder / "a.json", "a")
    assert precious.read_text() == "keep"


def test_output_folder_refuses_what_is_not_its_own(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("text")
    (tmp_path / "file").write_text("text")
    (tmp_path / "empty").mkdir()
    for name, text in [
        ("full", "holds files"),
        ("file", "is a file"),
        ("absent/out", "does not exist"),
    ]:
        with pytest.raises(ParameterError, match=text), output_folder(tmp_path / name):
            pytest.fail("the block must not run")
    with output_folder(tmp_path / "empty") as folder:
        write_atomic(folder / "a.json", "a")
    assert names(tmp_path / "empty") == [".sptrack", "a.json"]


def test_a_long_name_is_written(tmp_path):
    write_atomic(tmp_path / ("x" * 255), "text")
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there").write_text("old")
    (tmp_path / "link").symlink_to("there")
    write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there").read_text() == "new"


def test_a_pipe_is_written_into(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True)
    write_atomic(pipe, "through")
    assert reader.communicate(timeout=20)[0] == "through"
    assert pipe.is_fifo()
