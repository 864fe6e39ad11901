"""What is measured: a device, what is done to a crossbar of it, and what that costs by count of its source.

``load`` per unit of work is what the ceiling is compared with. Arithmetic-bound cases count multiplications
and multiply-adds in 32-bit lanes, which share the same execution ports; shifts, xors, comparisons and
conversions come on top, so that the ceiling cannot be reached: Philox 10 a word (2 widening ones, 64-bit, in
each of 10 rounds make 4 words), Box-Muller 15 a normal, a linear step with its noise 3. Memory-bound cases
count the bytes of parameters, weights and counts of a cell, or of a pulse where pulses are the unit of work.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.signal import butter

from sptrack.blocks import SOS, Block
from sptrack.crossbar import Crossbar, PulseScheme
from sptrack.devices import CycleNoise, Device, ExpStep, PiecewiseStep, PowStep, sample_cells
from sptrack.devices.presets import preset
from sptrack.tiles import Tile, algorithm
from sptrack.tracking import ProblemSettings, Tracker, method, problem

SIDE = 512
PULSES = 256
STEPS = 64
_NORMAL = 25.0
_LINEAR = 3.0
_VISIT = 40.0
"""Bytes of a visited cell: 6 parameters and a weight read, a weight written, its counter read and written."""

_DEFAULT = Device()
_EXP = replace(_DEFAULT, response=ExpStep())
_POWER = replace(_DEFAULT, response=PowStep(gamma_up=1.5, gamma_down=2.0))
_PIECEWISE = replace(
    _DEFAULT, response=PiecewiseStep(nodes_up=(1.3, 1.1, 0.8, 0.5), nodes_down=(0.5, 0.8, 1.1, 1.3))
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One benchmark: ``work`` is done on a fresh 512 x 512 array and returns how many units it did.

    Targets hold on any machine: ``fraction`` is the least part of the ceiling, ``ratio`` the least pulses per
    second, relative to those of the case `YARDSTICK` in the same run.
    """

    work: Callable[[Any], float]
    unit: str = "cell-pulses/s"
    device: Device = _DEFAULT
    dtype: Any = np.float32
    threads: int = 1
    ceiling: str = "multiply-adds"
    load: float = _NORMAL + _LINEAR
    fraction: float | None = None
    ratio: float | None = None

    def subject(self) -> Any:
        """What the work is done on."""
        cells = sample_cells(self.device, (SIDE, SIDE), dtype=self.dtype)
        return Crossbar(cells, threads=self.threads)


def _train(program: str) -> Callable[[Crossbar], float]:
    def work(bar: Crossbar) -> float:
        bar.pulse(program, PULSES)
        return float(PULSES * bar.cells.size)

    return work


def _normal_vector(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SIDE).astype(np.float32)


_X, _D = _normal_vector(1), _normal_vector(2)
_INCREMENT = 0.002 * np.random.default_rng(3).standard_normal((SIDE, SIDE))


def _rank_1(rate: float) -> Callable[[Crossbar], float]:
    def work(bar: Crossbar) -> float:
        before = bar.ledger.total()
        for _ in range(8):
            bar.update(_X, _D, rate, scheme=PulseScheme(length_management=False))
        return float(bar.ledger.total() - before)

    return work


def _update(rate: float) -> Case:
    return Case(work=_rank_1(rate), unit="pulses/s", ceiling="bytes", load=_VISIT, ratio=0.14)


def _wanted(**options: str) -> Callable[[Crossbar], float]:
    def work(bar: Crossbar) -> float:
        for _ in range(4):
            bar.apply(_INCREMENT, **options)
        return 4.0 * bar.cells.size

    return work


@dataclass(frozen=True, kw_only=True)
class Loop(Case):
    """The fused recursion of a method on the separable quadratic; ``alpha`` sets the pulses a step.

    ``filter`` takes the place of the method's own reference.
    """

    work: Callable[[Any], float] = field(default=lambda tracker: _run(tracker))
    unit: str = "cell-steps/s"
    load: float = 3 * _NORMAL + 40.0
    rule: str = "e-rider"
    alpha: float = 0.006
    application: str = "burst"
    filter: Block | None = None

    def subject(self) -> Tracker:
        """A tracker of as many weights as the array has cells."""
        settings = ProblemSettings(size=SIDE * SIDE)
        made = problem("separable", settings)
        chosen = method(self.rule, alpha=self.alpha)
        if self.filter is not None:
            chosen = replace(chosen, reference=self.filter)
        return Tracker(made, chosen, application=self.application, threads=self.threads)


