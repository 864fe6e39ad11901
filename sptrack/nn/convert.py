"""Conversion of a digital net to an analog one."""

from dataclasses import dataclass, field

from torch import nn

from sptrack.crossbar import Ledger
from sptrack.devices import Device
from sptrack.nn.layers import AnalogConv2d, AnalogLayer, AnalogLinear
from sptrack.tiles import TileSettings, algorithm


@dataclass(frozen=True, slots=True, kw_only=True)
class NetConfig:
    """Algorithm, device and seeds of the layers of a net.

    Parameters
    ----------
    settings : TileSettings
        Algorithm of every tile.
    device : Device
        Device of every array.
    seed, device_seed : int
        Root seeds of what is drawn while running, and of the parameters of the cells.
    """

    settings: TileSettings = field(default_factory=lambda: algorithm("e-rider"))
    device: Device = field(default_factory=Device)
    seed: int = 0
    device_seed: int = 0


def convert_to_analog(model: nn.Module, config: NetConfig, *, ledger: Ledger | None = None) -> nn.Module:
    """Replace every `torch.nn.Linear` and `torch.nn.Conv2d` of ``model`` by its analog layer, in place.

    Parameters
    ----------
    model : Module
        Digital net, whose weights are the start.
    config : NetConfig
        Algorithm, device, seeds.
    ledger : Ledger or None
        Ledger that all layers share; None: a new one.

    Returns
    -------
    Module
        The same net; a single layer comes back as a new one.
    """
    shared = Ledger() if ledger is None else ledger

    def converted(layer: nn.Module, name: str) -> nn.Module:
        options = {
            "settings": config.settings,
            "device": config.device,
            "seed": config.seed,
            "device_seed": config.device_seed,
            "name": name,
            "ledger": shared,
        }
        if type(layer) is nn.Linear:
            return AnalogLinear.from_digital(layer, **options)
        if type(layer) is nn.Conv2d:
            return AnalogConv2d.from_digital(layer, **options)
        for key, child in layer.named_children():
            setattr(layer, key, converted(child, f"{name}.{key}" if name else key))
        return layer

    return converted(model, "")


def analog_layers(model: nn.Module) -> tuple[AnalogLayer, ...]:
    """Analog layers of a net, in order."""
    return tuple(one for one in model.modules() if isinstance(one, AnalogLayer))
