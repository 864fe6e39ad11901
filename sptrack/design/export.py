"""A design as files for other commands and other tools."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from sptrack.design.candidates import Candidate, boxcar_length
from sptrack.design.specification import Specification
from sptrack.errors import ParameterError
from sptrack.tracking import ProblemSettings
from sptrack.tracking.config import Setup, setup_to_toml

Real = NDArray[np.float64]


def design_to_toml(spec: Specification, chosen: Candidate) -> str:
    """TOML text that `track`, `response` and `explain` read: method, problem, device.

    Filter and chopper are the method's own: its estimator, eta and chop.

    Raises
    ------
    ParameterError
        A device of a user's own functions, which has no form as data.
    """
    low, high = spec.curvature
    settings = ProblemSettings(
        device=spec.device,
        read_noise=spec.read_noise,
        low=low,
        high=high,
        gradient_noise=float(spec.gradient.over(1)[1][0]),
    )
    setup = Setup(method=chosen.method, settings=settings)
    wanted = ", ".join(f"{name} {value:g}" for name, value in spec.requirements.limits.items())
    return f"# designed for: {wanted}, over {spec.steps} steps\n{setup_to_toml(setup)}"


def transfer_function(chosen: Candidate) -> tuple[Real, Real]:
    """Coefficients b and a of the settled filter, as `scipy.signal.lfilter` takes them.

    Raises
    ------
    ParameterError
        An observer, which is no filter of the reads.
    """
    if chosen.observes:
        raise ParameterError("an input-aware observer has no transfer function: a filter wanted")
    if chosen.setting.estimator == "boxcar":
        length = boxcar_length(chosen.setting.eta)
        return np.full(length, 1.0 / length), np.ones(1)
    eta = chosen.setting.eta
    return np.array([eta, 0.0]), np.array([1.0, eta - 1.0])


def filter_npz(chosen: Candidate) -> bytes:
    """The filter as a NumPy archive: ``b``, ``a`` and, of one with poles, ``sos`` [1, 6] for scipy.signal."""
    b, a = transfer_function(chosen)
    arrays = {"b": b, "a": a}
    if len(a) > 1:
        arrays["sos"] = np.array([[b[0], 0.0, 0.0, 1.0, a[1], 0.0]])
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def filter_csv(chosen: Candidate) -> str:
    """The filter as two columns b, a: what the coefficient tab of pyFDA imports."""
    b, a = transfer_function(chosen)
    padded = np.zeros((max(len(b), len(a)), 2))
    padded[: len(b), 0], padded[: len(a), 1] = b, a
    return "".join(f"{x!r},{y!r}\n" for x, y in padded.tolist())
