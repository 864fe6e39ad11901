"""Cells under a chopped gradient that they do not change, recorded pulse for pulse, and filters for them.

What must come out is said by the linear model, `sptrack.theory.closed_loop`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.blocks import EMA, Block, CorrectedEMA, SignSource, impulse_response
from sptrack.devices import Cells
from sptrack.errors import ParameterError
from sptrack.evaluation.prediction import gradient_statistics
from sptrack.kernels.random import fill_normals, stream_key
from sptrack.theory.closed_loop import Loop, linearise
from sptrack.theory.drive import CountLaw, GradientStatistics
from sptrack.theory.weighted import error_of_weights
from sptrack.tracking import Method, Tracker, open_loop
from sptrack.tracking.recorded import RecordedGradient
from sptrack.values import as_seed, check_number, check_whole

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """A run of `OpenLoop`, one row per step.

    Attributes
    ----------
    signs : int8 array [steps, cells]
        Chopper.
    chopped : float32 array [steps, cells]
        Chopped gradient c g.
    p : float32 array [steps, cells]
        P after the step, as it is read, weight units.
    point : array [cells]
        Symmetric points as they would be read, weight units; NaN where there is none.
    """

    signs: Array
    chopped: Array
    p: Array
    point: Array

    @property
    def error(self) -> Array:
        """P - w* [steps, cells], float64, weight units."""
        return np.asarray(self.p - self.point)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenLoop:
    """Cells under pulses of a chopped gradient that they do not change: mean + std xi, or a recorded one.

    Parameters
    ----------
    cells : Cells
        Cells of P, one row.
    chopper : chopper
        Signs; with scope "cell" a telegraph makes the cells independent.
    alpha : float
        Rate: each step asks a cell for the increment -alpha c g, weight units.
    mean, std : float
        Of the gradient; xi is a standard normal of its own for each step and cell.
    law : {"rounded", "binomial", "poisson"}
        Count law, see `Tracker`.
    slots : int
        Train length of the binomial law.
    read_noise : float
        Std of the noise of reading P, weight units, at least 0.
    seed : int
        Root seed of gradient, pulses and reading noise; the chopper has its own.
    recording : RecordedGradient or None
        Gradient to be played instead, with a mean of 0 and a std of 0; theory takes its steps as
        independent, with the mean and std of each column.

    Raises
    ------
    ParameterError
        A mean or std beside a recording; a value outside its range (see `sptrack.theory.linearise`).
    """

    cells: Cells
    chopper: SignSource
    alpha: float
    mean: float = 0.0
    std: float = 0.0
    law: CountLaw = "rounded"
    slots: int = 31
    read_noise: float = 0.0
    seed: int = 0
    recording: RecordedGradient | None = None

    def __post_init__(self) -> None:
        if self.recording is not None and (self.mean != 0 or self.std != 0):
            raise ParameterError(
                f"mean and std must be 0 beside recorded gradients, which replace both, got {self.mean} and "
                f"{self.std}"
            )
        check_number("read_noise", self.read_noise, least=0)
        if self.cells.device.one_sided:
            name = self.cells.device.source.name
            raise ParameterError(
                f"device must have cells with up and down pulses, got the one-sided {name!r}"
            )
        self.linear()

    @property
    def reading_std(self) -> float:
        """Std of what a read shows beside the stored P, weight units: reading noise and write noise."""
        return float(np.hypot(self.read_noise, self.cells.device.write_noise * self.cells.dw_min))

    @property
    def statistics(self) -> GradientStatistics:
        """Mean and std of the gradient, of each cell where it was recorded."""
        return gradient_statistics(self.recording, self.cells.shape, mean=self.mean, std=self.std)

    @property
    def powers(self) -> tuple[float, float]:
        """Mean over the cells of squared mean and of variance of the gradient."""
        given = self.statistics
        mean, variance = (float(np.mean(np.square(one))) for one in (given.mean, given.std))
        return mean, variance

    def linear(self) -> Loop:
        """The linear model of these cells under this drive."""
        return linearise(
            self.cells,
            alpha=self.alpha,
            gradient=self.statistics,
            law=self.law,
            slots=self.slots,
        )

    def record(self, steps: int, *, skip: int = 0) -> Record:
        """Run from weights of 0, as they are read, and keep P of every step.

        Parameters
        ----------
        steps : int
            Steps to keep, at least 1.
        skip : int
            Steps run before those that are kept, at least 0.

        Raises
        ------
        ParameterError
            A number of steps outside its range; what `Tracker` refuses.
        """
        check_whole("steps", steps, 1)
        check_whole("skip", skip)
        signs = self.chopper.signs(0, skip + steps, self.cells.size)
        if self.recording is None:
            noise = self._normals("gradient", 0, skip + steps)
            gradient = np.float32(self.mean) + np.float32(self.std) * noise
        else:
            gradient = self.recording.drive(skip + steps, self.cells.size)
        chopped = signs * gradient
        method = Method(name="open-loop", alpha=self.alpha)
        tracker = Tracker(
            open_loop(self.cells), method, seed=self.seed, law=self.law, slots=self.slots, threads=1
        )
        if skip:
            tracker.record(skip, drive=chopped[:skip])
        kept = tracker.record(steps, drive=chopped[skip:])
        p = kept.p + np.float32(self.read_noise) * self._normals("read", skip, steps)
        point = np.asarray(self.cells.target, np.float64).ravel()
        return Record(signs=signs[skip:], chopped=chopped[skip:], p=p, point=point)

    def _normals(self, stream: str, first: int, steps: int) -> Array:
        """Standard normals [steps, cells] of a stream, float32; only zeros where they are not used."""
        noise = np.zeros((steps, self.cells.size), np.float32)
        if {"gradient": self.std, "read": self.read_noise}[stream] > 0:
            key = stream_key(as_seed(self.seed), f"open-loop/{stream}")
            for k in range(steps):
                fill_normals(noise[k], key, np.uint32(first + k))
        return noise


def final_weights(low_pass: Block, steps: int) -> Array:
    """Weights h_n [steps] that a filter has given to its inputs x_(K-1-n) after K = ``steps`` from rest.

    A linear block's impulse response; of a `CorrectedEMA` that of the EMA, over its sum.

    Raises
    ------
    ParameterError, ConvergenceError
        As `sptrack.blocks.impulse_response`.
    """
    if isinstance(low_pass, CorrectedEMA):
        weights = final_weights(EMA(eta=low_pass.eta), steps)
        return np.asarray(weights / weights.sum())
    response = impulse_response(low_pass)[:steps]
    return np.append(response, np.zeros(steps - len(response)))


def best_filter(
    loop: Loop, candidates: Iterable[Block], steps: int, *, start: ArrayLike, chopper: SignSource
) -> tuple[Block, float]:
    """Filter with the smallest predicted rms error of Q after ``steps`` from rest at 0, and that error.

    Parameters
    ----------
    loop : Loop
        Linearised loop.
    candidates : blocks
        Filters to choose from, at least one.
    steps : int
        K, at least 1.
    start : array_like
        Offset of P_0 = Q_0 from w*, weight units.
    chopper : chopper
        Signs.

    Returns
    -------
    Block, float
        The first of the best, and its rms over the cells, weight units.
    """
    best: tuple[Block, float] | None = None
    for block in candidates:
        weights = final_weights(block, steps)
        mean, variance = error_of_weights(loop, weights, start=start, chopper=chopper)
        rms = float(np.sqrt(np.mean(mean**2 + variance)))
        if best is None or rms < best[1]:
            best = block, rms
    if best is None:
        raise ParameterError("no filter to choose from")
    return best
