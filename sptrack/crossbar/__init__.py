"""The array: cells, weights, pulse ledger; pulse trains, requested weight changes, rank-1 updates, reads."""

from sptrack.crossbar.array import Block, Crossbar
from sptrack.crossbar.ledger import Ledger
from sptrack.crossbar.outer import PulseScheme
from sptrack.crossbar.pair import OneSidedPair
from sptrack.crossbar.protocol import PulsedArray

__all__ = ["Block", "Crossbar", "Ledger", "OneSidedPair", "PulseScheme", "PulsedArray"]
