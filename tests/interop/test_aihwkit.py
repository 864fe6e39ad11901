"""Configurations of aihwkit: against its recorded traces, round trips, and what has no equivalent."""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np
import pytest

from sptrack.crossbar import Crossbar, PulseScheme
from sptrack.devices import Asymmetry, CustomResponse, CycleNoise, Device, Drift, sample_cells
from sptrack.devices.presets import preset, preset_names
from sptrack.errors import ParameterError
from sptrack.interop import AnalogConfig, from_aihwkit, to_aihwkit
from sptrack.tiles import ALGORITHMS, IDEAL_IO, AnalogIO, algorithm
from sptrack.tracking.compounds import (
    Buffer,
    Compound,
    CompoundSettings,
    FastUpdate,
    SliceChopper,
    SliceTransfer,
)
from tests.golden.simulated import manifest

EXACT = {
    "dw_min_dtod": 0.0,
    "dw_min_std": 0.0,
    "up_down_dtod": 0.0,
    "w_max_dtod": 0.0,
    "w_min_dtod": 0.0,
    "reference_std": 0.0,
    "gamma_up_dtod": 0.0,
    "gamma_down_dtod": 0.0,
    "pow_gamma_dtod": 0.0,
    "pow_up_down_dtod": 0.0,
}


def exact(kind, values):
    """Record of a device without noise and spread."""
    linear, power = kind == "LinearStepDevice", kind.startswith("PowStep")
    used = {
        key: value
        for key, value in EXACT.items()
        if ("gamma_" not in key or "pow" in key or linear)
        and ("pow_" not in key or power)
        and ("reference" not in key or "Reference" in kind)
    }
    return {kind: used | values}


def written(record):
    """Text of a JSON record as Python prints it."""
    ((name, values),) = record.items()
    parts = [
        f"{key}=[{', '.join(written(one) for one in value)}]"
        if key == "unit_cell_devices"
        else f"{key}={written(value) if isinstance(value, dict) else value}"
        for key, value in values.items()
    ]
    return f"{name}({', '.join(parts)})"


TRAINS = {"UpdateParameters": {"pulse_type": "PulseType.DETERMINISTIC_IMPLICIT", "desired_bl": 31}}


@pytest.mark.parametrize(
    "case",
    [
        "ttv1",
        "ttv1_gamma_rows",
        "ttv2",
        "ttv2_keep",
        "chopped",
        "chopped_auto",
        "chopped_gamma",
        "chopped_cgm",
        "agad",
        "agad_keep",
    ],
)
def test_recorded_compounds_follow_from_their_text(reference, case):
    golden = reference("compounds")
    entry = manifest(golden)[case]
    devices = [exact(*next(iter(entry[f"{which}_device"].items()))) for which in ("fast", "slow")]
    values = {"unit_cell_devices": devices, "units_in_mbatch": False, **entry["parameters"]}
    if entry["kind"] == "TransferCompound":
        values["transfer_update"] = TRAINS
    text = written({"UnitCellRPUConfig": {"device": {entry["kind"]: values}, "update": TRAINS}})
    config = from_aihwkit(text)
    assert config.missing == ()
    assert not config.batched
    arrays = (
        Crossbar(sample_cells(device, (3, 4), dtype=np.float64), threads=1, name=name)
        for device, name in ((config.device, "P"), (config.slow, "W"))
    )
    assert config.compound is not None
    compound = Compound(config.compound, *arrays)
    for k, (x, d) in enumerate(zip(golden["x"], golden["d"], strict=True)):
        compound.update(x, d, entry["learning_rate"])
        np.testing.assert_allclose(compound.fast.weights, golden[f"{case}/A"][k], rtol=0, atol=2e-5)
        np.testing.assert_allclose(compound.slow.weights, golden[f"{case}/C"][k], rtol=0, atol=2e-5)


