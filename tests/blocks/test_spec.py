"""Filters, choppers, estimators and observers as text, table and file: there and back, what is refused."""

import json
from dataclasses import fields

import numpy as np
import pytest
from scipy import signal

from sptrack.blocks import (
    CIC,
    EMA,
    FIR,
    SOS,
    Boxcar,
    Chain,
    Chopper,
    CorrectedEMA,
    Demodulator,
    Fixed,
    GrowingBoxcar,
    Kalman,
    LastSample,
    MaximumLengthChopper,
    ObserverSettings,
    PeriodicChopper,
    PeriodMean,
    SteadyKalman,
    TrackingLoop,
)
from sptrack.blocks.spec import (
    CHOPPERS,
    FILTERS,
    OBSERVERS,
    chopper_from,
    filter_from,
    reference_from,
    spec_text,
)
from sptrack.errors import ParameterError
from tests.blocks.zoo import BLOCKS, CUSTOM, of
from tests.blocks.zoo import CHOPPERS as CHOPPER_ZOO

KNOWN = {
    "ema:eta=0.01": EMA(eta=0.01),
    "ema:eta=.01,order=3": EMA(eta=0.01, order=3),
    "ema:eta=0.02,stages=2": EMA(eta=0.02, order=2),
    "ema:eta=1e-2": EMA(eta=0.01),
    " ema : eta = 0.01 , order = 2 ": EMA(eta=0.01, order=2),
    "corrected-ema:eta=1e-3": CorrectedEMA(eta=1e-3),
    "boxcar:length=200": Boxcar(length=200),
    "growing-boxcar:length=200": GrowingBoxcar(length=200),
    "cic:length=100,order=3": CIC(length=100, order=3),
    "kalman:drift_std=0.1,read_std=0.5": SteadyKalman(drift_std=0.1, read_std=0.5),
    "kalman-random-walk:read_std=0.5,drift_std=1e-3": Kalman(drift_std=1e-3, read_std=0.5),
    "fir:taps=[0.25, 0.5, 0.25]": FIR(taps=[0.25, 0.5, 0.25]),
    "sos:sos=[[1,0,0,1,-0.5,0]]": SOS(sos=[[1, 0, 0, 1, -0.5, 0]]),
    "sos:sos=[1,0,0,1,-0.5,0]": SOS(sos=[[1, 0, 0, 1, -0.5, 0]]),
    "ba:b=[0.5],a=[1,-0.5]": SOS.from_ba([0.5], [1, -0.5]),
    "last": LastSample(),
    "loop:bandwidth=0.01": TrackingLoop(bandwidth=0.01),
    "loop:bandwidth=0.01,damping=1": TrackingLoop(bandwidth=0.01, damping=1),
    "fixed": Fixed(),
    "period-mean:eta=0.2": PeriodMean(eta=0.2),
    "boxcar:length=3,clock=read": Boxcar(length=3, clock="read"),
    "ema:eta=2e-2 + boxcar:length=10": Chain(EMA(eta=0.02), Boxcar(length=10)),
    "ema:eta=1e+0+boxcar:length=3": Chain(EMA(eta=1.0), Boxcar(length=3)),
}
KNOWN_CHOPPERS = {
    "telegraph:p=0.1": Chopper(p=0.1),
    "telegraph:p=0.1,seed=3,scope=cell,stream=own": Chopper(p=0.1, seed=3, scope="cell", stream="own"),
    "periodic:half_period=50": PeriodicChopper(half_period=50),
    "periodic:half_period=50,duty=.3,scope=column,stagger=2": PeriodicChopper(
        half_period=50, duty=0.3, scope="column", stagger=2
    ),
    "mls:register=7": MaximumLengthChopper(register=7),
    "none": Chopper(p=0.0),
}
OBSERVER_ZOO = [
    ObserverSettings(),
    ObserverSettings(form="adaptive", forgetting=2e-4),
    ObserverSettings(form="direction", forgetting=1e-4, weight=3.0, sent=True),
    ObserverSettings(form="scalar", prior="population", limit=1.3, floor=0.1),
    ObserverSettings(form="predictor", forgetting=2e-4, drive=0.001, weight_bits=12, point_bits=9),
]


def has_text(block):
    parts = block.blocks if isinstance(block, Chain) else (block,)
    return all(type(part) in FILTERS.values() for part in parts)


FILTER_ZOO = {name: block for name, block in BLOCKS.items() if has_text(block)}


