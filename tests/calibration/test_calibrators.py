"""One truth-recovery suite that every calibrator passes, and what is special of each."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.calibration import (
    METHODS,
    BurstFit,
    Calibrator,
    ObserverFit,
    Population,
    RootFinding,
    TransientFit,
    ZeroShifting,
    calibrator,
    population,
)
from sptrack.crossbar import Crossbar, PulsedArray
from sptrack.devices import (
    Asymmetry,
    CycleNoise,
    Device,
    ExpStep,
    PowStep,
    SoftBounds,
    Spread,
    cells_from_parameters,
    sample_cells,
)
from sptrack.errors import ParameterError

PULSES = 4000
LIMITS = {"zero-shifting": 0.002, "tail-average": 0.002, "transient": 0.002, "stochastic": 0.12}
LIMITS |= {
    "bursts-known": 1e-4,
    "bursts-prior": 1e-4,
    "bursts": 0.02,
    "root-finding": 0.002,
    "observer": 0.02,
}
"""Largest error on noiseless cells: half a step where zero-shifting rests, five sigma of coins, priors."""


def device(noise=0.0, dw_min=0.001, width=1.0, shift=0.0):
    return Device(
        response=SoftBounds(w_min=shift - width, w_max=shift + width),
        dw_min=dw_min,
        spread=Spread(dw_min=0.1, asymmetry=Asymmetry(mean=0.1, std=0.2)),
        cycle_noise=CycleNoise(std=noise),
    )


def calibrate(name, cells, pulses=PULSES, *, seed=0, read_noise=0.0, reads=None):
    chosen = calibrator(name, cells.device, reads=reads)
    return chosen.calibrate(Crossbar(cells, seed=seed, threads=1), pulses, read_noise=read_noise)


def errors(estimates, cells):
    return np.asarray(estimates.points[-1], np.float64) - cells.target


class Bench:
    """Noiseless soft-bounds cells in plain Python, with exactly what the protocol asks for."""

    shape = (2, 3)

    def __init__(self):
        self.weights = np.zeros(self.shape)
        self.up = np.array([[0.010, 0.012, 0.008], [0.011, 0.009, 0.010]])
        self.down = np.array([[0.008, 0.009, 0.010], [0.007, 0.010, 0.009]])
        self.sent = np.zeros(self.shape)
        self.taken, self.phase = 0, 0

    @property
    def truth(self):
        return (self.up - self.down) / (self.up + self.down)

    def pulse(self, program, count=None):
        if isinstance(program, str):
            signs = {"up": [1], "down": [-1], "alternating": [1, -1], "random": [1, -1, -1, 1]}[program]
            program = np.array([signs[(k + self.phase) % len(signs)] for k in range(count)])
            self.phase += count if program is not None and len(signs) > 1 else 0
        for row in np.asarray(program):
            sign = np.broadcast_to(row, self.shape)
            step = np.where(sign > 0, self.up * (1 - self.weights), -self.down * (1 + self.weights))
            self.weights = self.weights + np.where(sign == 0, 0.0, step)
            self.sent += np.abs(sign)

    def read(self, noise=0.0):
        self.taken += 1
        frozen = self.weights.copy()
        frozen.flags.writeable = False
        return frozen


@pytest.mark.parametrize("name", METHODS)
class TestEveryCalibrator:
    def test_the_truth_comes_back_from_noiseless_cells(self, name):
        cells = sample_cells(device(), (8, 8), dtype=np.float64)
        pulses = 10000 if name in ("zero-shifting", "tail-average", "transient") else 4000
        assert np.abs(errors(calibrate(name, cells, pulses), cells)).max() < LIMITS[name]
        assert cells.symmetric_point.std() > 0.1

    def test_noisy_cells_come_back_within_the_target(self, name):
        """Cycle noise 0.3 and reads with 1 % of the range: RMS error at most 1.5 % of the range."""
        cells = sample_cells(device(noise=0.3), (16, 16))
        estimates = calibrate(name, cells, read_noise=0.02, reads=24)
        assert np.sqrt(np.mean(errors(estimates, cells) ** 2)) < 0.03

    def test_units_of_weight_do_not_matter(self, name):
        """Range, steps, reading noise times two: estimates times two. Nominal range not about 0 is covered by
        the bench. float64 cells, same draws."""
        one = sample_cells(device(noise=0.1), (4, 4), dtype=np.float64)
        two = sample_cells(device(noise=0.1, dw_min=0.002, width=2.0), (4, 4), dtype=np.float64)
        small = calibrate(name, one, 2000, read_noise=0.01).points[-1]
        large = calibrate(name, two, 2000, read_noise=0.02).points[-1]
        np.testing.assert_allclose(large, 2 * small, atol=2e-5)

    def test_a_reference_shifts_estimates_and_truth_alike(self, name):
        plain = sample_cells(device(noise=0.1), (4, 4), dtype=np.float64)
        moved = plain.with_reference(np.full((4, 4), 0.2))
        chosen = other_range = calibrator(name, plain.device)
        if hasattr(chosen, "nominal"):
            other_range = replace(chosen, nominal=(-1.2, 0.8))
        one = chosen.calibrate(Crossbar(plain, threads=1), 2000)
        other = other_range.calibrate(Crossbar(moved, threads=1, weights=-0.2), 2000)
        np.testing.assert_allclose(other.points[-1], one.points[-1] - 0.2, atol=1e-6)

    def test_cells_do_not_disturb_each_other(self, name):
        """An array calibrated in two orders of its columns; array-wide scales stay as they are."""
        cells = sample_cells(device(), (3, 5), dtype=np.float64)
        turned = cells_from_parameters(
            cells.device,
            {k: v[:, ::-1] for k, v in zip(("step_up", "step_down"), cells.linear[:2], strict=True)},
            dtype=np.float64,
        )
        if name == "stochastic":
            pytest.skip("coins belong to places")
        one, other = calibrate(name, cells, 2000), calibrate(name, turned, 2000)
        np.testing.assert_allclose(other.points[-1][:, ::-1], one.points[-1], atol=1e-9)

    def test_what_is_spent_is_what_the_ledger_counts(self, name):
        cells = sample_cells(device(noise=0.3), (6, 6))
        bar = Crossbar(cells, threads=1)
        estimates = calibrator(name, cells.device).calibrate(bar, (1000, 1600), read_noise=0.02)
        assert bar.ledger.total("pulses") / 36 == pytest.approx(estimates.pulses[-1], abs=1)
        assert bar.ledger.total("reads") / 36 == estimates.reads_spent[-1]
        np.testing.assert_allclose(estimates.pulses, [1000, 1600], rtol=0.05)
        assert estimates.points.shape == (2, 6, 6)
        assert (np.diff(estimates.reads_spent) > 0).all()

    def test_the_reads_asked_for_are_taken(self, name):
        cells = sample_cells(device(), (2, 2))
        chosen = calibrator(name, cells.device, reads=30)
        assert chosen.calibrate(Crossbar(cells, threads=1), 1000).reads_spent.tolist() == [30]
        with pytest.raises(
            ParameterError, match=f"reads must be a whole number >= {chosen.fewest_reads}, got"
        ):
            calibrator(name, cells.device, reads=chosen.fewest_reads - 1)

    def test_a_bench_of_ones_own(self, name):
        """Read-only reads, plain Python: estimates near the truth and honest counts."""
        bench = Bench()
        chosen = calibrator(name, device(dw_min=0.01))
        assert isinstance(bench, PulsedArray)
        assert isinstance(chosen, Calibrator)
        estimates = chosen.calibrate(bench, 600)
        limit = 0.3 if name == "stochastic" else 0.05
        assert np.abs(estimates.points[-1] - bench.truth).max() < limit
        assert bench.sent.mean() == pytest.approx(estimates.pulses[-1], abs=1)
        assert bench.taken == estimates.reads_spent[-1]

    def test_more_pulses_help(self, name):
        cells = sample_cells(device(noise=0.3), (12, 12))
        few, many = (errors(calibrate(name, cells, n, read_noise=0.02, reads=24), cells) for n in (700, 4000))
        assert np.mean(many**2) < 0.6 * np.mean(few**2)

    def test_progress_and_stop_rule(self, name):
        cells, seen, compared = sample_cells(device(), (2, 2)), [], []

        def stop(pulses, new, old):
            compared.append((pulses, new.shape, old.shape))
            return True

        estimates = calibrator(name, cells.device).calibrate(
            Crossbar(cells, threads=1), (800, 1600, 2400), progress=lambda *a: seen.append(a), stop=stop
        )
        assert estimates.stopped
        assert len(estimates.pulses) == len(compared) + 1 == 2
        assert compared[0][1:] == ((2, 2), (2, 2))
        assert seen == sorted(seen)
        assert {total for _, total in seen} == {2400}

    def test_without_a_stop_rule_no_run_is_stopped(self, name):
        """Large steps take many short bursts, whose lengths round to a few pulses less than the count."""
        cells = sample_cells(Device(dw_min=0.05), (6, 5), seed=3)
        for pulses in (300, 1000):
            assert not calibrate(name, cells, pulses, seed=2, read_noise=0.01).stopped

    @pytest.mark.parametrize(
        ("pulses", "read_noise", "words"),
        [
            ((), 0.0, r"got \(none\)"),
            ((2000, 1000), 0.0, "2000 1000"),
            (0, 0.0, "pulses must be rising whole numbers"),
            (2000, -0.1, "read_noise must .*got -0.1"),
            (2000, np.nan, "read_noise must .*got nan"),
        ],
    )
    def test_bad_schedules_are_refused_before_any_pulse(self, name, pulses, read_noise, words):
        bench = Bench()
        with pytest.raises(ParameterError, match=words):
            calibrator(name, device()).calibrate(bench, pulses, read_noise=read_noise)
        assert not bench.sent.any()


@pytest.mark.parametrize("name", ["transient", "bursts-known", "bursts", "bursts-prior", "root-finding"])
def test_stated_uncertainties_are_honest(name):
    """1024 cells of the default array: RMS of error over standard error near 1."""
    cells = sample_cells(Device(), (32, 32), seed=1)
    estimates = calibrate(name, cells, 2000, read_noise=0.02)
    ratio = np.sqrt(np.mean((errors(estimates, cells) / estimates.uncertainty[-1]) ** 2))
    assert 0.85 < ratio < 1.25


def test_known_bounds_save_an_order_of_pulses_on_the_default_array():
    """theory: 479 pulses with 96 reads where zero-shifting needs 4493. Here 480 are enough for 1 % RMS."""
    cells = sample_cells(Device(), (40, 40), seed=1)
    assert (
        np.sqrt(np.mean(errors(calibrate("bursts-known", cells, 480, read_noise=0.02, reads=96), cells) ** 2))
        < 0.02
    )
    assert np.sqrt(np.mean(errors(calibrate("zero-shifting", cells, 3600), cells) ** 2)) > 0.02


def test_wrong_bounds_bias_the_fit_that_trusts_them():
    given = {"step_up": np.full((8, 8), 0.001), "step_down": np.full((8, 8), 0.001)}
    bounds = {"w_max": np.full((8, 8), 0.6), "w_min": np.full((8, 8), -1.2)}
    cells = cells_from_parameters(device(), given | bounds, dtype=np.float64)
    trusting, open_minded = (errors(calibrate(n, cells, 2000), cells) for n in ("bursts-known", "bursts"))
    assert np.abs(trusting).min() > 0.02
    assert np.abs(open_minded).max() < 0.003


@pytest.mark.parametrize(
    "response", [ExpStep(a=0.3, b=0.0, A_up=0.05, A_down=0.05), PowStep(gamma_up=2.0, gamma_down=2.0)]
)
def test_model_free_methods_have_the_least_bias_on_other_devices(response):
    """Root finding within 0.03 where the fit with known bounds is off by more."""
    kind = Device(
        response=response,
        dw_min=0.004,
        spread=Spread(dw_min=0.1, asymmetry=Asymmetry(mean=0.15, std=0.05)),
        cycle_noise=CycleNoise(),
    )
    cells = sample_cells(kind, (6, 6), dtype=np.float64)
    free = np.abs(np.nanmean(errors(calibrate("root-finding", cells, 3000), cells)))
    trusting = np.abs(np.nanmean(errors(calibrate("bursts-known", cells, 800), cells)))
    assert free < 0.03 < trusting


def test_a_prior_takes_over_where_reads_say_little():
    cells = sample_cells(device(noise=0.3), (8, 8))
    sure = calibrate("bursts-prior", cells, 3000, read_noise=0.01)
    unsure = calibrate("bursts-prior", cells, 60, read_noise=0.3)
    assert sure.prior_fraction[0] < 0.3 < unsure.prior_fraction[0]
    assert calibrate("bursts-known", cells, 3000).prior_fraction[0] == 0


def test_placement_is_what_brings_the_cells_to_their_points():
    """Sent for real on noiseless cells, the mean distance shrinks by ten."""
    cells = sample_cells(device(), (6, 6), dtype=np.float64)
    bar = Crossbar(cells, threads=1)
    estimates = BurstFit().calibrate(bar, 2000)
    away = np.abs(bar.weights - cells.symmetric_point).mean()
    step = 0.001 * (1 - cells.symmetric_point**2)
    assert estimates.placement[0] == pytest.approx(
        np.mean(np.abs(bar.weights - cells.symmetric_point) / step), rel=0.35
    )
    assert away > 0.01


def test_the_population_of_a_device_has_its_moments():
    """Log steps and bounds of the default array with a spread of its bounds; 4 sigma of 4096 cells."""
    kind = Device(spread=Spread(dw_min=0.2, log_normal=True, w_max=0.1))
    found = population(kind)
    assert found.mean[0] == pytest.approx(np.log(0.001), abs=4 * 0.2 / 64)
    assert found.covariance[0, 0] == pytest.approx(0.04, rel=4 * np.sqrt(2) / 64)
    assert found.covariance[0, 1] == pytest.approx(0.04, rel=0.1)
    assert found.covariance[2, 2] == pytest.approx(0.01, rel=0.15)
    assert found.covariance[3, 3] < 1e-5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: BurstFit(bounds="guessed"), "bounds must be .*got 'guessed'"),
        (lambda: BurstFit(guess=1.0), "guess must .*got 1.0"),
        (lambda: BurstFit(nominal=(1.0, -1.0)), "nominal must be .*got 1.0, -1.0"),
        (lambda: BurstFit(spread=0.0), "spread must .*got 0.0"),
        (lambda: BurstFit(cycle_noise=-1.0), "cycle_noise must .*got -1.0"),
        (lambda: RootFinding(stages=1), "stages must .*got 1"),
        (lambda: RootFinding(within=np.nan), "within must .*got nan"),
        (lambda: ObserverFit(blocks=3), "blocks must .*got 3"),
        (lambda: ObserverFit(ridge=-1.0), "ridge must .*got -1.0"),
        (lambda: TransientFit(spread=-1.0), "spread must .*got -1.0"),
        (lambda: ZeroShifting(average=1.5), "average must .*got 1.5"),
        (lambda: ZeroShifting(mode="ciclic"), "did you mean 'cyclic'"),
        (lambda: Population(mean=np.zeros(4), covariance=-np.eye(4)), "positive definite"),
        (lambda: calibrator("burst", Device()), "did you mean 'bursts'"),
    ],
)
def test_bad_settings_are_refused(make, words):
    with pytest.raises(ParameterError, match=words):
        make()