def test_recorded_devices_have_their_symmetric_points(reference):
    """A bound where none lies between the bounds; the simulator's numbers are those of float32 parameters."""
    golden = reference("trajectories")
    for case, entry in manifest(golden).items():
        config = from_aihwkit({"SingleRPUConfig": {"device": exact(entry["device"], entry["parameters"])}})
        assert config.missing == ()
        cells = sample_cells(config.device, (1, 1), dtype=np.float64)
        if case != "constant_a":
            assert float(cells.target[0, 0]) == pytest.approx(float(golden[f"{case}/sp"]), abs=2e-6), case


@pytest.mark.parametrize("name", [name for name in preset_names() if name != "soft-bounds"])
def test_presets_come_back_as_they_went(name):
    device = preset(name)
    text, missing = to_aihwkit(AnalogConfig(device=device))
    assert missing == ()
    back = from_aihwkit(text)
    assert back.missing == ()
    assert replace(back.device, source=device.source) == device


COMPOUNDS = {
    "tt-v1": CompoundSettings(gamma=0.2),
    "tt-v2": CompoundSettings(buffer=Buffer(scale=0.8, momentum=0.2, forget=False)),
    "c-ttv2": CompoundSettings(
        buffer=Buffer(scale=2.0, auto_granularity=500.0, correct_magnitudes=True),
        chopper=SliceChopper(probability=0.2, random=True),
    ),
    "agad": CompoundSettings(
        buffer=Buffer(momentum=0.0, forget=False, cap=2.0), chopper=SliceChopper(probability=0.1, tail=4.0)
    ),
}


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("name", COMPOUNDS)
def test_compounds_come_back_as_they_went(name, batched):
    device = preset("reram-array-hfo2")
    config = AnalogConfig(
        device=device,
        slow=replace(device, dw_min=0.2),
        compound=COMPOUNDS[name],
        batched=batched,
        update=COMPOUNDS[name].fast.scheme,
        forward=AnalogIO(input_resolution=0.01, output_bound=20.0, output_noise=0.1),
        backward=IDEAL_IO,
        reads=AnalogIO(noise_management=False, bound_management=False, input_bound=2.0),
    )
    text, missing = to_aihwkit(config)
    assert missing == ()
    back = from_aihwkit(text)
    assert back.slow is not None
    assert config.slow is not None
    sources = replace(back.device, source=device.source), replace(back.slow, source=config.slow.source)
    assert replace(back, device=sources[0], slow=sources[1]) == config


CELL = """SoftBoundsReferenceDevice(
    dw_min=0.4622, dw_min_dtod=0.7125, dw_min_dtod_log_normal=True, dw_min_std=0.2174, mult_noise=False,
    w_max=1, w_min=-1.0, w_max_dtod=0.4295, w_min_dtod=0.599, corrupt_devices_range=0.01,
    write_noise_std=0.5841, subtract_symmetry_point=True, reference_std=0.05, up_down=0.0)"""
PRINTED = """
UnitCellRPUConfig(
    device={kind}(
        unit_cell_devices=[{cell}, {cell}],
        transfer_every=1, units_in_mbatch=True, {own},
        transfer_forward=IOParameters(
            bound_management=<BoundManagementType.NONE: 'None'>,
            noise_management=<NoiseManagementType.NONE: 'None'>)),
    forward=IOParameters(
        inp_res=0.007936507936507936, w_noise_type=<WeightNoiseType.NONE: 'None'>, nm_thres=0.0),
    update=UpdateParameters(
        desired_bl=5, pulse_type=<PulseType.STOCHASTIC_COMPRESSED: 'StochasticCompressed'>),
    tile_class=<class 'aihwkit.simulator.tiles.analog.AnalogTile'>,
)
"""
OWN = {
    "agad": "fast_lr=0.05, transfer_lr=0.3, in_chop_prob=0.1, auto_granularity=1e3, momentum=0.0,"
    "tail_weightening=5",
    "tt-v2": "fast_lr=0.03, transfer_lr=0.01, thres_scale=.8, momentum=0.1",
}


