"""Methods side by side: same numbers as single runs, intervals, states on disk."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.cost import CostModel
from sptrack.devices import CustomResponse, CycleNoise, Device, Spread
from sptrack.errors import ParameterError
from sptrack.intervals import positive_interval
from sptrack.results import read_provenance
from sptrack.tracking import METHODS, ProblemSettings, Tracker, method, problem
from sptrack.tracking.compare import SAMPLE, compare, comparison_rows

SMALL = {"settings": ProblemSettings(size=8), "steps": 5 * SAMPLE, "seeds": 2, "threads": 2}


def test_a_comparison_holds_what_single_runs_give():
    data = compare(["two-stage", "e-rider"], seed=3, **SMALL)
    for name in ("two-stage", "e-rider"):
        for seed in (3, 4):
            tracker = Tracker(problem(settings=SMALL["settings"], seed=seed), method(name), seed=seed)
            tracker.run(SMALL["steps"], samples=5)
            one = data.sel({"method": name, "seed": seed})
            errors = [one[f"{key}_error"] for key in ("w", "mix", "q")]
            np.testing.assert_array_equal(np.stack(errors, axis=-1), tracker.result.errors)
            for quantity in ("pulses", "reads", "programs"):
                assert one[quantity][-1] == tracker.ledger.total(quantity)
                assert (np.diff(one[quantity]) >= 0).all()
    tail = data["w_error"].sel({"method": "e-rider"})[:, -1]
    assert data["w_tail"].values[1] == pytest.approx(tail.mean().item())
    assert data["w_tail_ci"].values[1] == pytest.approx(positive_interval(tail))


def test_the_tail_is_the_last_tenth_of_the_steps():
    """Of 20 samples the last 2."""
    data = compare(["e-rider"], **SMALL | {"steps": 20 * SAMPLE})
    for name in ("w", "mix", "q"):
        tails = data[f"{name}_error"].values[0, :, -2:].mean(axis=1)
        assert data[f"{name}_tail"].values[0] == pytest.approx(tails.mean())
        assert data[f"{name}_tail_ci"].values[0] == pytest.approx(positive_interval(tails))


def test_pulses_of_the_calibration_come_first():
    data = compare(["two-stage"], **SMALL)
    assert (data["pulses"][..., 0] > 8 * method("two-stage").pulses).all()


def test_threads_do_not_change_a_byte():
    names = ["sgd", "agad", "e-rider"]
    one, three = (compare(names, **SMALL | {"threads": n}) for n in (1, 3))
    assert one.drop_attrs().identical(three.drop_attrs())


def test_reference_errors_are_null_where_there_is_no_reference():
    data = compare(tuple(METHODS), **SMALL | {"steps": SAMPLE, "seeds": 1})
    rows = {row["method"]: row for row in comparison_rows(data)}
    without = {name for name, row in rows.items() if row["sp_mse"] is None}
    assert without == {"sgd", "tt-v1", "tt-v2", "residual", "c-ttv2"}
    assert without == {name for name in METHODS if not method(name).has_reference}
    assert rows["oracle"]["sp_mse"] == pytest.approx(0, abs=1e-12)
    assert rows["e-rider"]["w_mse_ci"] is None


def test_cost_is_the_cost_model_of_the_counts():
    cost = CostModel(pulse=2.0, read_product=3.0, program=5.0)
    row = comparison_rows(compare(["e-rider"], cost=cost, **SMALL))[0]
    counts = {name: row[name] for name in ("pulses", "reads", "programs")}
    assert row["programs"] > 0
    assert row["cost"] == pytest.approx(cost.total(**counts, columns=8))
    assert row["cost_digital"] == pytest.approx(row["cost"] - 5 * row["programs"])


@pytest.mark.parametrize("name", ["e-rider", "agad", "two-stage"])
def test_more_steps_are_the_same_run(tmp_path, name):
    kept = SMALL | {"checkpoints": tmp_path / "states"}
    compare([name], **kept | {"steps": 2 * SAMPLE})
    resumed = compare([name], resume=True, **kept)
    assert resumed.drop_attrs().identical(compare([name], **SMALL).drop_attrs())


def test_an_interrupted_comparison_goes_on(tmp_path):
    kept = SMALL | {"checkpoints": tmp_path / "states", "threads": 1}

    def interrupt(done, total):
        raise KeyboardInterrupt

    names = ["sgd", "e-rider"]
    with pytest.raises(KeyboardInterrupt):
        compare(names, progress=interrupt, **kept)
    assert (tmp_path / "states" / "sgd-0.npz").is_file()
    calls = []
    resumed = compare(names, resume=True, progress=lambda *call: calls.append(call), **kept)
    assert resumed.drop_attrs().identical(compare(names, **SMALL).drop_attrs())
    assert calls[-1] == (4, 4)


def test_states_of_other_settings_are_refused(tmp_path):
    kept = SMALL | {"checkpoints": tmp_path / "states"}
    compare(["e-rider"], **kept)
    with pytest.raises(ParameterError, match="other settings"):
        compare([method("e-rider", alpha=0.01)], resume=True, **kept)
    with pytest.raises(ParameterError, match="already at step 1000"):
        compare(["e-rider"], resume=True, **kept | {"steps": SAMPLE})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"methods": []}, "at least one"),
        ({"methods": ["sgd", "sgd"]}, "must differ, got 'sgd' 2 times"),
        ({"methods": ["riderr"]}, "did you mean 'rider'"),
        ({"problem": "cubic"}, "problem 'cubic'"),
        ({"steps": 150}, "steps must .*a positive multiple of 200.*got 150"),
        ({"steps": 0}, "steps must .*got 0"),
        ({"seeds": 0}, "seeds must be a whole number in 1 .. 1000000, got 0"),
        ({"seeds": 10**25}, "seeds must be a whole number in 1 .. 1000000, got 1"),
        ({"seed": -1}, "seed must be a whole number >= 0, got -1"),
        ({"threads": 0}, "threads must be a whole number >= 1, got 0"),
        ({"resume": True}, "needs a folder"),
    ],
)
def test_refusals(change, text):
    with pytest.raises(ParameterError, match=text):
        compare(**{"methods": ["sgd"], **SMALL, **change})


@pytest.mark.slow
def test_defaults_on_problems_on_which_they_were_not_tuned():
    """Mean |W - W*|^2 on seeds 100 to 103; bounds at about twice the mean on seeds 100 to 109 (std below
    half).

    Knowing or finding the symmetric point: .0004 two-stage, .0009 agad, .0010 e-rider. Not knowing it: .05
    tt-v2 and rider; between them c-ttv2 with .019, whose chopper takes out part of the wrong reference.
    """
    bounds = {
        "two-stage": (0.0001, 0.0009),
        "agad": (0.0003, 0.0025),
        "e-rider": (0.0004, 0.0025),
        "c-ttv2": (0.01, 0.03),
        "tt-v2": (0.03, 0.08),
        "rider": (0.03, 0.08),
    }
    data = compare(tuple(bounds), seeds=4, seed=100)
    for name, (low, high) in bounds.items():
        assert low < data["w_tail"].sel({"method": name}) < high
    assert (data["q_tail"].sel({"method": ["agad", "e-rider"]}) < 0.005).all()
    assert data["q_tail"].sel({"method": "two-stage"}) < 1e-4


@pytest.mark.slow
def test_a_response_of_ones_own_is_as_good():
    """q = 1 -+ w is the linear law of soft bounds at +-1; the own one has no text but its name."""
    own = CustomResponse(q_plus=lambda w: 1.0 - w, q_minus=lambda w: 1.0 + w)
    device = Device(spread=Spread(), cycle_noise=CycleNoise())
    data = [
        compare(["e-rider"], **SMALL | {"settings": ProblemSettings(size=8, device=one)})
        for one in (device, replace(device, response=own))
    ]
    np.testing.assert_allclose(data[1]["w_tail"], data[0]["w_tail"], rtol=0.05)
    assert read_provenance(data[1])["parameters"]["settings"]["device"] == "custom"


def test_a_method_of_ones_own_has_a_row():
    own = replace(method("e-rider", p=0.0), name="no chopper")
    assert compare([own, "e-rider"], **SMALL)["method"].values.tolist() == ["no chopper", "e-rider"]
