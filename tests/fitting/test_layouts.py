"""Files of readings: cells, directions and runs in rows, columns and files; quantities and their units."""

import numpy as np
import pytest

from sptrack.errors import ParameterError
from sptrack.fitting import Recipe, read_measurement
from tests.fitting.lab import (
    INDEX,
    PLAIN,
    PROGRAM,
    SPAN,
    UP_DOWN,
    WEIGHTS,
    G,
    cell,
    check,
    conductance,
    read,
    table,
    write,
)


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
