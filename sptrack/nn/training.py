"""Training of a net on tracked arrays: epochs that can be interrupted and resumed byte for byte."""

import hashlib
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from sptrack.crossbar import Ledger
from sptrack.devices import Device
from sptrack.devices.device import Reference
from sptrack.devices.presets import preset
from sptrack.errors import ParameterError, SptrackError
from sptrack.files import sealed, unsealed, write_atomic
from sptrack.nn.convert import NetConfig, analog_layers, convert_to_analog
from sptrack.nn.data import Images
from sptrack.nn.layers import digest_of
from sptrack.nn.nets import build_net
from sptrack.nn.optim import AnalogSGD
from sptrack.results import dataset, json_text, provenance
from sptrack.tiles import TileSettings, algorithm
from sptrack.values import as_seed

if TYPE_CHECKING:
    import xarray as xr

DEVICE = "reram-array-hfo2"
"""Device of the published runs."""
_AT_A_TIME = 500
"""Images of one pass when accuracy is measured."""
_SHOWN = 100
"""Batches of which the mean loss is shown while an epoch runs."""
_SCHEDULES = {"lenet5": (30, 0.1)}
_SCHEDULE = (15, 0.5)
_BATCHES = {"lenet5": 8}
_BATCH = 10
_LENET_RATES: dict[str, dict[str, float]] = {
    "tt-v2": {"lr": 0.005, "fast": 0.005, "transfer": 0.005},
    "agad": {"lr": 0.05, "fast": 0.01, "transfer": 0.2},
    "e-rider": {"lr": 0.05, "fast": 0.5, "transfer": 0.05},
}


class TrainingError(SptrackError, RuntimeError):
    """A training run that cannot go on."""


def published_device(mean: float, std: float, device: Device | None = None) -> Device:
    """Device whose true symmetric points are subtracted with an error N(mean, std), weight units.

    Raises
    ------
    ParameterError
        A mean or std that is not finite, or a negative std.
    """
    base = preset(DEVICE) if device is None else device
    return replace(base, reference=Reference(subtract=True, mean=mean, std=std))


def published_settings(method: str, net: str = "fcn") -> tuple[TileSettings, float]:
    """Settings and learning rate of a method as published for a net (of others: those of the fcn)."""
    settings = algorithm(method)
    rates = _LENET_RATES.get(method) if net == "lenet5" else None
    if rates is None:
        return settings, 0.05
    fast, transfer = (
        replace(settings.fast, rate=rates["fast"]),
        replace(settings.transfer, rate=rates["transfer"]),
    )
    return replace(settings, fast=fast, transfer=transfer), rates["lr"]


def published_batch(net: str = "fcn") -> int:
    """Images of a mini-batch in the published runs of a net (of others: those of the fcn)."""
    return _BATCHES.get(net, _BATCH)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """One training run.

    The learning rate is halved every 15 epochs, that of lenet5 is divided by 10 every 30, as published.

    Parameters
    ----------
    net : str
        Net, see `build_net`.
    settings : TileSettings
        Algorithm of every tile.
    device : Device
        Device of every array.
    lr : float
        Learning rate of the digital parameters, and of what an algorithm scales by it, in the first epochs.
    batch : int
        Images of a mini-batch.
    per_sample : bool
        Each image updates the arrays by its own gradient; else by its part of the gradient of the mean loss,
        which is ``batch`` times smaller. Digital parameters follow the mean either way.
    digital : bool
        Biases and the output scalars of the tiles learn; else they stay as they start.
    seed, device_seed : int
        Root seeds of start weights, order and noise, and of the cells.
    """

    net: str = "fcn"
    settings: TileSettings = field(default_factory=lambda: algorithm("e-rider"))
    device: Device = field(default_factory=lambda: preset(DEVICE))
    lr: float = 0.05
    batch: int = 10
    per_sample: bool = False
    digital: bool = True
    seed: int = 0
    device_seed: int = 0

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ParameterError(f"batch must be at least 1, got {self.batch}")
        if not (np.isfinite(self.lr) and self.lr > 0):
            raise ParameterError(f"lr must be > 0, got {self.lr}")
        as_seed(self.seed)
        as_seed(self.device_seed, "device_seed")


