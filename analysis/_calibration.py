"""Devices of figures 2 and 4 of Xiao et al. 2026, and the errors that calibration leaves in references."""

from functools import cache

import numpy as np

from sptrack.crossbar import Crossbar
from sptrack.devices import Asymmetry, Cells, Device, OneSidedAsymmetry, Reference, Spread, sample_cells

KINDS = ("array-wide", "per cell")
START = -0.5
"""Weight from which zero-shifting starts."""


def device(states: int, *, calibrated: bool) -> Device:
    """Published device with a number of states; where it is calibrated, reads are relative to its points."""
    asymmetry: Asymmetry = OneSidedAsymmetry(mean=0.4, std=0.08)
    spread = Spread(dw_min=0.3, log_normal=True, asymmetry=asymmetry)
    reference = Reference(subtract=True) if calibrated else None
    return Device(dw_min=2 / states, spread=spread, reference=reference)


def left_by_calibration(cells: Cells, pulses: int, seed: int) -> np.ndarray:
    """Error [R, C] that zero-shifting from `START` leaves; reads of ``cells`` are 0 at the true points."""
    array = Crossbar(cells, seed=seed, weights=START - cells.symmetric_point, threads=1)
    array.pulse("alternating", pulses)
    return np.asarray(array.read(), np.float64)


@cache
def array_shift(states: int, pulses: int, seed: int, side: int = 512) -> tuple[float, float]:
    """Offsets of the mean and std of an array of side x side cells that calibration leaves, weight units."""
    cells = sample_cells(device(states, calibrated=True), (side, side), seed=seed)
    points, error = cells.symmetric_point, left_by_calibration(cells, pulses, seed)
    return float(error.mean()), float((points + error).std() - points.std())


def errors(kind: str, pulses: int, states: int, tiles, seed: int) -> list[np.ndarray]:  # type: ignore[no-untyped-def]
    """Error of the reference in each tile after ``pulses`` of calibration, weight units.

    "array-wide": drawn for each cell, with the offsets of an array's mean and std as mean and std. "per
    cell": what is left in that very cell.
    """
    if kind == "per cell":
        return [left_by_calibration(tile.p_array.cells, pulses, seed) for tile in tiles]
    shift, widening = array_shift(states, pulses, seed)
    draw = np.random.default_rng([seed, pulses]).standard_normal
    return [shift + abs(widening) * draw(tile.shape) for tile in tiles]


def calibrate(trainer, kind: str, pulses: int, states: int, seed: int) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Put the errors of a calibration in; P starts where it left it. Returns the errors of all cells."""
    tiles = [tile for layer in trainer.layers for tile in layer.tiles]
    left = errors(kind, pulses, states, tiles, seed)
    for tile, error in zip(tiles, left, strict=True):
        tile.p_array.set_weights(error)
        tile.restore(tile.state() | {"reference": np.array(error.T)})
    return np.concatenate([error.ravel() for error in left])
