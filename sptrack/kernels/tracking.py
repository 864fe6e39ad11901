"""The tracking recursion, fused: gradient, pulses on P, read, transfer to W, reference, in one pass.

One step k, in this order, with the chopper sign c and the reference copy R ("Q tilde") of each cell:

    R <- Q                                     where c has flipped, or at every step (sync)
    g  = gradient at W + gamma c (P - R), plus noise
    P <- P, asked for -alpha c g               or W <- W, asked for -alpha g (plain SGD)
    d  = read of P - R
    W <- W, asked for beta c d                 through the buffer, if there is one; all cells or one column
    Q <- reference filter of the read

All weights here are internal; their offset turns them into what is read. What depends on the kind of device,
objective or filter is called by address (`sptrack.kernels.pointers`). Source: Xiao et al. 2026, arXiv
2602.21321, eqs. (11), (12), (17), (18).
"""

from typing import Any, NamedTuple

import numpy as np
from numba import types

from sptrack.kernels._jit import kernel, tile_function
from sptrack.kernels.counts import counts_tile, event_words
from sptrack.kernels.drift import after_pulses, after_step
from sptrack.kernels.objectives import gradient
from sptrack.kernels.observers import POINT as OBSERVED
from sptrack.kernels.observers import observe, tell_drive
from sptrack.kernels.pointers import address, call
from sptrack.kernels.random import Draws, renew_normals
from sptrack.kernels.stages import FLUSH_EVERY, flush, run_stages
from sptrack.kernels.tracking_state import (
    ACTIVE,
    BUFFER,
    BURST,
    CHOP,
    DUE,
    FAST,
    FLIPPED,
    GRADIENT,
    GRADIENT_NOISE,
    GROUP,
    HELD,
    INDEX,
    MAIN,
    MIX,
    OFFSET,
    OPTIMUM,
    POINT,
    POWER,
    PULSED,
    PULSES,
    READ,
    READ_NOISE,
    REFERENCE,
    SUMS,
    TOTAL,
    WALK,
    WANTED,
    WRITE,
    WRITTEN,
    Drive,
    load,
    store,
)
from sptrack.kernels.updates import burst_tile, event_normals, sequence_tile

READS, PROGRAMS = 0, 1
"""Entries of the tally."""
ERROR_W, ERROR_MIX, ERROR_Q = 0, 1, 2
"""Metrics of a sample: squared distance of W and the mixed weight from the optimum, of Q from its target."""
_FIVE = types.UniTuple(types.int64, 5)


class Calls(NamedTuple):
    """Addresses of what a step calls: pulses, drift, gradient, reference."""

    pulse: int
    drift: int
    gradient: int
    refer: int


def calls_of(drive: Drive, reference: Any, rule: Any, gradient: int, tile: Any) -> Calls:
    """Addresses of the functions that a step is made of; ``gradient`` is that of the objective."""
    return Calls(
        address(_pulse, drive, _FIVE, tile),
        address(_drift, drive, _FIVE, tile),
        gradient,
        address(_refer, reference, rule, types.UniTuple(types.int64, 2), tile),
    )


@tile_function
def _side(which: Any, n: Any, t: Any) -> Any:
    """What drifts of W (0) or P (1), in the order of `after_pulses`."""
    cell = t.cells[: t.split] if which == 0 else t.cells[t.split :]
    rows = t.rows
    return (
        cell,
        rows[MAIN + which],
        rows[OFFSET + which],
        rows[WRITTEN + which],
        rows[POINT + which],
        rows[DUE + which],
    )


def _pulse(drive: Any, at: Any, t: Any) -> None:
    """Send the pulses that row `WANTED` asks for, or, if counted, those in row `PULSES`.

    ``at`` = (0 for W or 1 for P, cells, step, whether words and normals that the step shares with its
    neighbours must be made anew, which they are at every fourth event as well, whether counted).
    """
    which, n, step, fresh, counted = at
    draws = Draws(drive.draws.noise, drive.draws.coin, drive.draws.array, np.uint32(step + 1))
    renew = fresh != 0 or draws.event & 3 == 0
    count, side = t.whole[PULSES, :n], _side(which, n, t)
    cell, w = side[0], side[1]
    if counted == 0:
        words = t.words[4 * which + 4 : 4 * which + 8]
        if renew:
            event_words(words, n, draws, t.place)
        counts_tile(t.rows[WANTED], n, drive.size, words[draws.event & 3], draws, t.place, count)
    if drive.burst:
        z = t.normals[BURST + 4 * which : BURST + 4 * which + 4]
        if drive.noise.active and renew:
            event_normals(z, t.words, n, draws, t.place)
        burst_tile(drive.law, drive.noise, cell, w, z[draws.event & 3], count, (t.rows[TOTAL], t.rows[POWER]))
    else:
        sequence_tile(drive.law, drive.noise, draws, cell, w, t.place, count, t.pulses[which])
    pulsed = t.whole[PULSED + which]
    for i in range(n):
        pulsed[i] += abs(count[i])
    drawn = (t.normals[WRITE + 4 * which : WRITE + 4 * which + 4], t.words, renew)
    after_pulses(drive.drift, drawn, draws, t.place, count, side)


