"""Candidates whose reference is an input-aware observer: no chopper, a read every m steps.

Two are searched: the regression on each stretch, and the default of O-RIDER, which takes the nominal response
as known. What is predicted is the error law of `sptrack.theory.observer` or `sptrack.theory.known_response`,
cell by cell, with the prior as one more piece of information; the training of W is that of
`sptrack.design.candidates`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks import ObserverSettings
from sptrack.blocks.responses import nominal_response, pulse_noise
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
from sptrack.errors import ParameterError
from sptrack.theory.closed_loop import Loop
from sptrack.theory.drive import mean_size
from sptrack.theory.known_response import KnownResponse, PointError, known_response_error
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

FORMS = ("block", "scalar")
"""Observers that are searched: a regression, and the symmetric point alone under a known response."""
_CELLS = 8
"""Cells, evenly spread over the symmetric points, of which the error law of a regression is taken; a known
response errs with a cell's distance from the nominal one: of all."""
_LARGEST_BLOCK = 0.35
"""Largest fraction of the way to the optimum that W goes between two reads."""


class Observed(NamedTuple):
    """A cell as the error laws want it, with its symmetric point (weight units) and F' (per weight unit)."""

    cell: ObservedCell
    point: float
    tilt: float


def observed_cells(spec: Specification, cells: Cells, loop: Loop, form: str = "block") -> list[Observed]:
    """Cells of which the error law of a form is taken, by their symmetric points."""
    pulse, relative = pulse_noise(cells)
    live = np.flatnonzero(np.isfinite(loop.pole.ravel()))
    order = live[np.argsort(loop.point.ravel()[live])]
    count = _CELLS if form == "block" else len(order)
    picked = order[np.unique(np.linspace(0, len(order) - 1, count).round().astype(int))]
    read_noise = math.hypot(spec.read_noise, spec.device.write_noise * cells.dw_min)
    return [
        Observed(
            ObservedCell(
                dw_min=cells.dw_min,
                level=float(loop.response.flat[k]),
                slope=float(loop.slope.flat[k]),
                read_noise=read_noise,
                pulse=pulse,
                relative=relative,
            ),
            float(loop.point.flat[k]),
            float(loop.tilt.flat[k]),
        )
        for k in picked
    ]


def drive_of(spec: Specification, alpha: float) -> NormalDrive:
    """Increments per step that a specification's gradient asks for: against it."""
    mean, std = (values.mean() for values in spec.gradient.over(_CELLS))
    return NormalDrive(mean=-alpha * float(mean), std=alpha * float(std))


class ErrorAfter(NamedTuple):
    """Error of Q after some steps over the cells: rms, rms of the mean, fraction of the start offset left."""

    rms: float
    bias: float
    left: float


def error_after(
    spec: Specification, cells: Cells, loop: Loop, setting: Setting
) -> Callable[[float], ErrorAfter]:
    """Error of an observer as a function of the number of steps.

    The prior, worth one pulse, counts as information G'^2 on a point that is 0.
    """
    form, drive = form_of(setting), drive_of(spec, setting.alpha)
    known = observed_cells(spec, cells, loop, form)
    nominal = KnownResponse(*nominal_response(spec.device))

    def of_cell(one: Observed, options: dict[str, Any]) -> PointError:
        if form == "block":
            rms = observer_error(one.cell, drive, **options).rms
            return _with_prior(PointError(0.0, rms), one.point, prior_fraction(rms, one.cell.slope**-2))
        found = known_response_error(one.cell, drive, nominal, start=-one.point, tilt=one.tilt, **options)
        return _with_prior(found, one.point, claimed_fraction(options))

    def claimed_fraction(options: dict[str, Any]) -> float:
        told = replace(known[0].cell, level=nominal.level, slope=nominal.slope)
        return prior_fraction(observer_error(told, drive, form="scalar", **options).rms, told.slope**-2)

    def after(steps: float) -> ErrorAfter:
        options: dict[str, Any] = {"every": setting.every, "forgetting": setting.eta}
        options["steps"] = max(steps, setting.every)
        mean, std = np.array([of_cell(one, options) for one in known]).T
        point = np.array([one.point for one in known])
        return ErrorAfter(
            rms=math.sqrt(np.mean(mean**2 + std**2)),
            bias=math.sqrt(np.mean(mean**2)),
            left=float(-(mean @ point) / max(point @ point, 1e-300)),
        )

    return after


def _with_prior(found: PointError, point: float, fraction: float) -> PointError:
    """Error of an estimate of which a prior at 0 has a fraction of the information."""
    return PointError((1 - fraction) * found.mean - fraction * point, (1 - fraction) * found.std)


def form_of(setting: Setting) -> str:
    """Form of the observer of a setting."""
    if not isinstance(setting.reference, ObserverSettings):
        raise ParameterError(f"{setting.reference} is no observer")
    return setting.reference.form


def predict_observers(
    spec: Specification, cells: Cells, alphas: Array, forms: Sequence[str] = FORMS
) -> Iterator[Candidate]:
    """One candidate per alpha and form, with the reads and forgetting that the rule gives for the drive.

    None where the specification gives a filter or a chopper.
    """
    if spec.steps < LEAST_STRETCHES or spec.filter is not None or spec.chopper is not None:
        return
    for alpha in alphas:
        loop = loop_of(spec, cells, float(alpha))
        rest = loop_of(spec, cells, float(alpha), optimum=True)
        typical = observed_cells(spec, cells, loop)
        middle, drive = typical[len(typical) // 2].cell, drive_of(spec, float(alpha))
        spread = float(np.nanstd(loop.point)) or 0.5
        advice = recommend_observer(middle, drive, steps=spec.steps, point_spread=spread)
        gamma = gamma_by_rule(spec, float(alpha), float(np.nanmean(loop.response)))
        beta = gamma * WEIGHT_TIMES / spec.steps
        every = max(1, min(advice.every, int(_LARGEST_BLOCK * gamma / beta)))
        for form in forms:
            reference = ObserverSettings(form=form, forgetting=advice.forgetting)
            setting = Setting(float(alpha), None, reference, every)
            yield predict_observer(spec, cells, (loop, rest), setting, gamma, beta)


def predict_observer(
    spec: Specification, cells: Cells, loops: tuple[Loop, Loop], setting: Setting, gamma: float, beta: float
) -> Candidate:
    """The candidate of one setting."""
    loop, rest = loops
    after = error_after(spec, cells, loop, setting)
    found = after(float(spec.steps))
    about, trained = loop.predict(1.0), training(spec, rest, setting.chopper, gamma)
    spread = np.sqrt(about.var_p + spec.read_noise**2)
    reach = float(np.nanmean(mean_size(about.demodulated, spread)))
    typical = observed_cells(spec, cells, loop)
    error = observer_error(
        typical[len(typical) // 2].cell,
        drive_of(spec, setting.alpha),
        every=setting.every,
        forgetting=setting.eta,
        steps=float(spec.steps),
        form=form_of(setting),
    )
    values = {
        "bias": found.bias,
        "rms": found.rms,
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


def _settling(after: Callable[[float], ErrorAfter], every: int, most: int) -> float:
    """Fewest steps after which at most `SETTLED` of the start offset is left; infinite beyond the run."""
    low, high = float(every), float(most)
    if abs(after(high).left) > SETTLED:
        return float("inf")
    while high - low > max(1.0, 0.01 * high):
        middle = (low + high) / 2
        low, high = (middle, high) if abs(after(middle).left) > SETTLED else (low, middle)
    return float(round(high))
