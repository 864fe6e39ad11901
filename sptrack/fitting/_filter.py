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


EXACT = 40
"""Most pulses between two readings that are followed one by one."""
_GROUPS = 8
_NARROW = 1e-3
"""Std of the state, over the step at the origin, above which its scatter matters at a hard bound."""
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
def _bounded(c: Any, x: Any, var: Any) -> Any:
    """Step at a hard bound, of a state with scatter: probability and density of free steps, std, distance.

    The gap between a free step a (1 - g x) and what the bound leaves of it, B - x, is normal. The distance is
    its mean over its std, which is 0 where the state is known too well for the scatter to matter.
    """
    gap = c[0] * (1.0 - c[1] * x) - (1.0 / c[2] - x)
    if var <= (_NARROW * c[0]) ** 2:
        return (1.0 if gap < 0.0 else 0.0), 0.0, 0.0, 0.0
    std = max(abs(1.0 - c[0] * c[1]), 1e-12) * math.sqrt(var)
    distance = gap / std
    density = math.exp(-0.5 * distance * distance) / math.sqrt(2.0 * math.pi)
    return 0.5 * math.erfc(distance / math.sqrt(2.0)), density, std, distance


@inline
def _step(shape: Any, c: Any, x: Any, var: Any) -> Any:
    """Size of the mean step at x and its derivative by x; of a hard bound, means over x of variance var."""
    if shape.kind == SOFT_BOUNDS:
        return c[0] * (1.0 - c[1] * x), -c[0] * c[1]
    if shape.kind == POW_STEP:
        left = max(1.0 - c[1] * x, 1e-12)
        size, rest = c[0] * left ** c[2], left / c[1]
        return (size, -size * c[1] * c[2] / left) if size < rest else (rest, -1.0)
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
        free, density, std, _ = _bounded(c, x, var)
        size, rest = c[0] * (1.0 - c[1] * x), 1.0 / c[2] - x
        return free * size + (1.0 - free) * rest - density * std, -free * c[0] * c[1] - (1.0 - free)
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
            out[b, k] = _step(shape, coefficients[b], x[b, k], 0.0)[0]


@inline
def _parts(count: Any) -> Any:
    """Parts into which pulses between readings are put, and the pulses of each."""
    number = abs(count)
    parts = number if number <= EXACT else _GROUPS
    return parts, number / max(parts, 1)


@inline
def _group(pulses: Any, size: Any, slope: Any) -> Any:
    """Move of a group of pulses over that of one, factor of the state, and decay of its scatter.

    Exact for steps that are linear in the state: the step falls by the factor 1 + slope from pulse to pulse.
    """
    left = max(1.0 + slope, 1e-12)
    factor = left**pulses
    times = (factor - 1.0) / slope if abs(slope) > 1e-7 else pulses + 0.5 * pulses * (pulses - 1.0) * slope
    return times, factor, factor / left


@inline
def _pulses(shape: Any, c: Any, count: Any, cycle: Any, moments: Any) -> Any:
    """Moments (state, slow, variance of the state, covariance, variance of slow) after ``count`` pulses."""
    w, s, var_w, cov, var_s = moments
    sign = 1.0 if count > 0 else -1.0
    side = 0 if count > 0 else 1
    parts, pulses = _parts(count)
    for _ in range(parts):
        size, slope = _step(shape, c[side], sign * w, var_w)
        spread = cycle * (size * size + slope * slope * var_w)
        factor = 1.0 + slope
        if pulses > 1.0:
            times, factor, decay = _group(pulses, size, slope)
            size *= times
            spread *= pulses * decay * decay
        w = min(max(w + sign * size, -_FAR), _FAR)
        var_w = min(factor * factor * var_w + spread, _FAR * _FAR)
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


