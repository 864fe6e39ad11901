"""Settings by name: ranges, texts, and the way from a point to a method and back."""

import inspect
from dataclasses import fields, replace

import pytest

from sptrack.blocks import (
    CIC,
    EMA,
    SOS,
    Boxcar,
    Chain,
    Chopper,
    CustomFilter,
    GrowingBoxcar,
    LastSample,
    MaximumLengthChopper,
    ObserverSettings,
    PeriodicChopper,
    PeriodMean,
    SPEstimator,
    SteadyKalman,
)
from sptrack.design.block_numbers import block_numbers, with_number
from sptrack.design.settings import CHOICES, SETTINGS, read_setting, setting_name, with_point
from sptrack.design.space import (
    RANGES,
    Choice,
    Range,
    check_space,
    default_range,
    default_space,
    edges,
    moved,
    parse_space,
    start_point,
)
from sptrack.errors import ParameterError
from sptrack.tracking.methods import METHODS, Method, Transfer, method, periodic, telegraph, with_settings

KEYWORDS = [(name, key) for name, made in METHODS.items() for key in inspect.signature(made).parameters]


def test_every_field_of_a_method_can_be_varied():
    described = {"name", "transfer", "chopper"}
    own = {item.name for item in fields(Method)} - described
    nested = {item.name for kind in (Transfer, ObserverSettings) for item in fields(kind)}
    assert own | nested - {"form", "forgetting"} | {
        "eta",
        "estimator",
        "p",
        "half_period",
        "scope",
        "tail",
        "periods",
    } == set(SETTINGS)
    assert set(SETTINGS) == set(RANGES) | set(CHOICES)


def test_numbers_of_a_methods_own_blocks_can_be_varied():
    base = with_settings(method("e-rider"), reference=EMA(eta=0.01, order=2), chopper=periodic(50))
    assert read_setting(base, "filter.order") == 2
    made = with_point(base, {"filter.eta": 0.02, "filter.order": 3.0, "chopper.duty": 0.3})
    assert made.reference == EMA(eta=0.02, order=3)
    assert made.chopper == PeriodicChopper(half_period=50, duty=0.3)
    assert default_range("filter.eta", base) == Range(low=0.001, high=0.1)
    assert default_range("chopper.half_period", base) == Range(low=5, high=500, multiple=1)
    with pytest.raises(ParameterError, match="filter.length must be a number of EMA"):
        with_point(base, {"filter.length": 4})
    with pytest.raises(ParameterError, match="chopper.p: rider has no chopper"):
        with_point(method("rider"), {"chopper.p": 0.1})


def test_numbers_inside_a_block_can_be_varied():
    chain = Chain(EMA(eta=0.1, order=2), Boxcar(length=10))
    base = with_settings(method("e-rider"), reference=chain)
    made = with_point(base, {"filter.0.eta": 0.2, "filter.1.length": 20})
    assert made.reference == Chain(EMA(eta=0.2, order=2), Boxcar(length=20))
    assert block_numbers(chain) == {"0.eta": 0.1, "0.order": 2, "1.length": 10}
    own = CustomFilter(update=_leaky, parameters={"rate": 0.1, "leak": 0.5})
    made = with_point(with_settings(base, reference=own), {"filter.parameters.leak": 0.25})
    assert made.filter.parameters == {"rate": 0.1, "leak": 0.25}
    told = SPEstimator(estimator=PeriodMean(eta=0.1), chopper=Chopper(p=0.01))
    assert block_numbers(told) == {"estimator.eta": 0.1, "chopper.p": 0.01}
    assert with_number(told, "estimator.eta", 0.2).estimator == PeriodMean(eta=0.2)


def _leaky(memory, x, rate, leak):
    memory[0] = leak * memory[0] + rate * x
    return memory[0]


@pytest.mark.parametrize(
    ("reference", "names"),
    [
        (Boxcar(length=100), ["filter.length"]),
        (CIC(length=64, order=2), ["filter.length"]),
        (CIC(length=64, order=3), ["filter.length", "filter.order"]),
        (SteadyKalman(drift_std=1e-4, read_std=0.1), ["filter.drift_std", "filter.read_std"]),
        (SOS(sos=[[0.5, 0.5, 0, 1, 0, 0]]), []),
        (LastSample(), []),
    ],
)
def test_a_filter_without_a_rate_is_varied_by_its_own_numbers(reference, names):
    base = with_settings(method("e-rider"), reference=reference)
    assert list(default_space(base)) == ["alpha", "beta", "gamma", "p", *names]
    check_space(default_space(base), base)


