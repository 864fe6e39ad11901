"""Response of chopper, cells and filter, predicted beside simulated: noise and bias, spectra, tones.

Above both simulation and theory.
"""

from sptrack.response.chain import ChainResponse, respond
from sptrack.response.decimation import ChopperBudget, fold_chopper
from sptrack.response.measures import Digital
from sptrack.response.open_loop import OpenLoop, Record, best_filter, final_weights
from sptrack.response.tones import LoopResponse, measure_loop, tone_loop

__all__ = [
    "ChainResponse",
    "ChopperBudget",
    "Digital",
    "LoopResponse",
    "OpenLoop",
    "Record",
    "best_filter",
    "final_weights",
    "fold_chopper",
    "measure_loop",
    "respond",
    "tone_loop",
]
