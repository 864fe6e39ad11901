"""Methods, problems and devices as TOML: round trips and refusals."""

import tomllib

import pytest
from scipy.signal import ellip, firwin

from sptrack import CustomResponse, Device, ParameterError, preset
from sptrack.blocks import (
    CIC,
    EMA,
    FIR,
    SOS,
    Boxcar,
    Chain,
    Chopper,
    CustomFilter,
    GrowingBoxcar,
    MaximumLengthChopper,
    ObserverSettings,
    PeriodicChopper,
    PeriodMean,
)
from sptrack.tracking import METHODS, ProblemSettings, Transfer, method, with_settings
from sptrack.tracking.config import (
    Setup,
    load_setup,
    method_mapping,
    setup_from_mapping,
    setup_to_mapping,
    setup_to_toml,
)

OWN = with_settings(
    method("agad"),
    chop={"probability": 1e-5, "scope": "array"},
    transfer=Transfer(every=3, keep=1 / 3, forget=False),
)


OBSERVED = with_settings(
    method("o-rider"),
    estimator="predictor-observer",
    observing={
        "prior": "population",
        "weight": 0.1,
        "limit": 0.9,
        "floor": 0.2,
        "sent": True,
        "drive": 3e-4,
        "point_bits": 9,
    },
)


FILTERED = [
    with_settings(method("e-rider"), reference=filtered, chopper=chopper)
    for filtered, chopper in [
        (SOS(sos=ellip(4, 0.1, 40, 0.004, output="sos")), PeriodicChopper(half_period=50, duty=0.3)),
        (FIR(taps=firwin(31, 0.1)), MaximumLengthChopper(register=7, scope="cell")),
        (Chain(EMA(eta=1 / 3, order=2), CIC(length=5)), Chopper(p=0.1, scope="column", clock="read")),
        (GrowingBoxcar(length=9), None),
        (PeriodMean(eta=0.1), Chopper(p=1e-3, seed=4)),
    ]
]


@pytest.mark.parametrize("chosen", [*map(method, METHODS), OWN, OBSERVED, *FILTERED, None])
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


def test_filter_and_chopper_of_a_file_are_those_of_its_method():
    text = 'filter = "ema:eta=0.1+boxcar:length=7"\n[chopper]\nkind = "periodic"\nhalf_period = 5\n'
    setup = setup_from_mapping(tomllib.loads(text + '[method]\nname = "rider"\nalpha = 0.02\n'))
    own = Chain(EMA(eta=0.1), Boxcar(length=7)), PeriodicChopper(half_period=5)
    assert (setup.method.reference, setup.method.chopper, setup.method.alpha) == (*own, 0.02)
    assert (setup.filter, setup.chopper) == (None, None)
    apart = Setup(method=method("rider", alpha=0.02), filter=own[0], chopper=own[1])
    assert setup_from_mapping(setup_to_mapping(apart)) == setup


def test_a_method_names_reference_and_chopper_in_many_ways():
    def read(text):
        return setup_from_mapping(tomllib.loads('[method]\nname = "e-rider"\n' + text)).method

    base = method("e-rider")
    for text in (
        'reference = "ema:eta=0.01"\nchopper = "periodic:half_period=50"\n',
        '[method.reference]\nkind = "ema"\neta = 0.01\n'
        '[method.chopper]\nkind = "periodic"\nhalf_period = 50\n',
        "eta = 0.01\nhalf_period = 50\n",
        'reference = "filter"\nestimator = "ema"\neta = 0.01\n[method.chop]\nhalf_period = 50\n',
    ):
        expected = with_settings(base, reference=EMA(eta=0.01), chopper=PeriodicChopper(half_period=50))
        assert read(text) == expected
    rows = '[[method.reference]]\nkind = "ema"\neta = 0.1\n[[method.reference]]\nkind = "last"\n'
    assert read(rows).reference.blocks[0] == EMA(eta=0.1)
    assert read('chopper = "none"').chopper is None
    observed = ObserverSettings(form="predictor", forgetting=2e-4)
    assert read('reference = "predictor-observer:forgetting=2e-4"').reference == observed
    assert (
        read('[method.reference]\nkind = "observer"\nform = "predictor"\nforgetting = 2e-4').reference
        == observed
    )
    assert setup_from_mapping({"filter": "predictor-observer:forgetting=2e-4"}).filter == observed


def test_a_file_with_the_fields_of_a_fixed_reference_is_read():
    text = 'reference = "zero"\neta = 0.0\nestimator = "ema"\n[method.observing]\nprior = "flat"\n'
    text += '[method.chop]\nprobability = 0.0\nhalf_period = 0\nscope = "array"\n'
    assert setup_from_mapping(tomllib.loads('[method]\nname = "residual"\n' + text)).method == method(
        "residual"
    )


