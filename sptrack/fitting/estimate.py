"""Restricted maximum likelihood and profile intervals of many data sets under one pulse program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from sptrack.fitting._filter import Program
from sptrack.fitting._parallel import in_threads
from sptrack.fitting.intervals import Function, Quantity, profile_interval, value_gradient
from sptrack.fitting.laws import Floats, Law
from sptrack.fitting.resampling import plausible_vectors, root_limits
from sptrack.fitting.statespace import (
    CYCLE,
    MEMORY,
    NOISES,
    OFF,
    READ,
    SLOW,
    Maximum,
    Problem,
    likelihood,
    log_step,
    maximise,
    solved,
    unpack,
    with_slopes,
)
from sptrack.values import as_seed

__all__ = [
    "CYCLE_LIMITS",
    "RESAMPLES",
    "SIGNED",
    "Estimates",
    "estimate",
    "natural",
    "pose",
    "run_starts",
    "speeds",
    "swift_estimate",
]

RESAMPLES = 40
"""Resamples of the readings behind the intervals of a fit."""
CYCLE_LIMITS = np.log([1e-2, 1e3])
"""Logarithms of the cycle noises tried, shares of the mean step."""
_CALIBRATED = (
    "symmetric_point",
    "step_up",
    "step_down",
    "tau_max",
    "tau_min",
    "w_max",
    "w_min",
    "read_noise",
)
SIGNED = ("tau", "w_", "symmetric")
"""Beginnings of the names of parameters that may be negative."""
_MAX_LOG = 600.0
_NOISE_DEPTH = 6.0
_FEWEST_FOR_SLOW = 40
_PLAIN_ROOT = 1.96
_LEAST_ROOT = 0.5
_STREAM = 1
_START_REACH = 3.0
"""Farthest start of a run from the origin, in the larger of the visited range and the farthest reading."""
_BOUNDS = ("tau", "w_m")
_LONG = 2.0
"""Width of an interval of a bound, in its distance, from which the likelihood is not followed to the ends."""
_SHORT = 0.2
"""Width of an interval that the information alone may give: share of the value, or of the visited range."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimates:
    """Fits of B data sets with the same law and the same noises.

    ``theta`` [B, p] are the vectors, ``value`` [B] the restricted and ``plain`` [B] the plain log-likelihood
    there, ``converged`` [B] says which searches ended.
    """

    problem: Problem
    theta: Floats
    value: Floats
    plain: Floats
    converged: NDArray[np.bool_]

    def rows(self, index: NDArray[np.intp]) -> Estimates:
        """Fits of some of the data sets."""
        return Estimates(
            problem=self.problem.rows(index),
            theta=self.theta[index],
            value=self.value[index],
            plain=self.plain[index],
            converged=self.converged[index],
        )

    @property
    def slow(self) -> bool:
        """Whether slow reading noise is part of the model."""
        return bool(self.problem.limits[1, self.problem.runs + SLOW] > OFF)

    def named(self) -> dict[str, Floats]:
        """Natural parameters [B] by name."""
        return natural(self.problem, self.theta)

    def intervals(
        self, names: tuple[str, ...] | None = None, *, resamples: int = RESAMPLES, seed: int = 0
    ) -> dict[str, Floats]:
        """95 % profile-likelihood intervals [B, 2] by name, of all parameters or of some; NaN: not found.

        The fall of the likelihood at the ends comes from refitted resamples of the readings (see
        `resampling`) for the steps, the bounds, the symmetric point and the white reading noise; for other
        noises it is that of a variance, which is never below 0, for shape parameters that of regression.

        Parameters
        ----------
        names : tuple of str, optional
            Parameters, by the names of `named`.
        resamples : int
            Resamples per data set, at least 10.
        seed : int
            Seed of the resamples.
        """
        wanted = tuple(self.named()) if names is None else names
        falls, vectors = self._calibrated(wanted, resamples, seed)
        return self._profiled(wanted, falls, (self.theta, vectors[:, -1], vectors[:, resamples // 2]))

    def long_intervals(self, like: Estimates | None, *, seed: int = 0) -> dict[str, Floats]:
        """95 % intervals [B, 2] of all parameters by name, of records too long to be resampled.

        Where the information alone says that an interval is short, it is taken from there; so is that of a
        bound whose distance it leaves open by a factor e or more, in the logarithm of the distance. The
        symmetric point and what is left have profile-likelihood intervals, if the search finds their ends.

        Parameters
        ----------
        like : Estimates, optional
            Fit of fewer readings of the same record, from whose resamples the falls of the likelihood at the
            ends come; by default they are those of regression.
        seed : int
            Seed of the resamples.
        """
        found, named, law = self.wald_intervals(), self.named(), self.problem.law
        wanted = []
        for name, ends in found.items():
            width = np.diff(ends if name.startswith(SIGNED) else np.log(np.maximum(ends, 1e-300)), axis=1)
            scale = law.high - law.low if name.startswith(SIGNED) else 1.0
            far = named[name] - law.origin
            if name.startswith(_BOUNDS) and np.all(width[:, 0] > _LONG * np.abs(far)):
                near = law.origin + far * np.exp(-0.5 * width[:, 0] / np.abs(far))
                found[name] = np.sort(np.stack([near, np.sign(far) * np.inf], axis=1), axis=1)
            elif name == "symmetric_point" or not np.all(width < _SHORT * scale):
                wanted.append(name)
        falls = {} if like is None else like._calibrated(wanted, RESAMPLES, seed)[0]
        for name, ends in self._profiled(wanted, falls, (self.theta,)).items():
            found[name] = np.where(np.isnan(ends), found[name], ends)
        return found

    def _calibrated(
        self, names: Sequence[str], resamples: int, seed: int
    ) -> tuple[dict[str, tuple[Floats, Floats]], Floats]:
        """Falls of the likelihood at lower and upper ends by name, and the vectors of the resamples."""
        calibrated = [name for name in names if name in _CALIBRATED]
        generator = np.random.default_rng((as_seed(seed), _STREAM))
        vectors = plausible_vectors(self.problem, self.theta, self.value, resamples, generator)
        functions = [self._function(name) for name in calibrated]
        if not calibrated:
            return {}, vectors
        limits = root_limits(self.problem, vectors, functions, generator)
        return dict(zip(calibrated, map(_falls, limits), strict=True)), vectors

    def _profiled(
        self,
        names: Sequence[str],
        falls: Mapping[str, tuple[Floats, Floats]],
        starts: tuple[Floats, ...],
    ) -> dict[str, Floats]:
        """Profile-likelihood intervals [B, 2] by name."""
        jobs = []
        for name in names:
            quantity = Quantity(self._function(name), self._noise(name))
            pair = falls.get(name, (None, None))
            jobs += [(quantity, sign, fall, starts) for sign, fall in zip((-1, 1), pair, strict=True)]
        ends = list(in_threads(lambda job: self._end(*job), jobs))
        pairs = {name: np.stack(ends[2 * k : 2 * k + 2], axis=1) for k, name in enumerate(names)}
        return {name: ends if name.startswith(SIGNED) else np.exp(ends) for name, ends in pairs.items()}

    def _end(self, quantity: Quantity, sign: int, fall: Floats | None, starts: tuple[Floats, ...]) -> Floats:
        """Ends [B] of intervals: the outermost from two starts (from a third if none is found), else NaN.

        The likelihood can fall from its maximum and rise again where a larger cycle noise takes over.
        """
        ends = np.full(len(self.theta), np.nan)
        for k, start in enumerate(starts if fall is not None else starts[:1] + starts[2:]):
            left = np.arange(len(ends)) if k < 2 and fall is not None else np.flatnonzero(np.isnan(ends))
            if left.size:
                part = None if fall is None else fall[left]
                end, done = profile_interval(
                    self.problem.rows(left), start[left], self.value[left], quantity, sign, part
                )
                ends[left] = sign * np.fmax(sign * ends[left], np.where(done, sign * end, np.nan))
        return ends

    def wald_intervals(self) -> dict[str, Floats]:
        """95 % intervals [B, 2] from the information alone, of all parameters by name: quick, for many cells.

        Those of positive quantities are symmetric in the logarithm.
        """
        matrix, free = self._information()
        found = {}
        for name in self.named():
            function = self._function(name)
            slope = value_gradient(function, self.theta) * free
            along = solved(matrix, slope[..., None])[..., 0]
            half = _PLAIN_ROOT * np.sqrt(np.maximum(np.sum(slope * along, axis=1), 0.0))
            centre = function(self.theta)
            ends = np.stack([centre - half, centre + half], axis=1)
            found[name] = ends if name.startswith(SIGNED) else np.exp(np.clip(ends, -_MAX_LOG, _MAX_LOG))
        return found

    def normal_draws(self, size: int, generator: np.random.Generator) -> Floats:
        """Vectors [size, p] of the normal law that the information of the first data set gives, in limits."""
        matrix, free = self._information()
        low, high = self.problem.limits
        root = np.linalg.inv(np.linalg.cholesky(matrix[0]))
        moves = generator.standard_normal((size, free.size)) @ root
        return np.asarray(np.clip(self.theta[0] + np.where(free, moves, 0.0), low, high))

    def _information(self) -> tuple[Floats, NDArray[np.bool_]]:
        """Information [B, p, p] on the parameters that are free [p], and 1 on the others."""
        information = likelihood(self.problem, self.theta).information
        free = self.problem.limits[0] < self.problem.limits[1]
        return np.where(free[:, None] & free, information, 0.0) + np.diag(np.where(free, 1e-6, 1.0)), free

    def _function(self, name: str) -> Function:
        """A parameter, or the logarithm of one that is positive, so that all are of order 1."""
        if name.startswith(SIGNED):
            return lambda theta: natural(self.problem, theta)[name]
        return lambda theta: np.log(np.maximum(natural(self.problem, theta)[name], 1e-300))

    def _noise(self, name: str) -> int:
        return self.problem.runs + NOISES.index(name) if name in NOISES[: SLOW + 1] else -1


def _falls(limits: Floats) -> tuple[Floats, Floats]:
    """Falls [B] of twice the log-likelihood at lower and upper ends, from limits of the root [B, 2]."""
    known = ~np.isnan(limits[:, 0])
    low, high = np.where(known[:, None], limits, [-_PLAIN_ROOT, _PLAIN_ROOT]).T
    return np.maximum(high, _LEAST_ROOT) ** 2, np.minimum(low, -_LEAST_ROOT) ** 2


def natural(problem: Problem, theta: Floats) -> dict[str, Floats]:
    """Named parameters [B] of vectors [B, p]: those of the law, then noises (slow ones if switched on)."""
    noise = np.exp(theta[:, problem.runs : problem.runs + 4])
    noise[:, CYCLE] /= np.exp(log_step(problem, theta))
    shared = dict(zip(NOISES, noise.T, strict=True))
    if problem.limits[1, problem.runs + SLOW] == OFF:
        del shared["slow_noise"], shared["slow_memory"]
    return problem.law.describe(unpack(problem, theta[:, None]).coefficients[:, 0]) | shared


def speeds(program: Program, readings: Floats) -> Floats:
    """Mean steps [B, 2] up and down, by least squares on a constant per run and two constant steps."""
    new = np.diff(program.runs, prepend=-1) != 0
    pulses = np.where(new, 0, program.pulses)
    up, down = (
        np.cumsum(count).astype(np.float64) for count in (np.maximum(pulses, 0), np.minimum(pulses, 0))
    )
    found = np.empty((len(readings), 2))
    for b, row in enumerate(readings):
        seen = np.flatnonzero(~np.isnan(row))
        runs = program.runs[seen]
        number = np.maximum(np.bincount(runs, minlength=int(program.runs[-1]) + 1), 1)

        def centred(values: Floats, runs: Floats = runs, number: Floats = number) -> Floats:
            return np.asarray(values - (np.bincount(runs, values, number.size) / number)[runs])

        design = np.stack([centred(up[seen]), centred(down[seen])], axis=1)
        found[b] = np.linalg.lstsq(design, centred(row[seen]), rcond=None)[0]
    return found


def run_starts(program: Program, readings: Floats) -> Floats:
    """First states [B, R] of the runs, from the mean of the first twentieth of each."""
    edges = np.append(np.flatnonzero(np.diff(program.runs, prepend=-1)), program.runs.size)
    starts = np.empty((len(readings), edges.size - 1))
    for b, row in enumerate(readings):
        for r in range(edges.size - 1):
            values = row[edges[r] : edges[r + 1]]
            values = values[~np.isnan(values)]
            starts[b, r] = values[: values.size // 20 + 1].mean() if values.size else np.nanmean(row)
    return starts


def pose(law: Law, program: Program, readings: Floats) -> tuple[Problem, Floats]:
    """Problem of readings [B, N] (weight units) and vectors [B, p] to start from, without slow noise."""
    values = readings - law.origin
    span = law.high - law.low
    inside = np.diff(program.runs) == 0
    scatter = max(float(np.nanstd(np.diff(values, axis=1)[:, inside])) / np.sqrt(2.0), 1e-6 * span)
    rates = np.maximum(speeds(program, values), 1e-3 * span / values.shape[1])
    starts, runs = run_starts(program, values), int(program.runs[-1]) + 1
    longest = max(int(np.bincount(program.runs).max()), 4)
    pulses = [np.sum(np.maximum(sign * program.pulses, 0)) for sign in (1, -1)]
    speed = np.median(rates, axis=0)
    middle, ends = law.start(speed, float(np.min(pulses * speed)))
    begin = np.tile(
        np.r_[np.zeros(runs), np.log(scatter), 0.0, OFF, np.log(min(longest / 50.0, 80.0) + 1.0)],
        (len(values), 1),
    )
    begin[:, :runs] = starts
    shifted = middle + 0.0
    coefficients = np.tile(shifted.ravel(), (len(values), 1)).reshape(-1, 2, law.coefficients)
    coefficients[:, :, 0] += np.log(rates) - np.log(np.median(rates, axis=0))
    reach = _START_REACH * max(span, float(np.nanmax(np.abs(values))))
    head = np.array([np.full(runs, -reach), np.full(runs, reach)])
    noise = np.log(scatter) + np.array([[-_NOISE_DEPTH], [4.0]])
    fixed = np.tile(begin[:1, runs + SLOW : runs + SLOW + 2], (2, 1))
    wander = CYCLE_LIMITS[:, None] + np.log(rates).mean()
    limits = np.hstack([head, noise, wander, fixed, ends.reshape(2, -1)])
    return Problem(law, program, values, limits), np.hstack([begin, coefficients.reshape(len(values), -1)])


def estimate(
    law: Law, program: Program, readings: Floats, guess: Floats | None = None, *, brief: bool = False
) -> list[tuple[NDArray[np.intp], Estimates]]:
    """Fit every data set, with slow reading noise where the readings call for it.

    Slow noise enters only if it raises the log-likelihood by more than log(readings), the Bayesian
    information criterion for its two parameters: without it, low-frequency noise of the read-out would
    pass for a huge cycle noise.

    Parameters
    ----------
    law : Law
        Family on the visited range.
    program : Program
        Pulses and runs of the readings.
    readings : array [B, N]
        Weight units.
    guess : array [B, 2 n], optional
        Logarithms of coefficients to start from.
    brief : bool
        Search the restricted likelihood from the plain one's maximum alone: for records so long that the
        two are close.

    Returns
    -------
    list of (rows, Estimates)
        Fits without and with slow noise, each with the rows of its data sets; empty ones are left out.
    """
    problem, begin = pose(law, program, readings)
    if guess is not None:
        begin[:, problem.runs + len(NOISES) :] = guess
    posed = [(problem, begin)]
    if readings.shape[1] >= _FEWEST_FOR_SLOW:
        posed.append(_with_slow(problem, begin))
    models = list(in_threads(lambda job: _best(job[0], _begins(*job), CYCLE, (0.3, 5.0)), posed))
    merit = [models[0].plain, *(m.plain - np.log(readings.shape[1]) for m in models[1:])]
    chosen = np.argmax(merit, axis=0)
    groups = []
    for k, model in enumerate(models):
        rows = np.flatnonzero(chosen == k)
        if rows.size:
            groups.append((rows, _restrict(model.problem.rows(rows), model.theta[rows], 0 if brief else 2)))
    return groups


def swift_estimate(law: Law, program: Program, readings: Floats, like: Floats, slow: bool) -> Estimates:
    """Fit many data sets from one start, with slow reading noise or without it.

    Parameters
    ----------
    law, program, readings
        As in `estimate`.
    like : array [q]
        Noises and logarithms of coefficients to start from, in the order of a vector behind the starts of the
        runs.
    slow : bool
        Whether slow noise is part of the model.
    """
    problem, begin = pose(law, program, readings)
    if slow:
        problem, begin = _with_slow(problem, begin)
    begin[:, problem.runs :] = like
    begin[:, problem.runs : problem.runs + len(NOISES)] = np.clip(
        begin[:, problem.runs : problem.runs + len(NOISES)],
        *problem.limits[:, problem.runs : problem.runs + len(NOISES)],
    )
    plain = maximise(problem, begin, tolerance=1e-2)
    problem = problem._replace(means=plain.theta)
    return _estimates(problem, maximise(problem, plain.theta, tolerance=1e-2))


def _estimates(problem: Problem, found: Maximum) -> Estimates:
    return Estimates(
        problem=problem,
        theta=found.theta,
        value=found.likelihood.value,
        plain=found.likelihood.plain,
        converged=found.converged,
    )


def _with_slow(problem: Problem, begin: Floats) -> tuple[Problem, Floats]:
    """The same problem with slow noise free, and its starts."""
    first, limits, begin = problem.runs, problem.limits.copy(), begin.copy()
    longest = int(np.bincount(problem.program.runs).max())
    limits[:, first + SLOW] = limits[:, first + READ]
    limits[:, first + MEMORY] = np.log([0.5, max(longest / 4.0, 2.0)])
    begin[:, first + SLOW] = begin[:, first + READ]
    return problem._replace(limits=limits), begin


def _begins(problem: Problem, begin: Floats) -> list[tuple[Floats, int]]:
    """Vectors [B, p] to search from, one for each start of the law, and the bounds to be located."""
    first = problem.runs + len(NOISES)
    starts = problem.law.starts(begin[:, first:].reshape(len(begin), 2, -1))
    return [(np.hstack([begin[:, :first], one.reshape(len(begin), -1)]), bounds) for one, bounds in starts]


def _best(
    problem: Problem, begins: list[tuple[Floats, int]], noise: int, starts: tuple[float, ...]
) -> Estimates:
    """Best of the maxima from several vectors and sizes of one noise, by the Bayesian information criterion.

    A bound that is located costs half the logarithm of the number of readings.
    """
    found, cost = [], []
    each = 0.5 * np.log(np.sum(~np.isnan(problem.readings), axis=1))
    for (begin, bounds), size in product(begins, starts):
        theta = begin.copy()
        theta[:, problem.runs + noise] = np.log(size) + log_step(problem, theta)
        found.append(maximise(problem, theta))
        cost.append(bounds * each)
    values = np.stack([one.likelihood.value for one in found])
    pick, rows = np.argmax(values - cost, axis=0), np.arange(len(values[0]))
    return Estimates(
        problem=problem,
        theta=np.stack([one.theta for one in found])[pick, rows],
        value=values[pick, rows],
        plain=np.stack([one.likelihood.plain for one in found])[pick, rows],
        converged=np.stack([one.converged for one in found])[pick, rows],
    )


def _restrict(problem: Problem, theta: Floats, rounds: int) -> Estimates:
    """Maximum of the restricted likelihood; its information is taken at its own maximum (by rounds)."""
    if not rounds:
        problem = with_slopes(problem, theta)
    for _ in range(rounds):
        problem = problem._replace(means=theta)
        low = _best(problem, [(theta, 0)], CYCLE, (0.3, 3.0))
        again = maximise(problem, theta)
        better = again.likelihood.value > low.value
        theta = np.where(better[:, None], again.theta, low.theta)
    return _estimates(problem, maximise(problem, theta))
