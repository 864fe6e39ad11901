"""Every command of a tutorial runs, in its order, and prints the lines that are shown (numbers aside)."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from sptrack.cli import main

FOLDER = Path(__file__).parents[1] / "docs" / "tutorials"
CONSOLE = re.compile(r"^```console\n\$ (sptrack .*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"^```(?:toml|python)\n# (\S+\.\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""Files that a page shows: their name in the first line."""
NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


def words(line):
    """Line without its numbers, signs and widths of columns."""
    line = re.sub("─+", "─", re.sub(r"[\\/|]", " ", line))
    return " ".join(NUMBER.sub("#", line).split())


@pytest.mark.slow
@pytest.mark.compiled
@pytest.mark.parametrize(("name", "extra"), [("lab_file", "optuna"), ("train_network", "torch")])
def test_commands_of_a_tutorial_print_what_is_shown(name, extra, tmp_path, monkeypatch, capsys):
    """Fit, calibrate, design, track, explain, response, budget and tune, or a net, on one lab file."""
    pytest.importorskip(extra, reason="needs the extra sptrack[tune], of networks sptrack[nn]")
    shutil.copy(FOLDER / "lab_file.csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    page = (FOLDER / f"{name}.md").read_text(encoding="utf-8")
    for file, text in SHOWN.findall(page):
        (tmp_path / file).write_text(text, encoding="utf-8")
    found = CONSOLE.findall(page)
    assert len(found) == page.count("```console") >= 3
    for command, shown in found:
        assert not main(shlex.split(command)[1:]), command
        printed = {words(line) for line in capsys.readouterr().out.splitlines()}
        for line in shown.splitlines():
            assert line == "..." or words(line) in printed, f"{command}: {line!r} is not printed"


@pytest.mark.compiled
def test_the_page_on_measures_prints_what_it_says(capsys):
    page = (FOLDER.parent / "howto" / "measures.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    for block in blocks:
        exec(block, {})  # noqa: S102
        assert capsys.readouterr().out.splitlines() == re.findall(r"^(?:.*\)  )?# (.*)$", block, re.MULTILINE)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.md")), ids=lambda path: path.stem)
def test_tutorials_name_files_that_are_there(path):
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert target.startswith("http") or (path.parent / target).exists()
