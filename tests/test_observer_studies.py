"""Studies of observers: searches that are alike for all, what is told wrong, and what their figures claim."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import ttest_1samp

from analysis import observer_misknown as misknown
from analysis import observer_vs_filters as frontier
from sptrack.design.settings import read_setting, with_point
from sptrack.design.space import check_space
from sptrack.evaluation.explain import explain
from sptrack.tracking import ProblemSettings, method, problem

TINY = frontier.Effort(steps=4000, trials=2, long=3, seeds=1, finalists=1, held_out=3)


@pytest.fixture(scope="module")
def found():
    """Two conditions, few trials of short runs."""
    records = [
        frontier.tuned(form, noise, 1.1, TINY, 5, "") for noise in frontier.NOISES for form in frontier.FORMS
    ]
    shape = (len(frontier.NOISES), 1, len(frontier.FORMS))
    return frontier._dataset(np.array(records, object).reshape(shape), frontier.NOISES, (1.1,), TINY, 5)


@pytest.mark.parametrize("form", frontier.FORMS)
@pytest.mark.parametrize("budget", frontier.BUDGETS)
def test_searches_are_alike(form, budget):
    """Starts lie well inside of ranges of one width, under the same limit of pulses."""
    plan = frontier.plan_of(form, 0.02, budget, frontier.Effort(), 0)
    check_space(plan.space, plan.start)
    assert plan.search.limits == {"pulses": budget * 20000}
    for name, range_ in plan.space.items():
        value = float(read_setting(plan.start, name))
        width = np.log10(range_.high / range_.low)
        if name != "periods":
            assert np.log10(value / range_.low) > 0.2 * width
            assert np.log10(range_.high / value) > 0.2 * width
            assert width == pytest.approx(np.log10(15) if name == "alpha" else 2.0, rel=1e-12)
    assert plan.budget.trials == (120 if form in frontier.LONG else 40)


@pytest.mark.parametrize("budget", frontier.BUDGETS)
def test_the_largest_alpha_asks_for_the_pulses_of_the_limit(budget):
    """By the law of `explain`, whose mean over cells takes every cell's own gain (0.1 of spread)."""
    settings = ProblemSettings(size=256)
    alpha = frontier.largest_alpha(settings, budget)
    told = explain(problem(settings=settings), method("e-rider", alpha=alpha))["pulses_optimum"]
    assert told == pytest.approx(budget, rel=1e-6)


def test_forms_are_what_they_are_called():
    made = {form: frontier.plan_of(form, 0.0, 1.1, TINY, 0).start for form in frontier.FORMS}
    estimators = {form: one.estimator for form, one in made.items()}
    assert estimators == {
        "e-rider": "ema",
        "corrected": "corrected-ema",
        "boxcar": "boxcar",
        "cascade": "filter",
        "regression": "observer",
        "scalar": "scalar-observer",
        "predictor": "predictor-observer",
        "adaptive": "adaptive-observer",
    }
    boxcar = with_point(made["boxcar"], {"half_period": 40, "periods": 2})
    assert boxcar.filter.length == 2 * boxcar.chopper.period == 160
    assert made["predictor"].observer.drive == pytest.approx(
        made["predictor"].alpha * 0.2 * np.sqrt(2 / np.pi)
    )


def test_groups_and_gains_are_those_of_the_scores(found):
    forms, groups = found["form"].values.tolist(), list(frontier.GROUPS)
    for noise in frontier.NOISES:
        one = found.sel(noise=noise, budget=1.1)
        log_w = {}
        for group in groups:
            members = [form for form in forms if frontier.FORMS[form] == group]
            best = min(members, key=lambda form: float(one["final"].sel(form=form)))
            assert one["chosen"].sel(group=group).item() == best
            log_w[group] = np.log(one["w"].sel(form=best).values)
        for group in groups[1:]:
            ahead = log_w["e-rider"] - log_w[group]
            assert one["gain_w"].sel(group=group).item() == pytest.approx(np.exp(ahead.mean()))
            ends = np.exp(ttest_1samp(ahead, 0.0).confidence_interval(0.95))
            np.testing.assert_allclose(one["gain_w_ci"].sel(group=group), ends, rtol=1e-9)
        assert (one["gain_w"].sel(group="e-rider") == 1).all()