@pytest.mark.parametrize(("text", "block"), KNOWN.items())
def test_filters_by_text(text, block):
    assert filter_from(text) == block == reference_from(text)


@pytest.mark.parametrize(("text", "block"), KNOWN_CHOPPERS.items())
def test_choppers_by_text(text, block):
    assert chopper_from(text) == block
    assert chopper_from(spec_text(block)) == block


@pytest.mark.parametrize("block", **of(FILTER_ZOO))
def test_filters_to_text_and_back(block):
    assert filter_from(spec_text(block)) == block


@pytest.mark.parametrize("settings", OBSERVER_ZOO, ids=str)
def test_observers_to_text_and_back(settings):
    assert reference_from(spec_text(settings)) == settings
    assert reference_from({"kind": "observer"} | fields_of(settings)) == settings
    name = next(name for name, form in OBSERVERS.items() if form == settings.form)
    short = {key: value for key, value in fields_of(settings).items() if key != "form"}
    assert reference_from({"kind": name} | short) == settings


def fields_of(block):
    """Settings of a block, coefficients as lists, as a table of a file has them."""
    values = {item.name: getattr(block, item.name) for item in fields(block)}
    return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in values.items()}


@pytest.mark.parametrize("block", **of(FILTER_ZOO))
def test_filters_to_tables_and_back(block):
    parts = block.blocks if isinstance(block, Chain) else (block,)
    names = {kind: name for name, kind in reversed(FILTERS.items()) if name != "ba"}
    tables = [{"kind": names[type(part)]} | fields_of(part) for part in parts]
    assert filter_from(tables) == block
    assert filter_from(json.loads(json.dumps(tables))) == block


@pytest.mark.parametrize("block", CHOPPER_ZOO, ids=str)
def test_choppers_to_text_and_table_and_back(block):
    assert chopper_from(spec_text(block)) == block
    name = next(name for name, kind in CHOPPERS.items() if kind is type(block))
    assert chopper_from({"kind": name} | fields_of(block)) == block


def test_every_name_stands_in_the_zoo():
    """A kind that has a name has a block of that kind, which the suites above take there and back."""
    kinds = {type(part) for block in FILTER_ZOO.values() for part in getattr(block, "blocks", (block,))}
    assert set(FILTERS.values()) == kinds
    assert set(CHOPPERS.values()) == {type(block) for block in CHOPPER_ZOO}
    assert set(OBSERVERS.values()) == {settings.form for settings in OBSERVER_ZOO}


def test_a_text_that_looks_like_a_number_stays_a_text():
    chopper = Chopper(p=0.1, stream="7")
    assert chopper_from(spec_text(chopper)) == chopper


def test_tables_say_the_same_as_texts():
    assert filter_from({"kind": "ema", "eta": 0.01}) == EMA(eta=0.01)
    rows = [{"kind": "ema", "eta": 0.01}, "boxcar:length=4"]
    assert filter_from(rows) == filter_from("ema:eta=0.01+boxcar:length=4")
    table = {"kind": "telegraph", "p": 0.1}
    assert chopper_from(table) == Chopper(p=0.1)
    assert table == {"kind": "telegraph", "p": 0.1}


DESIGN = signal.ellip(4, 0.5, 60, 0.2, output="sos")
TAPS = signal.firwin(9, 0.1)
B, A = signal.butter(3, 0.2)
ENCODINGS = pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])


def write_csv(path, rows, separator=",", decimal=".", encoding="utf-8"):
    text = "# made by hand\n\n" + "".join(
        separator.join(repr(float(number)).replace(".", decimal) for number in row) + "\n" for row in rows
    )
    path.write_text(text, encoding=encoding)


@ENCODINGS
def test_sections_from_files(tmp_path, encoding):
    (tmp_path / "a.json").write_text(json.dumps(DESIGN.tolist()), encoding=encoding)
    (tmp_path / "b.json").write_text(json.dumps({"sos": DESIGN.tolist(), "fs": 1}), encoding=encoding)
    write_csv(tmp_path / "a.csv", DESIGN, encoding=encoding)
    write_csv(tmp_path / "semicolons.csv", DESIGN, ";", ",", encoding=encoding)
    write_csv(tmp_path / "blanks.csv", DESIGN, "\t", encoding=encoding)
    np.save(tmp_path / "a.npy", DESIGN)
    np.savez(tmp_path / "a.npz", DESIGN)
    np.savez(tmp_path / "b.npz", sos=DESIGN, other=[1.0])
    for path in tmp_path.iterdir():
        assert filter_from(f"sos:file={path}") == SOS(sos=DESIGN), path.name
        assert filter_from({"kind": "sos", "file": str(path), "clock": "read"}).clock == "read"


