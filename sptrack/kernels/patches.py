"""Patches of images, as vectors that go through the array of a convolution, and back."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sptrack.kernels._jit import disjoint_tile, inline, kernel

Array = NDArray[Any]


class Steps(NamedTuple):
    """Sides of a convolution: kernel, distance of its points, distance of its places; rows, then columns."""

    kernel: tuple[int, int]
    dilation: tuple[int, int]
    stride: tuple[int, int]


@inline
def _offsets(shape: Any, steps: Any, offsets: Any) -> None:
    """Pixels of a patch, channel by channel, row by row, counted from its first one."""
    (down, across), (dilate_down, dilate_across), _ = steps
    k = 0
    for channel in range(shape[1]):
        for i in range(down):
            line = (channel * shape[2] + i * dilate_down) * shape[3]
            for j in range(across):
                offsets[k] = line + j * dilate_across
                k += 1


@disjoint_tile
def _copy(pixels: Any, first: Any, offsets: Any, patch: Any) -> None:
    for k in range(np.uint64(len(offsets))):
        patch[k] = pixels[np.uint64(first) + np.uint64(offsets[k])]


@disjoint_tile
def _add(patch: Any, first: Any, offsets: Any, pixels: Any) -> None:
    for k in range(np.uint64(len(offsets))):
        pixels[np.uint64(first) + np.uint64(offsets[k])] += patch[k]


@kernel
def gather(images: Array, steps: Steps, places: Any, patches: Array) -> None:
    """Copy the patches of ``images`` [n, channels, ...] at ``places`` (rows, columns) to ``patches``.

    ``patches`` [n rows columns, channels kernel] (float32) holds a patch channel by channel, row by row.
    """
    offsets = np.empty(patches.shape[1], np.uint32)
    _offsets(images.shape, steps, offsets)
    rows, columns = places
    at = 0
    for one in range(images.shape[0]):
        pixels = images[one].reshape(-1)
        for row in range(rows):
            for column in range(columns):
                first = row * steps.stride[0] * images.shape[3] + column * steps.stride[1]
                _copy(pixels, first, offsets, patches[at])
                at += 1


@kernel
def scatter(patches: Array, steps: Steps, places: Any, images: Array) -> None:
    """Add what `gather` copied back to where it came from: the transpose of it.

    Places are taken backwards, so that what a pixel gets is added in the order of the points of the kernel.
    """
    offsets = np.empty(patches.shape[1], np.uint32)
    _offsets(images.shape, steps, offsets)
    rows, columns = places
    at = len(patches)
    for one in range(images.shape[0] - 1, -1, -1):
        pixels = images[one].reshape(-1)
        for row in range(rows - 1, -1, -1):
            for column in range(columns - 1, -1, -1):
                at -= 1
                first = row * steps.stride[0] * images.shape[3] + column * steps.stride[1]
                _add(patches[at], first, offsets, pixels)
