"""Simulated cells, and files of their readings in the forms that instruments and colleagues write."""

import numpy as np

from sptrack.fitting import Recipe, read_measurement

PROGRAM = np.tile(np.repeat([1, -1], 60), 2)
"""Up 60, down 60, twice."""


def cell(seed, family="soft", program=PROGRAM, noise=0.01, steps=(0.05, 0.04)):
    """Readings after each pulse, weight units; steps fall linearly or exponentially toward the bound."""
    rng, state, out = np.random.default_rng(seed), -0.7, []
    for sign in program:
        x = sign * state
        size = steps[0 if sign > 0 else 1]
        size *= 1 - x if family == "soft" else (np.exp(-1.5 * x) - np.exp(-1.5)) / (1 - np.exp(-1.5))
        state += sign * size * (1 + 0.2 * rng.normal())
        out.append(state + noise * rng.normal())
    return np.array(out)


def conductance(weights):
    """Microsiemens of weights."""
    return 50.0 + 40.0 * np.asarray(weights)


def table(columns, separator=",", header=True, decimal=".", digits=6):
    """Lines of a table of columns by name."""
    rows = zip(*columns.values(), strict=True)

    def text(value):
        plain = value if isinstance(value, str) else f"{value:.{digits}g}"
        return plain if isinstance(value, str) else plain.replace(".", decimal)

    lines = [separator.join(columns)] if header else []
    return lines + [separator.join(text(value) for value in row) for row in rows]


def words(up, down, program=PROGRAM):
    """Directions as words."""
    return [up if sign > 0 else down for sign in program]


WEIGHTS = cell(0)
G = conductance(WEIGHTS)
INDEX = np.arange(1, G.size + 1)
UP_DOWN = words("up", "down")
SPAN = Recipe(range=(10.0, 90.0))


def write(path, lines, encoding="utf-8", end="\n"):
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path


def read(tmp_path, lines, recipe=SPAN, **form):
    return read_measurement(write(tmp_path / "cell.csv", lines, **form), recipe)


def check(found, tolerance=2e-5):
    """The one cell has the readings and pulses of the record."""
    (response,) = found.cells
    np.testing.assert_allclose(response.readings, WEIGHTS, atol=tolerance)
    np.testing.assert_array_equal(np.sign(response.pulses), PROGRAM)


PLAIN = {"pulse": INDEX, "direction": UP_DOWN, "conductance (uS)": G}
