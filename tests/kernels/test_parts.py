"""Functions that only kernels call: machine code within their callers, of their own only by address."""

import numba
import numpy as np
import pytest

from sptrack.kernels._jit import disjoint_tile, inline, tile_function
from sptrack.kernels.pointers import address, call

pytestmark = pytest.mark.compiled
TYPES = (numba.float64[::1], numba.float64)


def scale(x, factor):
    for i in range(x.shape[0]):
        x[i] *= factor


@pytest.mark.parametrize("decorator", [inline, tile_function, disjoint_tile])
def test_a_part_works_within_its_callers_without_machine_code_of_its_own(decorator):
    part = decorator(scale)

    @numba.njit
    def twice(x):
        part(x, 3.0)
        part(x, -0.5)

    x = np.arange(5.0)
    twice(x)
    np.testing.assert_array_equal(x, -1.5 * np.arange(5.0))
    (made,) = part.overloads.values()
    assert not made.library._compiled
    assert made.library.get_pointer_to_function("a name of another") == 0
    assert not made.library._compiled


@pytest.mark.parametrize("decorator", [tile_function, disjoint_tile])
def test_a_part_called_by_address_is_the_same_function(decorator):
    part = decorator(scale)
    place = address(part, *TYPES, cached=False)

    @numba.njit
    def both(x, place):
        part(x, 3.0)
        call(place, (x, 2.0))

    x = np.arange(5.0)
    both(x, place)
    np.testing.assert_array_equal(x, 6.0 * np.arange(5.0))
    (made,) = part.overloads.values()
    assert made.library._compiled
