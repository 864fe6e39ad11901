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
from sptrack.kernels.elementary import exp32, log32
from sptrack.kernels.random import TILE, philox, unit, words_tile

Array = NDArray[Any]

ROUNDED, BINOMIAL, POISSON = 0, 1, 2
"""floor plus a Bernoulli of the fraction; ``slots`` Bernoulli slots; Poisson."""

_TO_DOUBLE = 2.0**-32
_POISSON_CHUNK = 32.0
_FEW = 8
"""Counts below this are found for whole vectors of cells, larger ones cell by cell."""
_OPEN = np.int32(-(2**31))
"""In place of a count that is to be found cell by cell."""
_MOST_LOGARITHM = np.float32(80.0)
"""Beyond it a count is not among the few, whatever the uniform number."""
_GUARD = np.float32(2e-5)
"""Relative distance from a sum of probabilities at which float32 decides as float64 does."""
_GUARD_A_SLOT = np.float32(1e-6)
_ONE, _HALF = np.float32(1.0), np.float32(0.5)


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
def _few(scaled: Any, guard: Any, a: Any, b: Any) -> Any:
    """How many of the first `_FEW` sums S_k lie below ``scaled``, in float32; `_OPEN` where that is not sure.

    S_k is the sum over j <= k of the product of (a - i b) / i over 1 <= i <= j: with b = 0, sums of Poisson
    probabilities over the first one.
    """
    low, high = scaled * (_ONE - guard), scaled * (_ONE + guard)
    mass, total = _ONE, _ONE
    least, most = np.int32(low > total), np.int32(high > total)
    for k in range(1, _FEW):
        mass *= (a - np.float32(k) * b) * np.float32(1.0 / k)
        total += mass
        least = np.int32(k + 1) if low > total else least
        most = np.int32(k + 1) if high > total else most
    return least if (least == most) & (least < _FEW) else _OPEN


@inline
def _few_poisson(word: Any, mean: Any) -> Any:
    """`poisson_count` of a few pulses, without a branch."""
    mean = mean if mean < _MOST_LOGARITHM else _MOST_LOGARITHM
    return _few(unit(word) * exp32(mean), _GUARD, mean, np.float32(0.0))


@inline
def _few_binomial(word: Any, slots: Any, p: Any) -> Any:
    """`binomial_count` of a few pulses or of all but a few, without a branch."""
    p = p if p < _ONE else _ONE
    q = p if p < _HALF else _ONE - p
    logarithm = -slots * log32(_ONE - q)
    logarithm = logarithm if logarithm < _MOST_LOGARITHM else _MOST_LOGARITHM
    ratio, guard = q / (_ONE - q), _GUARD + _GUARD_A_SLOT * slots
    few = _few(unit(word) * exp32(logarithm), guard, ratio * (slots + _ONE), ratio)
    few = _OPEN if abs(p - _HALF) < guard else few  # it is not sure which are counted
    return few if (p < _HALF) | (few == _OPEN) else np.int32(np.int32(slots) - few)


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


@inline
def _signed(number: Any, wanted: Any) -> Any:
    return number if (wanted >= 0) | (number == _OPEN) else np.int32(-number)


@disjoint_tile
def _binomial(wanted: Any, n: Any, granularity: Any, slots: Any, word: Any, count: Any) -> None:
    left = np.int32(0)
    for i in range(np.uint64(n)):
        p = np.float32(abs(wanted[i]) / granularity) / np.float32(slots)
        number = _few_binomial(word[i], np.float32(slots), p)
        left = np.int32(left + np.int32(number == _OPEN))
        count[i] = _signed(number, wanted[i])
    if left == 0:
        return
    for i in range(np.uint64(n)):
        if count[i] == _OPEN:
            p = abs(np.float64(wanted[i])) / granularity / slots
            count[i] = _signed(np.int32(binomial_count(_uniform(word[i]), slots, p)), wanted[i])


@disjoint_tile
def _poissonian(wanted: Any, n: Any, granularity: Any, word: Any, draws: Any, index: Any, count: Any) -> None:
    left = np.int32(0)
    for i in range(np.uint64(n)):
        number = _few_poisson(word[i], np.float32(abs(wanted[i]) / granularity))
        left = np.int32(left + np.int32(number == _OPEN))
        count[i] = _signed(number, wanted[i])
    if left == 0:
        return
    for i in range(np.uint64(n)):
        if count[i] == _OPEN:
            mean = abs(np.float64(wanted[i])) / granularity
            count[i] = _signed(np.int32(_poisson(mean, word[i], draws, index[i])), wanted[i])


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

    ``size`` = (granularity, count law, slots of the binomial law): counts are found in the precision of the
    granularity. ``words`` [tiles, 4, `TILE`] (uint32) keeps the words that four events share and is made anew
    if ``renew``; cells[0] is a multiple of `TILE`.
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
