"""One chain of chopper, cells and filter in numbers and curves.

The chopper is measured with a sequence of its own for each cell (scope "cell"), so that the cells are
independent; the spectra are those of any scope.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks import (
    Block,
    Chopper,
    SignSource,
    corner,
    filter_times,
    group_delay,
    settling,
)
from sptrack.blocks import step_response as block_step_response
from sptrack.blocks.spec import spec_text
from sptrack.errors import ParameterError
from sptrack.evaluation.prediction import Linear, known_filter
from sptrack.evaluation.quantities import Quantity, quantity, value_of
from sptrack.intervals import positive_interval, student_interval
from sptrack.response.measures import Digital, measure
from sptrack.response.open_loop import OpenLoop, Record
from sptrack.results import dataset, provenance
from sptrack.spectrum import Spectrum, Welch
from sptrack.theory import settling as chain_settling
from sptrack.theory.chopping import chopped_power, sign_power
from sptrack.theory.closed_loop import Loop, Prediction

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]

TERMS = ("bias of Q", "chopped gradient in Q", "noise in Q", "rms error of Q", "rms error of P")
"""Parts of the error that are predicted; the first and the last two are measured as well."""
_SEGMENTS, _LEAST, _MAX_WAIT = (512, 4096), 8192, 20000
"""Shortest and longest segment of the spectra, fewest steps recorded, most waited before, steps."""
_POINTS, _STEPS_SHOWN, _SHIFT = 1200, 1500, 1e-3
"""Points of each half of the omega grid, steps shown, phase over which the delay is taken (rad)."""
_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChainResponse:
    """Response of a chain: result of `respond`.

    Attributes
    ----------
    quantities : tuple of Quantity
        Figures of merit in the order of the signal chain.
    warnings : tuple of str
        Why numbers may not hold.
    data : Dataset
        Curves: ``magnitude``, ``phase``, ``group_delay`` over omega; ``step_response`` over sample; densities
        of the chopped gradient and of what passes (``chopped``, ``passed``, each with ``_low``, ``_high``,
        ``_expected``) over bin, two-sided, per cycle per step; ``line_power`` over line; ``predicted``,
        ``measured``, ``measured_ci`` (95 %, over ``end``) over term, weight units. Of Q - w*: ``allan`` with
        ``_low``, ``_high``, ``_expected`` over averages, held spectra ``held_maximum``, ``held_minimum``,
        ``held_mean`` over bin, ``held_levels`` and ``held_expected`` (law of Gaussian noise) over percentile
        and bin. Aliases of the chopper ``folded_alias``, ``folded_level``, ``folded_decibels`` over
        folded_line; ``magnitude_fixed`` and ``fixed_error`` (of the complex gain)
        over omega where coefficients are rounded.
    """

    quantities: tuple[Quantity, ...]
    warnings: tuple[str, ...]
    data: xr.Dataset

    def __getitem__(self, name: str) -> float | None:
        """Value of the quantity ``name``; KeyError if there is none of that name."""
        return value_of(self.quantities, name)


def respond(low_pass: Block, driven: OpenLoop, digital: Digital | None = None) -> ChainResponse:
    """Figures of merit, curves and measured spectra of a filter behind chopped cells.

    Parameters
    ----------
    low_pass : LinearBlock or Chain of them
        Filter with a gain at omega = 0, one sample a step.
    driven : OpenLoop
        Chopper, cells and gradient.
    digital : Digital, optional
        Decimation and word length; default: a read each step, exact coefficients.

    Returns
    -------
    ChainResponse

    Raises
    ------
    ParameterError
        A filter without a frequency response or without gain at omega = 0; no cell with a symmetric point.
    ConvergenceError
        A filter whose impulse response does not decay.
    """
    chosen = linear_filter(low_pass)
    if not np.isfinite(driven.cells.symmetric_point).any():
        raise ParameterError("no cell of the device has a symmetric point inside its bounds")
    if isinstance(driven.chopper, Chopper):
        driven = replace(driven, chopper=replace(driven.chopper, scope="cell"))
    loop = driven.linear()
    prediction = loop.predict(known_filter(chosen), driven.chopper, read_noise=driven.reading_std)
    wait = chain_settling(loop, known_filter(chosen), tolerance=_TOLERANCE)
    longest = float(np.nanmax(wait))
    settled = longest <= _MAX_WAIT
    kept = _wait(chosen) + max(_LEAST, 8 * _segment(chosen))
    record = driven.record(kept, skip=int(longest) if settled else _MAX_WAIT)
    terms = _terms(loop, driven, chosen, prediction)
    q = chosen.process(record.error[:, np.isfinite(record.point)])[0][_wait(chosen) :]
    measured, ends = _measured(record, q, prediction, driven.reading_std)
    if not settled:
        measured[:], ends[:] = np.nan, np.nan
    told = () if driven.recording is None else driven.recording.warnings_over(driven.cells.size)
    late = f"settling takes {longest:.3g} steps: the errors were not measured, only predicted"
    welch, omega = Welch(segment=_segment(chosen), centre="none"), _grid(chosen)
    side = digital or Digital()
    added = measure(chosen, driven, q, side, welch=welch, omega=omega)
    data = _dataset(chosen, driven, record, side, {"predicted": terms, "measured": measured, "ends": ends})
    return ChainResponse(
        quantities=(
            *_filter_quantities(chosen),
            *_chopper_quantities(driven.chopper, chosen),
            *_device_quantities(loop, driven, prediction, terms, float(np.nanmean(wait))),
            *added.quantities,
        ),
        warnings=(*prediction.warnings, *(() if settled else (late,)), *told, *added.warnings),
        data=data.assign(added.variables).assign_coords(added.coordinates),
    )


def linear_filter(low_pass: Block) -> Linear:
    """Settled form of a filter: linear and time-invariant (ParameterError if it is neither)."""
    settled: Linear = low_pass.settled
    return settled


def _filter_quantities(low_pass: Linear) -> tuple[Quantity, ...]:
    times = filter_times(low_pass)
    return (
        quantity(
            "dc_gain",
            float(np.real(low_pass.frequency_response(np.zeros(1))[0])),
            "1",
            "gain of the filter at omega = 0",
        ),
        quantity("order", times.order, "1", "degree of its transfer function"),
        quantity("stage_time", times.stage_time, "steps", "time constant of each stage (slowest pole)"),
        quantity("corner", times.corner, "rad/step", "omega at which it passes half the power (-3 dB)"),
        quantity("corner_time", times.corner_time, "steps", "1 / corner: time constant of the whole filter"),
        quantity("enbw", times.enbw, "cycles/step", "equivalent noise bandwidth, two-sided"),
        quantity("noise_time", times.noise_time, "steps", "time constant of the EMA with that bandwidth"),
        quantity("group_delay", times.delay, "steps", "group delay at omega = 0"),
        quantity("settling", times.settling, "steps", "its step response is within 1 % after so many"),
    )


def chopper_omega(chopper: SignSource) -> float | None:
    """Frequency of a chopper's power (rad per sample): its strongest line off 0, or its density's corner.

    A telegraph's density is half that at omega = 0 where cos omega = (4 r - 1 - r^2)/(2 r), r = 1 - 2 p; None
    if it nowhere is, or if nothing moves.
    """
    lines = chopper.lines()
    moving = lines.omega > 0
    if moving.any():
        return float(lines.omega[moving][np.argmax(lines.power[moving])])
    if not isinstance(chopper, Chopper) or chopper.p in (0, 0.5, 1):
        return None
    r = 1 - 2 * chopper.p
    cosine = (4 * r - 1 - r**2) / (2 * r)
    return float(np.arccos(cosine)) if abs(cosine) <= 1 else None


def _chopper_quantities(chopper: SignSource, low_pass: Linear) -> tuple[Quantity, ...]:
    place = chopper_omega(chopper)
    level = None if place is None else float(np.abs(low_pass.frequency_response(np.array([place])))[0])
    decibel = None if not level else 20 * float(np.log10(level))
    flips = (1 - float(chopper.autocorrelation(1))) / 2
    return (
        quantity("flips", flips, "1/step", "sign changes of the chopper per step"),
        quantity("chopper_omega", place, "rad/step", "its strongest line, or the corner of its density"),
        quantity("gain_there", decibel, "dB", "gain of the filter at that omega"),
        quantity(
            "chopped_fraction",
            sign_power(chopper, known_filter(low_pass)),
            "1",
            "share of the chopper's power that passes",
        ),
    )


def _rms(values: Array) -> float:
    return float(np.sqrt(np.nanmean(values)))


def _terms(loop: Loop, driven: OpenLoop, low_pass: Linear, prediction: Prediction) -> Array:
    """Predicted `TERMS`, root mean squares over the cells (the bias: its mean), weight units."""
    chopped = loop.chopped**2 * chopped_power(loop.pole, driven.chopper, known_filter(low_pass))
    return np.array(
        [
            float(np.nanmean(prediction.bias)),
            _rms(chopped),
            _rms(prediction.var_q - chopped),
            _rms(prediction.rms_q**2),
            _rms(prediction.rms_p**2 + driven.reading_std**2),
        ]
    )


def _measured(record: Record, q: Array, prediction: Prediction, reading_std: float) -> tuple[Array, Array]:
    """Measured `TERMS`, and their 95 % intervals [terms, 2] over the cells.

    The cells differ, and so do their predictions: the scatter is that of measured less predicted.
    """
    live = np.isfinite(record.point)
    p = record.error[:, live]
    found = {0: q.mean(axis=0), 3: (q**2).mean(axis=0), 4: (p**2).mean(axis=0)}
    known = {0: prediction.bias, 3: prediction.rms_q**2, 4: prediction.rms_p**2 + reading_std**2}
    value, ends = np.full(len(TERMS), np.nan), np.full((len(TERMS), 2), np.nan)
    for k, each in found.items():
        expected = known[k].ravel()[live]
        expected = np.where(np.isfinite(expected), expected, 0.0)
        if k:
            value[k] = np.sqrt(each.mean())
            ends[k] = np.sqrt(positive_interval(each, expected=expected))
        else:
            value[k] = each.mean()
            ends[k] = value[k] + student_interval(each - expected) - np.mean(each - expected)
    return value, ends


def _device_quantities(
    loop: Loop, driven: OpenLoop, prediction: Prediction, terms: Array, wait: float
) -> tuple[Quantity, ...]:
    weight = "weight units"
    names = ("bias", "chopped_rms", "noise_rms", "reference_rms", "p_rms")
    meanings = (
        "mean of Q less the symmetric point",
        "rms of Q from the chopped gradient that passes",
        "rms of Q from gradient noise, whole pulses, reads",
        "rms of Q around the symmetric point, all together",
        "rms of the reads of P around the symmetric point",
    )
    signal = float(np.sqrt(np.nanmean(prediction.demodulated**2)))
    return (
        quantity("pulses", float(np.nanmean(loop.pulses)), "pulses/step", "pulses on a cell of P"),
        quantity("loop_pole", float(np.nanmean(loop.pole)), "1", "a = 1 - alpha E|g| G', mean of the cells"),
        quantity("chain_settling", wait, "steps", "cells and filter: mean of Q within 1 % of a start offset"),
        quantity("signal", signal, weight, "what the mean gradient leaves on P, demodulated"),
        *(
            quantity(name, value, weight, meaning)
            for name, value, meaning in zip(names, terms.tolist(), meanings, strict=True)
        ),
    )


def _wait(low_pass: Linear) -> int:
    """Outputs of a filter from rest that are not used."""
    return min(settling(low_pass, _TOLERANCE), _MAX_WAIT)


def _segment(low_pass: Linear) -> int:
    """Samples of a segment that resolve the filter's corner: a power of two."""
    wanted = 8 * np.pi / (corner(low_pass) or np.pi)
    return int(np.clip(2 ** np.ceil(np.log2(wanted)), *_SEGMENTS))