@pytest.mark.parametrize(
    ("name", "kind"), [("agad", "DynamicTransferCompound"), ("tt-v2", "BufferedTransferCompound")]
)
def test_printed_configurations_are_the_published_tiles(name, kind):
    config = from_aihwkit(PRINTED.format(kind=kind, own=OWN[name], cell=CELL))
    published = preset("reram-array-hfo2")
    assert config.missing == ()
    assert replace(config.device, source=published.source) == published
    found, known = config.tile(), ALGORITHMS[name]
    transfer = replace(found.transfer, scheme=known.transfer.scheme)  # single pulses by another rule
    assert found.transfer.scheme.train_length == 1
    assert found.beyond_bounds
    back = replace(found, transfer=transfer, backward=known.backward, beyond_bounds=False)
    assert back == known
    assert found.backward == replace(known.backward, bound_management=False)


def test_a_single_device_is_analog_sgd():
    config = from_aihwkit("SingleRPUConfig(device=ConstantStepDevice(dw_min=0.002, up_down_dtod=0))")
    assert config.compound is None
    assert config.update == PulseScheme()
    assert config.tile() == algorithm(
        "sgd", fast=replace(ALGORITHMS["sgd"].fast, scheme=PulseScheme()), backward=config.backward
    )


class Management(Enum):
    NONE = "None"
    ABS_MAX = "AbsMax"
    MAX = "Max"


@dataclass
class IOParameters:
    out_noise: float = 0.02
    noise_management: Management = Management.ABS_MAX
    w_noise: float = 0.0
    w_noise_type: str = "AdditiveConstant"


@dataclass
class LinearStepDevice:
    dw_min: float = 0.01
    lifetime: float = 1e6
    lifetime_dtod: float = 0.3
    diffusion: float = 0.0
    diffusion_dtod: float = 0.2


@dataclass
class SingleRPUConfig:
    device: Any = field(default_factory=LinearStepDevice)
    forward: Any = field(default_factory=IOParameters)
    backward: Any = field(default_factory=lambda: IOParameters(noise_management=Management.MAX, w_noise=0.1))


def test_objects_are_read_and_what_has_no_equivalent_is_named():
    config = from_aihwkit(SingleRPUConfig())
    assert config.device.dw_min == 0.01
    assert config.forward.output_noise == 0.02
    assert set(config.missing) == {
        "config.device.lifetime = 1000000.0",
        "config.device.lifetime_dtod = 0.3",
        "config.backward.noise_management = 'max'",
        "config.backward.w_noise = 0.1",
        "config.backward.w_noise_type = 'AdditiveConstant'",
    }


def test_every_unknown_setting_is_named():
    mapping = "MappingParameter(digital_bias=False)"
    text = f"SingleRPUConfig(device=SoftBoundsDevice(news=-2, w_max=inf), mapping={mapping})"
    with pytest.raises(ParameterError, match="finite"):
        from_aihwkit(text)
    config = from_aihwkit(text.replace("inf", "0.5"))
    assert config.missing == (
        "config.mapping.weight_scaling_omega = 0.0",
        "config.mapping.weight_scaling_columnwise = False",
        "config.mapping.learn_out_scaling = False",
        "config.mapping.digital_bias = False",
        "config.device.news = -2",
    )


@pytest.mark.parametrize(
    ("device", "named"),
    [
        (Device(spread=replace(Device().spread, asymmetry=Asymmetry(mean=0.3))), "spread.asymmetry"),
        (Device(drift=Drift(per_step=1e-6)), "drift"),
        (Device(read_noise=0.1), "read_noise"),
        (Device(cycle_noise=CycleNoise(slope=0.1)), "cycle_noise"),
        (replace(preset("ecram"), reference=preset("reram-array-hfo2").reference), "reference"),
    ],
)
def test_what_the_simulator_lacks_is_named_on_the_way_out(device, named):
    missing = to_aihwkit(AnalogConfig(device=device)).missing
    assert any(one.startswith(f"device.{named} = ") for one in missing)


