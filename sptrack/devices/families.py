"""Response families: what one up and one down pulse do to a cell, as frozen descriptions.

Every family has hard bounds ``w_min < w_max`` (weight units) and knows two things: which per-cell rows its
kernel law needs beyond scale and bounds, and, where one exists, its symmetric point in closed form. The two
step functions themselves live in `sptrack.kernels.responses`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import ParameterError
from sptrack.kernels import responses as laws
from sptrack.values import check_number, plain_fields

Array = NDArray[Any]
Draw = Callable[[str], Array]
"""Standard normals [cells] of a named stream: how a family draws the spread of its shape parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Common part of all families.

    Parameters
    ----------
    w_max, w_min : float
        Nominal upper and lower bound of the weight, weight units.
    """

    w_max: float = 1.0
    w_min: float = -1.0
    family: ClassVar[str] = ""
    kind: ClassVar[int] = laws.LINEAR

    def __post_init__(self) -> None:
        plain_fields(self)
        if not (np.isfinite(self.w_max) and np.isfinite(self.w_min) and self.w_min < self.w_max):
            raise ParameterError(
                f"bounds must be finite and w_min < w_max, got w_min = {self.w_min}, w_max = {self.w_max}"
            )

    def shape_rows(self, scales: Array, dtod: float, draw: Draw) -> Array:
        """Per-cell rows of the law beyond the first four, [rows, cells].

        ``scales`` [4, cells] are the up scale, down scale (weight units), lower and upper bound; ``dtod`` is
        the device-to-device std of the shape parameters and ``draw(name)`` gives their standard normals.
        """
        return np.empty((0, scales.shape[1]))

    def row_names(self) -> tuple[str, ...]:
        """Names of those rows, as `cells_from_parameters` takes them."""
        return ("slope_up", "slope_down")

    def shared(self) -> Array:
        """Parameters that all cells share, as the law wants them."""
        return np.empty(0)

    def kernel_law(self, cell: Array, shared: Array) -> Any:
        """Kernel law (`sptrack.kernels.responses`) of per-cell rows and shared parameters."""
        return laws.Law(self.kind, cell, shared)

    def symmetric_point(self, cell: Array) -> Array | None:
        """Point where both steps are equal, [cells], by the law's rows ``cell`` (NaN: none)."""
        return None