@pytest.mark.parametrize(
    ("chopper", "name"),
    [
        (PeriodicChopper(half_period=50, duty=0.5), "chopper.half_period"),
        (MaximumLengthChopper(register=7), "chopper.register"),
    ],
)
@pytest.mark.parametrize("rule", ["e-rider", "agad"])
def test_a_chopper_that_is_not_random_stays_of_its_kind(rule, chopper, name):
    base = with_settings(method(rule), chopper=chopper)
    space = default_space(base)
    assert name in space
    assert "p" not in space
    check_space(space, base)
    for end in (space[name].low, space[name].high):
        made = with_point(base, {name: end, "tail": 0.25})
        assert type(made.chopper) is type(chopper)
        assert made.eta == pytest.approx(min(0.25 * made.flips, 1))


@pytest.mark.parametrize("scope", ["array", "column", "cell"])
@pytest.mark.parametrize("clock", ["step", "read"])
def test_another_rate_of_flips_leaves_scope_and_clock(scope, clock):
    base = with_settings(method("e-rider"), chopper=Chopper(p=0.01, scope=scope, clock=clock))
    assert with_point(base, {"p": 0.02}).chopper == Chopper(p=0.02, scope=scope, clock=clock)
    regular = with_point(base, {"half_period": 9}).chopper
    assert regular == PeriodicChopper(half_period=9, scope=scope, clock=clock)
    short = with_settings(base, chopper=replace(regular, duty=1 / 3))
    assert with_point(short, {"half_period": 12}).chopper == replace(regular, duty=1 / 3, half_period=12)


def test_default_ranges_end_where_a_block_does():
    base = with_settings(method("e-rider"), chopper=MaximumLengthChopper(register=15))
    found = default_range("chopper.register", base)
    assert found == Range(low=2, high=found.high, multiple=1)
    assert 15 < found.high <= 20


@pytest.mark.parametrize(
    "texts",
    [
        ["filter.eta", "eta"],
        ["filter.eta=1e-3:0.1", "eta=1e-3:0.1"],
        ["filter.eta", "tail"],
        ["filter.eta", "estimator"],
        ["chopper.p", "p"],
        ["chopper.p", "half_period"],
    ],
)
def test_two_names_of_one_number_are_refused(texts):
    start = method("e-rider")
    with pytest.raises(ParameterError, match="set the same block"):
        check_space(parse_space(texts, start), start)
    check_space(parse_space(["filter.order", "eta", "p", "reference"], start), start)


@pytest.mark.parametrize(("name", "key"), KEYWORDS)
def test_a_keyword_of_a_factory_is_the_setting_of_that_name(name, key):
    default = METHODS[name].__kwdefaults__[key]
    assert read_setting(method(name), key) == pytest.approx(default, rel=1e-15)
    other = 2 * default + 4 if key in ("pulses", "every") else 0.7 * default + 0.001
    point = {key: other} | ({"tail": 1.1} if (name, key) == ("agad", "p") else {})
    assert with_point(method(name), point) == method(name, **{key: other})


@pytest.mark.parametrize("name", METHODS)
def test_the_point_of_a_method_gives_the_method(name):
    start = method(name)
    space = default_space(start)
    point = start_point(space, start)
    again = with_point(start, point)
    assert {key: read_setting(again, key) for key in space} == pytest.approx(point, rel=1e-14)
    assert moved(space, start, again) == pytest.approx(dict.fromkeys(space, 1.0), rel=1e-14)


def test_default_ranges_are_those_of_the_comparison_at_equal_budget():
    ranges = default_space(method("e-rider"))
    assert {name: (one.low, one.high, one.log) for name, one in ranges.items()} == {
        "alpha": (1e-4, 0.5, True),
        "beta": (1e-4, 0.3, True),
        "gamma": (0.05, 4.0, True),
        "eta": (3e-5, 0.1, True),
        "p": (3e-4, 0.3, True),
    }
    assert list(default_space(method("sgd"))) == ["alpha"]
    assert list(default_space(method("two-stage"))) == ["alpha", "beta", "gamma", "pulses"]
    assert list(default_space(method("tt-v2"))) == ["alpha", "beta", "keep"]
    assert list(default_space(method("agad"))) == ["alpha", "beta", "keep", "p", "tail"]
    assert default_space(method("agad"))["beta"].high == 10


def test_a_default_range_is_stretched_to_hold_the_start():
    assert default_range("eta", method("e-rider", eta=0.4)).high == 0.4
    assert default_range("alpha", method("e-rider", alpha=1e-6)).low == 1e-6


def test_a_chopper_is_random_or_periodic():
    regular = with_point(method("e-rider"), {"half_period": 250})
    assert regular.chopper == periodic(250)
    assert read_setting(regular, "p") == 1 / 250
    assert with_point(regular, {"p": 0.01}).chopper == telegraph(0.01)
    assert read_setting(method("e-rider", p=0.002), "half_period") == 500


