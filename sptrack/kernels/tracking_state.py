"""What the fused tracking recursion works on: arrays, settings, state, and the scratch of one tile."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import allocating, inline
from sptrack.kernels.updates import pulse_scratch

Array = NDArray[Any]


class Drive(NamedTuple):
    """An array and how it is asked to move.

    ``draws`` hold keys and array number (the event is the step), ``size`` = (granularity, count law, slots),
    ``burst`` the application, ``wander`` what moves the cells besides pulses (`sptrack.kernels.drift`).
    """

    law: Any
    noise: Any
    draws: Any
    size: Any
    burst: bool
    wander: Any


class Rule(NamedTuple):
    """Settings of the recursion. Floats in the precision of the arrays.

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
    quantum: Any


class Noises(NamedTuple):
    """Std and key of the gradient noise and of the noise of reading P."""

    gradient: Any
    gradient_key: Any
    read: Any
    read_key: Any


class State(NamedTuple):
    """Everything that moves, one entry per cell.

    Internal weights ``main`` and ``fast``, the copy ``held`` of the reference, the transfer ``buffer``,
    ``flipped`` (1 from a flip of the chopper to the next read), the ``memory`` [slots, cells] of the
    reference estimator, whose row 0 is the reference Q, as read; of W and P [2, cells] the ``offset``
    (internal minus visible weight) and the write noise ``written`` in it, the visible symmetric point
    ``truth`` and the moves ``due`` of their curves.
    """

    main: Array
    fast: Array
    held: Array
    buffer: Array
    flipped: Array
    memory: Array
    offset: Array
    written: Array
    truth: Array
    due: Array


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
    """Scratch of one tile, one entry per cell; arrays of their own, so that loops over them vectorise."""

    cell_main: Array
    cell_fast: Array
    memory: Array
    main: Array
    fast: Array
    held: Array
    buffer: Array
    flip: Array
    chop: Array
    mix: Array
    gradient: Array
    wanted: Array
    read: Array
    offset_main: Array
    offset_fast: Array
    written_main: Array
    written_fast: Array
    truth_main: Array
    truth: Array
    due_main: Array
    due_fast: Array
    optimum: Array
    active: Array
    total: Array
    power: Array
    pulsed_main: Array
    pulsed_fast: Array
    pulses: Array
    place: Array
    group: Array
    words: Array
    normals: Array
    sums: Array
    pulse_main: Any
    pulse_fast: Any


GRADIENT_NOISE, READ_NOISE, BURST, WRITE, WALK = 4, 8, 12, 20, 28
"""First rows of normals that last for four steps; rows 0 to 3 are scratch. From `BURST` on four for W, then
four for P."""


@allocating
def room(arrays: Any, state: Any, size: Any) -> Any:
    """Scratch for tiles of ``size`` cells."""
    main, fast = arrays
    dtype = state.main.dtype
    return Tile(
        np.empty((main.law.cell.shape[0], size), dtype),
        np.empty((fast.law.cell.shape[0], size), dtype),
        np.zeros((state.memory.shape[0], size), dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, dtype),
        np.zeros(size, np.int32),
        np.zeros(size, np.int32),
        np.zeros(size, np.int32),
        np.zeros(size, np.uint32),
        np.zeros(size, np.int64),
        np.zeros((12, size), np.uint32),
        np.zeros((36, size), np.float32),
        np.zeros((3, size), dtype),
        pulse_scratch(main.law, state.main),
        pulse_scratch(fast.law, state.fast),
    )


@inline
def load(arrays: Any, state: Any, span: Any, start: Any, n: Any, t: Any) -> None:
    """Copy ``n`` cells from ``start`` on into the scratch."""
    main, fast = arrays
    groups = span.signs.shape[1]
    for i in range(n):
        k = start + i
        t.place[i] = np.uint32(k)
        t.group[i] = k % groups
        t.main[i] = state.main[k]
        t.fast[i] = state.fast[k]
        t.held[i] = state.held[k]
        t.flip[i] = state.flipped[k]
        t.buffer[i] = state.buffer[k]
        t.offset_main[i] = state.offset[0, k]
        t.offset_fast[i] = state.offset[1, k]
        t.written_main[i] = state.written[0, k]
        t.written_fast[i] = state.written[1, k]
        t.truth_main[i] = state.truth[0, k]
        t.truth[i] = state.truth[1, k]
        t.due_main[i] = state.due[0, k]
        t.due_fast[i] = state.due[1, k]
        t.optimum[i] = span.optimum[k]
        t.active[i] = 1
        t.pulsed_main[i] = 0
        t.pulsed_fast[i] = 0
        for row in range(t.cell_main.shape[0]):
            t.cell_main[row, i] = main.law.cell[row, k]
        for row in range(t.cell_fast.shape[0]):
            t.cell_fast[row, i] = fast.law.cell[row, k]
        for row in range(t.memory.shape[0]):
            t.memory[row, i] = state.memory[row, k]


@inline
def store(state: Any, pulsed: Any, start: Any, n: Any, t: Any) -> None:
    """Copy the scratch back; its pulses are added to ``pulsed`` [2, cells]."""
    for i in range(n):
        k = start + i
        pulsed[0, k] += t.pulsed_main[i]
        pulsed[1, k] += t.pulsed_fast[i]
        state.main[k] = t.main[i]
        state.fast[k] = t.fast[i]
        state.held[k] = t.held[i]
        state.flipped[k] = t.flip[i]
        state.buffer[k] = t.buffer[i]
        state.offset[0, k] = t.offset_main[i]
        state.offset[1, k] = t.offset_fast[i]
        state.written[0, k] = t.written_main[i]
        state.written[1, k] = t.written_fast[i]
        state.truth[0, k] = t.truth_main[i]
        state.truth[1, k] = t.truth[i]
        state.due[0, k] = t.due_main[i]
        state.due[1, k] = t.due_fast[i]
        for row in range(t.memory.shape[0]):
            state.memory[row, k] = t.memory[row, i]
