"""Maximum-likelihood fit of the linear response of every cell to reads between bursts of pulses.

In units in which the nominal range is -1 .. 1, with x the weight, a pulse moves a cell by

    up  x <- x + z u (1 - x/t)        down  x <- x - z d (1 + x/b)

with the steps u, d at the middle of the range, the distances t, b of the bounds from there, and z = 1 +
sigma xi of every pulse (the linear device of Xiao et al. 2026, arXiv 2602.21321, eq. (7)). n pulses in one
direction are affine in x, and so mean and covariance of reads taken between bursts follow in closed form:

    mean      up  x <- t - (t - x) A^n,  A = 1 - u/t
    variance      V <- A^(2n) V + sigma^2 n s^2 A^(2(n-1)),  s = the step before the burst

(the noise of step i, sigma s A^i, is damped by the n - 1 - i pulses after it). The fit maximises the normal
likelihood of the reads by Gauss-Newton with the covariance of the last iterate, for all cells at once. It is
the output-error fit that weights every read by cycle noise and reading noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.devices import Device, sample_cells
from sptrack.errors import ParameterError

Array = NDArray[Any]

NAMES = ("up", "down", "top", "bottom", "start")
_ITERATIONS = 30
_SETTLED = 1e-4
_GENTLE = 1e-12
_TINY_STEP = 1e-30
_FLOOR = 1e-6
_CHUNK = 1 << 14
_STEPS = (1e-9, 0.5)
_BOUNDS = (0.04, 25.0)
_MAX_LOSS = 0.9
_POPULATION = (64, 64)


class Bursts(NamedTuple):
    """Pulses sent and weights read, in units of half the nominal range from its middle.

    Attributes
    ----------
    counts : float array [legs, cells]
        Signed numbers of pulses.
    places : sequence of int [reads]
        After how many legs the reads were taken, rising; the first is 0.
    reads : array [reads, cells]
        Mean of the reads there.
    variances : array [reads]
        Variance of the reading noise of these means.
    """

    counts: Array
    places: Sequence[int]
    reads: Array
    variances: Array


class Prior(NamedTuple):
    """Normal prior of the logarithms of u, d, t, b: centre [4], precision [4, 4] (singular: flat there)."""

    centre: Array
    precision: Array


def bounds_prior(spread: float) -> Prior:
    """Prior of the bounds alone: logarithms with a std of ``spread`` about the nominal ones."""
    return Prior(np.zeros(4), np.diag([0.0, 0.0, spread**-2, spread**-2]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Population:
    """Prior of the cells: a normal law of the logarithms of u, d, t and b.

    Parameters
    ----------
    mean : array [4]
        Means.
    covariance : array [4, 4]
        Covariance.

    Raises
    ------
    ParameterError
        If a number is not finite or the covariance is not positive definite.
    """

    mean: Array
    covariance: Array

    def __post_init__(self) -> None:
        mean, covariance = np.array(self.mean, np.float64), np.array(self.covariance, np.float64)
        finite = mean.shape == (4,) and covariance.shape == (4, 4) and np.isfinite(mean).all()
        if not (finite and np.isfinite(covariance).all() and np.linalg.eigvalsh(covariance).min() > 0):
            raise ParameterError(
                "population must be 4 finite means and a positive definite 4 x 4 covariance, "
                f"got shapes {mean.shape}, {covariance.shape}"
            )
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "covariance", covariance)

    @property
    def prior(self) -> Prior:
        """The population as the prior of a fit."""
        return Prior(self.mean, np.linalg.inv(self.covariance))


def population(device: Device, *, seed: int = 0) -> Population:
    """Population of a device: moments over 64 x 64 cells drawn from it.

    Parameters
    ----------
    device : Device
        The kind of cell. Where its steps are not linear, the tangents at the middle of the range count.
    seed : int
        Seed of the draw.

    Returns
    -------
    Population

    Raises
    ------
    ParameterError
        If no cell has steps above 0 that fall toward both bounds.
    """
    cells = sample_cells(device, _POPULATION, seed=seed)
    low, high = device.response.w_min, device.response.w_max
    middle, half, apart = 0.5 * (low + high), 0.5 * (high - low), 0.01 * (high - low)
    at = np.array([middle - apart, middle, middle + apart])[:, None, None]
    up, down = (steps.reshape(3, -1) for steps in cells.steps(at))
    with np.errstate(divide="ignore", invalid="ignore"):
        top, bottom = (2 * apart * s[1] / (e[0] - e[2]) for s, e in ((up, up), (down, down[::-1])))
        logs = np.log(np.stack([up[1] / half, down[1] / half, top / half, bottom / half]))
    logs = logs[:, np.isfinite(logs).all(0)]
    if logs.shape[1] < 2:
        raise ParameterError(f"device {device.source.name!r}: no steps that fall toward both bounds")
    return Population(mean=logs.mean(1), covariance=np.cov(logs) + _FLOOR * np.eye(4))


class Fit(NamedTuple):
    """Parameters of the cells and how sure they are; units as in `Bursts`.

    Attributes
    ----------
    theta : array [5, cells]
        Logarithms of u, d, t, b, and the weight at the start.
    points : array [cells]
        Symmetric points.
    sigma : array [cells]
        Their standard errors.
    prior_fraction : array [cells]
        Share of their variance that the prior's information stands for, 0 to 1.
    """

    theta: Array
    points: Array
    sigma: Array
    prior_fraction: Array


def _losses(theta: Array) -> tuple[Array, Array]:
    """u/t and d/b, the shares of the way to the bound ahead that one pulse goes; below 1."""
    up, down = np.exp(theta[0] - theta[2]), np.exp(theta[1] - theta[3])
    return np.where(up.real < _MAX_LOSS, up, _MAX_LOSS), np.where(down.real < _MAX_LOSS, down, _MAX_LOSS)


def _means(theta: Array, counts: Array) -> list[Array]:
    t, b = np.exp(theta[2:4])
    state, states = theta[4], [theta[4]]
    log_up, log_down = (np.log1p(-loss) for loss in _losses(theta))
    for number in counts:
        up = number > 0
        edge = np.where(up, t, -b)
        state = edge + (state - edge) * np.exp(np.abs(number) * np.where(up, log_up, log_down))
        states.append(state)
    return states


def mean_reads(theta: Array, data: Bursts) -> Array:
    """Mean weights [reads, cells] at the reads of ``data``; ``theta`` as in `Fit`."""
    states = _means(theta, data.counts)
    return np.stack([states[k] for k in data.places])


def covariance(theta: Array, data: Bursts, sigma: float) -> Array:
    """Covariance [cells, reads, reads] of these weights by cycle noise of std ``sigma``."""
    u, d, t, b = np.exp(theta[:4])
    loss_up, loss_down = _losses(theta)
    means, size = _means(theta, data.counts), len(data.places)
    made, now = np.zeros((size, size, theta.shape[1])), np.zeros((size + 1, theta.shape[1]))
    seen = int(data.places[0] == 0)
    for k, number in enumerate(data.counts, start=1):
        up, n = number > 0, np.abs(number)
        factor = 1 - np.where(up, loss_up, loss_down)
        step = np.where(up, u * (1 - means[k - 1] / t), d * (1 + means[k - 1] / b))
        keep = factor**n
        noise = np.where(n > 0, n * (sigma * step * factor ** np.maximum(n - 1, 0)) ** 2, 0.0)
        now[:seen] *= keep
        now[size] = keep**2 * now[size] + noise
        if seen < size and data.places[seen] == k:
            made[seen, :seen] = made[:seen, seen] = now[:seen]
            made[seen, seen] = now[seen] = now[size]
            seen += 1
    return np.moveaxis(made, 2, 0)


def symmetric_points(theta: Array) -> Array:
    """Where both steps are equal: (u - d)/(u/t + d/b), [cells]."""
    u, d, t, b = np.exp(theta[:4])
    return np.asarray((u - d) / (u / t + d / b))


def fit_response(
    data: Bursts,
    *,
    begin: Array,
    free: Sequence[str] = NAMES,
    cycle_noise: float = 0.0,
    prior: Prior | None = None,
) -> Fit:
    """Fit the response of every cell.

    Parameters
    ----------
    data : Bursts
        Bursts and reads.
    begin : array [4] or [4, cells]
        Logarithms of u, d, t, b to start from.
    free : sequence of str
        Parameters that are fitted, of "up", "down", "top", "bottom", "start"; others stay as they begin.
    cycle_noise : float
        Relative std of the steps.
    prior : Prior or None
        Prior of the cells' parameters; None: flat. Parameters that are not fitted take no part.

    Returns
    -------
    Fit
    """
    cells = data.reads.shape[1]
    start = np.empty((5, cells))
    start[:4] = np.reshape(begin, (4, -1))
    start[4] = data.reads[0]
    parts = []
    for first in range(0, cells, _CHUNK):
        cut = slice(first, first + _CHUNK)
        part = data._replace(counts=data.counts[:, cut], reads=data.reads[:, cut])
        problem = _Problem(part, start[:, cut], [NAMES.index(name) for name in free], cycle_noise, prior)
        parts.append(problem.solve())
    return Fit(*(np.concatenate(values, axis=-1) for values in zip(*parts, strict=True)))


class _Problem:
    """Weighted least squares of some cells, with damped Gauss-Newton steps."""

    def __init__(
        self, data: Bursts, start: Array, free: list[int], cycle_noise: float, prior: Prior | None
    ) -> None:
        self.data, self.theta, self.free, self.cycle_noise = data, start.copy(), free, cycle_noise
        self.prior = prior
        self.centre = np.zeros(5)
        self.precision = np.zeros((5, 5))
        if prior is not None:
            self.centre[:4] = prior.centre
            self.precision[:4, :4] = prior.precision
        low, high = np.log(_STEPS), np.log(_BOUNDS)
        self.ends = np.array(
            [[low[0]] * 2 + [high[0]] * 2 + [-np.inf], [low[1]] * 2 + [high[1]] * 2 + [np.inf]]
        )

    def solve(self) -> tuple[Array, Array, Array, Array]:
        """Fit all cells; those that have settled are left out of further steps."""
        moving, damping = np.arange(self.theta.shape[1]), np.full(self.theta.shape[1], 1e-3)
        for _ in range(_ITERATIONS):
            part = self._of(moving)
            moved, damping = part.iterate(damping)
            self.theta[:, moving] = part.theta
            moving, damping = moving[moved], damping[moved]
            if not moving.size:
                break
        return self._summary()

    def _of(self, cells: Array) -> "_Problem":
        """The same problem for some of the cells."""
        data = self.data._replace(counts=self.data.counts[:, cells], reads=self.data.reads[:, cells])
        return _Problem(data, self.theta[:, cells], self.free, self.cycle_noise, self.prior)

    def iterate(self, damping: Array) -> tuple[Array, Array]:
        """One damped Gauss-Newton step; which cells still move, and their damping."""
        weight = self._weight()
        normal, gradient = self._normal(self._jacobian(), weight)
        eye = np.eye(len(self.free))
        scale = np.einsum("cii->ci", normal)[..., None] * eye
        step = np.linalg.solve(normal + damping[:, None, None] * scale + _GENTLE * eye, gradient[..., None])[
            ..., 0
        ]
        trial = self.theta.copy()
        trial[self.free] += np.clip(step.T, -1.0, 1.0)
        trial = np.clip(trial, self.ends[0][:, None], self.ends[1][:, None])
        better = self._cost(trial, weight) <= self._cost(self.theta, weight)
        settled = better & (np.abs(trial - self.theta).max(axis=0) < _SETTLED)
        self.theta = np.where(better, trial, self.theta)
        return ~settled, np.where(better, damping / 10, damping * 10).clip(1e-9, 1e9)

    def _weight(self) -> Array:
        noise = covariance(self.theta, self.data, self.cycle_noise)
        return np.linalg.inv(noise + np.diag(self.data.variances + _FLOOR**2))

    def _jacobian(self) -> Array:
        columns = []
        for k in self.free:
            shifted = self.theta.astype(np.complex128)
            shifted[k] += 1j * _TINY_STEP
            columns.append(mean_reads(shifted, self.data).imag / _TINY_STEP)
        return np.stack(columns, axis=-1).swapaxes(0, 1)

    def _offset(self, theta: Array) -> Array:
        return (theta - self.centre[:, None])[self.free].T

    def _normal(self, jacobian: Array, weight: Array) -> tuple[Array, Array]:
        prior = self.precision[np.ix_(self.free, self.free)]
        residual = (self.data.reads - mean_reads(self.theta, self.data)).T
        weighted = jacobian.swapaxes(1, 2) @ weight
        gradient = (weighted @ residual[..., None])[..., 0] - self._offset(self.theta) @ prior
        return weighted @ jacobian + prior, gradient

    def _cost(self, theta: Array, weight: Array) -> Array:
        prior = self.precision[np.ix_(self.free, self.free)]
        residual = (self.data.reads - mean_reads(theta, self.data)).T
        offset = self._offset(theta)
        misfit = np.einsum("ck,ckl,cl->c", residual, weight, residual)
        return np.asarray(misfit + np.einsum("ck,kl,cl->c", offset, prior, offset))

    def _summary(self) -> tuple[Array, Array, Array, Array]:
        gradient = np.stack([self._slope(k) for k in self.free], axis=-1)
        normal, _ = self._normal(self._jacobian(), self._weight())
        size = np.sqrt(np.einsum("cii->ci", normal)) + _GENTLE
        scaled = normal / (size[:, :, None] * size[:, None, :]) + _GENTLE * np.eye(len(self.free))
        lever = np.linalg.solve(scaled, (gradient / size)[..., None])[..., 0] / size
        variance = np.einsum("ck,ck->c", lever, gradient).clip(0)
        prior = self.precision[np.ix_(self.free, self.free)]
        with np.errstate(divide="ignore", invalid="ignore"):
            prior_fraction = np.einsum("ck,kl,cl->c", lever, prior, lever) / variance
        return (
            self.theta,
            symmetric_points(self.theta),
            np.sqrt(variance),
            np.nan_to_num(prior_fraction).clip(0, 1),
        )

    def _slope(self, k: int) -> Array:
        shifted = self.theta.astype(np.complex128)
        shifted[k] += 1j * _TINY_STEP
        u, d, t, b = np.exp(shifted[:4])
        return np.asarray(((u - d) / (u / t + d / b)).imag / _TINY_STEP)


def pulses_between(theta: Array, begin: Array, end: Array, limit: float) -> Array:
    """Signed numbers of pulses [cells] that bring the mean weight nearest to ``end``, within +-``limit``."""
    t, b = np.exp(theta[2:4])
    up = end > begin
    edge, loss = np.where(up, t, -b), np.where(up, *_losses(theta))
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.clip((end - edge) / (begin - edge), 0.0, 1.0)
        number = np.log(left) / np.log1p(-loss)
    number = np.nan_to_num(number, nan=0.0, posinf=limit)
    return np.asarray(np.where(up, 1, -1) * np.minimum(np.round(number), limit).astype(np.int64))
