"""Small runs of everything that the commands run, through the public functions: what `warmup` goes through.

Kernels are compiled for the types that these functions hand them, so no signature is written down here. A new
family, method, calibrator, estimator or block that is listed under its name elsewhere is met by itself.
"""

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from sptrack.blocks import (
    CIC,
    EMA,
    FIR,
    SOS,
    Boxcar,
    Chain,
    Chopper,
    CorrectedEMA,
    Demodulator,
    Fixed,
    GrowingBoxcar,
    Kalman,
    LastSample,
    LockIn,
    MaximumLengthChopper,
    PeriodicChopper,
    PeriodMean,
    SPEstimator,
    SteadyKalman,
)
from sptrack.calibration import METHODS as CALIBRATORS
from sptrack.calibration import calibrator
from sptrack.cli._app import run
from sptrack.crossbar import Crossbar
from sptrack.crossbar.increments import APPLICATIONS, COUNT_LAWS
from sptrack.devices import (
    ConstantStep,
    CycleNoise,
    Device,
    Drift,
    ExpStep,
    LinearStep,
    PiecewiseStep,
    PowStep,
    SoftBounds,
    sample_cells,
)
from sptrack.errors import SptrackError
from sptrack.fitting import FAMILIES
from sptrack.tiles import ALGORITHMS, Tile, algorithm
from sptrack.tracking import METHODS, PROBLEMS, ProblemSettings, Tracker, method, problem
from sptrack.tracking.methods import periodic, telegraph, with_settings
from sptrack.tracking.rated import ESTIMATORS

Run = tuple[str, Callable[[], Any]]

_SHAPE = (4, 4)
_STEPS = 40
_EXPONENTS = {"a": -0.5, "b": -0.5, "A_up": -1.18445, "A_down": -0.081404, "gamma_up": 5.0}
_RESPONSES = (
    ConstantStep(),
    LinearStep(gamma_up=0.5, gamma_down=0.7),
    SoftBounds(),
    ExpStep(gamma_down=5.0, **_EXPONENTS),
    ExpStep(gamma_down=4.0, **_EXPONENTS),
    PowStep(gamma_up=1.4, gamma_down=1.4),
    PowStep(gamma_up=0.7, gamma_down=1.9),
    PiecewiseStep(nodes_up=(1.5, 1.0, 0.1), nodes_down=(0.1, 0.9, 1.6)),
)
_NOISES = (CycleNoise(), CycleNoise(std=0.3, additive=True), CycleNoise(std=0.3, offset=0.1, slope=0.1))
_COMMANDS = (
    "response",
    "explain",
    "budget --steps 400 --seeds 2 --quiet",
    "tune --steps 400 --seeds 2 --trials 2 --finalists 1 --held-out 2 --quiet",
    "verify --device linear --quiet",
)


def small_runs() -> Iterator[Run]:
    """Names of kinds of runs, and functions that run one of each: one thing differs from the defaults."""
    for response in _RESPONSES:
        yield response.family, partial(_array, Device(response=response, dw_min=0.01))
    for noise in _NOISES:
        yield "cycle noise", partial(_array, Device(cycle_noise=noise))
    yield "double precision", partial(_array, Device(), np.float64)
    yield "drift and write noise", _drifting
    for name in CALIBRATORS:
        yield f"calibrator {name}", partial(_calibrate, name)
    for name in METHODS:
        yield f"method {name}", partial(_track, method(name))
    tracked = method("e-rider")
    for name in PROBLEMS:
        yield f"problem {name}", partial(_track, tracked, name)
    for response in _RESPONSES:
        device = Device(response=response, dw_min=0.01)
        yield f"tracking on {response.family}", partial(_allowed, _track, tracked, device=device)
    for law, application in product(COUNT_LAWS, APPLICATIONS):
        yield f"{law}, {application}", partial(_track, tracked, law=law, application=application)
    for name in ESTIMATORS:
        yield f"reference {name}", partial(_allowed, _track, with_settings(tracked, estimator=name))
    for by_column in (False, True):
        for chopper in (telegraph(0.1, by_column=by_column), periodic(7, by_column=by_column)):
            yield f"chopper {chopper}", partial(_allowed, _track, replace(tracked, chopper=chopper))
    yield "fixed-point reference", partial(_track, replace(tracked, bits=8))
    for name in ALGORITHMS:
        yield f"tile under {name}", partial(_tile, name)
    for block, dtype in product(_blocks(), (np.float32, np.float64)):
        yield block.label(), partial(block.process, np.ones((8, 3), dtype))
    for name in FAMILIES:
        yield f"fit {name}", partial(_fit, name)
    for words in _COMMANDS:
        yield words.split()[0], partial(_command, words.split())


