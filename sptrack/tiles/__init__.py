"""Tiles of analog training: arrays under mini-batches, converters, algorithms. Needs no deep learning library."""

from sptrack.tiles.array import TileArray
from sptrack.tiles.io import IDEAL_IO, AnalogIO, Port
from sptrack.tiles.settings import ALGORITHMS, TileSettings, algorithm
from sptrack.tiles.tile import Tile

__all__ = ["ALGORITHMS", "IDEAL_IO", "AnalogIO", "Port", "Tile", "TileArray", "TileSettings", "algorithm"]