def _drift(drive: Any, at: Any, t: Any) -> None:
    """Drift of one step; ``at`` = (0 for W or 1 for P, cells, step, whether normals must be made anew, 0)."""
    which, n, step, fresh, _ = at
    draws = Draws(drive.draws.noise, drive.draws.coin, drive.draws.array, np.uint32(step))
    drawn = (t.normals[WALK + 4 * which : WALK + 4 * which + 4], t.words, fresh != 0 or step & 3 == 0)
    after_step(drive.drift, drawn, draws, t.place, n, _side(which, n, t))


@tile_function
def _chop(span: Any, k: Any, n: Any, t: Any) -> Any:
    """Signs of step ``k`` of the span into row `CHOP`; how many cells flip now.

    Row `FLIPPED` becomes 1 where the chopper has flipped since the last read.
    """
    sign, flip = t.rows[CHOP], t.rows[FLIPPED]
    if span.signs.shape[1] == 1:
        now, flips = span.signs[k + 1, 0], span.signs[k + 1, 0] != span.signs[k, 0]
        for i in range(n):
            sign[i] = now
        if flips:
            for i in range(n):
                flip[i] = 1
        return n if flips else 0
    flipped, group = 0, t.whole[GROUP]
    for i in range(n):
        now, before = span.signs[k + 1, group[i]], span.signs[k, group[i]]
        sign[i] = now
        flip[i] = 1 if now != before else flip[i]
        flipped += 1 if now != before else 0
    return flipped


@tile_function
def _mix(rule: Any, flipped: Any, n: Any, t: Any) -> None:
    """Renew the reference copy, then the weight at which the gradient is taken (as read) into row `MIX`."""
    held, q, flip = t.rows[HELD], t.rows[REFERENCE], t.rows[FLIPPED]
    if rule.sync:
        for i in range(n):
            held[i] = q[i]
    elif flipped > 0:
        for i in range(n):
            held[i] = q[i] if flip[i] != 0 else held[i]
    main, main_offset = t.rows[MAIN], t.rows[OFFSET]
    fast, fast_offset = t.rows[FAST], t.rows[OFFSET + 1]
    chop, mix = t.rows[CHOP], t.rows[MIX]
    for i in range(n):
        weight = main[i] - main_offset[i]
        beyond = fast[i] - fast_offset[i] - held[i]
        mix[i] = weight + rule.gamma * chop[i] * beyond


@tile_function
def _slope(arrays: Any, noises: Any, span: Any, k: Any, n: Any, t: Any) -> None:
    """Add what is added to the gradient, and its noise."""
    step, g = span.first + k, t.rows[GRADIENT]
    if span.added.shape[0] > 0:
        shared = span.added.shape[1] == 1
        for i in range(n):
            g[i] += span.added[k, 0 if shared else t.place[i]]
    if noises.gradient > 0:
        if k == 0 or step & 3 == 0:
            z = t.normals[GRADIENT_NOISE : GRADIENT_NOISE + 4]
            renew_normals(z, t.words, n, noises.gradient_key, step, t.place, arrays[1].draws.array)
        normal = t.normals[GRADIENT_NOISE + (step & 3)]
        for i in range(n):
            g[i] += noises.gradient * normal[i]


@tile_function
def _descend(rule: Any, n: Any, t: Any) -> None:
    """Increment that the gradient asks for, of P with the chopper's sign, or of W."""
    wanted, chop, g = t.rows[WANTED], t.rows[CHOP], t.rows[GRADIENT]
    if rule.direct:
        for i in range(n):
            wanted[i] = -rule.alpha * g[i]
    else:
        for i in range(n):
            wanted[i] = -rule.alpha * chop[i] * g[i]


@tile_function
def _tell(observer: Any, n: Any, t: Any) -> None:
    """Tell an observer what P was asked for in this step."""
    asked, wanted = t.block[1], t.rows[WANTED]
    for i in range(n):
        asked[i] = wanted[i]
    tell_drive(observer, t.memory, asked, t.whole[PULSES], n)


