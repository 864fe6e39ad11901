"""The tracking recursion, fused: gradient, pulses on P, read, transfer to W, reference, in one pass.

One step k, in this order, with the chopper sign c and the reference copy R ("Q tilde") of each cell:

    R <- Q                                     where c has flipped, or at every step (sync)
    g  = gradient at W + gamma c (P - R), plus noise
    P <- P, asked for -alpha c g               or W <- W, asked for -alpha g (plain SGD)
    d  = read of P - R
    W <- W, asked for beta c d                 through the buffer, if there is one; all cells or one column
    Q <- reference filter of the read

All weights here are internal; ``offset`` turns them into what is read. Source: Xiao et al. 2026, arXiv
2602.21321, eqs. (11), (12), (17), (18).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import allocating, inline, kernel
from sptrack.kernels.counts import counts_tile, event_words
from sptrack.kernels.estimators import update_reference
from sptrack.kernels.objectives import gradient
from sptrack.kernels.pulses import Draws
from sptrack.kernels.random import normals_tile, words_tile
from sptrack.kernels.updates import burst_tile, event_normals, sequence_tile

Array = NDArray[Any]

READS, PROGRAMS = 0, 1
"""Entries of the tally."""
ERROR_W, ERROR_MIX, ERROR_Q = 0, 1, 2
"""Metrics of a sample: squared distance of W and the mixed weight from the optimum, of Q from its target."""


class Drive(NamedTuple):
    """An array and how it is asked to move.

    ``draws`` hold keys and array number (the event is the step), ``size`` = (granularity, count law, slots),
    ``burst`` the application, ``offset`` [cells] internal minus read weight.
    """

    law: Any
    noise: Any
    draws: Any
    size: Any
    burst: bool
    offset: Array


class Rule(NamedTuple):
    """Settings of the recursion. Floats in the precision of the arrays.

    ``sync``: copy the reference at every step. ``direct``: gradient pulses straight onto W.
    ``read_every``: steps between reads of P. ``transfer_every``: steps between transfers. ``columns``: 0
    moves all cells at a transfer, else one of so many columns in turn. ``threshold``: 0 transfers
    directly, else the buffer sends whole pulses of which one is worth so much; ``keep`` of the buffer
    stays after a pulse (``forget``) or is not taken off; at most ``most`` pulses.
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


class Noises(NamedTuple):
    """Std and key of the gradient noise and of the noise of reading P."""

    gradient: Any
    gradient_key: Any
    read: Any
    read_key: Any


class State(NamedTuple):
    """Everything that moves, one entry per cell.

    Internal weights ``main`` and ``fast``, the copy ``held`` of the reference, the transfer ``buffer``,
    ``flipped`` (1 from a flip of the chopper to the next read), and the ``memory`` [slots, cells] of the
    reference estimator, whose row 0 is the reference Q, as read.
    """

    main: Array
    fast: Array
    held: Array
    buffer: Array
    flipped: Array
    memory: Array


class Span(NamedTuple):
    """Steps from ``first`` on; row 0 of ``signs`` [steps + 1, groups] is that of the step before.

    A cell belongs to group (cell mod groups). Every ``every`` steps a sample of the mean errors is taken;
    ``truth`` and ``optimum`` [cells] are what Q and W are compared with.
    """

    first: int
    signs: Array
    every: int
    truth: Array
    optimum: Array


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
    truth: Array
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


GRADIENT_NOISE, READ_NOISE = 4, 8
"""First rows of normals that last for four steps; rows 0 to 3 are scratch, bursts take those from 12 on."""


@allocating
def _room(arrays: Any, state: Any, size: Any) -> Any:
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
        np.zeros(size, np.int32),
        np.zeros(size, np.int32),
        np.zeros(size, np.int32),
        np.zeros(size, np.uint32),
        np.zeros(size, np.int64),
        np.zeros((12, size), np.uint32),
        np.zeros((20, size), np.float32),
        np.zeros((3, size), dtype),
    )


@inline
def _load(arrays: Any, state: Any, span: Any, start: Any, n: Any, t: Any) -> None:
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
        t.offset_main[i] = main.offset[k]
        t.offset_fast[i] = fast.offset[k]
        t.truth[i] = span.truth[k]
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
def _store(state: Any, pulsed: Any, start: Any, n: Any, t: Any) -> None:
    for i in range(n):
        k = start + i
        pulsed[0, k] += t.pulsed_main[i]
        pulsed[1, k] += t.pulsed_fast[i]
        state.main[k] = t.main[i]
        state.fast[k] = t.fast[i]
        state.held[k] = t.held[i]
        state.flipped[k] = t.flip[i]
        state.buffer[k] = t.buffer[i]
        for row in range(t.memory.shape[0]):
            state.memory[row, k] = t.memory[row, i]


