"""Stochastic gradient descent of a net with analog layers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from sptrack.errors import ParameterError
from sptrack.nn.layers import AnalogLayer
from sptrack.values import check_number


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
    digital : bool
        Whether the digital parameters learn; else the arrays alone do.
    **options
        Those of `torch.optim.SGD`, for the digital parameters.

    Raises
    ------
    ParameterError
        A gradient scale that is not above 0, ``maximize``, or two layers of one name and seed, whose cells
        and noise would be the same.
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float,
        *,
        gradient_scale: float = 1.0,
        digital: bool = True,
        **options: Any,
    ) -> None:
        if options.get("maximize"):
            raise ParameterError(
                "maximize must be False, got True: arrays descend; change the sign of the loss"
            )
        super().__init__(model.parameters(), lr=lr, **options)
        self.gradient_scale = gradient_scale
        self.digital = digital
        self._layers = [one for one in model.modules() if isinstance(one, AnalogLayer)]
        named = [(one.name, one.seed) for one in self._layers]
        for name, seed in named:
            if named.count((name, seed)) > 1:
                raise ParameterError(
                    f"names of analog layers must differ, got {name!r} more than once with seed {seed}: "
                    "their cells and noise would be the same; pass name= to each"
                )

    def __getstate__(self) -> dict[str, Any]:
        own = {"digital": self.digital, "_layers": self._layers}
        return super().__getstate__() | own

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        for group in self.param_groups:  # of the state of another optimizer
            group.setdefault("gradient_scale", 1.0)

    @property
    def gradient_scale(self) -> float:
        """Factor on the errors that the arrays get; part of ``state_dict``."""
        return float(self.param_groups[0]["gradient_scale"])

    @gradient_scale.setter
    def gradient_scale(self, value: float) -> None:
        check_number("gradient_scale", value, above=0)
        for group in self.param_groups:
            group["gradient_scale"] = value

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Update digital parameters, then the arrays of every analog layer."""
        if self.digital:
            loss = super().step(closure)
        else:
            loss = None if closure is None else torch.enable_grad()(closure)()
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
        for layer in self._layers:
            layer.forget()
