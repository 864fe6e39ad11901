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
from sptrack.crossbar import Crossbar
from sptrack.devices import Cells
from sptrack.errors import ParameterError
from sptrack.kernels.random import fill_normals, stream_key
from sptrack.theory.closed_loop import Loop, linearise
from sptrack.theory.drive import CountLaw, GradientStatistics
from sptrack.theory.weighted import error_of_weights

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """A run of `OpenLoop`, one row per step.

    Attributes
    ----------
    signs : int8 array [steps, cells]
        Chopper.
    gradient : float32 array [steps, cells]
        Gradient before the chopper.
    fast : float32 array [steps, cells]
        P after the step, as it is stored, weight units.
    point : array [cells]
        Symmetric points, weight units.
    """

    signs: Array
    gradient: Array
    fast: Array
    point: Array

    @property
    def error(self) -> Array:
        """P - w* [steps, cells], float64, weight units."""
        return np.asarray(self.fast - self.point)

    @property
    def chopped(self) -> Array:
        """Chopped gradient c g [steps, cells], float32."""
        return np.asarray(self.signs * self.gradient)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenLoop:
    """Cells under pulses of a chopped gradient g = mean + std xi that they do not change.

    Parameters
    ----------
    cells : Cells
        Cells of P.
    chopper : chopper
        Signs; with scope "cell" a telegraph makes the cells independent.
    alpha : float
        Rate: each step asks a cell for the increment -alpha c g, weight units.
    mean, std : float
        Of the gradient; xi is a standard normal of its own for each step and cell.
    law : {"rounded", "binomial", "poisson"}
        Count law, see `Crossbar.apply`.
    slots : int
        Train length of the binomial law.
    seed : int
        Root seed of gradient and pulses; the chopper has its own.

    Raises
    ------
    ParameterError
        A value outside its range (see `sptrack.theory.closed_loop.linearise`).
    """

    cells: Cells
    chopper: SignSource
    alpha: float
    mean: float = 0.0
    std: float = 0.0
    law: CountLaw = "rounded"
    slots: int = 31
    seed: int = 0

    def __post_init__(self) -> None:
        self.linear()

    def linear(self) -> Loop:
        """The linear model of these cells under this drive."""
        return linearise(
            self.cells,
            alpha=self.alpha,
            gradient=GradientStatistics(mean=self.mean, std=self.std),
            law=self.law,
            slots=self.slots,
        )

    def record(self, steps: int, *, start: ArrayLike | None = None, skip: int = 0) -> Record:
        """Run and keep P of every step.

        Parameters
        ----------
        steps : int
            Steps to keep, at least 1.
        start : array_like, broadcastable to the cells
            P before the first step, as it is stored; default: the symmetric points (0 where there is none).
        skip : int
            Steps run before those that are kept.

        Raises
        ------
        ParameterError
            No step, a start that is not finite.
        """
        if steps < 1 or skip < 0:
            raise ParameterError(f"steps = {steps}, skip = {skip}: at least 1 and 0 wanted")
        cells = self.cells
        point = np.asarray(cells.symmetric_point, np.float64)
        offset = 0.0 if cells.reference is None else cells.reference
        begin = np.nan_to_num(point) if start is None else np.asarray(start, np.float64)
        array = Crossbar(cells, seed=self.seed, weights=begin - offset, name="P", threads=1)
        signs = self.chopper.signs(0, skip + steps, cells.size)
        gradient, fast = np.empty((2, steps, cells.size), np.float32)
        key, noise = stream_key(self.seed, "open-loop/gradient"), np.zeros(cells.size, np.float32)
        for k in range(skip + steps):
            if self.std > 0:
                fill_normals(noise, key, np.uint32(k))
            now = np.float32(self.mean) + np.float32(self.std) * noise
            wanted = (-self.alpha * signs[k] * now).reshape(cells.shape)
            array.apply(wanted, law=self.law, slots=self.slots)
            if k >= skip:
                gradient[k - skip], fast[k - skip] = now, array.hidden.ravel()
        return Record(signs=signs[skip:], gradient=gradient, fast=fast, point=point.ravel())


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