def _grid(low_pass: Linear) -> Array:
    """Omega from far below the corner to pi, evenly spaced on a logarithmic and on a linear scale."""
    lowest = min(1e-2, (corner(low_pass) or 0.1) / 30)
    return np.unique(np.append(np.geomspace(lowest, np.pi, _POINTS), np.linspace(lowest, np.pi, _POINTS)))


def delay_curve(low_pass: Linear, omega: Array) -> Array:
    """Group delay in samples at ``omega`` [n], from the phase over a thousandth of a rad.

    `sptrack.blocks.group_delay` sums the impulse response, which takes long for slow filters at many points.
    """
    step = _SHIFT / (1 + abs(float(group_delay(low_pass))))
    after, before = (low_pass.frequency_response(omega + end * step) for end in (1, -1))
    return np.asarray(-np.angle(after * np.conj(before)) / (2 * step))


def _dataset(
    low_pass: Linear, driven: OpenLoop, record: Record, digital: Digital, terms: dict[str, Array]
) -> xr.Dataset:
    omega = _grid(low_pass)
    response = low_pass.frequency_response(omega)
    shown = int(np.clip(2.5 * settling(low_pass, _TOLERANCE), 20, 1 << 20))
    sample = np.unique(np.linspace(0, shown - 1, _STEPS_SHOWN).astype(int))
    lines = driven.chopper.lines()
    upper = lines.omega >= 0
    variables = {
        "magnitude": (("omega",), np.abs(response), {"units": "1"}),
        "phase": (("omega",), np.unwrap(np.angle(response)), {"units": "rad"}),
        "group_delay": (("omega",), delay_curve(low_pass, omega), {"units": "steps"}),
        "step_response": (("sample",), block_step_response(low_pass, shown)[sample], {"units": "1"}),
        "line_power": (("line",), lines.power[upper] * driven.powers[0], {"units": "gradient units squared"}),
        "predicted": (("term",), terms["predicted"], {"units": "weight units"}),
        "measured": (("term",), terms["measured"], {"units": "weight units"}),
        "measured_ci": (("term", "end"), terms["ends"], {"units": "weight units"}),
    }
    spectra, bins = _spectra(low_pass, driven, record)
    coordinates = {
        "omega": (("omega",), omega, {"units": "rad per step"}),
        "sample": (("sample",), sample + 1, {"units": "steps"}),
        "bin": (("bin",), bins, {"units": "rad per step"}),
        "line": (("line",), lines.omega[upper], {"units": "rad per step"}),
        "term": (("term",), list(TERMS), {}),
    }
    mean, variance = driven.powers
    parameters = {
        "filter": spec_text(low_pass),
        "chopper": spec_text(driven.chopper),
        "device": driven.cells.device.source.name,
        "cells": driven.cells.size,
        "gradient": {"mean": mean**0.5, "std": variance**0.5},
        "alpha": driven.alpha,
        "law": driven.law,
        "corner": corner(low_pass),
        "chopper_omega": chopper_omega(driven.chopper),
        "settling": settling(low_pass, _TOLERANCE),
        "decimate": digital.every,
        "coefficient_bits": digital.bits,
        "rounding": digital.rounding,
    }
    return dataset(variables | spectra, coordinates, provenance(seed=driven.seed, parameters=parameters))


