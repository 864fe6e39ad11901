"""Choppers: signs +1 and -1 that depend on sample number and group alone, and what undoes them.

A chopper law keeps the sign of each cell in row 0 of its memory. Cells i with equal i modulo ``groups`` share
a sign: 1 group for the whole array, as many as columns, or as many as cells. Tile functions have the form
given in `sptrack.kernels.filters`.
"""

from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from sptrack.kernels._jit import inline, kernel
from sptrack.kernels.random import TILE, Key, philox

Array = NDArray[Any]


class TelegraphLaw(NamedTuple):
    """Random telegraph: from sample 1 on, a group flips where its word is below ``threshold``."""

    slots: int
    threshold: np.uint64
    groups: int
    key: Key


class PatternLaw(NamedTuple):
    """Periodic sequence of signs ``pattern`` [period]; group g runs ``stagger`` * g samples ahead."""

    slots: int
    pattern: Array
    groups: int
    stagger: int


class DemodulatorLaw(NamedTuple):
    """Sign of ``chopper`` times the input, held for ``hold`` samples from each flip on."""

    slots: int
    chopper: Any
    hold: Any


class LockInLaw(NamedTuple):
    """Mean of the demodulated input over the last two stretches between flips of ``chopper``."""

    slots: int
    chopper: Any


@inline
def telegraph_flip(word: Any, threshold: Any) -> Any:
    """Whether a random 32-bit word says "flip"; ``threshold`` (uint64) is the probability times 2**32."""
    return np.uint64(word) < threshold


@inline
def _four_flips(law: Any, k: Any, group: Any) -> Any:
    """Flips at samples k to k + 3 (k a multiple of 4) as the bits of one number."""
    w0, w1, w2, w3 = philox(
        np.uint32(k >> 2), np.uint32(0), np.uint32(group), np.uint32(0), law.key.low, law.key.high
    )
    low = np.int32(telegraph_flip(w0, law.threshold)) + 2 * np.int32(telegraph_flip(w1, law.threshold))
    high = np.int32(telegraph_flip(w2, law.threshold)) + 2 * np.int32(telegraph_flip(w3, law.threshold))
    return low + 4 * high


@inline
def _telegraph_sign(law: Any, memory: Any, k: Any, start: Any, n: Any) -> None:
    sign, flips = memory[0], memory[1]
    if k & 3 == 0:
        drawn = min(n, law.groups)
        for i in range(drawn):
            flips[i] = _four_flips(law, k, (start + i) % law.groups)
        for i in range(drawn, n):
            flips[i] = flips[i - drawn]
    shift = np.int32(k & 3)
    for i in range(n):
        flip = (np.int32(flips[i]) >> shift) & np.int32(1)
        sign[i] = -sign[i] if flip else sign[i]
    if k == 0:
        for i in range(n):
            sign[i] = 1


@inline
def _pattern_sign(law: Any, memory: Any, k: Any, start: Any, n: Any) -> None:
    for i in range(n):
        ahead = (start + i) % law.groups * law.stagger
        memory[0, i] = law.pattern[(k + ahead) % law.pattern.size]


_SIGNS: dict[type, Any] = {TelegraphLaw: _telegraph_sign, PatternLaw: _pattern_sign}


def advance_sign(law: Any, memory: Any, k: Any, start: Any, n: Any) -> None:
    """Bring row 0 of ``memory`` from the signs of sample ``k`` - 1 to those of sample ``k``."""
    _SIGNS[type(law)](law, memory, k, start, n)


@overload(advance_sign)
def _advance_sign(law: Any, memory: Any, k: Any, start: Any, n: Any) -> Any:
    advance = _SIGNS[law.instance_class]

    def compiled(law: Any, memory: Any, k: Any, start: Any, n: Any) -> None:
        advance(law, memory, k, start, n)

    return compiled


@inline
def copy_row(source: Any, target: Any, n: Any) -> None:
    """The first ``n`` numbers of a row into another."""
    for i in range(n):
        target[i] = source[i]


@inline
def chop_tile(law: Any, memory: Any, k: Any, start: Any, x: Any, n: Any) -> None:
    """Input times sign."""
    advance_sign(law, memory, k, start, n)
    for i in range(n):
        x[i] *= memory[0, i]


@inline
def demodulate_tile(law: Any, memory: Any, k: Any, start: Any, x: Any, n: Any) -> None:
    """Rows: output, samples still to hold, sign before; then those of the chopper."""
    output, waiting, before, sign = memory[0], memory[1], memory[2], memory[3]
    copy_row(sign, before, n)
    advance_sign(law.chopper, memory[3:], k, start, n)
    started = k > 0
    for i in range(n):
        flipped = started & (sign[i] != before[i])
        rest = max(waiting[i] - type(law.hold)(1), type(law.hold)(0))
        waiting[i] = law.hold if flipped else rest
        output[i] = sign[i] * x[i] if waiting[i] == 0 else output[i]
        x[i] = output[i]


@inline
def lock_in_tile(law: Any, memory: Any, k: Any, start: Any, x: Any, n: Any) -> None:
    """Rows: output, mean and length of this stretch, mean of the last, number of them, sign before; chopper.

    Stretches alternate in sign, so a constant added to the input cancels in the mean of two, whatever their
    lengths.
    """
    output, mean, length, last, ended = memory[0], memory[1], memory[2], memory[3], memory[4]
    before, sign = memory[5], memory[6]
    copy_row(sign, before, n)
    advance_sign(law.chopper, memory[6:], k, start, n)
    half, one = type(x[0])(0.5), type(x[0])(1)
    for i in range(n):
        if k > 0 and sign[i] != before[i]:
            output[i] = half * (mean[i] + last[i]) if ended[i] > 0 else output[i]
            last[i], mean[i], length[i], ended[i] = mean[i], 0, 0, 1
        length[i] += one
        mean[i] += (sign[i] * x[i] - mean[i]) / length[i]
        x[i] = output[i]


@kernel
def fill_signs(law: Any, first: int, signs: Array) -> None:
    """Signs of the samples from ``first`` on into ``signs`` [samples, cells] (int8)."""
    samples, cells = signs.shape
    memory = np.zeros((law.slots, TILE), np.float32)
    for start in range(0, cells, TILE):
        n = min(TILE, cells - start)
        for k in range(first + samples):
            advance_sign(law, memory, k, start, n)
            if k >= first:
                for i in range(n):
                    signs[k - first, start + i] = np.int8(memory[0, i])
