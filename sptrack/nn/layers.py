"""Analog layers: drop-in for layers of `torch.nn`, on tiles of at most 512 x 512.

A digital weight w of output j becomes the array weight w / a_j, with a_j = max |w_j| / 0.3 over the inputs of
the tile, so that the array is filled to +-0.3. The output of a tile is multiplied by a_j and by one learned
scalar; the gradient that the array gets is divided by a_j, so that an array step is a step of the digital
weight. Outputs of the tiles of a layer add up digitally; the bias is digital.
"""

import hashlib
import io
import re
import sys
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sptrack.crossbar import Ledger
from sptrack.devices import Device
from sptrack.errors import ParameterError
from sptrack.kernels._jit import Direct
from sptrack.kernels.scaling import add_outputs, split_errors
from sptrack.tiles import Tile, TileSettings
from sptrack.tiles.tile import split
from sptrack.values import as_seed

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
        for part, scale in zip(layer._parts, scales.numpy(), strict=True) if len(given) else ():
            y = part.tile.forward(given[:, part.columns])
            part.add_outputs(y, part.scale, scale, out, part.rows.start)
            passed.append(y)
        if bias is not None:
            out += bias.numpy()
        ctx.layer, ctx.given, ctx.passed, ctx.scales = layer, given, passed, scales.numpy().copy()
        return torch.from_numpy(out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        d, layer = np.ascontiguousarray(gradients[0].numpy()), ctx.layer
        needs_x, needs_scales, needs_bias = ctx.needs_input_grad[:3]
        back = np.zeros(ctx.given.shape, np.float32) if needs_x else None
        slopes = np.zeros(len(layer._parts), np.float32)
        for k, part in enumerate(layer._parts if len(d) else ()):
            slopes[k] = np.vdot(d[:, part.rows], ctx.passed[k])
            sent = np.empty_like(ctx.passed[k])
            own = np.empty_like(sent) if back is not None else sent[:0]
            part.split_errors(d, part.scale, ctx.scales[k], part.rows.start, sent, own)
            if needs_scales:
                part.pending.append((ctx.given[:, part.columns], sent))
            if back is not None:
                back[:, part.columns] += part.tile.backward(own)
        return (
            None if back is None else torch.from_numpy(back),
            torch.from_numpy(slopes) if needs_scales else None,
            torch.from_numpy(d.sum(axis=0)) if needs_bias else None,
            None,
        )


def require_plain(x: Tensor) -> None:
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

    The arrays learn with the scalars of their tiles: ``requires_grad_(False)`` freezes both, and what
    ``zero_grad`` drops does not reach the arrays either.

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
        Name of the layer in the ledger, and of its random numbers: layers of one name and shape, with the
        same seeds, have the same cells and the same noise.
    ledger : Ledger or None
        Ledger to share with other layers.

    Attributes
    ----------
    output_scale : Parameter [tiles]
        Learned scalar of each tile.
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
        self.name, self.seed = name, as_seed(seed)
        of_cells = as_seed(device_seed, "device_seed")
        self._made = {"name": name, "seed": str(self.seed), "device_seed": str(of_cells)}
        self._made |= {"settings": digest_of(settings), "device": digest_of(device)}
        w = weight.detach().numpy().astype(np.float32)
        if not np.isfinite(w).all():
            raise ParameterError(f"weights of {name} must be finite, got NaN or infinity")
        self.matrix_shape = w.shape
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
        require_plain(x)
        if self.output_scale.grad is None:
            self.forget()  # samples whose gradients were dropped since
        out: Tensor = _Product.apply(x, self.output_scale, self.bias, self)  # type: ignore[no-untyped-call]
        return out

    def update(self, lr: float, gradient_scale: float = 1.0) -> None:
        """One step of each tile's algorithm for the samples of the backward passes since the last one.

        Without gradients of `output_scale`, which ``zero_grad`` drops, there are none.

        Parameters
        ----------
        lr : float
            Learning rate.
        gradient_scale : float
            Factor on the errors.
        """
        if self.output_scale.grad is None:
            self.forget()
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

    def _take_flags(self, layer: nn.Linear | nn.Conv2d) -> None:
        """Freeze what is frozen in ``layer``, and be in its mode."""
        self.output_scale.requires_grad_(layer.weight.requires_grad)
        if self.bias is not None and layer.bias is not None:
            self.bias.requires_grad_(layer.bias.requires_grad)
        self.train(layer.training)

    def analog_weights(self) -> Array:
        """Digital equivalent [out, in] of what W's arrays show, scales included."""
        out = np.empty(self.matrix_shape, np.float32)
        for k, part in enumerate(self._parts):
            scale = part.scale * float(self.output_scale[k].detach())
            out[part.rows, part.columns] = part.tile.w_array.weights * scale[:, None]
        return out

    def get_extra_state(self) -> Tensor:
        """State of all tiles and, in a layer that has its own, of the ledger, as bytes."""
        state: dict[str, Array] = {f"made|{key}": np.array(value) for key, value in self._made.items()}
        counts = self.ledger.state()
        for k, part in enumerate(self._parts):
            state[f"{k}|scale"] = part.scale
            state |= {f"{k}|{name}": value for name, value in part.tile.state().items()}
            own = f"|{part.tile.name}/"
            state |= {f"ledger|{key}": np.asarray(v) for key, v in counts.items() if own in key}
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **state)
        return torch.from_numpy(np.frombuffer(buffer.getvalue(), np.uint8).copy())

    def set_extra_state(self, state: Tensor) -> None:
        """Go on from the bytes of `get_extra_state`.

        Raises
        ------
        ParameterError
            Bytes of something else, or of a layer of another size, algorithm, device or seed: nothing is
            changed then.
        """
        try:
            with np.load(io.BytesIO(state.numpy().tobytes()), allow_pickle=False) as archive:
                stored = dict(archive)
        except (ValueError, OSError, EOFError, BadZipFile) as error:
            raise ParameterError(f"state of {self.name}: not that of an analog layer") from error
        for key, value in self._made.items():
            if str(stored.get(f"made|{key}")) != value:
                raise ParameterError(
                    f"state of {self.name}: {key} must be that of the layer, got another: build the net with "
                    "the settings, device and seeds that the state was made with"
                )
        parts = []
        for k, part in enumerate(self._parts):
            own = {key.partition("|")[2]: value for key, value in stored.items() if key.startswith(f"{k}|")}
            part.tile.check(own)
            scale = own.pop("scale", None)
            if np.shape(scale) != part.scale.shape:
                raise ParameterError(
                    f"state scale of {part.tile.name} must have shape {part.scale.shape}, "
                    f"got {np.shape(scale)}"
                )
            parts.append((part, own, np.array(scale, np.float32)))
        for part, own, scale in parts:
            part.scale = scale
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


def digest_of(described: Any) -> str:
    """Digest of settings or a device, the same in every process; of functions, their names count."""
    with np.printoptions(threshold=sys.maxsize):
        told = repr(described)
    return hashlib.sha256(re.sub(r" at 0x[0-9a-fA-F]+", "", told).encode()).hexdigest()


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
        self.out_features, self.in_features = self.matrix_shape

    @classmethod
    def from_digital(cls, layer: nn.Linear, **options: Any) -> "AnalogLinear":
        """The analog layer that starts with the weights of ``layer``."""
        made = cls.__new__(cls)
        AnalogLayer.__init__(made, layer.weight, layer.bias, **options)
        made.out_features, made.in_features = made.matrix_shape
        made._take_flags(layer)
        return made

    def extra_repr(self) -> str:
        """Sizes, as torch prints those of its layer."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}, tiles={len(self._parts)}"

    def forward(self, x: Tensor) -> Tensor:
        """Outputs [..., out] of inputs [..., in]."""
        if x.dim() == 0 or x.shape[-1] != self.matrix_shape[1]:
            raise ParameterError(f"inputs must have {self.matrix_shape[1]} features, got {list(x.shape)}")
        if x.dim() == 2:
            return self.product(x)
        return self.product(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], self.out_features)
