"""Analog convolution: every patch of an image is a vector through the tiles of a layer."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sptrack.errors import ParameterError
from sptrack.kernels.patches import Steps, gather, scatter
from sptrack.nn.layers import AnalogLayer, require_plain


class AnalogConv2d(AnalogLayer):
    """Analog `torch.nn.Conv2d`: every patch of the input is a vector through the array.

    Parameters
    ----------
    in_channels, out_channels, kernel_size : int
        Channels, and side or sides of the kernel.
    stride, dilation : int or (int, int)
        As in torch.
    padding : int, (int, int), "valid" or "same"
        As in torch.
    groups : int
        1: every output is a sum over all inputs.
    bias : bool
        Whether there is a digital bias.
    padding_mode : str
        "zeros".
    **options
        As of `AnalogLayer`.
    """

    def __init__(  # noqa: PLR0913 - the arguments of torch
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        **options: Any,
    ) -> None:
        digital = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
            bias=bias,
            padding_mode=padding_mode,  # type: ignore[arg-type]
        )
        self._take(digital, options)

    @classmethod
    def from_digital(cls, layer: nn.Conv2d, **options: Any) -> "AnalogConv2d":
        """The analog layer that starts with the weights of ``layer``.

        Raises
        ------
        ParameterError
            Groups, or a padding that is not of zeros.
        """
        made = cls.__new__(cls)
        made._take(layer, options)
        made._take_flags(layer)
        return made

    @staticmethod
    def require_possible(layer: nn.Conv2d, name: str) -> None:
        """Refuse a convolution that has no analog layer (ParameterError)."""
        for key, value, allowed in (
            ("groups", layer.groups, 1),
            ("padding_mode", layer.padding_mode, "zeros"),
        ):
            if value != allowed:
                raise ParameterError(f"{key} of the analog convolution {name} must be {allowed}, got {value}")

    def _take(self, layer: nn.Conv2d, options: dict[str, Any]) -> None:
        self.require_possible(layer, options.get("name", "layer"))
        AnalogLayer.__init__(self, layer.weight.reshape(layer.out_channels, -1), layer.bias, **options)
        self._told = str(layer.extra_repr())  # type: ignore[no-untyped-call]
        self.in_channels, self.out_channels = layer.in_channels, layer.out_channels
        kernel, dilation, stride = (_two(one) for one in (layer.kernel_size, layer.dilation, layer.stride))
        if layer.padding == "same":
            around = [dilation[k] * (kernel[k] - 1) for k in range(2)]
            rows, columns = ((one // 2, one - one // 2) for one in around)
        else:
            down, across = (0, 0) if layer.padding == "valid" else _two(layer.padding)
            rows, columns = (down, down), (across, across)
        self._geometry = _Geometry(kernel, dilation, rows, columns, stride)

    def extra_repr(self) -> str:
        """Sizes, as torch prints those of its layer."""
        return f"{self._told}, tiles={len(self._parts)}"

    def forward(self, x: Tensor) -> Tensor:
        """Outputs [n, out, rows, columns] of inputs [n, in, rows, columns], or both without n."""
        if x.dim() == 3:
            alone: Tensor = self.forward(x[None])[0]
            return alone
        if x.dim() != 4 or x.shape[1] != self.in_channels:
            raise ParameterError(
                f"inputs of the convolution {self.name} must have the shape [n, {self.in_channels}, rows, "
                f"columns], got {list(x.shape)}"
            )
        require_plain(x)
        sizes = self._geometry.positions(x.shape[2:])
        if min(sizes) < 1:
            raise ParameterError(
                f"inputs must be at least as large as the kernel {list(self._geometry.kernel)} "
                f"after padding, got {list(x.shape[2:])}"
            )
        patches: Tensor = _Patches.apply(x, self._geometry, sizes)  # type: ignore[no-untyped-call]
        y = self.product(patches)
        return y.reshape(len(x), *sizes, self.out_channels).permute(0, 3, 1, 2)


class _Geometry(NamedTuple):
    """Sides of a convolution, (rows, columns) each."""

    kernel: tuple[int, int]
    dilation: tuple[int, int]
    rows: tuple[int, int]
    """Zeros above and below."""
    columns: tuple[int, int]
    """Zeros left and right."""
    stride: tuple[int, int]

    @property
    def steps(self) -> Steps:
        """What the kernels of patches need."""
        return Steps(self.kernel, self.dilation, self.stride)

    def positions(self, sides: Sequence[int]) -> tuple[int, int]:
        """Places of the kernel in images of given sides."""
        made = (
            math.floor((side + sum(zeros) - dilation * (kernel - 1) - 1) / stride) + 1
            for side, kernel, dilation, zeros, stride in zip(
                sides, self.kernel, self.dilation, (self.rows, self.columns), self.stride, strict=True
            )
        )
        rows, columns = made
        return rows, columns


class _Patches(torch.autograd.Function):
    """Patches [n rows columns, in kernel] of images [n, in, ...]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, geometry: _Geometry, places: tuple[int, int]) -> Tensor:
        around, padded = (*geometry.columns, *geometry.rows), x.detach()
        if any(around):
            padded = nn.functional.pad(padded, around)
        images = np.ascontiguousarray(padded.numpy())
        kernel = geometry.kernel
        patches = np.empty((len(x) * math.prod(places), x.shape[1] * math.prod(kernel)), np.float32)
        ctx.geometry, ctx.places, ctx.shape = geometry, places, images.shape
        gather(images, geometry.steps, places, patches)
        return torch.from_numpy(patches)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        images = np.zeros(ctx.shape, np.float32)
        scatter(np.ascontiguousarray(gradients[0].numpy()), ctx.geometry.steps, ctx.places, images)
        (above, below), (left, right) = ctx.geometry.rows, ctx.geometry.columns
        rows, columns = ctx.shape[2:]
        inner = images[:, :, above : rows - below, left : columns - right]
        return torch.from_numpy(inner), None, None


def _two(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))
