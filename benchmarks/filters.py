"""Filters of the signal chain beside scipy's, one thread: asv-style, the ratio as a tracked number."""

import numpy as np
from scipy import signal

from benchmarks.ceiling import best_time
from sptrack.blocks import EMA, FIR, SOS, Boxcar, Chain, Chopper, Demodulator

SAMPLES, CELLS = 10_000, 4096
ETA = 0.01
_BUTTER = signal.butter(4, 0.1, output="sos")
_TAPS = signal.firwin(32, 0.1)

BLOCKS = {
    "EMA": EMA(eta=ETA),
    "order-4 SOS": SOS(sos=_BUTTER),
    "FIR, 32 taps": FIR(taps=_TAPS),
    "boxcar of 100": Boxcar(length=100),
    "chopper, EMA, demodulator": Chain(Chopper(p=0.1), EMA(eta=ETA), Demodulator(chopper=Chopper(p=0.1))),
}
SCIPY = {
    "EMA": lambda x: signal.lfilter(np.array([ETA], x.dtype), np.array([1, ETA - 1], x.dtype), x, axis=0),
    "order-4 SOS": lambda x: signal.sosfilt(_BUTTER.astype(x.dtype), x, axis=0),
    "FIR, 32 taps": lambda x: signal.lfilter(_TAPS.astype(x.dtype), np.ones(1, x.dtype), x, axis=0),
}
PRECISIONS = ("float32", "float64")
TARGETS = {("EMA", "float32"): 15.0, ("order-4 SOS", "float32"): 5.0}
"""Times as fast as scipy in the same run; ours compute in float64 for either precision of the samples."""
REPORTED = tuple((name, precision) for name in ("EMA", "order-4 SOS") for precision in PRECISIONS)


def samples(precision="float32"):
    """White noise, shape [SAMPLES, CELLS]."""
    return np.random.default_rng(1).standard_normal((SAMPLES, CELLS), dtype=np.dtype(precision))


class Filters:
    """A stretch of samples of many cells through one block."""

    param_names = ("block", "precision")
    params = (tuple(BLOCKS), PRECISIONS)

    def setup(self, name, precision):
        self.x = samples(precision)
        BLOCKS[name].process(self.x[:2])

    def time_process(self, name, precision):
        BLOCKS[name].process(self.x)


class AgainstScipy:
    """How many times faster than scipy's function over axis 0 on the same samples; best of five."""

    param_names = ("block", "precision")
    params = (tuple(SCIPY), PRECISIONS)
    unit = "times"

    def setup(self, name, precision):
        self.x = samples(precision)
        BLOCKS[name].process(self.x[:2])

    def track_ratio(self, name, precision):
        ours, _ = best_time(lambda: BLOCKS[name].process(self.x), 5)
        theirs, _ = best_time(lambda: SCIPY[name](self.x), 5)
        return theirs / ours
