"""Step laws and Kalman filter of measured pulse responses, compiled.

A law gives the mean step f(x) of one pulse at x, the distance from the origin *along* the pulse (w - origin
under up pulses, origin - w under down pulses), so that one function serves both directions: x' = x + f(x).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import inline, kernel

Array = NDArray[Any]

SOFT_BOUNDS, POW_STEP, EXP_STEP, SOFT_EXPONENTIAL, LINEAR_STEP, PIECEWISE = range(6)


_FAR = 1e6
"""Where states of an unstable trial law are stopped, so that its likelihood is low but finite."""


class Shape(NamedTuple):
    """Kind of a law (a number from above) and half the range on which the nodes of a piecewise one lie."""

    kind: int
    half: float


class Vectors(NamedTuple):
    """Parameters [B, M, ...]: starts of the runs, noise (read, cycle, slow variance, phi), coefficients.

    Coefficients [B, M, 2, n] are those of the up (0) and of the down (1) direction, all positive.
    """

    starts: Array
    noise: Array
    coefficients: Array


class Program(NamedTuple):
    """Signed pulses before each reading [N] (0 at the first of a run) and the run of each reading [N]."""

    pulses: Array
    runs: Array


@inline
def _step(shape: Any, c: Any, x: Any) -> Any:
    """Size of the mean step at x and its derivative by x."""
    if shape.kind == SOFT_BOUNDS:
        return c[0] * (1.0 - c[1] * x), -c[0] * c[1]
    if shape.kind == POW_STEP:
        left = max(1.0 - c[1] * x, 1e-12)
        size = c[0] * left ** c[2]
        return size, -size * c[1] * c[2] / left
    if shape.kind == EXP_STEP:
        scale = c[0] / -math.expm1(-c[2] / c[1])
        gap = min(c[2] * (x - 1.0 / c[1]), 0.0)
        return -scale * math.expm1(gap), -scale * c[2] * math.exp(gap)
    if shape.kind == SOFT_EXPONENTIAL:
        scale = c[0] / -math.expm1(-c[2] / c[1])
        end = math.exp(-c[2] / c[1])
        fallen = math.exp(-c[2] * min(max(x, -1.0 / c[1]), 1.0 / c[1]))
        return scale * (fallen - end), -scale * c[2] * fallen
    if shape.kind == LINEAR_STEP:
        size, room = c[0] * (1.0 - c[1] * x), 1.0 / c[2] - x
        return (size, -c[0] * c[1]) if size < room else (room, -1.0)
    last = c.size - 1
    place = (x + shape.half) / (2.0 * shape.half) * last
    inside = min(max(place, 0.0), float(last))
    left_node = min(int(inside), last - 1)
    rise = c[left_node + 1] - c[left_node]
    slope = rise * last / (2.0 * shape.half) if place == inside else 0.0
    return c[left_node] + rise * (inside - left_node), slope


@kernel
def law_steps(shape: Any, coefficients: Any, x: Any, out: Any) -> None:
    """Steps ``out`` [B, n] of one direction's coefficients [B, c] at the distances ``x`` [B, n]."""
    for b in range(x.shape[0]):
        for k in range(x.shape[1]):
            out[b, k] = _step(shape, coefficients[b], x[b, k])[0]


@inline
def _pulses(shape: Any, c: Any, count: Any, cycle: Any, moments: Any) -> Any:
    """Moments (state, slow, variance of the state, covariance, variance of slow) after ``count`` pulses."""
    w, s, var_w, cov, var_s = moments
    sign = 1.0 if count > 0 else -1.0
    side = 0 if count > 0 else 1
    for _ in range(abs(count)):
        size, slope = _step(shape, c[side], sign * w)
        factor = 1.0 + slope
        w = min(max(w + sign * size, -_FAR), _FAR)
        var_w = min(factor * factor * var_w + cycle * (size * size + slope * slope * var_w), _FAR * _FAR)
        cov = min(max(factor * cov, -_FAR), _FAR)
    return w, s, var_w, cov, var_s


@inline
def _before(shape: Any, at: Any, b: Any, m: Any, program: Any, k: Any, moments: Any) -> Any:
    """Moments before reading ``k``: of a new run, or after the pulses since the last reading."""
    slow, phi = at.noise[b, m, 2], at.noise[b, m, 3]
    if k == 0 or program.runs[k] != program.runs[k - 1]:
        return at.starts[b, m, program.runs[k]], 0.0, 0.0, 0.0, slow
    w, s, var_w, cov, var_s = moments
    moments = w, phi * s, var_w, phi * cov, slow + phi * phi * (var_s - slow)
    return _pulses(shape, at.coefficients[b, m], program.pulses[k], at.noise[b, m, 1], moments)


@inline
def _correct(moments: Any, error: Any, total: Any) -> Any:
    """Take in a reading with innovation ``error`` of variance ``total``."""
    w, s, var_w, cov, var_s = moments
    gain_w, gain_s = (var_w + cov) / total, (cov + var_s) / total
    return (
        min(max(w + gain_w * error, -_FAR), _FAR),
        min(max(s + gain_s * error, -_FAR), _FAR),
        max(var_w - gain_w * gain_w * total, 0.0),
        cov - gain_w * gain_s * total,
        max(var_s - gain_s * gain_s * total, 0.0),
    )


@kernel
def filter_readings(shape: Any, at: Any, program: Any, readings: Any, innovation: Any, variance: Any) -> None:
    """Innovations and variances [B, M, N] of readings [B, N]; 0 and 1 where a reading is NaN."""
    for b in range(readings.shape[0]):
        for m in range(at.noise.shape[1]):
            moments = 0.0, 0.0, 0.0, 0.0, 0.0
            for k in range(readings.shape[1]):
                moments = _before(shape, at, b, m, program, k, moments)
                innovation[b, m, k] = 0.0
                variance[b, m, k] = 1.0
                if not math.isnan(readings[b, k]):
                    error = readings[b, k] - moments[0] - moments[1]
                    total = max(moments[2] + 2.0 * moments[3] + moments[4], 0.0) + at.noise[b, m, 0]
                    moments = _correct(moments, error, total)
                    innovation[b, m, k] = error
                    variance[b, m, k] = total


@kernel
def simulate_readings(shape: Any, at: Any, program: Any, residuals: Any, readings: Any) -> None:
    """Readings [B, N] of which `filter_readings` (M = 1) makes the standardised innovations ``residuals``."""
    for b in range(readings.shape[0]):
        moments = 0.0, 0.0, 0.0, 0.0, 0.0
        for k in range(readings.shape[1]):
            moments = _before(shape, at, b, 0, program, k, moments)
            total = max(moments[2] + 2.0 * moments[3] + moments[4], 0.0) + at.noise[b, 0, 0]
            error = np.sqrt(total) * residuals[b, k]
            readings[b, k] = moments[0] + moments[1] + error
            moments = _correct(moments, error, total)
