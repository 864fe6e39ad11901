"""The adaptive observer: noise and priors that it finds, and what its std is worth."""

import numpy as np
import pytest

from sptrack.kernels import adaptive, counts, observer_rows, observers

DW, EVERY = 0.001, 16
LIMITS = observers.Limits(-2.0, 2.0, 0.3, 0.3)
MEAN, VARIANCE = np.array([0.0, 0.9, 1.0, 0.0]), np.array([0.25, 0.16, 0.16, 0.25])


def made(keep=1.0, read=0.0, relative=0.09):
    """An observer that is told a std of a read (weight units) and the variance of a pulse over F^2."""
    prior = np.zeros(observers.PRIOR_NUMBERS)
    prior[:8] = *MEAN, *VARIANCE
    noise = observers.Noise((read / DW) ** 2, 0.01, relative, counts.ROUNDED, 31)
    tell, observe = observers.addresses(observers.ADAPTIVE)
    return observers.Observer(tell, observe, keep, noise, DW, 0, prior, LIMITS, 0.9, 1.0, *5 * (0.0,))


def started(cells):
    memory = np.zeros((adaptive.ROWS, cells))
    memory[observer_rows.LEVEL], memory[observer_rows.SLOPE] = MEAN[1], MEAN[2]
    for k in range(4):
        memory[adaptive.LINES + k] = memory[adaptive.PRIOR + k] = MEAN[k]
        row = adaptive.COVARIANCE + adaptive.entry(k + 1, k + 1)
        memory[row] = memory[adaptive.PRIOR + 4 + k] = VARIANCE[k]
    return memory


def cells_and_reads(cells, reads, read, pulse, seed=0):
    """Increments [steps, cells], reads of linear cells, their points; pulses add ``pulse`` dw^2 each."""
    rng = np.random.default_rng(seed)
    point, gain = 0.3 + 0.2 * rng.standard_normal(cells), 1 + 0.1 * rng.standard_normal(cells)
    drive = 0.003 * rng.standard_normal((reads * EVERY, cells))
    x, out = np.zeros(cells), []
    for k, step in enumerate(drive):
        move = gain * (step * (0.9 - 0.2 * (x - point)) - np.abs(step) * (x - point))
        x = x + move + DW * np.sqrt(pulse * np.abs(step) / DW) * rng.standard_normal(cells)
        if (k + 1) % EVERY == 0:
            out.append(x + read * rng.standard_normal(cells))
    return drive, np.array(out), point


def observed(observer, drive, reads, memory=None):
    memory = started(drive.shape[1]) if memory is None else memory
    out = np.zeros((3, *reads.shape))
    frozen = [one.copy() for one in (drive, np.zeros(drive.shape, np.int32), reads)]
    for one in frozen:
        one.flags.writeable = False
    observers.run_observer(observer, memory, frozen[0], frozen[1], (0, EVERY), frozen[2], out)
    return out, memory


def test_entries_of_the_covariance_stand_row_by_row():
    assert [adaptive.entry(j, k) for j in range(5) for k in range(j, 5)] == list(range(15))


@pytest.mark.compiled
@pytest.mark.parametrize("told", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("read", [0.01, 0.02])
def test_the_variance_of_a_read_is_found(told, read):
    """64 cells, 300 reads each, 20000 moments of relative std about 1.5: variance within 6 sigma, 6 %."""
    drive, reads, _ = cells_and_reads(64, 300, read, 0.2)
    _, memory = observed(made(read=told), drive, reads)
    assert abs(memory[adaptive.USED_READ, 0] / read**2 - 1) < 0.06


@pytest.mark.compiled
def test_the_variance_of_the_pulses_is_found():
    """Four times the told variance of a pulse, exact reads: within 10 % of what was sent (1 sigma: 1 %)."""
    drive, reads, _ = cells_and_reads(64, 300, 0.0, 0.8)
    _, memory = observed(made(relative=0.24), drive, reads)
    sent = memory[adaptive.USED_PULSE] / memory[adaptive.PULSES]
    np.testing.assert_allclose(sent, sent[0])
    asked = np.abs(drive) / DW
    part = asked % 1
    told_pulses = (0.01 + 0.81 * 0.24) * asked.sum() + 0.81 * (part * (1 - part)).sum()
    assert abs(sent[0] / (0.8 * asked.sum() / told_pulses) - 1) < 0.15


@pytest.mark.compiled
@pytest.mark.parametrize("keep", [1.0, 0.98])
def test_the_std_says_how_wrong_the_point_is(keep):
    """Error over std on 256 cells: std within 0.75 to 1.3, mean within 0.3 (4 sigma: .18 and .25)."""
    drive, reads, point = cells_and_reads(256, 200, 0.02, 0.2, seed=3)
    out, _ = observed(made(keep=keep), drive, reads)
    z = (out[0, -1] - point) / np.sqrt(out[1, -1])
    assert 0.75 < z.std() < 1.3
    assert abs(z.mean()) < 0.3


@pytest.mark.compiled
def test_priors_become_those_of_the_array():
    """Mean and std of g1, 1 +- 0.1 on the array, told 1 +- 0.4; f0 of 0.9 +- 0.4 is 0.96 here."""
    drive, reads, _ = cells_and_reads(256, 400, 0.0, 0.05, seed=5)
    _, memory = observed(made(keep=0.999), drive, reads)
    mean, variance = (
        memory[adaptive.PRIOR : adaptive.PRIOR + 4, 0],
        memory[adaptive.PRIOR + 4 : adaptive.PRIOR + 8, 0],
    )
    assert abs(mean[2] - 1) < 0.05
    assert 0.05 < np.sqrt(variance[2]) < 0.25
    assert abs(mean[1] - 0.96) < 0.05


@pytest.mark.compiled
def test_without_drive_the_array_is_what_is_left():
    observer = made(keep=0.9)
    drive, reads, _ = cells_and_reads(8, 40, 0.0, 0.2, seed=6)
    _, memory = observed(observer, drive, reads)
    rest = np.tile(reads[-1], (400, 1))
    out, memory = observed(observer, np.zeros((400 * EVERY, 8)), rest, memory)
    np.testing.assert_allclose(memory[adaptive.LINES], memory[adaptive.LINES].mean(), atol=0.02)
    assert out[2, -1].min() > 0.95


@pytest.mark.compiled
@pytest.mark.parametrize("size", [1e-9, 0.02, 30.0])
def test_estimates_stay_finite(size):
    """No drive to speak of, and a drive far beyond the range, 20000 steps."""
    rng = np.random.default_rng(2)
    drive = size * rng.standard_normal((20000, 4))
    reads = np.clip(0.3 + 0.2 * rng.standard_normal((20000 // EVERY, 4)), -1, 1)
    out, _ = observed(made(keep=0.999), drive, reads)
    assert np.isfinite(out).all()
    assert (out[1] >= 0).all()
    assert np.abs(out[0]).max() <= 2