def test_tail_sets_eta():
    made = with_point(method("e-rider"), {"p": 0.01, "tail": 3.0})
    assert made.eta == 0.03
    assert with_point(method("e-rider"), {"p": 0.2, "tail": 10.0}).eta == 1.0


def test_periods_make_the_filter_a_mean_over_whole_periods():
    start = method("e-rider")
    made = with_point(start, {"half_period": 30, "periods": 3})
    assert (made.chopper, made.filter) == (PeriodicChopper(half_period=30), GrowingBoxcar(length=180))
    assert [read_setting(made, name) for name in ("half_period", "periods")] == [30, 3]
    assert read_setting(start, "periods") == 0
    check_space(parse_space(["half_period=10:100", "periods=1:4"], start), start)
    with pytest.raises(ParameterError, match="signs repeat"):
        check_space(parse_space(["periods=1:4"], start), start)
    for other in ("eta", "tail=1:3"):
        with pytest.raises(ParameterError, match="cannot both be varied"):
            check_space(parse_space(["half_period=10:100", "periods=1:4", other], start), start)


def test_points_at_an_edge_of_their_range():
    """Within 2 % of the width on the scale of the range; the least multiple is none."""
    space = parse_space(
        ["alpha=1e-4:1e-2", "keep=0:1", "every=1:64", "half_period=10:100", "sync"], method("c-ttv2")
    )
    inside = {"alpha": 1e-3, "keep": 0.5, "every": 1, "half_period": 20, "sync": True}
    assert edges(space, inside) == ()
    for name, values in {
        "alpha": (1.05e-4, 0.95e-2),
        "keep": (0.015, 0.985),
        "half_period": (10, 100),
    }.items():
        for value in values:
            assert edges(space, inside | {name: value}) == (name,)
    for name, values in {"alpha": (1.2e-4, 0.85e-2), "keep": (0.03, 0.97), "half_period": (11, 95)}.items():
        for value in values:
            assert edges(space, inside | {name: value}) == ()
    assert edges(space, inside | {"every": 64, "alpha": 1e-4}) == ("alpha", "every")


def test_texts():
    start = method("e-rider")
    texts = ["alpha=1e-3:0.1", "transfer.keep=0:1", "p=0.1:0.2:linear", "estimator=last|ema", "sync", "eta"]
    space = parse_space([*texts, "pulses=10:20:log"], start)
    assert space == {
        "alpha": Range(low=1e-3, high=0.1),
        "keep": Range(low=0, high=1, log=False),
        "p": Range(low=0.1, high=0.2, log=False),
        "estimator": Choice(values=("last", "ema")),
        "sync": Choice(values=(False, True)),
        "eta": RANGES["eta"],
        "pulses": Range(low=10, high=20, multiple=2),
    }
    assert setting_name("chop.probability") == "p"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("alpa", "did you mean 'alpha'"),
        ("alpha=", "LOW:HIGH"),
        ("alpha=1", "LOW:HIGH"),
        ("alpha=1:2:3:4", "LOW:HIGH"),
        ("alpha=a:b", "LOW:HIGH"),
        ("alpha=1:2:cubic", "LOW:HIGH"),
        ("alpha=0.1:0.01", "below the high end"),
        ("alpha=0.1:0.1", "below the high end"),
        ("alpha=0.1:inf", "finite"),
        ("alpha=nan:1", "finite"),
        ("alpha=0:1", ":linear"),
        ("pulses=501:1000", "multiples of 2"),
        ("estimator=ema|emu", "did you mean 'ema'"),
        ("estimator=ema", "two different"),
    ],
)
def test_refused_texts(text, says):
    with pytest.raises(ParameterError, match=says):
        parse_space([text], method("e-rider"))


@pytest.mark.parametrize(
    ("name", "texts", "says"),
    [
        ("e-rider", ["alpha", "alpha=1e-3:1"], "varied twice"),
        ("e-rider", ["p", "half_period"], "only one of them"),
        ("e-rider", ["p", "eta", "tail"], "only one of them"),
        ("rider", ["tail"], "chopper probability"),
        ("sgd", ["gamma"], "no effect"),
        ("oracle", ["eta"], "no effect"),
        ("e-rider", ["pulses"], "no effect"),
        ("e-rider", ["keep"], "no effect"),
        ("e-rider", ["eta=0.5:2"], "<= 1, got 2"),
        ("e-rider", [], "no setting"),
    ],
)
def test_refused_spaces(name, texts, says):
    with pytest.raises(ParameterError, match=says):
        check_space(parse_space(texts, method(name)), method(name))


def test_a_start_outside_of_the_space_goes_to_its_near_end():
    space = {"alpha": Range(low=0.1, high=0.2), "estimator": Choice(values=("last", "boxcar"))}
    assert start_point(space, method("e-rider")) == {"alpha": 0.1, "estimator": "last"}
