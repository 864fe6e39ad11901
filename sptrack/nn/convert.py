"""Conversion of a digital net to an analog one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from sptrack.crossbar import Ledger
from sptrack.devices import Device
from sptrack.errors import ParameterError
from sptrack.nn.convolution import AnalogConv2d
from sptrack.nn.layers import AnalogLayer, AnalogLinear
from sptrack.tiles import TileSettings, algorithm
from sptrack.values import check_choice


@dataclass(frozen=True, slots=True, kw_only=True)
class NetConfig:
    """Algorithm, device and seeds of the layers of a net.

    Parameters
    ----------
    settings : TileSettings
        Algorithm of every tile.
    layers : mapping of str to TileSettings
        Algorithm of single layers instead, by their names as in ``named_modules``: "0", "body.fc".
    device : Device
        Device of every array.
    seed, device_seed : int
        Root seeds of what is drawn while running, and of the parameters of the cells.
    """

    settings: TileSettings = field(default_factory=lambda: algorithm("e-rider"))
    layers: Mapping[str, TileSettings] = field(default_factory=dict)
    device: Device = field(default_factory=Device)
    seed: int = 0
    device_seed: int = 0


def convert_to_analog(model: nn.Module, config: NetConfig, *, ledger: Ledger | None = None) -> nn.Module:
    """Replace every `torch.nn.Linear` and `torch.nn.Conv2d` of ``model`` by its analog layer, in place.

    A layer that stands in several places stays one layer; what is frozen stays frozen. Classes derived from
    the two stay digital: they may work in another way.

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

    Raises
    ------
    ParameterError
        A layer that has no analog form (convolutions with groups), that has no size yet, or that shares its
        weight with another; a name in ``config.layers`` of no such layer. The net is as it was then.
    """
    shared = Ledger() if ledger is None else ledger
    _require_convertible(model, config)
    made: dict[int, nn.Module] = {}

    def converted(layer: nn.Module, name: str) -> nn.Module:
        if id(layer) not in made:
            made[id(layer)] = analog(layer, name)
        return made[id(layer)]

    def analog(layer: nn.Module, name: str) -> nn.Module:
        options = {
            "settings": config.layers.get(name, config.settings),
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
        for key, child in layer._modules.items():
            if child is not None:
                setattr(layer, key, converted(child, f"{name}.{key}" if name else key))
        return layer

    return converted(model, "")


def _require_convertible(model: nn.Module, config: NetConfig) -> None:
    """Refuse a net that cannot be converted whole (ParameterError)."""
    owners: dict[int, str] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, LazyModuleMixin):
            raise ParameterError(
                f"layer {name} must have its size before it is converted, got {type(layer).__name__}: "
                "pass it a batch first"
            )
        if type(layer) is nn.Conv2d:
            AnalogConv2d.require_possible(layer, name)
        if type(layer) in (nn.Linear, nn.Conv2d):
            other = owners.setdefault(id(layer.weight), name)
            if other != name:
                raise ParameterError(
                    f"layers {other} and {name} must not share a weight: use one layer twice"
                )
    for name in config.layers:
        check_choice("layer", name, owners.values())


def analog_layers(model: nn.Module) -> tuple[AnalogLayer, ...]:
    """Analog layers of a net, in order."""
    return tuple(one for one in model.modules() if isinstance(one, AnalogLayer))