@inline
def _chop(span: Any, k: Any, n: Any, t: Any) -> Any:
    """Signs of step ``k`` of the span into ``t.chop``; how many cells flip now.

    ``t.flip`` becomes 1 where the chopper has flipped since the last read.
    """
    sign, flip = t.chop, t.flip
    if span.signs.shape[1] == 1:
        now, flips = span.signs[k + 1, 0], span.signs[k + 1, 0] != span.signs[k, 0]
        for i in range(n):
            sign[i] = now
            flip[i] = 1 if flips else flip[i]
        return n if flips else 0
    flipped = 0
    for i in range(n):
        now, before = span.signs[k + 1, t.group[i]], span.signs[k, t.group[i]]
        sign[i] = now
        flip[i] = 1 if now != before else flip[i]
        flipped += 1 if now != before else 0
    return flipped


@inline
def _renew(t: Any, n: Any, first: Any, key: Any, step: Any, array: Any) -> None:
    """Normals of the four steps around ``step`` into the rows from ``first`` on (one draw per step)."""
    words_tile(t.words, n, key, np.uint32(step >> 2), np.uint32(0), t.place, array)
    z = t.normals[first : first + 4]
    normals_tile(z, t.words, n, 0)
    normals_tile(z, t.words, n, 1)


@inline
def _pulse(drive: Any, side: Any, n: Any, step: Any, fresh: Any, counted: Any, t: Any) -> None:
    """Send the pulses that ``t.wanted`` asks for, or, if ``counted``, those in ``t.pulses``.

    ``side`` = (parameters, weights, pulses so far, 0 for W or 1 for P). Words and normals that the step
    shares with its neighbours are made anew if ``fresh`` or at every fourth event.
    """
    cell, w, pulsed, which = side
    draws = Draws(drive.draws.noise, drive.draws.coin, drive.draws.array, np.uint32(step + 1))
    renew = fresh or draws.event & 3 == 0
    count = t.pulses[:n]
    if not counted:
        words = t.words[4 * which + 4 : 4 * which + 8]
        if renew:
            event_words(words, n, draws, t.place)
        counts_tile(t.wanted, n, drive.size, words[draws.event & 3], draws, t.place, count)
    if drive.burst:
        z = t.normals[4 * which + 12 : 4 * which + 16]
        if drive.noise.active and renew:
            event_normals(z, t.words, n, draws, t.place)
        burst_tile(drive.law, drive.noise, cell, w, z[draws.event & 3], count, (t.total, t.power))
    else:
        sequence_tile(drive.law, drive.noise, draws, cell, w, t.place, count, (t.normals, t.words))
    for i in range(n):
        pulsed[i] += abs(count[i])


@inline
def _mix(rule: Any, flipped: Any, n: Any, t: Any) -> None:
    """Renew the reference copy, then the weight at which the gradient is taken (as read) into ``t.mix``."""
    held, q = t.held, t.memory[0]
    if rule.sync:
        for i in range(n):
            held[i] = q[i]
    elif flipped > 0:
        for i in range(n):
            held[i] = q[i] if t.flip[i] != 0 else held[i]
    for i in range(n):
        main = t.main[i] - t.offset_main[i]
        fast = t.fast[i] - t.offset_fast[i]
        t.mix[i] = main + rule.gamma * t.chop[i] * (fast - held[i])


@inline
def _descend(arrays: Any, rule: Any, noises: Any, k: Any, step: Any, n: Any, t: Any) -> None:
    """Gradient pulses onto P, with the chopper's sign; or leave the increment of W in ``t.wanted``."""
    fast = arrays[1]
    g = t.gradient
    if noises.gradient > 0:
        if k == 0 or step & 3 == 0:
            _renew(t, n, GRADIENT_NOISE, noises.gradient_key, step, fast.draws.array)
        z = t.normals[GRADIENT_NOISE + (step & 3)]
        for i in range(n):
            g[i] += noises.gradient * z[i]
    if rule.direct:
        for i in range(n):
            t.wanted[i] = -rule.alpha * g[i]
        return
    for i in range(n):
        t.wanted[i] = -rule.alpha * t.chop[i] * g[i]
    _pulse(fast, (t.cell_fast, t.fast, t.pulsed_fast, 1), n, step, k == 0, False, t)


