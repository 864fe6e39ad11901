"""`sptrack train` from the command line."""

import json

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'sptrack[nn]'")
pytest.importorskip("sklearn", reason="needs scikit-learn: pip install 'sptrack[nn]'")

from sptrack.cli import main
from sptrack.cli import train as train_command
from sptrack.results import load


def test_runs_resumes_and_writes(tmp_path, capsys):
    out = tmp_path / "out"
    words = ["train", "--compare", "sgd", "agad", "--batch", "50", "--out", str(out), "--json", "--quiet"]
    assert main([*words, "--epochs", "1"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert [row["method"] for row in first] == ["sgd", "agad"]
    assert main([*words, "--epochs", "2", "--resume"]) == 0
    second = json.loads(capsys.readouterr().out)
    assert second[1]["history"][0] == first[1]["history"][0]
    assert load(out / "train.nc")["accuracy"].shape == (2, 2)
    assert (out / "train.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("--method agat", "unknown method 'agat'"),
        ("--method sgd --compare agad", "only one of them"),
        ("--resume", "--resume needs --out"),
        ("--epochs 0", "epochs must be at least 1"),
        ("--data nowhere", "no such folder"),
        ("--net lenet5", "lenet5 needs images of at least 16 x 16"),
        ("--net nothing", "net must be fcn, lenet5 or a Python file"),
        ("--batch 0", "batch must be at least 1"),
        ("--chopper telegraph:p=0.1,scope=cell --epochs 1", "chopper.scope"),
    ],
)
def test_refusals(words, text, capsys):
    assert main(["train", "--quiet", *words.split()]) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1


def test_settings_of_a_file(tmp_path, capsys):
    path = tmp_path / "run.toml"
    path.write_text('[tile]\nfast_lr = 0.2\nhold = 0\n[filter]\nkind = "ema"\neta = 0.1\n')
    words = ["train", "--method", "agad", "--config", str(path), "--batch", "200", "--epochs", "1", "--json"]
    assert main([*words, "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["pulses"] > 0
    path.write_text("[tile]\nfast_rl = 0.2\n")
    assert main([*words, "--quiet"]) == 2
    assert "did you mean 'fast_lr'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("accuracies", "word"),
    [((10.0,), "NOT LEARNED"), ((60.0,), "TRAINED"), ((80.0, 60.0), "BEST"), ((80.0, 79.0), "NOT RESOLVED")],
)
def test_the_verdict_follows_from_the_intervals(accuracies, word):
    """Of 400 images: 95 % of +- 4 points at 80 %, and of +- 3 around chance, 10 %."""
    rows = [{"method": f"m{k}", "accuracy": value} for k, value in enumerate(accuracies)]
    found, text, _ = train_command._verdict(rows, 400, 10)
    assert found == word
    assert "m0 classifies" in text
