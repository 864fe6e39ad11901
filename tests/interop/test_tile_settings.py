"""Settings of tiles as configurations of aihwkit, and back; what has no equivalent is named."""

from dataclasses import replace

import pytest

from sptrack.blocks import Chopper, PeriodicChopper
from sptrack.devices.presets import preset
from sptrack.interop import AnalogConfig, from_aihwkit, to_aihwkit
from sptrack.tiles import ALGORITHMS, algorithm

WITHOUT_EQUIVALENT = {
    "e-rider": ("tile.residual = stored", "tile.gamma = 0.1"),
    "o-rider": (
        "tile.reference = ObserverSettings",
        "tile.residual = stored",
        "tile.gamma = 0.1",
        "tile.hold = 21",
    ),
    "e-rider-paper": ("tile.reference = PeriodMean", "tile.hold = 21"),
    "two-stage": ("tile.reference = calibrated",),
    "rider": ("tile.reference = EMA",),
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_tiles_come_back_as_they_went(name):
    device, settings = preset("reram-array-hfo2"), algorithm(name, beyond_bounds=True)
    text, missing = to_aihwkit(AnalogConfig.from_tile(settings, device))
    *named, backward = missing
    assert backward == "backward.bound_management = True"
    expected = WITHOUT_EQUIVALENT.get(name, ())
    assert len(named) == len(expected)
    assert all(one.startswith(start) for one, start in zip(named, expected, strict=True))
    back = from_aihwkit(text)
    assert back.missing == ()
    assert replace(back.device, source=device.source) == device
    tile = replace(back.tile(), name=name, backward=settings.backward)
    if settings.single:
        assert tile == replace(settings, fast=tile.fast)
        assert tile.fast.scheme == settings.fast.scheme
    elif not named:
        assert tile == settings
    else:
        assert (tile.fast, tile.buffer, tile.transfer) == (settings.fast, settings.buffer, settings.transfer)


@pytest.mark.parametrize("period", [2, 3, 10, 49, 98, 103, 1000])
def test_periods_of_choppers_survive_their_inverse(period):
    settings = algorithm("c-ttv2", chopper=replace(ALGORITHMS["c-ttv2"].chopper, half_period=period))
    text = to_aihwkit(AnalogConfig.from_tile(settings, preset("ecram"))).text
    assert from_aihwkit(text).tile().chopper == settings.chopper


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"frozen": True}, "tile.frozen = True"),
        ({"beyond_bounds": False}, "tile.beyond_bounds = False"),
        ({"hold": 3}, "tile.hold = 3"),
        ({"chopper": PeriodicChopper(half_period=5, duty=0.2, clock="read")}, "tile.chopper = "),
        ({"chopper": PeriodicChopper(half_period=1, clock="read")}, "tile.chopper = "),
        ({"chopper": Chopper(p=0.1, clock="read")}, "tile.chopper = "),
        ({"reference": "true"}, "tile.reference = true"),
    ],
)
def test_what_a_tile_has_beyond_the_simulator_is_named(changes, named):
    tile = algorithm("c-ttv2", **({"beyond_bounds": True} | changes))
    found = AnalogConfig.from_tile(tile, preset("reram-array-hfo2")).missing
    assert len(found) == 1
    assert found[0].startswith(named)
