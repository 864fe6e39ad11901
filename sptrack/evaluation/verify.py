"""Bounds on zero-shifting checked by simulation, on devices of every response family.

A row compares one bound with one measurement: the bound's own quantity (`sptrack.theory.bounds.BoundKind`),
summed over the cells that meet its premises and averaged over independent runs of a float64 crossbar that
starts near the lower bound of every cell. Bounds speak of internal weights, so write noise and reference
are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.calibration.interface import Progress, check_counts
from sptrack.calibration.zero_shifting import PROGRAMS
from sptrack.crossbar.array import Crossbar
from sptrack.crossbar.threads import thread_count
from sptrack.devices.cells import Cells
from sptrack.devices.constants import local_derivatives, response_constants
from sptrack.devices.device import Device
from sptrack.devices.sampling import sample_cells
from sptrack.errors import ParameterError, nearest
from sptrack.evaluation.suite import CELLS, Case, suite
from sptrack.results import dataset, provenance
from sptrack.theory import BOUND_NAMES, Bound, zero_shifting_bounds
from sptrack.theory.bounds import Form
from sptrack.theory.zero_shifting import Mode
from sptrack.values import check_choice, check_whole

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[np.float64]
Variables = dict[str, tuple[str, list[Any], dict[str, str]]]

PULSES = (50, 500, 5000)
"""Pulse counts after which bounds are checked by default."""
STANDARD_ERRORS = 3.0
"""A bound holds when it is at least the measurement minus so many of its standard errors."""

_ROUNDING = 1e-9
_LANES, _FEWEST, _SAMPLES = 1024, 32, 64
_BURN_IN, _RELAXATIONS = 8, 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One bound against one measurement.

    Parameters
    ----------
    bound : str
        "T2.2", "TC.2", "TC.3" or "TC.4".
    form : str
        "corrected" or "printed".
    device : str
        Name of the device.
    dw : float
        Granularity dw_min, weight units.
    pulses : int
        Number of pulses N.
    measured : float
        Mean over the runs; dimensionless for T2.2 and TC.3, weight units squared for TC.2 and TC.4.
    bound_value : float
        Value of the bound after N pulses, same units.
    ratio : float
        bound_value / measured: 1 is as tight as can be.
    samples : int
        Independent runs; 1 where nothing is random.
    holds : bool
        Whether bound_value is at least measured minus three standard errors.
    """

    bound: str
    form: str
    device: str
    dw: float
    pulses: int
    measured: float
    bound_value: float
    ratio: float
    samples: int
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Result of `verify`.

    Parameters
    ----------
    rows : tuple of Row
        Every comparison that could be made.
    standard_errors : tuple of float
        Standard error of each row's measurement; 0 where nothing is random.
    notes : tuple of str
        Bounds without rows, or whose rows leave cells out, with the premise that fails.
    seed : int
        Root seed.
    """

    rows: tuple[Row, ...]
    standard_errors: tuple[float, ...]
    notes: tuple[str, ...]
    seed: int

    def labelled(self) -> xr.Dataset:
        """The report as a dataset, see `report_dataset`."""
        return report_dataset(self)

    @property
    def violations(self) -> tuple[Row, ...]:
        """Rows of corrected bounds that do not hold: the verdict. Printed forms never count."""
        return tuple(row for row in self.rows if row.form == "corrected" and not row.holds)

    def groups(self) -> list[list[int]]:
        """Indices of the rows of each device, bound and form, the tightest row first."""
        found: dict[tuple[str, str, str], list[int]] = {}
        for k, row in enumerate(self.rows):
            found.setdefault((row.device, row.bound, row.form), []).append(k)
        return [sorted(group, key=lambda k: self.rows[k].ratio) for group in found.values()]


def verify(
    devices: Sequence[str | Device] | None = None,
    *,
    printed: bool = False,
    pulses: Sequence[int] = PULSES,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Hold the bounds T2.2, TC.2, TC.3 and TC.4 against simulated zero-shifting.

    Parameters
    ----------
    devices : sequence of str or Device, or None
        Names of the `suite` and of presets, or descriptions; None: the suite. A preset or description runs
        at its own granularity with 64 cells drawn.
    printed : bool
        Also check the bounds as Xiao et al. 2026 (arXiv 2602.21321) print them.
    pulses : sequence of int
        Rising even pulse counts.
    seed : int
        Root seed of cells, coins and cycle noise.
    threads : int or None
        Devices run at a time; None: one per processor. The result does not depend on it.
    progress : callable or None
        Called with (runs done, runs in all), a run being one device at one granularity.

    Returns
    -------
    Report

    Raises
    ------
    ParameterError
        Unknown name (with the nearest one), a one-sided device, pulse counts that do not rise or are odd.
    """
    counts = check_counts(pulses, mode="cyclic")
    cases = list(suite().values()) if devices is None else [_find(device) for device in devices]
    forms: tuple[Form, ...] = ("corrected", "printed") if printed else ("corrected",)
    runs = [(case, dw) for case in cases for dw in case.granularities]
    rows: list[Row] = []
    errors: list[float] = []
    notes: list[str] = []
    with ThreadPoolExecutor(thread_count(threads)) as pool:
        jobs = pool.map(lambda run: _examine(run[0], run[1], forms, counts, seed), runs)
        for done, (checked, remarks) in enumerate(jobs, 1):
            rows += [row for row, _ in checked]
            errors += [error for _, error in checked]
            notes += remarks
            if progress is not None:
                progress(done, len(runs))
    return Report(rows=tuple(rows), standard_errors=tuple(errors), notes=tuple(notes), seed=seed)


