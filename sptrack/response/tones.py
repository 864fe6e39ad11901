"""A tone in the gradient of a running method, read in P, Q and W: measured beside the linear model.

What is measured: the tone u_k is chopped like any gradient. P is read demodulated, c_k (P - Q~), Q and W as
they are, all at the tone's frequency. The chopper spreads Q's share of the tone over its spectrum: what
Q shows there is leakage: nothing on average with a telegraph, all of it without a chopper (RIDER).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sptrack.blocks import Chopper
from sptrack.errors import ParameterError
from sptrack.kernels.objectives import SEPARABLE
from sptrack.spectrum import ToneResponse, Tones
from sptrack.theory import GradientStatistics, linearise, passed_fraction
from sptrack.theory.tones import ToneGains, ToneLoop, pulsed_balance
from sptrack.tracking import Method, Problem, Tracker
from sptrack.tracking.results import Recording
from sptrack.values import check_whole

Array = NDArray[Any]

_DIFFERENCE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoopResponse:
    """Measured and predicted response of a closed loop to tones; gains are means over the cells.

    Attributes
    ----------
    p, q, w : ToneResponse
        Demodulated P - Q~ (P itself without a chopper), Q, W against the tone.
    predicted : ToneGains
        Of p, q, w, arrays [tones].
    """

    p: ToneResponse
    q: ToneResponse
    w: ToneResponse
    predicted: ToneGains


def tone_loop(problem: Problem, method: Method) -> ToneLoop:
    """Linear model of a method on a separable problem: W at its optimum, P at its symmetric point.

    RIDER in general rests elsewhere, since an ideal W conserves W - (beta/eta) Q: it has this model where
    both start.

    Raises
    ------
    ParameterError
        Another objective; a method other than RIDER or E-RIDER with a telegraph for the whole array.
    """
    if problem.objective.kind != SEPARABLE:
        raise ParameterError(
            f"problem must be the separable one, each weight for itself, got {problem.name!r}"
        )
    chopper = method.chopper
    telegraph = isinstance(chopper, Chopper) and chopper.scope == "array" and chopper.clock == "step"
    chopped = telegraph and not method.sync
    plain = chopper is None and method.sync
    reads = method.transfer.every == 1 and not method.transfer.by_column and method.transfer.threshold == 0
    if method.direct or method.estimator != "ema" or not reads:
        raise ParameterError(f"method must be RIDER or E-RIDER with an EMA, got {method.name}")
    if not (chopped or plain):
        raise ParameterError(
            "method must have a telegraph and a held reference, or no chopper and a reference renewed at "
            f"each step, got {method.name}"
        )
    gradient = GradientStatistics(std=problem.gradient_noise)
    loop = linearise(problem.p_cells, alpha=method.alpha, gradient=gradient)
    spread = np.sqrt(loop.white / (1 - loop.pole**2) * (1 + passed_fraction(loop.pole, method.eta)))
    optimum = np.asarray(problem.optimum, np.float64).reshape(problem.w_cells.shape)
    here = optimum + (0.0 if problem.w_cells.reference is None else problem.w_cells.reference)
    rest = pulsed_balance(problem.w_cells.F(here), problem.w_cells.G(here), spread)
    rise, fall = problem.w_cells.F(here + _DIFFERENCE), problem.w_cells.F(here - _DIFFERENCE)
    tilt = (rise - fall) / (2 * _DIFFERENCE)
    above, below = problem.w_cells.G(here + _DIFFERENCE), problem.w_cells.G(here - _DIFFERENCE)
    slope = (above - below) / (2 * _DIFFERENCE)
    return ToneLoop(
        step=(method.alpha * loop.response).ravel(),
        pole=loop.pole.ravel(),
        transfer=method.beta * rest.gain.ravel(),
        drag=(1 - method.beta * (rest.size * slope - rest.mean * tilt)).ravel(),
        curvature=np.asarray(problem.objective.cell[0], np.float64),
        gamma=method.gamma,
        eta=method.eta,
        correlation=1 - 2 * chopper.p if isinstance(chopper, Chopper) else None,
    )


def measure_loop(
    problem: Problem, method: Method, tones: Tones, *, blocks: int = 8, skip: int = 2, seed: int = 0
) -> LoopResponse:
    """Run a method with tones added to its gradient, the same for all cells, and read P, Q and W.

    Parameters
    ----------
    problem, method : Problem, Method
        As in `tone_loop`.
    tones : Tones
        Test signal, gradient units; small against the gradient's noise, whose size sets the loop's pole.
    blocks, skip : int
        Periods of the tones that are used, at least 2, and that are run before them.
    seed : int
        Root seed of the run.

    Returns
    -------
    LoopResponse
        The cells have one chopper, so their mean counts as one stream: an average per block.

    Raises
    ------
    ParameterError
        As `tone_loop`; less than two blocks.
    """
    check_whole("blocks", blocks, 2)
    model = tone_loop(problem, method)
    length = tones.period
    tracker = Tracker(problem, method, seed=seed)
    u = tones.samples(length)
    kept: list[Recording] = []
    for _ in range(skip + blocks):
        kept.append(tracker.record(length, drive=u))
    parts = kept[skip:]
    signs = np.concatenate([one.signs for one in parts])
    p, q, w = (np.concatenate([getattr(one, name) for one in parts]).astype(np.float64) for name in "pqw")
    tone = np.tile(u, blocks)
    if method.chopper is not None:
        before = kept[skip - 1].q[-1:] if skip else np.zeros_like(q[:1])
        shown = signs * (p - held_reference(signs, q, before))
    else:
        shown = p
    gains = model.gains(tones.omega)
    return LoopResponse(
        p=tones.response(tone, shown, skip=0, independent=False),
        q=tones.response(tone, q, skip=0, independent=False),
        w=tones.response(tone, w, skip=0, independent=False),
        predicted=ToneGains(*(np.asarray(one.mean(axis=0)) for one in gains)),
    )


def held_reference(signs: Array, q: Array, before: Array) -> Array:
    """Copy Q~ [steps, cells] of Q that was used in each step: that of the step before the last flip.

    Parameters
    ----------
    signs : array [steps, 1]
        Chopper.
    q : array [steps, cells]
        Q after each step.
    before : array [1, cells]
        Q before the first step, taken as its copy too.
    """
    earlier = np.concatenate([before, q[:-1]])
    flips = np.flatnonzero(signs[1:, 0] != signs[:-1, 0]) + 1
    latest = np.zeros(len(q), np.int64)
    latest[flips] = flips
    return np.asarray(earlier[np.maximum.accumulate(latest)])
