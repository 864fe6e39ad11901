"""Sweeps of training runs."""

import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'sptrack[nn]'")
pytest.importorskip("sklearn", reason="needs scikit-learn: pip install 'sptrack[nn]'")

from sptrack.errors import MissingExtraError, ParameterError
from sptrack.nn.config import images_named, train_settings
from sptrack.nn.training import Trainer
from sptrack.sweep import COMMANDS, Processes, plan_from_mapping, run_sweep
from sptrack.sweep.cells import cell_path, read_record

pytestmark = pytest.mark.compiled
SHORT = {"batch": 2000, "epochs": 2, "tile": {"hold": 0}}


def plan(**vary):
    return plan_from_mapping({"sweep": {"command": "train"}, "set": SHORT, "vary": vary})


@pytest.mark.slow
def test_a_cell_is_the_training_run_of_its_seed_whoever_computes_it(tmp_path, digests):
    asked = plan(method=["sgd", "agad"])
    folder = run_sweep(asked, tmp_path / "serial").folder
    cell = next(folder.cells())
    settings = train_settings(
        {name: value for name, value in cell.parameters.items() if name != "epochs"}
        | {"seed": cell.seed, "device_seed": cell.seed},
        "test",
    )
    run = Trainer(settings, images_named("digits"))
    run.run(2)
    found = read_record(cell_path(folder.path, cell.key)).quantities
    assert found["error"] == (pytest.approx(100 - run.history[-1]["accuracy"]), "percent")
    assert found["pulses"] == (run.history[-1]["pulses"], "pulses")
    assert digests(run_sweep(asked, tmp_path / "other", Processes(workers=2)).folder.path) == digests(
        folder.path
    )


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ({"epochs": [0]}, "epochs must be at least 1, got 0"),
        ({"method": ["agat"]}, "unknown method 'agat'"),
        ({"tile": {"fast_rl": [0.1]}}, "did you mean 'fast_lr'"),
        ({"data": ["nowhere"]}, "no such folder"),
        ({"seeds": [1]}, "unknown parameter 'seeds'"),
    ],
)
def test_refusals(vary, message):
    with pytest.raises(ParameterError, match=message):
        plan(**vary)


def test_a_net_of_a_file_is_found_beside_the_plan(tmp_path):
    (tmp_path / "net.py").write_text("")
    asked = plan_from_mapping(
        {"sweep": {"command": "train"}, "vary": {"net": ["net.py", "fcn"]}}, folder=tmp_path
    )
    assert [cell.parameters["net"] for cell in asked.cells()] == [str(tmp_path / "net.py"), "fcn"]


def test_a_worker_without_the_extra_writes_no_record(tmp_path, monkeypatch):
    asked = plan(method=["sgd"])

    def missing(parameters):
        raise MissingExtraError("sptrack.nn needs PyTorch: pip install 'sptrack[nn]'")

    monkeypatch.setitem(COMMANDS, "train", COMMANDS["train"]._replace(prepare=missing))
    report = run_sweep(asked, tmp_path / "out")
    assert report.made == 0
    assert list(report.failed.values()) == [
        "MissingExtraError: sptrack.nn needs PyTorch: pip install 'sptrack[nn]'"
    ]
