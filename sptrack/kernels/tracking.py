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

from sptrack.kernels._jit import inline, kernel, tile_function
from sptrack.kernels.counts import counts_tile, event_words
from sptrack.kernels.drift import after_pulses, after_step
from sptrack.kernels.objectives import gradient
from sptrack.kernels.observer_rows import POINT as OBSERVED
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
    FLIPPED,
    GRADIENT,
    GRADIENT_NOISE,
    GROUP,
    INDEX,
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
    REFERENCE_COPY,
    SUMS,
    TOTAL,
    WALK,
    WANTED,
    WRITE,
    WRITTEN,
    P,
    W,
    load,
    store,
)
from sptrack.kernels.updates import burst_tile, event_normals, pulse_cells, scratch_views

READS, PROGRAMS = 0, 1
"""Entries of the tally."""
ERROR_W, ERROR_MIX, ERROR_Q = 0, 1, 2
"""Metrics of a sample: squared distance of W and the mixed weight from the optimum, of Q from its target."""
_uniform: Any = types.UniTuple
_FIVE = _uniform(types.int64, 5)


class Calls(NamedTuple):
    """Addresses of what a step calls; 0 for what it does not need.

    Counts and pulses; pulses one by one, or as bursts; what follows pulses, and drift of a step; gradient;
    reference.
    """

    pulse: int
    after: int
    drift: int
    gradient: int
    refer: int


def calls_of(arrays: Any, reference: Any, rule: Any, gradient: int, tile: Any) -> Calls:
    """Addresses of the functions that a step is made of; ``gradient`` is that of the objective."""
    drive = arrays[0]
    writes = any(one.drift.active or one.drift.write > 0 for one in arrays)
    drifts = any(one.drift.active for one in arrays)
    return Calls(
        address(_burst if drive.burst else _sequence, drive, _FIVE, tile),
        address(_after, drive, _FIVE, tile) if writes else 0,
        address(_drift, drive, _FIVE, tile) if drifts else 0,
        gradient,
        address(_refer, reference, rule, _uniform(types.int64, 2), tile),
    )


@tile_function
def _side(which: Any, n: Any, t: Any) -> Any:
    """Drifts of W (0) or P (1), in the order of `after_pulses`."""
    cell = t.cells[: t.split] if which == 0 else t.cells[t.split :]
    rows = t.rows
    return (
        cell,
        rows[W + which],
        rows[OFFSET + which],
        rows[WRITTEN + which],
        rows[POINT + which],
        rows[DUE + which],
    )


@inline
def _count(drive: Any, draws: Any, at: Any, t: Any) -> None:
    """Pulses that row `WANTED` asks for into row `PULSES`, unless they stand there (counted)."""
    which, n, _, fresh, counted = at
    if counted == 0:
        words = t.words[4 * which + 4 : 4 * which + 8]
        if fresh != 0 or draws.event & 3 == 0:
            event_words(words, n, draws, t.place)
        counts_tile(
            t.rows[WANTED], n, drive.size, words[draws.event & 3], draws, t.place, t.whole[PULSES, :n]
        )


@inline
def _draws(drive: Any, step: Any) -> Any:
    """Random numbers of the pulses of a step."""
    return Draws(drive.draws.noise, drive.draws.coin, drive.draws.array, np.uint32(step + 1))


def _sequence(drive: Any, at: Any, t: Any) -> None:
    """Send pulses one after the other.

    ``at`` = (0 for W or 1 for P, cells, step, whether words and normals that the step shares with its
    neighbours must be made anew, which they are at every fourth event as well, whether counted).
    """
    which, n, step, _, _ = at
    draws = _draws(drive, step)
    _count(drive, draws, at, t)
    cell = t.cells[: t.split] if which == 0 else t.cells[t.split :]
    scratch = scratch_views(t.real, t.unsigned, t.signed, t.length, cell.shape[0], t.send)
    work = (drive.law, drive.noise, draws, cell, t.rows[W + which], t.whole[PULSES], t.place[0])
    pulse_cells(work, (0, n), False, scratch)


