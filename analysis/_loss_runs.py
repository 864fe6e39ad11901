"""Runs of `analysis.pulse_cost_to_loss`: settings, the published count of pulses, training to a loss."""

import time
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from analysis._calibration import calibrate, device
from sptrack.blocks import PeriodMean

TARGET = 0.2
BATCH, LENGTH = 64, 5
CURVES = {"loss": "nat", "accuracy": "percent", "sent": "pulses per weight", "reads": "reads per weight"}


class Run(NamedTuple):
    """Method, kind of the error that calibration leaves (none: no calibration), pulses of calibration."""

    method: str
    kind: str
    calibration: int

    @property
    def name(self) -> str:
        """Name in tables and of files."""
        return f"{self.method} {self.kind} {self.calibration}" if self.calibration else self.method


def counted_pulses(calibration: float, epochs: float, images: int, batch: int = BATCH) -> float:
    """Published count of pulses: calibration, and a whole train for each mini-batch.

    Parameters
    ----------
    calibration : float
        Pulses of zero-shifting per cell.
    epochs : float
        Epochs of training.
    images : int
        Training images.
    batch : int
        Images of a mini-batch; the last one may be short.
    """
    return calibration + epochs * -(-images // batch) * LENGTH


def reached_at(losses: list[float], target: float = TARGET) -> int | None:
    """Number of epochs after which the loss is first at most the target; None: it is not."""
    return next((k for k, loss in enumerate(losses, 1) if loss <= target), None)


def settings_of(method: str):  # type: ignore[no-untyped-def]
    """Settings of a tile with the printed rates, and the learning rate; what is not printed: LeNet-5's."""
    from sptrack.nn.training import published_settings
    from sptrack.tiles.settings import regular

    base, _ = published_settings(method, "lenet5")
    transfer = replace(base.transfer, rate=1.0)
    if method == "tt-v2":
        return replace(base, fast=replace(base.fast, rate=0.01), transfer=transfer), 0.05
    chopper = regular(0.2)
    half = chopper.half_period
    return replace(
        base,
        fast=replace(base.fast, rate=0.1),
        transfer=transfer,
        chopper=chopper,
        reference=PeriodMean.over(half, 5.0),
        hold=half + 1,
    ), 0.1


def trained_to_loss(  # type: ignore[no-untyped-def]
    one: Run, states: int, images, epochs: int, state: Path, *, seed: int, end: float = float("inf")
):
    """Train a run to the target, for ``epochs``, or until the time ``end``; it goes on from ``state``.

    Returns
    -------
    history : dict of str to list
        `CURVES` by epoch.
    error : ndarray
        Error of the calibrated reference in all cells, weight units.
    """
    from sptrack.nn.training import Trainer, TrainSettings

    settings, lr = settings_of(one.method)
    asked = TrainSettings(
        net="lenet5",
        settings=settings,
        device=device(states, calibrated=one.calibration > 0),
        lr=lr,
        batch=BATCH,
        seed=seed,
        device_seed=seed,
    )
    trainer = Trainer(asked, images)
    error = np.full(1, np.nan)
    if one.calibration:
        error = calibrate(trainer, one.kind, one.calibration, states, seed)
    if state.exists():
        trainer.load(state)
    while not _over(trainer.history, epochs) and time.monotonic() < end:
        trainer.run(len(trainer.history) + 1, stopped=lambda: time.monotonic() >= end)
        trainer.save(state)
    weights = sum(tile.shape[0] * tile.shape[1] for layer in trainer.layers for tile in layer.tiles)
    own = {"sent": ("pulses", one.calibration), "reads": ("reads", float(one.calibration > 0))}
    history = {key: [record[key] for record in trainer.history] for key in ("loss", "accuracy")}
    for key, (counted, before) in own.items():
        history[key] = [before + record[counted] / weights for record in trainer.history]
    return history, error


def _over(history: list[dict[str, float]], epochs: int) -> bool:
    return len(history) >= epochs or reached_at([record["loss"] for record in history]) is not None