def _run(tracker: Tracker) -> float:
    tracker.run(STEPS, samples=1)
    return float(STEPS * tracker.problem.p_cells.size)


def _increments(law: str, application: str = "sequential") -> Case:
    return Case(
        work=_wanted(law=law, application=application),
        unit="increments/s",
        ceiling="bytes",
        load=_VISIT + 16.0,
        ratio=0.4,
    )


_BATCH, _ROUNDS = 10, 20


@dataclass(frozen=True, kw_only=True)
class Phase(Case):
    """One phase of training on a tile of E-RIDER, in mini-batches: a fifth of the inputs are not 0."""

    device: Device = preset("reram-array-hfo2")
    ceiling: str = "multiply-adds"
    load: float = 1.0
    unit: str = "multiply-adds/s"

    def subject(self) -> Tile:
        """A tile."""
        return Tile(algorithm("e-rider"), self.device, (SIDE, SIDE))


def _vectors() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    x = rng.random((_BATCH, SIDE)) * (rng.random((_BATCH, SIDE)) < 0.2)
    return x.astype(np.float32), (0.05 * rng.standard_normal((_BATCH, SIDE))).astype(np.float32)


def _passes(direction: str) -> Callable[[Tile], float]:
    def work(tile: Tile) -> float:
        sent = _vectors()[0 if direction == "forward" else 1]
        for _ in range(_ROUNDS):
            getattr(tile, direction)(sent)
        return 2.0 * _ROUNDS * _BATCH * SIDE * SIDE  # W and the stored reads

    return work


def _gradients(tile: Tile) -> float:
    (x, d), before = _vectors(), tile.pulses
    scheme = tile.settings.fast.scheme
    assert tile.p_array is not None
    for _ in range(_ROUNDS):
        tile.p_array.update(x, d, 0.5, scheme)
    return float(tile.pulses - before)


def _columns(tile: Tile) -> float:
    nothing = np.zeros((1, SIDE), np.float32)
    for _ in range(_ROUNDS):
        tile.update(nothing, nothing, 0.05)
    return float(_ROUNDS)


YARDSTICK = "alternating"
TRAINS = {
    "alternating": Case(work=_train("alternating"), fraction=0.4),
    "alternating, two threads": Case(work=_train("alternating"), threads=2),
    "alternating, float64": Case(work=_train("alternating"), dtype=np.float64, load=_NORMAL + 2 * _LINEAR),
    "alternating, no noise": Case(
        work=_train("alternating"), device=replace(_DEFAULT, cycle_noise=CycleNoise()), load=_LINEAR
    ),
    "random signs": Case(work=_train("random"), load=_NORMAL + 2 * _LINEAR),
    "exp-step": Case(work=_train("alternating"), device=_EXP, load=_NORMAL + 16.0, ratio=0.5),
    "pow-step": Case(work=_train("alternating"), device=_POWER, load=_NORMAL + 26.0, ratio=0.4),
    "piecewise": Case(work=_train("alternating"), device=_PIECEWISE, load=_NORMAL + 7.0, ratio=0.4),
}
UPDATES = {
    "rank-1, 4.7 pulses/cell": _update(0.01),
    "rank-1, 0.6 pulses/cell": _update(0.001),
    "increments, rounded": _increments("rounded"),
    "increments, binomial": _increments("binomial"),
    "increments, poisson": _increments("poisson"),
    "increments, burst": _increments("rounded", "burst"),
}
LOOPS = {
    "E-RIDER, burst, one pulse a step": Loop(),
    "E-RIDER, sequential, one pulse a step": Loop(application="sequential"),
    "E-RIDER, sequential, nine pulses a step": Loop(alpha=0.05, application="sequential", ratio=0.4),
    "E-RIDER, order-4 SOS, burst, one pulse a step": Loop(filter=SOS(sos=butter(4, 0.005, output="sos"))),
    "O-RIDER, burst, one pulse a step": Loop(rule="o-rider"),
}
TILES = {
    "tile, forward": Phase(work=_passes("forward")),
    "tile, backward": Phase(work=_passes("backward")),
    "tile, update": Phase(work=_gradients, unit="pulses/s", ceiling="bytes", load=_VISIT),
    "tile, transfer": Phase(work=_columns, unit="columns/s", ceiling="bytes", load=_VISIT * SIDE),
}
CASES = TRAINS | UPDATES | LOOPS | TILES
