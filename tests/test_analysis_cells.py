"""Loops of studies over settings: the same bytes whoever computes them, whatever interrupted them."""

import numpy as np
import pytest

import analysis
from analysis import zs_bias_anatomy
from analysis.__main__ import main
from analysis._cells import cells_kept, each
from analysis._sources import data_sources
from sptrack.errors import SptrackError
from sptrack.sweep import Processes, Serial

SOURCES = {"a": "1"}
POINTS = [(0, 0.01, 0.3), (0, 0.1, 0.3), (1, 0.02, 1.0)]
CALLS = []


def cell(x, *, seed, threads=None):
    CALLS.append(x)
    if x == "fault":
        raise ValueError("no such setting")
    return {"a": np.full(3, x), "b": seed}


@pytest.fixture(autouse=True)
def none_called():
    CALLS.clear()


def same(one, other):
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))


@pytest.mark.compiled
@pytest.mark.parametrize(
    "engine",
    [
        pytest.param(None, id="here"),
        pytest.param(Serial(), id="serial"),
        pytest.param(Processes(workers=2), id="processes", marks=pytest.mark.slow),
    ],
)
def test_every_engine_gives_the_bytes_of_the_plain_loop(tmp_path, engine):
    common = {"runs": 4, "seed": 3, "threads": 2}
    plain = each(zs_bias_anatomy._settle, POINTS, **common)
    with cells_kept(tmp_path / "cells", SOURCES, engine):
        assert same(each(zs_bias_anatomy._settle, POINTS, **common), plain)
        assert len(list((tmp_path / "cells").iterdir())) == len(POINTS)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_loop_goes_on_with_what_is_missing(tmp_path):
    folder = tmp_path / "cells"
    with pytest.raises(ValueError, match="no such setting"), cells_kept(folder, SOURCES):
        each(cell, [(1,), (2,), ("fault",), (3,)], seed=0)
    first, second = sorted(folder.iterdir())
    first.write_bytes(first.read_bytes()[:-1])
    damaged = bytearray(second.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    third = [(1,), (2,), (3,)]
    CALLS.clear()
    with cells_kept(folder, SOURCES):
        found = each(cell, third, seed=0, threads=7)
        assert CALLS in ([1, 3], [2, 3])
        second.write_bytes(damaged)
        CALLS.clear()
        assert [one["a"].tolist() for one in each(cell, third, seed=0)] == [[k] * 3 for k in (1, 2, 3)]
        assert CALLS in ([1], [2])
        assert [int(one["b"]) for one in found] == [0, 0, 0]
    assert not folder.exists()


@pytest.mark.parametrize(
    ("sources", "seed"), [({"a": "2"}, 0), ({"a": "1", "b": "1"}, 0), (SOURCES, 1)], ids=str
)
def test_nothing_is_taken_from_other_sources_or_arguments(tmp_path, sources, seed):
    for told, number in ((SOURCES, 0), (sources, seed)):
        CALLS.clear()
        with pytest.raises(ValueError, match="no such"), cells_kept(tmp_path / "cells", told):
            each(cell, [(1,), ("fault",)], seed=number)
        assert CALLS == [1, "fault"]


def test_what_goes_wrong_in_a_worker_is_told(tmp_path):
    with (
        pytest.raises(SptrackError, match="a cell was not computed: ValueError: no such setting"),
        cells_kept(tmp_path / "cells", SOURCES, Serial()),
    ):
        each(cell, [("fault",)], seed=0)


def test_who_computes_is_no_source_of_the_data():
    names = data_sources("zs_bias_anatomy")
    assert "analysis.zs_bias_anatomy" in names
    assert not [name for name in names if name.startswith(("analysis._cells", "sptrack.sweep"))]


def test_one_engine_at_a_time(capsys):
    assert main(["all", "--workers", "2", "--scheduler", "tcp://a:1"]) == 2
    assert "only one of them" in capsys.readouterr().err


@pytest.mark.compiled
@pytest.mark.slow
def test_a_study_goes_on_after_an_interrupt(tmp_path, monkeypatch):
    """With the data of an unbroken run, which workers share."""
    name, counts = "zs_bias_anatomy", []
    settle = zs_bias_anatomy._settle

    def _settle(*point, **common):
        counts.append(point)
        if len(counts) == 5:
            raise KeyboardInterrupt
        return settle(*point, **common)

    _settle.__module__ = settle.__module__
    with monkeypatch.context() as patch:
        patch.setattr(zs_bias_anatomy, "_settle", _settle)
        _settle.__qualname__ = "_settle"
        with pytest.raises(KeyboardInterrupt):
            analysis.produce(name, tmp_path, small=True)
    assert len(list((tmp_path / f"{name}.cells").iterdir())) == 4
    analysis.produce(name, tmp_path, Processes(workers=2), small=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{name}.{end}" for end in ("nc", "png", "svg")
    ]
    stored = analysis.load(tmp_path / f"{name}.nc")
    fresh = zs_bias_anatomy.run(small=True)
    for variable in fresh.data_vars:
        assert stored[variable].values.tobytes() == fresh[variable].values.tobytes()
