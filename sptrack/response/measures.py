"""Measures of the reference beside its error: held spectra, Allan deviation, aliases, fixed point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks import fixed_point
from sptrack.blocks.fixed_point import Rounding
from sptrack.evaluation.prediction import Linear
from sptrack.evaluation.quantities import Quantity, quantity
from sptrack.response.decimation import ChopperBudget, fold_chopper
from sptrack.response.open_loop import OpenLoop
from sptrack.spectrum import Welch, allan_deviation, expected_allan
from sptrack.theory.closed_loop import Loop
from sptrack.values import check_whole

Array = NDArray[Any]
Variables = dict[str, Any]

_WEIGHT, _DENSITY = {"units": "weight units"}, {"units": "weight units squared per cycle per step"}
_LEAST_OMEGA, _POINTS = 1e-7, 6000


@dataclass(frozen=True, slots=True, kw_only=True)
class Digital:
    """Digital side of a reference.

    Parameters
    ----------
    every : int
        Steps between reads of the filtered reference, at least 1.
    bits : int
        Word length of the filter's coefficients, 2 to 53; 0: exact.
    rounding : {"nearest", "floor", "zero"}
        See `sptrack.blocks.fixed_point`.

    Raises
    ------
    ParameterError
        A number below its range.
    """

    every: int = 1
    bits: int = 0
    rounding: Rounding = "nearest"

    def __post_init__(self) -> None:
        check_whole("every", self.every, 1)
        check_whole("bits", self.bits, 0)


class Measures(NamedTuple):
    """Quantities, warnings, variables and coordinates that `measure` adds to a response."""

    quantities: tuple[Quantity, ...]
    warnings: tuple[str, ...]
    variables: Variables
    coordinates: Variables


def measure(
    low_pass: Linear, driven: OpenLoop, q: Array, digital: Digital, *, welch: Welch, omega: Array
) -> Measures:
    """Measures of a settled reference.

    Parameters
    ----------
    low_pass : LinearBlock or Chain of them
        Filter.
    driven : OpenLoop
        Chopper, cells and gradient.
    q : array [steps, cells]
        Q - w* as recorded, weight units.
    digital : Digital
        Decimation and coefficients.
    welch : Welch
        Segments of the held spectra.
    omega : array [omega]
        Where the response of rounded coefficients is shown, rad per step.
    """
    loop = driven.linear()
    seen = _ReferenceDensity(loop, driven, low_pass)
    parts = (
        _allan(q, seen),
        _held(q, seen, welch),
        _folded(low_pass, driven, loop, digital.every),
        _fixed(low_pass, digital, omega),
    )
    return Measures(
        tuple(item for part in parts for item in part.quantities),
        tuple(text for part in parts for text in part.warnings),
        {name: entry for part in parts for name, entry in part.variables.items()},
        {name: entry for part in parts for name, entry in part.coordinates.items()},
    )


class _ReferenceDensity:
    """Density of Q - w*, mean over the cells: that of the reads, between points, times the filter's power."""

    def __init__(self, loop: Loop, driven: OpenLoop, low_pass: Linear) -> None:
        self.low_pass = low_pass
        self.chopper, self.loop, self.noise = driven.chopper, loop, driven.reading_std
        self.grid = np.append(0.0, np.geomspace(_LEAST_OMEGA, np.pi, _POINTS))
        made = loop.spectrum(self.grid, self.chopper, read_noise=self.noise)
        cells = made.density.reshape(-1, self.grid.size)
        self.cells = cells[np.isfinite(cells).all(axis=1)]
        self.reads = self.cells.mean(axis=0)
        power = np.nanmean(made.line_power.reshape(len(cells), -1), axis=0)
        self.lines = made.line_omega, power * self._passed(made.line_omega)

    def _passed(self, omega: Array) -> Array:
        return np.asarray(np.abs(self.low_pass.frequency_response(omega)) ** 2)

    def shares(self, omega: Array) -> Array:
        """Density of each cell over the mean [cells, points]."""
        each = np.stack([np.interp(omega, self.grid, one) for one in self.cells])
        return np.asarray(each / each.mean(axis=0))

    def __call__(self, omega: Array) -> Array:
        return np.asarray(np.interp(omega, self.grid, self.reads) * self._passed(omega))


