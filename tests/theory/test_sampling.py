import numpy as np
import pytest

from sptrack import ParameterError
from sptrack.calibration import zero_shift
from sptrack.crossbar import Crossbar
from sptrack.devices import Device, sample_cells
from sptrack.theory import Moments, zero_shifting_moments
from sptrack.theory.sampling import array_offset_error

RUNS = 300


@pytest.mark.parametrize("mode", ["cyclic", "stochastic"])
def test_runs_on_the_same_cells_scatter_as_predicted(mode):
    # the std of 300 runs has a relative standard error of 1/sqrt(600) = 4.1 %: 4 sigma is 16 %
    cells = sample_cells(Device(dw_min=0.01), (12, 12), seed=3)
    truth = cells.symmetric_point
    runs = []
    for seed in range(RUNS):
        estimate = zero_shift(Crossbar(cells, seed=seed, threads=1), [200], mode=mode).points[0].astype(float)
        error = estimate - truth
        runs.append([error.mean(), estimate.std(), np.sqrt(np.mean(error**2))])
    predicted = array_offset_error(cells, zero_shifting_moments(cells, mode, 200))
    assert np.std(runs, axis=0) == pytest.approx(predicted[:3], rel=4 / np.sqrt(2 * RUNS))


def test_nothing_scatters_without_variance():
    cells = sample_cells(Device(), (3, 4))
    zero = np.zeros((3, 4))
    assert array_offset_error(cells, Moments(zero, zero)) == (0, 0, 0, 12)


def test_no_counted_cell_is_refused():
    cells = sample_cells(Device(), (1, 1))
    with pytest.raises(ParameterError, match="at least 1 cell"):
        array_offset_error(cells, Moments(np.full((1, 1), np.nan), np.zeros((1, 1))))
