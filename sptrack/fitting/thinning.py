"""Records longer than a fit needs: fewer readings with the same pulses between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sptrack.errors import ParameterError
from sptrack.fitting._filter import Program
from sptrack.fitting.estimate import speeds
from sptrack.fitting.readings import FEWEST_READINGS, PulseResponse

__all__ = ["MORE", "thinned"]

_STRETCHES = 8
_WINDOWS = 8
_SEEN = 5.0
MORE = 4
"""Times as many readings as wanted, at the most, where fewer do not show the directions of the steps."""


def thinned(response: PulseResponse, most: int) -> PulseResponse:
    """Response with about ``most`` readings at the most.

    Long stretches in one direction keep every m-th reading and the pulses between these, so that about eight
    stretches fit in. What is still too long is cut to eight windows, evenly spaced, each a run with a start
    of its own; these must show steps of five times their standard error. Nothing is averaged: the model of
    the readings stays as it was, and only the errors grow, by about the root of the readings left out where
    reading noise dominates, by less where readings follow each other closely.

    Parameters
    ----------
    response : PulseResponse
        Readings of one cell.
    most : int
        Largest number of readings; four times as many where fewer do not show the directions of the
        steps.

    Raises
    ------
    ParameterError
        Even these do not show them.
    """
    if response.readings.size <= most:
        return response
    shorter = _every(response, most)
    if shorter.readings.size <= 1.1 * most:
        return shorter
    reason = ""
    for part in (most, MORE * most):
        try:
            cut = _windows(shorter, part)
        except ParameterError as error:
            reason = str(error)
            continue
        if steps_are_seen(cut):
            return cut
        reason = f"{response.label}steps are lost in the noise"
    raise ParameterError(
        f"{reason}; steps too small to be seen in {part:,} of {response.readings.size:,} readings: "
        "give more pulses in one direction between readings"
    )


def steps_are_seen(response: PulseResponse) -> bool:
    """Whether the mean steps of the runs of a response are larger than five standard errors of their mean."""
    program = response.program
    count = int(program.runs[-1]) + 1
    steps = []
    for run in range(count):
        part = program.runs == run
        steps.append(
            speeds(Program(program.pulses[part], program.runs[part] - run), response.readings[None, part])[0]
        )
    if count == 1:
        return True
    error = np.std(steps, axis=0, ddof=1) / np.sqrt(count)
    return bool(np.all(np.mean(steps, axis=0) > _SEEN * error))


def _every(response: PulseResponse, most: int) -> PulseResponse:
    """Response with every m-th reading of each stretch in one direction, the last of each kept."""
    runs, pulses = np.asarray(response.runs), np.asarray(response.pulses)
    sign = np.sign(pulses)
    new = np.r_[True, (runs[1:] != runs[:-1]) | (sign[1:] != sign[:-1])]
    starts = np.flatnonzero(new)
    lengths = np.diff(np.append(starts, pulses.size))
    target = most / min(_STRETCHES, starts.size)
    step = int(np.ceil(np.median(lengths) / target))
    if step < 2:
        return response
    behind = np.repeat(starts + lengths - 1, lengths) - np.arange(pulses.size)
    first = np.r_[True, runs[1:] != runs[:-1]]
    keep = (behind % step == 0) | first
    total = np.cumsum(np.abs(pulses))
    kept = np.flatnonzero(keep)
    moved = np.diff(total[kept], prepend=0) * sign[kept]
    return replace(
        response,
        readings=response.readings[kept],
        pulses=moved,
        runs=runs[kept],
        rows=np.asarray(response.rows)[kept],
    )


def _windows(response: PulseResponse, most: int) -> PulseResponse:
    """Evenly spaced windows of a response; fewer and longer ones until both directions stand in them."""
    size = response.readings.size
    if size <= most:
        return response
    for count in range(_WINDOWS, 0, -1):
        length = most // count
        edges = np.linspace(0, size - length, count).astype(np.intp)
        kept = np.concatenate([np.arange(edge, edge + length) for edge in edges])
        part = np.repeat(np.arange(count), length)
        runs = np.asarray(response.runs)[kept]
        code = np.cumsum(np.r_[False, (part[1:] != part[:-1]) | (runs[1:] != runs[:-1])])
        pulses = np.asarray(response.pulses)[kept]
        seen = ~np.isnan(response.readings[kept])
        if min(np.sum(seen & (pulses > 0)), np.sum(seen & (pulses < 0))) >= FEWEST_READINGS:
            break
    return replace(
        response,
        readings=response.readings[kept],
        pulses=pulses,
        runs=code,
        rows=np.asarray(response.rows)[kept],
    )
