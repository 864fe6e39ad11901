"""Counter-based random numbers: Philox4x32-10 and Box-Muller normals in float32.

A draw is a pure function of key and counter. The key is a hash of the root seed and the name of the stream;
the counter is (block, event, cell, array) and gives four 32-bit words. Nothing depends on how the work was
cut or shared.

Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC
2011.
"""

import hashlib
import math
from typing import Any, NamedTuple

import numpy as np

from sptrack.kernels._jit import disjoint_tile, inline, kernel, tile_function
from sptrack.kernels.elementary import log32

_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
_WEYL_0 = np.uint64(0x9E3779B9)
_WEYL_1 = np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HIGH_SHIFT = np.uint64(32)

_TO_UNIT = np.float32(2.0**-32)
_HALF_UNIT = np.float32(2.0**-33)
_MINUS_TWO = np.float32(-2.0)
# sin(2 pi t) / t and cos(2 pi t) as polynomials in t**2 on |t| <= 1/2: both within 7e-7 in float32
_S0, _S1, _S2 = np.float32(6.28318492), np.float32(-41.3415892), np.float32(81.5999433)
_S3, _S4, _S5 = np.float32(-76.6144725), np.float32(41.3428824), np.float32(-12.4712435)
_C0, _C1, _C2, _C3 = np.float32(1.0), np.float32(-19.7392045), np.float32(64.9391175), np.float32(-85.4501395)
_C4, _C5, _C6 = np.float32(60.167631), np.float32(-25.9675993), np.float32(6.52865816)


TILE = 256
"""Cells that kernels work on at a time: their scratch stays in the first cache."""


class Key(NamedTuple):
    """Philox key of one named stream: two 32-bit words."""

    low: np.uint32
    high: np.uint32


class Draws(NamedTuple):
    """Where random numbers of an operation come from: keys of noise and coin, array and event number."""

    noise: Key
    coin: Key
    array: np.uint32
    event: np.uint32


def stream_key(seed: int, stream: str) -> Key:
    """Key of the stream ``stream`` below the root seed ``seed`` (first 64 bits of a SHA-256 of both)."""
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    return Key(
        np.uint32(int.from_bytes(digest[:4], "little")), np.uint32(int.from_bytes(digest[4:8], "little"))
    )