def _linear_symmetric_point(cell: Array) -> Array:
    slope = cell[laws.SLOPE_DOWN] - cell[laws.SLOPE_UP]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(slope > 0, (cell[laws.UP] - cell[laws.DOWN]) / slope, np.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantStep(Response):
    """Steps that do not depend on the weight: q_plus = a_plus, q_minus = a_minus. No symmetric point."""

    family: ClassVar[str] = "constant-step"

    def shape_rows(self, scales: Array, dtod: float, draw: Draw) -> Array:
        """No slopes."""
        return np.zeros((2, scales.shape[1]))

    def symmetric_point(self, cell: Array) -> Array:
        """None anywhere: the cell drifts to a bound."""
        return np.full(cell.shape[1], np.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearStep(Response):
    """Steps that fall linearly toward the bound ahead.

    q_plus = a_plus (1 - gamma_up w/w_max), q_minus = a_minus (1 - gamma_down w/w_min), clipped at the hard
    bounds.

    Parameters
    ----------
    gamma_up, gamma_down : float
        Slopes, dimensionless, >= 0; 1 is soft bounds with the nominal bound for every cell.
    """

    gamma_up: float = 0.1
    gamma_down: float = 0.1
    family: ClassVar[str] = "linear-step"

    def __post_init__(self) -> None:
        Response.__post_init__(self)
        check_number("gamma_up", self.gamma_up)
        check_number("gamma_down", self.gamma_down)
        if min(self.gamma_up, self.gamma_down) < 0:
            raise ParameterError(
                f"gamma_up = {self.gamma_up}, gamma_down = {self.gamma_down}: both must be >= 0"
            )
        if not self.w_min < 0 < self.w_max:
            raise ParameterError(
                f"w_min and w_max must lie below and above 0, got {self.w_min} and {self.w_max}"
            )

    def shape_rows(self, scales: Array, dtod: float, draw: Draw) -> Array:
        """Slopes from |gamma + dtod xi| and the nominal bounds, weight units per weight unit."""
        up = np.abs(self.gamma_up + dtod * draw("shape-up")) if dtod else self.gamma_up
        down = np.abs(self.gamma_down + dtod * draw("shape-down")) if dtod else self.gamma_down
        return np.stack([-up * scales[laws.UP] / self.w_max, -down * scales[laws.DOWN] / self.w_min])

    def symmetric_point(self, cell: Array) -> Array:
        """(a_plus - a_minus) / (slope_down - slope_up)."""
        return _linear_symmetric_point(cell)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftBounds(Response):
    """Steps that vanish linearly at each cell's own bound (eq. (2) and its linear device, Xiao et al. 2026).

    q_plus = a_plus (1 - w/tau_max), q_minus = a_minus (1 - w/tau_min) with tau_min < 0 < tau_max.
    """

    family: ClassVar[str] = "soft-bounds"

    def __post_init__(self) -> None:
        Response.__post_init__(self)
        if not self.w_min < 0 < self.w_max:
            raise ParameterError(
                f"w_min and w_max must lie below and above 0, got {self.w_min} and {self.w_max}"
            )

    def shape_rows(self, scales: Array, dtod: float, draw: Draw) -> Array:
        """Slopes -a_plus/tau_max and -a_minus/tau_min; 0 where a corrupt cell has both bounds at 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            up = np.where(scales[laws.UP] > 0, -scales[laws.UP] / scales[laws.UPPER], 0.0)
            down = np.where(scales[laws.DOWN] > 0, -scales[laws.DOWN] / scales[laws.LOWER], 0.0)
        return np.stack([up, down])

    def symmetric_point(self, cell: Array) -> Array:
        """w* = (a_plus - a_minus) / (a_plus/tau_max - a_minus/tau_min)."""
        return _linear_symmetric_point(cell)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpStep(Response):
    """Steps with an exponential approach to saturation (the reference simulator's model of Gong et al. 2018).

    q_plus = a_plus max(1 - A_up exp(gamma_up z), 0), q_minus = a_minus max(1 - A_down exp(-gamma_down z), 0),
    z = 2 a w/(w_max - w_min) + b with each cell's own bounds.
    """

    a: float = 0.244
    b: float = 0.2425
    A_up: float = 0.00081
    gamma_up: float = 12.44625
    A_down: float = 0.36833
    gamma_down: float = 12.78785
    family: ClassVar[str] = "exp-step"
    kind: ClassVar[int] = laws.EXP

    def __post_init__(self) -> None:
        Response.__post_init__(self)
        check_number("gamma_up", self.gamma_up, above=0)
        check_number("gamma_down", self.gamma_down, above=0)
        check_number("a", self.a)
        check_number("b", self.b)
        check_number("A_up", self.A_up)
        check_number("A_down", self.A_down)

    def shape_rows(self, scales: Array, dtod: float, draw: Draw) -> Array:
        """The factor 2 a/(range) from weight to z."""
        with np.errstate(divide="ignore"):
            width = scales[laws.UPPER] - scales[laws.LOWER]
            return np.where(width > 0, 2.0 * self.a / width, 0.0)[None]

    def row_names(self) -> tuple[str, ...]:
        """The factor from weight to z."""
        return ("stretch",)

    def shared(self) -> Array:
        """b, A_up, gamma_up, A_down, gamma_down."""
        return np.array([self.b, self.A_up, self.gamma_up, self.A_down, self.gamma_down])

    def symmetric_point(self, cell: Array) -> Array | None:
        """Equal gammas g: exp(g z) is the positive root of u+ A_up q^2 - (u+ - u-) q - u- A_down = 0."""
        if self.gamma_up != self.gamma_down or self.A_up * self.A_down <= 0:
            return None
        up, down = cell[laws.UP], cell[laws.DOWN]
        leading, middle = up * self.A_up, up - down
        root = np.sqrt(middle**2 + 4.0 * leading * down * self.A_down)
        with np.errstate(divide="ignore", invalid="ignore"):
            q = (middle + np.sign(self.A_up) * root) / (2.0 * leading)
            return np.asarray((np.log(q) / self.gamma_up - self.b) / cell[laws.STRETCH])


@dataclass(frozen=True, slots=True, kw_only=True)
class PowStep(Response):
    """Steps that fall as a power of the distance to the bound ahead.

    q_plus = a_plus ((w_max - w)/R)^gamma_up, q_minus = a_minus ((w - w_min)/R)^gamma_down, R = w_max - w_min.
    """

    gamma_up: float = 1.0
    gamma_down: float = 1.0
    family: ClassVar[str] = "pow-step"
    kind: ClassVar[int] = laws.POW

    def __post_init__(self) -> None:
        Response.__post_init__(self)
        check_number("gamma_up", self.gamma_up, above=0)
        check_number("gamma_down", self.gamma_down, above=0)

    def shape_rows(self, scales: Array, dtod: float, draw: Draw) -> Array:
        """Exponents |gamma (1 + dtod xi)|."""
        ones = np.ones(scales.shape[1])
        up = np.abs(1.0 + dtod * draw("shape-up")) if dtod else ones
        down = np.abs(1.0 + dtod * draw("shape-down")) if dtod else ones
        return np.stack([self.gamma_up * up, self.gamma_down * down])

    def row_names(self) -> tuple[str, ...]:
        """The exponents."""
        return ("gamma_up", "gamma_down")

    def symmetric_point(self, cell: Array) -> Array | None:
        """Equal exponents g: (w_min + rho w_max)/(1 + rho), rho = (u+/u-)^(1/g)."""
        up, down = cell[laws.GAMMA_UP], cell[laws.GAMMA_DOWN]
        if not np.array_equal(up, down):
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            rho = np.asarray((cell[laws.UP] / cell[laws.DOWN]) ** (1.0 / up))
            return np.asarray((cell[laws.LOWER] + rho * cell[laws.UPPER]) / (1.0 + rho))


@dataclass(frozen=True, slots=True, kw_only=True)
class PiecewiseStep(Response):
    """Steps interpolated between nodes that are equally spaced from each cell's lower to its upper bound.

    Parameters
    ----------
    nodes_up, nodes_down : tuple of float
        q_plus/a_plus and q_minus/a_minus at the nodes, the same number (>= 2) of each, none negative.
    """

    nodes_up: tuple[float, ...] = (1.0, 1.0)
    nodes_down: tuple[float, ...] = (1.0, 1.0)
    family: ClassVar[str] = "piecewise-step"
    kind: ClassVar[int] = laws.PIECEWISE

    def __post_init__(self) -> None:
        Response.__post_init__(self)
        object.__setattr__(self, "nodes_up", tuple(float(v) for v in self.nodes_up))
        object.__setattr__(self, "nodes_down", tuple(float(v) for v in self.nodes_down))
        if len(self.nodes_up) != len(self.nodes_down) or len(self.nodes_up) < 2:
            raise ParameterError(
                f"{len(self.nodes_up)} up nodes and {len(self.nodes_down)} down nodes: "
                "give the same number, at least 2"
            )
        for node in self.nodes_up + self.nodes_down:
            if not (np.isfinite(node) and node >= 0):
                raise ParameterError(f"node value {node}: nodes must be finite and >= 0")

    def row_names(self) -> tuple[str, ...]:
        """node_up_0, node_up_1, ..., node_down_0, ..."""
        return tuple(f"node_{side}_{k}" for side in ("up", "down") for k in range(len(self.nodes_up)))

    def shape_rows(self, scales: Array, dtod: float, draw: Draw) -> Array:
        """The up nodes, then the down nodes, each times (1 + dtod xi), not below 0."""
        rows = np.repeat(np.array([*self.nodes_up, *self.nodes_down])[:, None], scales.shape[1], axis=1)
        if dtod:
            rows *= np.stack(
                [np.maximum(1.0 + dtod * draw(f"shape-node-{k}"), 0.0) for k in range(len(rows))]
            )
        return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomResponse(Response):
    """A response of one's own: two scalar functions of the weight and of named per-cell parameters.

    Parameters
    ----------
    q_plus, q_minus : callable
        ``q(w, *parameters) -> float``, dimensionless, positive inside the bounds; plain arithmetic and
        `math`, so that Numba can compile them. A pulse moves the weight by +dw_min a_plus q_plus(w) or
        -dw_min a_minus q_minus(w); a negative value, which cells with wider bounds may meet, counts as 0.
    parameters : dict of str to float
        Nominal values, in the order of the functions' arguments.

    Raises
    ------
    ParameterError
        If a function is not positive inside the bounds, q_plus rises, q_minus falls, or they do not cross
        exactly once.

    Examples
    --------
    >>> import math
    >>> def q_plus(w, c):
    ...     return (math.exp(-c * w) - math.exp(-c)) / c
    >>> def q_minus(w, c):
    ...     return (math.exp(c * w) - math.exp(-c)) / c
    >>> response = CustomResponse(q_plus=q_plus, q_minus=q_minus, parameters={"c": 1.5})
    """

    q_plus: Callable[..., float]
    q_minus: Callable[..., float]
    parameters: dict[str, float] = field(default_factory=dict)
    compiled: int = field(init=False, repr=False, compare=False, default=-1)
    family: ClassVar[str] = "custom"

    def __post_init__(self) -> None:
        Response.__post_init__(self)
        values = tuple(self.parameters.values())
        w = np.linspace(self.w_min, self.w_max, 1025)
        up = np.array([self.q_plus(float(v), *values) for v in w])
        down = np.array([self.q_minus(float(v), *values) for v in w])
        _check_training_friendly(w, up, down)
        object.__setattr__(self, "compiled", laws.custom_law(self.q_plus, self.q_minus, len(values)))

    def kernel_law(self, cell: Array, shared: Array) -> Any:
        """Law of the two functions, good in this process only."""
        return laws.Law(self.compiled, cell, shared)

    def row_names(self) -> tuple[str, ...]:
        """The user's names."""
        return tuple(self.parameters)

    def shape_rows(self, scales: Array, dtod: float, draw: Draw) -> Array:
        """The user's parameters, each times (1 + dtod xi)."""
        rows = np.empty((len(self.parameters), scales.shape[1]))
        for row, (name, value) in zip(rows, self.parameters.items(), strict=True):
            row[:] = value * (1.0 + dtod * draw(f"shape-{name}")) if dtod else value
        return rows


def _check_training_friendly(w: Array, up: Array, down: Array) -> None:
    """Refuse responses that are not positive inside, not monotone, or without exactly one symmetric point."""
    for name, q, direction in (("q_plus", up, -1.0), ("q_minus", down, 1.0)):
        inside = q[1:-1]
        bad = ~(np.isfinite(inside) & (inside > 0))
        if bad.any():
            k = int(np.argmax(bad)) + 1
            raise ParameterError(
                f"{name}({w[k]:.4g}) = {q[k]:.4g}: must be finite and above 0 inside the bounds"
            )
        change = np.diff(q) * direction
        if change.min() < -1e-9 * np.abs(q).max():
            k = int(np.argmin(change))
            word = "rises" if direction < 0 else "falls"
            raise ParameterError(
                f"{name} {word} between w = {w[k]:.4g} and {w[k + 1]:.4g}: it must be monotone"
            )
    g = down - up
    if not g[0] < 0 < g[-1]:
        raise ParameterError(
            f"q_minus - q_plus is {g[0]:.4g} at w_min and {g[-1]:.4g} at w_max: "
            "no symmetric point between the bounds"
        )
    if np.count_nonzero(np.abs(g) < 1e-12 * np.abs(up).max()) > 1:
        raise ParameterError("q_minus = q_plus on a whole interval: the symmetric point is not unique")


FAMILIES: dict[str, type[Response]] = {
    family.family: family
    for family in (ConstantStep, LinearStep, SoftBounds, ExpStep, PowStep, PiecewiseStep)
}
"""Families that a file can name."""
