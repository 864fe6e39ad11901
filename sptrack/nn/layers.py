"""Analog layers: drop-in for `torch.nn.Linear` and `torch.nn.Conv2d`, on tiles of at most 512 x 512.

A digital weight w of output j becomes the array weight w / a_j, with a_j = max |w_j| / 0.3 over the inputs of
the tile, so that the array is filled to +-0.3. The output of a tile is multiplied by a_j and by one learned
scalar; the gradient that the array gets is divided by a_j, so that an array step is a step of the digital
weight. Outputs of the tiles of a layer add up digitally; the bias is digital.
"""

import io
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sptrack.crossbar import Ledger
from sptrack.devices import Device
from sptrack.errors import ParameterError
from sptrack.kernels._jit import Direct
from sptrack.kernels.patches import Steps, gather, scatter
from sptrack.kernels.scaling import add_outputs, split_errors
from sptrack.tiles import Tile, TileSettings
from sptrack.tiles.tile import split

Array = NDArray[Any]

LARGEST = 512
"""Most rows and columns of a tile."""
FILLED = 0.3
"""Largest array weight that a layer starts with."""


class _Product(torch.autograd.Function):
    """Product with the matrix of a layer; the backward pass leaves each tile with its inputs and errors."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scales: Tensor, bias: Tensor | None, layer: "AnalogLayer") -> Tensor:
        given = x.numpy()
        out = np.zeros((len(given), layer.matrix_shape[0]), np.float32)
        passed = []
        for part, scale in zip(layer._parts, scales.numpy(), strict=True):
            y = part.tile.forward(given[:, part.columns])
            part.add_outputs(y, part.scale, scale, out, part.rows.start)
            passed.append(y)
        if bias is not None:
            out += bias.numpy()
        ctx.layer, ctx.given, ctx.passed, ctx.scales = layer, given, passed, scales.numpy().copy()
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        d, layer = np.ascontiguousarray(gradients[0].numpy()), ctx.layer
        needs_x, needs_scales, needs_bias = ctx.needs_input_grad[:3]
        needs_x = needs_x and layer.propagates
        back = np.zeros(ctx.given.shape, np.float32) if needs_x else None
        slopes = np.empty(len(layer._parts), np.float32)
        for k, part in enumerate(layer._parts):
            slopes[k] = np.vdot(d[:, part.rows], ctx.passed[k])
            sent = np.empty_like(ctx.passed[k])
            own = np.empty_like(sent) if back is not None else sent[:0]
            part.split_errors(d, part.scale, ctx.scales[k], part.rows.start, sent, own)
            part.pending.append((ctx.given[:, part.columns], sent))
            if back is not None:
                back[:, part.columns] += part.tile.backward(own)
        return (
            None if back is None else torch.from_numpy(back),
            torch.from_numpy(slopes) if needs_scales else None,
            torch.from_numpy(d.sum(axis=0)) if needs_bias else None,
            None,
        )


def _require_plain(x: Tensor) -> None:
    """Refuse what does not share its memory with the kernels (ParameterError)."""
    if x.device.type != "cpu" or x.dtype != torch.float32:
        raise ParameterError(
            f"inputs of an analog layer must be float32 on the CPU, got {x.dtype}, {x.device}"
        )


class _Part:
    """A tile with its place in the layer, its scales [R] and the samples that wait for the optimizer."""

    def __init__(self, tile: Tile, rows: slice, columns: slice, scale: Array) -> None:
        self.tile, self.rows, self.columns, self.scale = tile, rows, columns, scale
        self.pending: list[tuple[Array, Array]] = []
        self.add_outputs, self.split_errors = Direct(add_outputs), Direct(split_errors)


class AnalogLayer(nn.Module):
    """Common part of the analog layers: a matrix [out, in] on tiles.

    Parameters
    ----------
    weight : Tensor [out, in]
        Digital weights to start from.
    bias : Tensor [out] or None
        Digital bias.
    settings : TileSettings
        Algorithm of every tile.
    device : Device
        Device of every array.
    seed, device_seed : int
        Root seeds of what is drawn while running, and of the parameters of the cells.
    name : str
        Name of the layer in the ledger.
    ledger : Ledger or None
        Ledger to share with other layers.

    Attributes
    ----------
    output_scale : Parameter [tiles]
        Learned scalar of each tile.
    propagates : bool
        Whether the backward pass through the arrays is made: not needed for the first layer of a net.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        *,
        settings: TileSettings,
        device: Device,
        seed: int = 0,
        device_seed: int = 0,
        name: str = "layer",
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__()
        self.ledger = Ledger() if ledger is None else ledger
        w = weight.detach().numpy().astype(np.float32)
        if not np.isfinite(w).all():
            raise ParameterError(f"weights of {name} must be finite, got NaN or infinity")
        self.matrix_shape = w.shape
        self.propagates = True
        self._parts: list[_Part] = []
        for rows in split(w.shape[0], LARGEST):
            for columns in split(w.shape[1], LARGEST):
                own = w[rows, columns]
                largest = np.abs(own).max(axis=1)
                scale = np.where(largest > 0, largest, np.float32(1)) / np.float32(FILLED)
                index = len(self._parts)
                tile = Tile(
                    settings,
                    device,
                    own.shape,
                    weights=own / scale[:, None],
                    seed=seed,
                    device_seed=_seed_of(device_seed, name, index),
                    name=f"{name}/{index}",
                    ledger=self.ledger,
                )
                self._parts.append(_Part(tile, rows, columns, scale.astype(np.float32)))
        self.output_scale = nn.Parameter(torch.ones(len(self._parts)))
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """Tiles of the layer, row by row."""
        return tuple(part.tile for part in self._parts)

    def product(self, x: Tensor) -> Tensor:
        """Outputs [n, out] of inputs [n, in], with scales and bias."""
        _require_plain(x)
        # a tensor that needs a gradient makes the backward pass come by, also for the first layer
        given = x if x.requires_grad or not torch.is_grad_enabled() else x.detach().requires_grad_()
        out: Tensor = _Product.apply(given, self.output_scale, self.bias, self)  # type: ignore[no-untyped-call]
        return out

    def update(self, lr: float, gradient_scale: float = 1.0) -> None:
        """One step of each tile's algorithm for the samples of the latest backward pass.

        Parameters
        ----------
        lr : float
            Learning rate.
        gradient_scale : float
            Factor on the errors.
        """
        for part in self._parts:
            if part.pending:
                x, d = part.pending[0]
                if len(part.pending) > 1:
                    x = np.concatenate([one for one, _ in part.pending])
                    d = np.concatenate([one for _, one in part.pending])
                part.pending.clear()
                part.tile.update(x, d if gradient_scale == 1 else d * np.float32(gradient_scale), lr)

    def forget(self) -> None:
        """Drop the samples that wait for an update."""
        for part in self._parts:
            part.pending.clear()

    def analog_weights(self) -> Array:
        """Digital equivalent [out, in] of what W's arrays show, scales included."""
        out = np.empty(self.matrix_shape, np.float32)
        for k, part in enumerate(self._parts):
            scale = part.scale * float(self.output_scale[k].detach())
            out[part.rows, part.columns] = part.tile.w_array.weights * scale[:, None]
        return out

    def get_extra_state(self) -> Tensor:
        """State of all tiles and, in a layer that has its own, of the ledger, as bytes."""
        state: dict[str, Array] = {}
        for k, part in enumerate(self._parts):
            part.tile.count()
            state[f"{k}|scale"] = part.scale
            state |= {f"{k}|{name}": value for name, value in part.tile.state().items()}
            own = f"{part.tile.name}/"
            counts = self.ledger.state().items()
            state |= {f"ledger|{key}": np.asarray(v) for key, v in counts if own in key}
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **state)
        return torch.from_numpy(np.frombuffer(buffer.getvalue(), np.uint8).copy())

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from the bytes of `get_extra_state`."""
        with np.load(io.BytesIO(state.numpy().tobytes()), allow_pickle=False) as archive:
            stored = dict(archive)
        for k, part in enumerate(self._parts):
            own = {key.partition("|")[2]: value for key, value in stored.items() if key.startswith(f"{k}|")}
            part.scale = np.array(own.pop("scale"))
            part.tile.restore(own)
        counts = {key.removeprefix("ledger|"): v for key, v in stored.items() if key.startswith("ledger|")}
        mine = tuple(f"|{part.tile.name}/" for part in self._parts)
        others = {
            key: np.asarray(value)
            for key, value in self.ledger.state().items()
            if not any(one in key for one in mine)
        }
        self.ledger.restore(others | counts)


def _seed_of(seed: int, name: str, index: int) -> int:
    """Seed of the cells of a tile, a function of root seed and place."""
    from sptrack.kernels.random import stream_key

    return int(stream_key(seed, f"{name}/{index}").low)


class AnalogLinear(AnalogLayer):
    """Analog `torch.nn.Linear`.

    Parameters
    ----------
    in_features, out_features : int
        Sizes.
    bias : bool
        Whether there is a digital bias.
    **options
        As of `AnalogLayer`.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, **options: Any) -> None:
        digital = nn.Linear(in_features, out_features, bias=bias)
        super().__init__(digital.weight, digital.bias if bias else None, **options)

    @classmethod
    def from_digital(cls, layer: nn.Linear, **options: Any) -> "AnalogLinear":
        """The analog layer that starts with the weights of ``layer``."""
        made = cls.__new__(cls)
        AnalogLayer.__init__(made, layer.weight, layer.bias, **options)
        return made

    def forward(self, x: Tensor) -> Tensor:
        """Outputs [..., out] of inputs [..., in]."""
        if x.shape[-1] != self.matrix_shape[1]:
            raise ParameterError(f"inputs must have {self.matrix_shape[1]} features, got {x.shape[-1]}")
        if x.dim() == 2:
            return self.product(x)
        return self.product(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)


