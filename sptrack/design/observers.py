"""Candidates whose reference is an input-aware observer: no chopper, a read every m steps.

What is predicted is the error law of `sptrack.theory.observer`, cell by cell, with the prior as one more
piece of information; the training of W is that of `sptrack.design.candidates`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks import ObserverSettings
from sptrack.blocks.responses import pulse_noise
from sptrack.design.candidates import (
    WEIGHT_TIMES,
    Candidate,
    Setting,
    gamma_by_rule,
    loop_of,
)
from sptrack.design.specification import SETTLED, Specification
from sptrack.design.training import training
from sptrack.devices import Cells
from sptrack.theory.closed_loop import Loop
from sptrack.theory.drive import mean_size
from sptrack.theory.observer import (
    LEAST_STRETCHES,
    NormalDrive,
    ObservedCell,
    observer_error,
    observer_warnings,
    prior_fraction,
    recommend_observer,
)

Array = NDArray[np.float64]

_CELLS = 8
"""Cells, evenly spread over the symmetric points, of which the error law is taken."""
_LARGEST_BLOCK = 0.35
"""Largest fraction of the way to the optimum that W goes between two reads."""


def observed_cells(spec: Specification, cells: Cells, loop: Loop) -> list[tuple[ObservedCell, float]]:
    """A few cells as the error law wants them, each with its symmetric point."""
    pulse, relative = pulse_noise(cells)
    live = np.flatnonzero(np.isfinite(loop.pole.ravel()))
    order = live[np.argsort(loop.point.ravel()[live])]
    picked = order[np.unique(np.linspace(0, len(order) - 1, _CELLS).round().astype(int))]
    read_noise = math.hypot(spec.read_noise, spec.device.write_noise * cells.dw_min)
    return [
        (
            ObservedCell(
                dw_min=cells.dw_min,
                level=float(loop.response.flat[k]),
                slope=float(loop.slope.flat[k]),
                read_noise=read_noise,
                pulse=pulse,
                relative=relative,
            ),
            float(loop.point.flat[k]),
        )
        for k in picked
    ]


def drive_of(spec: Specification, alpha: float) -> NormalDrive:
    """Increments per step that a specification's gradient asks for."""
    mean, std = (values.mean() for values in spec.gradient.over(_CELLS))
    return NormalDrive(mean=alpha * float(mean), std=alpha * float(std))


def error_after(
    spec: Specification, cells: Cells, loop: Loop, setting: Setting
) -> Callable[[float], tuple[float, float]]:
    """Function of a number of steps: rms error of Q, and fraction of the start offset left; means over cells.

    The prior, worth one pulse, counts as information slope^2 on a point that is 0.
    """
    known, drive = observed_cells(spec, cells, loop), drive_of(spec, setting.alpha)

    def after(steps: float) -> tuple[float, float]:
        squares, left, total = 0.0, 0.0, 0.0
        for cell, point in known:
            error = observer_error(
                cell, drive, every=setting.every, forgetting=setting.eta, steps=max(steps, setting.every)
            )
            fraction = prior_fraction(error.rms, cell.slope**-2)
            squares += (1 - fraction) * error.rms**2 * (1 - fraction) + (fraction * point) ** 2
            left, total = left + fraction * point**2, total + point**2
        return math.sqrt(squares / len(known)), left / max(total, 1e-300)

    return after


def predict_observers(spec: Specification, cells: Cells, alphas: Array) -> Iterator[Candidate]:
    """One candidate per alpha, with the reads, forgetting and prior that the rule gives for its drive.

    None where the specification gives a filter or a chopper.
    """
    if spec.steps < LEAST_STRETCHES or spec.filter is not None or spec.chopper is not None:
        return
    for alpha in alphas:
        loop = loop_of(spec, cells, float(alpha))
        rest = loop_of(spec, cells, float(alpha), optimum=True)
        typical = observed_cells(spec, cells, loop)
        middle, drive = typical[len(typical) // 2][0], drive_of(spec, float(alpha))
        spread = float(np.nanstd(loop.point)) or 0.5
        advice = recommend_observer(middle, drive, steps=spec.steps, point_spread=spread)
        gamma = gamma_by_rule(spec, float(alpha), float(np.nanmean(loop.response)))
        beta = gamma * WEIGHT_TIMES / spec.steps
        every = max(1, min(advice.every, int(_LARGEST_BLOCK * gamma / beta)))
        setting = Setting(float(alpha), None, ObserverSettings(forgetting=advice.forgetting), every)
        yield predict_observer(spec, cells, (loop, rest), setting, gamma, beta)


def predict_observer(
    spec: Specification, cells: Cells, loops: tuple[Loop, Loop], setting: Setting, gamma: float, beta: float
) -> Candidate:
    """The candidate of one setting."""
    loop, rest = loops
    after = error_after(spec, cells, loop, setting)
    rms, left = after(float(spec.steps))
    about, trained = loop.predict(1.0), training(spec, rest, setting.chopper, gamma)
    spread = np.sqrt(about.var_p + spec.read_noise**2)
    reach = float(np.nanmean(mean_size(about.demodulated, spread)))
    typical = observed_cells(spec, cells, loop)
    error = observer_error(
        typical[len(typical) // 2][0],
        drive_of(spec, setting.alpha),
        every=setting.every,
        forgetting=setting.eta,
        steps=float(spec.steps),
    )
    offset = float(np.sqrt(np.mean([point**2 for _, point in typical])))
    values = {
        "bias": left * offset,
        "rms": rms,
        "settling": _settling(after, setting.every, spec.steps),
        "converging": trained.converging(beta),
        "weights": trained.weights(beta),
        "pulses": spec.steps * (float(np.nanmean(loop.pulses)) + beta * reach / spec.device.dw_min),
        "reads": float(spec.steps // setting.every),
        "programs": float(spec.steps // setting.every),
        "signal": 1.0,
    }
    return Candidate(
        setting=setting,
        gamma=gamma,
        beta=beta,
        values=values,
        warnings=(*about.warnings, *observer_warnings(error)),
    )


def _settling(after: Callable[[float], tuple[float, float]], every: int, most: int) -> float:
    """Fewest steps after which at most `SETTLED` of the start offset is left; infinite beyond the run."""
    low, high = float(every), float(most)
    if after(high)[1] > SETTLED:
        return float("inf")
    while high - low > max(1.0, 0.01 * high):
        middle = (low + high) / 2
        low, high = (middle, high) if after(middle)[1] > SETTLED else (low, middle)
    return float(round(high))
