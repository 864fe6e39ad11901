"""Filters of one's own: ten lines of Python that run as any other filter, and what is refused."""

import math

import numpy as np
import pytest

from sptrack.blocks import EMA, Boxcar, Chain, CustomFilter
from sptrack.errors import ParameterError
from sptrack.kernels.chains import run_chain
from tests.blocks.zoo import CUSTOM, NONLINEAR, soft_limited, two_pole

OFFSET = 0.25


def average(memory, x, eta):
    """An exponential average as a user writes it."""
    memory[0] += eta * (x - memory[0])
    return memory[0]


def median_of_three(memory, x):
    """Branches, several rows, constants of the module."""
    a, b = memory[0], memory[1]
    memory[0], memory[1] = b, x
    return max(min(a, b), min(max(a, b), x)) + 0 * OFFSET


def python(update, rows, numbers, x):
    """The same filter, sample by sample in plain Python, for one cell."""
    memory, out = np.zeros(rows), []
    for sample in x:
        out.append(update(memory, sample, *numbers))
    return np.array(out)


@pytest.mark.parametrize(
    ("update", "rows", "parameters"),
    [
        (average, 1, {"eta": 0.1}),
        (two_pole, 2, {"fast": 0.3, "slow": 0.1}),
        (soft_limited, 1, {"rate": 0.2}),
        (median_of_three, 2, {}),
    ],
)
def test_it_is_the_function_it_is_made_of(update, rows, parameters):
    block = CustomFilter(update=update, rows=rows, parameters=parameters)
    x = np.random.default_rng(1).normal(size=(60, 2, 3))
    y, state = block.process(x)
    for cell in np.ndindex(2, 3):
        expected = python(update, rows, parameters.values(), x[:, *cell])
        np.testing.assert_allclose(y[:, *cell], expected, rtol=0, atol=1e-15)
    assert state.memory.shape == (rows, 2, 3)


def test_an_average_of_ones_own_is_the_built_in_one():
    """Byte by byte, alone and in a chain; both in float32 and float64."""
    own = CustomFilter(update=average, parameters={"eta": 0.1})
    for dtype in (np.float32, np.float64):
        x = np.random.default_rng(2).normal(size=(500, 700)).astype(dtype)
        np.testing.assert_allclose(own.process(x)[0], EMA(eta=0.1).process(x)[0], rtol=0, atol=2e-16)
        chained = Chain(Boxcar(length=3), own, own).process(x)[0]
        wanted = Chain(Boxcar(length=3), EMA(eta=0.1, order=2)).process(x)[0]
        np.testing.assert_allclose(chained, wanted, rtol=0, atol=2e-16 if dtype == np.float64 else 0)


@pytest.mark.compiled
def test_it_adds_no_specialisation_of_a_kernel():
    CUSTOM.process(np.zeros((3, 2)))
    CUSTOM.process(np.zeros((3, 2), np.float32))
    before = len(run_chain.signatures)
    for gain in (1.0, 2.0):

        def scaled(memory, x, gain=gain):
            memory[0] = x
            return gain * x

        block = CustomFilter(update=scaled)
        np.testing.assert_array_equal(block.process(np.ones((3, 2)))[0], gain)
        np.testing.assert_array_equal(block.process(np.ones((3, 2), np.float32))[0], gain)
    assert len(run_chain.signatures) == before <= 2


def test_label_and_parameters():
    assert str(CUSTOM) == "CustomFilter(two_pole, fast=0.3, slow=0.1)"
    assert CUSTOM.settled is CUSTOM


def test_without_a_response_there_is_none():
    with pytest.raises(ParameterError, match="pass response="):
        NONLINEAR.frequency_response(0.1)
    with pytest.raises(ParameterError, match="pass response="):
        _ = NONLINEAR.settled


def forgets_to_return(memory, x):
    memory[0] = x


def returns_nan(memory, x):
    return math.nan


def returns_two(memory, x):
    return memory


def out_of_bounds(memory, x):
    return memory[5] + x


def makes_strings(memory, x):
    return float(str(x) + "0")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"update": forgets_to_return}, "update must return a finite number, got None"),
        ({"update": returns_nan}, "update must return a finite number, got nan"),
        ({"update": returns_two}, "update"),
        ({"update": out_of_bounds}, "update fails on zeros: index 5 is out of bounds"),
        ({"update": average}, "update fails on zeros: .*eta"),
        ({"update": average, "parameters": {"eta": 0.1, "rate": 1.0}}, "update fails on zeros"),
        ({"update": average, "parameters": {"eta": np.inf}}, "parameter eta must be finite, got inf"),
        ({"update": average, "parameters": {"eta": "fast"}}, "parameter eta must be a number, got 'fast'"),
        ({"update": average, "parameters": {"eta": 0.1}, "rows": 0}, "rows must .*got 0"),
        ({"update": "average"}, "update must be a function, got 'average'"),
        (
            {"update": average, "parameters": {"eta": 0.1}, "response": 3},
            "response must be a function, got 3",
        ),
    ],
)
def test_refusals(settings, text):
    with pytest.raises(ParameterError, match=text) as refused:
        CustomFilter(**settings)
    assert "\n" not in str(refused.value)


@pytest.mark.compiled
def test_what_does_not_compile_is_refused_when_it_is_made():
    with pytest.raises(ParameterError, match="update does not compile") as refused:
        CustomFilter(update=makes_strings)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_a_response_must_fit_the_frequencies():
    block = CustomFilter(update=average, parameters={"eta": 0.1}, response=lambda omega: np.ones(7))
    with pytest.raises(ParameterError, match=r"response must have the shape of omega, \[3\], got \[7\]"):
        block.frequency_response(np.zeros(3))
