import tomllib
from dataclasses import replace

import pytest

from sptrack.devices import (
    Asymmetry,
    CustomResponse,
    CycleNoise,
    Device,
    ExpStep,
    PiecewiseStep,
    PowStep,
    Reference,
    Source,
    Spread,
    SymmetricPoints,
)
from sptrack.devices.config import device_from_mapping, device_to_mapping, device_to_toml, load_device
from sptrack.errors import ParameterError

DEVICES = {
    "default": Device(),
    "measured": Device(
        response=PiecewiseStep(nodes_up=(1.5, 1 / 3, 0.1), nodes_down=(0.2, 0.5, 1.0)),
        dw_min=0.1 + 0.2,
        reference=Reference(subtract=False, mean=-0.02, std=0.05),
        source=Source(name="Kürzel", citation='a "quoted" \\ name', note="two\nlines\tand \x7f \U0001f600"),
    ),
    "points": Device(
        response=PowStep(gamma_up=2.0, gamma_down=1e-3, w_max=3, w_min=-1e5),
        spread=Spread(
            asymmetry=SymmetricPoints(mean=0.1, std=0.2, limit=0.5), corrupt=0.25, corrupt_range=0.1
        ),
        cycle_noise=CycleNoise(std=5.0, additive=True, offset=0.1, slope=2.0),
    ),
    "one-sided": Device(response=ExpStep(a=-1.0, A_up=-27.235), one_sided=True, write_noise=75),
}


@pytest.mark.parametrize("name", DEVICES)
def test_a_device_survives_its_toml_text(name, tmp_path):
    file = tmp_path / "device.toml"
    file.write_text(device_to_toml(DEVICES[name]), encoding="utf-8")
    assert load_device(file) == DEVICES[name]
    assert type(load_device(file).spread.asymmetry) is type(DEVICES[name].spread.asymmetry)
    assert device_to_mapping(DEVICES[name]) == tomllib.loads(file.read_text(encoding="utf-8"))


def test_what_is_left_out_takes_its_default():
    assert device_from_mapping({}) == Device()
    assert device_from_mapping({"spread": {"w_max": 1}}) == Device(spread=Spread(w_max=1.0))
    given = {"spread": {"asymmetry": {"kind": "two-sided", "std": 0.2}}}
    assert device_from_mapping(given) == Device(spread=Spread(asymmetry=Asymmetry(std=0.2)))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dw_mn = 0.1", ["unknown key 'dw_mn'", "did you mean 'dw_min'"]),
        ("[spread]\nlognormal = true", ["'spread.lognormal'", "did you mean 'log_normal'"]),
        ("[spread.asymmetry]\nkind = 'two-sided'\nlimit = 0.5", ["'spread.asymmetry.limit'", "mean, std"]),
        (
            "[response]\nfamily = 'soft-bound'",
            ["response.family must", "got 'soft-bound'", "did you mean 'soft-bounds'"],
        ),
        ("[response]\nw_max = 1.0", ["response.family must", "got None", "soft-bounds"]),
        ("[response]\nfamily = ['exp-step']", ["response.family", "one of"]),
        ("[response]\nfamily = 'soft-bounds'\ngamma_up = 1.0", ["'response.gamma_up'", "w_max, w_min"]),
        ("[response]\nfamily = 'custom'", ["response.family must", "got 'custom'"]),
        ("[response]\nfamily = 'exp-step'\nlaw = 1", ["'response.law'"]),
        ("[spread.asymmetry]\nkind = 'onesided'", ["did you mean 'one-sided'"]),
        ("dw_min = '0.1'", ["dw_min must be", "got '0.1'", "a finite number"]),
        ("dw_min = true", ["dw_min must be", "got True", "a finite number"]),
        ("dw_min = nan", ["dw_min must be", "got nan", "a finite number"]),
        ("one_sided = 1", ["one_sided must be true", "got 1", "true or false"]),
        ("spread = 0.3", ["spread must be a table", "got 0.3", "a table"]),
        ("source = {name = 3}", ["source.name must be", "got 3", "a text"]),
        (
            "[response]\nfamily = 'piecewise-step'\nnodes_up = 1.0",
            ["response.nodes_up", "a list of numbers"],
        ),
        (
            "[response]\nfamily = 'piecewise-step'\nnodes_up = [1, 'x']",
            ["response.nodes_up[1] must"],
        ),
        ("dw_min = -1.0", ["dw_min must be > 0", "got -1.0"]),
        ("[spread]\nw_max = -1", ["spread.w_max must be >= 0, got -1.0"]),
        ("dw_min = ", ["not a TOML file"]),
        ("\udcff", ["not a TOML file"]),
    ],
)
def test_a_bad_file_is_refused_with_its_name_and_the_place(tmp_path, text, words):
    file = tmp_path / "device.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ParameterError) as refused:
        load_device(file)
    message = str(refused.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message
    assert [word for word in words if word not in message] == []


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ParameterError, match=r"no\.toml: cannot be read"):
        load_device(tmp_path / "no.toml")


def test_functions_have_no_form_as_text():
    response = CustomResponse(q_plus=lambda w: 1.0 - w, q_minus=lambda w: 1.0 + w)
    with pytest.raises(ParameterError, match="response of type CustomResponse"):
        device_to_toml(replace(Device(), response=response))
