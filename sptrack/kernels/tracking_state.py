"""Data of the fused tracking recursion: arrays, settings, state, and the scratch of one tile."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import tile_function
from sptrack.kernels.updates import pulse_scratch, scratch_arrays

Array = NDArray[Any]


class Drive(NamedTuple):
    """An array and how it is asked to move.

    ``draws`` hold keys and array number (the event is the step), ``size`` = (granularity, count law, slots),
    ``burst`` the application, ``drift`` what moves the cells besides pulses (`sptrack.kernels.drift`).
    """

    law: Any
    noise: Any
    draws: Any
    size: Any
    burst: bool
    drift: Any


class Rule(NamedTuple):
    """Settings of the recursion. Floats in float32, but for ``quantum``.

    ``sync``: copy the reference at every step. ``direct``: gradient pulses straight onto W.
    ``read_every``: steps between reads of P. ``transfer_every``: steps between transfers. ``columns``: 0
    moves all cells at a transfer, else one of so many columns in turn. ``threshold``: 0 transfers
    directly, else the buffer sends whole pulses of which one is worth so much; ``keep`` of the buffer
    stays after a pulse (``forget``) or is not taken off; at most ``most`` pulses. ``quantum``: least
    difference of two values of Q, 0 for floating point.
    """

    alpha: Any
    beta: Any
    gamma: Any
    sync: bool
    direct: bool
    read_every: int
    transfer_every: int
    columns: int
    threshold: Any
    keep: Any
    forget: bool
    most: int
    quantum: float


class Noises(NamedTuple):
    """Std and key of the gradient noise and of the noise of reading P, array number of both."""

    gradient: Any
    gradient_key: Any
    read: Any
    read_key: Any
    array: Any


(
    W,
    P,
    REFERENCE_COPY,
    REFERENCE,
    BUFFER,
    FLIPPED,
    OFFSET,
    _,
    WRITTEN,
    _,
    POINT,
    _,
    DUE,
    _,
    CHOP,
    MIX,
    GRADIENT,
    WANTED,
    READ,
    OPTIMUM,
    SUMS,
    _,
    _,
    TOTAL,
    POWER,
) = range(25)
"""Rows of numbers of a cell: internal weights of W and P, the copy of the reference Q, Q itself, as read, the
transfer buffer, 1 from a flip of the chopper to the next read; of W and then of P the offset (internal minus
visible weight), the write noise in it, the visible symmetric point and the moves due of its curves. So far
they outlast a tile; then sign of the chopper, weight of the gradient, gradient, increment, read, optimum,
sums of three squared errors, and two rows of scratch."""
STATE_ROWS = (
    "w",
    "p",
    "reference_copy",
    "reference",
    "buffer",
    "flipped",
    "offset_w",
    "offset_p",
    "written_w",
    "written_p",
    "point_w",
    "point_p",
    "due_w",
    "due_p",
)
"""Names of the rows that last."""

PULSED, PULSES, ACTIVE, GROUP, INDEX = 0, 2, 3, 4, 5
"""Rows of whole numbers: pulses so far of W and of P, pulses of this event, whether the cell is read now,
group of the chopper, places of the cells that are read."""

GRADIENT_NOISE, READ_NOISE, BURST, WRITE, WALK = 4, 8, 12, 20, 28
"""First rows of normals that last for four steps; rows 0 to 3 are scratch. From `BURST` on four for W, then
four for P."""


class State(NamedTuple):
    """Everything that moves.

    ``rows`` [14, cells] (float32), see `STATE_ROWS`, and ``memory`` [slots, cells] (float64) of what finds
    the reference.
    """

    rows: Array
    memory: Array


class Reference(NamedTuple):
    """Finder of the reference Q from the reads of P: ``stages`` of a chain, or an ``observer``.

    ``register``: row of the memory that holds Q itself, which is rounded with it; -1 if there is none.
    """

    stages: Any
    observer: Any
    observes: bool
    register: int


class Span(NamedTuple):
    """Steps from ``first`` on; row 0 of ``signs`` [steps + 1, groups] is that of the step before.

    A cell belongs to group (cell mod groups). Every ``every`` steps a sample of the mean errors is taken;
    ``optimum`` [cells] is what W is compared with. ``added`` [steps or 0, 1 or cells] is added to the
    gradient.
    """

    first: int
    signs: Array
    every: int
    optimum: Array
    added: Array


class Tile(NamedTuple):
    """Scratch of one tile of up to ``size`` cells.

    ``rows`` [25, size] (float32) and ``whole`` [6, size] (int32), see their names above; ``cells`` holds the
    parameters of W and, from row ``split`` on, of P; ``memory`` and ``some`` [slots, size] that of what finds
    the reference, for all cells and for those that are read; ``block`` [2, size] (float64) the reads, and the
    increments that an observer is told of, ``flips`` [1, size] (int8) the flips; ``place`` the numbers of the
    cells; ``words`` [12, size] and ``normals`` [36, size] random numbers; ``real``, ``unsigned``,
    ``signed``, ``length`` and ``send`` room for pulses (`sptrack.kernels.updates.scratch_views`).
    """

    rows: Array
    whole: Array
    cells: Array
    split: int
    memory: Array
    some: Array
    block: Array
    flips: Array
    place: Array
    words: Array
    normals: Array
    real: Array
    unsigned: Array
    signed: Array
    length: Array
    send: int


def tile_of(arrays: Any, slots: int, size: int) -> Tile:
    """Scratch for tiles of ``size`` cells."""
    w_rows, p_rows = (drive.law.cell.shape[0] for drive in arrays)
    drive = arrays[0]
    scratch = pulse_scratch(drive.law, drive.noise, drive.draws, np.zeros(1, np.float32))
    return Tile(
        np.zeros((POWER + 1, size), np.float32),
        np.zeros((INDEX + 1, size), np.int32),
        np.zeros((w_rows + p_rows, size), np.float32),
        w_rows,
        np.zeros((slots, size)),
        np.zeros((slots, size)),
        np.zeros((2, size)),
        np.zeros((1, size), np.int8),
        np.zeros(size, np.uint32),
        np.zeros((12, size), np.uint32),
        np.zeros((36, size), np.float32),
        *scratch_arrays(max(w_rows, p_rows)),
        scratch.pulse,
    )


@tile_function
def _copy_rows(source: Any, at: Any, target: Any, row: Any, start: Any, n: Any) -> None:
    """``n`` columns from ``at`` on of all rows of ``source`` to ``target``, from ``row`` and ``start`` on."""
    for k in range(source.shape[0]):
        for i in range(n):
            target[row + k, start + i] = source[k, at + i]


@tile_function
def load(law: Any, state: Any, span: Any, start: Any, n: Any, t: Any) -> None:
    """Copy ``n`` cells from ``start`` on into the scratch; ``law`` = parameters of W, of P."""
    groups, rows, whole, place = span.signs.shape[1], t.rows, t.whole, t.place
    for i in range(n):
        place[i] = np.uint32(start + i)
        rows[OPTIMUM, i] = span.optimum[start + i]
        whole[PULSED, i] = 0
        whole[PULSED + 1, i] = 0
        whole[ACTIVE, i] = 1
        whole[GROUP, i] = (start + i) % groups
    _copy_rows(state.rows, start, rows, 0, 0, n)
    _copy_rows(law[0], start, t.cells, 0, 0, n)
    _copy_rows(law[1], start, t.cells, t.split, 0, n)
    _copy_rows(state.memory, start, t.memory, 0, 0, n)


@tile_function
def store(state: Any, pulsed: Any, start: Any, n: Any, t: Any) -> None:
    """Copy the scratch back; its pulses are added to ``pulsed`` [2, cells]."""
    for i in range(n):
        pulsed[0, start + i] += t.whole[PULSED, i]
        pulsed[1, start + i] += t.whole[PULSED + 1, i]
    _copy_rows(t.rows[: state.rows.shape[0]], 0, state.rows, 0, start, n)
    _copy_rows(t.memory, 0, state.memory, 0, start, n)
