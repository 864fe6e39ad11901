"""Filters and estimators as tile functions of a chain (`sptrack.kernels.stages`)."""

from typing import Any

from sptrack.kernels._jit import inline, tile_function
from sptrack.kernels.stages import COUNT, FIRST, LENGTH, ROW


@inline
def ema(q: Any, x: Any, eta: Any) -> Any:
    """One step of a low-pass with pole 1 - eta: (1 - eta) q + eta x (eq. (12), Xiao et al. 2026)."""
    return q + eta * (x - q)


def ema_tile(code: Any, number: Any, sign: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """Low-passes of one pole in a row; one row of memory each."""
    _, _, rows, n, _ = at
    eta = number[code[FIRST]]
    for stage in range(code[COUNT]):
        q = memory[code[ROW] + stage]
        for r in range(rows):
            sample = x[r]
            for i in range(n):
                q[i] = ema(q[i], sample[i], eta)
                sample[i] = q[i]


def corrected_ema_tile(code: Any, number: Any, sign: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """Rows: mean, and sum of weights w_n = decay w_(n-1) + 1; the weighted mean moves by (x - q) / w_n."""
    _, _, rows, n, _ = at
    decay, q, weight = number[code[FIRST]], memory[code[ROW]], memory[code[ROW] + 1]
    for r in range(rows):
        sample = x[r]
        for i in range(n):
            weight[i] = decay * weight[i] + 1.0
            q[i] = ema(q[i], sample[i], 1.0 / weight[i])
            sample[i] = q[i]


def sos_tile(code: Any, number: Any, sign: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """Second-order sections b0, b1, b2, a1, a2 in transposed direct form II; two rows of memory a section."""
    _, _, rows, n, _ = at
    for section in range(code[COUNT]):
        k = code[FIRST] + 5 * section
        b0, b1, b2, a1, a2 = number[k], number[k + 1], number[k + 2], number[k + 3], number[k + 4]
        first, second = memory[code[ROW] + 2 * section], memory[code[ROW] + 2 * section + 1]
        for r in range(rows):
            sample = x[r]
            for i in range(n):
                value = sample[i]
                y = b0 * value + first[i]
                first[i] = (b1 * value - a1 * y) + second[i]
                second[i] = b2 * value - a2 * y
                sample[i] = y


def fir_tile(code: Any, number: Any, sign: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """Transposed form: row j holds what is known of the output j + 1 samples ahead."""
    _, _, rows, n, _ = at
    taps, first, row = code[COUNT], code[FIRST], code[ROW]
    for r in range(rows):
        sample, last = x[r], memory[row + taps - 1]
        for i in range(n):
            last[i] = sample[i]
            sample[i] = number[first] * last[i] + memory[row, i]
        for j in range(taps - 2):
            kept, ahead, tap = memory[row + j], memory[row + j + 1], number[first + j + 1]
            for i in range(n):
                kept[i] = ahead[i] + tap * last[i]
        kept, tap = memory[row + taps - 2], number[first + taps - 1]
        for i in range(n):
            kept[i] = tap * last[i]


@tile_function
def _turn(memory: Any, row: Any, length: Any, n: Any) -> None:
    """Make each of the last ``length`` samples in the ring the sum of itself and all later ones."""
    last = memory[row + length]
    for i in range(n):
        last[i] = 0.0
    for j in range(length - 2, -1, -1):
        ring, after = memory[row + j], memory[row + j + 1]
        for i in range(n):
            ring[i] += after[i]


@tile_function
def _moving_averages(code: Any, memory: Any, x: Any, at: Any) -> None:
    """``count`` moving averages in a row; ``length`` + 1 rows of memory each.

    Rows below the position in the turn hold the samples of this turn, those from there on sums of the last
    turn's samples from there to its end, the last row the sum of this turn. Old samples are never subtracted,
    so that no rounding error accumulates.
    """
    k, _, rows, n, _ = at
    length = code[LENGTH]
    scale = 1.0 / length
    for stage in range(code[COUNT]):
        row = code[ROW] + stage * (length + 1)
        for r in range(rows):
            position = (k + r) % length
            if position == 0:
                _turn(memory, row, length, n)
            sample, total, place = x[r], memory[row + length], memory[row + position]
            if position + 1 < length:
                rest = memory[row + position + 1]
                for i in range(n):
                    total[i] += sample[i]
                    place[i] = sample[i]
                    sample[i] = scale * (total[i] + rest[i])
            else:
                for i in range(n):
                    total[i] += sample[i]
                    place[i] = sample[i]
                    sample[i] = scale * total[i]


def boxcar_tile(code: Any, number: Any, sign: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """``count`` moving averages in a row; ``length`` + 1 rows of memory each."""
    _moving_averages(code, memory, x, at)


def growing_boxcar_tile(code: Any, number: Any, sign: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """Mean of the last ``length`` samples, of all of them while they are fewer."""
    k, _, rows, n, _ = at
    _moving_averages(code, memory, x, at)
    length = code[LENGTH]
    for r in range(rows):
        if k + r + 1 < length:
            sample, scale = x[r], length / (k + r + 1)
            for i in range(n):
                sample[i] *= scale


def period_mean_tile(code: Any, number: Any, sign: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """Running mean of the samples (row 1), taken over as the output (row 0) at flips, before the sample."""
    _, _, rows, n, _ = at
    eta, kept, mean = number[code[FIRST]], memory[code[ROW]], memory[code[ROW] + 1]
    for r in range(rows):
        sample, flips = x[r], flip[r]
        for i in range(n):
            kept[i] = mean[i] if flips[i] != 0 else kept[i]
            mean[i] = ema(mean[i], sample[i], eta)
            sample[i] = kept[i]


@inline
def kalman_update(mean: Any, variance: Any, read: Any, drift: Any, noise: Any) -> Any:
    """Mean and variance after one step of a random walk (variance ``drift``) and one read (``noise``)."""
    predicted = variance + drift
    gain = predicted / (predicted + noise)
    return ema(mean, read, gain), gain * noise


def kalman_tile(code: Any, number: Any, sign: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """Kalman filter of a random walk; rows: mean, its variance."""
    _, _, rows, n, _ = at
    drift, noise = number[code[FIRST]], number[code[FIRST] + 1]
    mean, variance = memory[code[ROW]], memory[code[ROW] + 1]
    for r in range(rows):
        sample = x[r]
        for i in range(n):
            mean[i], variance[i] = kalman_update(mean[i], variance[i], sample[i], drift, noise)
            sample[i] = mean[i]


def fixed_tile(code: Any, number: Any, sign: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """The output is the first row of memory, whatever comes in."""
    _, _, rows, n, _ = at
    kept = memory[code[ROW]]
    for r in range(rows):
        sample = x[r]
        for i in range(n):
            sample[i] = kept[i]


def last_tile(code: Any, number: Any, sign: Any, memory: Any, x: Any, flip: Any, at: Any) -> None:
    """The output is the sample, which is also kept."""
    _, _, rows, n, _ = at
    kept = memory[code[ROW]]
    for r in range(rows):
        sample = x[r]
        for i in range(n):
            kept[i] = sample[i]
