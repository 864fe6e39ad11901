import json

import pytest

from sptrack.cli import main
from sptrack.results import load

pytestmark = pytest.mark.compiled

FIELDS = ["bound", "form", "device", "dw", "pulses", "measured", "bound_value", "ratio", "samples", "holds"]


def test_json_is_a_list_of_rows_alone(capsys):
    assert main(["verify", "--device", "linear", "sticking", "--json"]) == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)
    assert err == ""
    assert all(list(row) == FIELDS for row in rows)
    assert {row["device"] for row in rows} == {"linear", "sticking"}
    assert {row["form"] for row in rows} == {"corrected"}


def test_a_failing_printed_bound_is_shown_and_does_not_count(capsys):
    assert main(["verify", "--device", "sticking", "--printed", "--quiet"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "TC.3 printed" in out
    assert "fails: TC.3 printed, sticking, dw 0.01, 5,000 pulses" in out
    assert "BOUNDS HOLD 9 of 9 corrected bounds hold" in out
    assert "TC.4" in out


def test_a_failing_corrected_bound_gives_status_1(capsys, monkeypatch):
    monkeypatch.setattr("sptrack.evaluation.verify._ROUNDING", -0.5)
    assert main(["verify", "--device", "linear"]) == 1
    assert "fails: TC.4, linear" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--device", "liner"], "did you mean 'linear'?"),
        (["--device", "pcm"], "one-sided"),
        (["--device", "idealized"], "without rows"),
        (["--threads", "0"], "threads must be a whole number >= 1, got 0"),
    ],
)
def test_bad_input_gives_one_line_and_no_folder(capsys, tmp_path, words, part):
    assert main(["verify", *words, "--quiet", "--out", str(tmp_path / "out")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert part in err
    assert list(tmp_path.iterdir()) == []


def test_out_holds_rows_dataset_and_figure(capsys, tmp_path):
    assert main(["verify", "--device", "linear", "--json", "--quiet", "--out", str(tmp_path / "out")]) == 0
    out, _ = capsys.readouterr()
    names = {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")}
    assert names == {"verify.json", "verify.nc", "bounds.png", "bounds.svg"}
    assert (tmp_path / "out" / "verify.json").read_text() == out
    assert load(tmp_path / "out" / "verify.nc")["ratio"].values.tolist() == [
        row["ratio"] for row in json.loads(out)
    ]
