"""From a wanted increment to whole pulses: the count laws.

A wanted increment D of a cell with granularity h asks for D/h pulses on average. Each law is unbiased as long
as no limit is hit; they differ in variance (eq. (2) of Xiao et al. 2026, arXiv 2602.21321, and its
discretization error b).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import disjoint_tile, inline, kernel
from sptrack.kernels.elementary import exp64
from sptrack.kernels.random import TILE, philox, unit, words_tile

Array = NDArray[Any]

ROUNDED, BINOMIAL, POISSON = 0, 1, 2
"""floor plus a Bernoulli of the fraction; ``slots`` Bernoulli slots; Poisson."""

_TO_DOUBLE = 2.0**-32
_POISSON_CHUNK = 32.0
_FEW = 8
"""Counts below this are found for whole vectors of cells, larger ones cell by cell."""
_MOST_SLOTS_BITS = 10
"""Binary digits of the largest number of slots, 1000."""


@inline
def _uniform(word: Any) -> Any:
    return (float(word) + 0.5) * _TO_DOUBLE


@inline
def binomial_count(uniform: Any, slots: Any, p: Any) -> Any:
    """Binomial(slots, p) by inversion of one uniform number; ``p`` above 1 counts as 1."""
    if p >= 1.0:
        return slots
    q = min(p, 1.0 - p)
    mass = (1.0 - q) ** slots
    ratio = q / (1.0 - q)
    total = mass
    k = 0
    while uniform > total and k < slots:
        mass *= ratio * (slots - k) / (k + 1)
        total += mass
        k += 1
    return k if q == p else slots - k


@inline
def poisson_count(uniform: Any, mean: Any) -> Any:
    """Poisson(mean) by inversion of one uniform number, for means up to a few dozen."""
    mass = math.exp(-mean)
    total = mass
    k = 0
    while uniform > total and mass > 0.0:
        k += 1
        mass *= mean / k
        total += mass
    return k


@inline
def _few_poisson(uniform: Any, mean: Any) -> Any:
    """`poisson_count` up to `_FEW`, which stands for that or more, without a branch."""
    mass = exp64(-mean)
    total = mass
    count = np.int32(uniform > total)
    for k in range(1, _FEW):
        mass *= mean * (1.0 / k)
        total += mass
        count += np.int32(uniform > total)
    return count


@inline
def _few_binomial(uniform: Any, slots: Any, q: Any) -> Any:
    """`binomial_count` of q <= 1/2 up to `_FEW`, which stands for that or more, without a branch."""
    mass, square = 1.0, 1.0 - q
    for digit in range(_MOST_SLOTS_BITS):
        mass *= square if (slots >> digit) & 1 else 1.0
        square *= square
    ratio = q / (1.0 - q)
    total = mass
    count = np.int32(uniform > total)
    for k in range(1, _FEW):
        mass *= ratio * (slots - k + 1) * (1.0 / k)
        total += mass
        count += np.int32(uniform > total)
    return count if count < slots else np.int32(slots)


@inline
def _poisson(mean: Any, word: Any, draws: Any, cell: Any) -> Any:
    """Poisson counts of any mean: a sum of independent chunks, each with a uniform number of its own."""
    chunks = max(1, math.ceil(mean / _POISSON_CHUNK))
    count = poisson_count(_uniform(word), mean / chunks)
    for chunk in range(1, chunks):
        w0, _, _, _ = philox(
            np.uint32(chunk), draws.event, np.uint32(cell), draws.array, draws.coin.low, draws.coin.high
        )
        count += poisson_count(_uniform(w0), mean / chunks)
    return count


@disjoint_tile
def _rounded(wanted: Any, n: Any, granularity: Any, word: Any, count: Any) -> None:
    for i in range(np.uint64(n)):
        pulses = abs(wanted[i]) / granularity
        whole = np.int32(pulses)
        more = unit(word[i]) <= pulses - type(pulses)(whole)
        number = np.int32(whole + np.int32(more))
        count[i] = number if wanted[i] >= 0 else np.int32(-number)


@disjoint_tile
def _binomial(wanted: Any, n: Any, granularity: Any, slots: Any, word: Any, count: Any) -> None:
    left = np.int32(0)
    for i in range(np.uint64(n)):
        p = abs(np.float64(wanted[i])) / granularity / slots
        p = 1.0 if p > 1.0 else p
        q = p if p <= 0.5 else 1.0 - p
        few = _few_binomial(_uniform(word[i]), slots, q)
        left += np.int32(few == _FEW)
        number = few if p <= 0.5 else np.int32(slots - few)
        count[i] = number if wanted[i] >= 0 else np.int32(-number)
    if left == 0:
        return
    for i in range(np.uint64(n)):
        if abs(count[i]) == _FEW or abs(count[i]) == slots - _FEW:
            number = binomial_count(
                _uniform(word[i]), slots, abs(np.float64(wanted[i])) / granularity / slots
            )
            count[i] = number if wanted[i] >= 0 else -number


@disjoint_tile
def _poissonian(wanted: Any, n: Any, granularity: Any, word: Any, draws: Any, index: Any, count: Any) -> None:
    left = np.int32(0)
    for i in range(np.uint64(n)):
        number = _few_poisson(_uniform(word[i]), abs(np.float64(wanted[i])) / granularity)
        left += np.int32(number == _FEW)
        count[i] = number if wanted[i] >= 0 else np.int32(-number)
    if left == 0:
        return
    for i in range(np.uint64(n)):
        if abs(count[i]) == _FEW:
            number = _poisson(abs(np.float64(wanted[i])) / granularity, word[i], draws, index[i])
            count[i] = number if wanted[i] >= 0 else -number


@disjoint_tile
def counts_tile(wanted: Any, n: Any, size: Any, word: Any, draws: Any, index: Any, count: Any) -> None:
    """Signed pulse counts of the increments ``wanted`` [>= n] into ``count`` (int32).

    ``size`` = (granularity, count law, slots); ``word`` [>= n] (uint32) decides, see `event_words`. Further
    uniform numbers, for large Poisson means, come from counters of the same stream with the event in their
    second place.
    """
    granularity, law, slots = size
    if law == ROUNDED:
        _rounded(wanted, n, granularity, word, count)
    elif law == BINOMIAL:
        _binomial(wanted, n, granularity, slots, word, count)
    else:
        _poissonian(wanted, n, granularity, word, draws, index, count)


@inline
def event_words(words: Any, n: Any, draws: Any, index: Any) -> Any:
    """The one word per cell that decides a count, and those of the three events around it, into ``words``.

    Events share counters in fours; the row of this event is returned.
    """
    words_tile(words, n, draws.coin, np.uint32(draws.event >> 2), np.uint32(0), index, draws.array)
    return draws.event & 3


@kernel
def draw_counts(
    increment: Array, size: Any, draws: Any, cells: Any, counts: Array, words: Array, renew: bool
) -> None:
    """Signed pulse counts (int32) of the wanted ``increment`` [cells] (float64) for cells[0] <= i < cells[1].

    ``size`` = (granularity, count law, slots of the binomial law); the granularity's precision is that of the
    counts. ``words`` [tiles, 4, `TILE`] (uint32)
    keeps the words that four events share and is made anew if ``renew``; cells[0] is a multiple of `TILE`.
    """
    index, wanted = np.empty(TILE, np.uint32), np.full(TILE, size[0])
    for start in range(cells[0], cells[1], TILE):
        n = min(TILE, cells[1] - start)
        for i in range(n):
            index[i] = np.uint32(start + i)
            wanted[i] = increment[start + i]
        shared = words[start // TILE]
        if renew:
            event_words(shared, n, draws, index)
        row = shared[draws.event & 3]
        counts_tile(wanted, n, size, row, draws, index, counts[start : start + n])