def _spectra(low_pass: Linear, driven: OpenLoop, record: Record) -> tuple[dict[str, Any], Array]:
    """Densities of the chopped gradient, and of what of it passes, measured and expected, by bin."""
    chopper, welch = driven.chopper, Welch(segment=_segment(low_pass), centre="none")
    mean, noise = driven.powers
    lines = chopper.lines()
    chopped = record.chopped.astype(np.float64)
    passed = low_pass.process(chopped)[0]

    def density(omega: Array) -> Array:
        return np.asarray(mean * chopper.psd(omega) + noise)

    def behind(omega: Array) -> Array:
        return np.asarray(np.abs(low_pass.frequency_response(omega)) ** 2 * density(omega))

    power = mean * lines.power
    through = power * np.abs(low_pass.frequency_response(lines.omega)) ** 2
    found: dict[str, tuple[Spectrum, Array]] = {
        "chopped": (welch.estimate(chopped), welch.expected(density, (lines.omega, power))),
        "passed": (welch.estimate(passed[_wait(low_pass) :]), welch.expected(behind, (lines.omega, through))),
    }
    units = {"units": "gradient units squared per cycle per step"}
    variables: dict[str, Any] = {}
    for name, (made, expected) in found.items():
        variables |= {
            name: (("bin",), made.density, units),
            f"{name}_low": (("bin",), made.low, units),
            f"{name}_high": (("bin",), made.high, units),
            f"{name}_expected": (("bin",), expected, units),
        }
    return variables, welch.omega
