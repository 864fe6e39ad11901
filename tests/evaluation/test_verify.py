import dataclasses
import math

import numpy as np
import pytest

import sptrack.evaluation.verify
from sptrack.devices import ConstantStep, CycleNoise, Device, Reference, Source, sample_cells
from sptrack.errors import ParameterError
from sptrack.evaluation.suite import suite
from sptrack.evaluation.verify import PULSES, Report, report_dataset, settled_offsets, verify
from sptrack.plotting.bounds import bounds_figure
from sptrack.results import load, save
from sptrack.theory import (
    BOUND_NAMES,
    cyclic_limits,
    program_map,
    start_moments,
    stationary_moments,
    zero_shifting_moments,
)

pytestmark = pytest.mark.compiled

FIELDS = ["bound", "form", "device", "dw", "pulses", "measured", "bound_value", "ratio", "samples", "holds"]


@pytest.fixture(scope="module")
def report() -> Report:
    """The whole suite, both forms, about 210 rows each: 32 runs of an array, 1024 of a single cell."""
    return verify(printed=True)


def rows(report, **wanted):
    return [row for row in report.rows if all(getattr(row, name) == value for name, value in wanted.items())]


def linear_cells(name, dw, **changes):
    device = dataclasses.replace(suite()[name].device, dw_min=dw, **changes)
    return sample_cells(device, (1, 1), dtype=np.float64)


def test_every_corrected_bound_holds_on_every_family(report):
    """3 standard errors; a bound without a row is named in the notes."""
    assert [field.name for field in dataclasses.fields(report.rows[0])] == FIELDS
    assert report.violations == ()
    for case in suite().values():
        for dw in case.granularities:
            for bound in BOUND_NAMES:
                found = rows(report, bound=bound, form="corrected", device=case.name, dw=dw)
                named = [n for n in report.notes if n.startswith(f"{case.name}, dw {dw:g}: ") and bound in n]
                assert [row.pulses for row in found] == list(PULSES) or named
    families = {case.device.response.family for case in suite().values()}
    assert families == {
        "soft-bounds",
        "linear-step",
        "exp-step",
        "custom",
        "pow-step",
        "piecewise-step",
    }


def test_ratio_and_verdict_follow_from_the_other_columns(report):
    for row, error in zip(report.rows, report.standard_errors, strict=True):
        assert row.ratio == pytest.approx(row.bound_value / row.measured)
        assert row.holds == (row.bound_value * (1 + 1e-9) >= row.measured - 3 * error)
        assert (error > 0) == (row.samples > 1)


@pytest.mark.parametrize(
    ("bound", "tightest", "loosest"),
    [("T2.2", 1.1, 6.0), ("TC.2", 1.02, 4.5), ("TC.3", 2.0, 12.0), ("TC.4", 1.001, 1.1)],
)
def test_no_corrected_bound_is_uselessly_loose_on_the_linear_device(report, bound, tightest, loosest):
    """q_max^2/q0^2 = 4 is lost in the floor of TC.2, 2 in TC.3; TC.4 is exact."""
    ratios = [row.ratio for row in rows(report, bound=bound, form="corrected", device="linear")]
    assert min(ratios) <= tightest
    assert max(ratios) <= loosest


def test_last_square_is_the_exact_moment(report):
    """Cyclic without noise to rounding; stochastic within 4 standard errors of 1024 runs."""
    for row, error in zip(report.rows, report.standard_errors, strict=True):
        if row.device == "linear-skewed" and row.bound in ("TC.2", "TC.4"):
            mode = "cyclic" if row.bound == "TC.4" else "stochastic"
            exact = zero_shifting_moments(linear_cells(row.device, row.dw), mode, row.pulses, -0.8)
            assert row.measured == pytest.approx(float(exact.mean_square.item()), rel=1e-8, abs=4 * error)


def test_mean_asymmetry_counts_the_samples_that_the_bound_names(report):
    """G = G' x on linear cells: mean over even n (corrected) or every n (printed) from noise-free moments."""
    cells = linear_cells("linear-skewed", 0.02)
    slope = float((cells.linear.slope_down - cells.linear.slope_up).item()) / (2 * 0.02)
    moments = [start_moments(cells, -0.8)]
    for n in range(49):
        moments.append(program_map(cells, [-1 if n % 2 else 1]).apply(moments[-1]))
    square = np.array([(slope * float(m.mean.item())) ** 2 for m in moments])
    for form, exact in (("corrected", square[::2].mean()), ("printed", square.mean())):
        (row,) = rows(report, bound="TC.3", form=form, device="linear-skewed", dw=0.02, pulses=50)
        assert row.measured == pytest.approx(exact, rel=1e-9)


def test_printed_forms_fail_where_they_must_and_never_count(report):
    failing = {(row.bound, row.form, row.device) for row in report.rows if not row.holds}
    assert failing == {("TC.3", "printed", "sticking"), ("T2.2", "printed", "linear-array")}
    (row,) = rows(report, bound="TC.3", form="printed", device="sticking", pulses=5000)
    assert row.measured == pytest.approx(2.47e-3, rel=0.01)
    assert all(row.form == "corrected" for row in verify(["sticking"], pulses=(2,)).rows)