@inline
def _read(arrays: Any, rule: Any, noises: Any, k: Any, step: Any, n: Any, t: Any) -> Any:
    """Read P into ``t.read``: all cells, or those of the column whose turn it is (``t.active``); how many."""
    fast = arrays[1]
    number = n
    if rule.columns > 0:
        number = 0
        column = (step // rule.read_every) % rule.columns
        for i in range(n):
            mine = t.place[i] % rule.columns == column
            t.active[i] = 1 if mine else 0
            number += 1 if mine else 0
    for i in range(n):
        t.read[i] = t.fast[i] - t.offset_fast[i]
    if noises.read > 0:
        if k == 0 or rule.read_every > 1 or step & 3 == 0:
            _renew(t, n, READ_NOISE, noises.read_key, step, fast.draws.array)
        z = t.normals[READ_NOISE + (step & 3)]
        for i in range(n):
            t.read[i] += noises.read * z[i]
    return number


@inline
def _transfer(rule: Any, n: Any, t: Any) -> Any:
    """What W is to be moved by: ``t.wanted``, or, from the buffer, pulses in ``t.pulses`` (True)."""
    for i in range(n):
        beyond = t.chop[i] * (t.read[i] - t.held[i])
        t.wanted[i] = rule.beta * beyond if t.active[i] != 0 else 0
    if rule.threshold == 0:
        return False
    for i in range(n):
        level = t.buffer[i] + t.wanted[i]
        number = np.int32(level / rule.threshold)
        number = min(max(number, np.int32(-rule.most)), np.int32(rule.most))
        number = number if t.active[i] != 0 else np.int32(0)
        kept = rule.keep * level if rule.forget else level - (1 - rule.keep) * number * rule.threshold
        t.buffer[i] = kept if number != 0 else level
        t.pulses[i] = number
    return True


@inline
def _refer(estimator: Any, rule: Any, n: Any, t: Any) -> None:
    """Tell the reference estimator of the reads; Q is row 0 of its memory."""
    if rule.columns == 0:
        for i in range(n):
            update_reference(estimator, t.memory, i, t.read[i], t.flip[i] != 0)
        for i in range(n):
            t.flip[i] = 0
        return
    for i in range(n):
        if t.active[i] != 0:
            update_reference(estimator, t.memory, i, t.read[i], t.flip[i] != 0)
            t.flip[i] = 0


@inline
def _add_squares(sums: Any, a: Any, b: Any, n: Any) -> None:
    for i in range(n):
        error = a[i] - b[i]
        sums[i] += error * error


@inline
def _note(n: Any, t: Any) -> None:
    """Add the squared errors of this step (one loop each: more rows in one loop do not vectorise)."""
    shown = t.wanted
    for i in range(n):
        shown[i] = t.main[i] - t.offset_main[i]
    _add_squares(t.sums[ERROR_W], shown, t.optimum, n)
    _add_squares(t.sums[ERROR_MIX], t.mix, t.optimum, n)
    _add_squares(t.sums[ERROR_Q], t.memory[0], t.truth, n)


@kernel
def track(
    objective: Any, arrays: Any, rule: Any, estimator: Any, noises: Any, state: Any, span: Any, out: Any
) -> None:
    """Run the recursion over a span of steps, in place on ``state``, for the tiles first <= tile < last.

    ``arrays`` = (`Drive` of W, `Drive` of P). ``out`` = (first, last, tile size, errors [tiles, samples,
    3] (sums over the cells of a tile, averaged over the steps of a sample), tally [tiles, 2] and pulsed
    [2, cells] of W and P (both added to), work [samples of data]). An objective that is not separable
    needs one tile that holds all cells.
    """
    first, last, size, errors, tally, pulsed, work = out
    t = _room(arrays, state, size)
    steps = span.signs.shape[0] - 1
    for tile in range(first, last):
        start = tile * size
        n = min(size, state.main.shape[0] - start)
        _load(arrays, state, span, start, n, t)
        for k in range(steps):
            step = span.first + k
            flipped = _chop(span, k, n, t)
            _mix(rule, flipped, n, t)
            gradient(objective, t.mix[:n], t.gradient[:n], start, work)
            _descend(arrays, rule, noises, k, step, n, t)
            if not rule.sync:
                tally[tile, PROGRAMS] += flipped
            moves, counted = rule.direct, False
            if not rule.direct and (step + 1) % rule.read_every == 0:
                tally[tile, READS] += _read(arrays, rule, noises, k, step, n, t)
                moves = (step + 1) % rule.transfer_every == 0
                counted = _transfer(rule, n, t) if moves else False
                _refer(estimator, rule, n, t)
            if moves:
                fresh = k == 0 or rule.transfer_every > 1
                side = (t.cell_main, t.main, t.pulsed_main, 0)
                _pulse(arrays[0], side, n, step, fresh, counted, t)
            _note(n, t)
            if (k + 1) % span.every == 0:
                sample = (k + 1) // span.every - 1
                for metric in range(3):
                    total = 0.0
                    for i in range(n):
                        total += t.sums[metric, i]
                        t.sums[metric, i] = 0.0
                    errors[tile, sample, metric] = total / span.every
        _store(state, pulsed, start, n, t)
