"""Commands that are killed at any time (kill -9): nothing half or lost, and the same result in the end."""

import json
import os
import random
import resource
import signal
import sys
import time
from contextlib import contextmanager
from importlib import import_module

import pytest

from sptrack.cli import main
from sptrack.sweep import SweepFolder, load_plan

pytestmark = pytest.mark.compiled

CALIBRATE = ["calibrate", "--cells", "32x32", "--pulses", "500", "2000"]
TRACK = ["track", "--method", "e-rider", "--seeds", "2", "--steps", "4000", "--threads", "1"]
WARM = set()
ENDS = {signal.SIGTERM: (143, "sptrack: terminated\n"), signal.SIGINT: (130, "sptrack: interrupted\n")}
TUNE = ["tune", "--vary", "alpha", "--steps", "400", "--seeds", "2", "--trials", "4"]
SWEEP = """
[sweep]
command = "track"
repeats = 20
[set]
steps = 400
problem.size = 2
[vary]
method.alpha = [0.01, 0.02]
"""
TUNE += ["--finalists", "0", "--held-out", "2", "--prune", "none"]
TRAIN = ["train", "--method", "agad", "--batch", "100", "--epochs", "2"]


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Without figures and waits for the disk, with a state after every sample."""
    monkeypatch.setattr("sptrack.plotting.style.save_figure", lambda *_: None)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    for name in ("sptrack.tracking.compare", "sptrack.cli.train"):
        monkeypatch.setattr(import_module(name), "_SAVE_EVERY", 0.0)


def started(words):
    """Number of a forked child that runs a command."""
    child = os.fork()
    if not child:
        status = 99
        try:
            status = main([*map(str, words), "--quiet"])
        finally:
            os._exit(status)
    return child


def killed(words, seconds):
    """Whether a command was killed after that time; else it must have gone well."""
    child = started(words)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -9), status
    return status == -9


def whole_run(words):
    """Seconds that a command takes, whose kernels and modules are in memory before it is forked."""
    if tuple(words[:1]) not in WARM:
        WARM.add(tuple(words[:1]))
        assert main([*map(str, words), "--quiet"]) == 0
    begin = time.monotonic()
    assert os.waitstatus_to_exitcode(os.waitpid(started(words), 0)[1]) == 0
    return time.monotonic() - begin


def texts(folder, *names):
    return [(folder / name).read_bytes() for name in names]


def left(folder):
    """Names of what is unfinished."""
    return [path.name for path in folder.rglob(".sptrack-*")]


def calibrate(tmp_path, kills, rng):
    """Runs of two seeds in turn into one folder, which holds all of one of them at any time."""
    names = ("certificate.json", "symmetric_points.csv")
    seconds, expected = [], []
    for seed in (0, 1):
        words = [*CALIBRATE, "--seed", seed, "--out", tmp_path / f"whole-{seed}"]
        seconds.append(whole_run(words))
        expected.append(texts(tmp_path / f"whole-{seed}", *names))
    hits, longest = 0, 1.2 * min(seconds)
    for k in range(kills):
        words = [*CALIBRATE, "--seed", k % 2, "--out", tmp_path / "out"]
        after = rng.uniform(0, longest)
        hit = killed(words, after)
        hits, longest = hits + hit, longest if hit else after  # it is over by then
        if (tmp_path / "out").exists():
            assert texts(tmp_path / "out", *names) in expected
    whole_run([*CALIBRATE, "--seed", 0, "--out", tmp_path / "out"])
    assert texts(tmp_path / "out", *names) == expected[0]
    assert left(tmp_path) == []
    return hits


def track(tmp_path, kills, rng):
    """A run that goes on from its states after every kill."""
    seconds = whole_run([*TRACK, "--out", tmp_path / "whole"])
    expected = texts(tmp_path / "whole", "track.json")
    hits = 0
    for k in range(kills):
        out = tmp_path / f"out-{k // 4}"
        hits += killed([*TRACK, "--out", out, "--resume"], rng.uniform(0, seconds))
        if (out / "track.json").exists():
            assert texts(out, "track.json") == expected
    for out in tmp_path.glob("out-*"):
        whole_run([*TRACK, "--out", out, "--resume"])
        assert texts(out, "track.json") == expected
        assert left(out) == []
    return hits


def tune(tmp_path, kills, rng):
    """A study that goes on from its journal after every kill, with the same trials and the same choice."""
    seconds = whole_run([*TUNE, "--out", tmp_path / "whole"])
    expected = json.loads((tmp_path / "whole" / "tune.json").read_text())
    hits = 0
    for k in range(kills):
        out = tmp_path / f"out-{k // 4}"
        hits += killed([*TUNE, "--out", out], rng.uniform(0, seconds))
        if (out / "tune.json").exists():
            assert json.loads((out / "tune.json").read_text()) == expected
    for out in tmp_path.glob("out-*"):
        whole_run([*TUNE, "--out", out])
        assert json.loads((out / "tune.json").read_text()) == expected
        assert left(out) == []
    return hits


def sweep(tmp_path, kills, rng):
    """A sweep whose cells are computed by one job, which goes on after every kill with the same records."""
    file = tmp_path / "scan.toml"
    file.write_text(SWEEP)

    def records(out):
        return {path.name: path.read_bytes() for path in (out / "cells").glob("*/*.json")}

    def begun(out):
        SweepFolder.make(out, load_plan(file))
        return ["sweep", "worker", out]

    seconds = whole_run(begun(tmp_path / "whole"))
    expected = records(tmp_path / "whole")
    assert len(expected) == 40
    hits = 0
    for k in range(kills):
        out = tmp_path / f"out-{k // 4}"
        hits += killed(begun(out), rng.uniform(0, seconds))
        assert records(out).items() <= expected.items()
    for out in tmp_path.glob("out-*"):
        whole_run(begun(out))
        assert records(out) == expected
    return hits


@contextmanager
def training():
    """PyTorch in one thread, which a fork does not lose, and no seconds among the results."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'sptrack[nn]'")
    pytest.importorskip("sklearn", reason="needs scikit-learn: pip install 'sptrack[nn]'")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sptrack.nn.training.time.perf_counter", lambda: 0.0)
        yield
    torch.set_num_threads(threads)