@inline
def _bounded_derivatives(c: Any, x: Any, var: Any, df: Any, dg: Any) -> Any:
    """`_step_derivatives` of a law with a hard bound."""
    free, density, std, distance = _bounded(c, x, var)
    stopped, fall, left = 1.0 - free, c[0] * c[1], 1.0 - c[0] * c[1]
    widen = -math.copysign(fall * math.sqrt(var), left) if std > 0.0 else 0.0
    turn = left * density / std if std > 0.0 else 0.0
    for i, change in enumerate((c[0] * (1.0 - c[1] * x), -fall * x)):
        df[i] = free * change - density * widen
        dg[i] = -free * fall - turn * (change - distance * widen)
    df[2] = -stopped / c[2]
    dg[2] = -turn / c[2]
    if std == 0.0:
        return 0.0, 0.0, 0.0
    return -turn * left, -0.5 * density * std / var, 0.5 * left * density * distance / var


@inline
def _step_derivatives(shape: Any, c: Any, x: Any, var: Any, size: Any, slope: Any, df: Any, dg: Any) -> Any:
    """Derivative of the slope by x, of size and slope by the variance of x.

    Into df and dg go those of size and slope by the logarithms of coefficients.
    """
    if shape.kind == LINEAR_STEP:
        return _bounded_derivatives(c, x, var, df, dg)
    return _derivatives_at(shape, c, x, size, slope, df, dg), 0.0, 0.0


@inline
def _derivatives_at(shape: Any, c: Any, x: Any, size: Any, slope: Any, df: Any, dg: Any) -> Any:
    """Derivative of the slope by x, and df, dg as in `_step_derivatives`, of laws taken at x alone."""
    df[:] = 0.0
    dg[:] = 0.0
    if shape.kind == PIECEWISE:
        last = c.size - 1
        place = (x + shape.half) / (2.0 * shape.half) * last
        inside = min(max(place, 0.0), float(last))
        left = min(int(inside), last - 1)
        fraction, rate = inside - left, last / (2.0 * shape.half) if place == inside else 0.0
        df[left], df[left + 1] = c[left] * (1.0 - fraction), c[left + 1] * fraction
        dg[left], dg[left + 1] = -c[left] * rate, c[left + 1] * rate
        return 0.0
    if slope == -1.0 and shape.kind == POW_STEP:
        df[1] = -1.0 / c[1]
        return 0.0
    df[0], dg[0] = size, slope
    if shape.kind == POW_STEP:
        left_over = max(1.0 - c[1] * x, 1e-12)
        curve = slope * c[1] * (1.0 - c[2]) / left_over
        fall = c[2] * math.log(left_over)
        df[1], dg[1] = slope * x, slope + curve * x
        df[2], dg[2] = size * fall, slope * (1.0 + fall)
        return curve
    if shape.kind == EXP_STEP or shape.kind == SOFT_EXPONENTIAL:
        reach = c[2] / c[1]
        end = math.exp(-reach)
        fraction = reach * end / (1.0 - end)
        if shape.kind == EXP_STEP:
            gap = min(c[2] * x - reach, 0.0)
            moving = 1.0 if gap < 0.0 else 0.0
            fallen = slope / c[2]
            df[1], dg[1] = size * fraction + moving * fallen * reach, slope * (fraction + moving * reach)
            df[2], dg[2] = fallen * gap - size * fraction, slope * (1.0 + gap - fraction)
            return moving * slope * c[2]
        inside = min(max(x, -1.0 / c[1]), 1.0 / c[1])
        outside = 0.0 if x == inside else c[2] * inside
        scale = c[0] / (1.0 - end)
        fallen = -slope / c[2]
        df[1] = size * fraction + fallen * outside - scale * end * reach
        dg[1] = slope * (fraction + outside)
        df[2] = scale * end * reach - size * fraction - fallen * c[2] * inside
        dg[2] = slope * (1.0 - fraction - c[2] * inside)
        return -slope * c[2] if x == inside else 0.0
    df[1], dg[1] = slope * x, slope
    return 0.0


@inline
def _flush(target: Any, sums: Any, run: Any, runs: Any, q: Any) -> None:
    """Add the sums of the start of a run to its row and column, and begin them anew."""
    target[run, run] += sums[0, 0]
    sums[0, 0] = 0.0
    for j in range(1, q):
        target[run, runs + j - 1] += sums[j, 0]
        target[runs + j - 1, run] += sums[j, 0]
        sums[j, 0] = 0.0


