"""A device at work: its response curves, its symmetric points, and a few of its cells under pulses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.crossbar.array import Crossbar
from sptrack.crossbar.pair import OneSidedPair
from sptrack.crossbar.protocol import PulsedArray
from sptrack.devices.cells import Cells
from sptrack.devices.device import Device
from sptrack.devices.sampling import sample_cells
from sptrack.devices.statistics import ResponseCurves, response_curves, symmetric_points

Array = NDArray[Any]

_SHOWN = 4
_FEWEST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Portrait:
    """Contents of the picture of a device.

    Parameters
    ----------
    device : Device
        The device.
    curves : ResponseCurves
        Nominal responses and their spread over the array.
    points, targets : array [n]
        Internal symmetric points of the cells that have one, and the same as they are read (reference
        subtracted).
    legs : tuple of (str, int)
        Programs of the pulse train and their numbers of pulses.
    pulses : array [m]
        Pulses sent when the weights were read.
    weights : array [m, k]
        Weights of the first k cells (pairs of a one-sided device) as they are read.
    levels : array [k]
        Symmetric points of these cells as they are read, NaN where there is none.
    """

    device: Device
    curves: ResponseCurves
    points: Array
    targets: Array
    legs: tuple[tuple[str, int], ...]
    pulses: Array
    weights: Array
    levels: Array


def portrait(cells: Cells, *, seed: int = 0) -> Portrait:
    """Response curves, symmetric points and a pulse train (up, down, alternating) of an array's cells.

    The up and the down leg have twice the pulses that take the nominal cell from bound to bound at its mean
    step, the alternating leg has twice as many again.
    """
    device, curves = cells.device, response_curves(cells)
    points = symmetric_points(cells)
    targets = points if cells.reference is None else points - cells.reference
    used = curves.nominal[:1] if device.one_sided else curves.nominal
    leg = max(_FEWEST, round(2.0 * device.states / float(used.mean())))
    legs = (("up", leg), ("down", leg), ("alternating", 2 * leg))
    shown = sample_cells(device, (1, _SHOWN), seed=seed)
    array = (
        OneSidedPair.sample(device, (1, _SHOWN), seed=seed)
        if device.one_sided
        else Crossbar(shown, seed=seed)
    )
    pulses, weights = record_train(array, legs)
    levels = symmetric_points(shown)
    return Portrait(
        device=device,
        curves=curves,
        points=points.ravel(),
        targets=targets.ravel(),
        legs=legs,
        pulses=pulses,
        weights=weights[:, 0],
        levels=(levels if shown.reference is None else levels - shown.reference)[0],
    )


def record_train(
    array: PulsedArray, legs: Sequence[tuple[str, int]], *, samples: int = 400
) -> tuple[Array, Array]:
    """Send programs one after the other and read the array on the way.

    Parameters
    ----------
    array : PulsedArray
        The array, or a bench.
    legs : sequence of (str, int)
        Programs and their numbers of pulses.
    samples : int
        At most so many reads per leg; if pulses are left out, reads are an even number of pulses apart, so
        that an alternating leg is always seen after the same direction.

    Returns
    -------
    pulses [m], weights [m, R, C]
        Pulses sent when each read was taken, the first before any, and what was read (weight units).
    """
    sent, pulses, weights = 0, [0], [array.read()]
    for program, count in legs:
        every = -(-count // samples)
        every += every % 2 if every > 1 else 0
        for start in range(0, count, every):
            number = min(every, count - start)
            array.pulse(program, number)
            sent += number
            pulses.append(sent)
            weights.append(array.read())
    return np.array(pulses), np.stack(weights)
