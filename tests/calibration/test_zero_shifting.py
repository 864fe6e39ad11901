"""Zero-shifting against exact moments and closed forms, on simulated cells and on a bench of one's own."""

import numpy as np
import pytest

from sptrack.calibration import settled, zero_shift
from sptrack.crossbar import Crossbar, PulsedArray
from sptrack.devices import Device, cells_from_parameters, sample_cells
from sptrack.errors import ParameterError
from sptrack.theory import array_offset, cyclic_limits, zero_shifting_moments
from sptrack.theory.sampling import array_offset_error

MODES = ("cyclic", "stochastic")


class Bench:
    """Two noiseless soft-bounds cells in plain Python; every call of pulse starts with an up pulse."""

    up, down = np.array([[0.02, 0.03]]), np.array([[0.01, 0.04]])

    def __init__(self):
        self.weights = np.zeros((1, 2))
        self.calls, self.noises = [], []

    @property
    def shape(self):
        return self.weights.shape

    def pulse(self, program, count=None):
        self.calls.append((program, count))
        for k in range(count):
            if k % 2:
                self.weights = self.weights - self.down * (1 + self.weights)
            else:
                self.weights = self.weights + self.up * (1 - self.weights)

    def read(self, noise=0.0):
        self.noises.append(noise)
        return self.weights.copy()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pulses", [2, 300, 4000])
def test_array_errors_match_exact_moments(mode, pulses):
    """Mean and RMS over 1024 cells of one run, 4 sigma of one run on these very cells."""
    cells = sample_cells(Device(), (32, 32), seed=5)
    estimates = zero_shift(Crossbar(cells, seed=6), (pulses,), mode=mode)
    error = estimates.points[0] - cells.symmetric_point
    moments = zero_shifting_moments(cells, mode, pulses)
    expected, sigma = array_offset(cells, moments), array_offset_error(cells, moments)
    assert abs(error.mean() - expected.mean) < 4 * sigma.mean
    assert abs(np.sqrt(np.mean(error**2)) - expected.rms) < 4 * sigma.rms


@pytest.mark.parametrize("mode", MODES)
def test_one_cell_many_times_has_the_exact_mean_and_variance(mode):
    """4096 equal cells, 4 sigma; sigma of the variance is that of normal estimates."""
    shape = (64, 64)
    given = {"step_up": np.full(shape, 0.03), "step_down": np.full(shape, 0.02)}
    cells = cells_from_parameters(Device(dw_min=0.025), given)
    points = zero_shift(Crossbar(cells, seed=3), (40,), mode=mode).points[0].astype(np.float64)
    moments = zero_shifting_moments(cells, mode, 40)
    mean, variance = moments.mean[0, 0] + cells.symmetric_point[0, 0], moments.variance[0, 0]
    assert abs(points.mean() - mean) < 4 * np.sqrt(variance / cells.size)
    assert abs(points.var() - variance) < 4 * variance * np.sqrt(2 / cells.size)


@pytest.mark.parametrize("mode", MODES)
def test_a_schedule_in_one_run_gives_what_its_last_count_alone_gives(mode):
    cells = sample_cells(Device(), (8, 8))
    several = zero_shift(Crossbar(cells, seed=1), (2, 34, 500), mode=mode)
    alone = zero_shift(Crossbar(cells, seed=1), (500,), mode=mode)
    assert several.points[-1].tobytes() == alone.points[0].tobytes()
    assert several.pulses.tolist() == [2, 34, 500]
    assert (several.mode, several.stopped) == (mode, False)


def test_a_bench_of_ones_own_settles_at_the_closed_form_after_a_down_pulse():
    bench = Bench()
    assert isinstance(bench, PulsedArray)
    estimates = zero_shift(bench, (302, 2000), read_noise=0.1)
    given = {"step_up": Bench.up, "step_down": Bench.down}
    cells = cells_from_parameters(Device(), given, dtype=np.float64)
    expected = cells.symmetric_point + cyclic_limits(cells).after_down
    np.testing.assert_allclose(estimates.points[1], expected, atol=1e-12)
    assert bench.noises == [0.1, 0.1]
    assert {program for program, _ in bench.calls} == {"alternating"}
    assert all(count % 2 == 0 for _, count in bench.calls)
    assert sum(count for _, count in bench.calls) == 2000


