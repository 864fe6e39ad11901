"""Study of what each part of an algorithm is worth: what is taken over, runs without an end, its figure."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs PyTorch: pip install 'sptrack[nn]'")

from analysis import training_ablations as study
from sptrack.nn.data import load_images
from tests.plotting.looks import faults


class _Nothing:
    history = ()


@pytest.fixture
def asked(monkeypatch):
    """Settings of the runs that are asked for; none is trained."""
    told = []
    monkeypatch.setattr(study, "course", lambda *one: told.append(one[0]) or (_Nothing, False))
    return told


@pytest.fixture
def data(asked, tmp_path):
    """Courses but for AGAD with W frozen; the loss of E-RIDER without reference ran off after two epochs."""
    known = {
        (method, variant): {"accuracy": np.full(3, 90.0), "pulses": np.arange(3.0)}
        for method in study.METHODS
        for variant in study.VARIANTS
        if (method, variant) != ("agad", "W frozen")
    }
    known["e-rider", "digital parts frozen"]["accuracy"] = np.full(3, 80.0)
    known["e-rider", "reference 0"]["accuracy"] = np.array([90.0, 40.0, np.nan])
    return study._table(load_images("digits"), tmp_path, epochs=3, seed=0, known=known)


def test_the_whole_methods_are_those_of_the_published_table():
    known = study._whole(0)
    assert set(known) == {("e-rider", "whole"), ("agad", "whole")}
    assert known["e-rider", "whole"]["accuracy"][-1] == pytest.approx(96.3, abs=0.05)
    assert known["agad", "whole"]["accuracy"][-1] == pytest.approx(93.1, abs=0.05)
    assert study._whole(1) == {}


def test_what_is_taken_over_is_not_trained_again(data, asked, tmp_path):
    """Of the stored figure come the runs that ended, also that whose loss ran off; the rest is asked for."""
    again = study._table(
        load_images("digits"), tmp_path, epochs=3, seed=0, known=study._finished(data) | _wholes(data)
    )
    assert [one.settings.frozen for one in asked] == [True, True]
    for name in data.data_vars:
        np.testing.assert_array_equal(again[name], data[name])
    assert int(data["diverged"].sum()) == 1


def _wholes(data):
    whole = data.sel(variant="whole")
    return {
        (method, "whole"): {key: whole[key].values[i] for key in ("accuracy", "pulses")}
        for i, method in enumerate(study.METHODS)
    }


def test_a_part_is_needed_if_a_run_without_it_diverges_or_falls_behind(data):
    assert study._needs(data, "e-rider") == [
        "digital parameters (80 % without)",
        "the reference (diverges without)",
    ]
    assert study._needs(data, "agad") == []
    assert study.missing(data) == ["AGAD, W frozen"]
    figure = study.plot(data)
    assert faults(figure) == []
    crosses = [line for ax in figure.axes for line in ax.get_lines() if line.get_marker() == "x"]
    assert len(crosses) == 2
    title = " ".join(figure.get_suptitle().split())
    assert title.startswith("E-RIDER (90 %) needs digital parameters (80 % without) and the reference")
    assert title.endswith("AGAD: not all runs are finished")