def _allan(q: Array, seen: _ReferenceDensity) -> Measures:
    found = allan_deviation(q)
    variables: Variables = {
        "allan": (("averages",), found.deviation, _WEIGHT),
        "allan_low": (("averages",), found.low, _WEIGHT),
        "allan_high": (("averages",), found.high, _WEIGHT),
        "allan_expected": (("averages",), expected_allan(seen, found.averages, lines=seen.lines), _WEIGHT),
        "allan_freedom": (("averages",), found.freedom, {"units": "1"}),
    }
    return Measures((), (), variables, {"averages": (("averages",), found.averages, {"units": "steps"})})


def _held(q: Array, seen: _ReferenceDensity, welch: Welch) -> Measures:
    held = welch.held(q)
    mean = welch.expected(seen, seen.lines)
    variables: Variables = {
        "held_maximum": (("bin",), held.maximum, _DENSITY),
        "held_minimum": (("bin",), held.minimum, _DENSITY),
        "held_mean": (("bin",), held.mean, _DENSITY),
        "held_levels": (("percentile", "bin"), held.levels, _DENSITY),
        "held_expected": (("percentile", "bin"), mean * held.gaussian(seen.shares(held.omega)), _DENSITY),
    }
    percent = {"percentile": (("percentile",), list(held.percentiles), {"units": "percent"})}
    return Measures((), (), variables, percent)


def _folded(low_pass: Linear, driven: OpenLoop, loop: Loop, every: int) -> Measures:
    """Aliases of the chopper for a cell with the mean pole and the root mean square drive."""
    live = np.isfinite(loop.pole) & (np.abs(loop.pole) < 1)
    budget: ChopperBudget = fold_chopper(
        driven.chopper,
        low_pass,
        every,
        pole=float(loop.pole[live].mean()) if live.any() else 0.0,
        amplitude=float(np.sqrt(np.mean(loop.chopped[live] ** 2))) if live.any() else 0.0,
    )
    line = ("folded_line",)
    variables: Variables = {
        "folded_alias": (line, budget.alias, {"units": "rad per read"}),
        "folded_level": (line, budget.level, _WEIGHT),
        "folded_decibels": (line, np.maximum(budget.decibels, -400.0), {"units": "dB"}),
    }
    quantities: tuple[Quantity, ...] = ()
    if every > 1:
        told = f"read every {every} steps"
        quantities = (
            quantity(
                "alias_offset", budget.offset, "weight units", f"chopper lines at 0, worst phase, {told}"
            ),
            quantity("alias_ripple", budget.ripple, "weight units", f"rms of other chopper lines, {told}"),
            quantity("alias_band", budget.band, "weight units", "rms of a density below half a read cycle"),
            quantity("alias_folded", budget.folded, "weight units", "rms of a density folded from above"),
        )
    return Measures(
        quantities, (), variables, {"folded_line": (line, budget.omega, {"units": "rad per step"})}
    )


def _fixed(low_pass: Linear, digital: Digital, omega: Array) -> Measures:
    if not digital.bits:
        return Measures((), (), {}, {})
    made = fixed_point(low_pass, digital.bits, rounding=digital.rounding)
    worst, place = made.worst()
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = made.block.frequency_response(omega)
        off = np.abs(gain - low_pass.frequency_response(omega))
    unstable = (
        f"the filter is unstable with coefficients of {digital.bits} bits: pole at {made.pole:.6g}; use more "
        "bits or sections of lower order"
    )
    words = f"{digital.bits}-bit coefficients"
    return Measures(
        (
            quantity("fixed_pole", made.pole, "1", f"largest pole with {words}"),
            quantity("fixed_deviation", worst, "1", f"largest change of the complex gain by {words}"),
            quantity("fixed_omega", place, "rad/step", "omega of that change"),
        ),
        () if made.stable else (unstable,),
        {
            "magnitude_fixed": (("omega",), np.nan_to_num(np.abs(gain), nan=np.inf), {"units": "1"}),
            "fixed_error": (("omega",), np.nan_to_num(off, nan=np.inf), {"units": "1"}),
        },
        {},
    )
