"""Consequences of a method's settings on a problem: rates, poles, thresholds, and warnings.

The array that takes the gradient pulses (P, or W in analog SGD) is linearised at its symmetric point w*:
with response q0 and slope G' of the asymmetric part, gradient g and chopper c, eq. (18a) of Xiao et al. 2026
(arXiv 2602.21321) is, for x = P - w*,

    x' = x - alpha q0 c g - alpha |g| G' x + b,    on average    x' = a x - alpha q0 c g

with a = 1 - alpha E|g| G'

(b: error of whole pulses and their noise). All numbers below follow from a, the telegraph's correlation
r = 1 - 2 p per step and the filter's pole 1 - eta.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sptrack.errors import ConvergenceError, ParameterError
from sptrack.evaluation.knowledge import knowledge, knowledge_warnings
from sptrack.evaluation.prediction import MethodPrediction, predict
from sptrack.evaluation.quantities import Quantity, quantity, value_of
from sptrack.evaluation.rates import problem_premise
from sptrack.theory import mean_size, moving_gain, observer_gain
from sptrack.theory.observer import MAX_DECAY
from sptrack.tracking.methods import Method
from sptrack.tracking.problems import Problem, curvatures, mean_gradient

FAST_FILTER = 0.9
"""Fraction of the chopper's power that a filter passes, above which it is called faster than the chopper."""
MAX_PRIOR = 0.5
"""Fraction of an observer's information that may be its prior's, above which it is called unexcited."""
MAX_READING = 2.0
"""Variance from an observer's reads over that from pulses, above which other reads are advised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Result of `explain`: names, numbers in the order of the signal chain, warnings and notes, a line each.

    Notes say what the error of an observer rests on, see `sptrack.evaluation.knowledge`.
    """

    method: str
    problem: str
    device: str
    quantities: tuple[Quantity, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> float | None:
        """Value of the quantity ``name``; KeyError if the method has none of that name."""
        return value_of(self.quantities, name)


def explain(problem: Problem, method: Method, *, steps: int = 20000) -> Explanation:
    """Numbers and warnings of a method on a problem, from formulas alone: nothing is simulated.

    Parameters
    ----------
    problem : Problem
        Objective, cells, noise.
    method : Method
        Settings of the recursion.
    steps : int
        Length of the intended run, for the warning on the buffer.

    Returns
    -------
    Explanation
        Means over the cells of the array that takes the gradient.
    """
    made = predict(problem, method, steps=steps)
    quantities = _drive(made) + _chain(made) + _moving(made)
    if not method.direct:
        quantities += _transfer(made)
    if _filters(method):
        quantities += _premise(problem)
    values = {item.name: item.value for item in quantities}
    told = (method.observer, (problem.believed.cells if problem.believed else problem.p_cells).device)
    warnings = _warnings(values, method, steps // made.every)
    return Explanation(
        method=method.name,
        problem=problem.name,
        device=problem.p_cells.device.source.name,
        quantities=tuple(quantities),
        warnings=(*warnings, *knowledge_warnings(*told)),
        notes=knowledge(*told),
    )


def _drive(made: MethodPrediction) -> list[Quantity]:
    problem, method, loop = made.problem, made.method, made.means
    dw = problem.p_cells.dw_min
    name = "W" if method.direct else "P"
    return [
        quantity("pulse_worth", dw * loop.response, "weight units", "what one pulse moves a cell at its SP"),
        quantity("states", problem.p_cells.device.states, "1", "nominal range over granularity"),
        quantity("pulses_start", method.alpha * loop.size_start / dw, "pulses/step",
                  f"pulses on a cell of {name}, alpha E|g| / dw_min, at W = 0"),
        quantity("pulses_optimum", method.alpha * loop.size_rest / dw, "pulses/step",
                  "the same at the optimum, where the gradient is noise"),
    ]  # fmt: skip


def _chain(made: MethodPrediction) -> list[Quantity]:
    """Loop, chopper and filter."""
    method, loop = made.method, made.means
    out = [
        quantity("loop_pole", loop.pole, "1", "a = 1 - alpha E|g| G' at the optimum, mean of the cells"),
        quantity("loop_pole_worst", loop.pole_worst, "1", "the same, fastest cell, larger gradient"),
        quantity("loop_pole_residual", loop.pole_residual, "1",
                  "that less alpha q0 gamma h: feedback through the gradient, largest curvature h"),
        quantity("loop_time", _time(loop.pole), "steps", "time constant -1/ln|a| of the drift to the SP"),
        quantity("p_rms" if not method.direct else "w_rms", float(np.sqrt(loop.variance)),
                  "weight units", "rms of the pulsed array around its SP, at the optimum"),
    ]  # fmt: skip
    if method.chopper is not None:
        out.append(
            quantity("chopper_period", 2 * made.flip_steps, "steps", "mean length of a + and a - half")
        )
    if method.observer is not None:
        out.append(quantity("observer_memory", _ratio(1.0, method.eta), "steps",
                             "1/eta, after which the observer has forgotten"))  # fmt: skip
        return out + _observer(made)
    if _filters(method):
        out += _filter(made)
    return out


def _filter(made: MethodPrediction) -> list[Quantity]:
    """Reference filter: time, noise, the chopper's power that it passes, error at the optimum."""
    out = [quantity("filter_time", _ratio(made.every, made.rate), "steps",
                     "1/eta; of any other filter its delay and a read, in steps")]  # fmt: skip
    try:
        noise = made.noise_rms if abs(made.means.pole) < 1 else None
        passed = made.passed_fraction
    except (ConvergenceError, ParameterError):
        return out
    if noise is not None:
        out.append(quantity("reference_rms", noise, "weight units",
                             "rms of Q around the SP from noise alone"))  # fmt: skip
    if made.reference.mse is not None:
        out.append(quantity("reference_error", float(np.sqrt(made.reference.mse)), "weight units",
                             "rms error of Q, W at its optimum: noise, reads, bias"))  # fmt: skip
    if made.method.chopper is not None:
        out.append(quantity("chopped_fraction", passed, "1",
                             "share of the chopper's power that the filter passes"))  # fmt: skip
    return out


def _moving(made: MethodPrediction) -> list[Quantity]:
    """Error due to drifting symmetric points; boxcars taken for moving averages of the same delay."""
    rates, method, loop = made.problem.p_cells.drift, made.method, made.means
    if rates is None or not method.moving or not (0 < made.rate < 1 and abs(loop.pole) < 1):
        return []
    gain = (
        observer_gain(made.rate, every=made.every)
        if method.observer is not None
        else moving_gain(loop.pole, made.rate, every=made.every)
    )
    pulses = method.alpha * loop.size_rest / made.problem.p_cells.dw_min
    mean, variance = gain.error(rates.per_step + pulses * rates.per_pulse, rates.walk)
    size = float(np.mean(rates.per_step + pulses * rates.per_pulse))
    return [
        quantity("drift", size, "weight units/step", "mean move of the SP per step, by time and pulses"),
        quantity("reference_lag", float(gain.lag), "steps", "how old what Q says of a moving SP is"),
        quantity("drift_rms", float(np.sqrt(np.mean(mean**2 + variance))), "weight units",
                  "rms of Q around the SP from drift alone, lag and random walk"),
    ]  # fmt: skip


def _observer(predicted: MethodPrediction) -> list[Quantity]:
    """Error of an input-aware observer after the run at the optimum, and how often to read."""
    made = predicted.observer
    if made.error is None:
        return [quantity("observer_rms", made.rms, "weight units",
                          "rms error of the SP: no drive at the optimum, the prior alone")]  # fmt: skip
    return [
        quantity("reads_per_step", 1 / made.every, "1/step", "reads of a cell"),
        quantity("observer_rms", made.rms, "weight units",
                  "rms error of the SP from pulses and reads at the optimum, prior included"),
        quantity("observer_prior_fraction", made.prior_fraction, "1",
                  "part of the information on the SP that is the prior's"),
        quantity("observer_pulses", made.error.pulses, "pulses", "pulses that the observer remembers"),
        quantity("observer_reading", made.error.read_part, "1", "variance from reads over that from pulses"),
        quantity("observer_decay", made.error.decay, "1", "way back to the SP between two reads"),
        quantity("observer_every", made.advised, "steps", "steps between reads that the rule advises"),
    ]  # fmt: skip


def _observer_warnings(values: Mapping[str, float | None]) -> list[str]:
    if "observer_prior_fraction" not in values:
        return ["no excitation: no drive at the optimum, the observer says what its prior says"]
    out, advised = [], values["observer_every"] or 1.0
    names = ("prior_fraction", "reading", "decay")
    prior, reading, decay = (values[f"observer_{name}"] or 0.0 for name in names)
    if prior > MAX_PRIOR:
        out.append(f"no excitation: {100 * prior:.0f} % of what the observer says is its prior")
    if reading > MAX_READING:
        out.append(f"read noise adds {reading:.2g} times the variance of the pulses: read every "
                   f"{advised:.0f} steps")  # fmt: skip
    if decay > 2 * MAX_DECAY:
        most = max(1.0, MAX_DECAY / decay / (values["reads_per_step"] or 1.0))
        out.append(f"reads too rare: {decay:.2g} times the way back to the SP between two: read every "
                   f"{most:.0f} steps")  # fmt: skip
    return out


def _transfer(made: MethodPrediction) -> list[Quantity]:
    problem, method, loop, interval = made.problem, made.method, made.means, made.every
    dw, t = problem.p_cells.dw_min, method.transfer
    buffered = t.threshold > 0
    gain = method.beta / interval * (problem.w_cells.dw_min / t.threshold if buffered else 1.0)
    signal = method.alpha * loop.response * made.demodulated_gain
    rate = None if method.sync else gain * signal
    size = gain * np.sqrt(2 * loop.variance / np.pi)
    out = [
        quantity("transfer_interval", interval, "steps", "steps between transfers of a cell"),
        quantity("weight_rate", rate, "1/step", "rate at which W descends the gradient, through P"),
        quantity("pulses_transfer", size / problem.w_cells.dw_min, "pulses/step",
                  "pulses on a cell of W at the optimum, where P - R is noise"),
    ]  # fmt: skip
    if buffered:
        start = _signal(problem, signal)
        displacement = _ratio(t.threshold, method.beta)
        out += [
            quantity("threshold", t.threshold, "weight units", "buffer content that sends a pulse"),
            quantity("threshold_displacement", displacement, "weight units",
                      "P - R that sends one pulse at a single transfer"),
            quantity("threshold_pulses", displacement / (dw * loop.response), "pulses",
                      "the same in pulses on P"),
            quantity("threshold_transfers", _ratio(displacement, start), "transfers",
                      "transfers until a pulse, from the mean gradient at W = 0"),
        ]  # fmt: skip
    if method.moving:
        renewal = interval if method.sync else made.flip_steps
        out.append(
            quantity("programs", _ratio(1.0, renewal), "1/step",
                      "renewals per cell of an analog copy of the reference; none if subtracted digitally")
        )  # fmt: skip
    return out


def _premise(problem: Problem) -> list[Quantity]:
    """Premise of T3.7 on the gradient at every step and element, and where it can be met."""
    if not curvatures(problem)[0] > 0:
        return []
    premise = problem_premise(problem)
    start = mean_gradient(problem, np.zeros(len(problem.optimum))).reshape(problem.p_cells.shape)
    return [
        quantity("premise_level", float(np.median(premise.level)), "gradient",
                  "C*, what T3.7 asks E|g| to be at least at every step and weight; median"),
        quantity("premise_optimum", float(mean_size(0.0, problem.gradient_noise)), "gradient",
                  "E|g| at the optimum, where the gradient is noise"),
        quantity("premise_start", float(premise.met(start).mean()), "1",
                  "share of weights that meet C* at W = 0"),
        quantity("premise_distance", premise.least_distance, "weight units",
                  "rms distance of W from the optimum within which some weight misses C*"),
    ]  # fmt: skip


def _signal(problem: Problem, rate: float) -> float:
    """Displacement of P from its SP by the gradient at W = 0, rms over cells, at most the nominal range."""
    response = problem.p_cells.device.response
    size = float(np.sqrt(np.mean(mean_gradient(problem, np.zeros(len(problem.optimum))) ** 2)))
    return min(rate * size, response.w_max - response.w_min)


def _warnings(values: Mapping[str, float | None], method: Method, transfers: int) -> list[str]:
    if values["loop_pole"] is None:
        return ["no symmetric point: no cell of the device has one inside its bounds, nothing can be tracked"]
    out = []
    for name in ("loop_pole_worst", "loop_pole_residual"):
        pole = values[name] or 0.0
        if abs(pole) >= 1:
            out.append(f"unstable pole: {name} = {pole:.3g}; stability needs |a| < 1")
            break
    pulses = values["pulses_optimum"] or values["pulses_start"] or 0.0
    if pulses < 1:
        out.append(f"drive below one pulse: {pulses:.2g} pulses a step, most steps send none")
    if method.observer is not None:
        out += _observer_warnings(values)
    if _filters(method) and method.chopper is None and not method.sync:
        out.append("reference never renewed: no chopper flips, and sync is false")
    if _filters(method) and method.chopper is None:
        out.append("filter reference without a chopper: W - (beta/eta) Q is conserved by an ideal W, so W "
                   "cannot reach the optimum and Q the symmetric point")  # fmt: skip
        out += _premise_warning(values)
    fraction = values.get("chopped_fraction") or 0.0
    if fraction > FAST_FILTER:
        out.append(f"filter faster than the chopper: {100 * fraction:.0f} % of the chopper's power passes "
                   "(lower eta or raise p)")  # fmt: skip
    if "threshold_transfers" in values:
        needed = values["threshold_transfers"]
        if needed is None or needed > transfers:
            wanted = "no number of" if needed is None else f"{needed:.3g}"
            out.append(f"buffer never reaches its threshold: {wanted} transfers for a pulse, of {transfers}")
    return out


def _premise_warning(values: Mapping[str, float | None]) -> list[str]:
    """Whether RIDER's theorem speaks of this problem; nothing if the loss has no optimum."""
    if "premise_start" not in values:
        return []
    if not values["premise_optimum"]:
        return ["premise of T3.7 ends at the optimum: without noise E|g| falls below any C* > 0 there"]
    level, fraction = values["premise_level"], 100 * (values["premise_start"] or 0.0)
    wanted = "no finite C*" if level is None else f"E|g| >= {level:.3g} (median)"
    return [f"premise of T3.7 cannot hold: {wanted} asked, {values['premise_optimum']:.3g} at the optimum; "
            f"{fraction:.0f} % of the weights meet it at W = 0"]  # fmt: skip


def _filters(method: Method) -> bool:
    """Whether the reference is a filter of the reads alone: what T3.7 and its relatives speak of."""
    return method.filter is not None


def _time(pole: float) -> float | None:
    return None if not 0 < abs(pole) < 1 else float(-1 / np.log(abs(pole)))


def _ratio(a: float, b: float) -> float:
    return a / b if b else float("inf")
