"""Input-aware observers as blocks: cutting, coverage of their std, what a wrong drive does, fixed gains."""

import numpy as np
import pytest

from sptrack.blocks import DriveErrors, FixedGains, InputAwareObserver, PointLimits, ResponsePrior
from sptrack.devices import Device, Spread, SymmetricPoints
from sptrack.errors import ParameterError

DW, SIGMA, LEVEL = 0.001, 0.3, 0.91
PRIOR = ResponsePrior.of([0.91, 0.0, -0.3, 1.0], np.diag([25.0, 25.0, 6.0, 25.0]))
FORMS = ("block", "direction", "scalar", "predictor")


def observer(form="block", **settings):
    errors = {"relative": SIGMA**2, "read_noise": settings.pop("read_noise", 0.0)}
    errors |= {"counts": settings.pop("counts", "rounded")}
    if form == "predictor":
        settings.setdefault("forgetting", 1e-3)
        settings.setdefault("gains", FixedGains(drive=0.0024))
    return InputAwareObserver(dw_min=DW, prior=PRIOR, errors=DriveErrors(**errors), form=form, **settings)


def cells(count, seed):
    """Points and slopes of linear cells as the prior has them: F = a (1 - point x), G = a (x - point)."""
    rng = np.random.default_rng(seed)
    point = np.clip(0.3 + 0.4 * rng.standard_normal(count), -0.85, 0.85)
    return point, np.exp(0.1 * rng.standard_normal(count))


def record(steps, count, scale, seed=0, mean=0.0):
    """Increments, weights after each step, pulses, and the points of linear cells, in plain numpy."""
    rng = np.random.default_rng(seed)
    point, gain = cells(count, seed + 1)
    drive = np.float32(scale * rng.standard_normal((steps, count)) + mean)
    x, weights, sent = np.zeros(count), np.empty((steps, count)), np.empty((steps, count), np.int64)
    for k, asked in enumerate(drive):
        wanted = np.abs(asked) / DW
        number = np.floor(wanted) + (rng.random(count) < wanted % 1)
        sign = np.sign(asked)
        scale_of = gain * (1 + sign * point)
        noise = SIGMA * np.sqrt(number) * rng.standard_normal(count)
        x = sign + (x - sign) * ((1 - DW * scale_of) ** number - DW * scale_of * noise)
        weights[k], sent[k] = x, sign * number
    return drive, weights, sent, point


def reads_of(weights, every, noise=0.0, seed=9):
    taken = weights[every - 1 :: every]
    return np.float32(taken + noise * np.random.default_rng(seed).standard_normal(taken.shape))