@pytest.mark.parametrize("suffix", ["json", "csv", "npy"])
def test_a_single_section_may_be_one_row(tmp_path, suffix):
    row, path = [0.2, 0.1, 0.0, 1.0, -0.7, 0.0], tmp_path / f"one.{suffix}"
    if suffix == "npy":
        np.save(path, row)
    else:
        path.write_text(json.dumps(row)[1:-1] if suffix == "csv" else json.dumps(row))
    assert filter_from(f"sos:file={path}") == SOS(sos=[row])


@ENCODINGS
def test_taps_from_files(tmp_path, encoding):
    write_csv(tmp_path / "row.csv", [TAPS], encoding=encoding)
    write_csv(tmp_path / "column.csv", TAPS[:, None], encoding=encoding)
    (tmp_path / "a.json").write_text(json.dumps({"taps": TAPS.tolist()}), encoding=encoding)
    np.save(tmp_path / "a.npy", TAPS)
    np.savez(tmp_path / "a.npz", h=TAPS)
    for path in tmp_path.iterdir():
        assert filter_from(f"ema:eta=0.1+fir:file={path}").blocks[1] == FIR(taps=TAPS), path.name


def test_a_column_of_decimal_commas_is_not_taken_for_pairs(tmp_path):
    write_csv(tmp_path / "taps.csv", TAPS[:, None], ";", ",")
    with pytest.raises(ParameterError, match=r"taps must be .*got shape \[9, 2\]"):
        filter_from(f"fir:file={tmp_path / 'taps.csv'}")


@ENCODINGS
@pytest.mark.parametrize(("b", "a"), [(B, A), ([0.2], [1.0, -0.8]), ([0.1, 0.2, 0.3], [1.0])])
def test_transfer_functions_from_files(tmp_path, encoding, b, a):
    b, a = np.asarray(b), np.asarray(a)
    (tmp_path / "named.json").write_text(json.dumps({"a": a.tolist(), "b": b.tolist()}), encoding=encoding)
    (tmp_path / "rows.json").write_text(json.dumps([b.tolist(), a.tolist()]), encoding=encoding)
    write_csv(tmp_path / "rows.csv", [b, a], encoding=encoding)
    np.savez(tmp_path / "named.npz", b=b, a=a)
    if b.size == a.size:
        np.save(tmp_path / "rows.npy", np.stack([b, a]))
    for path in tmp_path.iterdir():
        assert filter_from(f"ba:file={path}") == SOS.from_ba(b, a), path.name