def test_a_filter_of_ones_own_has_no_text_but_a_label():
    def smooth(memory, x, eta):
        memory[0] += eta * (x - memory[0])
        return memory[0]

    chosen = with_settings(method("e-rider"), reference=CustomFilter(update=smooth, parameters={"eta": 0.1}))
    assert method_mapping(chosen)["reference"] == "CustomFilter(smooth, eta=0.1)"
    with pytest.raises(ParameterError, match="no form as text"):
        setup_to_toml(Setup(method=chosen))


def test_what_an_observer_knows_is_a_table_of_its_own():
    text = '[method]\nname = "o-rider"\n[method.observing]\nprior = "population"\nsent = true\n'
    chosen = setup_from_mapping(tomllib.loads(text)).method
    assert chosen == with_settings(method("o-rider"), observing={"prior": "population", "sent": True})
    with pytest.raises(ParameterError, match="did you mean 'prior'"):
        setup_from_mapping(tomllib.loads(text.replace("prior", "priors")))


def test_a_device_is_named_or_described():
    assert setup_from_mapping({"device": "soft-bounds"}).settings.device == preset("soft-bounds")
    assert setup_from_mapping({"device": {"dw_min": 0.01}}).settings.device == Device(dw_min=0.01)


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ({"methd": {}}, "unknown table 'methd'; .*did you mean 'method'"),
        ({"method": 3}, "method must be a table, got 3"),
        ({"method": {}}, "method.name must be one of sgd.*got None"),
        ({"method": {"name": "erider"}}, "did you mean 'e-rider'"),
        ({"method": {"name": "sgd", "alfa": 1}}, "'method.alfa'; .*did you mean 'alpha'"),
        ({"method": {"name": "sgd", "alpha": -1}}, "alpha must be finite and >= 0, got -1"),
        ({"method": {"name": "sgd", "pulses": 2.0}}, "method.pulses must .*a whole number.*got 2.0"),
        ({"method": {"name": "sgd", "pulses": True}}, "method.pulses must .*a whole number.*got True"),
        (
            {"method": {"name": "sgd", "chop": {"p": 1}}},
            "unknown key 'method.chop.p'; choose from probability",
        ),
        ({"method": {"name": "sgd", "chop": 1}}, "method.chop must be a table, got 1"),
        ({"problem": {"name": "quadratc"}}, "did you mean 'quadratic'"),
        ({"problem": {"name": ["a"]}}, "problem.name"),
        ({"problem": {"size": 0}}, "size must .*got 0"),
        ({"problem": {"device": {}}}, "use the table 'device'"),
        ({"device": "ecramm"}, "did you mean 'ecram"),
        ({"device": {"dw": 1}}, "unknown key 'dw'"),
        ({"device": 1}, "device must be a table, got 1"),
        ({"method": {"name": "rider", "reference": "ture"}}, "got 'ture'.*did you mean 'true'"),
        ({"method": {"name": "rider", "reference": "ema:eta=3"}}, "method.reference: ema: eta must .*got 3"),
        (
            {"method": {"name": "rider", "chopper": {"kind": "mls"}}},
            "method.chopper: mls: register is missing",
        ),
        ({"method": {"name": "rider", "eta": "fast"}}, "method.eta must .*a finite number.*got 'fast'"),
        (
            {"method": {"name": "rider", "half_period": 2.5}},
            "method.half_period must .*a whole .*2.5",
        ),
        ({"method": {"name": "rider", "transfer": {"evry": 1}}}, "did you mean 'every'"),
        ({"method": {"name": "rider", "reference": "zero", "eta": 0.1}}, "eta = 0.1 is for a reference that"),
        ({"method": {"name": "rider", "eta": 0.1}, "filter": "last"}, "both filter and method.eta"),
        ({"method": {"name": "rider", "p": 0.1}, "chopper": "none"}, "both chopper and method.p"),
        (
            {"method": {"name": "sgd"}, "filter": "ema:eta=0.1"},
            "my.toml: filter ema:eta=0.1 .* sgd, which has no",
        ),
        (
            {"method": {"name": "oracle"}, "chopper": "mls:register=3"},
            "with oracle, whose reference is fixed",
        ),
        ({"filter": {"kind": "emma"}}, "my.toml: filter: kind must be .*did you mean 'ema'"),
        ({"filter": "ema:eta=3"}, "my.toml: filter: ema: eta must .*got 3"),
        ({"filter": 1}, "filter must be a table, got 1"),
        ({"chopper": [{}]}, "chopper must be a table, got"),
        ({"chopper": {"kind": "telegraph"}}, "my.toml: chopper: telegraph: p is missing"),
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
