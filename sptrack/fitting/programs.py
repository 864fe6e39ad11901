"""Pulse programs: what the user writes, and what the turning points of readings tell."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from sptrack.errors import ParameterError
from sptrack.fitting.texts import quoted

__all__ = ["describe_directions", "directions_of_readings", "parse_program"]

_FORM = 'such as "up:200 down:200 x3 alternating:400"'
_REVERSAL = 0.3
_SWEEP = 0.5
_SNAP = 0.05
_MAX = 10_000_000


def parse_program(text: str) -> NDArray[np.int64]:
    """Directions [N] of a program.

    Parameters
    ----------
    text : str
        Parts ``up:N``, ``down:N``, ``none:N`` (reads without a pulse) and ``alternating:N`` (up, down, up,
        ...); ``xK`` repeats the parts since the last ``xK``, so many times in all.

    Raises
    ------
    ParameterError
        A part that is none of these.
    """
    whole: list[NDArray[np.int64]] = []
    group: list[NDArray[np.int64]] = []
    for part in re.split(r"[\s,;]+", text.strip()):
        times = re.fullmatch(r"[x*×](\d+)", part)
        match = re.fullmatch(r"(up|down|none|read|alternating|alt):(\d+)", part.lower())
        if match is not None:
            kind, count = match[1], int(match[2])
            if sum(one.size for one in whole + group) + count > _MAX:
                raise ParameterError(f"program {quoted(text)}: more than {_MAX} pulses")
            one = np.full(count, {"up": 1, "down": -1}.get(kind, 0), np.int64)
            if kind.startswith("alt"):
                one[0::2], one[1::2] = 1, -1
            group.append(one)
        elif times is not None and group and 1 <= int(times[1]) <= 100_000:
            whole += group * int(times[1])
            group = []
        else:
            raise ParameterError(
                f"program part {quoted(part)} must be up:N, down:N, none:N, alternating:N or xK, {_FORM}"
            )
    made = np.concatenate([*whole, *group])
    if made.size > _MAX:
        raise ParameterError(f"program {quoted(text)}: more than {_MAX} pulses")
    return made


def describe_directions(directions: NDArray[np.int64]) -> str:
    """Program of directions in the form of `parse_program`, at most eight parts."""
    runs = np.split(directions, np.flatnonzero(np.diff(directions)) + 1)
    parts: list[tuple[str, int]] = []
    for run in runs:
        kind = {1: "up", -1: "down"}.get(int(run[0]), "none")
        if run.size == 1 and kind != "none" and parts and parts[-1][0] == "alternating":
            parts[-1] = ("alternating", parts[-1][1] + 1)
        elif run.size == 1 and kind == "down" and parts and parts[-1] == ("up", 1):
            parts[-1] = ("alternating", 2)
        else:
            parts.append((kind, int(run.size)))
    texts = [f"{kind}:{count}" for kind, count in parts]
    for period in range(1, len(texts) // 2 + 1):
        if len(texts) % period == 0 and texts == texts[:period] * (len(texts) // period):
            texts = [*texts[:period], f"x{len(texts) // period}"]
            break
    return " ".join(texts if len(texts) <= 8 else [*texts[:4], f"... ({len(texts)} parts)"])


def directions_of_readings(readings: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """Directions [N] that turning points of readings show; None if there are none.

    A turn is a reversal of the smoothed readings by at least 0.3 of their range (5th to 95th percentile). Its
    place is that of the least squares of a parabola on either side; places that repeat to within 5 % of a
    period that divides the readings are put on its multiples. Parts between turns that do not go over half
    the range are no sweeps: then nothing is found.

    Parameters
    ----------
    readings : array [N]
        Readings of one run; NaN: none.
    """
    seen = np.flatnonzero(np.isfinite(readings))
    if seen.size < 8:
        return None
    values = readings[seen]
    width = max(1, min(seen.size // 40, 9) | 1)
    smooth = np.convolve(np.pad(values, width // 2, mode="edge"), np.ones(width) / width, "valid")
    span = float(np.subtract(*np.percentile(smooth, (95, 5))))
    noise = float(np.std(np.diff(values))) / np.sqrt(2.0 * width)
    if span <= 4.0 * noise:
        return None
    turns = _reversals(smooth, max(_REVERSAL * span, 4.0 * noise))
    bounds = np.array([0, *turns, seen.size])
    places = [_refined(values, *bounds[k : k + 3]) for k in range(bounds.size - 2)]
    cuts = _snapped(np.array(places, np.int64), seen.size)
    edges = np.array([0, *cuts, seen.size])
    if not _are_sweeps(smooth, edges, span):
        return None
    made = np.zeros(seen.size, np.int64)
    first = 1 if smooth[edges[1] - 1] >= smooth[0] else -1
    for k in range(edges.size - 1):
        made[edges[k] : edges[k + 1]] = first * (-1) ** k
    out = np.zeros(readings.size, np.int64)
    following = np.minimum(np.searchsorted(seen, np.arange(readings.size)), seen.size - 1)
    out[:] = made[following]
    return out


def _are_sweeps(smooth: NDArray[np.float64], edges: NDArray[np.int64], span: float) -> bool:
    """Whether the parts between turns go over at least half the range, the last of three or more excepted."""
    parts = [smooth[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]
    moves = [
        abs(part[-max(part.size // 10, 1) :].mean() - part[: max(part.size // 10, 1)].mean())
        for part in parts
    ]
    return all(move >= _SWEEP * span for move in (moves[:-1] if len(moves) > 2 else moves))


def _reversals(smooth: NDArray[np.float64], least: float) -> list[int]:
    """First readings after extrema from which the readings come back by at least ``least``."""
    turns, high, low, trend = [], 0, 0, 0
    for k, value in enumerate(smooth.tolist()):
        if value > smooth[high]:
            high = k
        if value < smooth[low]:
            low = k
        if trend >= 0 and smooth[high] - value >= least:
            if trend > 0:
                turns.append(high + 1)
            trend, low = -1, k
        elif trend <= 0 and value - smooth[low] >= least:
            if trend < 0:
                turns.append(low + 1)
            trend, high = 1, k
    return turns


def _refined(values: NDArray[np.float64], start: int, turn: int, end: int) -> int:
    """Place near ``turn`` at which two parabolas fit best."""
    before, after = max(start, turn - 40), min(end, turn + 40)
    reach = max(2, min(turn - before, after - turn) // 4)
    best, found = np.inf, turn
    for cut in range(max(turn - reach, before + 4), min(turn + reach, after - 4) + 1):
        error = sum(_misfit(values[a:b]) for a, b in ((before, cut), (cut, after)))
        if error < best:
            best, found = error, cut
    return found


def _misfit(part: NDArray[np.float64]) -> float:
    x = np.linspace(-1.0, 1.0, part.size)
    design = np.vander(x, 3)
    left = part - design @ np.linalg.lstsq(design, part, rcond=None)[0]
    return float(left @ left)


def _snapped(cuts: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Cuts on the multiples of a period that divides the readings, if they are near these."""
    parts = cuts.size + 1
    if count % parts == 0 and cuts.size:
        regular = np.arange(1, parts) * (count // parts)
        if np.all(np.abs(cuts - regular) <= max(_SNAP * count / parts, 2.0)):
            return regular
    return cuts
