"""Methods, problems and devices as TOML: round trips and refusals."""

import tomllib

import pytest

from sptrack import CustomResponse, Device, ParameterError, preset
from sptrack.blocks import EMA, Boxcar, Chain, Chopper, PeriodicChopper
from sptrack.tracking import METHODS, Chop, Observing, ProblemSettings, Transfer, method, with_settings
from sptrack.tracking.config import Setup, load_setup, setup_from_mapping, setup_to_toml

OWN = with_settings(
    method("agad"),
    chop=Chop(probability=1e-5, scope="array"),
    transfer=Transfer(every=3, keep=1 / 3, forget=False),
)


OBSERVED = with_settings(
    method("o-rider"),
    estimator="predictor-observer",
    observing=Observing(
        prior="population", weight=0.1, limit=0.9, floor=0.2, sent=True, drive=3e-4, point_bits=9
    ),
)


@pytest.mark.parametrize("chosen", [*map(method, METHODS), OWN, OBSERVED, None])
def test_text_and_back(tmp_path, chosen):
    settings = ProblemSettings(size=5, gradient_noise=0.1 + 0.2, device=preset("reram-es"))
    setup = Setup(method=chosen, problem="logistic", settings=settings)
    path = tmp_path / "setup.toml"
    path.write_text(setup_to_toml(setup), encoding="utf-8")
    assert load_setup(path) == setup


def test_what_is_left_out_is_the_default():
    assert setup_from_mapping({}) == Setup()
    text = '[method]\nname = "e-rider"\nalpha = 0.02\n[method.chop]\nprobability = 0.001\n'
    setup = setup_from_mapping(tomllib.loads(text + "[problem]\nread_noise = 0.02\n"))
    assert setup.method == method("e-rider", alpha=0.02, p=0.001)
    assert setup.settings == ProblemSettings(read_noise=0.02)
    assert setup.problem == "quadratic"


def test_a_filter_and_a_chopper_as_text_as_table_and_back(tmp_path):
    text = 'filter = "ema:eta=0.1+boxcar:length=7"\n[chopper]\nkind = "periodic"\nhalf_period = 5\n'
    setup = setup_from_mapping(tomllib.loads(text))
    assert setup.filter == Chain(EMA(eta=0.1), Boxcar(length=7))
    assert setup.chopper == PeriodicChopper(half_period=5)
    path = tmp_path / "setup.toml"
    path.write_text(setup_to_toml(setup), encoding="utf-8")
    assert load_setup(path) == setup
    rows = '[[filter]]\nkind = "ema"\neta = 0.1\n[[filter]]\nkind = "boxcar"\nlength = 7\n'
    assert setup_from_mapping(tomllib.loads(rows)).filter == setup.filter
    assert setup_from_mapping({"chopper": "telegraph:p=0.1"}).chopper == Chopper(p=0.1)


def test_what_an_observer_knows_is_a_table_of_its_own():
    text = '[method]\nname = "o-rider"\n[method.observing]\nprior = "population"\nsent = true\n'
    chosen = setup_from_mapping(tomllib.loads(text)).method
    assert chosen == with_settings(method("o-rider"), observing=Observing(prior="population", sent=True))
    with pytest.raises(ParameterError, match="did you mean 'prior'"):
        setup_from_mapping(tomllib.loads(text.replace("prior", "priors")))


def test_a_device_is_named_or_described():
    assert setup_from_mapping({"device": "soft-bounds"}).settings.device == preset("soft-bounds")
    assert setup_from_mapping({"device": {"dw_min": 0.01}}).settings.device == Device(dw_min=0.01)


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ({"methd": {}}, "unknown table 'methd': .*did you mean 'method'"),
        ({"method": 3}, "method = 3: a table"),
        ({"method": {}}, "method.name = None"),
        ({"method": {"name": "erider"}}, "did you mean 'e-rider'"),
        ({"method": {"name": "sgd", "alfa": 1}}, "'method.alfa': .*did you mean 'alpha'"),
        ({"method": {"name": "sgd", "alpha": -1}}, "alpha = -1"),
        ({"method": {"name": "sgd", "pulses": 2.0}}, "method.pulses = 2.0: a whole number"),
        ({"method": {"name": "sgd", "pulses": True}}, "method.pulses = True: a whole number"),
        ({"method": {"name": "sgd", "chop": {"p": 1}}}, "unknown key 'method.chop.p'"),
        ({"method": {"name": "sgd", "chop": 1}}, "method.chop = 1: a table"),
        ({"problem": {"name": "quadratc"}}, "did you mean 'quadratic'"),
        ({"problem": {"name": ["a"]}}, "problem.name"),
        ({"problem": {"size": 0}}, "size = 0"),
        ({"problem": {"device": {}}}, "the table 'device' wanted"),
        ({"device": "ecramm"}, "did you mean 'ecram"),
        ({"device": {"dw": 1}}, "unknown key 'dw'"),
        ({"device": 1}, "device = 1: a table"),
        ({"filter": {"kind": "emma"}}, "my.toml: filter: kind 'emma'"),
        ({"filter": "ema:eta=3"}, "my.toml: filter: ema: eta = 3"),
        ({"filter": 1}, "filter = 1: a table"),
        ({"chopper": [{}]}, "chopper = .*: a table"),
        ({"chopper": {"kind": "telegraph"}}, "my.toml: chopper: telegraph: p wanted"),
    ],
)
def test_refusals(mapping, text):
    with pytest.raises(ParameterError, match=text) as refused:
        setup_from_mapping(mapping, "my.toml")
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_or_not_toml(tmp_path):
    with pytest.raises(ParameterError, match="cannot be read"):
        load_setup(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[method\n")
    with pytest.raises(ParameterError, match="not a TOML file"):
        load_setup(tmp_path / "bad.toml")


def test_functions_of_ones_own_have_no_text():
    response = CustomResponse(q_plus=lambda w: 1.0 - w, q_minus=lambda w: 1.0 + w)
    with pytest.raises(ParameterError, match="CustomResponse"):
        setup_to_toml(Setup(settings=ProblemSettings(device=Device(response=response))))