@pytest.mark.parametrize("form", FORMS)
def test_cut_anywhere_the_bytes_are_the_same(form):
    every = 1 if form == "direction" else 5
    made = observer(form, every=every, read_noise=0.01, forgetting=1e-3)
    drive, weights, _, _ = record(200, 6, 0.003)
    reads = reads_of(weights, every)
    whole, last = made.process(drive, reads)
    state, parts = made.init(6), []
    for first, after in ((0, 3), (3, 4), (4, 131), (131, 200)):
        some = reads[first // every : after // every]
        seen, state = made.process(drive[first:after], some, state)
        parts.append(seen)
    for name in ("point", "std", "prior_fraction"):
        joined = np.concatenate([getattr(one, name) for one in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name))
    np.testing.assert_array_equal(state.memory, last.memory)
    state, taken = made.init(6), 0
    for k in range(20):
        read = reads[taken] if (k + 1) % every == 0 else None
        state, seen = made.step(state, drive[k], read)
        if seen is not None:
            np.testing.assert_array_equal(seen.point, whole.point[taken])
            taken += 1
    assert taken == 20 // every


@pytest.mark.compiled
@pytest.mark.parametrize("forgetting", [0.0, 1e-3])
@pytest.mark.parametrize(("read_noise", "every"), [(0.0, 1), (0.0, 16), (0.02, 16), (0.02, 48)])
@pytest.mark.parametrize("late", [1.0, 0.25])
def test_the_std_says_how_wrong_the_point_is(forgetting, read_noise, every, late):
    """Error over std, 500 cells: std within 0.75 to 1.25, mean within 0.3 (4 sigma of either are .13, .18).

    ``late``: the drive of the second half over that of the first.
    """
    drive, weights, _, point = _recorded(late)
    made = observer(every=every, read_noise=read_noise, forgetting=forgetting)
    seen, _ = made.process(drive, reads_of(weights, every, read_noise))
    for k in (len(seen.point) // 2 - 1, len(seen.point) - 1):
        z = (seen.point[k] - point) / seen.std[k]
        assert 0.75 < z.std() < 1.25
        assert abs(z.mean()) < 0.3


_KEPT = {}


def _recorded(late):
    if late not in _KEPT:
        scale = np.where(np.arange(4800) < 2400, 0.003, 0.003 * late)[:, None]
        _KEPT[late] = record(4800, 500, scale)
    return _KEPT[late]


@pytest.mark.compiled
def test_it_is_consistent_where_the_midpoint_of_two_reads_is_not():
    """A mean drive keeps the weight off the point: the error falls with the pulses, and as its std says.

    The start, far from the point, tells the slope: sixteen times the steps do not quarter the error.
    """
    drive, weights, _, point = record(24000, 200, 0.003, seed=4, mean=0.0005)
    made = observer(every=4)
    seen, _ = made.process(drive, reads_of(weights, 4))
    early, late = (seen.point[k] - point for k in (len(seen.point) // 16, -1))
    assert np.sqrt((late**2).mean()) < 0.6 * np.sqrt((early**2).mean())
    z = late / seen.std[-1]
    assert abs(z.mean()) < 4 / np.sqrt(200) * 1.2
    assert z.std() < 1.4


@pytest.mark.compiled
def test_told_of_a_neighbours_drive_it_fails():
    drive, weights, _, point = _recorded(1.0)
    reads = reads_of(weights, 16)
    right, _ = observer(every=16).process(drive, reads)
    wrong, _ = observer(every=16).process(np.roll(drive, 1, axis=1), reads)
    rms = [np.sqrt(((one.point[-1] - point) ** 2).mean()) for one in (right, wrong)]
    assert rms[1] > 4 * rms[0]


@pytest.mark.compiled
def test_pulses_that_are_known_leave_cycle_noise_alone():
    """Variance with known pulses over that without: sigma^2/(sigma^2 + 1/6 per step), within a factor 1.6."""
    drive, weights, sent, point = _recorded(1.0)
    reads = reads_of(weights, 16)
    plain, _ = observer(every=16).process(drive, reads)
    told, _ = observer(every=16, counts="known").process(drive, reads, pulses=sent)
    ratio = ((told.point[-1] - point) ** 2).mean() / ((plain.point[-1] - point) ** 2).mean()
    pulses = np.abs(drive).mean() / DW
    expected = SIGMA**2 * pulses / (SIGMA**2 * pulses + 1 / 6)
    assert 1 / 1.6 < ratio / expected < 1.6
    with pytest.raises(ParameterError, match="pulses must be whole numbers of shape"):
        observer(every=16, counts="known").process(drive, reads)


def test_without_excitation_the_prior_is_what_is_left():
    made = observer(every=4)
    seen, _ = made.process(np.zeros((40, 3)), np.full((10, 3), 0.2))
    np.testing.assert_allclose(seen.point, PRIOR.point, rtol=1e-12)
    np.testing.assert_allclose(seen.std, PRIOR.point_information**-0.5, rtol=1e-12)
    np.testing.assert_allclose(seen.prior_fraction, 1.0)


def test_forgetting_without_drive_leads_back_to_the_prior():
    drive, weights, _, _ = record(2000, 4, 0.003)
    made = observer(every=10, forgetting=2e-3)
    seen, state = made.process(drive, reads_of(weights, 10))
    assert seen.prior_fraction[-1].max() < 0.3
    quiet = np.zeros((10000, 4), np.float32)
    later, _ = made.process(quiet, np.broadcast_to(weights[-1].astype(np.float32), (1000, 4)), state)
    np.testing.assert_allclose(later.point[-1], PRIOR.point, atol=1e-3)
    assert later.prior_fraction[-1].min() > 0.99


def test_steady_gains_leave_the_variance_that_they_say():
    """Cells as the prior's mean, 400 of them, in the long run: variance within 25 % (4 sigma: 28 %)."""
    gains = FixedGains(drive=0.003 * np.sqrt(2 / np.pi))
    made = observer("predictor", every=16, read_noise=0.02, forgetting=2e-3, gains=gains)
    rng = np.random.default_rng(3)
    n, drive = 400, np.float32(0.003 * np.random.default_rng(2).standard_normal((4000, 400)))
    x, weights = np.full(n, 0.3), []
    for asked in drive:
        wanted = np.abs(asked) / DW
        number = np.floor(wanted) + (rng.random(n) < wanted % 1)
        sign = np.sign(asked)
        step = DW * number * (sign * LEVEL - (x - 0.3))
        x = x + step + DW * LEVEL * SIGMA * np.sqrt(number) * rng.standard_normal(n)
        weights.append(x)
    seen, _ = made.process(drive, reads_of(np.array(weights), 16, 0.02))
    np.testing.assert_allclose(((seen.point[-1] - 0.3) ** 2).mean(), made.steady_gains()[2], rtol=0.25)


@pytest.mark.parametrize("kind", ["flat", "population"])
def test_priors_of_a_device(kind):
    """Flat: nominal level and slope, point 0. Population: mean and std of the points over its cells."""
    points = SymmetricPoints(mean=0.3, std=0.2)
    device = Device(spread=Spread(asymmetry=points))
    made = getattr(ResponsePrior, kind)(device)
    if kind == "flat":
        assert (made.point, made.slope) == (0.0, 1.0)
        np.testing.assert_allclose(made.level, 0.91)
    else:
        assert abs(made.point - 0.3) < 4 * 0.2 / 32
        assert abs(made.point_information**-0.5 / 0.2 - 1) < 0.1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"form": "blok"}, "did you mean 'block'"),
        ({"form": "direction", "every": 2}, "every must .*got 2"),
        ({"form": "predictor"}, "must have gains and forgetting > 0"),
        ({"forgetting": 1.0}, "forgetting"),
        ({"dw_min": 0.0}, "dw_min"),
        ({"every": 0}, "every"),
    ],
)
def test_refused_observers(change, text):
    with pytest.raises(ParameterError, match=text):
        InputAwareObserver(**({"dw_min": DW, "prior": PRIOR} | change))


@pytest.mark.parametrize(
    "make",
    [
        lambda: DriveErrors(counts="round"),
        lambda: DriveErrors(read_noise=-1.0),
        lambda: PointLimits(low=1.0, high=0.0),
        lambda: FixedGains(drive=0.0),
        lambda: ResponsePrior.of([1.0, 0.0, 0.0], np.eye(4)),
        lambda: ResponsePrior.of([1.0, 0.0, 0.0, 1.0], -np.eye(4)),
        lambda: observer().process(np.zeros((4, 2)), np.zeros((3, 2))),
        lambda: observer().process(np.full((1, 2), np.nan), np.zeros((1, 2))),
    ],
)
def test_refused_numbers(make):
    with pytest.raises(ParameterError):
        make()
