"""Digital-to-analog and analog-to-digital conversion of batches of vectors, in float32."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import disjoint_tile, kernel
from sptrack.kernels.random import box_muller, draw_words

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
def consecutive_normals(
    z: Any, words: Any, index: Any, n: Any, key: Any, block: Any, event: Any, array: Any
) -> None:
    """Normals z[i], i < n, of one counter (block, event, array); four share a cell number."""
    quarter = (n + 3) // 4
    draw_words(words, 0, quarter, key, block, event, index, array)
    for i in range(np.uint64(quarter)):
        a, b = box_muller(words[0, i], words[1, i])
        c, d = box_muller(words[2, i], words[3, i])
        z[4 * i] = a
        z[4 * i + 1] = b
        z[4 * i + 2] = c
        z[4 * i + 3] = d


@disjoint_tile
def _encode(row: Any, dac: Any, scaled: Any, shrink: Any, out: Any) -> Any:
    """Convert one vector to analog inputs; returns the factor from analog to digital units."""
    one = np.float32(1)
    largest = one
    if scaled:
        largest = np.float32(0)
        for i in range(len(row)):
            size = abs(row[i])
            largest = size if size > largest else largest
    factor = np.float32(largest * shrink)
    down = one / factor if factor > 0 else np.float32(0)
    for i in range(len(row)):
        v = row[i] * down
        if dac.step > 0:
            v = np.float32(np.rint(v / dac.step)) * dac.step
        v = -dac.bound if v < -dac.bound else v
        out[i] = dac.bound if v > dac.bound else v
    return factor


@disjoint_tile
def _decode(y: Any, z: Any, adc: Any, factor: Any, out: Any) -> Any:
    """Convert analog outputs of one vector; returns whether one was beyond the bound."""
    most = np.float32(0)
    for i in range(len(y)):
        v = y[i] + adc.noise * z[i]
        if adc.step > 0:
            v = np.float32(np.rint(v / adc.step)) * adc.step
        size = abs(v)
        most = size if size > most else most
        v = -adc.bound if v < -adc.bound else v
        v = adc.bound if v > adc.bound else v
        out[i] = v * factor
    return most > adc.bound


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
) -> int:
    """Send vectors ``x`` [n, lines] through ``matrix`` [lines, outputs] into ``out`` [n, outputs].

    ``converters`` = (input, output), ``manage`` a `Management`, ``draws`` = (key, first event). ``passes``
    [n] counts how often each vector was sent; a vector of zeros is not under noise management. Returns the
    number of events.
    """
    dac, adc = converters
    key, first = draws
    n, outputs = out.shape
    sent, y = np.empty(x.shape, np.float32), np.empty((n, outputs), np.float32)
    factor, shrink, todo = np.empty(n, np.float32), np.ones(n, np.float32), np.arange(n)
    z = np.zeros(outputs + 3, np.float32)
    words = np.empty((4, outputs // 4 + 1), np.uint32)
    index = np.arange(outputs // 4 + 1).astype(np.uint32)
    left, events = n, 0
    while left > 0:
        for k in range(left):
            factor[k] = _encode(x[todo[k]], dac, manage.scaled, shrink[todo[k]], sent[k])
        np.dot(sent[:left], matrix, y[:left])
        again = 0
        for k in range(left):
            row = todo[k]
            if adc.noise > 0:
                event = np.uint32(first + events)
                consecutive_normals(z, words, index, outputs, key, np.uint32(row), event, np.uint32(0))
            beyond = _decode(y[k], z, adc, factor[k], out[row])
            passes[row] += factor[k] > 0
            if beyond and factor[k] > 0 and shrink[row] <= manage.most:
                shrink[row] *= np.float32(2)
                todo[again] = row
                again += 1
        left = again
        events += 1
    return events
