import json

import pytest

from sptrack.cli import main
from sptrack.devices import Device
from sptrack.devices.config import device_from_mapping, device_to_toml, load_device
from sptrack.devices.presets import preset, preset_names


def test_list_names_every_preset(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["devices", "list"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.strip()]
    named = [row.split()[0] for row in rows]
    assert [name for name in named if name in preset_names()] == list(preset_names())
    hfo2 = next(row for row in rows if row.startswith(" reram-array-hfo2"))
    assert all(word in hfo2 for word in ("soft-bounds", "0.4622", "4.327", "0.2174", "2022, IEDM"))


def test_list_in_json_has_the_same_devices(capsys):
    assert main(["devices", "list", "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert tuple(entries) == preset_names()
    assert entries["reram-es"]["symmetric_point"]["mean"] == pytest.approx(-0.2, abs=0.02)
    assert entries["pcm"]["symmetric_point"] is None


def test_show_prints_toml_that_makes_the_device_again(capsys, tmp_path):
    assert main(["devices", "show", "reram-es", "--cells", "4x5"]) == 0
    text, toml = capsys.readouterr().out.split("As TOML:\n")
    (tmp_path / "copy.toml").write_text(toml)
    assert load_device(tmp_path / "copy.toml") == preset("reram-es")
    assert "20 cells drawn" in text
    assert "75 dw_min (0.1013 weight units)" in text


@pytest.mark.parametrize(
    ("name", "word"), [("pcm", "one-sided: pulses only raise"), ("idealized", "SP as read      none")]
)
def test_show_says_where_there_is_no_symmetric_point(capsys, name, word):
    assert main(["devices", "show", name, "--cells", "4x4"]) == 0
    assert word in capsys.readouterr().out


def test_show_takes_a_file_and_writes_json_and_a_figure(capsys, tmp_path):
    file, figure = tmp_path / "own.toml", tmp_path / "own.svg"
    file.write_text(device_to_toml(Device(dw_min=0.01)))
    arguments = [
        "devices",
        "show",
        str(file),
        "--json",
        "--cells",
        "8x8",
        "--seed",
        "3",
        "--plot",
        str(figure),
    ]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert err == ""
    assert device_from_mapping(report["device"]) == Device(dw_min=0.01)
    assert (report["statistics"]["cells"], report["seed"]) == (64, 3)
    assert figure.read_text().startswith("<?xml")
    assert sorted(tmp_path.iterdir()) == [figure, file]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["rram-es"], "did you mean 'reram-es'"),
        (["gone.toml"], "gone.toml: cannot be read"),
        (["pcm", "--cells", "4"], "ROWSxCOLUMNS"),
        (["pcm", "--plot", "x.gif"], "x.gif"),
        (["pcm", "--cells", "2x2", "--plot", "/nowhere/x.png"], "/nowhere"),
    ],
)
def test_bad_input_is_one_line_and_status_2(capsys, arguments, word):
    assert main(["devices", "show", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert word in err
