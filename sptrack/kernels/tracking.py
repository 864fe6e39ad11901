"""The tracking recursion, fused: gradient, pulses on P, read, transfer to W, reference, in one pass.

One step k, in this order, with the chopper sign c and the reference copy R ("Q tilde") of each cell:

    R <- Q                                     where c has flipped, or at every step (sync)
    g  = gradient at W + gamma c (P - R), plus noise
    P <- P, asked for -alpha c g               or W <- W, asked for -alpha g (plain SGD)
    d  = read of P - R
    W <- W, asked for beta c d                 through the buffer, if there is one; all cells or one column
    Q <- reference filter of the read

All weights here are internal; their offset turns them into what is read. Source: Xiao et al. 2026, arXiv
2602.21321, eqs. (11), (12), (17), (18).
"""

from typing import Any

import numpy as np

from sptrack.kernels._jit import inline, kernel
from sptrack.kernels.counts import counts_tile, event_words
from sptrack.kernels.drift import after_pulses, after_step
from sptrack.kernels.estimators import note_drive, update_reference
from sptrack.kernels.objectives import gradient
from sptrack.kernels.random import Draws, renew_normals
from sptrack.kernels.tracking_state import BURST, GRADIENT_NOISE, READ_NOISE, WALK, WRITE, load, room, store
from sptrack.kernels.updates import burst_tile, event_normals, sequence_tile

READS, PROGRAMS = 0, 1
"""Entries of the tally."""
ERROR_W, ERROR_MIX, ERROR_Q = 0, 1, 2
"""Metrics of a sample: squared distance of W and the mixed weight from the optimum, of Q from its target."""


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
        z = t.normals[BURST + 4 * which : BURST + 4 * which + 4]
        if drive.noise.active and renew:
            event_normals(z, t.words, n, draws, t.place)
        burst_tile(drive.law, drive.noise, cell, w, z[draws.event & 3], count, (t.total, t.power))
    else:
        sequence_tile(
            drive.law,
            drive.noise,
            draws,
            cell,
            w,
            t.place,
            count,
            t.pulse_main if which == 0 else t.pulse_fast,
        )
    for i in range(n):
        pulsed[i] += abs(count[i])
    drawn = (t.normals[WRITE + 4 * which : WRITE + 4 * which + 4], t.words, renew)
    after_pulses(drive.wander, drawn, draws, t.place, count, _side(which, t))


@inline
def _side(which: Any, t: Any) -> Any:
    """What wanders of W (0) or P (1), in the order of `after_pulses`."""
    if which == 0:
        return t.cell_main, t.main, t.offset_main, t.written_main, t.truth_main, t.due_main
    return t.cell_fast, t.fast, t.offset_fast, t.written_fast, t.truth, t.due_fast


@inline
def _wander(drive: Any, which: Any, k: Any, step: Any, n: Any, t: Any) -> None:
    """Drift of one step."""
    draws = Draws(drive.draws.noise, drive.draws.coin, drive.draws.array, np.uint32(step))
    drawn = (t.normals[WALK + 4 * which : WALK + 4 * which + 4], t.words, k == 0 or step & 3 == 0)
    after_step(drive.wander, drawn, draws, t.place, n, _side(which, t))


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
def _descend(arrays: Any, rule: Any, noises: Any, span: Any, k: Any, n: Any, t: Any) -> None:
    """Gradient pulses onto P, with the chopper's sign; or leave the increment of W in ``t.wanted``."""
    fast, step = arrays[1], span.first + k
    g = t.gradient
    if span.added.shape[0] > 0:
        shared = span.added.shape[1] == 1
        for i in range(n):
            g[i] += span.added[k, 0 if shared else t.place[i]]
    if noises.gradient > 0:
        if k == 0 or step & 3 == 0:
            z = t.normals[GRADIENT_NOISE : GRADIENT_NOISE + 4]
            renew_normals(z, t.words, n, noises.gradient_key, step, t.place, fast.draws.array)
        normal = t.normals[GRADIENT_NOISE + (step & 3)]
        for i in range(n):
            g[i] += noises.gradient * normal[i]
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
            z = t.normals[READ_NOISE : READ_NOISE + 4]
            renew_normals(z, t.words, n, noises.read_key, step, t.place, fast.draws.array)
        normal = t.normals[READ_NOISE + (step & 3)]
        for i in range(n):
            t.read[i] += noises.read * normal[i]
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
    """Tell the reference estimator of the reads; Q is row 0 of its memory, kept in fixed point if wanted."""
    if rule.columns == 0:
        for i in range(n):
            update_reference(estimator, t.memory, i, t.read[i], t.flip[i] != 0)
        for i in range(n):
            t.flip[i] = 0
    else:
        for i in range(n):
            if t.active[i] != 0:
                update_reference(estimator, t.memory, i, t.read[i], t.flip[i] != 0)
                t.flip[i] = 0
    if rule.quantum > 0:
        for i in range(n):
            t.memory[0, i] = rule.quantum * np.rint(t.memory[0, i] / rule.quantum)


@inline
def _record(record: Any, k: Any, start: Any, n: Any, t: Any) -> None:
    """W, P and Q as read, without reading noise, and P's symmetric point, at the end of step ``k``."""
    for i in range(n):
        record[0, k, start + i] = t.main[i] - t.offset_main[i]
        record[1, k, start + i] = t.fast[i] - t.offset_fast[i]
        record[2, k, start + i] = t.memory[0, i]
        record[3, k, start + i] = t.truth[i]


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
    [2, cells] of W and P (both added to), work [samples of data], record [4, steps or 0, cells] of W, P, Q
    and P's symmetric point). An objective that is not separable needs one tile that holds all cells.
    """
    first, last, size, errors, tally, pulsed, work, record = out
    t = room(arrays, state, size)
    steps = span.signs.shape[0] - 1
    for tile in range(first, last):
        start = tile * size
        n = min(size, state.main.shape[0] - start)
        load(arrays, state, span, start, n, t)
        for k in range(steps):
            step = span.first + k
            flipped = _chop(span, k, n, t)
            _mix(rule, flipped, n, t)
            gradient(objective, t.mix[:n], t.gradient[:n], start, work)
            _descend(arrays, rule, noises, span, k, n, t)
            note_drive(estimator, t.memory, t.wanted, t.pulses, n)
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
            _wander(arrays[0], 0, k, step, n, t)
            _wander(arrays[1], 1, k, step, n, t)
            _note(n, t)
            if record.shape[1] > 0:
                _record(record, k, start, n, t)
            if (k + 1) % span.every == 0:
                sample = (k + 1) // span.every - 1
                for metric in range(3):
                    total = 0.0
                    for i in range(n):
                        total += t.sums[metric, i]
                        t.sums[metric, i] = 0.0
                    errors[tile, sample, metric] = total / span.every
        store(state, pulsed, start, n, t)
