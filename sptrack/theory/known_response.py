"""Error of an observer that takes the response of a cell as known, on a cell whose response is another.

With f and g for what it takes F and G' for, a stretch with N = sum D and A = sum |D| says of the symmetric
point (`sptrack.kernels.observers`)

    z = x + (y - N f)/(A g),     y = N (q0 + F' (x - w*)) - A G' (x - w*) + v

(to first order in A g dw_min, the way back in a stretch), so that with rho = E D/E|D|, s = G' - rho F' and T
the mean of x - w* over the memory

    E z - w* = (1 - s/g) T + rho (q0 - f)/g

P goes from its start to r = rho q0/s by the factor a = 1 - E|D| s a step, which gives T in closed form. Once
that is over the mean error is rho (q0/s - f/g): nothing without a mean gradient. Fluctuation: an increment
moves P by L (D - rho |D|), L = q0 + F' r, and a pulse by v. With h for what a step leaves of information,
m steps later the first counts in the estimate, over E|D| and the sum of all h^m, with

    (L - f)/g h^m + E|D| (1 - s/g) L (h^m - a^m)/(h - a)

and v with the same for L = 1, f = 0. Over a long memory that is L/s - f/g, and 1/s: what pulses add is then
as with the right response, and the increments add where the two places of rest differ.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from sptrack.theory.observer import NormalDrive, ObservedCell, observer_error
from sptrack.values import check_number


class KnownResponse(NamedTuple):
    """f and g: F and G' at the symmetric point as an observer takes them, both above 0 (per weight unit)."""

    level: float
    slope: float


class PointError(NamedTuple):
    """Mean and std of the error of an estimate of a symmetric point, weight units."""

    mean: float
    std: float


def known_response_error(
    cell: ObservedCell,
    drive: NormalDrive,
    known: KnownResponse,
    *,
    start: float = 0.0,
    tilt: float = 0.0,
    every: int = 1,
    forgetting: float = 0.0,
    steps: float,
) -> PointError:
    """Error after ``steps`` steps of a stationary drive, without a prior.

    To first order in the distance of P from the symmetric point; reads count as with the right response.

    Parameters
    ----------
    cell : ObservedCell
        Cell as it is, and noise.
    drive : NormalDrive
        Increments per step, the mean with its sign.
    known : KnownResponse
        What the observer takes the response for.
    start : float
        P less the symmetric point before the first step, weight units.
    tilt : float
        F' of the cell, per weight unit.
    every, forgetting
        As in `sptrack.theory.observer_error`.
    steps : float
        Steps so far, at least ``every``, finite.

    Raises
    ------
    ParameterError
        A value outside its range.
    """
    check_number("level", known.level, above=0)
    check_number("slope", known.slope, above=0)
    check_number("steps", steps, least=every)
    right = observer_error(cell, drive, every=every, forgetting=forgetting, steps=steps, form="scalar")
    size, lean = drive.size, drive.mean / drive.size
    pull = cell.slope - lean * tilt
    rest = lean * cell.level / pull
    memory = _Memory(1 - forgetting, 1 - size * pull, steps)
    away = rest + (start - rest) * memory.left
    moved, passed = cell.level + tilt * rest, size * (1 - pull / known.slope)
    asked = memory.norm((moved - known.level) / known.slope, passed * moved) / size
    pulses = memory.norm(1 / known.slope, passed) / memory.norm(1 / cell.slope, 0.0)
    leaning = (1 + lean**2) * (drive.mean**2 + drive.std**2) - 2 * lean * drive.signed_square
    return PointError(
        mean=(1 - pull / known.slope) * away + lean * (cell.level - known.level) / known.slope,
        std=math.hypot(right.rms * pulses, asked * math.sqrt(leaning)),
    )


class _Memory:
    """Weights h^m of the steps, m back from the last, beside a relaxation a^m; over the sum of all h^m."""

    def __init__(self, keep: float, pole: float, steps: float) -> None:
        near = 1e-4 * max(1 - keep, 1e-9)
        self._keep, self._steps = keep, steps
        self._pole = keep - near if abs(keep - pole) < near else pole
        self._total = self._sum(keep)

    def _sum(self, factor: float) -> float:
        """Sum of factor^m over the steps."""
        if factor == 1:
            return self._steps
        return float((1 - self._power(factor)) / (1 - factor))

    def _power(self, factor: float) -> float:
        """A factor to the number of steps, which is rounded for one below 0."""
        return factor**self._steps if factor >= 0 else float(factor ** round(self._steps))

    @property
    def left(self) -> float:
        """Mean of what a relaxation leaves after each step, weighted."""
        h, a = self._keep, self._pole
        return a * (self._power(h) - self._power(a)) / (h - a) / self._total

    def norm(self, own: float, passed: float) -> float:
        """Root of the sum of squares of ``own`` h^m + ``passed`` (h^m - a^m)/(h - a)."""
        h, a = self._keep, self._pole
        late = passed / (h - a)
        early = own + late
        squares = (
            early**2 * self._sum(h * h) - 2 * early * late * self._sum(h * a) + late**2 * self._sum(a * a)
        )
        return math.sqrt(max(squares, 0.0)) / self._total
