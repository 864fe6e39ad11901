"""State-space likelihood of a measured pulse response.

The state w of a cell is moved by every pulse and seen through reading noise with a white and, optionally, a
slow part (a stationary first-order process: low-frequency noise of the read-out or the cell):

    w' = w + f(w) (1 + sigma_c xi)        s' = phi s + sqrt(1 - phi^2) sigma_s nu        y = w + s + sigma_r v

f is the up step or minus the down step in weight units per pulse; xi, nu, v are independent N(0, 1); s moves
once per reading. Mean m and variance P of w pass through a pulse as m + f(m) and (1 + f')^2 P + sigma_c^2
(f(m)^2 + f'^2 P): exact for a law linear in w (soft bounds), a local linearisation for any other. A Kalman
filter with these lines splits the scatter by its memory: white noise is gone at the next reading (lag-1
autocovariance -sigma_r^2 in the differences), slow noise after its correlation time, and only cycle noise
stays in the state and accumulates. With sigma_c = sigma_s = 0 the fit is output-error least squares on the
mean trajectory.

What is maximised is the restricted likelihood: log L - log det(I)/2 with I the information on start states
and steps, at given noises. Plain likelihood lets the trajectory absorb the wander: it returns noises that are
too small, and a cycle noise of 0 far too often (Patterson and Thompson 1971; Cox and Reid 1987).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.fitting._filter import (
    Program,
    Vectors,
    accumulate,
    filter_readings,
    simulate_readings,
)
from sptrack.fitting._parallel import in_threads, processors
from sptrack.fitting.laws import Floats, Law

__all__ = [
    "CYCLE",
    "MEMORY",
    "NOISES",
    "OFF",
    "READ",
    "SLOW",
    "Likelihood",
    "Maximum",
    "Problem",
    "held_entries",
    "innovations",
    "likelihood",
    "log_step",
    "longest_stretches",
    "maximise",
    "simulate",
    "solved",
    "unpack",
    "with_slopes",
]

NOISES = ("read_noise", "cycle_noise", "slow_noise", "slow_memory")
"""Names of the noise entries, which follow the starts of the runs in a parameter vector."""
READ, CYCLE, SLOW, MEMORY = range(4)
OFF = -20.0
"""Logarithm of a noise that is switched off."""

_NOISE_DELTA = 1e-3
_HOPELESS = -1e15


class Problem(NamedTuple):
    """Data sets under one program, and what is known of their parameters.

    ``readings`` [B, N] (weight units less the law's origin, NaN: none), ``limits`` [2, p] of a parameter
    vector: starts of the runs; logarithms of `NOISES`; logarithms of the up, then of the down coefficients.
    ``means`` [B, p] are vectors at which the information of the restricted likelihood is taken; None for the
    plain one. ``slopes`` [B, free noises] stand for the information's dependence on the noises, which is
    then linear in their logarithms: enough where readings are so many that these are known well.
    """

    law: Law
    program: Program
    readings: Floats
    limits: Floats
    means: Floats | None = None
    slopes: Floats | None = None

    @property
    def runs(self) -> int:
        """Number of runs, each with a free start."""
        return int(self.program.runs[-1]) + 1

    @property
    def noise_entries(self) -> NDArray[np.intp]:
        """Places of the noises that are not fixed by their limits."""
        places = self.runs + np.arange(len(NOISES))
        return np.asarray(places[self.limits[0, places] < self.limits[1, places]])

    @property
    def mean_entries(self) -> NDArray[np.intp]:
        """Places of start states and coefficients."""
        return np.asarray(np.r_[: self.runs, self.runs + len(NOISES) : self.limits.shape[1]])

    def rows(self, index: NDArray[np.intp]) -> Problem:
        """The data sets of some rows."""
        means = None if self.means is None else self.means[index]
        slopes = None if self.slopes is None else self.slopes[index]
        return self._replace(readings=self.readings[index], means=means, slopes=slopes)


class Likelihood(NamedTuple):
    """Objective [B], its gradient [B, p], information [B, p, p], and the plain log-likelihood [B]."""

    value: Floats
    score: Floats
    information: Floats
    plain: Floats


class Maximum(NamedTuple):
    """Vectors [B, p] of largest likelihood, the likelihood there, and which searches converged [B]."""

    theta: Floats
    likelihood: Likelihood
    converged: NDArray[np.bool_]


def log_step(problem: Problem, theta: Floats) -> Floats:
    """Logarithm of the scale of the steps, mean of both directions, of vectors [..., p]."""
    scale = theta[..., problem.runs + len(NOISES) :].reshape(*theta.shape[:-1], 2, problem.law.coefficients)
    return np.asarray(scale[..., problem.law.scales].mean(axis=(-2, -1)))


def unpack(problem: Problem, theta: Floats) -> Vectors:
    """Natural parameters of vectors [B, M, p].

    The cycle entry is the logarithm of the wander per pulse, cycle noise times step: what the readings show
    directly, whatever the step. Slow noise forgets 1 - exp(-1/memory) per reading.
    """
    start = problem.runs
    noise = np.exp(2.0 * theta[..., start : start + 4])
    noise[..., CYCLE] *= np.exp(-2.0 * log_step(problem, theta))
    noise[..., MEMORY] = np.exp(-np.exp(-theta[..., start + MEMORY]))
    coefficients = np.exp(theta[..., start + 4 :]).reshape(*theta.shape[:-1], 2, problem.law.coefficients)
    return Vectors(np.ascontiguousarray(theta[..., :start]), noise, coefficients)


def innovations(problem: Problem, theta: Floats) -> tuple[Floats, Floats]:
    """Innovations and their variances [B, M, N] of vectors [B, M, p]; 0 and 1 where there is no reading."""
    error = np.empty((*theta.shape[:2], problem.readings.shape[1]))
    variance = np.empty_like(error)
    at = unpack(problem, theta)
    filter_readings(problem.law.shape, at, problem.program, problem.readings, error, variance)
    return error, variance


def simulate(problem: Problem, theta: Floats, residuals: Floats) -> Floats:
    """Readings [B, N] of vectors [B, p] with standardised innovations [B, N]: inverse of `innovations`."""
    readings = np.empty_like(residuals)
    at = unpack(problem, theta[:, None])
    simulate_readings(problem.law.shape, at, problem.program, residuals, readings)
    return readings


def likelihood(problem: Problem, theta: Floats) -> Likelihood:
    """Log-likelihood (plus the law's prior and the restriction) with its derivatives, on all processors.

    With innovations e and variances S, log L = -sum(log S + e^2/S)/2 up to a constant and the information is
    sum(de de'/S + dS dS'/(2 S^2)) (Harvey 1989, Forecasting, Structural Time Series Models and the Kalman
    Filter, section 3.4).

    Parameters
    ----------
    problem : Problem
        Data sets and law.
    theta : array [B, p]
        A vector for each.
    """
    blocks = np.array_split(np.arange(len(theta)), min(len(theta), processors()))
    found = list(in_threads(lambda block: _likelihood(problem.rows(block), theta[block]), blocks))
    return (
        found[0]
        if len(found) == 1
        else Likelihood(*(np.concatenate(part) for part in zip(*found, strict=True)))
    )


def _sums(problem: Problem, theta: Floats, noisy: bool) -> tuple[Floats, Floats, Floats, Floats]:
    """Plain log-likelihood [B], its gradient [B, q], and both parts of its information [B, q, q]."""
    at = unpack(problem, theta[:, None])
    shape = len(theta), problem.limits.shape[1] - (0 if noisy else len(NOISES))
    found = np.zeros(shape[0]), np.zeros(shape), np.zeros((*shape, shape[1])), np.zeros((*shape, shape[1]))
    flat = Vectors(*(np.ascontiguousarray(part[:, 0]) for part in at))
    accumulate(problem.law.shape, flat, problem.program, problem.readings, int(noisy), found)
    return found


def _likelihood(problem: Problem, theta: Floats) -> Likelihood:
    with np.errstate(over="ignore", invalid="ignore"):
        plain, score, errors, variances = _sums(problem, theta, True)
        prior = _prior(problem)
        pull = theta @ prior
        value, information = plain - 0.5 * np.sum(theta * pull, axis=1), errors + variances + prior
        score -= pull
        if problem.means is not None:
            restriction, slope = _restriction(problem, theta)
            levels, fall = _levels(problem, theta)
            value, score = value + restriction + levels, score + slope + fall
        lost = ~(
            np.isfinite(value) & np.isfinite(score).all(axis=1) & np.isfinite(information).all(axis=(1, 2))
        )
    if lost.any():
        # a law that overflows is so far from the readings that only its being worse matters
        value[lost], plain[lost], score[lost], information[lost] = _HOPELESS, _HOPELESS, 0.0, prior
    return Likelihood(value, score, information, plain)


def _prior(problem: Problem) -> Floats:
    first = problem.runs + len(NOISES)
    prior = np.zeros((problem.limits.shape[1],) * 2)
    prior[first:, first:] = problem.law.prior()
    return prior


def _levels(problem: Problem, theta: Floats) -> tuple[Floats, Floats]:
    """Further terms [B] of the restricted likelihood and their gradient [B, p].

    Where steps fall linearly by a share k per pulse, n pulses of wander in one direction find that share, and
    with it the step, too large. As in restricted likelihood for autoregressions (Chen and Deo 2009),
    information is counted on the levels that the runs approach, not on the steps: -log(k + 1/n) per
    direction.
    """
    value, gradient = np.zeros(len(theta)), np.zeros_like(theta)
    if problem.law.family in ("soft-bounds", "linear-step"):
        for side, pulses in enumerate(longest_stretches(problem.program)):
            place = problem.runs + len(NOISES) + side * problem.law.coefficients
            fall = np.exp(theta[:, place] + theta[:, place + 1])
            value -= np.log(fall + 1.0 / pulses)
            gradient[:, place : place + 2] -= (fall / (fall + 1.0 / pulses))[:, None]
    return value, gradient


def longest_stretches(program: Program) -> tuple[int, int]:
    """Most pulses up, and most pulses down, that follow each other in a run; at least 1."""
    sign = np.sign(program.pulses)
    starts = np.flatnonzero(np.r_[True, (sign[1:] != sign[:-1]) | (program.runs[1:] != program.runs[:-1])])
    pulses = np.add.reduceat(program.pulses, starts)
    return max(int(pulses.max()), 1), max(int(-pulses.min()), 1)


def with_slopes(problem: Problem, theta: Floats) -> Problem:
    """Problem restricted at vectors [B, p], and linearised in the logarithms of the noises there."""
    problem = problem._replace(means=theta, slopes=None)
    return problem._replace(slopes=_restriction(problem, theta)[1][:, problem.noise_entries])


def _restriction(problem: Problem, theta: Floats) -> tuple[Floats, Floats]:
    """-log det(information on start states and coefficients)/2 [B] and its gradient [B, p] by the noises."""
    noises, means = problem.noise_entries, problem.mean_entries
    if problem.means is not None and problem.slopes is not None:
        gradient = np.zeros_like(theta)
        gradient[:, noises] = problem.slopes
        return np.sum(gradient * (theta - problem.means), axis=1), gradient
    at = np.repeat((theta if problem.means is None else problem.means)[:, None], 1 + len(noises), axis=1)
    place = slice(problem.runs, problem.runs + len(NOISES))
    at[:, :, place] = theta[:, None, place]
    at[:, 1 + np.arange(len(noises)), noises] += _NOISE_DELTA
    rows = np.repeat(np.arange(len(theta)), 1 + len(noises))
    errors = _sums(problem.rows(rows), at.reshape(rows.size, -1), False)[2]
    information = errors + _prior(problem)[np.ix_(means, means)] + 1e-9 * np.eye(len(means))
    values = -0.5 * np.linalg.slogdet(information)[1].reshape(len(theta), -1)
    gradient = np.zeros_like(theta)
    gradient[:, noises] = (values[:, 1:] - values[:, :1]) / _NOISE_DELTA
    return values[:, 0], gradient


def maximise(
    problem: Problem, theta: Floats, boxes: Floats | None = None, tolerance: float = 1e-4
) -> Maximum:
    """Maximise the likelihood of every data set by damped Fisher scoring inside limits.

    Parameters
    ----------
    problem : Problem
        Data sets and law.
    theta : array [B, p]
        Start vectors.
    boxes : array [2, B, p], optional
        Lowest and highest value of each parameter; those of the problem by default.
    tolerance : float
        Expected gain in log-likelihood below which a search has converged; at most 200 steps are tried.
    """
    if boxes is None:
        boxes = np.repeat(problem.limits[:, None], len(theta), axis=1)
    theta = np.clip(theta, *boxes)
    best = likelihood(problem, theta)
    damping = np.full(len(theta), 1e-3)
    converged = np.zeros(len(theta), dtype=bool)
    for _ in range(200):
        active = np.flatnonzero(~converged)
        here = Likelihood(*(part[active] for part in best))
        move = _scoring_step(theta[active], here, damping[active], boxes[:, active])
        done = np.sum(move * here.score, axis=1) < 2.0 * tolerance
        converged[active[done]] = True
        if converged.all():
            break
        active, move = active[~done], move[~done]
        trial = theta[active] + move
        found = likelihood(problem.rows(active), trial)
        better = found.value > best.value[active]
        theta[active[better]] = trial[better]
        for kept, new in zip(best, found, strict=True):
            kept[active[better]] = new[better]
        damping[active] *= np.where(better, 0.2, 8.0)
    return Maximum(theta, best, converged)


def held_entries(theta: Floats, score: Floats, boxes: Floats) -> NDArray[np.bool_]:
    """Which parameters [B, p] press against a limit [2, B, p]."""
    low, high = boxes
    return np.asarray((theta <= low) & (score <= 0.0) | (theta >= high) & (score >= 0.0))


def solved(matrix: Floats, right: Floats) -> Floats:
    """Solutions of symmetric systems [B, p, p]; singular ones and ones that overflowed are made regular."""
    try:
        return np.asarray(np.linalg.solve(matrix, right))
    except np.linalg.LinAlgError:
        finite = np.clip(np.nan_to_num(matrix), -1e12, 1e12)
        ridge = 1e-9 * np.abs(finite).max(axis=(1, 2)) + 1e-9
        regular = finite + ridge[:, None, None] * np.eye(finite.shape[-1])
        return np.asarray(np.linalg.pinv(regular, hermitian=True) @ np.nan_to_num(right))


def _scoring_step(theta: Floats, at: Likelihood, damping: Floats, limits: Floats) -> Floats:
    """Damped scoring step, clipped to the limits; a parameter pressed against its limit stays."""
    fixed = held_entries(theta, at.score, limits)
    matrix = np.where(fixed[:, :, None] | fixed[:, None, :], 0.0, at.information)
    diagonal = np.einsum("bii->bi", matrix)
    diagonal += damping[:, None] * diagonal + np.where(fixed, 1.0, 1e-9)
    score = np.where(fixed, 0.0, at.score)
    move = np.clip(solved(matrix, score[..., None])[..., 0], -2.0, 2.0)
    return np.asarray(np.clip(theta + move, *limits) - theta)
