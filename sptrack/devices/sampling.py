"""From a description to cells: device-to-device draws, given parameters, and files of measured ones."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sptrack.devices.cells import Cells, DriftRates, build_law
from sptrack.devices.device import (
    MAX_ASYMMETRY,
    MAX_DRIFT,
    Asymmetry,
    Device,
    OneSidedAsymmetry,
    Reference,
    SymmetricPoints,
)
from sptrack.errors import ParameterError
from sptrack.kernels import responses as laws
from sptrack.kernels.random import fill_normals, stream_key
from sptrack.values import as_seed, check_choice, check_whole, real_array

Array = NDArray[Any]

LOWEST_GAIN = 0.05
"""Gains and bounds drawn below this share of their nominal value are clipped to it and counted."""


def standard_normals(seed: int, stream: str, cells: int) -> Array:
    """Standard normals [cells] (float64 values of float32 draws) of a named device-to-device stream."""
    out = np.empty(cells, np.float32)
    fill_normals(out, stream_key(seed, f"device/{stream}"), np.uint32(0))
    return out.astype(np.float64)


def cells_shape(text: str) -> tuple[int, int]:
    """Rows and columns from "RxC".

    Raises
    ------
    ParameterError
        If the text is not two positive numbers joined by an x.
    """
    match = re.fullmatch(r"\s*([1-9]\d*)\s*[xX]\s*([1-9]\d*)\s*", text)
    if match is None:
        raise ParameterError(f"cells must be ROWSxCOLUMNS, such as 512x512, got {text!r}")
    return int(match[1]), int(match[2])


def sample_cells(device: Device, shape: tuple[int, int], *, seed: int = 0, dtype: Any = np.float32) -> Cells:
    """Draw the parameters of an R x C array of ``device``.

    Every parameter has a stream of its own: switching one spread off leaves the other draws as they were.

    Parameters
    ----------
    device : Device
        Description with its spread.
    shape : (int, int)
        Rows and columns, both at least 1.
    seed : int
        Root seed; the same seed gives the same cells.
    dtype : numpy dtype
        float32 (default) or float64: precision of the kernels.

    Returns
    -------
    Cells

    Raises
    ------
    ParameterError
        If the shape is not two positive integers, the seed no whole number from 0, or a requested symmetric
        point lies where a step vanishes.
    """
    return draw_cells(device, shape, as_seed(seed), dtype)


def draw_cells(device: Device, shape: tuple[int, int], seed: int, dtype: Any = np.float32) -> Cells:
    """`sample_cells` of any whole number as a seed; those below 0 are of arrays that come in pairs."""
    rows, columns = _checked_shape(shape)
    draw = partial(standard_normals, seed, cells=rows * columns)
    simulator = isinstance(device.spread.asymmetry, OneSidedAsymmetry)
    lower, upper, clipped = _bounds(device, draw, rows * columns, simulator)
    gain, gain_clipped = _gain(device, draw, rows * columns, simulator)
    up, down, skew_clipped = _scales(device, draw, gain, lower, upper)
    scales = np.stack([up * device.dw_min, down * device.dw_min, lower, upper])
    _corrupt(device, draw, scales)
    law = build_law(
        device.response,
        np.concatenate([scales, device.response.shape_rows(scales, device.spread.shape, draw)]),
        dtype,
    )
    cells = Cells(
        device=device,
        law=law,
        shape=(rows, columns),
        clip_fraction=float((clipped | gain_clipped | skew_clipped).mean()),
        drift=_drift(device, draw, scales, (rows, columns)),
    )
    return _subtract_reference(cells, device.reference, draw)


def _checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    try:
        rows, columns = shape
        for number in (rows, columns):
            check_whole("shape", number, 1)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"shape must be two positive numbers of cells, got {shape}") from error
    return int(rows), int(columns)


def _bounds(device: Device, draw: Any, n: int, simulator: bool) -> tuple[Array, Array, Array]:
    response, spread = device.response, device.spread
    factors = []
    for name, std in (("w_min", spread.w_min), ("w_max", spread.w_max)):
        factors.append(1.0 + std * draw(name) if std else np.ones(n))
    if simulator:
        bounds = np.stack([response.w_min * factors[0], response.w_max * factors[1]])
        return -np.abs(bounds.min(axis=0)), np.abs(bounds.max(axis=0)), np.zeros(n, bool)
    clipped = (factors[0] < LOWEST_GAIN) | (factors[1] < LOWEST_GAIN)
    low, high = (
        np.maximum(f, LOWEST_GAIN) * w for f, w in zip(factors, (response.w_min, response.w_max), strict=True)
    )
    crossed = ~(low < high)
    low, high = np.where(crossed, response.w_min, low), np.where(crossed, response.w_max, high)
    return low, high, clipped | crossed


def _gain(device: Device, draw: Any, n: int, simulator: bool) -> tuple[Array, Array]:
    std = device.spread.dw_min
    if not std:
        return np.ones(n), np.zeros(n, bool)
    xi = draw("dw_min")
    gain = np.exp(std * xi) if device.spread.log_normal else 1.0 + std * xi
    if simulator:
        return gain, np.zeros(n, bool)
    return np.maximum(gain, LOWEST_GAIN), gain < LOWEST_GAIN


def _scales(device: Device, draw: Any, gain: Array, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
    asymmetry = device.spread.asymmetry
    if isinstance(asymmetry, SymmetricPoints):
        skew, clipped = _skew_for_points(device, asymmetry, draw, lower, upper)
        return gain * (1.0 + skew), gain * (1.0 - skew), clipped
    r = asymmetry.std * draw("asymmetry") if asymmetry.std else np.zeros(gain.shape)
    if isinstance(asymmetry, OneSidedAsymmetry):
        up, down = gain + min(asymmetry.mean, 0.0) + r, gain - max(asymmetry.mean, 0.0) - r
        return np.abs(up), np.abs(down), np.zeros(gain.shape, bool)
    return _clip_asymmetry(asymmetry, r, gain)


def _clip_asymmetry(asymmetry: Asymmetry, r: Array, gain: Array) -> tuple[Array, Array, Array]:
    drawn = asymmetry.mean + r
    limit = MAX_ASYMMETRY * gain
    clipped = np.abs(drawn) > limit
    r = np.clip(drawn, -limit, limit)
    return gain + r, gain - r, clipped


def _skew_for_points(
    device: Device, points: SymmetricPoints, draw: Any, lower: Array, upper: Array
) -> tuple[Array, Array]:
    """r/g that puts the symmetric points where requested, by the family's steps, and which were clipped."""
    response = device.response
    xi = draw("symmetric_point") if points.std else np.zeros(lower.shape)
    middle, half = 0.5 * (response.w_min + response.w_max), 0.5 * (response.w_max - response.w_min)
    drawn = points.mean + points.std * xi
    point = np.clip(drawn, middle - points.limit * half, middle + points.limit * half)
    unit = np.stack([np.ones(lower.size), np.ones(lower.size), lower, upper])
    rows = np.concatenate([unit, response.shape_rows(unit, device.spread.shape, draw)])
    trial = Cells(device=device, law=build_law(response, rows, np.float64), shape=(1, lower.size))
    up, down = (step[:, 0] for step in trial.steps(np.stack([lower, point, upper])[:, None]))
    ratio = np.divide(down[1], up[1], out=np.zeros(lower.shape), where=up[1] > 0)
    crosses = (down[0] < ratio * up[0]) & (down[2] > ratio * up[2])
    bad = ~((ratio > 0) & crosses & (point > lower) & (point < upper))
    if bad.any():
        raise ParameterError(
            f"symmetric point {point[bad][0]:.4g} is not one that {response.family} can have "
            f"(bounds {lower[bad][0]:.4g} .. {upper[bad][0]:.4g}): lower asymmetry.std or asymmetry.limit"
        )
    return (ratio - 1.0) / (ratio + 1.0), drawn != point