def spoil(monkeypatch, law):
    true = sptrack.evaluation.verify.zero_shifting_bounds

    def wrong(*arguments, **options):
        return {
            name: dataclasses.replace(bound, law=lambda n, bound=bound: law(bound, n))
            for name, bound in true(*arguments, **options).items()
        }

    monkeypatch.setattr("sptrack.evaluation.verify.zero_shifting_bounds", wrong)


@pytest.mark.parametrize(
    "law",
    [
        lambda bound, n: bound.law(n) / 10,
        lambda bound, n: bound.law(n) - 0.9 * bound.floor,
        lambda bound, n: bound.floor + (bound.law(n) - bound.floor) / 10,
    ],
    ids=["whole", "floor", "transient"],
)
def test_a_tenth_of_any_part_of_a_bound_is_a_violation(monkeypatch, law):
    spoil(monkeypatch, law)
    assert {row.bound for row in verify(["linear", "sticking"]).violations} == set(BOUND_NAMES)


def test_threads_do_not_change_the_rows_and_seeds_do():
    several = verify(["linear", "piecewise"], pulses=(20,), threads=2)
    assert verify(["linear", "piecewise"], pulses=(20,), threads=1) == several
    other = verify(["linear"], pulses=(20,), seed=1)
    assert [row.measured == one.measured for row, one in zip(other.rows, several.rows, strict=False)] == (
        2 * [False, False, True, True]
    )


def test_progress_counts_runs():
    seen = []
    verify(["linear", "sticking"], pulses=(2,), progress=lambda *state: seen.append(state))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_a_description_runs_at_its_own_granularity_without_write_noise_and_reference():
    plain = Device(dw_min=0.01, source=Source(name="mine"))
    seen = dataclasses.replace(plain, write_noise=50.0, reference=Reference(std=0.3))
    found = verify([plain], pulses=(20,))
    assert {(row.device, row.dw, row.samples) for row in found.rows} == {("mine", 0.01, 32)}
    assert verify([seen], pulses=(20,)) == found


def test_presets_are_known_by_name():
    found = verify(["ecram"], pulses=(20,))
    assert [row.bound for row in found.rows] == list(BOUND_NAMES)
    assert not found.violations


def test_a_device_that_no_bound_speaks_of_gives_notes_alone():
    found = verify([Device(response=ConstantStep(), source=Source(name="drifting"))], pulses=(20,))
    assert found.rows == found.violations == ()
    assert {name for name in BOUND_NAMES if any(name in note for note in found.notes)} == set(BOUND_NAMES)
    assert all("for 0 of 64 cells: symmetric point inside" in note for note in found.notes)
    with pytest.raises(ParameterError, match="without rows"):
        report_dataset(found)


@pytest.mark.parametrize(
    ("devices", "pulses", "words"),
    [
        (["stiking"], (2,), "did you mean 'sticking'"),
        (["pcm"], (2,), "one-sided"),
        (["linear"], (3,), "must be even"),
        (["linear"], (4, 2), "rising"),
    ],
)
def test_refusals(devices, pulses, words):
    with pytest.raises(ParameterError, match=words):
        verify(devices, pulses=pulses)


def test_dataset_holds_every_row(report, tmp_path):
    save(report_dataset(report), tmp_path / "verify.nc")
    data = load(tmp_path / "verify.nc")
    for name in FIELDS:
        assert data[name].values.tolist() == [getattr(row, name) for row in report.rows]
    assert data["standard_error"].values.tolist() == list(report.standard_errors)


def test_figure_has_a_panel_per_bound_and_marks_failures(report):
    figure = bounds_figure(report_dataset(report))
    assert [ax.get_xscale() for ax in figure.axes] == ["log"] * 4
    crosses = [
        len(points.get_offsets())
        for ax in figure.axes
        for points in ax.collections
        if points.get_label() == "fails"
    ]
    assert sum(crosses) == sum(not row.holds for row in report.rows)


@pytest.mark.parametrize("mode", ["cyclic", "stochastic"])
def test_settled_offsets_are_the_exact_limits(mode):
    """512 runs of one skewed linear cell, cycle noise .3; 4 standard errors for each moment.

    40 relaxation times hold 20 independent samples of x and 40 of x^2, whose correlation falls twice as fast.
    """
    cells = linear_cells("linear-skewed", 0.02, cycle_noise=CycleNoise(std=0.3))
    found = settled_offsets(cells, mode, runs=512, seed=3)
    limit, ends = stationary_moments(cells, mode), cyclic_limits(cells)
    mean = [ends.after_up.item(), ends.after_down.item()] if mode == "cyclic" else [0.0, 0.0]
    std = math.sqrt(limit.variance.item())
    assert (np.abs(found.mean.ravel() - mean) < 4 * found.mean_error.ravel()).all()
    assert abs(found.std[1].item() - std) < 4 * found.std_error[1].item()
    assert found.mean_error[1].item() == pytest.approx(std / math.sqrt(20 * 512), rel=0.15)
    assert found.std_error[1].item() == pytest.approx(std / math.sqrt(2 * 40 * 512), rel=0.15)


def test_settled_offsets_refuse_what_does_not_settle():
    cells = linear_cells("linear", 0.02)
    with pytest.raises(ParameterError, match="'cyclical'"):
        settled_offsets(cells, "cyclical")
    with pytest.raises(ParameterError, match=">= 2"):
        settled_offsets(cells, "cyclic", runs=1)
    with pytest.raises(ParameterError, match="symmetric point"):
        settled_offsets(sample_cells(Device(response=ConstantStep()), (1, 1)), "cyclic")
