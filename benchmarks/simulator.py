"""Training on the reference simulator, aihwkit, where it is installed: yardstick of `benchmarks.training`."""

import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

import torch
from torch.nn.functional import cross_entropy

from sptrack.devices import Device
from sptrack.interop import AnalogConfig, to_aihwkit
from sptrack.nn.data import Images
from sptrack.nn.nets import build_net
from sptrack.tiles import TileSettings


def installed() -> bool:
    """Whether the simulator can be imported."""
    return find_spec("aihwkit") is not None


def nearest(settings: TileSettings) -> TileSettings:
    """Settings as the simulator can hold them: a stored residual is in the array's sum, without a reference.

    That is its chopped compound with gamma, which does the passes and the transfer of the residual form.
    """
    return replace(settings, residual="array", reference="zero") if settings.gamma > 0 else settings


class Simulated:
    """A net on the tiles of the simulator; CPU seconds of its mini-batches, and of the updates in them."""

    def __init__(self, net: str, settings: TileSettings, device: Device, lr: float, images: Images) -> None:
        from aihwkit.nn.conversion import convert_to_analog
        from aihwkit.optim import AnalogSGD
        from aihwkit.simulator import configs

        text = to_aihwkit(AnalogConfig.from_tile(nearest(settings), device)).text
        digital = build_net(net, tuple(images.train.shape[1:]), images.classes, 0)
        self.images, self.model = images, convert_to_analog(digital, eval(text, vars(configs)))
        self.optimizer = AnalogSGD(self.model.parameters(), lr=lr)
        self.optimizer.regroup_param_groups(self.model)
        self.seconds = self.updates = 0.0
        for tile in self.model.analog_tiles():
            tile.update = self._watched(tile.update)

    def _watched(self, inner):  # type: ignore[no-untyped-def]
        def update(*given):  # type: ignore[no-untyped-def]
            begin = time.process_time()
            inner(*given)
            self.updates += time.process_time() - begin

        return update

    def train(self, parts: Sequence[torch.Tensor]) -> None:
        """Train mini-batches of the images with the indices ``parts``."""
        begin = time.process_time()
        for part in parts:
            self.optimizer.zero_grad()
            cross_entropy(self.model(self.images.train[part]), self.images.train_labels[part]).backward()
            self.optimizer.step()
        self.seconds += time.process_time() - begin

    def forget(self) -> None:
        """Count from now on."""
        self.seconds = self.updates = 0.0
