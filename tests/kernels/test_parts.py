"""Functions that only kernels call: machine code within their callers, of their own only by address."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from numba.core.codegen import JITCodeLibrary
from numba.core.registry import cpu_target

from sptrack.kernels import _parts
from sptrack.kernels._jit import disjoint_tile, inline, inline_optimised, tile_function
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


def library_of(part):
    """Library of a part that a caller has used."""

    @numba.njit
    def thrice(x):
        part(x, 3.0)

    x = np.arange(5.0)
    thrice(x)
    np.testing.assert_array_equal(x, 3.0 * np.arange(5.0))
    (made,) = part.overloads.values()
    return made.library


def lacks(name):
    """A numba in which a method that parts need raises, as one that is gone or has other arguments does."""

    def change(monkeypatch):
        def gone(*arguments):
            raise AttributeError(name)

        monkeypatch.setattr(_parts.Part, name, gone)

    return change


def calls_no(name):
    """A numba that never calls a method that parts override."""
    return lambda monkeypatch: monkeypatch.delattr(_parts.Part, name)


def keeps_the_generator(monkeypatch):
    """A numba that sets environments of functions without asking their library for the code generator."""
    monkeypatch.setattr(_parts.CPUContext, "get_executable", lambda self, library, *rest: None)


def with_another_base(monkeypatch):
    """A numba without libraries as those that parts derive from."""
    monkeypatch.setattr(_parts, "Part", type("Part", (), {}))


OTHERS = [
    *map(lacks, ("_finalize_dynamic_globals", "_ensure_finalized", "get_defined_functions", "_make")),
    *map(calls_no, ("_finalize_final_module", "_get_compiled_object", "get_pointer_to_function")),
    keeps_the_generator,
    with_another_base,
]


@pytest.fixture
def without_trial():
    """The trial is made anew, and is forgotten."""
    _parts._tried.cache_clear()
    yield
    _parts._tried.cache_clear()


@pytest.mark.parametrize("change", OTHERS)
def test_a_numba_whose_libraries_differ_gets_no_parts(change, monkeypatch, without_trial):
    generator = cpu_target.target_context.codegen()
    with monkeypatch.context() as changed:
        change(changed)
        assert _parts.part_library(generator, "one", apart=False) is None
    _parts._tried.cache_clear()
    assert isinstance(_parts.part_library(generator, "one", apart=False), _parts.Part)


@pytest.mark.parametrize("decorator", [inline, tile_function, disjoint_tile])
def test_without_parts_numba_compiles_as_ever(decorator, monkeypatch):
    monkeypatch.setattr(_parts, "_tried", lambda generator: ())
    library = library_of(decorator(scale))
    assert type(library) is JITCodeLibrary
    assert library._compiled


SHORT = """
import sys
import numpy as np
from sptrack.kernels import _parts
if sys.argv[1] == "without":
    _parts._tried = lambda generator: ()
from sptrack.devices import CycleNoise, Device, sample_cells
from sptrack.crossbar import Crossbar
device = Device(cycle_noise=CycleNoise(std=0.3))
bar = Crossbar(sample_cells(device, (5, 70), seed=1), seed=2, threads=1)
for program in ("alternating", "random"):
    bar.pulse(program, 33)
bar.apply(0.02 * np.random.default_rng(3).standard_normal(bar.shape), law="poisson")
sys.stdout.buffer.write(bar.hidden.tobytes() + bar.read(0.1).tobytes())
"""


def test_a_formula_optimised_by_itself_keeps_its_own_code():
    assert type(library_of(inline_optimised(scale))) is JITCodeLibrary


@pytest.mark.slow
def test_both_ways_give_the_same_bits(tmp_path):
    """Trains, counts, increments and reads of an array, compiled anew with parts and without."""
    made = [
        subprocess.run(
            [sys.executable, "-c", SHORT, way],
            env=os.environ | {"SPTRACK_CACHE_DIR": str(tmp_path / way)},
            capture_output=True,
            check=True,
        ).stdout
        for way in ("with", "without")
    ]
    assert len(made[0]) == 2 * 4 * 350
    assert made[0] == made[1]
    assert all(any((tmp_path / way).rglob("*.bin")) for way in ("with", "without"))