@pytest.mark.parametrize(
    ("make", "spec", "text"),
    [
        (filter_from, "emma:eta=0.1", "filter: kind must be one of .*, got 'emma' .did you mean 'ema'"),
        (filter_from, "", "filter: kind must be .*, got ''"),
        (filter_from, [], "filter must name a filter"),
        (filter_from, 3, "filter must be a text or a table, got 3"),
        (filter_from, "ema", "filter: ema: eta is missing"),
        (filter_from, "ema:0.1", "'0.1' must be key=value"),
        (filter_from, "ema:eta=", "key=value"),
        (filter_from, "ema:eta=0.1,eta=0.2", "eta is given twice"),
        (filter_from, "ema:eta=2", "filter: ema: eta must .*got 2.0"),
        (filter_from, "ema:eta=nan", "eta must .*got nan"),
        (filter_from, "ema:eta=fast", "eta must be a number, got 'fast'"),
        (filter_from, "ema:eta=true", "eta must be a number, got True"),
        (filter_from, "ema:eta=[0.1]", r"eta must be a number, got \[0.1\]"),
        (filter_from, "ema:etta=0.1", "unknown key 'etta'.*did you mean 'eta'"),
        (filter_from, "ema:eta=0.1,order=2,stages=3", "stages means order: give one of them"),
        (filter_from, "ema:eta=0.1,file=a.json", "unknown key 'file'"),
        (filter_from, "boxcar:length=2.5", "length must .*a whole number.*got 2.5"),
        (filter_from, "boxcar:length=10+ema", "ema: eta is missing"),
        (filter_from, "ema:eta=0.1+boxcar:length=3,clock=read", "clocks"),
        (filter_from, "sos", "sos: sos or file is missing"),
        (filter_from, "fir", "fir: taps or file is missing"),
        (filter_from, "ba", "needs b and a, or file, got neither"),
        (filter_from, "ba:b=[1]", "needs b and a, or file, got b"),
        (filter_from, "ba:b=[1],a=[0,1]", r"a\[0\] must not be 0"),
        (filter_from, "sos:file=a.txt", "file must end on .json, .csv, .npy or .npz, got 'a.txt'"),
        (filter_from, "sos:file=3", "file must end on"),
        (filter_from, "sos:file=/not/there.json", "cannot read /not/there.json .No such file"),
        (filter_from, "sos:file=/not/there.npy", "cannot read /not/there.npy"),
        (filter_from, "sos:file=/not/there.csv", "cannot read /not/there.csv"),
        (filter_from, "sos:sos=[[1,2]]", "6 numbers per section"),
        (filter_from, "sos:sos=text", "sos must be real numbers"),
        (filter_from, "fir:taps=[[1,2],[3]]", "taps must be real numbers"),
        (filter_from, {"eta": 0.1}, "kind must be one of .*, got None"),
        (filter_from, "observer", "kind must be one of"),
        (reference_from, "observer:forgeting=0.1", "unknown key 'forgeting'.*did you mean 'forgetting'"),
        (reference_from, "observer:form=blok", "form must be one of .*did you mean 'block'"),
        (reference_from, "predictor-observer", "forgetting must be > 0"),
        (reference_from, "observer:sent=1", "sent must be true or false, got 1"),
        (chopper_from, "telegraf:p=0.1", "did you mean 'telegraph'"),
        (chopper_from, "none:p=0.1", "kind must be one of .*, got 'none'"),
        (chopper_from, "telegraph:p=1.5", "p must .*got 1.5"),
        (chopper_from, "telegraph:p=0.1,scope=rows", "unknown scope 'rows'"),
        (chopper_from, "telegraph:p=0.1,stream=3", "stream must be a text, got 3"),
        (chopper_from, "periodic:half_period=2,duty=2", "duty must .*got 2.0"),
        (chopper_from, "ema:eta=0.1", "kind must be one of .*, got 'ema'"),
    ],
)
def test_refusals(make, spec, text):
    with pytest.raises(ParameterError, match=text) as refused:
        make(spec)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "name", "content", "text"),
    [
        ("sos", "bad.json", "[[1,", "holds no numbers"),
        ("sos", "bad.npy", "numbers", "holds no numbers"),
        ("sos", "bad.csv", "b0,b1,b2,a0,a1,a2\n1,0,0,1,0,0\n", "holds no numbers"),
        ("fir", "empty.csv", "", r"taps must be .*got shape \[0\]"),
        ("fir", "empty.json", "[]", r"taps must be .*got shape \[0\]"),
        ("fir", "words.json", '["a", "b"]', "taps must be real numbers"),
        ("fir", "number.json", "3", "finite numbers on 1 axes"),
        ("fir", "nan.json", "[1, NaN]", "finite numbers"),
        ("ba", "one.csv", "1,2,3\n", "must hold the rows b and a, got 3"),
        ("ba", "number.json", "3", "must hold the rows b and a, got 1"),
        ("ba", "half.json", '{"b": [1]}', "must hold b and a, got b"),
        ("ba", "none.json", "{}", "must hold b and a, got nothing"),
    ],
)
def test_files_that_hold_no_coefficients(tmp_path, kind, name, content, text):
    (tmp_path / name).write_text(content)
    with pytest.raises(ParameterError, match=text) as refused:
        filter_from({"kind": kind, "file": str(tmp_path / name)})
    assert "\n" not in str(refused.value)


def test_archives_of_several_arrays_must_name_them(tmp_path):
    np.savez(tmp_path / "two.npz", a=[1.0], c=[2.0])
    with pytest.raises(ParameterError, match="must hold sos, got a, c"):
        filter_from({"kind": "sos", "file": str(tmp_path / "two.npz")})


@pytest.mark.parametrize("block", [Demodulator(chopper=Chopper(p=0.1)), CUSTOM, Chain(EMA(eta=0.1), CUSTOM)])
def test_blocks_without_a_name_have_no_text(block):
    with pytest.raises(ParameterError, match="has no form as text"):
        spec_text(block)
