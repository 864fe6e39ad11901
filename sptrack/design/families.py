"""Filters with poles that the search makes from a mean delay, and the transient of their start.

A boxcar over whole periods of the chopper settles first of all filters with a given noise bandwidth; behind
a random chopper filters with poles compete, and of those the ones of higher order settle sooner: settling to
5 % times noise bandwidth is 1.50 for one pole, 1.19 for two equal ones and 1.03 for a Butterworth pair.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks import EMA, SOS, Block
from sptrack.design.specification import SETTLED
from sptrack.theory.state_space import StateSpace, state_space

Array = NDArray[Any]

_NODES = 16
"""Cells whose transient is followed; those of others lie between, over the logarithm of the rate 1 - a."""


def cascade(delay: float, order: int) -> EMA:
    """Cascade of equal moving averages with a mean delay of ``delay`` samples in all."""
    return EMA(eta=order / (order + delay), order=order)


def butterworth(delay: float) -> SOS:
    """Butterworth low-pass of second order, by the bilinear transform, with a mean delay in samples, above 0.

    The pair of s^2 + sqrt(2) s + 1 delays by sqrt(2) at omega = 0, in units of 2 tan(omega_c/2).
    """
    k = 1 / (np.sqrt(2) * delay)
    norm = 1 / (1 + np.sqrt(2) * k + k**2)
    b = k**2 * norm
    low = [b, 2 * b, b, 1.0, 2 * (k**2 - 1) * norm, (1 - np.sqrt(2) * k + k**2) * norm]
    return SOS(sos=np.array([low]))


FAMILIES: dict[str, Callable[[float], Block]] = {
    "ema-2": lambda delay: cascade(delay, 2),
    "ema-4": lambda delay: cascade(delay, 4),
    "butterworth-2": butterworth,
}
"""Filters by name, from a mean delay in samples."""


def left_and_settling(low_pass: Block, nodes: Array, weights: Array, most: int) -> tuple[Array, float]:
    """Fraction of the start offset left in Q after ``most`` reads, and the reads until it has settled.

    Parameters
    ----------
    low_pass : Block
        Filter with poles and a gain of 1 at omega = 0.
    nodes, weights : ndarray, shape [nodes]
        Of `representative_cells`.
    most : int
        Reads, at least 1.

    Returns
    -------
    (ndarray, float)
        Fraction left [nodes], and the fewest reads after which the weighted mean has fallen to 5 % for the
        first time, infinite beyond ``most``: for filters that do not ring by more than that.
    """
    space = state_space(low_pass)
    if space is None:
        raise ValueError(f"{low_pass} has no poles")
    powers, state, seen = _powers(space, 1 - np.exp(nodes), most)
    after, reads = state, 1
    for k in reversed(range(len(powers))):
        if (most - 1) >> k & 1:
            after = (powers[k] @ after[..., None])[..., 0]
    left = (after @ seen).real
    if abs(weights @ left) > SETTLED:
        return left, float("inf")
    if abs(weights @ (state @ seen).real) <= SETTLED:
        return left, 1.0
    for k in reversed(range(len(powers))):
        later = (powers[k] @ state[..., None])[..., 0]
        if abs(weights @ (later @ seen).real) > SETTLED:
            state, reads = later, reads + (1 << k)
    return left, float(reads + 1)


def representative_cells(pole: Array, weight: Array) -> tuple[Array, Array]:
    """Cells that stand for all others: logarithms of their rates 1 - a, and the weights that fall to them.

    Parameters
    ----------
    pole : ndarray, shape [cells]
        Poles of P, of magnitude below 1.
    weight : ndarray, shape [cells]
        Weight of each cell in the offset that settles; all add up to 1.

    Returns
    -------
    (ndarray, ndarray), shape [nodes]
        Rising places, and the weights of the cells between, shared out by linear interpolation.
    """
    places = np.log(1 - pole)
    picked = np.unique(np.linspace(0, len(pole) - 1, _NODES).round().astype(int))
    known = np.unique(np.sort(places)[picked])
    if len(known) == 1:
        return known, np.array([weight.sum()])
    right = np.clip(np.searchsorted(known, places), 1, len(known) - 1)
    part = (places - known[right - 1]) / (known[right] - known[right - 1])
    weights = np.bincount(right, weight * part, len(known))
    return known, weights + np.bincount(right - 1, weight * (1 - part), len(known))


def _powers(space: StateSpace, poles: Array, most: int) -> tuple[list[Array], Array, Array]:
    """Powers 1, 2, 4, ... of the step of (error of P, filter), the state at read 1, and what reads it.

    Q starts at the offset as P does, its filter at rest there.
    """
    n = len(space.b)
    step = np.zeros((len(poles), n + 1, n + 1), complex)
    step[:, 0, 0] = poles
    step[:, 1:, 0], step[:, 1:, 1:] = space.b, space.a
    powers = [step]
    while 1 << len(powers) <= most:
        powers.append(powers[-1] @ powers[-1])
    start = np.empty((len(poles), n + 1), complex)
    start[:, 0], start[:, 1:] = poles, space.at_rest
    return powers, start, np.append(space.d, space.c)
