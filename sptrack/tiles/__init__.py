"""Tiles of analog training, without a deep learning library: arrays, converters, algorithms."""

from sptrack.tiles.array import TileArray
from sptrack.tiles.io import IDEAL_IO, AnalogIO, Port
from sptrack.tiles.settings import ALGORITHMS, TileSettings, algorithm
from sptrack.tiles.tile import Tile

__all__ = ["ALGORITHMS", "IDEAL_IO", "AnalogIO", "Port", "Tile", "TileArray", "TileSettings", "algorithm"]
