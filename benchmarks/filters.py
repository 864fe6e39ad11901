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
    "EMA": lambda x: signal.lfilter(np.float32([ETA]), np.float32([1, ETA - 1]), x, axis=0),
    "order-4 SOS": lambda x: signal.sosfilt(_BUTTER.astype(np.float32), x, axis=0),
    "FIR, 32 taps": lambda x: signal.lfilter(_TAPS.astype(np.float32), np.float32([1]), x, axis=0),
}
TARGETS = {"EMA": 30.0, "order-4 SOS": 15.0}
"""Times as fast as scipy in the same run."""


def samples():
    """White noise, shape [SAMPLES, CELLS], float32."""
    return np.random.default_rng(1).standard_normal((SAMPLES, CELLS), dtype=np.float32)


class Filters:
    """A stretch of float32 samples of many cells through one block."""

    param_names = ("block",)
    params = (tuple(BLOCKS),)

    def setup(self, name):
        self.x = samples()
        BLOCKS[name].process(self.x[:2])

    def time_process(self, name):
        BLOCKS[name].process(self.x)


class AgainstScipy:
    """How many times faster than scipy's function over axis 0, float32 in both; best of five."""

    param_names = ("block",)
    params = (tuple(SCIPY),)
    unit = "times"

    def setup(self, name):
        self.x = samples()
        BLOCKS[name].process(self.x[:2])

    def track_ratio(self, name):
        ours, _ = best_time(lambda: BLOCKS[name].process(self.x), 5)
        theirs, _ = best_time(lambda: SCIPY[name](self.x), 5)
        return theirs / ours
