import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sptrack
from sptrack.cli import main

PROGRAM = [sys.executable, "-m", "sptrack"]


def start(*arguments, **options):
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, check=False, **options)


def test_version_is_quick_and_imports_no_numerics():
    begin = time.perf_counter()
    done = start("--version", env={**os.environ, "PYTHONPROFILEIMPORTTIME": "1"})
    elapsed = time.perf_counter() - begin
    assert (done.returncode, done.stdout) == (0, f"{sptrack.__version__}\n")
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "sptrack.cli._app" in imported
    assert imported.isdisjoint({"numpy", "numba", "scipy", "xarray", "matplotlib"})
    assert elapsed < 1.5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["doctr"], ["doctr", "doctor"]),
        (["doctor", "--jsn"], ["--jsn", "--json"]),
        (["doctor", "--json=maybe"], ["--json", "maybe"]),
        (["doctor", "surplus"], ["surplus"]),
    ],
)
def test_bad_words_give_one_line_and_status_2(capsys, arguments, words):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("sptrack: ")
    assert all(word in err for word in words)


@pytest.mark.parametrize(
    ("failure", "status", "line"),
    [
        (sptrack.ParameterError("dw_min = -1:\n must be positive"), 2, "dw_min = -1: must be positive"),
        (sptrack.ConvergenceError("no root within 100 steps"), 2, "no root within 100 steps"),
        (PermissionError(13, "Permission denied", "out"), 2, "out: Permission denied"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_a_failing_command_gives_one_line(capsys, monkeypatch, failure, status, line):
    def fail():
        raise failure

    monkeypatch.setattr("sptrack.cli.doctor.examine", fail)
    assert main(["doctor"]) == status
    assert capsys.readouterr() == ("", f"sptrack: {line}\n")


def test_a_defect_keeps_its_traceback_and_has_a_status_of_its_own(capsys, monkeypatch):
    """Not 1, which means that a target is missed."""

    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr("sptrack.cli.doctor.examine", fail)
    assert main(["doctor"]) == 70
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-2:] == [
        "ZeroDivisionError",
        "sptrack: a defect of sptrack, please report it with the lines above",
    ]


@pytest.mark.parametrize(
    ("redirection", "status"),
    [("> /dev/full", 2), (">&-", 0), ("2>&-", 0), ("<&-", 0), (">&- 2>&- <&-", 0)],
)
def test_streams_that_are_full_or_closed(redirection, status):
    words = " ".join([*PROGRAM, "devices show ecram --json", redirection])
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stderr == ("sptrack: file system: No space left on device\n" if status else "")


def test_a_closed_stderr_leaves_stdout_to_results():
    words = " ".join([*PROGRAM, "devices show nope 2>&-"])
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")


def test_a_command_chooses_its_exit_status(monkeypatch):
    monkeypatch.setattr("sptrack.cli._app.app", lambda *_, **__: 1)
    assert main([]) == 1


def test_help_names_every_command(capsys):
    assert main([]) == 0
    assert "doctor" in capsys.readouterr().out


@pytest.mark.parametrize("words", ["doctor", "explain", "--help"])
def test_a_closed_pipe_is_quiet(words):
    """Printed by Python, by tables, and by the help."""
    talkative = f"""
import sys
from sptrack.cli import doctor, main
report = doctor.examine()
report["versions"]["x"] = "x" * 100_000
doctor.examine = lambda: report
sys.exit(main(["{words}"]))
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", talkative], env=environment, **pipes) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_doctor_reports_in_json_alone(capsys, monkeypatch, tmp_path):
    folder = tmp_path / "not" / "yet"
    monkeypatch.setattr("sptrack.kernels.CACHE_FOLDER", folder)
    assert main(["doctor", "--json"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert err == ""
    assert report["versions"]["sptrack"] == sptrack.__version__
    assert report["processor"]["threads"] >= 1
    assert report["processor"]["vector_bits"] in (64, 128, 256, 512)
    sizes = {"kernels": 0, "megabytes": 0.0, "megabytes_of_others": 0.0}
    assert report["cache"] == {"folder": str(folder), "writable": True, **sizes}


def test_doctor_tells_what_the_cache_takes(capsys, monkeypatch, tmp_path):
    for name, size in (("kernels-a", 300_000), ("kernels-b", 1_700_000), ("else", 9_000_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(bytes(size))
    monkeypatch.setattr("sptrack.kernels.CACHE_FOLDER", tmp_path / "kernels-a")
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["cache"]
    assert (found["kernels"], found["megabytes"], found["megabytes_of_others"]) == (1, 0.3, 1.7)


def test_doctor_sees_a_cache_that_cannot_be_written(capsys, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("sptrack.kernels.CACHE_FOLDER", tmp_path / "file" / "cache")
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("SLOW  every start compiles kernels again")
    assert re.search(r"writable +no *\n", out)
    assert "Next: set SPTRACK_CACHE_DIR" in out
    monkeypatch.setattr("sptrack.kernels.CACHE_FOLDER", None)
    assert main(["doctor"]) == 0
    assert re.search(r"folder +none *\n", capsys.readouterr().out)


def test_public_names_are_imported_on_first_use():
    for name in sptrack.__all__:
        assert getattr(sptrack, name) is not None
    assert set(sptrack.__all__) <= set(dir(sptrack))
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = sptrack.lode


@pytest.mark.compiled
def test_termination_leaves_nothing_unfinished(tmp_path):
    words = [*PROGRAM, "calibrate", "--out", "out", "--pulses", "100000000", "--cells", "64x64", "--quiet"]
    process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.iterdir()):
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    _, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (143, "sptrack: terminated\n")
    assert list(tmp_path.iterdir()) == []


def test_completion_is_installed_where_the_shell_looks(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert main(["--install-completion", "--shell", "bash"]) == 0
    script = tmp_path / ".local/share/bash-completion/completions/sptrack"
    assert str(script) in capsys.readouterr().out.replace("\n", "")
    words = script.read_text(encoding="utf-8")
    assert all(name in words for name in ("calibrate", "report", "--pulses"))


def test_the_citation_names_title_authors_and_licence_and_no_second_version():
    text = (Path(__file__).parents[2] / "CITATION.cff").read_text(encoding="utf-8")
    keys = {line.split(":")[0] for line in text.splitlines() if line[:1].isalpha()}
    assert {"cff-version", "message", "title", "authors", "license"} <= keys
    assert not {"version", "date-released"} & keys
