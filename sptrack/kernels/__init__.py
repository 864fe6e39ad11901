"""Every compiled function: response laws, random numbers, pulse trains, increments, outer products."""

from sptrack.kernels._cache import CACHE_FOLDER

__all__ = ["CACHE_FOLDER"]
