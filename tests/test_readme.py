"""Every snippet of the README runs and prints what it says."""

import re
import shlex
from pathlib import Path

import pytest

from sptrack.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [text for language, text in BLOCKS if language == "python"]
SHELL = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines()]
COMMANDS = [line for line in SHELL if line.startswith("sptrack ")]
FILES = {text.splitlines()[0].removeprefix("# "): text for language, text in BLOCKS if language == "toml"}
"""Files that are shown, by the name in their first line."""


def promised(text):
    """What the comments behind print calls say."""
    return re.findall(r"^\s*print\(.*\)  # (.*)$", text, re.MULTILINE)


def test_all_shell_lines_are_run_but_the_two_that_set_up():
    others = [line for line in SHELL if line not in COMMANDS]
    assert len(others) == 2
    assert all(line.startswith("python3 -m venv .venv && .venv/bin/pip install ") for line in others)
    assert len(COMMANDS) >= 4


def test_python_snippets_print_what_they_say(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scope = {"__name__": "readme"}
    for text in PYTHON:
        exec(compile(text, "README.md", "exec"), scope)  # noqa: S102 - this repository's own text
        printed = capsys.readouterr().out.splitlines()
        assert text.count("print(") == len(promised(text))
        assert [line for line in printed if line in promised(text)] == promised(text)


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(line, marks=[pytest.mark.slow] if line.startswith("sptrack design") else [])
        for line in COMMANDS
    ],
)
def test_commands_succeed(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert main(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out
    made = {"ecram.png": "ecram.png", "ecram": "ecram/certificate.json", "design": "design/design.toml"}
    for name in re.findall(r"--(?:plot|out) (\S+)", command):
        assert (tmp_path / made[name]).is_file()


def test_the_certificate_shown_is_what_the_first_command_prints(capsys):
    """Numbers agree to 1 %: the last digits may differ between processors."""
    shown = next(text for language, text in BLOCKS if language == "text")
    assert main(["calibrate", "--quiet"]) == 0
    printed = capsys.readouterr().out
    for row in re.findall(r"^ +\d+  .*$", shown, re.MULTILINE):
        expected = [float(number) for number in re.findall(r"[-+]?\d[\d.e-]*", row)]
        match = re.search(rf"^ +{int(expected[0])}  .*$", printed, re.MULTILINE)
        found = [float(number) for number in re.findall(r"[-+]?\d[\d.e-]*", match[0])]
        assert found == pytest.approx(expected, rel=0.01)
    for label in ("theory", "measured", "recommended"):
        expected, found = (
            int(re.search(rf"{label} +([\d,]+)", text)[1].replace(",", "")) for text in (shown, printed)
        )
        assert found == pytest.approx(expected, rel=0.01)
    assert "error floor             0.0059" in shown
    assert "error floor             0.0059" in printed


def test_pictures_shown_are_there():
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (Path(__file__).parents[1] / path).is_file(), path
