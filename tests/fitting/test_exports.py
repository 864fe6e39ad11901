"""Files as instruments and programs export them: understood, or refused with row, column and remedy."""

import gzip
import io
import zipfile
from typing import NamedTuple

import numpy as np
import pytest

from sptrack.errors import ParameterError
from sptrack.fitting import read_measurement
from sptrack.fitting.report import look_pairs
from sptrack.fitting.units import parse_unit
from tests.fitting.lab import PROGRAM, cell, conductance, words

G, OTHER = conductance(cell(3)), 0.9 * conductance(cell(4))
D, N, VOLTS = PROGRAM, PROGRAM.size, 0.1
INDEX, SIDES, HALF = range(1, N + 1), words("P", "D"), slice(60)
AMPERE = [f"{g * 1e-6 * VOLTS:.6e}" for g in G]


def text(values, decimal="."):
    return [f"{value:.6g}".replace(".", decimal) for value in values]


def body(*columns, sep=","):
    return "\n".join(sep.join(map(str, row)) for row in zip(*columns, strict=False)) + "\n"


def plain(header="pulse,G (uS),dir"):
    return f"{header}\n{body(INDEX, text(G), D)}"


def book(**sheets):
    openpyxl = pytest.importorskip("openpyxl")
    made, out = openpyxl.Workbook(), io.BytesIO()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    made.save(out)
    return out.getvalue()


def archive(*names):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name in names:
            made.writestr(name, plain())
    return out.getvalue()


class Kind(NamedTuple):
    """Content, and what it is: factor of its unit to that told (0: none told), cells, readings of one."""

    content: str | bytes
    factor: float = 1.0
    cells: int = 1
    readings: int = N


def instruments():
    lvm = (
        "LabVIEW Measurement\t\nSeparator\tTab\nDate\t2024/05/01\n***End_of_Header***\t\n\t\nChannels\t2\t\n"
        "Samples\t240\t240\nY_Unit_Label\tS\tV\n***End_of_Header***\t\t\nX_Value\tConductance\tVpulse\tComment\n"
    )
    setup = (
        "SetupTitle, I/V Sweep\nTestParameter, Channel.UnitType, SMU, SMU\nDataName, PulseNo, Vpulse, Iread\n"
    )
    waves = "IGOR\nWAVES/D\tG_uS\nBEGIN\n" + body(text(G)) + 'END\nX SetScale/P x 0,1,"", G_uS\n'
    return {
        "smu pairs": Kind(
            "Keithley Instruments,2636B\nSerial,1234567\nDate,2024-05-01\n\n"
            "Index,Timestamp,SMUA_V(V),SMUA_I(A),Pulse_V(V)\n"
            + body(INDEX, text(np.arange(N) * 0.1), [VOLTS] * N, AMPERE, 2.0 * D)
        ),
        "buffers": Kind(
            "smua.nvbuffer1.readings\tsmua.nvbuffer1.sourcevalues\tsmub.nvbuffer1.sourcevalues\n"
            + body(AMPERE, [VOLTS] * N, 1.5 * D, sep="\t"),
            factor=0.0,
        ),
        "terminals": Kind(
            "Test Name\tpulse#1\nRun1\n\nIndex\tTime\tDrainI\tDrainV\tGateV\n"
            + body(INDEX, text(np.arange(N) * 0.1), AMPERE, [VOLTS] * N, 3.0 * D, sep="\t"),
            factor=0.0,
        ),
        "parameter analyser": Kind(
            setup
            + "".join(f"DataValue, {n}, {2 * d}, {i}\n" for n, d, i in zip(INDEX, D, AMPERE, strict=True)),
            factor=0.0,
        ),
        "multimeter": Kind(
            "Sample,Date/Time,Reading(OHM),Pulse Polarity\n"
            + body(INDEX, ["05/01/2024 10:00:00.1"] * N, text(1e6 / G), ["+" if d > 0 else "-" for d in D])
        ),
        "lvm": Kind(lvm + body(text(np.arange(N) * 0.1), text(G), 2.0 * D, sep="\t"), factor=0.0),
        "paths of channels": Kind(
            "/'Pulse'/'Conductance (uS)'\t/'Pulse'/'Vpulse (V)'\n" + body(text(G), 2.0 * D, sep="\t")
        ),
        "long names": Kind(
            "A(X)\tB(Y)\tC(Y)\nPulse No.\tG\tPulse voltage\n\tuS\tV\nComments\tdevice 3\t\n"
            + body(INDEX, text(G), 2.0 * D, sep="\t")
        ),
        "waves": Kind(
            "IGOR\nWAVES/D\tpulse_n\tG_uS\tV_pulse\nBEGIN\n"
            + body(INDEX, text(G), 2.0 * D, sep="\t")
            + 'END\nX SetScale y 0,0,"S", G_uS\n'
        ),
        "waves one by one": Kind(waves + "WAVES/D\tV_pulse\nBEGIN\n" + body(2.0 * D) + "END\n"),
    }


