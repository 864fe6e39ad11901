"""One device of every family, with spreads, and its steps in plain numpy: for the tests of all families."""

import numpy as np

from sptrack.devices import (
    Asymmetry,
    ConstantStep,
    CustomResponse,
    CycleNoise,
    Device,
    ExpStep,
    LinearStep,
    PiecewiseStep,
    PowStep,
    SoftBounds,
    Spread,
)

NODES_UP = (1.5, 1.2, 1.0, 0.6, 0.1)
NODES_DOWN = (0.1, 0.5, 0.9, 1.1, 1.6)


def rational_up(w, c):
    return (1.0 - w) / (1.0 + c * (1.0 + w))


def rational_down(w, c):
    return (1.0 + w) / (1.0 + c * (1.0 - w))


RESPONSES = {
    "constant-step": ConstantStep(),
    "linear-step": LinearStep(gamma_up=0.5, gamma_down=0.7),
    "soft-bounds": SoftBounds(w_max=0.9, w_min=-1.1),
    "exp-step": ExpStep(a=-0.5, b=-0.5, A_up=-1.18445, gamma_up=5.0, A_down=-0.081404, gamma_down=5.0),
    "exp-step-unequal": ExpStep(
        a=-0.5, b=-0.5, A_up=-1.18445, gamma_up=5.0, A_down=-0.081404, gamma_down=4.0
    ),
    "pow-step": PowStep(gamma_up=1.4, gamma_down=1.4),
    "pow-step-unequal": PowStep(gamma_up=0.7, gamma_down=1.9),
    "piecewise-step": PiecewiseStep(nodes_up=NODES_UP, nodes_down=NODES_DOWN),
    "custom": CustomResponse(q_plus=rational_up, q_minus=rational_down, parameters={"c": 0.7}),
}
WITH_POINT = [name for name in RESPONSES if name != "constant-step"]


def device(name, *, dw_min=0.01, noise=0.0, spread=0.2, asymmetry=None, **spreads):
    """Device of a family with a moderate spread of everything (``spread`` 0: none)."""
    shape = 0.0 if name == "linear-step" else 0.5 * spread
    asymmetry = Asymmetry(mean=0.1, std=spread) if asymmetry is None else asymmetry
    values = {"dw_min": spread, "w_max": 0.5 * spread, "w_min": 0.5 * spread, "shape": shape} | spreads
    return Device(
        response=RESPONSES[name],
        dw_min=dw_min,
        spread=Spread(log_normal=True, asymmetry=asymmetry, **values),
        cycle_noise=CycleNoise(std=noise),
    )


def plain_steps(cells, w):
    """Up and down step at weights w [..., R, C] by the formulas of the docstrings, in plain numpy float64."""
    response = cells.device.response
    rows = [np.asarray(row, np.float64).reshape(cells.shape) for row in cells.law.cell]
    up, down, low, high, *own = rows
    width = high - low
    name = response.family
    if name in ("constant-step", "linear-step", "soft-bounds"):
        return up + own[0] * w, down + own[1] * w
    if name == "exp-step":
        z = 2.0 * response.a * w / width + response.b
        rise = np.maximum(1.0 - response.A_up * np.exp(response.gamma_up * z), 0.0)
        fall = np.maximum(1.0 - response.A_down * np.exp(-response.gamma_down * z), 0.0)
        return up * rise, down * fall
    if name == "pow-step":
        return up * ((high - w) / width) ** own[0], down * ((w - low) / width) ** own[1]
    if name == "piecewise-step":
        return up * _interpolated(own[: len(own) // 2], (w - low) / width), down * _interpolated(
            own[len(own) // 2 :], (w - low) / width
        )
    rise, fall = rational_up(w, own[0]), rational_down(w, own[0])
    return up * np.maximum(rise, 0.0), down * np.maximum(fall, 0.0)


def _interpolated(nodes, share):
    """Sum of hat functions: another way to the same piecewise-linear curve."""
    t = share * (len(nodes) - 1)
    return sum(node * np.maximum(1.0 - np.abs(t - k), 0.0) for k, node in enumerate(nodes))
