"""What the linear model says of W in closed loop with P and its reference."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sptrack.blocks import SignSource
from sptrack.design.specification import SETTLED, Specification
from sptrack.theory.chopping import demodulated_gain
from sptrack.theory.closed_loop import Loop


class Training(NamedTuple):
    """What the linear model says of W in closed loop, near the optimum, where the gradient is noise.

    Attributes
    ----------
    converging : float
        Steps until 5 % of the start error are left along the flattest direction of the loss.
    weights : float
        Rms of W - W* once converged, weight units.
    """

    converging: float
    weights: float


def training(
    spec: Specification, loop: Loop, chopper: SignSource | None, gamma: float
) -> Callable[[float], Training]:
    """Convergence and error of W, as a function of beta, from the response of P to W's own error.

    Along a direction of curvature h, W off by u makes the gradient h u; P answers with the pole a_h = a -
    alpha q0 gamma h, since its own displacement feeds back, and W moves by -beta k u a step, k = alpha q0 h D
    with D the demodulated gain of a_h. Against it stand the noise of d = P - Q, of density Var P (2 D - 1) at
    omega = 0 once demodulated, and the pull to W's own symmetric point, which is beta E|d| G(W) a step:

        (W - W*)^2 = (E|d| G/k)^2 + beta Var P (2 D - 1)/(2 k)

    ``loop`` is linearised at the optimum; P and W are of one device. Means over cells and over the smallest,
    the middle and the largest curvature.
    """
    low, high = spec.curvature
    pull = np.nanmean((loop.slope * loop.point) ** 2)
    tracked = np.isfinite(loop.pole)
    fixed, rising, slowest = 0.0, 0.0, np.inf
    for h in (low, np.sqrt(low * high), high):
        drive = loop.alpha * loop.response * h
        pole = loop.pole - gamma * drive
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = demodulated_gain(pole, chopper)
            variance = loop.white / (1 - pole**2)
            size = np.sqrt(2 / np.pi * variance)
            answer = np.where(np.abs(pole) < 1, drive * gain, np.nan)
            at_rest = (size / answer) ** 2 * pull
            noise = variance * (2 * gain - 1) / (2 * answer)
        fixed += float(np.mean(np.where(answer > 0, at_rest, np.inf)[tracked])) / 3
        rising += float(np.mean(np.where(answer > 0, noise, np.inf)[tracked])) / 3
        slowest = min(slowest, float(np.mean(np.nan_to_num(answer[tracked]))))

    def trained(beta: float) -> Training:
        converging = float(-np.log(SETTLED) / (beta * slowest)) if beta * slowest > 0 else float("inf")
        return Training(converging, float(np.sqrt(fixed + beta * rising)))

    return trained
