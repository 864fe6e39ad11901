"""Files of one record in the forms of instruments, spreadsheets and colleagues: each reads as the record."""

import numpy as np
import pytest

from sptrack.errors import ParameterError
from sptrack.fitting import Recipe, read_measurement
from tests.fitting.lab import PROGRAM, cell, conductance, table, words

G, OTHER = conductance(cell(0)), conductance(cell(1))
INDEX = np.arange(1, G.size + 1)
UP_DOWN = words("up", "down")
LONG = {"pulse": INDEX, "direction": UP_DOWN, "G (uS)": G}
VOLTS = [f"{1.8 if sign > 0 else -1.6}" for sign in PROGRAM]


def body(*columns, separator=","):
    return table(dict(enumerate(columns)), separator, header=False)


def preamble_and_count():
    head = ['"Source meter"', '"Serial No.","MY51"', "", '"Count","Source (V)","Read (A)","Time (s)"']
    return [*head, *body(INDEX, VOLTS, G * 1e-7, INDEX / 10)]


def analyser():
    head = ["SetupTitle, pulses", "TestParameter, Channel.Unit, SMU, SMU", "DataName, Index, Vpulse, Gread"]
    return head + [f"DataValue, {line}" for line in body(INDEX, VOLTS, G, separator=", ")]


def exchanged():
    return [
        ",".join([name, *texts])
        for name, texts in zip(LONG, (INDEX.astype(str), UP_DOWN, G.astype(str)), strict=True)
    ]


SHAPES = {
    "words of a language": [
        "Zyklus;Puls;Polarität;Leitwert in µS",
        *body(np.repeat([1, 2], 120), INDEX, words("positiv", "negativ"), G, separator=";"),
    ],
    "rows of types": ["Pulse,Direction,Conductance", "-,-,uS", "int,text,float", *body(INDEX, UP_DOWN, G)],
    "long names, units, comments": [
        "Pulse number\tPolarity\tConductance",
        "\t\tuS",
        "\t\tdevice A3",
        *body(INDEX, words("Pot.", "Dep."), G, separator="\t"),
    ],
    "units as a comment": ["Pulse,Direction,Conductance", "# -,-,uS", *body(INDEX, UP_DOWN, G)],
    "count of readings": preamble_and_count(),
    "analyser": analyser(),
    "closing text": [*table(LONG), "", "End of data"],
    "spread beside the mean": table({**LONG, "G std (uS)": [0.2] * G.size, "delta G (uS)": G / 50}),
    "before and after": table(
        {"pulse": INDEX, "direction": UP_DOWN, "G before (uS)": np.r_[22.0, G[:-1]], "G after (uS)": G}
    ),
    "read at, in a comment": [
        "# all currents read at 100 mV",
        *table({"n": INDEX, "direction": UP_DOWN, "I (nA)": 100 * G}),
    ],
    "read at, in the name": table({"n": INDEX, "direction": UP_DOWN, "I@0.1V (nA)": 100 * G}),
    "numbered words": table(
        {"label": [f"{'P' if s > 0 else 'D'}{k % 60 + 1}" for k, s in enumerate(PROGRAM)], "G (uS)": G}
    ),
    "time stamps": table(
        {
            "Timestamp": [f"2024-01-02 10:{k // 60:02d}:{k % 60:02d}" for k in INDEX],
            "dir": UP_DOWN,
            "G (uS)": G,
        }
    ),
    "width of pulses": table({"pulse": INDEX, "V (V)": VOLTS, "width (us)": [100] * G.size, "G (uS)": G}),
    "fixed width": [
        "  pulse  dir   G(uS)",
        *(f"{k:7d}{s:5d}{g:10.4f}" for k, s, g in zip(INDEX, PROGRAM, G, strict=True)),
    ],
    "index without a name": table({"": INDEX, "direction": UP_DOWN, "G_uS": G}),
    "rows and columns exchanged": exchanged(),
}


def write(path, lines, end="\n"):
    path.write_text(end.join(lines) + end, encoding="utf-8", newline="")
    return path


def check(response, found, expected):
    """Conductances to 5 digits (a part in 10^4), whatever their unit; directions exactly."""
    np.testing.assert_allclose(
        found.in_unit(response.readings) * _factor(found.unit), expected * 1e-6, rtol=1e-4
    )
    np.testing.assert_array_equal(np.sign(response.pulses), PROGRAM)


def _factor(unit):
    return {"S": 1.0, "uS": 1e-6, "A": 10.0, "": 1e-6}[unit]


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_one_cell_in_every_shape(tmp_path, kind, end):
    found = read_measurement(write(tmp_path / "cell.txt", SHAPES[kind], end))
    (response,) = found.cells
    check(response, found, G)
    assert not found.gaps


def blocks(*labels):
    lines = table(LONG), table({**LONG, "G (uS)": OTHER})
    return [line for label, block in zip(labels, lines, strict=True) for line in (label, *block)]


CELLS = {
    "labelled blocks": blocks("# Device A", "# Device B"),
    "text between blocks": blocks("Device: A", "Device: B"),
    "header once": ["# Cell A", *table(LONG), "# Cell B", *table({**LONG, "G (uS)": OTHER})[1:]],
    "titles over columns": [
        ",A,,B,",
        "pulse,dir,G (uS),dir,G (uS)",
        *body(INDEX, UP_DOWN, G, UP_DOWN, OTHER),
    ],
    "the same names twice": ["dir,G (uS),dir,G (uS)", *body(UP_DOWN, G, UP_DOWN, OTHER)],
}


@pytest.mark.parametrize("kind", CELLS)
def test_two_cells_in_every_shape(tmp_path, kind):
    """No shape joins two cells into one record."""
    found = read_measurement(write(tmp_path / "cells.csv", CELLS[kind]))
    assert [one.name[-1] for one in found.cells] == (["1", "2"] if "twice" in kind else ["A", "B"])
    for response, expected in zip(found.cells, (G, OTHER), strict=True):
        check(response, found, expected)


def test_directions_are_those_of_their_own_column(tmp_path):
    """Two cells side by side, pulsed in opposite order: each keeps its directions."""
    down_first = [*UP_DOWN[60:120], *UP_DOWN[:60]] * 2
    falling = np.r_[OTHER[60:120], OTHER[:60], OTHER[180:], OTHER[120:180]]
    lines = [",A,,B,", "n,dir,G (uS),dir,G (uS)", *body(INDEX, UP_DOWN, G, down_first, falling)]
    first, second = read_measurement(write(tmp_path / "cells.csv", lines)).cells
    np.testing.assert_array_equal(np.sign(first.pulses), PROGRAM)
    np.testing.assert_array_equal(np.sign(second.pulses), -PROGRAM)


def test_a_single_text_in_the_middle_is_refused(tmp_path):
    lines = [*table(LONG)[:50], "interrupted", *table(LONG)[50:]]
    with pytest.raises(ParameterError, match=r"row 51, column 'direction'"):
        read_measurement(write(tmp_path / "cell.csv", lines), Recipe())
