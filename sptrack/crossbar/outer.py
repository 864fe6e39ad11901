"""Rank-1 updates with pulse trains: probabilities, train length, lines that fire (as in aihwkit 1.2.0)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import ParameterError
from sptrack.kernels import updates
from sptrack.kernels.random import fill_uniforms
from sptrack.values import check_choice, check_number, check_whole

Array = NDArray[Any]

PULSE_TYPES = ("stochastic-compressed", "deterministic-implicit", "mean-count")


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseScheme:
    """Coincidences of pulse trains for a rank-1 update w <- w - lr d x^T (Gokmen and Vlasov 2016).

    Parameters
    ----------
    pulse_type : str
        "stochastic-compressed" (independent Bernoulli slots per line), "deterministic-implicit"
        (round(BL p_x p_d) pulses) or "mean-count" (rounded counts per line).
    train_length : int
        Desired number of slots BL.
    update_management : bool
        Balance the probabilities of rows and columns by the largest |x| and |d|.
    length_management : bool
        Shorten the train to what the update needs (implies update management).
    fixed_length : bool
        Never lengthen a train beyond ``train_length``.
    gradient_scale : float
        Factor on the largest |d| in update management; below 1 clips the largest errors.
    resolution : float
        Probabilities are rounded to multiples of it (0: not rounded), at random if ``stochastic_rounding``.
    stochastic_rounding : bool
        Round up with the probability of the fraction.
    """

    pulse_type: str = "stochastic-compressed"
    train_length: int = 31
    update_management: bool = True
    length_management: bool = True
    fixed_length: bool = True
    gradient_scale: float = 1.0
    resolution: float = 0.0
    stochastic_rounding: bool = False

    def __post_init__(self) -> None:
        check_choice("pulse_type", self.pulse_type, PULSE_TYPES)
        check_whole("train_length", self.train_length, 1)
        check_number("resolution", self.resolution, least=0, below=1)
        if not self.gradient_scale > 0:
            raise ParameterError(f"gradient_scale must be > 0, got {self.gradient_scale}")


class Trains(NamedTuple):
    """Per-line probabilities of one update: p_x [C], p_d [R] (before limiting to 1) and the train length."""

    p_x: Array
    p_d: Array
    length: int


def plan_trains(x: Array, d: Array, lr: float, granularity: float, scheme: PulseScheme) -> Trains | None:
    """Train length and line probabilities of one update; None where nothing is to be done.

    Parameters
    ----------
    x, d : arrays [C] and [R]
        Input and error vector.
    lr : float
        Learning rate >= 0.
    granularity : float
        Granularity of the array, weight units.
    scheme : PulseScheme
        Settings.
    """
    x, d = np.abs(np.asarray(x, np.float32)), np.abs(np.asarray(d, np.float32))
    largest_x, largest_d = float(x.max()), scheme.gradient_scale * float(d.max())
    if lr == 0 or largest_x == 0 or largest_d == 0:
        return None
    managed = scheme.update_management or scheme.length_management
    wanted = lr * largest_x * largest_d / granularity
    length = scheme.train_length
    if scheme.length_management:
        length = min(int(np.ceil(wanted)), length)
    elif not scheme.fixed_length and granularity * length < lr:
        length = max(int(np.ceil(lr / granularity)), 1)
    a = b = np.sqrt(lr / (granularity * length))
    if not (scheme.fixed_length or scheme.length_management) and length > scheme.train_length:
        a = b = 1.0
    if managed:
        if wanted > scheme.train_length:
            largest_d *= scheme.train_length / wanted
        a *= np.sqrt(largest_x / largest_d)
        b *= np.sqrt(largest_d / largest_x)
    return Trains(np.float32(b) * x, np.float32(a) * d, length)


def quantise(p: Array, scheme: PulseScheme, uniform: Array) -> Array:
    """Probabilities [lines] rounded to the resolution (half to even, or at random by ``uniform`` [lines])."""
    if scheme.resolution == 0:
        return p
    steps = p / scheme.resolution
    steps = np.floor(steps + uniform) if scheme.stochastic_rounding else np.rint(steps)
    return np.asarray(steps * scheme.resolution)


def quantised(trains: Trains, scheme: PulseScheme, key: Callable[[str], Any], event: Any) -> Trains:
    """``trains`` at the resolution of the scheme; ``key`` gives keys of streams, ``event`` is the update."""
    uniform = np.empty((2, max(len(trains.p_x), len(trains.p_d))), np.float32)
    for row, side in zip(uniform, ("columns", "rows"), strict=True):
        fill_uniforms(row, key(f"round-{side}"), event)
    p_x = quantise(trains.p_x, scheme, uniform[0, : len(trains.p_x)])
    p_d = quantise(trains.p_d, scheme, uniform[1, : len(trains.p_d)])
    return Trains(p_x, p_d, trains.length)


def firing_lines(
    trains: Trains, x: Array, d: Array, key: Callable[[str], Any], draws: Any
) -> tuple[Any, Any]:
    """Trains of rows and columns of one update, by slot, with the directions of ``d`` and ``x``."""

    def lines(stream: str, probability: Array, values: Array) -> Any:
        slots = np.empty((-(-trains.length // updates.SLOTS), len(values)), np.uint32)
        updates.draw_firing(probability, key(stream), draws.event, draws.array, trains.length, slots)
        return updates.Lines(slots, np.where(values < 0, -1, 1).astype(np.int32))

    return lines("rows", trains.p_d, -d), lines("columns", trains.p_x, x)


def deterministic_counts(trains: Trains, scheme: PulseScheme) -> Array:
    """Unsigned pulse counts [R, C] (int32) of the deterministic pulse types."""
    p_x, p_d = np.minimum(trains.p_x, 1), np.minimum(trains.p_d, 1)
    if scheme.pulse_type == "deterministic-implicit":
        counts = trains.length * np.multiply.outer(p_d, p_x)
    else:
        c_x, c_d = np.rint(trains.length * p_x), np.rint(trains.length * p_d)
        counts = np.multiply.outer(c_d, c_x) / trains.length
    return np.asarray(np.rint(counts), np.int32)
