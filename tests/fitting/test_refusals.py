"""Files of readings that are refused, by row and column, and recipes."""

import numpy as np
import pytest

from sptrack.errors import ParameterError
from sptrack.fitting import PulseResponse, Recipe, load_recipe, read_measurement, two_runs
from tests.fitting.lab import PLAIN, UP_DOWN, G, read, table

BASE = table({"cell": ["a"] * 240, **PLAIN})


def replaced(row, line):
    return [*BASE[: row - 1], line, *BASE[row:]]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no readings"),
        (["up,down"], "no readings"),
        (
            replaced(7, "a,6,upp,30"),
            "row 7, column 'direction': direction 'upp' is not known.*--direction up=WORD",
        ),
        (
            replaced(9, "a,8,up,high"),
            "row 9, column 'conductance .uS.': a reading must be a number, got 'high'",
        ),
        (replaced(9, "a,8,up,30,1,2"), "row 9: 6 fields in 'a,8,up,30,1,2', 4 in the others"),
        (replaced(9, "a,8,," + "30"), "row 9, column 'direction': direction '' is not known"),
        (BASE[:61], "60 readings under up pulses, 0 under down pulses"),
        (table({"direction": UP_DOWN, "R (kOhm)": -G}), "row 2, column 'R': resistance must be > 0"),
        (table({"direction": UP_DOWN, "G (uS)": 100 - G}), "readings fall by .*--quantity resistance"),
        (table({"direction": UP_DOWN, "G (uS)": [5.0] * 240}), "all readings are 5"),
        (table({"direction": UP_DOWN, "G (uS)": [""] * 240}), "no readings below the header"),
        (
            table({"pulses": [1.5] * 240, "direction": UP_DOWN, "G": G}),
            "row 2, column 'pulses': .* got '1.5'",
        ),
        (table({"direction": ["none"] * 240, "pulses": [2] * 240, "G": G}), "2 pulses without a direction"),
        (table({"name": UP_DOWN, "who": UP_DOWN}), "no readings"),
    ],
)
def test_refusals_name_row_column_and_option(tmp_path, lines, message):
    with pytest.raises(ParameterError, match=message) as caught:
        read(tmp_path, lines, Recipe())
    assert "\n" not in str(caught.value)
    assert "cell.csv" in str(caught.value)


def test_at_most_80_characters_of_a_file_are_echoed(tmp_path):
    secret = "x" * 500
    for lines in (
        replaced(9, f"a,8,up,{secret}"),
        replaced(7, f"a,6,{secret},30"),
        replaced(5, f"a,1,up,3,{secret}"),
    ):
        with pytest.raises(ParameterError) as caught:
            read(tmp_path, lines)
        assert "x" * 81 not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"columns": {"reading": "Q"}}, "--column reading=Q: no such column"),
        ({"columns": {"redding": "G"}}, "did you mean 'reading'"),
        ({"quantity": "conductence"}, "did you mean 'conductance'"),
        ({"unit": "furlong"}, "unit must be one such as S"),
        ({"quantity": "resistance", "unit": "uS"}, "unit uS is that of a conductance"),
        ({"range": (3.0, 1.0)}, "the lower first"),
        ({"program": "up:3 dwn:4"}, "program part 'dwn:4'"),
        ({"separator": "dash"}, "separator must be one of tab"),
        ({"sheet": "data"}, "this is not a workbook"),
        ({"read_voltage": 0.0}, "finite and not 0"),
    ],
)
def test_refused_recipes(tmp_path, given, message):
    with pytest.raises(ParameterError, match=message):
        read(tmp_path, BASE, Recipe(**given))


def test_refuses_missing_and_binary_files(tmp_path):
    with pytest.raises(ParameterError, match=r"none\.csv: cannot be read \(No such file"):
        read_measurement(tmp_path / "none.csv")
    for name, content in (
        ("a.bin", bytes(range(256)) * 20),
        ("b.xlsx", b"PK\x03\x04junk"),
        ("c.gz", b"\x1f\x8bjunk"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ParameterError, match=r"not a text table|not a workbook|damaged|openpyxl"):
            read_measurement(tmp_path / name)
    (tmp_path / "d.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
    with pytest.raises(ParameterError, match=r"old Excel format.*save its table as CSV"):
        read_measurement(tmp_path / "d.xls")


def test_refused_recipe_files(tmp_path):
    path = tmp_path / "recipe.toml"
    for text, message in (
        ("programm = 'up:3'", "did you mean 'program'"),
        ("range = [1, 'a']", "two numbers"),
        ("columns = 3", "table of texts"),
        ("unit = 3", "must be a text"),
    ):
        path.write_text(text)
        with pytest.raises(ParameterError, match=message):
            load_recipe(path)


def test_response_is_copied_and_checked():
    up = np.linspace(-1.0, 1.0, 30)
    response = two_runs(up, -up)
    up[0] = 7.0
    assert response.readings[0] == -1.0
    with pytest.raises(ParameterError, match="one dimension"):
        two_runs(np.zeros((20, 2)), -up)
    with pytest.raises(ParameterError, match="row 3: reading must be finite, got inf"):
        two_runs(up, np.where(np.arange(30) == 2, np.inf, -up))
    with pytest.raises(ParameterError, match="pulses have shape"):
        PulseResponse(readings=up, pulses=np.ones(3, int))