def _corrupt(device: Device, draw: Any, scales: Array) -> None:
    spread = device.spread
    if not spread.corrupt:
        return
    from scipy.special import ndtr

    stuck = ndtr(draw("corrupt")) < spread.corrupt
    value = (2.0 * ndtr(draw("corrupt-value")) - 1.0) * spread.corrupt_range
    value = np.clip(value, scales[laws.LOWER], scales[laws.UPPER])
    scales[: laws.LOWER, stuck] = 0.0
    scales[laws.LOWER :, stuck] = value[stuck]


def _drift(device: Device, draw: Any, scales: Array, shape: tuple[int, int]) -> DriftRates | None:
    """Rates of every cell; 0 where it is stuck."""
    drift = device.drift
    if drift is None:
        return None
    free = (scales[laws.LOWER] < scales[laws.UPPER]).reshape(shape)

    def rate(stream: str, mean: float, std: float) -> Array:
        drawn = mean + std * draw(stream) if std else np.full(free.size, mean)
        return np.asarray(np.clip(drawn, -MAX_DRIFT, MAX_DRIFT).reshape(shape) * free)

    return DriftRates(
        rate("drift-pulse", drift.per_pulse, drift.per_pulse_std),
        rate("drift-step", drift.per_step, drift.per_step_std),
        drift.walk * free,
    )