class AnalogConv2d(AnalogLayer):
    """Analog `torch.nn.Conv2d`: every patch of the input is a vector through the array.

    Parameters
    ----------
    in_channels, out_channels, kernel_size : int
        Channels, and side or sides of the kernel.
    stride, padding, dilation : int or (int, int)
        As in torch.
    bias : bool
        Whether there is a digital bias.
    **options
        As of `AnalogLayer`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        bias: bool = True,
        **options: Any,
    ) -> None:
        digital = nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            dilation=dilation,
            bias=bias,
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
        return made

    def _take(self, layer: nn.Conv2d, options: dict[str, Any]) -> None:
        if layer.groups != 1 or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            raise ParameterError("an analog convolution has groups 1 and a numeric padding of zeros")
        AnalogLayer.__init__(self, layer.weight.reshape(layer.out_channels, -1), layer.bias, **options)
        sides = layer.kernel_size, layer.dilation, layer.padding, layer.stride
        self._geometry = _Geometry(*(_two(one) for one in sides))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs [n, out, rows, columns] of inputs [n, in, rows, columns]."""
        _require_plain(x)
        sizes = self._geometry.positions(x.shape[2:])
        if min(sizes) < 1:
            raise ParameterError(
                f"inputs must be at least as large as the kernel {list(self._geometry.kernel)} "
                f"after padding, got {list(x.shape[2:])}"
            )
        patches: Tensor = _Patches.apply(x, self._geometry, sizes)  # type: ignore[no-untyped-call]
        y = self.product(patches)
        return y.reshape(len(x), *sizes, -1).permute(0, 3, 1, 2)


