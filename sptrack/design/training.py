"""Training of W in closed loop with P and its reference, by the linear model."""

from typing import NamedTuple

import numpy as np

from sptrack.blocks import SignSource
from sptrack.design.specification import SETTLED, Specification
from sptrack.theory.chopping import demodulated_gain
from sptrack.theory.closed_loop import Loop


class Training(NamedTuple):
    """Training near the optimum, where the gradient is noise, for any rate beta of the transfer.

    Attributes
    ----------
    slowest : float
        Rate at which W converges along the flattest direction of the loss, over beta, 1/step.
    at_rest : float
        (W - W*)^2 as beta goes to 0, weight units squared.
    rising : float
        Increase of (W - W*)^2 with beta, weight units squared.
    """

    slowest: float
    at_rest: float
    rising: float

    def converging(self, beta: float) -> float:
        """Steps until 5 % of the start error are left along the flattest direction of the loss."""
        rate = beta * self.slowest
        return float(-np.log(SETTLED) / rate) if rate > 0 else float("inf")

    def weights(self, beta: float) -> float:
        """Rms of W - W* once converged, weight units."""
        return float(np.sqrt(self.at_rest + beta * self.rising))


def training(spec: Specification, loop: Loop, chopper: SignSource | None, gamma: float) -> Training:
    """Convergence and error of W from the response of P to W's own error.

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
    return Training(slowest, fixed, rising)