def _subtract_reference(cells: Cells, reference: Reference | None, draw: Any) -> Cells:
    if reference is None:
        return cells
    error = reference.std * draw("reference") if reference.std else np.zeros(cells.size)
    map_ = (reference.mean + error).reshape(cells.shape)
    if reference.subtract:
        map_ = map_ + np.nan_to_num(cells.symmetric_point, nan=0.0)
    return cells.with_reference(map_)


def cells_from_parameters(
    device: Device,
    parameters: Mapping[str, ArrayLike],
    *,
    reference: ArrayLike | None = None,
    dtype: Any = np.float32,
) -> Cells:
    """Cells from given per-cell parameters, drawn or measured elsewhere.

    Parameters
    ----------
    device : Device
        Gives family, shared shape parameters, granularity, noise and the mean rates of its drift; spreads
        are not used.
    parameters : mapping of str to array [R, C]
        ``step_up``, ``step_down`` (scale of the step, weight units), ``w_max``, ``w_min`` (bounds), and the
        family's own rows, where they differ from the nominal ones: `Response.row_names`. Missing ones are
        nominal.
    reference : array [R, C] or None
        Weight subtracted from reads.
    dtype : numpy dtype
        Precision of the kernels.

    Raises
    ------
    ParameterError
        Unknown name, shapes that differ, or values that are not finite, negative scales, or crossed bounds.
    """
    response = device.response
    nominal = {
        "step_up": device.dw_min,
        "step_down": device.dw_min,
        "w_min": response.w_min,
        "w_max": response.w_max,
    }
    own = response.row_names()
    for name in parameters:
        check_choice("per-cell parameter", name, (*nominal, *own))
    arrays = {name: real_array(value, f"per-cell parameter {name!r}") for name, value in parameters.items()}
    shapes = {value.shape for value in arrays.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise ParameterError(f"per-cell parameters must have one shape (R, C), got {sorted(shapes)}")
    (shape,) = shapes
    scales = np.stack(
        [np.broadcast_to(arrays.get(name, value), shape).ravel() for name, value in nominal.items()]
    )
    _check_scales(scales, shape)
    rows = np.array(response.shape_rows(scales, 0.0, lambda name: np.zeros(scales.shape[1])))
    for k, name in enumerate(own):
        if name in arrays:
            rows[k] = arrays[name].ravel()
    law = build_law(response, np.concatenate([scales, rows]), dtype)
    drift = _drift(device, lambda name: np.zeros(scales.shape[1]), scales, (shape[0], shape[1]))
    cells = Cells(device=device, law=law, shape=(shape[0], shape[1]), drift=drift)
    return cells.with_reference(reference)


def _check_scales(scales: Array, shape: tuple[int, ...]) -> None:
    ok = (
        np.isfinite(scales).all(axis=0)
        & (scales[:2] >= 0).all(axis=0)
        & (scales[laws.LOWER] <= scales[laws.UPPER])
    )
    if not ok.all():
        cell = int(np.argmin(ok))
        up, down, low, high = scales[:, cell]
        raise ParameterError(
            f"cell {divmod(cell, shape[1])}: step_up {up:g}, step_down {down:g}, bounds {low:g} .. {high:g}: "
            "values must be finite, steps >= 0 and w_min <= w_max"
        )


def load_map(path: str | Path) -> Array:
    """A per-cell map [R, C] (symmetric points, a parameter) from a ``.npy`` or ``.csv`` file, float64.

    Raises
    ------
    ParameterError
        If the file is missing, of another kind, not a table of finite numbers (the row is named), or not 2-D.
    """
    path = Path(path)
    if path.suffix not in (".npy", ".csv"):
        raise ParameterError(f"{path} must be a .npy or .csv file")
    try:
        values = np.asarray(np.load(path) if path.suffix == ".npy" else _read_csv(path), np.float64)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise ParameterError(f"{path}: {str(error).splitlines()[0]}") from error
    if values.ndim != 2 or values.size == 0:
        raise ParameterError(f"{path} must hold a table with two axes, got shape {values.shape}")
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise ParameterError(f"{path}: row {int(np.argmax(bad)) + 1} of the table is not finite")
    return values


def _read_csv(path: Path) -> Array:
    rows: list[list[float]] = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            row = [float(cell) for cell in line.split(",")]
        except ValueError as error:
            raise ValueError(f"row {number}: {error}") from error
        if rows and len(row) != len(rows[0]):
            raise ValueError(f"row {number}: {len(row)} values, the rows above have {len(rows[0])}")
        rows.append(row)
    return np.array(rows)