def languages():
    up_down = {
        "french": ("N°;Conductance (µS);Sens\n", G, words("montée", "descente")),
        "french resistance": (
            "impulsion;résistance (kΩ);sens\n",
            1e3 / G,
            words("potentialisation", "dépression"),
        ),
        "german": ("Nr.;Leitwert in µS;Richtung\n", G, words("auf", "ab")),
    }
    made = {
        name: Kind(head + body(INDEX, text(v, ","), w, sep=";")) for name, (head, v, w) in up_down.items()
    }
    chinese = "脉冲序号,电导(uS),方向\n" + body(INDEX, text(G), words("增强", "抑制"))
    japanese = "パルス,抵抗(kΩ),極性\n" + body(INDEX, text(1e3 / G), words("正", "負"))
    grouped = [f"{1e6 / g:,.2f}" for g in G]
    for name, comma, point in (("blanks", "\u00a0", ","), ("apostrophes", "'", "."), ("points", ".", ",")):
        fields = [one.replace(",", "_").replace(".", point).replace("_", comma) for one in grouped]
        made[f"thousands with {name}"] = Kind(
            "Puls;Widerstand (Ohm);Richtung\n" + body(INDEX, fields, words("auf", "ab"), sep=";")
        )
    return made | {
        "chinese": Kind(chinese),
        "chinese, gb18030": Kind(chinese.encode("gb18030")),
        "japanese": Kind(japanese),
        "japanese, cp932": Kind(japanese.encode("cp932")),
        "cp1252": Kind(plain("pulse,G [µS],dir").encode("cp1252")),
        "utf-16, no mark": Kind(plain("pulse,G (µS),dir").encode("utf-16-le")),
    }


