"""Stochastic gradient descent of a net with analog layers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from sptrack.nn.layers import AnalogLayer


class AnalogSGD(torch.optim.SGD):
    """`torch.optim.SGD` of the digital parameters; analog layers get one step of their algorithm.

    Parameters
    ----------
    model : Module
        Net with analog layers.
    lr : float
        Learning rate of digital parameters, and of what an algorithm scales by it.
    gradient_scale : float
        Factor on the errors that the arrays get: the number of samples of a mini-batch, where the loss is
        their mean and each is to update the arrays by its own gradient. May be set before every step.
    **options
        Those of `torch.optim.SGD`, for the digital parameters.
    """

    def __init__(self, model: nn.Module, lr: float, *, gradient_scale: float = 1.0, **options: Any) -> None:
        super().__init__(model.parameters(), lr=lr, **options)
        self.gradient_scale = gradient_scale
        self._layers = [one for one in model.modules() if isinstance(one, AnalogLayer)]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Update digital parameters, then the arrays of every analog layer."""
        loss = super().step(closure)
        for layer in self._layers:
            layer.update(float(self.param_groups[0]["lr"]), self.gradient_scale)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop gradients, and samples of a backward pass that was not followed by a step."""
        if set_to_none:  # without the records of the profiler, which take longer
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.grad = None
        else:
            super().zero_grad(set_to_none)
        for layer in getattr(self, "_layers", []):
            layer.forget()