def _burst(drive: Any, at: Any, t: Any) -> None:
    """Send the pulses of an event at once; arguments as in `_sequence`."""
    which, n, step, fresh, _ = at
    draws = _draws(drive, step)
    _count(drive, draws, at, t)
    z = t.normals[BURST + 4 * which : BURST + 4 * which + 4]
    if drive.noise.active and (fresh != 0 or draws.event & 3 == 0):
        event_normals(z, t.words, n, draws, t.place)
    cell = t.cells[: t.split] if which == 0 else t.cells[t.split :]
    count, w = t.whole[PULSES, :n], t.rows[W + which]
    burst_tile(drive.law, drive.noise, cell, w, z[draws.event & 3], count, (t.rows[TOTAL], t.rows[POWER]))


def _after(drive: Any, at: Any, t: Any) -> None:
    """Drift by pulses, and write noise; arguments as in `_sequence`."""
    which, n, step, fresh, _ = at
    draws = _draws(drive, step)
    renew = fresh != 0 or draws.event & 3 == 0
    drawn = (t.normals[WRITE + 4 * which : WRITE + 4 * which + 4], t.words, renew)
    after_pulses(drive.drift, drawn, draws, t.place, t.whole[PULSES, :n], _side(which, n, t))


@tile_function
def _pulse(calls: Any, drive: Any, at: Any, t: Any) -> None:
    """Send pulses and count them; arguments as in `_sequence`."""
    call(calls.pulse, (drive, at, t))
    pulsed, count = t.whole[PULSED + at[0]], t.whole[PULSES]
    for i in range(at[1]):
        pulsed[i] += abs(count[i])
    if drive.drift.active or drive.drift.write > 0:
        call(calls.after, (drive, at, t))


def _drift(drive: Any, at: Any, t: Any) -> None:
    """Drift of one step; ``at`` = (0 for W or 1 for P, cells, step, whether normals must be made anew, 0)."""
    which, n, step, fresh, _ = at
    draws = Draws(drive.draws.noise, drive.draws.coin, drive.draws.array, np.uint32(step))
    drawn = (t.normals[WALK + 4 * which : WALK + 4 * which + 4], t.words, fresh != 0 or step & 3 == 0)
    after_step(drive.drift, drawn, draws, t.place, n, _side(which, n, t))


@tile_function
def _chop(signs: Any, k: Any, n: Any, rows: Any, group: Any) -> Any:
    """Signs of step ``k`` of the span into row `CHOP`; how many cells flip now.

    Row `FLIPPED` becomes 1 where the chopper has flipped since the last read.
    """
    sign, flip = rows[CHOP], rows[FLIPPED]
    if signs.shape[1] == 1:
        now, flips = signs[k + 1, 0], signs[k + 1, 0] != signs[k, 0]
        for i in range(n):
            sign[i] = now
        if flips:
            for i in range(n):
                flip[i] = 1
        return n if flips else 0
    flipped = 0
    for i in range(n):
        now, before = signs[k + 1, group[i]], signs[k, group[i]]
        sign[i] = now
        flip[i] = 1 if now != before else flip[i]
        flipped += 1 if now != before else 0
    return flipped


@tile_function
def _mix(rule: Any, flipped: Any, n: Any, rows: Any) -> None:
    """Renew the reference copy, then the weight at which the gradient is taken (as read) into row `MIX`."""
    reference_copy, q, flip = rows[REFERENCE_COPY], rows[REFERENCE], rows[FLIPPED]
    if rule.sync:
        for i in range(n):
            reference_copy[i] = q[i]
    elif flipped > 0:
        for i in range(n):
            reference_copy[i] = q[i] if flip[i] != 0 else reference_copy[i]
    w, w_offset = rows[W], rows[OFFSET]
    p, p_offset = rows[P], rows[OFFSET + 1]
    chop, mix = rows[CHOP], rows[MIX]
    for i in range(n):
        weight = w[i] - w_offset[i]
        beyond = p[i] - p_offset[i] - reference_copy[i]
        mix[i] = weight + rule.gamma * chop[i] * beyond