@kernel
def accumulate(shape: Any, at: Any, program: Any, readings: Any, noisy: Any, sums: Any) -> None:
    """Log-likelihood, its gradient and its information, in one pass with tangents of the filter.

    A tangent of every moment is carried for the start of the run at hand, for the noises (if ``noisy``) and
    for the logarithms of the coefficients. With innovations e and variances S, ``errors`` sums de de'/S and
    ``variances`` dS dS'/(2 S^2).

    Parameters
    ----------
    shape, at, program, readings :
        As in `filter_readings`, without the axis M.
    noisy : int
        1: tangents of the noises too.
    sums : (array [B], array [B, q], array [B, q, q], array [B, q, q])
        Log-likelihood, gradient, ``errors`` and ``variances``, added to; q = runs + 4 noisy + 2 n.
    """
    plain, score, errors, variances = sums
    width = at.coefficients.shape[2]
    runs = at.starts.shape[1]
    noises = 4 if noisy else 0
    q = 1 + noises + 2 * width
    scales = width if shape.kind == PIECEWISE else 1
    tw, ts, tp, tc, tv = np.empty(q), np.empty(q), np.empty(q), np.empty(q), np.empty(q)
    te, tt, dsize, dslope, dspread = np.empty(q), np.empty(q), np.empty(q), np.empty(q), np.empty(q)
    cycle_d, df, dg = np.zeros(q), np.empty(width), np.empty(width)
    sum_e, sum_s = np.zeros((q, q)), np.zeros((q, q))
    for b in range(readings.shape[0]):
        read, cycle, slow, phi = at.noise[b, 0], at.noise[b, 1], at.noise[b, 2], at.noise[b, 3]
        drifting = slow > 1e-15
        cycle_d[:] = 0.0
        if noisy:
            cycle_d[2] = 2.0 * cycle
        for side in range(2):
            for i in range(scales):
                cycle_d[1 + noises + side * width + i] = -cycle / scales
        phi_d = -phi * math.log(phi) if noisy else 0.0
        sum_e[:] = 0.0
        sum_s[:] = 0.0
        w, s, var_w, cov, var_s = 0.0, 0.0, 0.0, 0.0, 0.0
        total_plain = 0.0
        for k in range(readings.shape[1]):
            run = program.runs[k]
            if k == 0 or run != program.runs[k - 1]:
                w, s, var_w, cov, var_s = at.starts[b, run], 0.0, 0.0, 0.0, slow
                tw[:] = 0.0
                ts[:] = 0.0
                tp[:] = 0.0
                tc[:] = 0.0
                tv[:] = 0.0
                tw[0] = 1.0
                if noisy:
                    tv[3] = 2.0 * slow
                if k > 0:
                    _flush(errors[b], sum_e, program.runs[k - 1], runs, q)
                    _flush(variances[b], sum_s, program.runs[k - 1], runs, q)
            else:
                if drifting:
                    for j in range(q):
                        ts[j] *= phi
                        tc[j] *= phi
                        tv[j] *= phi * phi
                    if noisy:
                        ts[4] += phi_d * s
                        tc[4] += phi_d * cov
                        tv[4] += 2.0 * phi * phi_d * (var_s - slow)
                        tv[3] += 2.0 * slow * (1.0 - phi * phi)
                    s, cov, var_s = phi * s, phi * cov, slow + phi * phi * (var_s - slow)
                count = program.pulses[k]
                sign = 1.0 if count > 0 else -1.0
                side = 0 if count > 0 else 1
                own = 1 + noises + side * width
                c = at.coefficients[b, side]
                parts, pulses = _parts(count)
                for _ in range(parts):
                    size, slope = _step(shape, c, sign * w, var_w)
                    curve, size_by, slope_by = _step_derivatives(
                        shape, c, sign * w, var_w, size, slope, df, dg
                    )
                    for j in range(q):
                        dsize[j] = sign * slope * tw[j] + size_by * tp[j]
                        dslope[j] = sign * curve * tw[j] + slope_by * tp[j]
                    for i in range(width):
                        dsize[own + i] += df[i]
                        dslope[own + i] += dg[i]
                    spread = size * size + slope * slope * var_w
                    for j in range(q):
                        dspread[j] = (
                            cycle_d[j] * spread
                            + 2.0 * cycle * (size * dsize[j] + slope * dslope[j] * var_w)
                            + cycle * slope * slope * tp[j]
                        )
                    spread *= cycle
                    factor = 1.0 + slope
                    if pulses > 1.0:
                        times, powered, decay = _group(pulses, size, slope)
                        rate = pulses * powered / max(factor, 1e-12)
                        bend = (rate - times) / slope if abs(slope) > 1e-7 else 0.5 * pulses * (pulses - 1.0)
                        keep = pulses * decay * decay
                        loss = 2.0 * (pulses - 1.0) / max(factor, 1e-12) * keep * spread
                        for j in range(q):
                            dspread[j] = keep * dspread[j] + loss * dslope[j]
                            dsize[j] = times * dsize[j] + bend * size * dslope[j]
                            dslope[j] *= rate
                        size, spread, factor = times * size, keep * spread, powered
                    for j in range(q):
                        tw[j] += sign * dsize[j]
                        tp[j] = factor * factor * tp[j] + 2.0 * factor * var_w * dslope[j] + dspread[j]
                        tc[j] = dslope[j] * cov + factor * tc[j]
                    w = min(max(w + sign * size, -_FAR), _FAR)
                    var_w = min(factor * factor * var_w + spread, _FAR * _FAR)
                    cov = min(max(factor * cov, -_FAR), _FAR)
            if math.isnan(readings[b, k]):
                continue
            error = readings[b, k] - w - s
            total = max(var_w + 2.0 * cov + var_s, 0.0) + read
            inverse = 1.0 / total
            gain_w, gain_s = (var_w + cov) * inverse, (cov + var_s) * inverse
            shock = error * error * inverse
            total_plain -= 0.5 * (math.log(total) + shock)
            for j in range(q):
                te[j] = -tw[j] - ts[j]
                tt[j] = tp[j] + 2.0 * tc[j] + tv[j]
            if noisy:
                tt[1] += 2.0 * read
            for j in range(q):
                gain_wd = (tp[j] + tc[j] - gain_w * tt[j]) * inverse
                gain_sd = (tc[j] + tv[j] - gain_s * tt[j]) * inverse
                tw[j] += gain_wd * error + gain_w * te[j]
                ts[j] += gain_sd * error + gain_s * te[j]
                tp[j] -= gain_w * (2.0 * gain_wd * total + gain_w * tt[j])
                tc[j] -= (gain_wd * gain_s + gain_w * gain_sd) * total + gain_w * gain_s * tt[j]
                tv[j] -= gain_s * (2.0 * gain_sd * total + gain_s * tt[j])
            score[b, run] += 0.5 * (shock - 1.0) * tt[0] * inverse - error * te[0] * inverse
            for j in range(1, q):
                score[b, runs + j - 1] += 0.5 * (shock - 1.0) * tt[j] * inverse - error * te[j] * inverse
            for i in range(q):
                left_e, left_s = te[i] * inverse, 0.5 * tt[i] * inverse * inverse
                for j in range(i + 1):
                    sum_e[i, j] += left_e * te[j]
                    sum_s[i, j] += left_s * tt[j]
            w, s, var_w, cov, var_s = _correct((w, s, var_w, cov, var_s), error, total)
        _flush(errors[b], sum_e, program.runs[-1], runs, q)
        _flush(variances[b], sum_s, program.runs[-1], runs, q)
        for i in range(1, q):
            for j in range(1, i + 1):
                errors[b, runs + i - 1, runs + j - 1] += sum_e[i, j]
                variances[b, runs + i - 1, runs + j - 1] += sum_s[i, j]
                if i != j:
                    errors[b, runs + j - 1, runs + i - 1] += sum_e[i, j]
                    variances[b, runs + j - 1, runs + i - 1] += sum_s[i, j]
        plain[b] += total_plain


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
