"""Every compiled function: response laws, random numbers, pulse trains, increments, outer products."""

from sptrack.kernels._jit import CACHE_FOLDER

__all__ = ["CACHE_FOLDER"]