class Trainer:
    """Trains one net on images.

    Parameters
    ----------
    settings : TrainSettings
        What is trained, and how.
    images : Images
        Data.

    Attributes
    ----------
    history : list of dict
        One record per epoch: ``epoch``, mean training ``loss`` (nats), ``accuracy`` on the test images
        (percent), and so far ``pulses``, ``reads``, ``programs`` (renewals of a cell's reference), ``passes``
        of vectors through arrays, ``seconds``.
    """

    def __init__(self, settings: TrainSettings, images: Images) -> None:
        self.settings, self.images, self.ledger = settings, images, Ledger()
        shape = tuple(int(n) for n in images.train.shape[1:])
        digital = build_net(settings.net, shape, images.classes, settings.seed)  # type: ignore[arg-type]
        config = NetConfig(
            settings=settings.settings,
            device=settings.device,
            seed=settings.seed,
            device_seed=settings.device_seed,
        )
        self.model = convert_to_analog(digital, config, ledger=self.ledger)
        self.layers = analog_layers(self.model)
        if not self.layers:
            raise ParameterError(f"net {settings.net} has no linear or convolution layer to make analog")
        self.optimizer = AnalogSGD(self.model, lr=settings.lr, digital=settings.digital)
        self.history: list[dict[str, float]] = []
        self._batch, self._loss, self._seconds = 0, 0.0, 0.0
        self._random = torch.Generator().manual_seed(settings.seed).get_state()

    @property
    def batches(self) -> int:
        """Mini-batches of an epoch; the last one may be short."""
        return -(-len(self.images.train) // self.settings.batch)

    @property
    def pulses(self) -> int:
        """Pulses on all arrays so far, without those of a calibration."""
        return sum(tile.pulses for layer in self.layers for tile in layer.tiles)

    def run(
        self,
        epochs: int,
        *,
        progress: Callable[["Trainer", int, float], None] | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train until there are ``epochs`` records.

        Parameters
        ----------
        epochs : int
            Epochs in all.
        progress : callable or None
            Called with the trainer, the batches done in this epoch and the loss of late.
        stopped : callable
            Asked after every batch: True ends the run where it is.

        Returns
        -------
        bool
            Whether the epochs were completed.

        Raises
        ------
        TrainingError
            The loss is NaN or infinite.
        """
        with torch.random.fork_rng(devices=()):
            torch.set_rng_state(self._random)
            return self._run(epochs, progress, stopped)

    def _run(
        self,
        epochs: int,
        progress: Callable[["Trainer", int, float], None] | None,
        stopped: Callable[[], bool],
    ) -> bool:
        """As `run`, with the random numbers of PyTorch where this run left them."""
        while len(self.history) < epochs:
            epoch = len(self.history)
            every, factor = _SCHEDULES.get(self.settings.net, _SCHEDULE)
            for group in self.optimizer.param_groups:
                group["lr"] = self.settings.lr * factor ** (epoch // every)
            order = np.random.default_rng([self.settings.seed, epoch]).permutation(len(self.images.train))
            while self._batch < self.batches:
                begin = time.perf_counter()
                first = self._batch * self.settings.batch
                self._step(torch.from_numpy(order[first : first + self.settings.batch]))
                self._random = torch.get_rng_state()
                self._seconds += time.perf_counter() - begin
                if progress is not None and self._batch % _SHOWN in (0, 1):
                    progress(self, self._batch, self._loss / self._batch)
                if stopped():
                    return False
            self._record(epoch)
        return True

    def _step(self, chosen: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        loss = cross_entropy(self.model(self.images.train[chosen]), self.images.train_labels[chosen])
        value = float(loss.detach())
        if not np.isfinite(value):
            where = f"epoch {len(self.history) + 1}, batch {self._batch + 1}"
            raise TrainingError(f"loss is {value} in {where}: lower --lr or the rates of the method")
        self.optimizer.gradient_scale = len(chosen) if self.settings.per_sample else 1.0
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self._loss += value
        self._batch += 1

    def accuracy(self) -> float:
        """Test images classified right, percent, through the same converters, in evaluation mode."""
        right = 0
        self.model.eval()
        with torch.no_grad():
            for first in range(0, len(self.images.test), _AT_A_TIME):
                part = slice(first, first + _AT_A_TIME)
                found = self.model(self.images.test[part]).argmax(dim=1)
                right += int((found == self.images.test_labels[part]).sum())
        self.model.train()
        return 100.0 * right / len(self.images.test)

    def _record(self, epoch: int) -> None:
        self.history.append(
            {
                "epoch": epoch + 1,
                "loss": self._loss / self.batches,
                "accuracy": self.accuracy(),
                "pulses": self.ledger.total(),
                "reads": self.ledger.total("reads"),
                "programs": self.ledger.total("programs"),
                "passes": self.ledger.total("passes"),
                "seconds": self._seconds,
            }
        )
        self._batch, self._loss = 0, 0.0

    def save(self, path: Path) -> None:
        """Write the state, with its checksum, to a file (temporary name, flushed, renamed)."""
        state = {
            "model": self.model.state_dict(),
            "history": json_text(self.history),
            "random": self._random,
            "numbers": torch.tensor([self._batch, self._loss, self._seconds], dtype=torch.float64),
            "identity": self.identity(),
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_atomic(path, sealed(buffer.getvalue()))

    def load(self, path: Path) -> None:
        """Go on from a file written by `save` for the same run.

        Raises
        ------
        ParameterError
            Not such a file, one that was cut or changed, or of a run with other settings.
        """
        import json

        refusal = f"{path}: not the state of a training run"
        try:
            content = unsealed(path.read_bytes(), refusal)
        except OSError as error:
            raise ParameterError(f"{refusal} ({error.strerror})") from error
        try:
            state = torch.load(io.BytesIO(content), weights_only=True)
            identity, history = state["identity"], json.loads(state["history"])
            batch, loss, seconds = state["numbers"].tolist()
            random = state["random"]
        except Exception as error:
            raise ParameterError(f"{refusal} ({type(error).__name__})") from error
        if identity != self.identity():
            raise ParameterError(
                f"{path}: state of a run with other settings, images or net; run without --resume"
            )
        try:
            self.model.load_state_dict(state["model"])
        except RuntimeError as error:
            raise ParameterError(f"{path}: state of another version; run without --resume") from error
        self.history, self._batch, self._loss, self._seconds = history, int(batch), loss, seconds
        self._random = random

    def identity(self) -> str:
        """What fixes the run, as text: digests of settings, images and the file of the net."""
        return f"{digest_of(self.settings)} {self._contents}"

    @cached_property
    def _contents(self) -> str:
        """Digest of images, labels and, if there is one, the text of the net's file."""
        digest = hashlib.sha256()
        for one in self.images:
            digest.update(f"{tuple(one.shape)} {one.dtype}".encode())
            digest.update(one.contiguous().numpy().data)
        if self.settings.net.endswith(".py"):
            digest.update(Path(self.settings.net).read_bytes())
        return digest.hexdigest()


def curves(runs: Mapping[str, Trainer]) -> "xr.Dataset":
    """Records of runs by name as a dataset over ``method`` and ``epoch``; NaN where a run has fewer."""
    longest = max(len(run.history) for run in runs.values())
    units = {
        "loss": "nat",
        "accuracy": "percent",
        "pulses": "pulses",
        "reads": "cell reads",
        "programs": "cells",
        "passes": "vectors",
        "seconds": "s",
    }

    def row(run: Trainer, key: str) -> list[float]:
        known = [float(one[key]) for one in run.history]
        return known + [np.nan] * (longest - len(known))

    variables = {
        key: (("method", "epoch"), [row(run, key) for run in runs.values()], {"units": unit})
        for key, unit in units.items()
    }
    coordinates = {
        "method": (("method",), list(runs), {}),
        "epoch": (("epoch",), np.arange(1, longest + 1), {"units": "1"}),
    }
    asked = {name: run.settings for name, run in runs.items()}
    seed = next(iter(runs.values())).settings.seed
    return dataset(variables, coordinates, provenance(seed=seed, parameters=asked))
