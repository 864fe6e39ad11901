"""What an observer rests on: said as it was measured, and where."""

from dataclasses import replace
from pathlib import Path

import pytest

from sptrack import load
from sptrack.blocks import ObserverSettings
from sptrack.blocks.observers import FORMS
from sptrack.devices import CustomResponse, ExpStep, PowStep, Spread
from sptrack.evaluation.explain import explain
from sptrack.evaluation.knowledge import (
    ALL,
    FAMILIES,
    LOST,
    SCATTERED,
    TOLD,
    TRUE,
    knowledge,
    knowledge_warnings,
)
from sptrack.tracking import ProblemSettings, method, problem, with_settings
from sptrack.tracking.problems import Belief, default_device

STUDY = Path(__file__).parents[2] / "figures" / "observer_misknown.nc"
NAMES = {"adaptive": "adaptive", "block": "regression", "scalar": "scalar", "predictor": "predictor"}


@pytest.mark.parametrize("form", LOST)
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_said_is_what_was_measured(form, family):
    """A case is lost where the paired ratio to E-RIDER lies above 1 with its whole interval."""
    data = load(STUDY)
    assert tuple(data["case"].values.tolist()) == ALL
    low = data["ratio_ci"].sel({"method": NAMES[form], "family": family})[:, 0]
    assert LOST[form][family] == tuple(data["case"].values[low.values > 1].tolist())


def test_every_form_says_what_it_rests_on():
    assert set(TOLD) == set(FORMS)
    assert knowledge(None, default_device()) == ()
    for form in FORMS:
        observer = ObserverSettings(form=form, forgetting=1e-4)
        first, *others = knowledge(observer, default_device())
        assert first.endswith(TOLD[form])
        lost = LOST.get(form, {}).get("linear", ())
        assert others == [text for text in others if all(case in text for case in lost)]
        assert bool(others) == bool(lost or form not in LOST)


@pytest.mark.parametrize(
    ("form", "response", "text"),
    [("adaptive", ExpStep(), "even if told the truth"), ("block", PowStep(), "even if told the truth")],
)
def test_families_on_which_a_form_loses_are_warned_of(form, response, text):
    device = replace(default_device(), response=response)
    (found,) = knowledge_warnings(ObserverSettings(form=form), device)
    assert text in found
    assert len(knowledge(ObserverSettings(form=form), device)) == 1
    assert knowledge_warnings(ObserverSettings(form="scalar"), device) == ()


def test_bounds_that_scatter_are_warned_of_where_they_cost_the_lead():
    response = ExpStep()
    device = replace(default_device(), response=response, spread=Spread(w_max=0.2))
    observer = ObserverSettings(form="block")
    assert SCATTERED in LOST["block"]["exp-step"]
    assert TRUE not in LOST["block"]["exp-step"]
    (found,) = knowledge_warnings(observer, device)
    assert "bounds that scatter by 0.2" in found
    calm = replace(device, spread=Spread(w_max=0.1))
    assert knowledge_warnings(observer, calm) == ()
    assert knowledge_warnings(ObserverSettings(form="scalar"), device) == ()


def test_cells_of_another_kind_were_not_measured():
    own = CustomResponse(q_plus=lambda w: 1.0 - w, q_minus=lambda w: 1.0 + w)
    lines = knowledge(ObserverSettings(), replace(default_device(), response=own))
    assert "was not measured" in lines[-1]


def test_explain_speaks_of_the_cells_as_told():
    made = problem(settings=ProblemSettings(size=6))
    assert explain(made, method("e-rider")).notes == ()
    told = explain(made, method("o-rider"))
    assert told.warnings == ()
    assert told.notes == knowledge(method("o-rider").observer, made.p_cells.device)
    wrong = problem(settings=ProblemSettings(size=6, device=replace(default_device(), response=ExpStep())))
    believed = replace(made, believed=Belief(wrong.p_cells, 0.0))
    adaptive = with_settings(method("o-rider"), estimator="adaptive-observer")
    assert any("exp-step" in text for text in explain(believed, adaptive).warnings)