@pytest.mark.parametrize(
    ("compound", "named"),
    [
        (CompoundSettings(transfer=SliceTransfer(read_noise=0.1)), "transfer.read_noise = 0.1"),
        (CompoundSettings(fast=FastUpdate(auto_scale=True)), "fast.auto_scale = True"),
        (CompoundSettings(buffer=Buffer(auto_granularity=9.0)), "buffer.auto_granularity = 9.0"),
        (CompoundSettings(buffer=Buffer(cap=1.0), chopper=SliceChopper()), "buffer.cap = 1.0"),
    ],
)
def test_what_a_compound_of_the_simulator_lacks_is_named(compound, named):
    config = AnalogConfig(device=preset("ecram"), compound=compound, backward=AnalogIO())
    found = to_aihwkit(config).missing
    assert found == (f"compound.{named}", "backward.bound_management = True")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1, at 'its end'"),
        ("SingleRPUConfig(device=", "line 1, at 'its end'"),
        ("A(\n b=?)", "line 2"),
        ("A(b=1) c", "line 1, at 'c'"),
        ("[1, 2]", "must be a record"),
        ('{"A": ', "must be JSON"),
        ("R(device=SoftBoundsDevice(dw_min=1, dw_min=2))", "must give dw_min of SoftBoundsDevice once"),
        ('{"R": {"a": 1, "a": 2}}', "must give a once"),
        ("A" + "(a=A" * 5000, "nested too deep"),
        ("FloatingPointRPUConfig()", "without one"),
        ("SingleRPUConfig(device=SoftBoundDevice())", "did you mean 'SoftBoundsDevice'"),
        ("SingleRPUConfig(device=SoftBoundsDevice(dw_min='a'))", "device.dw_min must be a number"),
        (
            "SingleRPUConfig(device=SoftBoundsDevice(), update=U(pulse_type=NONE))",
            "pulse_type must be one of",
        ),
        ("R(device=SoftBoundsDevice(), update=U(desired_bl=1.5))", "desired_bl must be a whole number"),
        ("R(device=PiecewiseStepDevice(piecewise_up=3))", "piecewise_up must be a list of numbers"),
        ("U(device=TransferCompound(unit_cell_devices=[]))", "must be two devices"),
    ],
)
def test_refusals(text, message):
    with pytest.raises(ParameterError, match=message):
        from_aihwkit(text)


@pytest.mark.parametrize(
    ("name", "ours", "missing"),
    [
        ("ReRamArrayHfO2PresetDevice", "reram-array-hfo2", 0),
        ("EcRamMOPresetDevice", "ecram-mo", 0),
        ("CapacitorPresetDevice", "capacitor", 2),
        ("PCMPresetDevice", "pcm", 2),
    ],
)
def test_presets_by_name(name, ours, missing):
    config = from_aihwkit(f"SingleRPUConfig(device={name}())")
    device = replace(preset(ours), one_sided=False)
    assert replace(config.device, source=device.source) == device
    assert len(config.missing) == missing
    changed = from_aihwkit(f"SingleRPUConfig(device={name}(dw_min=0.02))")
    assert changed.device == replace(config.device, dw_min=0.02)


def test_what_is_left_out_has_the_default_of_its_class():
    cells = "unit_cell_devices=[EcRamPresetDevice(), EcRamPresetDevice()]"
    config = from_aihwkit(f"""UnitCellRPUConfig(
        device=DynamicTransferCompound({cells}, transfer_forward=PresetIOParameters()),
        forward=PresetIOParameters(), backward=StandardIOParameters(), update=PresetUpdateParameters(),
        pre_post=PrePostProcessingParameter(input_range=InputRangeParameter(enable=False, decay=0.1)),
        runtime=RuntimeParameter(data_type=RPUDataType.FLOAT, offload_input=True))""")
    assert config.missing == ()
    assert (config.forward.output_bound, config.forward.output_noise) == (20.0, 0.1)
    assert config.reads == replace(config.forward, noise_management=False, bound_management=False)
    assert config.backward == AnalogIO(
        input_resolution=1 / 254,
        output_resolution=1 / 254,
        output_bound=10.0,
        output_noise=0.04,
        bound_management=False,
    )
    assert config.update.train_length == 31
    assert config.compound is not None
    assert config.compound.buffer == Buffer(momentum=0.0)
    assert config.compound.chopper == SliceChopper(probability=0.1, tail=5.0)
    assert (config.compound.fast.rate, config.compound.transfer.rate) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("runtime=RuntimeParameter(data_type=RPUDataType.HALF)", "config.runtime.data_type = 'HALF'"),
        ("pre_post=P(input_range=I(enable=True))", "config.pre_post.input_range.enable = True"),
        ("tile_class=<class 'a.CustomTile'>", "config.tile_class = 'a.CustomTile'"),
        ("forward=IOParameters(v_offset_std=0.1)", "config.forward.v_offset_std = 0.1"),
    ],
)
def test_settings_that_change_the_result_are_named(setting, named):
    assert from_aihwkit(f"SingleRPUConfig(device=EcRamPresetDevice(), {setting})").missing == (named,)
    drift = "LinearStepDevice(drift=DriftParameter(nu=0.1, t_0=2.0))"
    assert from_aihwkit(f"SingleRPUConfig(device={drift})").missing == (
        "config.device.drift.nu = 0.1",
        "config.device.drift.t_0 = 2.0",
    )


