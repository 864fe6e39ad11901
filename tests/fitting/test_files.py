"""Files of readings: every form of one record reads alike, everything else is refused by row and column."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from sptrack.errors import ParameterError
from sptrack.fitting import PulseResponse, Recipe, load_recipe, read_measurement, two_runs
from sptrack.fitting.recipe import recipe_to_toml
from tests.fitting.lab import PROGRAM, cell, conductance, table, words

WEIGHTS = cell(0)
G = conductance(WEIGHTS)
INDEX = np.arange(1, G.size + 1)
UP_DOWN = words("up", "down")
SPAN = Recipe(range=(10.0, 90.0))


def write(path, lines, encoding="utf-8", end="\n"):
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path


def read(tmp_path, lines, recipe=SPAN, **form):
    return read_measurement(write(tmp_path / "cell.csv", lines, **form), recipe)


def check(found, tolerance=2e-5):
    """The one cell has the readings and pulses of the record."""
    (response,) = found.cells
    np.testing.assert_allclose(response.readings, WEIGHTS, atol=tolerance)
    np.testing.assert_array_equal(np.sign(response.pulses), PROGRAM)


PLAIN = {"pulse": INDEX, "direction": UP_DOWN, "conductance (uS)": G}


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


# --- layouts


def test_long_with_cells_interleaved_or_one_after_the_other(tmp_path):
    other = conductance(cell(1))
    long = {
        "device": ["a"] * 240 + ["b"] * 240,
        "direction": UP_DOWN * 2,
        "conductance (uS)": np.r_[G, other],
    }
    mixed = {
        "device": ["a", "b"] * 240,
        "direction": [word for word in UP_DOWN for _ in range(2)],
        "conductance (uS)": np.stack([G, other], 1).ravel(),
    }
    wide = {"pulse": INDEX, "direction": UP_DOWN, "dev1 (uS)": G, "dev2 (uS)": other}
    for columns, names in ((long, ["a", "b"]), (mixed, ["a", "b"]), (wide, ["dev1", "dev2"])):
        found = read(tmp_path, table(columns))
        assert [one.name for one in found.cells] == names
        for one, readings in zip(found.cells, (G, other), strict=True):
            np.testing.assert_allclose(one.readings, (readings - 50) / 40, atol=2e-5)
            np.testing.assert_array_equal(np.sign(one.pulses), PROGRAM)


def test_coordinates_and_merged_fields_name_cells(tmp_path):
    rows = ["1"] + [""] * 239 + ["2"] + [""] * 239
    found = read(
        tmp_path, table({"row": rows, "col": ["7"] * 480, "dir": UP_DOWN * 2, "G (uS)": np.r_[G, G]})
    )
    assert [one.name for one in found.cells] == ["1 7", "2 7"]


@pytest.mark.parametrize(
    "names", [("up (uS)", "down (uS)"), ("Potentiation", "Depression"), ("G_set_uS", "G_reset_uS")]
)
def test_a_column_per_direction(tmp_path, names):
    lines = table({names[0]: G[:60], names[1]: G[60:120]})
    (response,) = read(tmp_path, [*lines, "60.5,", "61.5,"]).cells
    assert response.readings.size == 122
    np.testing.assert_array_equal(np.sign(response.pulses), np.repeat([1, -1], [62, 60]))
    assert response.program.runs[-1] == 1


def test_columns_per_cell_and_direction(tmp_path):
    other = conductance(cell(1))
    columns = {"dev1_P": G[:60], "dev1_D": G[60:120], "dev2_P": other[:60], "dev2_D": other[60:120]}
    found = read(tmp_path, table(columns))
    assert [one.name for one in found.cells] == ["dev1", "dev2"]
    for one in found.cells:
        np.testing.assert_array_equal(np.sign(one.pulses), np.repeat([1, -1], 60))
    numbered = {"Pot1 (uS)": G[:60], "Dep1 (uS)": G[60:120], "Pot2 (uS)": G[120:180], "Dep2 (uS)": G[180:]}
    check(read(tmp_path, table(numbered)))


def test_units_above_the_table(tmp_path):
    lines = table({"direction": UP_DOWN, "conductance": G})
    for line in ("# conductance in uS", "# unit: uS", "# G [uS]"):
        assert read(tmp_path, [line, *lines]).unit == "uS"


def test_two_columns_without_names_and_in_either_order(tmp_path):
    for first, second in ((0, 60), (60, 0)):
        lines = table({"a": G[first : first + 60], "b": G[second : second + 60]}, header=False)
        found = read(tmp_path, lines)
        assert sorted(np.sign(found.cells[0].pulses).tolist()) == [-1] * 60 + [1] * 60
        rising = found.cells[0].readings[np.asarray(found.cells[0].pulses) > 0]
        assert rising[-1] > rising[0]


def test_a_column_per_ramp_and_a_file_per_direction(tmp_path):
    for name, start in (("set", 0), ("reset", 60)):
        write(
            tmp_path / f"{name}.csv",
            table({"rmp1": G[start : start + 60], "rmp2": G[start + 120 : start + 180]}),
        )
    found = read_measurement([tmp_path / "set.csv", tmp_path / "reset.csv"], SPAN)
    (response,) = found.cells
    assert response.program.runs[-1] == 3
    np.testing.assert_array_equal(np.sign(response.pulses), np.repeat([1, -1], 120))
    assert any("names of the files" in note for note in found.notes)
    with pytest.raises(ParameterError, match="one direction do not tell a symmetric point"):
        read_measurement(tmp_path / "set.csv", SPAN)


def test_a_file_per_cell(tmp_path):
    paths = [write(tmp_path / f"chip{k}.csv", table(PLAIN)) for k in (1, 2)]
    assert [one.name for one in read_measurement(paths).cells] == ["chip1", "chip2"]


def test_runs_by_column_by_block_and_by_index(tmp_path):
    cycle = np.repeat([1, 2], 120)
    by_column = read(tmp_path, table({"cycle": cycle, **PLAIN}))
    assert np.flatnonzero(np.diff(by_column.cells[0].program.runs)).tolist() == [119]
    lines = table(PLAIN)
    by_block = read(tmp_path, [*lines[:121], lines[0], *lines[121:]])
    assert np.flatnonzero(np.diff(by_block.cells[0].program.runs)).tolist() == [119]
    by_index = read(tmp_path, table(PLAIN | {"pulse": np.tile(np.arange(120), 2)}))
    assert np.flatnonzero(np.diff(by_index.cells[0].program.runs)).tolist() == [119]


def test_counts_of_pulses(tmp_path):
    many = read(tmp_path, table({"pulses": [3] * 240, "direction": UP_DOWN, "G (uS)": G}))
    np.testing.assert_array_equal(many.cells[0].pulses, 3 * PROGRAM)
    signed = read(tmp_path, table({"pulses": 2 * PROGRAM, "G (uS)": G}))
    np.testing.assert_array_equal(signed.cells[0].pulses, 2 * PROGRAM)


@pytest.mark.parametrize("numbers", [INDEX, 5 * INDEX, np.tile(np.arange(1, 61), 4)])
def test_running_numbers_of_pulses_are_refused(tmp_path, numbers):
    with pytest.raises(
        ParameterError, match=r"row 4, column 'pulses': .*running number.*--column index=pulses"
    ):
        read(tmp_path, table({"pulses": numbers, "direction": UP_DOWN, "G (uS)": G}))
    check(read(tmp_path, table({"pulse": numbers, "direction": UP_DOWN, "G (uS)": G})))


# --- quantities and units


@pytest.mark.parametrize(
    ("head", "factor", "unit"),
    [
        *(
            ("conductance (uS)", 1.0, "uS"),
            ("G/µS", 1.0, "uS"),
            ("G [nS]", 1e3, "nS"),
            ("G in mS", 1e-3, "mS"),
        ),
        *(("Leitwert (S)", 1e-6, "S"), ("conductance_uS", 1.0, "uS"), ("g, microsiemens", 1.0, "uS")),
    ],
)
def test_units_of_conductance(tmp_path, head, factor, unit):
    found = read(tmp_path, table({"direction": UP_DOWN, f'"{head}"': factor * G}), Recipe())
    assert (found.unit, found.quantity) == (unit, "conductance")
    assert found.in_unit(found.cells[0].readings[0]) == pytest.approx(factor * G[0], rel=1e-4)


@pytest.mark.parametrize(
    ("head", "ohms"), [("R (Ohm)", 1.0), ("resistance (kΩ)", 1e3), ("Widerstand [MOhm]", 1e6)]
)
def test_resistances_become_conductances(tmp_path, head, ohms):
    found = read(tmp_path, table({"direction": UP_DOWN, head: 1e6 / G / ohms}), SPAN)
    check(found, 2e-4)
    assert (found.unit, found.quantity) == ("uS", "conductance")
    assert any("1/R" in note for note in found.notes)


@pytest.mark.parametrize(("unit", "amperes"), [("A", 1.0), ("uA", 1e-6), ("nA", 1e-9)])
def test_currents_with_and_without_a_read_voltage(tmp_path, unit, amperes):
    current = {"direction": UP_DOWN, f"I_D ({unit})": 0.2e-6 * G / amperes}
    check(read(tmp_path, ["# V_read = 0.2 V", *table(current)]), 2e-4)
    check(read(tmp_path, table(current), Recipe(read_voltage=0.2, range=(10.0, 90.0))), 2e-4)
    check(read(tmp_path, table({**current, "V_read (mV)": [200.0] * 240})), 2e-4)
    plain = read(tmp_path, table(current), Recipe())
    assert (plain.unit, plain.quantity) == (unit, "current")


def test_weights_stay_as_they_are_and_other_numbers_are_mapped(tmp_path):
    plain = read(tmp_path, table({"direction": UP_DOWN, "weight": WEIGHTS}), Recipe())
    assert plain.in_weights
    check(plain)
    share = read(tmp_path, table({"direction": UP_DOWN, "state": 0.5 + 0.5 * WEIGHTS}), Recipe())
    assert not share.in_weights
    assert any("no unit" in note for note in share.notes)


def test_the_best_of_several_quantities_is_taken(tmp_path):
    columns = {"direction": UP_DOWN, "R (Ohm)": 1e6 / G, "I (uA)": 0.1 * G, "G (uS)": G, "T (s)": INDEX}
    found = read(tmp_path, table(columns))
    check(found)
    assert any("conductance taken, not 'R (Ohm)', 'I (uA)'" in note for note in found.notes)
    check(read(tmp_path, table(columns), Recipe(columns={"reading": "R"}, range=(10.0, 90.0))), 2e-4)


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


# --- refusals


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


# --- measured data


def test_measured_ramps(data_folder: Path):
    """39 SET and 40 RESET ramps in two files, a column each: one cell, 79 runs."""
    folder = data_folder / "devices" / "crosssim_ramps"
    found = read_measurement([folder / "set.csv", folder / "reset.csv"])
    (response,) = found.cells
    assert response.program.runs[-1] == 78
    assert 1.5e-4 < found.low < found.high < 2.6e-4
