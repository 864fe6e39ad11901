"""Files of readings: every form of one record, with every way to say directions and gaps, reads alike."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from sptrack.errors import ParameterError
from sptrack.fitting import Recipe, load_recipe, read_measurement
from sptrack.fitting.recipe import recipe_to_toml
from tests.fitting.lab import (
    INDEX,
    PLAIN,
    PROGRAM,
    SPAN,
    UP_DOWN,
    G,
    cell,
    check,
    conductance,
    read,
    table,
    words,
)

# --- encodings, separators, decimals, headers


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
def test_encodings_and_ends_of_lines(tmp_path, encoding, end):
    head = {"Puls-Nr.": INDEX, "Richtung": words("hoch", "runter"), "Leitwert (µS)": G}
    found = read(tmp_path, table(head, ";", decimal=","), encoding=encoding, end=end)
    check(found)
    assert (found.unit, found.quantity) == ("uS", "conductance")


@pytest.mark.parametrize("separator", [",", ";", "\t", " ; ", "|", ", ", "   "])
@pytest.mark.parametrize("decimal", [".", ","])
def test_separators_and_decimal_signs(tmp_path, separator, decimal):
    if decimal == "," and separator.strip() == ",":
        pytest.skip("a comma cannot be both")
    check(read(tmp_path, table(PLAIN, separator, decimal=decimal)))


def test_one_column_with_a_decimal_comma(tmp_path):
    check(read(tmp_path, table({"conductance (uS)": G}, ";", decimal=",")))


@pytest.mark.parametrize(
    "above",
    [
        ["# Keithley 4200A-SCS", "# read voltage 0.1 V"],
        ["Keithley 4200A-SCS", "Date: 2026-01-02", ""],
        ["Model,B2901A,,", "Serial,MY1234,,", "Points,240,,", ""],
        ["% made by hand", "! and again"],
    ],
)
@pytest.mark.parametrize("units", [[], ["-,-,uS"], [",,uS"]])
def test_preambles_comments_and_rows_of_units(tmp_path, above, units):
    head = dict(
        zip(
            ("pulse", "direction", "conductance" if units else "conductance (uS)"),
            PLAIN.values(),
            strict=True,
        )
    )
    lines = table(head)
    found = read(tmp_path, [*above, lines[0], *units, *lines[1:]])
    check(found)
    assert found.unit == "uS"
    assert found.cells[0].rows[0] == len(above) + len(units) + 2


def test_a_quote_that_is_not_closed_in_its_row(tmp_path):
    lines = table(PLAIN, ",")
    lines[20] += '"'
    lines[40] = lines[40].replace(",", '",', 1)
    with pytest.raises(ParameterError, match=r"cell.csv, row 2.: the quote in .* is not closed in its row"):
        read(tmp_path, lines)


def test_header_as_a_comment_quotes_trailing_separators_and_gzip(tmp_path):
    lines = table(PLAIN, header=False)
    check(read(tmp_path, ["# pulse,direction,conductance (uS)", *lines]))
    quoted = ['"pulse","direction","conductance, read (uS)"'] + [
        ",".join(f'"{field}"' for field in line.split(",")) + "," for line in lines
    ]
    check(read(tmp_path, quoted))
    path = tmp_path / "cell.csv.gz"
    path.write_bytes(gzip.compress("\n".join(table(PLAIN)).encode()))
    check(read_measurement(path, SPAN))


def test_parameter_analyser(tmp_path):
    lines = [
        "SetupTitle, pulses",
        "PrimitiveTest, I/V",
        "Dimension1, 240",
        "DataName, pulse, direction, G (uS)",
    ]
    lines += [f"DataValue, {line}" for line in table(PLAIN, ", ", header=False)]
    check(read(tmp_path, lines))


def test_workbook(tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="needs the extra sptrack[excel]")
    book = openpyxl.Workbook()
    book.active.title = "notes"
    book.active.append(["measured on a Tuesday"])
    sheet = book.create_sheet("data")
    sheet.append(["pulse", "direction", "conductance"])
    sheet.append([None, None, "uS"])
    for row in zip(INDEX.tolist(), UP_DOWN, G.tolist(), strict=True):
        sheet.append(list(row))
    book.save(tmp_path / "cell.xlsx")
    check(read_measurement(tmp_path / "cell.xlsx", SPAN))
    with pytest.raises(ParameterError, match="no sheet 'other'"):
        read_measurement(tmp_path / "cell.xlsx", Recipe(sheet="other"))


def test_numbers_with_units_exponents_and_thousands(tmp_path):
    texts = [f"{value:.4f} uS" for value in G]
    check(read(tmp_path, table({"direction": UP_DOWN, "G": texts})), 1e-4)
    texts = [f"{value * 1e-6:.7e}".replace("e", "D") for value in G]
    check(read(tmp_path, table({"direction": UP_DOWN, "G (S)": texts}), Recipe(range=(1e-5, 9e-5))))


# --- directions


@pytest.mark.parametrize(
    ("up", "down"),
    [
        *(("up", "down"), ("Potentiation", "Depression"), ("P", "D"), ("LTP", "LTD"), ("SET", "RESET")),
        *(
            ("+1", "-1"),
            ("1", "-1"),
            ("1.0", "-1.0"),
            ("+", "-"),
            ("hoch", "runter"),
            ("pos", "neg"),
            ("1", "0"),
        ),
    ],
)
def test_words_of_directions(tmp_path, up, down):
    check(read(tmp_path, table({"n": INDEX, "type": words(up, down), "conductance [uS]": G})))


def test_signs_of_pulse_voltages(tmp_path):
    volts = np.where(PROGRAM > 0, 2.0, -1.8)
    check(read(tmp_path, table({"pulse": INDEX, "V_pulse (V)": volts, "G_uS": G})))
    recipe = Recipe(columns={"direction": "U:-sign", "reading": "G"}, range=(10.0, 90.0))
    check(read(tmp_path, table({"U": -volts, "G": G, "T": G}), recipe))
    check(
        read(
            tmp_path,
            table({"pulse": -volts, "G": G}),
            Recipe(columns={"direction": "-pulse:sign"}, range=(10, 90)),
        )
    )


def test_own_words_and_recipe_file(tmp_path):
    recipe = Recipe(
        columns={"cell": "who"}, directions={"up": "a,A", "down": "b"}, range=(10.0, 90.0), unit="uS"
    )
    lines = table({"who": ["x"] * G.size, "type": words("a", "b"), "value": G})
    path = tmp_path / "recipe.toml"
    path.write_text(recipe_to_toml(recipe))
    assert load_recipe(path) == recipe
    check(read(tmp_path, lines, load_recipe(path)))


@pytest.mark.parametrize("program", ["up:60 down:60 x2", "up:60,down:60,up:60,down:60", "x1 none:1"])
def test_programs(tmp_path, program):
    recipe = Recipe(program="up:60 down:60 x2", range=(10.0, 90.0))
    if program.startswith("x1"):
        with pytest.raises(ParameterError, match="program part 'x1'"):
            Recipe(program=program)
        return
    check(read(tmp_path, table({"G (uS)": G}), Recipe(program=program, range=(10.0, 90.0))))
    before = np.r_[conductance(-0.7), G]
    (response,) = read(tmp_path, table({"G (uS)": before}), recipe).cells
    np.testing.assert_array_equal(response.pulses, np.r_[0, PROGRAM])
    with pytest.raises(ParameterError, match=r"has 240 pulses, but there are 239 readings"):
        read(tmp_path, table({"G (uS)": G[1:]}), recipe)


@pytest.mark.parametrize("family", ["soft", "exponential"])
@pytest.mark.parametrize("noise", [0.002, 0.01, 0.03])
def test_turning_points_are_found_and_said(tmp_path, family, noise):
    """Four sweeps of 60: exactly at low noise, within a few readings at any; a wrong one is never silent."""
    readings = conductance(cell(3, family, noise=noise))
    found = read(tmp_path, table({"pulse": INDEX, "conductance (uS)": readings}))
    assert np.mean(np.sign(found.cells[0].pulses) != PROGRAM) <= (0.0 if noise < 0.02 else 0.05)
    assert any("turning points" in note for note in found.notes)


def test_alternating_pulses_without_directions_are_refused(tmp_path):
    readings = conductance(cell(1, program=np.tile([1, -1], 200)))
    with pytest.raises(ParameterError, match=r"(--program|one direction)"):
        read(tmp_path, table({"G (uS)": readings}))


# --- gaps


@pytest.mark.parametrize(
    "gap", ["", "nan", "NaN", "n/a", "OVLD", "-", "9.91E+37", "-999", "1e99", "#NUM!", "inf"]
)
def test_gaps_are_named_and_counted(tmp_path, gap):
    texts = [f"{value:.6g}" for value in G]
    for k in (5, 17, 100):
        texts[k] = gap
    found = read(tmp_path, table({"pulse": INDEX, "direction": UP_DOWN, "G (uS)": texts}))
    (response,) = found.cells
    assert np.flatnonzero(np.isnan(response.readings)).tolist() == [5, 17, 100]
    assert list(found.gaps.values()) == [3]
    np.testing.assert_array_equal(np.sign(response.pulses), PROGRAM)


def test_ends_of_converters_are_gaps_and_saturation_is_not(tmp_path):
    cut = np.minimum(G, 70.0)
    found = read(tmp_path, table({"direction": UP_DOWN, "G (uS)": cut}))
    assert list(found.gaps) == ["converter at its end, 70"]
    assert not np.any(found.cells[0].readings[np.isfinite(found.cells[0].readings)] >= 0.5)
    coarse = np.round(conductance(cell(2, steps=(0.2, 0.2))) / 4) * 4
    assert not read(tmp_path, table({"direction": UP_DOWN, "G (uS)": coarse})).gaps


# --- measured data


def test_measured_ramps(data_folder: Path):
    """39 SET and 40 RESET ramps in two files, a column each: one cell, 79 runs."""
    folder = data_folder / "devices" / "crosssim_ramps"
    found = read_measurement([folder / "set.csv", folder / "reset.csv"])
    (response,) = found.cells
    assert response.program.runs[-1] == 78
    assert 1.5e-4 < found.low < found.high < 2.6e-4
