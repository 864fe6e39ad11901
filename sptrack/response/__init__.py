"""How chopper, cells and filter respond, predicted beside measured: noise and bias, spectra, tones.

Above both simulation and theory.
"""

from sptrack.response.chain import ChainResponse, respond
from sptrack.response.open_loop import OpenLoop, Record, best_filter, final_weights

__all__ = ["ChainResponse", "OpenLoop", "Record", "best_filter", "final_weights", "respond"]
