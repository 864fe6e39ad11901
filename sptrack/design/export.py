"""A design as files for other commands and other tools."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from scipy.signal import sos2tf, tf2sos

from sptrack.blocks import CIC, EMA, FIR, SOS, Block, Boxcar, Chain, SteadyKalman, TrackingLoop
from sptrack.design.candidates import Candidate
from sptrack.design.specification import Specification
from sptrack.errors import ParameterError
from sptrack.tracking.config import Setup, setup_to_toml

Real = NDArray[np.float64]


def design_to_toml(spec: Specification, chosen: Candidate) -> str:
    """TOML text that `track`, `response` and `explain` read: method, problem, device.

    Filter and chopper are the method's own: its reference and chopper.

    Raises
    ------
    ParameterError
        A device of a user's own functions, which has no form as data.
    """
    setup = Setup(method=chosen.method, settings=spec.problem)
    wanted = ", ".join(f"{name} {value:g}" for name, value in spec.requirements.limits.items())
    return f"# designed for: {wanted}, over {spec.steps} steps\n{setup_to_toml(setup)}"


def transfer_function(chosen: Candidate) -> tuple[Real, Real]:
    """Coefficients b and a of the settled filter, as `scipy.signal.lfilter` takes them.

    Raises
    ------
    ParameterError
        An observer, which is no filter of the reads.
    """
    block = chosen.filter
    if block is None:
        raise ParameterError("an input-aware observer has no transfer function: design a filter instead")
    return _coefficients(block)


def _coefficients(block: Block) -> tuple[Real, Real]:
    if isinstance(block, Chain):
        b = a = np.ones(1)
        for part in block.blocks:
            more_b, more_a = _coefficients(part)
            b, a = np.convolve(b, more_b), np.convolve(a, more_a)
        return b, a
    if isinstance(block, Boxcar | CIC):
        order = block.order if isinstance(block, CIC) else 1
        return _power(np.full(block.length, 1.0 / block.length), order), np.ones(1)
    if isinstance(block, FIR):
        return block.taps, np.ones(1)
    if isinstance(block, EMA | SteadyKalman):
        eta, order = (block.eta, block.order) if isinstance(block, EMA) else (block.gain, 1)
        below = _power(np.array([1.0, eta - 1.0]), order)
        return np.append(eta**order, np.zeros(order)), below
    if isinstance(block, TrackingLoop):
        block = block.sections
    if isinstance(block, SOS):
        b, a = sos2tf(block.sos)
        return b, a
    raise ParameterError(f"{block} has no coefficients b and a: use an EMA, SOS, FIR, boxcar or CIC")


def _power(values: Real, order: int) -> Real:
    """Coefficients of a polynomial to the power ``order``."""
    out = np.ones(1)
    for _ in range(order):
        out = np.convolve(out, values)
    return out


def filter_npz(chosen: Candidate) -> bytes:
    """The filter as a NumPy archive: ``b``, ``a`` and, with poles, ``sos`` [sections, 6] for scipy.signal."""
    b, a = transfer_function(chosen)
    arrays = {"b": b, "a": a}
    if isinstance(chosen.filter, SOS):
        arrays["sos"] = chosen.filter.sos
    elif len(a) > 1:
        arrays["sos"] = tf2sos(b, a)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def filter_csv(chosen: Candidate) -> str:
    """The filter as two columns b, a: what the coefficient tab of pyFDA imports."""
    b, a = transfer_function(chosen)
    padded = np.zeros((max(len(b), len(a)), 2))
    padded[: len(b), 0], padded[: len(a), 1] = b, a
    return "".join(f"{x!r},{y!r}\n" for x, y in padded.tolist())