@tile_function
def _add_drive(added: Any, k: Any, n: Any, g: Any, place: Any) -> None:
    """Add row ``k`` of ``added`` to the gradient."""
    shared = added.shape[1] == 1
    for i in range(n):
        g[i] += added[k, 0 if shared else place[i]]


@tile_function
def _add_noise(std: Any, normal: Any, n: Any, x: Any) -> None:
    for i in range(n):
        x[i] += std * normal[i]


@tile_function
def _descend(rule: Any, n: Any, rows: Any) -> None:
    """Increment that the gradient asks for, of P with the chopper's sign, or of W."""
    wanted, chop, g = rows[WANTED], rows[CHOP], rows[GRADIENT]
    if rule.direct:
        for i in range(n):
            wanted[i] = -rule.alpha * g[i]
    else:
        for i in range(n):
            wanted[i] = -rule.alpha * chop[i] * g[i]


@tile_function
def _copy_wanted(n: Any, rows: Any, asked: Any) -> None:
    for i in range(n):
        asked[i] = rows[WANTED, i]


@tile_function
def _choose(column: Any, columns: Any, n: Any, place: Any, active: Any) -> Any:
    """Mark the cells of a column as read now; how many they are."""
    number = 0
    for i in range(n):
        mine = place[i] % columns == column
        active[i] = 1 if mine else 0
        number += 1 if mine else 0
    return number


@tile_function
def _read(n: Any, rows: Any) -> None:
    """Visible P into row `READ`."""
    read, p, offset = rows[READ], rows[P], rows[OFFSET + 1]
    for i in range(n):
        read[i] = p[i] - offset[i]


@tile_function
def _transfer(rule: Any, n: Any, rows: Any, whole: Any) -> Any:
    """Requested motion of W: row `WANTED`, or, from the buffer, pulses in row `PULSES` (1)."""
    wanted, chop, read, reference_copy = rows[WANTED], rows[CHOP], rows[READ], rows[REFERENCE_COPY]
    active = whole[ACTIVE]
    for i in range(n):
        beyond = chop[i] * (read[i] - reference_copy[i])
        wanted[i] = rule.beta * beyond if active[i] != 0 else 0
    if rule.threshold == 0:
        return 0
    buffer, pulses = rows[BUFFER], whole[PULSES]
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
def _estimate(reference: Any, quantum: Any, memory: Any, k: Any, n: Any, block: Any, flips: Any) -> None:
    """Read number ``k`` of n cells, in row 0 of the block, becomes their reference."""
    value = block[0]
    if reference.observes:
        observe(reference.observer, memory, value, n)
        for i in range(n):
            value[i] = memory[OBSERVED, i]
    else:
        run_stages(reference.stages, memory, block, flips, (k, 0, 1, n, 0))
        if (k + 1) % FLUSH_EVERY == 0:
            flush(memory, n)
    if quantum > 0:
        for i in range(n):
            value[i] = quantum * np.rint(value[i] / quantum)
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
    _estimate(reference, rule.quantum, t.some, k, count, t.block, t.flips)
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
    _estimate(reference, rule.quantum, t.memory, turn, n, t.block, t.flips)
    for i in range(n):
        q[i] = value[i]


@tile_function
def _record(record: Any, k: Any, start: Any, n: Any, rows: Any) -> None:
    """W, P and Q as read, without reading noise, and P's symmetric point, at the end of step ``k``."""
    for i in range(n):
        record[0, k, start + i] = rows[W, i] - rows[OFFSET, i]
        record[1, k, start + i] = rows[P, i] - rows[OFFSET + 1, i]
        record[2, k, start + i] = rows[REFERENCE, i]
        record[3, k, start + i] = rows[POINT + 1, i]


@tile_function
def _add_squares(sums: Any, a: Any, b: Any, n: Any) -> None:
    for i in range(n):
        error = a[i] - b[i]
        sums[i] += error * error


