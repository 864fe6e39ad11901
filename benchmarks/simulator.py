"""Training on the reference simulator, aihwkit, where it is installed: yardstick of `benchmarks.training`."""

import time
from dataclasses import replace
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch.nn.functional import cross_entropy

from sptrack.devices import Device
from sptrack.interop import AnalogConfig, to_aihwkit
from sptrack.nn.data import Images
from sptrack.nn.nets import build_net
from sptrack.tiles import TileSettings


class Spent(NamedTuple):
    """CPU seconds of mini-batches, and of the updates in them."""

    total: float
    updates: float


def installed() -> bool:
    """Whether the simulator can be imported."""
    return find_spec("aihwkit") is not None


def nearest(settings: TileSettings) -> TileSettings:
    """Settings as the simulator can hold them: a stored residual is in the array's sum, without a reference.

    That is its chopped compound with gamma, which does the passes and the transfer of the residual form.
    """
    return replace(settings, residual="array", reference="zero") if settings.gamma > 0 else settings


def spent(
    net: str,
    settings: TileSettings,
    device: Device,
    lr: float,
    images: Images,
    parts: list[torch.Tensor],
    warm: int,
) -> Spent:
    """What ``parts``, indices of the images of each mini-batch, take after the first ``warm`` of them."""
    from aihwkit.nn.conversion import convert_to_analog
    from aihwkit.optim import AnalogSGD
    from aihwkit.simulator import configs

    text = to_aihwkit(AnalogConfig.from_tile(nearest(settings), device)).text
    digital = build_net(net, tuple(images.train.shape[1:]), images.classes, 0)
    model = convert_to_analog(digital, eval(text, vars(configs)))
    optimizer = AnalogSGD(model.parameters(), lr=lr)
    optimizer.regroup_param_groups(model)
    updates = 0.0

    def watched(inner):  # type: ignore[no-untyped-def]
        def update(*given):  # type: ignore[no-untyped-def]
            nonlocal updates
            begin = time.process_time()
            inner(*given)
            updates += time.process_time() - begin

        return update

    for tile in model.analog_tiles():
        tile.update = watched(tile.update)
    for k, part in enumerate(parts):
        if k == warm:
            updates, begin = 0.0, time.process_time()
        optimizer.zero_grad()
        cross_entropy(model(images.train[part]), images.train_labels[part]).backward()
        optimizer.step()
    return Spent(time.process_time() - begin, updates)