def trained(out):
    """Table and state of a training run that is over; a state of it is whole at any time."""
    return texts(out, "train.json", "checkpoints/agad.pt")


def train(tmp_path, kills, rng):
    """A training run that goes on after every kill, within an epoch too, with the same weights in the end."""
    with training():
        seconds = whole_run([*TRAIN, "--out", tmp_path / "whole"])
        expected = trained(tmp_path / "whole")
        hits = 0
        for k in range(kills):
            out = tmp_path / f"out-{k // 4}"
            hits += killed([*TRAIN, "--out", out, "--resume"], rng.uniform(0, seconds))
            if (out / "train.json").exists():
                assert trained(out) == expected
        for out in tmp_path.glob("out-*"):
            whole_run([*TRAIN, "--out", out, "--resume"])
            assert trained(out) == expected
            assert left(out) == []
    return hits


COMMANDS = (track, tune, sweep, train)


@pytest.mark.parametrize(
    "command", [calibrate, *(pytest.param(one, marks=pytest.mark.slow) for one in COMMANDS)]
)
def test_ten_kills(tmp_path, capfd, command):
    hits = command(tmp_path, 10, random.Random(1))
    assert hits >= 4
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("command", [calibrate, *COMMANDS])
def test_hundreds_of_kills(tmp_path, capfd, command):
    hits = command(tmp_path, 334, random.Random(2))
    assert hits >= 100
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_termination_in_the_middle_of_anything(tmp_path, capfd):
    """Signals at random times while commands import, compile, compute and write: cleaned up, one line."""
    rng = random.Random(3)
    words = [*CALIBRATE, "--out", tmp_path / "out"]
    seconds = whole_run(words)
    hits = 0
    for number in [signal.SIGTERM, signal.SIGINT] * 5:
        capfd.readouterr()
        child = started(words)
        time.sleep(0.05 + rng.uniform(0, seconds))
        os.kill(child, number)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        err = capfd.readouterr().err
        if status not in (0, -signal.SIGTERM):  # before it begins, or after its end
            assert (status, err) == ENDS[number]
            hits += 1
        assert left(tmp_path) == []
    assert hits >= 2


@pytest.mark.slow
@pytest.mark.parametrize("number", ENDS)
def test_training_that_is_to_end_goes_on_from_its_last_batch(tmp_path, capfd, number):
    out = tmp_path / "out"
    with training():
        whole_run([*TRAIN, "--out", tmp_path / "whole"])
        capfd.readouterr()
        child = started([*TRAIN, "--out", out])
        while not (out / "checkpoints" / "agad.pt").exists():
            time.sleep(0.001)
        os.kill(child, number)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert (status, capfd.readouterr().err) == ENDS[number]
        assert sorted(path.name for path in out.rglob("*")) == [".sptrack", "agad.pt", "checkpoints"]
        assert left(tmp_path) == []
        whole_run([*TRAIN, "--out", out, "--resume"])
    assert trained(out) == trained(tmp_path / "whole")


def limited(words, size):
    """Status and stderr of a command that can write no more than so many bytes to a file."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 99
        try:
            os.dup2(writing, 2)
            os.close(reading)
            sys.stderr = os.fdopen(2, "w")
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            status = main([*map(str, words), "--quiet"])
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as stream:
        err = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), err


def test_a_full_disk_costs_neither_old_results_nor_the_way_on(tmp_path):
    out, study = tmp_path / "out", tmp_path / "study"
    whole_run([*CALIBRATE, "--out", out])
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    whole_run([*TUNE, "--out", tmp_path / "whole"])
    expected = json.loads((tmp_path / "whole" / "tune.json").read_text())
    for size in (0, 700, 9000):
        for words in ([*CALIBRATE, "--seed", 1, "--out", out], [*TUNE, "--out", study]):
            status, err = limited(words, size)
            assert (status, err.count("\n")) == (2, 1)
            assert "File too large" in err
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before
        assert left(tmp_path) == []
    whole_run([*TUNE, "--out", study])
    assert json.loads((study / "tune.json").read_text()) == expected