def report_dataset(report: Report) -> xr.Dataset:
    """Rows of a report as a dataset with units and provenance, one entry of ``check`` per row.

    Raises
    ------
    ParameterError
        If the report has no rows.
    """
    if not report.rows:
        raise ParameterError("report without rows: at least 1 bound that applies is needed")
    units = {"dw": "weight units", "pulses": "pulses", "samples": "runs", "ratio": "1", "holds": "1"}
    units |= dict.fromkeys(("measured", "bound_value"), "1 (T2.2, TC.3) or weight units squared (TC.2, TC.4)")

    def column(name: str) -> list[Any]:
        return [getattr(row, name) for row in report.rows]

    variables: Variables = {name: ("check", column(name), {"units": unit}) for name, unit in units.items()}
    variables["standard_error"] = ("check", list(report.standard_errors), {"units": units["measured"]})
    labels: Variables = {name: ("check", column(name), {}) for name in ("bound", "form", "device")}
    devices = list(dict.fromkeys(row.device for row in report.rows))
    origin = provenance(seed=report.seed, parameters={"devices": devices, "notes": report.notes})
    return dataset(variables, labels, origin)


def _find(device: str | Device) -> Case:
    from sptrack.devices.config import device_named
    from sptrack.devices.presets import preset_names

    if isinstance(device, str):
        if device in suite():
            return suite()[device]
        names = (*suite(), *preset_names())
        if device not in names and not device.endswith(".toml"):
            close = nearest(device, names)
            raise ParameterError(
                f"unknown device {device!r}; choose from {', '.join(names)}, or a device file (.toml){close}"
            )
        device = device_named(device)
    if device.one_sided:
        raise ParameterError(f"device {device.source.name!r} is one-sided; bounds need up and down pulses")
    return Case(device=device, granularities=(device.dw_min,), cells=CELLS)


