"""Benches in the loop: tracked, calibrated and certified like simulated arrays; bad answers are one error."""

from dataclasses import replace

import numpy as np
import pytest

from sptrack.calibration import calibrator
from sptrack.crossbar import Crossbar
from sptrack.devices import CycleNoise, Device, Spread, SymmetricPoints, sample_cells
from sptrack.devices.device import ReadingScale
from sptrack.errors import ParameterError
from sptrack.evaluation.bench_certificate import certify_bench
from sptrack.tracking import BenchArray, PlainTracker, method

POINTS = SymmetricPoints(mean=0.2, std=0.2, limit=0.8)
DEVICE = Device(dw_min=0.01, spread=Spread(asymmetry=POINTS), cycle_noise=CycleNoise(std=0.0))


class Bench:
    """A crossbar that shows no more than a laboratory bench does, in microsiemens if need be."""

    def __init__(self, bar, scale=None):
        self.bar, self.scale, self.shape, self.read_times = bar, scale, bar.shape, 0

    def pulse(self, program, count=None):
        self.bar.pulse(program, count)

    def read(self, noise=0.0):
        self.read_times += 1
        weights = self.bar.read(noise).astype(float)
        return weights if self.scale is None else 60.0 + 40.0 * weights


def crossbar(name, device=DEVICE, shape=(2, 3), seed=1):
    return Crossbar(sample_cells(device, shape, seed=seed + (name == "P")), seed=4, name=name, threads=1)


def gradient(weights, step):
    rng = np.random.default_rng(step)
    return (0.6 * (weights - 0.1) + 0.3 * rng.standard_normal(weights.shape)).astype(np.float32)


@pytest.mark.parametrize("name", ["e-rider", "rider", "tt-v2", "agad", "sgd"])
@pytest.mark.parametrize("in_unit", [False, True])
def test_a_bench_is_tracked_as_the_array_behind_it(name, in_unit):
    """Same pulses of every cell; weights and reference to rounding, as there is no cycle noise."""
    chosen = method(name, alpha=0.05)
    scale = ReadingScale(low=20.0, high=100.0, unit="uS", quantity="conductance")
    device = replace(DEVICE, scale=scale)
    arrays = [crossbar(key) for key in ("W", "P")]
    benches = [
        BenchArray(
            Bench(crossbar(key), scale if in_unit else None), device, name=key, seed=4, in_unit=in_unit
        )
        for key in ("W", "P")
    ]
    direct, through = (PlainTracker(chosen, gradient, *pair, seed=2) for pair in (arrays, benches))
    direct.run(60)
    through.run(60)
    for array, bench in zip(arrays, benches, strict=True):
        np.testing.assert_array_equal(array.ledger.per_cell(array.name), bench.ledger.per_cell(bench.name))
        np.testing.assert_allclose(array.weights, bench.weights, atol=3e-6)
    np.testing.assert_allclose(direct.reference, through.reference, atol=3e-6)
    assert benches[0].ledger.total() > 0


def test_a_bench_is_read_once_between_pulses():
    bench = Bench(crossbar("P"))
    array = BenchArray(bench, DEVICE)
    for _ in range(3):
        array.weights  # noqa: B018
    assert bench.read_times == array.reads == 1
    sent = array.apply(np.full((2, 3), 0.05))
    assert np.abs(sent).max() in (4, 5, 6)
    array.weights  # noqa: B018
    assert array.reads == 2
    array.apply(np.zeros((2, 3)))
    array.weights  # noqa: B018
    assert array.reads == 2


class Fails:
    shape = (1, 2)

    def __init__(self, answer):
        self.answer = answer

    def pulse(self, program, count=None):
        pass

    def read(self, noise=0.0):
        return self.answer


class NoPulse:
    shape = (1, 2)

    def read(self, noise=0.0):
        return np.zeros((1, 2))


@pytest.mark.parametrize(
    ("bench", "message"),
    [
        (NoPulse(), r"bench NoPulse: method pulse\(\) is missing"),
        (Fails(np.array([[0.1, np.nan]])), r"must be finite, got nan in cell \(0, 1\)"),
        (Fails(np.zeros((2, 1))), r"must have shape \(1, 2\), got \(2, 1\)"),
        (Fails(None), r"must have shape \(1, 2\), got \(\)"),
    ],
)
@pytest.mark.compiled
def test_bad_benches_are_one_error_wherever_they_are_used(bench, message):
    zero_shifting = calibrator("zero-shifting", DEVICE)
    for use in (
        lambda: PlainTracker(method("rider"), gradient, BenchArray(bench, DEVICE), BenchArray(bench, DEVICE)),
        lambda: zero_shifting.calibrate(bench, (20, 40)),
        lambda: certify_bench(bench, zero_shifting, (20, 40), drive=10),
    ):
        with pytest.raises(ParameterError, match=message):
            use()


def test_what_is_no_array_is_named():
    good = crossbar("W")
    with pytest.raises(
        ParameterError, match=r"array Bench: name, ledger, cells, .*BenchArray\(bench, device\)"
    ):
        PlainTracker(method("rider"), gradient, good, Bench(crossbar("P")))
    with pytest.raises(ParameterError, match="in_unit needs a device with a scale"):
        BenchArray(Bench(good), DEVICE, in_unit=True)
    with pytest.raises(ParameterError, match="at most 100000000 pulses"):
        BenchArray(Bench(good), DEVICE).apply(np.full((2, 3), 1e9))


@pytest.mark.compiled
@pytest.mark.parametrize(("noise", "pulses"), [(0.0, (40, 80)), (0.0, (400,)), (0.05, (400, 2000))])
def test_certificates_of_benches_bound_the_true_error(noise, pulses):
    """200 cells: the rms error of the mean of both sides is below the bound (its own one-sided 97.5 %)."""
    device = replace(DEVICE, cycle_noise=CycleNoise(std=0.3))
    bar = crossbar("P", device, (10, 20))
    made = certify_bench(Bench(bar), calibrator("zero-shifting", device), pulses, drive=600, read_noise=noise)
    true = float(np.sqrt(np.mean((made.points - bar.symmetric_point) ** 2)))
    certificate = made.certificate
    assert true <= certificate.rms_error_ci[-1][1]
    assert certificate.met == (certificate.rms_error_ci[-1][1] <= certificate.target)
    assert certificate.verdict.startswith("TARGET MET" if certificate.met else "TARGET MISSED")
    assert certificate.pulses[-1] == 2 * (pulses[-1] + 600)
    if pulses == (40, 80):
        assert not certificate.met
        assert certificate.mean_offset[-1] > 0.05
    with pytest.raises(ParameterError, match="drive must be at least 1 pulse"):
        certify_bench(Bench(bar), calibrator("zero-shifting", device), pulses, drive=0)
