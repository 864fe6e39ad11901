"""`sptrack train` from the command line."""

import json

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'sptrack[nn]'")
pytest.importorskip("sklearn", reason="needs scikit-learn: pip install 'sptrack[nn]'")

from sptrack.cli import main
from sptrack.cli import train as train_command
from sptrack.nn.config import train_settings
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
        ("--compare agad sgd agad", "--compare must name each method once, got agad more than once"),
        ("--data pyproject.toml", "not a folder"),
        ("--resume", "--resume needs --out"),
        ("--epochs 0", "epochs must be at least 1"),
        ("--data nowhere", "no such folder"),
        ("--net lenet5", "lenet5 needs images of at least 16 x 16"),
        ("--net nothing", "net must be fcn, lenet5 or a Python file"),
        ("--batch 0", "batch must be at least 1"),
        ("--seed -1", "seed must be a whole number >= 0, got -1"),
        ("--device-seed -3", "device_seed must be a whole number >= 0, got -3"),
        ("--method sgd --filter ema:eta=0.1", "sgd pulses W alone: it takes no chopper, filter or residual"),
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


NET = """
import sys
from torch import nn

class Net(nn.Module):
    def forward(self, x):
        {}

def net(shape, classes):
    {}
"""


@pytest.mark.parametrize(
    ("forward", "made", "text"),
    [
        ("return x", "raise ValueError('no such size')", "(shape, classes): ValueError: no such size"),
        ("return x", "sys.exit(3)", "(shape, classes): SystemExit: 3"),
        ("return x", "return 5", "(shape, classes) must return a torch.nn.Module, got int"),
        ("return [x]", "return Net()", "must give [n, 10] outputs, got list of one image"),
        ("return {}['a']", "return Net()", "does not take images of (1, 8, 8): KeyError: 'a'"),
    ],
)
def test_nets_of_a_file_that_fail(forward, made, text, tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(NET.format(forward, made))
    assert main(["train", "--quiet", "--net", str(path)]) == 2
    error = capsys.readouterr().err
    assert text in error
    assert error.count("\n") == 1


def test_a_run_goes_on_only_with_its_own_net(tmp_path, capsys):
    path, out = tmp_path / "mine.py", tmp_path / "out"
    text = NET.format("return x", "return nn.Sequential(nn.Flatten(), {}nn.Linear(64, classes))")
    words = ["train", "--method", "sgd", "--net", str(path), "--batch", "200", "--out", str(out), "--quiet"]
    path.write_text(text.format(""))
    assert main([*words, "--epochs", "1"]) == 0
    path.write_text(text.format("nn.Tanh(), "))
    assert main([*words, "--epochs", "2", "--resume"]) == 2
    assert "state of a run with other settings, images or net" in capsys.readouterr().err


def test_the_file_of_a_device_tells_its_reference_and_noise():
    own = {"dw_min": 0.05, "reference": {"subtract": True, "mean": 0.5, "std": 0.3}, "read_noise": 0.2}
    read = train_settings({"device": own}, "run.toml")
    assert (read.device.reference.mean, read.device.reference.std) == (0.5, 0.3)
    assert read.settings.reads.output_noise == 0.2
    read = train_settings({"device": own, "ref_std": 0.1}, "run.toml")
    assert (read.device.reference.mean, read.device.reference.std) == (0.5, 0.1)
    read = train_settings({"device": own, "io": {"output_noise": 0.1}}, "run.toml")
    assert read.settings.reads.output_noise == 0.1
    for device in ({"dw_min": 0.05}, None):
        read = train_settings({"device": device} if device else {}, "run.toml")
        assert (read.device.reference.mean, read.device.reference.std) == (0.0, 0.05)
        assert read.settings.reads.output_noise == 0.06
    assert [train_settings({"net": net}, "run.toml").batch for net in ("fcn", "lenet5")] == [10, 8]