class _Geometry(NamedTuple):
    """Sides of a convolution, (rows, columns) each."""

    kernel: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    stride: tuple[int, int]

    @property
    def steps(self) -> Steps:
        """What the kernels of patches need."""
        return Steps(self.kernel, self.dilation, self.stride)

    def positions(self, sides: Sequence[int]) -> tuple[int, int]:
        """Places of the kernel in images of given sides."""
        made = (
            math.floor((side + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1
            for side, kernel, dilation, padding, stride in zip(sides, *self, strict=True)
        )
        rows, columns = made
        return rows, columns


class _Patches(torch.autograd.Function):
    """Patches [n rows columns, in kernel] of images [n, in, ...]."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, geometry: _Geometry, places: tuple[int, int]) -> Tensor:
        (down, across), padded = geometry.padding, x.detach()
        if down or across:
            padded = nn.functional.pad(padded, (across, across, down, down))
        images = np.ascontiguousarray(padded.numpy())
        kernel = geometry.kernel
        patches = np.empty((len(x) * math.prod(places), x.shape[1] * math.prod(kernel)), np.float32)
        ctx.geometry, ctx.places, ctx.shape = geometry, places, images.shape
        gather(images, geometry.steps, places, patches)
        return torch.from_numpy(patches)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        images = np.zeros(ctx.shape, np.float32)
        scatter(np.ascontiguousarray(gradients[0].numpy()), ctx.geometry.steps, ctx.places, images)
        down, across = ctx.geometry.padding
        rows, columns = ctx.shape[2:]
        inner = images[:, :, down : rows - down, across : columns - across]
        return torch.from_numpy(inner), None, None


def _two(value: Any) -> tuple[int, int]:
    return (int(value), int(value)) if isinstance(value, int) else (int(value[0]), int(value[1]))
