"""Every example of the README and of the documentation runs and prints what it says."""

import re
import shlex
from pathlib import Path

import pytest

from sptrack.cli import main

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN_FILES = ("toml", "csv")
"""Kinds of blocks that show a file; its name stands in the first line."""
LONG = ("design", "tune", "budget", "track")
"""Commands that make a page's test a long one."""


def blocks(page):
    """Language and text of the code blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def lines(page):
    return [line for language, text in blocks(page) if language == "sh" for line in text.splitlines()]


def sets_up(line):
    return "pip install " in line or "-m venv " in line


def commands(page):
    return [line for line in lines(page) if not sets_up(line)]


def is_long(page):
    return any(line.split()[1] in LONG for line in commands(page) if " " in line)


def promised(text):
    """What the comments behind print calls say."""
    return re.findall(r"^\s*print\(.*\)  # (.*)$", text, re.MULTILINE)


def run_python(text, scope, page, capsys):
    exec(compile(text, str(page), "exec"), scope)  # noqa: S102 - this repository's own text
    printed = capsys.readouterr().out.splitlines()
    assert text.count("print(") == len(promised(text))
    assert [line for line in printed if line in promised(text)] == promised(text)


def run_command(line, capsys):
    assert line.startswith("sptrack "), line
    assert main(shlex.split(line)[1:]) in (0, 1), line
    assert capsys.readouterr().out
    for name in re.findall(r"--(?:plot|out) (\S+)", line):
        assert Path(name).exists(), name


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(
            page,
            id=page.relative_to(ROOT).as_posix(),
            marks=[pytest.mark.slow, pytest.mark.timeout(900)] if is_long(page) else [],
        )
        for page in PAGES
        if any(language in ("python", "sh") for language, _ in blocks(page))
    ],
)
def test_examples_run_in_order_and_print_what_they_say(page, tmp_path, monkeypatch, capsys):
    if "import torch" in page.read_text(encoding="utf-8"):
        pytest.importorskip("torch", reason="needs PyTorch: pip install 'sptrack[nn]'")
    monkeypatch.chdir(tmp_path)
    scope = {"__name__": "example"}
    for language, text in blocks(page):
        if language in SHOWN_FILES:
            name, content = text.split("\n", 1)
            (tmp_path / name.removeprefix("# ")).write_text(content, encoding="utf-8")
        elif language == "python":
            run_python(text, scope, page, capsys)
        elif language == "sh":
            for line in text.splitlines():
                if not sets_up(line):
                    run_command(line, capsys)


def test_the_readme_has_two_set_up_commands_and_is_short():
    assert [sets_up(line) for line in lines(README)] == [True, True]
    assert all(line.startswith("python3 -m venv .venv && .venv/bin/pip install ") for line in lines(README))
    assert len(README.read_text(encoding="utf-8").splitlines()) < 150


@pytest.mark.parametrize(
    "line", re.findall(r"^\| .* \| `(sptrack .*)` \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
)
def test_the_commands_of_the_table_exist(line, capsys):
    name, *words = shlex.split(line)[1:]
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    for word in words:
        if word.startswith("--"):
            assert word in shown


def test_the_text_shown_is_what_the_first_command_prints(capsys, monkeypatch):
    """Whole, line by line; numbers agree to 1 %: the last digits may differ between processors."""
    number = r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?"
    shown = next(text for language, text in blocks(README) if language == "text")
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["calibrate", "--quiet"]) == 0
    printed = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]
    expected = [line.strip() for line in shown.splitlines() if line.strip()]
    assert len(printed) == len(expected)
    for found, line in zip(printed, expected, strict=True):
        assert re.sub(r"\s+", " ", re.sub(number, "#", found)) == re.sub(
            r"\s+", " ", re.sub(number, "#", line)
        )
        values = [
            [float(value.rstrip(".,").replace(",", "")) for value in re.findall(number, text)]
            for text in (found, line)
        ]
        assert values[0] == pytest.approx(values[1], rel=0.01)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_pictures_and_pages_linked_are_there(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"!\[\s*\]", text), "a picture without a description"
    for path in re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", text):
        assert (page.parent / path).exists(), path
