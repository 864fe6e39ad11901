"""Cycle noise and write noise under alternating pulses: per-cell mean and std of 1024 cells over repeats.

Accepted: over the cells, rms of z = (difference of means)/(combined standard error) in 0.9 .. 1.1 and |z| <=
5; ratio of rms stds in 0.98 .. 1.02. (An independent implementation with 60 repeats reached 0.95 .. 1.06, 4.5
and 0.990 .. 1.013; with 60 x 1024 samples the ratio alone has a sigma of 0.003, the simulator's noise table
one of up to 0.005.)
"""

import numpy as np
import pytest

from sptrack.crossbar import Crossbar
from sptrack.devices import cells_from_parameters
from tests.golden.simulated import manifest, simulated_cells

REPEATS = 60
CASES = [
    "sb_mult",
    "sb_add",
    "sbref_add",
    "linear_mult",
    "linear_add",
    "exp_reram",
    "pow_mult",
    "piecewise",
    "sb_write_noise",
]


def repeated(cells, times):
    """The same cells ``times`` over, as [times * R, C]."""
    rows, columns = cells.shape
    names = ("step_up", "step_down", "w_min", "w_max", *cells.device.response.row_names())
    table = {
        name: np.tile(row.reshape(rows, columns), (times, 1))
        for name, row in zip(names, cells.law.cell, strict=True)
    }
    reference = None if cells.reference is None else np.tile(cells.reference, (times, 1))
    return cells_from_parameters(cells.device, table, reference=reference)


def test_every_case_is_here(reference):
    assert sorted(CASES) == sorted(manifest(reference("noisy_statistics")))


@pytest.mark.compiled
@pytest.mark.parametrize("case", CASES)
def test_statistics_under_alternating_pulses(reference, case):
    golden = reference("noisy_statistics")
    cells = simulated_cells(golden, case)
    start = np.tile(golden[f"{case}/w0"], (REPEATS, 1))
    crossbar = Crossbar(repeated(cells, REPEATS), seed=20260103, weights=start)
    count = 0
    for k, n in enumerate(golden["n"]):
        crossbar.pulse("alternating", int(n) - count)
        count = int(n)
        runs = crossbar.weights.astype(np.float64).reshape(REPEATS, *cells.shape)
        mean, std = golden[f"{case}/mean"][k], golden[f"{case}/std"][k].astype(np.float64)
        if n == 0 and cells.device.write_noise == 0:
            np.testing.assert_allclose(runs, np.broadcast_to(mean, runs.shape), atol=2e-7)
            continue
        error = np.sqrt(std**2 / 100 + runs.var(axis=0, ddof=1) / REPEATS)
        z = (runs.mean(axis=0) - mean) / error
        assert 0.9 < np.sqrt(np.mean(z**2)) < 1.1
        assert np.abs(z).max() < 5.0
        ratio = np.sqrt(np.mean(runs.var(axis=0, ddof=1)) / np.mean(std**2))
        assert 0.98 < ratio < 1.02


@pytest.mark.parametrize("case", CASES)
def test_symmetric_points_per_cell(reference, case):
    golden = reference("noisy_statistics")
    cells = simulated_cells(golden, case, dtype=np.float64)
    point = cells.target
    truth = golden[f"{case}/sp"].astype(np.float64)
    has = np.isfinite(point)
    assert has.mean() > 0.99
    np.testing.assert_allclose(point[has], truth[has], atol=2e-6)
