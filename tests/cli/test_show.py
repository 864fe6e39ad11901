"""Tables and lines at every width: nothing is cut, and what is left out is named."""

import re

import pytest
from rich.console import Console

from sptrack.cli import main
from sptrack.cli._show import Column, console, show_lines, show_pairs, show_table, show_verdict

COLUMNS = (
    Column("method", left=True),
    Column("error (95 %)"),
    Column("pulses", 1),
    Column("reads", 2),
    Column("meaning", 3, wraps=True),
)
ROWS = [
    [
        "e-rider",
        "0.00449 ± 0.00002",
        "34,771",
        "4,000",
        "a reference found by chopper and low-pass filter",
    ],
    ["residual-learning", "0.0678 ± 0.0005", "123", "4,000,000", "neither"],
]
COMMANDS = {
    "calibrate": "calibrate --cells 16x16 --pulses 100 1000 --quiet",
    "auto": "calibrate --cells 16x16 --method auto --target 0.05 --quiet",
    "verify": "verify --device linear --quiet",
    "track": "track --compare sgd e-rider tt-v2 --steps 400 --seeds 2 --quiet",
    "budget": "budget --steps 400 --seeds 2 --quiet",
    "tune": "tune --steps 400 --seeds 2 --trials 2 --finalists 1 --held-out 2 --quiet",
    "explain": "explain",
    "response": "response --decimate 4",
    "devices": "devices list",
    "doctor": "doctor",
    "sweep": "sweep scan.toml --quiet",
    "status": "sweep status scan",
    "train": "train --compare sgd agad --epochs 1 --batch 200 --quiet",
}
SWEEP = """
[sweep]
command = "track"
repeats = 2
[set]
steps = 200
problem.size = 2
[vary]
method.alpha = [0.01, 0.02]
problem.low = [0.1, 0.2]
problem.read_noise = [0.0, 0.1]
"""
NEEDS = {"tune": ("optuna",), "sweep": ("zarr",), "status": ("zarr",), "train": ("torch", "sklearn")}


def shown(width, print_it):
    to = Console(width=width, highlight=False, color_system=None)
    with to.capture() as text:
        print_it(to)
    return text.get()


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_table_is_whole_at_every_width(width):
    text = shown(width, lambda to: show_table(to, "a title of some length", COLUMNS, ROWS))
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for row in ROWS:
        assert row[0] in text
        assert row[1] in text
    for k, one in enumerate(COLUMNS[2:], 2):
        there = ROWS[1][k] in text
        assert there or one.heading in text.split("Left out", 1)[1]


def test_the_most_dispensable_columns_go_first():
    wide, narrow = (shown(w, lambda to: show_table(to, "", COLUMNS, ROWS)) for w in (120, 60))
    assert "Left out" not in wide
    assert re.search(r"Left out at 60 columns: meaning \(see --json\)", narrow)
    assert "4,000,000" in narrow


def test_lines_and_pairs_wrap_at_words():
    def print_it(to):
        show_verdict(to, "TARGET MET", "after some thousand pulses of every cell in the array", True)
        show_lines(to, ["[square] brackets stay as they are written"])
        show_pairs(to, [("note", "one"), ("note", "two of them, rather long")])

    text = shown(30, print_it)
    assert max(map(len, text.splitlines())) <= 30
    assert "[square]" in text
    assert text.count("note") == 2


@pytest.mark.parametrize(("variable", "width"), [("60", 60), ("80", 80), ("", 120), ("wide", 120)])
def test_the_width_of_a_pipe_is_that_of_the_environment(monkeypatch, variable, width):
    monkeypatch.setenv("COLUMNS", variable)
    assert console().width == width


@pytest.mark.parametrize("width", [60, *(pytest.param(w, marks=pytest.mark.slow) for w in (80, 120))])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_cuts_what_it_prints(monkeypatch, capsys, tmp_path, name, width):
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "scan.toml").write_text(SWEEP, encoding="utf-8")
    if name == "status":
        main(COMMANDS["sweep"].split())
        capsys.readouterr()
    main(COMMANDS[name].split())
    out = capsys.readouterr().out
    assert out
    assert "…" not in out
    assert "\x1b" not in out
    assert max(map(len, out.splitlines())) <= width
    if name != "devices":
        word = out.split("  ", 1)[0]
        assert word == word.upper()
    last = out.rsplit("Next: ", 1)
    assert len(last) == 2
    assert "\n\n" not in last[1].rstrip()