def _array(device: Device, dtype: Any = np.float32) -> None:
    cells = sample_cells(device, _SHAPE, dtype=dtype)
    bar = Crossbar(cells, threads=1)
    signs = np.random.default_rng(0).choice([-1, 1], (4, *_SHAPE)).astype(np.int8)
    for program in ("up", "down", "alternating", "random"):
        bar.pulse(program, 4)
        list(bar.stream(program, 4, every=2))
    for directions in (signs, signs[:, 0, 0]):
        bar.pulse(directions)
        list(bar.stream(directions, every=2))
    for law, application in product(COUNT_LAWS, APPLICATIONS):
        _allowed(bar.apply, np.full(_SHAPE, 0.02), law=law, application=application)
    _allowed(bar.update, np.ones(_SHAPE[1]), np.ones(_SHAPE[0]), 0.01)
    bar.read(0.01)
    if not device.one_sided and np.isfinite(cells.target).any():
        cells.symmetric_point.mean()


def _drifting() -> None:
    device = Device(drift=Drift(per_pulse=1e-4, per_step=1e-4, walk=1e-4), write_noise=0.1)
    bar = Crossbar(sample_cells(device, _SHAPE), threads=1)
    bar.pulse("alternating", 4)
    bar.apply(np.full(_SHAPE, 0.02))
    bar.rest(3)
    bar.read()


def _calibrate(name: str) -> None:
    device = Device()
    bar = Crossbar(sample_cells(device, _SHAPE), threads=1)
    calibrator(name, device).calibrate(bar, 2000, read_noise=0.01)


def _track(chosen: Any, kind: str = "quadratic", device: Device | None = None, **options: Any) -> None:
    settings = ProblemSettings(size=4)
    if device is not None:
        settings = replace(settings, device=device)
    tracker = Tracker(problem(kind, settings), chosen, **options)
    tracker.run(_STEPS, samples=1)
    tracker.record(2)


def _tile(name: str) -> None:
    tile = Tile(algorithm(name), Device(dw_min=0.01), _SHAPE)
    x = np.ones((3, _SHAPE[1]), np.float32)
    d = np.ones((3, _SHAPE[0]), np.float32)
    for _ in range(3):
        tile.forward(x)
        tile.backward(d)
        tile.update(x, d, 0.05)
    tile.w_array.pulse_column(0, np.ones(_SHAPE[0], np.int64))


def _blocks() -> Iterator[Any]:
    random = Chopper(p=0.3)
    filters = (
        EMA(eta=0.2),
        EMA(eta=0.3, order=3),
        SOS(sos=np.array([[0.2, 0.2, 0.0, 1.0, -0.6, 0.0]])),
        FIR(taps=np.array([0.5, 0.5])),
        Boxcar(length=5),
        CIC(length=3, order=3),
        SteadyKalman(drift_std=0.1, read_std=0.5),
        CorrectedEMA(eta=0.2),
    )
    choppers = (random, PeriodicChopper(half_period=4), MaximumLengthChopper(register=4))
    yield from filters
    for chopper in choppers:
        yield chopper
        yield Demodulator(chopper=chopper)
        yield LockIn(chopper=chopper)
        yield Chain(chopper, EMA(eta=0.2), Demodulator(chopper=chopper))
    references = (
        Fixed(),
        LastSample(),
        GrowingBoxcar(length=4),
        Kalman(drift_std=0.1, read_std=0.5),
        PeriodMean(eta=0.1),
    )
    for reference in references:
        yield SPEstimator(estimator=reference, chopper=random)


def _fit(family: str) -> None:
    up = np.tanh(np.linspace(-1.0, 1.0, 24))
    rows = "\n".join(f"{a:.6g},{b:.6g}" for a, b in zip(up, up[::-1], strict=True))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cell.csv"
        path.write_text(f"up,down\n{rows}\n", encoding="utf-8")
        _command(["fit", str(path), "--family", family, "--quiet"])


def _command(words: list[str]) -> None:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        _allowed(run, words)


def _allowed(function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Run what not every device or method allows."""
    try:
        function(*arguments, **options)
    except SptrackError:
        return
