import math

import numpy as np
import pytest
from scipy import stats

from sptrack.kernels.random import fill_normals, fill_uniforms, philox, stream_key, unit

KEY = stream_key(7, "test")


def law(function):
    """The Python of a function that only kernels call."""
    return getattr(function, "py_func", function)


def normals(count, key=KEY, event=0):
    out = np.empty(count, np.float32)
    fill_normals(out, key, np.uint32(event))
    return out


# Known answers of Philox4x32-10: Random123 1.09, kat_vectors.
@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_known_answers(counter, key, words):
    got = law(philox)(*(np.uint32(c) for c in counter), *(np.uint32(k) for k in key))
    assert tuple(int(word) for word in got) == words


def test_the_ends_of_the_words_stay_finite():
    assert law(unit)(np.uint32(0)) == np.float32(2.0**-33)
    assert law(unit)(np.uint32(0xFFFFFFFF)) == 1.0


def test_keys_depend_on_seed_and_stream():
    assert len({stream_key(s, n) for s in (0, 1, 11) for n in ("a", "b", "1/a")}) == 9
    assert stream_key(3, "a") == stream_key(3, "a")


def test_a_draw_does_not_depend_on_how_many_are_made():
    whole = normals(3000)
    np.testing.assert_array_equal(normals(1025), whole[:1025])
    np.testing.assert_array_equal(normals(1), whole[:1])


def test_normals_of_known_words():
    """Draw 0 and 1 are Box and Muller's pair of the first two words, in float64 here."""
    counter = (np.uint32(0), np.uint32(5), np.uint32(0), np.uint32(0))
    w = [int(v) for v in law(philox)(*counter, KEY.low, KEY.high)]
    expected = []
    for first, second in ((w[0], w[1]), (w[2], w[3])):
        radius = math.sqrt(-2.0 * math.log((first + 0.5) * 2.0**-32))
        angle = 2.0 * math.pi * second * 2.0**-32
        expected += [radius * math.cos(angle), radius * math.sin(angle)]
    np.testing.assert_allclose(normals(4, event=5), expected, atol=5e-6)


@pytest.mark.compiled
def test_moments_and_distribution_of_ten_million_normals():
    """n = 1e7. Sigma of the raw moments 1 to 4: sqrt((m_2k - m_k^2)/n), m_2k = 1, 3, 15, 105; within 4."""
    n = 10_000_000
    z = normals(n).astype(np.float64)
    truth = [0.0, 1.0, 0.0, 3.0]
    sigma = np.sqrt(np.array([1.0, 2.0, 15.0, 96.0]) / n)
    powers, moments = np.ones(n), []
    for _ in range(4):
        powers *= z
        moments.append(powers.mean())
    assert np.all(np.abs(np.array(moments) - truth) < 4.0 * sigma)
    z.sort()
    distance = np.abs(stats.norm.cdf(z) - (np.arange(n) + 0.5) / n).max() + 0.5 / n
    assert distance * math.sqrt(n) < 1.95  # Kolmogorov's statistic: above it with probability 1e-3


@pytest.mark.compiled
@pytest.mark.slow
def test_tail_of_a_hundred_million_normals():
    """P(|z| > 4) = 6.334e-5: 6334 expected in 1e8 draws, sigma 1.3 %; asked: 5 %."""
    block, beyond = 10_000_000, 0
    for event in range(10):
        beyond += int(np.count_nonzero(np.abs(normals(block, event=event)) > 4.0))
    assert beyond / (10 * block) == pytest.approx(2.0 * stats.norm.sf(4.0), rel=0.05)


@pytest.mark.compiled
def test_uniforms_are_uniform():
    """n = 1e6: Kolmogorov's statistic above 1.95 with probability 1e-3."""
    u = np.empty(1_000_000, np.float32)
    fill_uniforms(u, KEY, np.uint32(0))
    assert u.min() > 0.0
    assert u.max() <= 1.0
    assert stats.kstest(u.astype(np.float64), "uniform").statistic * 1e3 < 1.95


@pytest.mark.compiled
@pytest.mark.parametrize(
    "what", ["next cell", "cells of one tile", "next event", "other stream", "other seed"]
)
def test_draws_are_independent(what):
    """n = 1e6 products of two standard normals have a mean of sigma 1e-3; so have products of their squares
    less 1 with sigma 2e-3. All within 4 sigma.
    """
    n = 1_000_000
    z = normals(n + 1024).astype(np.float64)
    other = {
        "next cell": lambda: z[1 : n + 1],
        "cells of one tile": lambda: z[1024 : n + 1024],
        "next event": lambda: normals(n, event=1),
        "other stream": lambda: normals(n, stream_key(7, "test2")),
        "other seed": lambda: normals(n, stream_key(8, "test")),
    }[what]().astype(np.float64)
    z = z[:n]
    assert abs(np.mean(z * other)) < 4e-3
    assert abs(np.mean((z**2 - 1.0) * (other**2 - 1.0))) < 8e-3