@inline
def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Four 32-bit words (uint32) of Philox4x32-10 at counter (c0, c1, c2, c3) under key (k0, k1).

    Words travel in 64-bit lanes: the widening multiplication is one vector instruction there.
    """
    x0, x1, x2, x3 = np.uint64(c0), np.uint64(c1), np.uint64(c2), np.uint64(c3)
    key_0, key_1 = np.uint64(k0), np.uint64(k1)
    for _ in range(10):
        product_0 = _MULTIPLIER_0 * (x0 & _LOW)
        product_1 = _MULTIPLIER_1 * (x2 & _LOW)
        x0 = (product_1 >> _HIGH_SHIFT) ^ x1 ^ key_0
        x2 = (product_0 >> _HIGH_SHIFT) ^ x3 ^ key_1
        x1 = product_1 & _LOW
        x3 = product_0 & _LOW
        key_0 = (key_0 + _WEYL_0) & _LOW
        key_1 = (key_1 + _WEYL_1) & _LOW
    return np.uint32(x0 & _LOW), np.uint32(x1), np.uint32(x2 & _LOW), np.uint32(x3)


def words_of(block: Any, event: Any, cell: Any, array: Any, key: Key) -> Any:
    """`philox` of arrays of counters in numpy, nothing compiled: four uint32 arrays of their common shape."""
    body = getattr(philox, "py_func", philox)
    counter = (np.asarray(one, np.uint64) for one in (block, event, cell, array))
    return body(*counter, np.asarray(key.low), np.asarray(key.high))


@inline
def unit(word: Any) -> Any:
    """A 32-bit word as a float32 in (0, 1]: (word + 1/2) 2**-32, rounded (1 with probability 2**-25)."""
    return np.float32(word) * _TO_UNIT + _HALF_UNIT


@inline
def box_muller(radius_word: Any, angle_word: Any) -> Any:
    """Two independent standard normals (float32) from two 32-bit words; |z| <= 6.77."""
    radius = math.sqrt(_MINUS_TWO * log32(unit(radius_word)))
    turn = np.float32(np.uint32(angle_word).view(np.int32)) * _TO_UNIT
    u = turn * turn
    sine = turn * (_S0 + u * (_S1 + u * (_S2 + u * (_S3 + u * (_S4 + u * _S5)))))
    cosine = _C0 + u * (_C1 + u * (_C2 + u * (_C3 + u * (_C4 + u * (_C5 + u * _C6)))))
    return radius * cosine, radius * sine


@disjoint_tile
def draw_words(
    words: Any, first: Any, stop: Any, key: Any, block: Any, event: Any, cell: Any, array: Any
) -> None:
    """The words of counter (block, event, cell[i], array), first <= i < stop, into ``words`` [4, >= stop]."""
    for i in range(np.uint64(first), np.uint64(stop)):
        w0, w1, w2, w3 = philox(block, event, cell[i], array, key.low, key.high)
        words[0, i] = w0
        words[1, i] = w1
        words[2, i] = w2
        words[3, i] = w3


@disjoint_tile
def draw_normals(z: Any, words: Any, first: Any, stop: Any, pair: Any) -> None:
    """Normals z[2 pair] and z[2 pair + 1] of first <= i < stop from the same rows of ``words``."""
    radius, angle, even, odd = words[2 * pair], words[2 * pair + 1], z[2 * pair], z[2 * pair + 1]
    for i in range(np.uint64(first), np.uint64(stop)):
        a, b = box_muller(radius[i], angle[i])
        even[i] = a
        odd[i] = b


@inline
def words_tile(words: Any, n: Any, key: Any, block: Any, event: Any, cell: Any, array: Any) -> None:
    """The words of counter (block, event, cell[i], array) for i < n into ``words`` [4, >= n] (uint32)."""
    draw_words(words, 0, n, key, block, event, cell, array)


@inline
def normals_tile(z: Any, words: Any, n: Any, pair: Any) -> None:
    """Normals ``z`` [4, >= n] (float32): rows 2 pair and 2 pair + 1 from the same rows of ``words``."""
    draw_normals(z, words, 0, n, pair)


@tile_function
def renew_normals(z: Any, words: Any, n: Any, key: Any, event: Any, cell: Any, array: Any) -> None:
    """Normals ``z`` [4, >= n] of the four events that share a counter with ``event``: row ``event & 3``."""
    words_tile(words, n, key, np.uint32(event >> 2), np.uint32(0), cell, array)
    normals_tile(z, words, n, 0)
    normals_tile(z, words, n, 1)


@kernel
def step_normals(z: Any, words: Any, key: Any, step: int, cell: Any) -> None:
    """`renew_normals` of array 0 for all of ``z`` [4, n]: row ``step & 3`` is that of a step."""
    renew_normals(z, words, z.shape[1], key, step, cell, np.uint32(0))


@kernel
def fill_normals(out: Any, key: Any, event: Any) -> None:
    """Standard normals, number i a function of key, event and i alone, into ``out`` [n] (float32)."""
    words = np.empty((4, 256), np.uint32)
    z = np.empty((4, 256), np.float32)
    index = np.empty(256, np.uint32)
    for start in range(0, out.shape[0], 1024):
        for i in range(256):
            index[i] = np.uint32(start // 4 + i)
        words_tile(words, 256, key, np.uint32(0), event, index, np.uint32(0))
        normals_tile(z, words, 256, 0)
        normals_tile(z, words, 256, 1)
        for i in range(min(1024, out.shape[0] - start)):
            out[start + i] = z[i & 3, i >> 2]


@kernel
def fill_uniforms(out: Any, key: Any, event: Any) -> None:
    """Uniform numbers in (0, 1], number i a function of key, event and i, into ``out`` [n] (float32)."""
    for i in range(out.shape[0]):
        w0, _, _, _ = philox(np.uint32(0), event, np.uint32(i), np.uint32(0), key.low, key.high)
        out[i] = unit(w0)