@tile_function
def _read(arrays: Any, rule: Any, noises: Any, k: Any, step: Any, n: Any, t: Any) -> Any:
    """Read P into row `READ`: all cells, or those of the column whose turn it is (`ACTIVE`); how many."""
    number = n
    if rule.columns > 0:
        number = 0
        column = (step // rule.read_every) % rule.columns
        for i in range(n):
            mine = t.place[i] % rule.columns == column
            t.whole[ACTIVE, i] = 1 if mine else 0
            number += 1 if mine else 0
    read, fast, offset = t.rows[READ], t.rows[FAST], t.rows[OFFSET + 1]
    for i in range(n):
        read[i] = fast[i] - offset[i]
    if noises.read > 0:
        if k == 0 or rule.read_every > 1 or step & 3 == 0:
            z = t.normals[READ_NOISE : READ_NOISE + 4]
            renew_normals(z, t.words, n, noises.read_key, step, t.place, arrays[1].draws.array)
        normal = t.normals[READ_NOISE + (step & 3)]
        for i in range(n):
            read[i] += noises.read * normal[i]
    return number


@tile_function
def _transfer(rule: Any, n: Any, t: Any) -> Any:
    """What W is to be moved by: row `WANTED`, or, from the buffer, pulses in row `PULSES` (1)."""
    wanted, chop, read, held = t.rows[WANTED], t.rows[CHOP], t.rows[READ], t.rows[HELD]
    active = t.whole[ACTIVE]
    for i in range(n):
        beyond = chop[i] * (read[i] - held[i])
        wanted[i] = rule.beta * beyond if active[i] != 0 else 0
    if rule.threshold == 0:
        return 0
    buffer, pulses = t.rows[BUFFER], t.whole[PULSES]
    for i in range(n):
        level = buffer[i] + wanted[i]
        number = np.int32(level / rule.threshold)
        number = min(max(number, np.int32(-rule.most)), np.int32(rule.most))
        number = number if active[i] != 0 else np.int32(0)
        kept = rule.keep * level if rule.forget else level - (1 - rule.keep) * number * rule.threshold
        buffer[i] = kept if number != 0 else level
        pulses[i] = number
    return 1


@tile_function
def _estimate(reference: Any, rule: Any, memory: Any, k: Any, n: Any, t: Any) -> None:
    """Read number ``k`` of n cells, in row 0 of the block, becomes their reference."""
    value = t.block[0]
    if reference.observes:
        observe(reference.observer, memory, value, n)
        for i in range(n):
            value[i] = memory[OBSERVED, i]
    else:
        run_stages(reference.stages, memory, t.block, t.flips, (k, 0, 1, n))
        if (k + 1) % FLUSH_EVERY == 0:
            flush(memory, n)
    if rule.quantum > 0:
        for i in range(n):
            value[i] = rule.quantum * np.rint(value[i] / rule.quantum)
        if reference.register >= 0:
            for i in range(n):
                memory[reference.register, i] = value[i]


@tile_function
def _refer_some(reference: Any, rule: Any, k: Any, n: Any, t: Any) -> None:
    """`_refer` for the cells that were read."""
    count, index = 0, t.whole[INDEX]
    for i in range(n):
        if t.whole[ACTIVE, i] != 0:
            index[count] = i
            count += 1
    for j in range(count):
        i = index[j]
        t.block[0, j] = t.rows[READ, i]
        t.flips[0, j] = np.int8(t.rows[FLIPPED, i])
        t.rows[FLIPPED, i] = 0
        for row in range(t.memory.shape[0]):
            t.some[row, j] = t.memory[row, i]
    _estimate(reference, rule, t.some, k, count, t)
    for j in range(count):
        i = index[j]
        t.rows[REFERENCE, i] = t.block[0, j]
        for row in range(t.memory.shape[0]):
            t.memory[row, i] = t.some[row, j]


def _refer(reference: Any, rule: Any, at: Any, t: Any) -> None:
    """Tell what finds the reference of the reads; ``at`` = (step, cells)."""
    step, n = at
    turn = step // rule.read_every
    if rule.columns > 0:
        _refer_some(reference, rule, turn // rule.columns, n, t)
        return
    value, flips, q = t.block[0], t.flips[0], t.rows[REFERENCE]
    read, flipped = t.rows[READ], t.rows[FLIPPED]
    for i in range(n):
        value[i] = read[i]
    for i in range(n):
        flips[i] = np.int8(flipped[i])
        flipped[i] = 0
    _estimate(reference, rule, t.memory, turn, n, t)
    for i in range(n):
        q[i] = value[i]


@tile_function
def _record(record: Any, k: Any, start: Any, n: Any, t: Any) -> None:
    """W, P and Q as read, without reading noise, and P's symmetric point, at the end of step ``k``."""
    for i in range(n):
        record[0, k, start + i] = t.rows[MAIN, i] - t.rows[OFFSET, i]
        record[1, k, start + i] = t.rows[FAST, i] - t.rows[OFFSET + 1, i]
        record[2, k, start + i] = t.rows[REFERENCE, i]
        record[3, k, start + i] = t.rows[POINT + 1, i]


@tile_function
def _add_squares(sums: Any, a: Any, b: Any, n: Any) -> None:
    for i in range(n):
        error = a[i] - b[i]
        sums[i] += error * error


@tile_function
def _note(n: Any, t: Any) -> None:
    """Add the squared errors of this step."""
    rows = t.rows
    shown, main, offset = rows[WANTED], rows[MAIN], rows[OFFSET]
    for i in range(n):
        shown[i] = main[i] - offset[i]
    _add_squares(rows[SUMS + ERROR_W], shown, rows[OPTIMUM], n)
    _add_squares(rows[SUMS + ERROR_MIX], rows[MIX], rows[OPTIMUM], n)
    _add_squares(rows[SUMS + ERROR_Q], rows[REFERENCE], rows[POINT + 1], n)


@tile_function
def _sample(errors: Any, tile: Any, sample: Any, every: Any, n: Any, t: Any) -> None:
    """Mean errors of the steps since the last sample."""
    for metric in range(3):
        total, sums = 0.0, t.rows[SUMS + metric]
        for i in range(n):
            total += sums[i]
            sums[i] = 0.0
        errors[tile, sample, metric] = total / every


@kernel
def track(
    objective: Any, arrays: Any, rule: Any, reference: Any, noises: Any, state: Any, span: Any, out: Any
) -> None:
    """Run the recursion over a span of steps, in place on ``state``, for the tiles first <= tile < last.

    ``arrays`` = (`Drive` of W, `Drive` of P). ``out`` = (first, last, `Calls`, scratch `Tile`, errors [tiles,
    samples, 3] (sums over the cells of a tile, averaged over the steps of a sample), tally [tiles, 2] and
    pulsed [2, cells] of W and P (both added to), work [samples of data], record [4, steps or 0, cells] of W,
    P, Q and P's symmetric point). An objective that is not separable needs one tile that holds all cells.
    """
    first, last, calls, t, errors, tally, pulsed, work, record = out
    size = t.place.shape[0]
    for tile in range(first, last):
        start = tile * size
        n = min(size, state.rows.shape[1] - start)
        load(arrays, state, span, start, n, t)
        for k in range(span.signs.shape[0] - 1):
            step, fresh = span.first + k, 1 if k == 0 else 0
            flipped = _chop(span, k, n, t)
            _mix(rule, flipped, n, t)
            gradient(calls.gradient, objective, t.rows[MIX, :n], t.rows[GRADIENT, :n], start, work)
            _slope(arrays, noises, span, k, n, t)
            _descend(rule, n, t)
            if not rule.sync:
                tally[tile, PROGRAMS] += flipped
            moves, counted = rule.direct, 0
            if not rule.direct:
                call(calls.pulse, (arrays[1], (1, n, step, fresh, 0), t))
                if reference.observes:
                    _tell(reference.observer, n, t)
                if (step + 1) % rule.read_every == 0:
                    tally[tile, READS] += _read(arrays, rule, noises, k, step, n, t)
                    moves = (step + 1) % rule.transfer_every == 0
                    counted = _transfer(rule, n, t) if moves else 0
                    call(calls.refer, (reference, rule, (step, n), t))
            if moves:
                anew = 1 if fresh != 0 or rule.transfer_every > 1 else 0
                call(calls.pulse, (arrays[0], (0, n, step, anew, counted), t))
            for which in range(2):
                if arrays[which].drift.active:
                    call(calls.drift, (arrays[which], (which, n, step, fresh, 0), t))
            _note(n, t)
            if record.shape[1] > 0:
                _record(record, k, start, n, t)
            if (k + 1) % span.every == 0:
                _sample(errors, tile, (k + 1) // span.every - 1, span.every, n, t)
        store(state, pulsed, start, n, t)
