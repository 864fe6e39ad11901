import json

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
    MaximumLengthChopper,
    PeriodicChopper,
    SteadyKalman,
)
from sptrack.blocks.spec import CHOPPERS, FILTERS, chopper_from, filter_from, spec_text
from sptrack.errors import ParameterError
from tests.blocks.zoo import CHOPPERS as CHOPPER_ZOO
from tests.blocks.zoo import LINEAR

KNOWN = {
    "ema:eta=0.01": EMA(eta=0.01),
    "ema:eta=0.02,stages=2": EMA(eta=0.02, stages=2),
    "corrected-ema:eta=1e-3": CorrectedEMA(eta=1e-3),
    "boxcar:length=200": Boxcar(length=200),
    "cic:length=100,order=3": CIC(length=100, order=3),
    "kalman:drift_std=0.1,read_std=0.5": SteadyKalman(drift_std=0.1, read_std=0.5),
    "ema:eta=2e-2 + boxcar:length=10": Chain(EMA(eta=0.02), Boxcar(length=10)),
    "ema:eta=1e+0+boxcar:length=3": Chain(EMA(eta=1.0), Boxcar(length=3)),
}
KNOWN_CHOPPERS = {
    "telegraph:p=0.1": Chopper(p=0.1),
    "telegraph:p=0.1,seed=3,scope=cell,stream=own": Chopper(p=0.1, seed=3, scope="cell", stream="own"),
    "periodic:half_period=50": PeriodicChopper(half_period=50),
    "mls:register=7": MaximumLengthChopper(register=7),
    "none": Chopper(p=0.0),
}


@pytest.mark.parametrize(("text", "block"), KNOWN.items())
def test_filters_by_text(text, block):
    assert filter_from(text) == block


@pytest.mark.parametrize(("text", "block"), KNOWN_CHOPPERS.items())
def test_choppers_by_text(text, block):
    assert chopper_from(text) == block
    assert chopper_from(spec_text(block)) == block


@pytest.mark.parametrize("block", [*LINEAR, CorrectedEMA(eta=0.2), Chain(*LINEAR)], ids=str)
def test_filters_to_text_and_back(block):
    again = filter_from(spec_text(block))
    x = np.random.default_rng(0).standard_normal(50)
    assert type(again) is type(block)
    np.testing.assert_array_equal(again.process(x)[0], block.process(x)[0])
    if type(block) not in (SOS, FIR, Chain):
        assert again == block


@pytest.mark.parametrize("block", CHOPPER_ZOO, ids=str)
def test_choppers_to_text_and_back(block):
    assert chopper_from(spec_text(block)) == block


def test_every_name_makes_a_block_whose_text_begins_with_it():
    settings = {
        "eta": 0.1, "length": 3, "drift_std": 0.1, "read_std": 0.2, "sos": [[1, 0, 0, 1, 0, 0]],
        "taps": [1.0], "p": 0.2, "half_period": 3, "register": 4,
    }  # fmt: skip
    for kinds, make in ((FILTERS, filter_from), (CHOPPERS, chopper_from)):
        for name, kind in kinds.items():
            table = {key: settings[key] for key in settings if key in kind.__dataclass_fields__}
            block = make({"kind": name, **table})
            assert type(block) is kind
            assert spec_text(block).startswith(f"{name}:")


def test_tables_say_the_same_as_texts():
    assert filter_from({"kind": "ema", "eta": 0.01}) == EMA(eta=0.01)
    rows = [{"kind": "ema", "eta": 0.01}, "boxcar:length=4"]
    assert filter_from(rows) == filter_from("ema:eta=0.01+boxcar:length=4")
    table = {"kind": "telegraph", "p": 0.1}
    assert chopper_from(table) == Chopper(p=0.1)
    assert table == {"kind": "telegraph", "p": 0.1}


def test_coefficients_from_files(tmp_path):
    sos = signal.butter(4, 0.1, output="sos")
    (tmp_path / "a.json").write_text(json.dumps(sos.tolist()))
    np.save(tmp_path / "a.npy", sos)
    np.savez(tmp_path / "a.npz", sos)
    for name in ("a.json", "a.npy", "a.npz"):
        made = filter_from(f"sos:file={tmp_path / name}")
        np.testing.assert_array_equal(made.sos, sos)
    taps = signal.firwin(9, 0.1)
    np.save(tmp_path / "taps.npy", taps)
    made = filter_from(f"ema:eta=0.1+fir:file={tmp_path / 'taps.npy'}")
    np.testing.assert_array_equal(made.blocks[1].taps, taps)


@pytest.mark.parametrize(
    ("make", "spec", "text"),
    [
        (filter_from, "emma:eta=0.1", "filter: kind 'emma': .*did you mean 'ema'"),
        (filter_from, "", "filter: kind ''"),
        (filter_from, [], "a filter wanted"),
        (filter_from, 3, "filter = 3: a text or a table"),
        (filter_from, "ema", "filter: ema: eta wanted"),
        (filter_from, "ema:0.1", "'0.1': key=value wanted"),
        (filter_from, "ema:eta=", "key=value wanted"),
        (filter_from, "ema:eta=0.1,eta=0.2", "eta is given twice"),
        (filter_from, "ema:eta=2", "eta = 2.0"),
        (filter_from, "ema:eta=nan", "eta = nan"),
        (filter_from, "ema:eta=fast", "eta = 'fast': a number"),
        (filter_from, "ema:etta=0.1", "unknown key 'etta'.*did you mean 'eta'"),
        (filter_from, "boxcar:length=2.5", "length = 2.5: a whole number"),
        (filter_from, "boxcar:length=10+ema", "ema: eta wanted"),
        (filter_from, "ema:eta=0.1+boxcar:length=3,clock=read", "clocks"),
        (filter_from, "sos", "sos: sos or file wanted"),
        (filter_from, "sos:file=a.txt", "file = 'a.txt'"),
        (filter_from, "sos:file=/not/there.json", "there.json: cannot be read"),
        (filter_from, "sos:file=/not/there.npy", "there.npy: cannot be read"),
        (filter_from, "sos:sos=[[1,2]]", "6 numbers a section"),
        (filter_from, {"eta": 0.1}, "kind None"),
        (chopper_from, "telegraf:p=0.1", "did you mean 'telegraph'"),
        (chopper_from, "none:p=0.1", "kind 'none'"),
        (chopper_from, "telegraph:p=1.5", "p = 1.5"),
        (chopper_from, "telegraph:p=0.1,scope=rows", "scope = 'rows'"),
        (chopper_from, "telegraph:p=0.1,stream=3", "stream = 3: a text"),
        (chopper_from, "ema:eta=0.1", "kind 'ema'"),
    ],
)
def test_refusals(make, spec, text):
    with pytest.raises(ParameterError, match=text) as refused:
        make(spec)
    assert "\n" not in str(refused.value)


def test_files_that_hold_no_coefficients(tmp_path):
    (tmp_path / "bad.json").write_text("[[1,")
    (tmp_path / "bad.npy").write_text("numbers")
    np.savez(tmp_path / "two.npz", a=[1.0], b=[2.0])
    for name, text in (("bad.json", "no numbers"), ("bad.npy", "no numbers"), ("two.npz", "holds 2 arrays")):
        with pytest.raises(ParameterError, match=text):
            filter_from({"kind": "sos", "file": str(tmp_path / name)})


def test_blocks_without_a_name_have_no_text():
    with pytest.raises(ParameterError, match="Demodulator"):
        spec_text(Demodulator(chopper=Chopper(p=0.1)))
