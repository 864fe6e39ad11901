"""Filters on a tile of cells: the scalar laws and the tile functions that apply them sample by sample.

A law is a NamedTuple whose first field ``slots`` is the number of rows of memory it needs. Its tile function
``f(law, memory, k, start, x, n)`` replaces sample ``k`` of the cells ``start`` to ``start + n - 1``, held in
``x`` [>= n], by the output, and keeps what it must remember in ``memory`` [slots, >= n], which starts as
zeros. Numbers of a law have the precision of the samples.
"""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from sptrack.kernels._jit import inline

Array = NDArray[Any]


class EmaLaw(NamedTuple):
    """``stages`` equal low-passes of one pole in a row."""

    slots: int
    stages: int
    eta: Any


class CorrectedEmaLaw(NamedTuple):
    """One low-pass that forgets its start: weighted mean of all samples, weights falling by ``decay``."""

    slots: int
    decay: Any


class SosLaw(NamedTuple):
    """Second-order sections in a row: ``sections`` [sections, 5] holds b0, b1, b2, a1, a2 (a0 is 1)."""

    slots: int
    sections: Array


class FirLaw(NamedTuple):
    """Finite impulse response ``taps`` [slots], at least two of them."""

    slots: int
    taps: Array


class BoxcarLaw(NamedTuple):
    """``stages`` equal moving averages over ``length`` samples in a row; ``scale`` is 1 / length."""

    slots: int
    stages: int
    length: int
    scale: Any


@inline
def ema(q: Any, x: Any, eta: Any) -> Any:
    """One step of a low-pass with pole 1 - eta: (1 - eta) q + eta x (eq. (12), Xiao et al. 2026)."""
    return q + eta * (x - q)


@inline
def corrected_gain(weight: Any, decay: Any) -> Any:
    """Weight sum and gain of a bias-corrected EMA at its next sample, ``weight`` being the sum before it.

    The sum of weights is w_n = decay w_(n-1) + 1 from w_0 = 0, so the weighted mean moves by (x - q) / w_n;
    w_n = (1 - decay**n) / (1 - decay), hence q is the EMA started at 0 over 1 - decay**n.
    """
    weight = decay * weight + type(weight)(1)
    return weight, type(weight)(1) / weight


@inline
def ema_tile(law: Any, memory: Any, k: Any, start: Any, x: Any, n: Any) -> None:
    """Cascade of exponential moving averages; one row of memory a stage."""
    for stage in range(law.stages):
        q = memory[stage]
        for i in range(n):
            q[i] = ema(q[i], x[i], law.eta)
            x[i] = q[i]


@inline
def corrected_ema_tile(law: Any, memory: Any, k: Any, start: Any, x: Any, n: Any) -> None:
    """Bias-corrected exponential moving average; rows: the mean, the sum of weights."""
    q, weight = memory[0], memory[1]
    for i in range(n):
        weight[i], gain = corrected_gain(weight[i], law.decay)
        q[i] = ema(q[i], x[i], gain)
        x[i] = q[i]


@inline
def _section(coefficients: Any, first: Any, second: Any, x: Any, n: Any) -> None:
    b0, b1, b2, a1, a2 = coefficients
    for i in range(n):
        sample = x[i]
        y = b0 * sample + first[i]
        first[i] = (b1 * sample - a1 * y) + second[i]
        second[i] = b2 * sample - a2 * y
        x[i] = y


@inline
def sos_tile(law: Any, memory: Any, k: Any, start: Any, x: Any, n: Any) -> None:
    """Second-order sections in transposed direct form II; two rows of memory a section."""
    for section in range(law.sections.shape[0]):
        c = law.sections[section]
        _section((c[0], c[1], c[2], c[3], c[4]), memory[2 * section], memory[2 * section + 1], x, n)


@inline
def fir_tile(law: Any, memory: Any, k: Any, start: Any, x: Any, n: Any) -> None:
    """Finite impulse response in transposed form.

    Row j holds the part of output k + 1 + j that is known so far, the last row the newest sample.
    """
    last = law.slots - 1
    sample = memory[last]
    for i in range(n):
        sample[i] = x[i]
        x[i] = law.taps[0] * sample[i] + memory[0, i]
    for j in range(last - 1):
        row, ahead, tap = memory[j], memory[j + 1], law.taps[j + 1]
        for i in range(n):
            row[i] = ahead[i] + tap * sample[i]
    for i in range(n):
        memory[last - 1, i] = law.taps[last] * sample[i]


@inline
def boxcar_turn(ring: Any, length: Any, first: Any, last: Any) -> None:
    """Make each of the last ``length`` samples in ``ring`` the sum of itself and all later ones.

    For the cells from ``first`` to ``last`` - 1.
    """
    for i in range(first, last):
        ring[length, i] = 0
    for row in range(length - 2, -1, -1):
        for i in range(first, last):
            ring[row, i] += ring[row + 1, i]


@inline
def boxcar_sum(ring: Any, i: Any, position: Any, length: Any, x: Any) -> Any:
    """Sum of the last ``length`` samples of cell ``i``, ``x`` being the newest.

    ``ring`` [length + 1, cells] holds the samples of this turn below ``position``, sums of the last turn's
    samples from there to its end above, and in its last row the sum of this turn. Old samples are never
    subtracted, so that no rounding error accumulates. `boxcar_turn` comes before position 0.
    """
    ring[length, i] += x
    ring[position, i] = x
    return ring[length, i] + (ring[position + 1, i] if position + 1 < length else type(x)(0))


@inline
def boxcar_tile(law: Any, memory: Any, k: Any, start: Any, x: Any, n: Any) -> None:
    """Cascade of moving averages; length + 1 rows of memory a stage."""
    position = k % law.length
    for stage in range(law.stages):
        ring = memory[stage * (law.length + 1) : (stage + 1) * (law.length + 1)]
        if position == 0:
            boxcar_turn(ring, law.length, 0, n)
        for i in range(n):
            x[i] = law.scale * boxcar_sum(ring, i, position, law.length, x[i])