def _examine(
    case: Case, dw: float, forms: Sequence[Form], counts: Sequence[int], seed: int
) -> tuple[list[tuple[Row, float]], list[str]]:
    """Rows with their standard errors, and notes, of one device at one granularity."""
    device = replace(case.device, dw_min=dw, write_noise=0.0, reference=None)
    cells = sample_cells(device, (1, case.cells), seed=seed, dtype=np.float64)
    start = cells.lower + case.start * (cells.upper - cells.lower)
    constants = response_constants(cells)
    by_form = [zero_shifting_bounds(cells, start, form=form, constants=constants) for form in forms]
    bounds = [of_form[name] for name in BOUND_NAMES for of_form in by_form]
    rows = []
    for mode in ("stochastic", "cyclic"):
        wanted = [bound for bound in bounds if bound.kind.mode == mode and not bound.void]
        for count, found in _trajectory(cells, mode, start, counts, seed) if wanted else ():
            rows += [_compare(bound, case.name, dw, count, found) for bound in wanted]
    return rows, [f"{case.name}, dw {dw:g}: {remark}" for remark in _remarks(bounds)]


def _remarks(bounds: Sequence[Bound]) -> list[str]:
    """Bounds that leave cells out, those with the same reason together."""
    names: dict[str, list[str]] = {}
    for bound in bounds:
        kept, cells = int(bound.applies.sum()), bound.applies.size
        name = bound.name if bound.form == "corrected" else f"{bound.name} as printed"
        names.setdefault(f"{kept} of {cells} cells: {bound.reason}", []).append(name)
    return [f"{', '.join(group)}: for {text}" for text, group in names.items() if not text.endswith(": ")]


Found = dict[tuple[str, str], Array]
"""Squares [runs, cells] by the samples and the quantity of a `BoundKind`."""


def _compare(bound: Bound, device: str, dw: float, pulses: int, found: Found) -> tuple[Row, float]:
    squares = found[bound.kind.samples, bound.kind.quantity]
    measured, error = (float(v) for v in _mean(squares[:, bound.applies.ravel()].sum(axis=1)))
    value = bound.value(pulses)
    row = Row(
        bound=bound.name,
        form=bound.form,
        device=device,
        dw=dw,
        pulses=pulses,
        measured=measured,
        bound_value=value,
        ratio=value / measured if measured > 0 else math.inf,
        samples=len(squares),
        holds=bool(value * (1 + _ROUNDING) >= measured - STANDARD_ERRORS * error),
    )
    return row, error


def _mean(values: Array) -> tuple[Array, Array]:
    """Mean over axis 0 and its standard error (0 for a single value)."""
    runs = len(values)
    spread = values.std(axis=0, ddof=1) if runs > 1 else np.zeros(values.shape[1:])
    return np.asarray(values.mean(axis=0)), np.asarray(spread / math.sqrt(runs))


def repeated(cells: Cells, runs: int) -> Cells:
    """Every cell ``runs`` times, as an array [runs, cells]: rows are independent runs."""
    law = cells.law._replace(cell=np.tile(cells.law.cell, (1, runs)))
    return replace(cells, law=law, shape=(runs, cells.size), reference=None)


def _named(cells: Cells, mode: str) -> str:
    """Name of an array, so that devices, granularities and modes have draws of their own."""
    return f"{cells.device.source.name}/{cells.dw_min:g}/{mode}"


