"""Cramer-Rao bounds of symmetric points in pulses and reads, on linear devices.

An experiment is a program of bursts with reads before, between and after them. On a linear device the reads
are normal to a very good approximation (a burst is a sum of many independent steps), with mean mu and
covariance Sigma that `moments` gives exactly. Their Fisher information about parameters theta is (Slepian
1954, Bangs 1971)

    I_ij = mu_i' Sigma^-1 mu_j + tr(Sigma^-1 Sigma_i Sigma^-1 Sigma_j) / 2,

and no unbiased estimate of w*(theta) has a variance below g' I^-1 g with g the gradient of w*. With a prior
of precision P the same holds on average with I + P (van Trees 1968). The parameters are the logarithms of
the steps at weight zero and, if the bounds are unknown, of the two bounds; the start weight is unknown too.

Whatever the experiment, pulses alone set a limit: with ever so many perfect reads N pulses give

    sd(w*) >= sigma q0 / (G' sqrt(N (1 + 2 sigma^2))),

because each step is a draw with relative std sigma: an estimate of up and down step at w* by steps
elsewhere is no better, as an average of larger and smaller steps has at least their mean noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sptrack.devices.cells import build_law
from sptrack.errors import ParameterError
from sptrack.kernels import responses as laws
from sptrack.theory.moments import Array, Moments, down_map, up_map
from sptrack.values import real_array

if TYPE_CHECKING:
    from sptrack.devices.cells import Cells

Bounds = Literal["known", "unknown"]

_PARAMETERS = {"known": 2, "unknown": 4}
_DIFFERENCE = 1e-4
_FLOOR = 1e-7
_RIDGE = 1e-14
_SHORT = 0.03
"""Length of a short burst, in numbers of states."""


class Experiment(NamedTuple):
    """Bursts that all cells get, and reads around them.

    Attributes
    ----------
    runs : tuple of int or (int, int)
        Signed numbers of pulses: +500 is 500 up pulses; (20, 50) is 50 times 20 up and 20 down.
    reads : tuple of int
        Reads averaged before the first and after every run; 0 is allowed.
    """

    runs: tuple[int | tuple[int, int], ...]
    reads: tuple[int, ...]


def _checked(cells: Cells, experiment: Experiment, read_noise: float, bounds: Bounds) -> None:
    if bounds not in _PARAMETERS:
        raise ParameterError(f"bounds must be 'known' or 'unknown', got {bounds!r}")
    if not (np.isfinite(read_noise) and read_noise >= 0):
        raise ParameterError(f"read noise must be a finite number >= 0, got {read_noise}")
    runs, reads = experiment
    if len(reads) != len(runs) + 1 or min(reads, default=-1) < 0 or not any(reads):
        raise ParameterError(f"reads must be {len(runs) + 1} numbers >= 0 for {len(runs)} runs, got {reads}")
    if cells.linear is None:
        raise ParameterError("device is not linear: the bound needs step sizes linear in the weight")


def _varied(cells: Cells, logs: Array) -> Cells:
    """The cells with steps and bounds multiplied by exp(logs) [4]: up, down, upper, lower."""
    rows = cells.law.cell.astype(np.float64)
    up, down, top, bottom = np.exp(logs)
    rows[laws.UP] *= up
    rows[laws.DOWN] *= down
    rows[laws.SLOPE_UP] *= up / top
    rows[laws.SLOPE_DOWN] *= down / bottom
    return replace(cells, law=build_law(cells.device.response, rows, np.float64))


def _point(cells: Cells) -> Array:
    """Symmetric points, NaN where none is inside: of shape [cells]."""
    line = cells.linear
    if line is None:
        raise ParameterError("device is not linear: the bound needs step sizes linear in the weight")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((line.up - line.down) / (line.slope_down - line.slope_up)).ravel()


def read_moments(cells: Cells, experiment: Experiment, start: ArrayLike = 0.0) -> tuple[Array, Array]:
    """Exact mean and covariance, by cycle noise, of the weights at the reads of an experiment.

    Parameters
    ----------
    cells : cells of a device
        Linear cells, see `sptrack.theory.up_map`.
    experiment : Experiment
        Bursts and reads; points without reads are left out.
    start : array_like, broadcastable to [*shape]
        Internal weights before the first burst, weight units.

    Returns
    -------
    mean : array [cells, points]
    covariance : array [cells, points, points]
        Weight units, NaN in cells without a symmetric point.
    """
    point = _point(cells)
    begin = np.broadcast_to(real_array(start, "start"), cells.shape).ravel() - point
    state = Moments(begin.reshape(cells.shape), np.zeros(cells.shape))
    up, down = up_map(cells), down_map(cells)
    points = len(experiment.reads)
    mean, covariance = np.empty((cells.size, points)), np.zeros((cells.size, points, points))
    mean[:, 0] = point + begin
    for k, run in enumerate(experiment.runs):
        if isinstance(run, tuple):
            burst = up.repeated(run[0]).then(down.repeated(run[0])).repeated(run[1])
        else:
            burst = (up if run > 0 else down).repeated(abs(run))
        state = burst.apply(state)
        keep = 1.0 - burst.loss.reshape(-1, 1)
        covariance[:, k + 1, : k + 1] = keep * covariance[:, k, : k + 1]
        covariance[:, : k + 1, k + 1] = covariance[:, k + 1, : k + 1]
        covariance[:, k + 1, k + 1] = state.variance.ravel()
        mean[:, k + 1] = point + state.mean.ravel()
    seen = np.flatnonzero(experiment.reads)
    return mean[:, seen], covariance[np.ix_(np.arange(cells.size), seen, seen)]


def fisher_information(
    cells: Cells,
    experiment: Experiment,
    read_noise: float,
    *,
    bounds: Bounds = "unknown",
    start: ArrayLike = 0.0,
) -> Array:
    """Fisher information of an experiment about the response of every cell.

    Parameters
    ----------
    cells : cells of a device
        Linear cells.
    experiment : Experiment
        Bursts and reads.
    read_noise : float
        Std of the noise of one read, weight units.
    bounds : {"known", "unknown"}
        Whether the bounds of every cell are known.
    start : array_like, broadcastable to [*shape]
        Internal weights before the first burst, weight units.

    Returns
    -------
    array [cells, p, p]
        Parameters: logarithms of up step, down step (and upper, lower bound if unknown), start weight.

    Raises
    ------
    ParameterError
        If the device is not linear, or a setting is not allowed.
    """
    _checked(cells, experiment, read_noise, bounds)
    begin = np.broadcast_to(real_array(start, "start"), cells.shape)
    free = _PARAMETERS[bounds]

    def moments(shift: Array) -> tuple[Array, Array]:
        return read_moments(_varied(cells, shift[:4]), experiment, begin + shift[4])

    ends = []
    for k in (*range(free), 4):
        step = _DIFFERENCE * np.eye(5)[k]
        high, low = moments(step), moments(-step)
        ends.append([(h - m) / (2 * _DIFFERENCE) for h, m in zip(high, low, strict=True)])
    means = np.stack([end[0] for end in ends], axis=1)
    spreads = np.stack([end[1] for end in ends], axis=1)
    counts = np.array([n for n in experiment.reads if n])
    noise = np.diag(read_noise**2 / counts + _FLOOR**2)
    inverse = np.linalg.inv(moments(np.zeros(5))[1] + noise)
    weighted = inverse[:, None] @ spreads
    information = means @ inverse @ means.swapaxes(1, 2)
    return np.asarray(information + 0.5 * np.einsum("cikl,cjlk->cij", weighted, weighted))


def point_bound(
    cells: Cells,
    experiment: Experiment,
    read_noise: float,
    *,
    bounds: Bounds = "unknown",
    start: ArrayLike = 0.0,
    prior: ArrayLike | None = None,
) -> Array:
    """Least standard error of the symmetric point of every cell.

    Parameters
    ----------
    cells, experiment, read_noise, bounds, start
        As in `fisher_information`.
    prior : array_like [4] or None
        Precisions (one over variance) of a prior of the logarithms of up step, down step, upper and lower
        bound; the last two do not count if the bounds are known. None: flat.

    Returns
    -------
    array [*shape]
        Weight units; NaN in cells without a symmetric point.

    Raises
    ------
    ParameterError
        As `fisher_information`.
    """
    information = fisher_information(cells, experiment, read_noise, bounds=bounds, start=start)
    free = _PARAMETERS[bounds]
    if prior is not None:
        index = np.arange(free)
        information[:, index, index] += np.asarray(prior, np.float64)[:free]
    steps = _DIFFERENCE * np.eye(4)[:free]
    gradient = np.stack(
        [_point(_varied(cells, s)) - _point(_varied(cells, -s)) for s in steps] + [np.zeros(cells.size)],
        axis=1,
    ) / (2 * _DIFFERENCE)
    live = np.isfinite(information).all((1, 2)) & np.isfinite(cells.symmetric_point.ravel())
    scale = np.sqrt(np.einsum("cii->ci", information[live]))
    scaled = information[live] / (scale[:, :, None] * scale[:, None, :]) + _RIDGE * np.eye(free + 1)
    lever = gradient[live] / scale
    bound = np.full(cells.size, np.nan)
    bound[live] = np.sqrt(np.einsum("ck,ck->c", lever, np.linalg.solve(scaled, lever[..., None])[..., 0]))
    return bound.reshape(cells.shape)


def pulse_floor(cells: Cells, pulses: float) -> Array:
    """Least standard error by ``pulses`` pulses of every cell and ever so many perfect reads.

    Returns
    -------
    array [*shape]
        sigma q0 / (G' sqrt(N (1 + 2 sigma^2))), weight units.

    Raises
    ------
    ParameterError
        If the device is not linear or ``pulses`` is not above 0.
    """
    if not pulses > 0:
        raise ParameterError(f"pulses must be > 0, got {pulses}")
    up = up_map(cells)
    slope, sigma = 0.5 * (up.loss + down_map(cells).loss), cells.cycle_noise.std
    return np.asarray(sigma * up.shift / (slope * np.sqrt(pulses * (1 + 2 * sigma**2))))


def simple_experiments(cells: Cells, pulses: int, reads: int) -> tuple[Experiment, ...]:
    """Experiments to choose from.

    One, two or four bursts up and down, the first pair longer or not, reads at every turn; trains of short
    bursts up and down (single pulses: zero-shifting), alone or after one long pair, with reads on the way.
    Reads are equal or most of them at both ends.
    """
    programs: list[tuple[int | tuple[int, int], ...]] = []
    for pairs, first in ((1, 1), (2, 1), (2, 3), (4, 1), (4, 3)):
        burst = max(1, round(pulses / (2 * (pairs - 1 + first))))
        programs.append((burst * first, -burst * first, *((burst, -burst) * (pairs - 1))))
    longest = max(1, round(_SHORT * cells.device.states))
    for burst in dict.fromkeys((1, longest)):
        for parts in (1, 8, 24):
            programs.append(((burst, pulses // (2 * burst * parts)),) * parts)
        long = max(1, round(pulses / 8))
        rest = round(pulses * 3 / 8) // (2 * burst)
        programs.append((long, -long, (burst, rest), (burst, rest)))
    made = []
    for runs in programs:
        if any(isinstance(run, tuple) and not run[1] for run in runs):
            continue
        for ends in (1.0, 4.0):
            shares = np.array([ends, *np.ones(len(runs) - 1), ends])
            numbers = np.floor(np.cumsum(shares) / shares.sum() * reads + 0.5).astype(int)
            counts = tuple(int(n) for n in np.diff(numbers, prepend=0))
            if counts[0] and counts[-1]:
                made.append(Experiment(runs, counts))
    return tuple(made)


def array_bound(
    cells: Cells,
    pulses: int,
    reads: int,
    read_noise: float,
    *,
    bounds: Bounds = "unknown",
    start: ArrayLike = 0.0,
    prior: Sequence[float] | None = None,
) -> tuple[float, float]:
    """Least RMS and median error over an array by the best of some simple experiments, chosen for every cell.

    Every cell may stand at ``start`` or, as if that cost nothing, at its symmetric point when the experiment
    begins: the errors are not above what a calibrator reaches that has to travel there.

    Parameters
    ----------
    cells, read_noise, bounds, start, prior
        As in `point_bound`.
    pulses, reads : int
        Pulses and reads of every cell.

    Returns
    -------
    rms, median : float
        Root mean square of the cells' least standard errors; median |error| of normal errors with them.

    Raises
    ------
    ParameterError
        As `point_bound`.
    """
    best = np.full(cells.size, np.inf)
    places = (start, np.nan_to_num(cells.symmetric_point))
    for experiment in simple_experiments(cells, pulses, reads):
        for place in places:
            found = point_bound(cells, experiment, read_noise, bounds=bounds, start=place, prior=prior)
            best = np.fmin(best, found.ravel())
    live = best[np.isfinite(best)]
    draws = np.abs(live[:, None] * _QUANTILES)
    return float(np.sqrt(np.mean(live**2))), float(np.median(draws))


def _normal_quantiles(number: int) -> Array:
    from scipy.special import ndtri

    return np.asarray(ndtri((np.arange(number) + 0.5) / number))


_QUANTILES = _normal_quantiles(201)
