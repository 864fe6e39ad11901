"""Digital-to-analog and analog-to-digital conversion of batches of vectors, in float32."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import disjoint_tile, kernel
from sptrack.kernels.random import box_muller, draw_words, philox

Array = NDArray[Any]


class Converter(NamedTuple):
    """One converter: values are rounded to multiples of ``step`` (0: not), then limited to +-``bound``.

    ``noise`` is the std of what is added before a value is rounded.
    """

    step: np.float32
    bound: np.float32
    noise: np.float32


class Management(NamedTuple):
    """Noise management (``scaled``), and the largest divisor of inputs from which bound management goes on.

    ``most`` is 0 where there is no bound management.
    """

    scaled: bool
    most: float


@disjoint_tile
def _interleave(z: Any, words: Any, quarter: Any) -> None:
    """Normals z[4 i] to z[4 i + 3] from the four words [4, >= quarter] of each i < ``quarter``."""
    for i in range(np.uint64(quarter)):
        a, b = box_muller(words[0, i], words[1, i])
        c, d = box_muller(words[2, i], words[3, i])
        z[4 * i] = a
        z[4 * i + 1] = b
        z[4 * i + 2] = c
        z[4 * i + 3] = d


@disjoint_tile
def consecutive_normals(
    z: Any, words: Any, index: Any, n: Any, key: Any, block: Any, event: Any, array: Any
) -> None:
    """Normals z[i], i < n, of one counter (block, event, array); four share a cell number."""
    quarter = (n + 3) // 4
    draw_words(words, 0, quarter, key, block, event, index, array)
    _interleave(z, words, quarter)


@disjoint_tile
def _normals_of_rows(z: Any, words: Any, rows: Any, quarter: Any, key: Any, event: Any) -> None:
    """`consecutive_normals` of array 0 and the blocks ``rows``, 4 ``quarter`` each, one after another.

    Rows share vectors: few outputs would fill them badly.
    """
    blocks, index = words[4], words[5]
    n = np.uint64(0)
    for k in range(len(rows)):
        for i in range(np.uint64(quarter)):
            blocks[n + i] = np.uint32(rows[k])
            index[n + i] = np.uint32(i)
        n += np.uint64(quarter)
    for i in range(n):
        a, b, c, d = philox(blocks[i], event, index[i], np.uint32(0), key.low, key.high)
        words[0, i] = a
        words[1, i] = b
        words[2, i] = c
        words[3, i] = d
    _interleave(z, words, n)


_MAGNITUDE, _INFINITY, _NOTHING = np.int32(0x7FFFFFFF), np.int32(0x7F800000), np.int32(0)


@disjoint_tile
def largest_size(values: Any) -> Any:
    """Largest magnitude of float32 ``values``, 0 of none; NaN does not count.

    Magnitudes are compared as signed whole numbers, which have the same order: their largest is found by
    vectors (of unsigned ones it is not).
    """
    largest = _NOTHING
    for i in range(np.uint64(len(values))):
        bits = np.int32(np.float32(values[i]).view(np.int32) & _MAGNITUDE)
        bits = np.int32(bits if bits <= _INFINITY else _NOTHING)
        largest = max(largest, bits)
    return np.int32(largest).view(np.float32)


@disjoint_tile
def _encode(x: Any, todo: Any, left: Any, dac: Any, scaled: Any, shrink: Any, factor: Any, sent: Any) -> None:
    """Convert the first ``left`` vectors of ``todo`` to analog inputs, ``factor`` times smaller each."""
    one, lines = np.float32(1), np.uint64(x.shape[1])
    for k in range(np.uint64(left)):
        row = np.uint64(todo[k])
        factor[k] = shrink[row] * largest_size(x[row]) if scaled else shrink[row]
        down = one / factor[k] if factor[k] > 0 else np.float32(0)
        for i in range(lines):
            v = x[row, i] * down
            if dac.step > 0:
                v = np.float32(np.rint(v / dac.step)) * dac.step
            v = -dac.bound if v < -dac.bound else v
            sent[k, i] = dac.bound if v > dac.bound else v


@disjoint_tile
def _decode(y: Any, z: Any, adc: Any, factor: Any, out: Any) -> Any:
    """Convert analog outputs of one vector; returns how many were beyond the bound."""
    beyond = np.uint32(0)
    for i in range(np.uint64(len(y))):
        v = y[i] + adc.noise * z[i]
        if adc.step > 0:
            v = np.float32(np.rint(v / adc.step)) * adc.step
        beyond += np.uint32(abs(v) > adc.bound)
        v = -adc.bound if v < -adc.bound else v
        v = adc.bound if v > adc.bound else v
        out[i] = v * factor
    return beyond


@disjoint_tile
def _decode_rows(y: Any, z: Any, adc: Any, factor: Any, rows: Any, out: Any, beyond: Any) -> None:
    """`_decode` of vectors, into ``rows`` of ``out``, with the normals of one after those of another."""
    lines = np.uint64(y.shape[1])
    place = np.uint64(0)
    for k in range(np.uint64(len(rows))):
        beyond[k] = _decode(y[k], z[place : place + lines], adc, factor[k], out[np.uint64(rows[k])])
        place += np.uint64((y.shape[1] + 3) // 4 * 4)


_TOGETHER = 64
"""Cell numbers whose normals are drawn together."""


@kernel
def convert(values: Array, adc: Any, draws: Any, out: Array) -> None:
    """Convert ``values`` [lines] as they come from an array; ``draws`` = (key, event)."""
    key, event = draws
    n = len(values)
    z = np.zeros(n + 3, np.float32)
    if adc.noise > 0:
        words, index = np.empty((4, n // 4 + 1), np.uint32), np.arange(n // 4 + 1).astype(np.uint32)
        consecutive_normals(z, words, index, n, key, np.uint32(0), event, np.uint32(0))
    _decode(values, z, adc, np.float32(1), out)


@kernel
def analog_pass(
    x: Array, matrix: Array, converters: Any, manage: Any, draws: Any, out: Array, passes: Array
) -> tuple[int, int]:
    """Send vectors ``x`` [n, lines] through ``matrix`` [lines, outputs] into ``out`` [n, outputs].

    ``converters`` = (input, output), ``manage`` a `Management`, ``draws`` = (key, first event). ``passes``
    [n] counts how often each vector was sent; a vector of zeros is not under noise management. Returns the
    numbers of events and of vectors sent.
    """
    dac, adc = converters
    key, first = draws
    n, outputs = out.shape
    sent, y = np.empty(x.shape, np.float32), np.empty((n, outputs), np.float32)
    factor, shrink, todo = np.empty(n, np.float32), np.ones(n, np.float32), np.arange(n)
    beyond = np.empty(n, np.uint32)
    quarter = (outputs + 3) // 4
    together = max(1, _TOGETHER // quarter)
    z = np.zeros(4 * quarter * together, np.float32)
    words = np.empty((6, quarter * together), np.uint32)
    left, events, total = n, 0, 0
    while left > 0:
        _encode(x, todo, left, dac, manage.scaled, shrink, factor, sent)
        np.dot(sent[:left], matrix, y[:left])
        again = 0
        event = np.uint32(first + events)
        for start in range(0, left, together):
            end = min(start + together, left)
            rows = todo[start:end]
            if adc.noise > 0:
                _normals_of_rows(z, words, rows, quarter, key, event)
            _decode_rows(y[start:end], z, adc, factor[start:end], rows, out, beyond[start:end])
        for k in range(left):
            row = todo[k]
            passes[row] += factor[k] > 0
            total += factor[k] > 0
            if beyond[k] > 0 and factor[k] > 0 and shrink[row] <= manage.most:
                shrink[row] *= np.float32(2)
                todo[again] = row
                again += 1
        left = again
        events += 1
    return events, total
