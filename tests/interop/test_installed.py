"""Configurations as objects of an installed aihwkit: built from our text, read back, and printed."""

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest

from sptrack.devices import Reference
from sptrack.devices.presets import preset, preset_names
from sptrack.interop import AnalogConfig, from_aihwkit, to_aihwkit
from sptrack.tiles import ALGORITHMS, AnalogIO, Tile, algorithm

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'sptrack[nn]'")
configs = pytest.importorskip("aihwkit.simulator.configs", reason="needs aihwkit, which is not installed")

SAME_NAME = {
    "ReRamESPresetDevice": "reram-es",
    "ReRamSBPresetDevice": "reram-sb",
    "ReRamArrayOMPresetDevice": "reram-array-om",
    "ReRamArrayHfO2PresetDevice": "reram-array-hfo2",
    "CapacitorPresetDevice": "capacitor",
    "EcRamPresetDevice": "ecram",
    "EcRamMOPresetDevice": "ecram-mo",
    "IdealizedPresetDevice": "idealized",
    "GokmenVlasovPresetDevice": "gokmen-vlasov",
    "PCMPresetDevice": "pcm",
}


def rounded(value: Any) -> Any:
    """Fields of settings as plain values, numbers to 14 digits."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: rounded(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, tuple):
        return [rounded(one) for one in value]
    return float(f"{value:.14g}") if isinstance(value, float) else value


def built(config: AnalogConfig) -> Any:
    """Object that the text of a configuration evaluates to."""
    return eval(to_aihwkit(config).text, vars(configs))


def read_back(config: AnalogConfig) -> list[AnalogConfig]:
    """What is read of the object and of what it prints."""
    made = built(config)
    return [from_aihwkit(made), from_aihwkit(str(made)), from_aihwkit(repr(made))]


@pytest.mark.parametrize("name", [name for name in preset_names() if name != "soft-bounds"])
def test_presets(name):
    config = AnalogConfig(device=preset(name))
    for back in read_back(config):
        assert back.missing == ()
        assert replace(back.device, source=config.device.source) == config.device


@pytest.mark.parametrize("name", ALGORITHMS)
def test_tiles(name):
    config = AnalogConfig.from_tile(algorithm(name, beyond_bounds=True), preset("reram-array-hfo2"))
    backward = replace(config.backward, bound_management=False)
    for back in read_back(config):
        assert back.missing == ()
        assert back.compound == config.compound
        assert back.update == config.update
        assert (back.forward, back.backward, back.reads) == (config.forward, backward, config.reads)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.05), (0.4, 1.0)])
def test_weights_of_a_net_start_as_in_the_simulator(mean, std):
    """512 x 128 cells: mean and std of what is read less what was asked, within 5 sigma of one another."""
    conversion = pytest.importorskip("aihwkit.nn.conversion")
    device = replace(preset("reram-array-hfo2"), reference=Reference(subtract=True, mean=mean, std=std))
    settings = algorithm("agad", beyond_bounds=True)
    linear = torch.nn.Linear(512, 128)
    model = conversion.convert_to_analog(
        torch.nn.Sequential(linear), built(AnalogConfig.from_tile(settings, device))
    )
    (theirs,) = model.analog_tiles()
    weights = linear.weight.detach().numpy()
    asked = 0.3 * weights / np.abs(weights).max(axis=1, keepdims=True)
    ours = Tile(settings, device, asked.shape, weights=asked, seed=1, device_seed=2)
    found = [one - asked for one in (theirs.tile.get_weights().numpy(), ours.w_array.weights)]
    spreads = [one.std() for one in found]
    fourth = (found[0] ** 4).mean() - spreads[0] ** 4
    error = 5 * np.sqrt(2 * fourth / asked.size) / (2 * spreads[0])
    assert abs(spreads[0] - spreads[1]) < error
    assert abs(found[0].mean() - found[1].mean()) < 5 * np.sqrt(2 / asked.size) * spreads[0]


def test_converters_that_are_off():
    io = AnalogIO(noise_management=False, bound_management=False, input_bound=2.0, output_noise=0.0)
    for back in read_back(AnalogConfig(device=preset("ecram"), forward=io)):
        assert back.forward == io


@pytest.mark.parametrize("name", SAME_NAME)
def test_presets_of_the_simulator(name):
    presets = pytest.importorskip("aihwkit.simulator.presets.devices")
    device = replace(preset(SAME_NAME[name]), one_sided=False)
    found = from_aihwkit(configs.SingleRPUConfig(device=getattr(presets, name)())).device
    assert rounded(replace(found, source=device.source)) == rounded(device)


LAWS = [
    "ConstantStepDevice",
    "LinearStepDevice",
    "SoftBoundsDevice",
    "SoftBoundsReferenceDevice",
    "ExpStepDevice",
    "PowStepDevice",
    "PowStepReferenceDevice",
    "PiecewiseStepDevice",
]


def read_alike(made: Any, text: str) -> None:
    """Hold what is read of an object against what is read of a text that leaves everything to defaults."""
    found, told = from_aihwkit(made), from_aihwkit(text)
    assert rounded(replace(found, missing=())) == rounded(replace(told, missing=()))
    assert set(told.missing) == set(found.missing)


@pytest.mark.parametrize("name", LAWS)
def test_defaults_of_devices_are_those_of_the_simulator(name):
    parts = "forward=IOParameters(), backward=IOParameters(), update=UpdateParameters()"
    text = f"SingleRPUConfig(device={name}(), {parts}, mapping=MappingParameter())"
    read_alike(eval(text, vars(configs)), text)


@pytest.mark.parametrize(
    "name",
    [
        "TransferCompound",
        "BufferedTransferCompound",
        "ChoppedTransferCompound",
        "DynamicTransferCompound",
    ],
)
def test_defaults_of_compounds_are_those_of_the_simulator(name):
    cells = "[SoftBoundsDevice(), SoftBoundsDevice()]"
    text = f"UnitCellRPUConfig(device={name}(unit_cell_devices={cells}), mapping=MappingParameter())"
    read_alike(eval(text, vars(configs)), text)


def of_one_array(name: str) -> bool:
    """Whether a preset has devices or transfers that are known here."""
    return name.endswith("Preset") and not any(
        one in name for one in ("2Preset", "4Preset", "Mixed", "PresetOM", "HWATraining")
    )


presets = pytest.importorskip("aihwkit.simulator.presets.configs")


@pytest.mark.parametrize("name", [name for name in dir(presets) if of_one_array(name)])
def test_objects_and_what_they_print_are_one(name):
    made = getattr(presets, name)()
    read, *others = (from_aihwkit(one) for one in (made, str(made), repr(made)))
    for other in others:
        assert set(other.missing) <= set(read.missing)
        assert rounded(replace(other, missing=())) == rounded(replace(read, missing=()))
