"""Certificate of a calibration whose truth nobody knows: a bench, calibrated from both ends of its range."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sptrack.calibration import Calibrator, Estimates
from sptrack.crossbar import PulsedArray
from sptrack.crossbar.protocol import checked_array
from sptrack.errors import ParameterError
from sptrack.evaluation.certificate import check_target
from sptrack.intervals import Interval, summarise

Array = NDArray[np.float64]

_NOTES = (
    "rms_error is half the distance between both calibrations: their mean is nearer to the truth as long as "
    "they err to opposite sides; an error that both share, such as that of a method's model, is not in it",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchCertificate:
    """Result of `certify_bench`, in weight units; lists have one entry per pulse count.

    Attributes
    ----------
    method : str
        Name of the calibrator.
    cells : list of int
        Rows and columns.
    target : float
        Wanted RMS error.
    pulses, reads : list of int
        Pulses and reads per cell of both calibrations together, and of the drives to the ends.
    rms_error, rms_error_ci : list
        RMS over the cells of half the distance between the two estimates, with 95 % intervals over cells.
    mean_offset, mean_offset_ci : list
        Mean of half of (from above - from below): what the start leaves behind.
    met : bool
        Whether the upper end of the last interval is at most the target.
    verdict : str
        One line for a person.
    notes : list of str
        What to know beside it.
    """

    method: str
    cells: list[int]
    target: float
    pulses: list[int]
    reads: list[int]
    rms_error: list[float]
    rms_error_ci: list[Interval]
    mean_offset: list[float]
    mean_offset_ci: list[Interval]
    met: bool
    verdict: str
    notes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BenchCalibration:
    """A certificate, the symmetric points [R, C] (mean of both sides), and both calibrations."""

    certificate: BenchCertificate
    points: Array
    from_above: Estimates
    from_below: Estimates


def certify_bench(
    bench: PulsedArray,
    method: Calibrator,
    pulses: int | Sequence[int],
    *,
    drive: int,
    target: float = 0.02,
    read_noise: float = 0.0,
) -> BenchCalibration:
    """Calibrate a bench from above and from below, and certify the mean of both.

    From the upper end of the range estimates come down to the symmetric point, from the lower end they go up:
    the truth lies between them, and half their distance bounds the error of their mean, noise included.

    Parameters
    ----------
    bench : PulsedArray
        Anything with ``shape``, ``pulse`` and ``read``.
    method : Calibrator
        What finds the symmetric points.
    pulses : int or sequence of int
        Pulse counts of each calibration, rising.
    drive : int
        Up, and later down, pulses that bring every cell to an end of its range; at least 1.
    target : float
        Wanted RMS error, weight units.
    read_noise : float
        Std of the reading noise that a simulated bench is asked for, weight units.

    Returns
    -------
    BenchCalibration

    Raises
    ------
    ParameterError
        A bench that misses a method or answers with a wrong shape or NaN, a drive below 1, a target that is
        not above 0; what the calibrator refuses.
    """
    check_target(target)
    if drive < 1:
        raise ParameterError(f"drive must be at least 1 pulse, got {drive}")
    checked = checked_array(bench)
    sides = []
    for word in ("up", "down"):
        checked.pulse(word, drive)
        sides.append(method.calibrate(checked, pulses, read_noise=read_noise))
    above, below = sides
    half = 0.5 * (np.asarray(above.points, np.float64) - np.asarray(below.points, np.float64))
    found = [summarise(one.ravel(), np.zeros(one.size)) for one in half]
    rms, ends = [one["rms"][0] for one in found], [one["rms"][1] for one in found]
    upper = ends[-1][1] if half[-1].size > 1 else rms[-1]
    sent = [int(a + b + 2 * drive) for a, b in zip(above.pulses, below.pulses, strict=True)]
    met = bool(upper <= target)
    compared = f"{upper:.2g} {'<=' if met else '>'} {target:g}"
    certificate = BenchCertificate(
        method=method.name,
        cells=list(checked.shape),
        target=target,
        pulses=sent,
        reads=[int(a + b) for a, b in zip(above.reads_spent, below.reads_spent, strict=True)],
        rms_error=rms,
        rms_error_ci=ends,
        mean_offset=[one["mean"][0] for one in found],
        mean_offset_ci=[one["mean"][1] for one in found],
        met=met,
        verdict=f"TARGET {'MET' if met else 'MISSED'}  RMS error {compared} after {sent[-1]:,} pulses",
        notes=list(_NOTES),
    )
    points = 0.5 * (np.asarray(above.points[-1], np.float64) + np.asarray(below.points[-1], np.float64))
    return BenchCalibration(certificate=certificate, points=points, from_above=above, from_below=below)
