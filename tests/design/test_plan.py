"""Plans: what fixes the trials, and the table [tune] of a file."""

import json
from dataclasses import replace

import pytest

from sptrack.blocks import EMA, Chain, CorrectedEMA, LastSample, PeriodMean
from sptrack.design import Budget, Plan, SearchSettings, Task, parse_limits, parse_space
from sptrack.design.plan import difference, table_values
from sptrack.errors import ParameterError
from sptrack.tracking import ProblemSettings, method

PLAN = Plan(start=method("e-rider"))


def test_trials_and_held_out_problems_do_not_fix_the_trials():
    more = replace(PLAN, source="elsewhere", budget=Budget(trials=7, held_out=3, finalists=0))
    assert more.identity() == PLAN.identity()
    assert json.loads(json.dumps(PLAN.identity())) == PLAN.identity()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"start": method("e-rider", alpha=0.04)}, "start.alpha: 0.05 there, 0.04 here"),
        ({"task": Task(steps=400)}, "steps: 20000 there, 400 here"),
        (
            {"task": Task(settings=ProblemSettings(read_noise=0.02))},
            "settings.read_noise: 0.0 there, 0.02 here",
        ),
        ({"search": SearchSettings(objectives=("q",))}, "objectives"),
        ({"search": SearchSettings(sampler="random")}, 'sampler: "tpe" there, "random" here'),
        ({"search": SearchSettings(space=parse_space(["eta"], method("e-rider")))}, "vary.alpha"),
        ({"search": SearchSettings(limits={"pulses": 1e4})}, "limits.pulses: null there, 10000.0 here"),
        ({"budget": Budget(seeds=5)}, "seeds: 4 there, 5 here"),
        ({"budget": Budget(seed=1)}, "seed: 0 there, 1 here"),
    ],
)
def test_the_first_difference_is_named(changes, says):
    assert says in difference(PLAN.identity(), replace(PLAN, **changes).identity())


@pytest.mark.parametrize(
    "other",
    [
        CorrectedEMA(eta=0.005),
        PeriodMean(eta=0.005),
        EMA(eta=0.005, order=2),
        Chain(EMA(eta=0.005), LastSample()),
    ],
)
def test_filters_with_the_same_numbers_are_plans_of_their_own(other):
    search = SearchSettings(space=parse_space(["alpha"], PLAN.start))
    plans = [
        Plan(start=replace(PLAN.start, reference=one), search=search) for one in (PLAN.start.reference, other)
    ]
    assert "start.reference" in difference(*(plan.identity() for plan in plans))


def test_no_problem_is_used_twice():
    budget = Budget(seeds=90, held_out=10, seed=3)
    used = [*budget.tuning_seeds, *budget.final_seeds, *budget.held_out_seeds]
    assert used == list(range(3, 113))


@pytest.mark.parametrize(
    "bad",
    [{"trials": 0}, {"seeds": 0}, {"seeds": 91}, {"finalists": -1}, {"held_out": 1}, {"seed": -1}],
)
def test_refused_budgets(bad):
    with pytest.raises(
        ParameterError, match=rf"{next(iter(bad))}( =| must be .* got) {next(iter(bad.values()))}"
    ):
        Budget(**bad)


def test_refused_searches():
    with pytest.raises(ParameterError, match="did you mean 'random'"):
        SearchSettings(sampler="randon")
    with pytest.raises(ParameterError, match="did you mean 'steps'"):
        SearchSettings(prune="step")
    with pytest.raises(ParameterError, match="unknown limit 'pulse'.*did you mean 'pulses'"):
        SearchSettings(limits={"pulse": 1.0})
    with pytest.raises(ParameterError, match="limit of pulses must be"):
        SearchSettings(limits={"pulses": 0.0})
    with pytest.raises(ParameterError, match="objective 'q'"):
        Plan(start=method("residual"), search=SearchSettings(limits={"q": 1.0}))


def test_limits_in_texts():
    assert parse_limits(["pulses=2e4", "w = 0.1"]) == {"pulses": 2e4, "w": 0.1}
    for bad, says in ((["pulses"], "NAME=NUMBER"), (["w=1", "w=2"], "given once")):
        with pytest.raises(ParameterError, match=says):
            parse_limits(bad)


def test_a_table_of_a_file():
    table = {
        "trials": 30,
        "objective": "q",
        "limit": {"pulses": 2e4},
        "sampler": "random",
        "vary": {
            "alpha": "1e-3:0.1",
            "chop": {"probability": [0.001, 0.1]},
            "estimator": ["ema", "last"],
            "sync": [True, False],
            "filter": {"eta": True, "order": [1, 3]},
        },
    }
    values = table_values(table, "x.toml")
    assert values == {
        "trials": 30,
        "objective": ("q",),
        "limit": ("pulses=20000.0",),
        "sampler": "random",
        "vary": (
            "alpha=1e-3:0.1",
            "chop.probability=0.001:0.1",
            "estimator=ema|last",
            "sync=True|False",
            "filter.eta",
            "filter.order=1:3",
        ),
    }
    names = ["alpha", "p", "estimator", "sync", "filter.eta", "filter.order"]
    assert list(parse_space(values["vary"], method("e-rider"))) == names


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"trial": 3}, "did you mean 'trials'"),
        ({"trials": 3.5}, "a whole number"),
        ({"trials": True}, "a whole number"),
        ({"sampler": 1}, "a text"),
        ({"objective": [1]}, "a name or a list"),
        ({"vary": ["alpha"]}, "a table"),
        ({"limit": {"pulses": True}}, "a table of numbers"),
        ({"limit": 3}, "a table of numbers"),
        ({"vary": {"alpha": [1, 2, 3]}}, "choices or true"),
        ({"vary": {"alpha": False}}, "choices or true"),
        (3, "a table"),
    ],
)
def test_refused_tables(table, says):
    with pytest.raises(ParameterError, match=rf"x.toml: .*{says}"):
        table_values(table, "x.toml")