def test_a_chopper_that_never_flips_is_a_buffer_by_the_law_of_the_chopped_compound():
    """TTv2 of the simulator's presets is written so; on a tile it is a buffer without a chopper."""
    cells = "unit_cell_devices=[EcRamPresetDevice(), EcRamPresetDevice()]"
    text = f"ChoppedTransferCompound({cells}, in_chop_prob=0.0, auto_granularity=500, units_in_mbatch=True)"
    config = from_aihwkit(f"UnitCellRPUConfig(device={text})")
    assert config.missing == ()
    assert config.compound is not None
    assert config.compound.chopper == SliceChopper(probability=0.0, random=True)
    tile = config.tile()
    assert tile.chopper is None
    back = AnalogConfig.from_tile(tile, config.device).compound
    assert back == replace(config.compound, chopper=SliceChopper(probability=0.0))


def refusal(text):
    """Message with which a text is refused; None where it is read."""
    try:
        from_aihwkit(text)
    except ParameterError as error:
        return str(error)
    return None


def test_damaged_text_is_refused_or_read():
    """Cut anywhere, or with a character lost or replaced: nothing but a refusal in one line comes of it."""
    text = PRINTED.format(kind="DynamicTransferCompound", own=OWN["agad"], cell="PCMPresetDevice(w_max=2)")
    rng = np.random.default_rng(1)
    damaged = [text[:k] for k in range(0, len(text), 3)]
    for k in rng.integers(0, len(text), 300):
        sign = rng.choice(list("([{<,=.'-0x "))
        damaged += [text[:k] + text[k + 1 :], text[:k] + sign + text[k + 1 :]]
    refusals = [one for one in map(refusal, damaged) if one is not None]
    assert len(refusals) > len(damaged) / 2
    assert not any("\n" in one for one in refusals)


def test_an_object_that_holds_itself_is_refused():
    config = SingleRPUConfig()
    config.device.lifetime = config
    with pytest.raises(ParameterError, match="nested too deep"):
        from_aihwkit(config)


def test_a_response_of_ones_own_has_no_text():
    own = CustomResponse(q_plus=lambda w: 1.0 - w, q_minus=lambda w: 1.0 + w)
    with pytest.raises(ParameterError, match="family of aihwkit"):
        to_aihwkit(AnalogConfig(device=Device(response=own)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batched": False}, "units_in_mbatch"),
        ({"slow": preset("ecram")}, "two kinds"),
        ({"compound": replace(COMPOUNDS["agad"], gamma=0.1)}, "gamma"),
        (
            {"compound": replace(COMPOUNDS["agad"], chopper=SliceChopper(tail=5.0, random=True))},
            "in_chop_random",
        ),
    ],
)
def test_compounds_that_no_tile_can_be(changes, message):
    with pytest.raises(ParameterError, match=message):
        AnalogConfig(**({"compound": COMPOUNDS["tt-v2"]} | changes)).tile()