def shapes():
    logarithm = {
        "log10(R/Ohm)": np.log10(1e6 / G),
        "log R (Ohm)": np.log10(1e6 / G),
        "lg G [S]": np.log10(1e-6 * G),
        "ln(G/S)": np.log(1e-6 * G),
    }
    made = {
        name: Kind(f"pulse,{name},dir\n" + body(INDEX, [f"{v:.9g}" for v in y], D))
        for name, y in logarithm.items()
    }
    return made | {
        "negative conductances": Kind("pulse,G (uS),dir\n" + body(INDEX, text(-G), D)),
        "negative currents": Kind("Vread = -0.1 V\npulse,I (uA),dir\n" + body(INDEX, text(-G * VOLTS), D)),
        "set voltage in mV": Kind("pulse,G (uS),Pulse amplitude (mV)\n" + body(INDEX, text(G), 1800 * D)),
        "pulse widths": Kind(
            "No.,t_pulse (us),V_pulse (V),I_comp (uA),G_after (uS)\n"
            + body(INDEX, [100] * N, 1.8 * D, [50] * N, text(G))
        ),
        "verify counts": Kind(
            "Pulse,G_target (uS),G (uS),verify_count,dir\n"
            + body(INDEX, [50] * N, text(G), [2, 3] * (N // 2), D)
        ),
        "one letter of unit": Kind("pulse,G_S,dir\n" + body(INDEX, [f"{g * 1e-6:.9g}" for g in G], D)),
        "index of a frame": Kind(",G_uS,direction\n" + body(range(N), text(G), SIDES)),
        "summary below": Kind(plain() + "\nmean,52.3,\nstd,1.2,\n"),
        "totals behind comments": Kind(plain() + "\n# end of measurement\nTotal,12.3,\n"),
        "zeros behind": Kind(plain().encode() + b"\0" * 5000),
        "twice carriage return": Kind(plain().replace("\n", "\r\r\n")),
        "gzip": Kind(gzip.compress(plain().encode())),
        "archive of one": Kind(archive("run/data.csv")),
        "blocks of cycles": Kind(
            "".join(
                f"Cycle {k + 1}\npulse,G (uS),dir\n" + body(INDEX, text(G[120 * k : 120 * k + 120]), D) + "\n"
                for k in range(2)
            )
        ),
        "blocks of cells": Kind(
            "".join(
                f"Device: {n}\npulse,G (uS),dir\n{body(INDEX, text(g), D)}\n\n"
                for n, g in (("A1", G), ("B2", OTHER))
            ),
            cells=2,
        ),
        "titles over sides": Kind(
            "Potentiation,,Depression,\nPulse #,G (µS),Pulse #,G (µS)\n"
            + body(INDEX, text(G[HALF]), INDEX, text(G[60:120])),
            readings=120,
        ),
    }


def sheets():
    head = ["pulse", "G (uS)", "dir"]
    numbers = {
        name: [head, *zip(INDEX, g.tolist(), D.tolist(), strict=True)] for name, g in (("A", G), ("B", OTHER))
    }
    side = [["pulse", "G (uS)"]]
    return {
        "sheet of notes first": Kind(
            book(Info=[["Sample", "A3"], ["T (K)", 300], ["Vread", 0.1], ["runs", 2]], Data=numbers["A"])
        ),
        "a sheet for each cell": Kind(book(**numbers), cells=2),
        "a sheet for each side": Kind(
            book(
                Potentiation=side + [[k, float(g)] for k, g in enumerate(G[HALF])],
                Depression=side + [[k, float(g)] for k, g in enumerate(G[60:120])],
            ),
            readings=120,
        ),
    }


def understood(path, kind):
    path.write_bytes(kind.content if isinstance(kind.content, bytes) else kind.content.encode())
    found = read_measurement(path)
    assert all(len(pair) == 2 for pair in look_pairs(found))
    assert len(found.cells) == kind.cells
    for response, truth in zip(found.cells, (G, OTHER), strict=False):
        assert response.readings.size == kind.readings
        np.testing.assert_array_equal(np.sign(response.pulses), D[: kind.readings])
        values, expected = found.in_unit(response.readings), truth[: kind.readings]
        if kind.factor:
            values = values * parse_unit(found.unit).factor * 1e6 * kind.factor
        else:
            values = values * np.median(expected) / np.median(values)
        np.testing.assert_allclose(values, expected, rtol=2e-4)


@pytest.mark.parametrize("kind", [*instruments()])
def test_exports_of_instruments(tmp_path, kind):
    understood(tmp_path / "cell.txt", instruments()[kind])


@pytest.mark.parametrize("kind", [*languages()])
def test_languages_encodings_and_groups_of_digits(tmp_path, kind):
    understood(tmp_path / "cell.csv", languages()[kind])


@pytest.mark.parametrize("kind", [*shapes()])
def test_shapes_and_quantities(tmp_path, kind):
    understood(tmp_path / "cell.csv", shapes()[kind])


@pytest.mark.parametrize("kind", ["sheet of notes first", "a sheet for each cell", "a sheet for each side"])
def test_workbooks_of_several_sheets(tmp_path, kind):
    understood(tmp_path / "cell.xlsx", sheets()[kind])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (archive("a.csv", "b.csv"), "a zip archive of 2 files, 'a.csv, b.csv'; unpack it"),
        (b"PK\x03\x04" + bytes(40), "damaged zip archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5; save its table as CSV"),
        (b"%PDF-1.4\n1 0 obj\n", "a PDF document; save its table as CSV"),
        (b"MATLAB 5.0 MAT-file" + bytes(100), "a MAT-file of MATLAB; save its table as CSV"),
        (b"<html><table><tr><td>1</td></tr></table></html>", "HTML or XML, not a table"),
        (b'{"G_uS": [1.0, 2.0]}', "JSON, not a table"),
        (plain().replace("\n100,", "\n100,1,2,").encode(), "row 101: 5 fields"),
        (plain().replace(f"\n100,{text(G)[99]}", "\n100,abc").encode(), r"row 101, column 'G \(uS\)'"),
        (b"IGOR\nWAVES/D a\n", "no waves between BEGIN and END"),
    ],
)
def test_what_is_no_table_is_refused_by_its_kind(tmp_path, content, message):
    path = tmp_path / "cell.csv"
    path.write_bytes(content)
    with pytest.raises(ParameterError, match=message):
        read_measurement(path)
