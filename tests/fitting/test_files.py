"""Files of pulse responses: every form read, everything else refused in one line that names the row."""

import numpy as np
import pytest

from sptrack.fitting import PulseResponse, read_measurement, two_runs
from sptrack.errors import ParameterError

ROWS = [(round(-0.5 + 0.04 * k, 3), round(0.5 - 0.04 * k, 3)) for k in range(25)]


def long_form(cells=("a",), unit="", pulses=""):
    """Up then down, 25 readings each, per cell."""
    head = f"cell,direction,{'pulses,' if pulses else ''}reading{unit}"
    lines = [head]
    for cell in cells:
        for word, column in (("up", 0), ("-1", 1)):
            lines += [f"{cell},{word},{pulses + ',' if pulses else ''}{row[column]}" for row in ROWS]
    return lines


def write(tmp_path, lines):
    path = tmp_path / "cell.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("header", ["", "up,down\n", "# made by hand\n\nup; down\n", "\ufeffup,down\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("split", [",", " ; ", "\t", "  "])
def test_reads_any_plain_table(tmp_path, header, end, split):
    path = tmp_path / "cell.csv"
    text = header + end.join(f"{up!r}{split}{down!r}" for up, down in ROWS) + end
    path.write_bytes(text.encode())
    (response,) = read_measurement(path).cells
    np.testing.assert_array_equal(response.readings.reshape(2, -1).T, ROWS)
    assert response.program.pulses.tolist() == [0, *[1] * 24, 0, *[-1] * 24]
    assert not response.readings.flags.writeable


def test_two_columns_may_stand_in_either_order(tmp_path):
    lines = ["down (V),up (V)", *(f"{down},{up}" for up, down in ROWS)]
    found = read_measurement(write(tmp_path, lines), (-0.5, 0.5))
    np.testing.assert_allclose(found.cells[0].readings[:25], 2.0 * np.array(ROWS)[:, 0])


def test_reads_one_reading_per_row(tmp_path):
    found = read_measurement(write(tmp_path, long_form(("a", "b"), pulses="3")))
    assert [cell.name for cell in found.cells] == ["a", "b"]
    program = found.cells[1].program
    assert program.pulses.tolist() == [0, *[3] * 24, *[-3] * 25]
    assert found.cells[1].rows.tolist() == list(range(52, 102))
    assert found.unit == ""


@pytest.mark.parametrize(("form", "skip"), [(2, "cell"), (3, "")])
def test_the_header_is_optional(tmp_path, form, skip):
    lines = [line.split(",", 1)[1] if skip else line for line in long_form()[1:]]
    (response,) = read_measurement(write(tmp_path, lines)).cells
    np.testing.assert_array_equal(response.readings.reshape(2, -1).T, ROWS)


def test_a_new_run_begins_with_its_label(tmp_path):
    lines = ["run,direction,weight"]
    lines += [f"{run},{word},{row[k]}" for run, word, k in (("x", "+1", 0), ("y", "down", 1)) for row in ROWS]
    program = read_measurement(write(tmp_path, lines)).cells[0].program
    assert np.flatnonzero(np.diff(program.runs)).tolist() == [24]
    assert program.pulses[25] == 0


def test_units_are_mapped_to_weights(tmp_path):
    """Lowest and highest state visited (means of 5 readings) are -1 and 1; a range says otherwise."""
    path = write(tmp_path, long_form(unit=" (uS)"))
    found = read_measurement(path)
    assert found.unit == "uS"
    assert (found.low, found.high) == pytest.approx((-0.42 - 0.04, 0.42), abs=0.06)
    ranged = read_measurement(path, (-2.0, 2.0))
    np.testing.assert_allclose(ranged.cells[0].readings[0], ROWS[0][0] / 2.0)
    assert (ranged.low, ranged.high) == (-2.0, 2.0)


LONG = long_form()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no readings"),
        (["up,down"], "no readings"),
        (["0.1,0.2", "0.1,high"], "row 2: 'high' is not a finite number"),
        (["up,down", "0.1,0.2", "", "0.3,nan"], "row 4: 'nan'"),
        (["0.1,inf"], "row 1: 'inf'"),
        (["0.1", "0.2"], r"row 1: 1 column\(s\)"),
        (["0.1,0.2", "up,down"], "row 2: 'up'"),
        (["0.1,"], "row 1: '' is not a finite number .a gap"),
        (["0.1,0.2", "0.2,0.1"], "2 readings under up pulses: at least 20"),
        (["0.1,0.1"] * 30, "all readings are 0.1"),
        ([f"{down},{up}" for up, down in ROWS], "rows 1 to 25: readings fall by .* under up pulses"),
        ([*LONG[:5], "a,upp,0.3"], "row 6: direction 'upp': .*did you mean 'up'"),
        ([*LONG[:5], "a,up,"], "row 6: '' is not a finite number .a gap"),
        ([*LONG[:5], "a,up"], r"row 6: 2 column\(s\)"),
        (["cell,direction,pulses,reading", "a,up,1.5,0.1"], "row 2: pulses '1.5'"),
        (["cell,direction,pulses,reading", "a,0,2,0.1"], "row 2: 2 pulses in direction 0"),
        (["cell,direction,volt", "a,up,0.1"], "unknown column 'volt'"),
        (["cell,direction,reading,weight", "a,up,0.1,0.2"], "one reading is needed"),
        (["cell,reading", "a,0.1"], "direction and reading are needed"),
        (LONG[:26], "cell a: 0 readings under down pulses"),
    ],
)
def test_refuses_bad_files_in_one_line(tmp_path, lines, message):
    with pytest.raises(ParameterError, match=message) as caught:
        read_measurement(write(tmp_path, lines))
    assert "\n" not in str(caught.value)
    assert "cell.csv" in str(caught.value)


def test_refuses_missing_and_binary_files(tmp_path):
    with pytest.raises(ParameterError, match=r"none\.csv: cannot be read \(No such file"):
        read_measurement(tmp_path / "none.csv")
    (tmp_path / "cell.bin").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ParameterError, match="not a UTF-8"):
        read_measurement(tmp_path / "cell.bin")
    with pytest.raises(ParameterError, match="the lower first"):
        read_measurement(tmp_path / "cell.bin", (1.0, 0.0))


def test_response_is_copied_and_checked():
    up = np.linspace(-1.0, 1.0, 30)
    response = two_runs(up, -up)
    up[0] = 7.0
    assert response.readings[0] == -1.0
    with pytest.raises(ParameterError, match="one dimension"):
        two_runs(np.zeros((20, 2)), -up)
    with pytest.raises(ParameterError, match="row 3: reading inf"):
        two_runs(up, np.where(np.arange(30) == 2, np.inf, -up))
    with pytest.raises(ParameterError, match="pulses have shape"):
        PulseResponse(readings=up, pulses=np.ones(3, int))
