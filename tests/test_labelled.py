"""Results make their own datasets, save themselves and say what they found."""

import numpy as np
import pytest

from sptrack import (
    Crossbar,
    Device,
    ParameterError,
    certify,
    load,
    sample_cells,
    save,
    zero_shift,
)
from sptrack.results import read_provenance
from sptrack.tracking import ProblemSettings, method, problem, track


@pytest.mark.parametrize("name", ["e-rider", "sgd"])
def test_a_run_is_saved_and_comes_back(name, tmp_path):
    run = track(problem("separable", settings=ProblemSettings(size=4)), method(name), 40, samples=4, seed=5)
    save(run, tmp_path / "run.nc")
    data = load(tmp_path / "run.nc")
    assert data["step"].values.tolist() == [10, 20, 30, 40]
    np.testing.assert_array_equal(data["w_error"], run.errors[:, 0])
    np.testing.assert_array_equal(data["reference"], run.reference)
    assert bool(data["q_error"].isnull().all()) is (name == "sgd")
    assert int(data["count"].sel(operation="pulses")) == run.ledger.total("pulses")
    origin = read_provenance(data)
    assert (origin["seed"], origin["parameters"]["method"]["name"]) == (5, name)
    assert str(run).startswith(f"{name} on separable, 40 steps")
    assert ("Q - SP" in str(run)) is (name == "e-rider")


def test_a_calibration_is_saved_and_says_its_verdict(tmp_path):
    cells = sample_cells(Device(), (3, 4), seed=1)
    found = certify(cells, zero_shift(Crossbar(cells), (20, 40)))
    save(found, tmp_path / "calibration.nc")
    data = load(tmp_path / "calibration.nc")
    np.testing.assert_allclose(data["rms_error"], found.certificate.rms_error, rtol=1e-12)
    assert str(found) == found.certificate.verdict


def test_what_is_no_result_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="int is no result; give a dataset"):
        save(3, tmp_path / "three.nc")
    assert list(tmp_path.iterdir()) == []
