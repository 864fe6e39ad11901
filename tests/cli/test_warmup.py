"""Compilation ahead of use."""

import json
import os
import subprocess
import sys

import pytest

from sptrack.cli import main

pytestmark = pytest.mark.compiled


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache folder of its own, in which three files are taken for kernels."""
    monkeypatch.setattr("sptrack.kernels.CACHE_FOLDER", tmp_path / "cache")
    monkeypatch.setattr("sptrack.kernels._cache.FOUND", set())
    monkeypatch.setattr("sptrack.kernels._cache.MADE", set())
    return tmp_path / "cache"


def report(capsys):
    assert main(["warmup", "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out)


def runs(folder, monkeypatch, *names):
    """Replace the runs by such as compile so many functions."""
    from sptrack.kernels import _cache

    made = []

    def run(name):
        payload = name.encode()
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(_cache._MARK + _cache.hashlib.sha256(payload).digest() + payload)
        _cache.MADE.add(folder / name)
        made.append(name)

    monkeypatch.setattr("sptrack.cli._runs.small_runs", lambda: [(n, lambda n=n: run(n)) for n in names])
    return made


def test_the_second_call_has_nothing_to_do_while_all_files_are_whole(folder, monkeypatch, capsys):
    made = runs(folder, monkeypatch, "a.bin", "b.bin", "c.bin")
    first = report(capsys)
    assert (first["kernels"], first["compiled"], first["runs"]) == (3, 3, 3)
    second = report(capsys)
    assert (second["kernels"], second["compiled"], second["runs"]) == (3, 0, 0)
    assert made == ["a.bin", "b.bin", "c.bin"]
    (folder / "b.bin").write_bytes(b"cut")
    assert report(capsys)["runs"] == 3
    assert report(capsys)["runs"] == 0
    for listed in folder.glob("warm-*"):
        listed.write_bytes(b"\xff\xfe")
    assert report(capsys)["runs"] == 3


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sptrack.cli._runs.small_runs", list)
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "cache", None):
        monkeypatch.setattr("sptrack.kernels.CACHE_FOLDER", place)
        assert main(["warmup", "--quiet"]) == 0
    assert "no cache folder" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_after_a_warm_up_commands_compile_nothing(tmp_path):
    environment = {**os.environ, "SPTRACK_CACHE_DIR": str(tmp_path / "cache")}

    def start(words):
        return subprocess.run(
            [sys.executable, "-m", "sptrack", *words.split()],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        ).stdout

    first = json.loads(start("warmup --json --quiet"))
    assert first["compiled"] == first["kernels"] > 20
    files = set(tmp_path.rglob("*.bin"))
    assert len(files) == first["kernels"]
    assert json.loads(start("warmup --json --quiet"))["runs"] == 0
    for words in (
        "calibrate --cells 8x8 --pulses 20 40",
        "calibrate --cells 8x8 --pulses 200 400 --method bursts",
        "calibrate --cells 8x8 --pulses 20 40 --mode stochastic --read-noise 0.01",
        "track --compare --steps 200 --seeds 2 --quiet",
        "response",
        "explain",
    ):
        start(words)
        assert set(tmp_path.rglob("*.bin")) == files, words