def test_settings_at_an_edge_are_named_and_drawn_open(found):
    for noise in frontier.NOISES:
        for form in frontier.FORMS:
            one = found.sel(noise=noise, budget=1.1, form=form)
            plan = frontier.plan_of(form, noise, 1.1, TINY, 5)
            named = [name for name in str(one["edge"].values).split(",") if name]
            for name, range_ in plan.space.items():
                value = one[f"setting_{name}"].item()
                share = np.log(value / range_.low) / np.log(range_.high / range_.low)
                at_low = share <= 0.02 and range_.low != range_.multiple
                assert (name in named) == (at_low or share >= 0.98)
    sealed = found.assign_coords(edge=xr.where(found["form"] == "regression", "gamma", found["edge"]))
    chosen = sealed["edge"].sel(form=sealed["chosen"]).values != ""
    left = frontier.plot(sealed).axes[0]
    fills = [
        line.get_markerfacecolor()
        for line in left.lines
        if line.get_marker() in "o^sD" and line.get_xdata().size
    ]
    assert fills.count("white") == chosen[0, 0].sum()


def test_a_condition_is_kept_and_taken_up(tmp_path, monkeypatch):
    first = frontier.tuned("scalar", 0.0, 1.1, TINY, 5, str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scalar-0-1.1.journal", "scalar-0-1.1.json"]
    monkeypatch.setattr(frontier, "run_study", None)
    assert frontier.tuned("scalar", 0.0, 1.1, TINY, 5, str(tmp_path)) == first


def _claims(low, high):
    """Data in which the best observer is so many times ahead, with that interval, in two conditions."""
    axes, ends = ("noise", "budget", "group"), ("noise", "budget", "group", "end")
    gain = np.array([[[1.0, 3.0, 0.5, 2.0], [1.0, 0.7, 0.8, 0.9]]])
    interval = np.stack([gain * low, gain * high], axis=-1)
    return xr.Dataset(
        {"gain_w": (axes, gain), "gain_w_ci": (ends, interval)}, {"group": list(frontier.GROUPS)}
    )


def test_the_headline_claims_what_is_resolved():
    assert "is 3 times smaller than E-RIDER's, resolved at 1 of 2 conditions" in frontier.finding(
        _claims(0.5, 2.0)
    )
    assert "no observer is ahead" in frontier.finding(_claims(0.1, 10.0))


@pytest.mark.parametrize("case", misknown.CASES)
def test_problems_are_as_wrong_as_they_are_called(case):
    """Steps, bounds, noise and drive of the problem against what the observer is told of them."""
    wrong = misknown.CASES[case]
    response = misknown.RESPONSES["linear"]
    made = misknown.posed(response, wrong, 300, steps_told=False)
    honest = misknown.posed(response, wrong, 300, steps_told=True)
    plain = misknown.posed(response, wrong._replace(gain=1.0), 300, steps_told=False)
    w = np.full(made.p_cells.shape, 0.1)
    for law in ("F", "G"):
        np.testing.assert_allclose(
            getattr(made.p_cells, law)(w), wrong.gain * getattr(plain.p_cells, law)(w), rtol=1e-5, atol=1e-6
        )
    true = made.p_cells.device
    assert made.believed.cells.device.response.w_max == response.w_max
    assert true.response.w_max == pytest.approx((1.3 if wrong.bounds else 1.0) * response.w_max)
    assert true.response.w_min == pytest.approx((0.8 if wrong.bounds else 1.0) * response.w_min)
    assert true.spread.w_max == (0.3 if wrong.scatter else 0.0)
    assert made.believed.read_noise == pytest.approx(wrong.noise * made.read_noise)
    assert honest.believed.read_noise == made.read_noise
    assert made.gradient_noise == pytest.approx(wrong.drive * ProblemSettings().gradient_noise)


def test_ratios_are_paired_and_nobody_told_nothing_meets_wrong_noise(monkeypatch):
    monkeypatch.setattr(
        misknown, "CASES", {name: misknown.CASES[name] for name in ("nothing", "noise told x 3", "drive x 2")}
    )
    data = misknown.run(small=True, seed=2, threads=1)
    w = data["w"]
    ahead = np.log(w / w.sel({"method": "e-rider"}))
    np.testing.assert_allclose(data["ratio"], np.exp(ahead.mean("seed")), rtol=1e-12)
    cost = np.log(w.sel({"method": "scalar"}) / w.sel({"method": "told"}))
    np.testing.assert_allclose(data["cost"], np.exp(cost.mean("seed")), rtol=1e-12)
    noisy, plain = w.sel(case="noise told x 3"), w.sel(case="nothing")
    for name in ("told", "e-rider"):
        np.testing.assert_array_equal(noisy.sel({"method": name}), plain.sel({"method": name}))
    assert (noisy.sel({"method": "regression"}) != plain.sel({"method": "regression"})).all()
    assert (w.sel({"case": "drive x 2", "method": "e-rider"}) != plain.sel({"method": "e-rider"})).all()
    assert "in 0 of 3 cases" in misknown.finding(data)
    assert len(misknown.plot(data).axes) == 1
