"""Zero-shifting of thousands of cells with 500 to 8000 alternating pulses: error against the truth."""

import numpy as np
import pytest

from sptrack.crossbar import Crossbar
from tests.golden.simulated import simulated_cells


@pytest.mark.compiled
@pytest.mark.parametrize("start", ["zero", "high"])
@pytest.mark.parametrize("case", ["sb", "sbref"])
def test_error_of_zero_shifting(reference, case, start):
    """Rms and median error of one run. The simulator's own 4 to 16 runs scatter with the std s: ours is
    within 4 s sqrt(1 + 1/runs), or within 1 % where s (estimated from few runs) is below that.
    """
    golden = reference("zs_calibration")
    cells = simulated_cells(golden, case)
    crossbar = Crossbar(cells, seed=1, weights=golden[f"{case}/w0_{start}"])
    truth, runs = golden[f"{case}/sp"].astype(np.float64), golden[f"{case}/err_{start}"]
    np.testing.assert_allclose(cells.target, truth, atol=2e-6)
    count = 0
    for k, n in enumerate(golden["n"]):
        crossbar.pulse("alternating", int(n) - count)
        count = int(n)
        error = crossbar.weights - truth
        ours = np.array([np.sqrt(np.mean(error**2)), np.median(np.abs(error))])
        theirs, scatter = runs[:, k, 1:].mean(axis=0), runs[:, k, 1:].std(axis=0, ddof=1)
        allowed = np.maximum(4.0 * scatter * np.sqrt(1.0 + 1.0 / len(runs)), 0.01 * theirs)
        assert (np.abs(ours - theirs) < allowed).all(), (n, ours, theirs, allowed)
        assert error.mean() == pytest.approx(runs[:, k, 0].mean(), abs=5e-4)