@tile_function
def _note(n: Any, rows: Any) -> None:
    """Add the squared errors of this step."""
    shown, w, offset = rows[WANTED], rows[W], rows[OFFSET]
    for i in range(n):
        shown[i] = w[i] - offset[i]
    _add_squares(rows[SUMS + ERROR_W], shown, rows[OPTIMUM], n)
    _add_squares(rows[SUMS + ERROR_MIX], rows[MIX], rows[OPTIMUM], n)
    _add_squares(rows[SUMS + ERROR_Q], rows[REFERENCE], rows[POINT + 1], n)


@tile_function
def _sample(errors: Any, tile: Any, sample: Any, every: Any, n: Any, rows: Any) -> None:
    """Mean errors of the steps since the last sample."""
    for metric in range(3):
        total, sums = 0.0, rows[SUMS + metric]
        for i in range(n):
            total += sums[i]
            sums[i] = 0.0
        errors[tile, sample, metric] = total / every


@tile_function
def _run(
    objective: Any, arrays: Any, rule: Any, reference: Any, noises: Any, state: Any, span: Any, out: Any
) -> None:
    """See `track`."""
    first, last, calls, t, errors, tally, pulsed, work, record = out
    rows, whole, place, normals = t.rows, t.whole, t.place, t.normals
    size = place.shape[0]
    for tile in range(first, last):
        start = tile * size
        n = min(size, state.rows.shape[1] - start)
        load((arrays[0].law.cell, arrays[1].law.cell), state, span, start, n, t)
        for k in range(span.signs.shape[0] - 1):
            step, fresh = span.first + k, 1 if k == 0 else 0
            flipped = _chop(span.signs, k, n, rows, whole[GROUP])
            _mix(rule, flipped, n, rows)
            g = rows[GRADIENT]
            gradient(calls.gradient, objective, rows[MIX, :n], g[:n], start, work)
            if span.added.shape[0] > 0:
                _add_drive(span.added, k, n, g, place)
            if noises.gradient > 0:
                if k == 0 or step & 3 == 0:
                    z = normals[GRADIENT_NOISE : GRADIENT_NOISE + 4]
                    renew_normals(z, t.words, n, noises.gradient_key, step, place, noises.array)
                _add_noise(noises.gradient, normals[GRADIENT_NOISE + (step & 3)], n, g)
            _descend(rule, n, rows)
            if not rule.sync:
                tally[tile, PROGRAMS] += flipped
            moves, counted = rule.direct, 0
            if not rule.direct:
                _pulse(calls, arrays[1], (1, n, step, fresh, 0), t)
                if reference.observes:
                    _copy_wanted(n, rows, t.block[1])
                    tell_drive(reference.observer, t.memory, t.block[1], whole[PULSES], n)
                if (step + 1) % rule.read_every == 0:
                    _read(n, rows)
                    if noises.read > 0:
                        if k == 0 or rule.read_every > 1 or step & 3 == 0:
                            z = normals[READ_NOISE : READ_NOISE + 4]
                            renew_normals(z, t.words, n, noises.read_key, step, place, noises.array)
                        _add_noise(noises.read, normals[READ_NOISE + (step & 3)], n, rows[READ])
                    number = n
                    if rule.columns > 0:
                        column = (step // rule.read_every) % rule.columns
                        number = _choose(column, rule.columns, n, place, whole[ACTIVE])
                    tally[tile, READS] += number
                    moves = (step + 1) % rule.transfer_every == 0
                    counted = _transfer(rule, n, rows, whole) if moves else 0
                    call(calls.refer, (reference, rule, (step, n), t))
            if moves:
                anew = 1 if fresh != 0 or rule.transfer_every > 1 else 0
                _pulse(calls, arrays[0], (0, n, step, anew, counted), t)
            for which in range(2):
                if arrays[which].drift.active:
                    call(calls.drift, (arrays[which], (which, n, step, fresh, 0), t))
            _note(n, rows)
            if record.shape[1] > 0:
                _record(record, k, start, n, rows)
            if (k + 1) % span.every == 0:
                _sample(errors, tile, (k + 1) // span.every - 1, span.every, n, rows)
        store(state, pulsed, start, n, t)


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
    _run(objective, arrays, rule, reference, noises, state, span, out)