def test_a_reference_shifts_estimates_and_truth_alike():
    """The same internal start gives the same errors, whatever is subtracted from reads (float32: 1e-6)."""
    plain = sample_cells(Device(), (16, 16))
    reference = np.linspace(-0.2, 0.2, 256).reshape(16, 16)
    shifted = plain.with_reference(reference)
    one = zero_shift(Crossbar(plain, seed=2), (600,)).points[0] - plain.target
    other = zero_shift(Crossbar(shifted, seed=2, weights=-reference), (600,)).points[0] - shifted.target
    np.testing.assert_allclose(other, one, atol=1e-6)
    assert np.abs(plain.target - shifted.target).max() > 0.1


def test_read_noise_is_added_to_the_reads_alone():
    """Its std over 4096 cells within 4 sigma; a later, quiet read is as if it had never been."""
    cells = sample_cells(Device(), (64, 64))
    noisy, quiet = Crossbar(cells, seed=4), Crossbar(cells, seed=4)
    difference = zero_shift(noisy, (50,), read_noise=0.03).points[0] - zero_shift(quiet, (50,)).points[0]
    assert abs(difference.std() / 0.03 - 1) < 4 / np.sqrt(2 * cells.size)
    assert noisy.read().tobytes() == quiet.read().tobytes()


def test_progress_rises_to_the_last_count():
    seen = []
    zero_shift(Bench(), (100, 1000), progress=lambda sent, total: seen.append((sent, total)))
    sent = [number for number, _ in seen]
    assert sent == sorted(set(sent))
    assert seen[-1] == (1000, 1000)
    assert {100} <= set(sent)
    assert 15 <= len(sent) <= 25


def test_settled_ends_the_run():
    """The noiseless bench forgets its start by 0.94 per pair at least: reads 100 pulses apart soon agree."""
    counts = tuple(range(100, 3001, 100))
    estimates = zero_shift(Bench(), counts, stop=settled(1e-4))
    change = np.sqrt(np.mean(np.diff(estimates.points, axis=0) ** 2, axis=(1, 2)))
    assert estimates.stopped
    assert len(estimates.pulses) < len(counts)
    assert change[-1] <= 1e-4 < change[:-1].min()


def test_a_stop_rule_sees_pulses_and_both_estimates():
    seen = []

    def rule(pulses, new, old):
        seen.append((pulses, np.array_equal(new, old)))
        return False

    estimates = zero_shift(Bench(), (10, 20, 40), stop=rule)
    assert seen == [(20, False), (40, False)]
    assert not estimates.stopped


@pytest.mark.parametrize(
    ("pulses", "settings", "words"),
    [
        ((), {}, r"pulses must be rising whole numbers >= 1, got \(none\)"),
        ((0, 10), {}, "pulses must be rising whole numbers >= 1, got 0 10"),
        ((-4,), {}, "pulses must be rising whole numbers >= 1, got -4"),
        ((100, 100), {}, "pulses must be rising.*got 100 100"),
        ((200, 100), {}, "pulses must be rising.*got 200 100"),
        ((10.5,), {}, "pulses must be rising whole.*got 10.5"),
        ((10, 21), {}, "pulses must be even.*got 21"),
        (
            (10,),
            {"mode": "ciclic"},
            "unknown mode 'ciclic'; choose from .*did you mean 'cyclic'",
        ),
        ((10,), {"read_noise": -0.1}, "read_noise must .*>= 0.*got -0.1"),
        ((10,), {"read_noise": np.nan}, "read_noise must .*finite.*got nan"),
    ],
)
def test_a_bad_schedule_is_refused_before_any_pulse(pulses, settings, words):
    bench = Bench()
    with pytest.raises(ParameterError, match=words):
        zero_shift(bench, pulses, **settings)
    assert bench.calls == []


def test_odd_counts_are_fine_for_coins():
    assert zero_shift(Crossbar(sample_cells(Device(), (2, 2))), (3, 8), mode="stochastic").points.shape == (
        2,
        2,
        2,
    )


@pytest.mark.parametrize("tolerance", [0.0, -1.0, np.nan])
def test_a_bad_tolerance_is_refused(tolerance):
    with pytest.raises(ParameterError, match=f"tolerance must be > 0, got {tolerance}"):
        settled(tolerance)