def _trajectory(
    cells: Cells, mode: str, start: Array, counts: Sequence[int], seed: int
) -> Iterator[tuple[int, Found]]:
    """Zero-shift from a start [1, cells] and yield after each even pulse count N what the bounds speak of.

    Averages over w_0 .. w_{N-1} and w_0, w_2 .. w_{N-2} are kept as running sums, a block of samples at a
    time.
    """
    random = mode == "stochastic" or cells.cycle_noise.std > 0
    many = repeated(cells, max(_FEWEST, _LANES // cells.size) if random else 1)
    weights = np.broadcast_to(start, many.shape)
    bar = Crossbar(many, seed=seed, weights=weights, name=_named(cells, mode), threads=1)
    every, after_down = np.zeros(many.shape), np.zeros(many.shape)
    square, sent = many.G(bar.hidden)[None] ** 2, 0
    for count in counts:
        for block in bar.stream(PROGRAMS[mode], count - sent, samples=_SAMPLES):
            squares = np.concatenate([square, many.G(block.weights) ** 2])
            every += squares[:-1].sum(axis=0)
            after_down += squares[:-1:2].sum(axis=0)
            square = squares[-1:]
        sent = count
        yield (
            count,
            {
                ("every pulse", "asymmetry"): every / count,
                ("after down", "asymmetry"): after_down / (count // 2),
                ("last", "offset"): (bar.hidden - many.symmetric_point) ** 2,
            },
        )


class Settled(NamedTuple):
    """Stationary offsets w - w* of zero-shifting, each [2, R, C]: after odd, then after even pulse counts.

    In cyclic mode these are the samples after an up and after a down pulse. Weight units.

    Attributes
    ----------
    mean, mean_error : ndarray
        Mean and its standard error.
    std, std_error : ndarray
        Standard deviation and its standard error.
    """

    mean: Array
    mean_error: Array
    std: Array
    std_error: Array


def settled_offsets(
    cells: Cells, mode: Mode, *, runs: int = 1024, seed: int = 0, threads: int | None = None
) -> Settled:
    """Measure where zero-shifting settles, and how much it fluctuates there.

    Every run starts at the symmetric point, waits 8 relaxation times 1/(dw_min G') and is sampled after
    each pulse for 40 more. Standard errors are those of the runs' averages, which are independent; for the
    standard deviation by the delta method, with the influence x^2 - 2 mean x of a run over 2 std.

    Parameters
    ----------
    cells : Cells
        Float64 cells that all have a symmetric point.
    mode : {"cyclic", "stochastic"}
        Pulse mode; cyclic starts with an up pulse.
    runs : int
        Independent runs of each cell, at least 2.
    seed : int
        Root seed.
    threads : int or None
        Threads of the kernels; None: one per processor.

    Returns
    -------
    Settled

    Raises
    ------
    ParameterError
        Unknown mode, fewer than 2 runs, or a cell without a symmetric point.
    """
    check_choice("mode", mode, PROGRAMS)
    check_whole("runs", runs, 2)
    if not np.isfinite(cells.symmetric_point).all():
        raise ParameterError("a cell without a symmetric point: every cell must have one to settle at")
    slope = local_derivatives(cells)
    relaxation = math.ceil(2 / (cells.dw_min * float(np.min(slope.plus + slope.minus))))
    point = cells.symmetric_point.reshape(1, -1)
    many = repeated(cells, runs)
    name = f"{_named(cells, mode)}/{cells.cycle_noise.std:g}"
    bar = Crossbar(many, seed=seed, weights=np.broadcast_to(point, many.shape), name=name, threads=threads)
    bar.pulse(PROGRAMS[mode], 2 * (_BURN_IN * relaxation // 2))
    first, second = np.zeros((2, *many.shape)), np.zeros((2, *many.shape))
    pairs = _RELAXATIONS * relaxation // 2
    for block in bar.stream(PROGRAMS[mode], 2 * pairs, samples=_SAMPLES):
        offsets = (block.weights - point).reshape(-1, 2, *many.shape)
        first += offsets.sum(axis=0)
        second += (offsets**2).sum(axis=0)
    return _settled(first.swapaxes(0, 1) / pairs, second.swapaxes(0, 1) / pairs, cells.shape)


def _settled(first: Array, second: Array, shape: tuple[int, int]) -> Settled:
    """Moments over the runs from each run's averages of x and x^2 [runs, 2, cells]."""
    mean, mean_error = _mean(first)
    std = np.sqrt(np.maximum(second.mean(axis=0) - mean**2, 0.0))
    _, influence_error = _mean(second - 2 * mean * first)
    with np.errstate(divide="ignore", invalid="ignore"):
        std_error = np.where(std > 0, influence_error / (2 * std), 0.0)
    return Settled(*(values.reshape(2, *shape) for values in (mean, mean_error, std, std_error)))
