"""Devices of aihwkit 1.2.0 as `Device`, and back.

Names, defaults and laws are those of the simulator; what has no equivalent is named by its path.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sptrack.devices import (
    ConstantStep,
    CycleNoise,
    Device,
    ExpStep,
    LinearStep,
    OneSidedAsymmetry,
    PiecewiseStep,
    PowStep,
    Reference,
    Response,
    SoftBounds,
    Source,
    Spread,
)
from sptrack.devices.presets import preset
from sptrack.errors import ParameterError, nearest
from sptrack.interop.records import Reader, Record, shown

_EXP = {
    "a": 0.244,
    "b": 0.2425,
    "A_up": 0.00081,
    "A_down": 0.36833,
    "gamma_up": 12.44625,
    "gamma_down": 12.78785,
}
_NEUTRAL: dict[str, Any] = {
    "construction_seed": 0,
    "diffusion": 0.0,
    "lifetime": 0.0,
    "enforce_consistency": True,
    "perfect_bias": False,
    "reset": 0.0,
    "reset_dtod": 0.0,
    "reset_std": 0.01,
    "apply_write_noise_on_set": True,
    "mean_bound_reference": True,
    "allow_increasing": False,
    "reverse_up": False,
    "reverse_down": False,
    "reverse_offset": 0.0,
    "slope_up_dtod": 0.0,
    "slope_down_dtod": 0.0,
    "pow_gamma_dtod": 0.0,
    "pow_up_down_dtod": 0.0,
    "n_estimation_steps": -1,
    "count_pulses": False,
    "refresh_every": 0,
    "copy_inverted": False,
}
_STILL: dict[str, Any] = {"nu": 0.0, "w_noise_std": 0.0}
_OF_DRIFT = dict.fromkeys(
    ("t_0", "reset_tol", "nu_dtod", "nu_std", "wg_ratio", "g_offset", "w_offset", "nu_k", "log_g0"), "nu"
)
_COMPANIONS = {
    "diffusion_dtod": "diffusion",
    "lifetime_dtod": "lifetime",
    "reverse_offset": "reverse_up",
    "units_in_mbatch": "refresh_every",
    "refresh_upper_thres": "refresh_every",
    "refresh_lower_thres": "refresh_every",
    "refresh_forward": "refresh_every",
    "refresh_update": "refresh_every",
}


def _constant(bounds: dict[str, float], of: Reader) -> tuple[Response, float]:
    return ConstantStep(**bounds), 0.0


def _linear(bounds: dict[str, float], of: Reader) -> tuple[Response, float]:
    up, down = of.number("gamma_up_dtod", 0.05), of.number("gamma_down_dtod", 0.05)
    if up != down:
        of.note("gamma_down_dtod", down)
    return LinearStep(
        gamma_up=of.number("gamma_up", 0.0), gamma_down=of.number("gamma_down", 0.0), **bounds
    ), up


def _soft(bounds: dict[str, float], of: Reader) -> tuple[Response, float]:
    return SoftBounds(**bounds), 0.0


def _exponential(bounds: dict[str, float], of: Reader) -> tuple[Response, float]:
    return ExpStep(**{key: of.number(key, value) for key, value in _EXP.items()}, **bounds), 0.0


def _power(bounds: dict[str, float], of: Reader) -> tuple[Response, float]:
    gamma, skew = of.number("pow_gamma", 1.0), of.number("pow_up_down", 0.0)
    up, down = gamma * (1.0 + min(skew, 0.0)), gamma * (1.0 - max(skew, 0.0))
    return PowStep(gamma_up=up, gamma_down=down, **bounds), 0.0


def _piecewise(bounds: dict[str, float], of: Reader) -> tuple[Response, float]:
    nodes = (of.numbers(key, [1.0]) for key in ("piecewise_up", "piecewise_down"))
    up, down = (one * 2 if len(one) == 1 else one for one in nodes)
    return PiecewiseStep(nodes_up=up, nodes_down=down, **bounds), 0.0


_POWER_ABSENT = {"pow_gamma_dtod": 0.1}
"""Spread that a power law has in the simulator where none is given."""
_KINDS: dict[str, tuple[Callable[[dict[str, float], Reader], tuple[Response, float]], bool | None]] = {
    "ConstantStepDevice": (_constant, None),
    "LinearStepDevice": (_linear, True),
    "SoftBoundsDevice": (_soft, True),
    "SoftBoundsReferenceDevice": (_soft, False),
    "ExpStepDevice": (_exponential, None),
    "PowStepDevice": (_power, None),
    "PowStepReferenceDevice": (_power, None),
    "PiecewiseStepDevice": (_piecewise, None),
}
"""Law of each device, and the default of ``mult_noise`` where it has one (the others: relative noise)."""
_PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "ReRamESPresetDevice": ("reram-es", {}),
    "ReRamSBPresetDevice": (
        "reram-sb",
        {"subtract_symmetry_point": False, "reference_mean": 0.0, "reference_std": 0.0},
    ),
    "ReRamArrayOMPresetDevice": ("reram-array-om", {}),
    "ReRamArrayHfO2PresetDevice": ("reram-array-hfo2", {}),
    "CapacitorPresetDevice": ("capacitor", {"lifetime": 1e6, "lifetime_dtod": 0.3}),
    "EcRamPresetDevice": ("ecram", {}),
    "EcRamMOPresetDevice": ("ecram-mo", {}),
    "IdealizedPresetDevice": ("idealized", {}),
    "GokmenVlasovPresetDevice": ("gokmen-vlasov", {}),
    "PCMPresetDevice": ("pcm", {"reset": 0.01, "reset_dtod": 0.02}),
}
"""Presets of both, and what ours leaves out."""
_AROUND = 0.1
"""The simulator's default for the range of stuck cells: without such cells it says nothing."""
_ONE_SIDED = ("OneSidedUnitCell", "PCMPresetUnitCell")
_WRITTEN = {
    ConstantStep: "ConstantStepDevice",
    LinearStep: "LinearStepDevice",
    SoftBounds: "SoftBoundsDevice",
    ExpStep: "ExpStepDevice",
    PowStep: "PowStepDevice",
    PiecewiseStep: "PiecewiseStepDevice",
}


def device_of(of: Reader) -> Device:
    """Device of a record.

    Raises
    ------
    ParameterError
        A device without an equivalent, or a value outside its range.
    """
    one_sided, name = of.name in _ONE_SIDED, of.name
    if one_sided:
        of = _half(of)
    of = _with_preset(of)
    if of.name not in _KINDS:
        known = ", ".join(_KINDS)
        raise ParameterError(f"{of.path} must be one of {known}, got {of.name}{nearest(of.name, _KINDS)}")
    law, relative = _KINDS[of.name]
    if law is _power:
        of = of.over(_POWER_ABSENT)
    bounds = {"w_max": of.number("w_max", 0.6), "w_min": of.number("w_min", -0.6)}
    response, shape = law(bounds, of)
    noise = CycleNoise(
        std=of.number("dw_min_std", 0.3),
        additive=relative is not None and not of.flag("mult_noise", relative),
        offset=of.number("dw_min_std_add", 0.0) if of.name == "ExpStepDevice" else 0.0,
        slope=of.number("dw_min_std_slope", 0.0) if of.name == "ExpStepDevice" else 0.0,
    )
    stuck, around = of.number("corrupt_devices_prob", 0.0), of.number("corrupt_devices_range", _AROUND)
    device = Device(
        response=response,
        dw_min=of.number("dw_min", 0.001),
        spread=Spread(
            dw_min=of.number("dw_min_dtod", 0.3),
            log_normal=of.flag("dw_min_dtod_log_normal", False),
            asymmetry=OneSidedAsymmetry(mean=of.number("up_down", 0.0), std=of.number("up_down_dtod", 0.01)),
            w_max=of.number("w_max_dtod", 0.3),
            w_min=of.number("w_min_dtod", 0.3),
            shape=shape,
            corrupt=stuck,
            corrupt_range=0.0 if stuck == 0 and around == _AROUND else around,
        ),
        cycle_noise=noise,
        write_noise=of.number("write_noise_std", 0.0),
        reference=_reference(of) if "Reference" in of.name else None,
        one_sided=one_sided,
        source=Source(name=name),
    )
    drift = of.record("drift")
    if drift is not None:
        drift.close(_STILL, _OF_DRIFT)
    of.close(_NEUTRAL, _COMPANIONS)
    return device


def _half(of: Reader) -> Reader:
    """Device of a one-sided cell; a second one that differs is named."""
    inner = of.plain("unit_cell_devices", [Record("PCMPresetDevice")] if "Preset" in of.name else None)
    of.close(_NEUTRAL, _COMPANIONS)
    if not (isinstance(inner, list) and inner and all(isinstance(one, Record) for one in inner)):
        raise ParameterError(f"{of.path}.unit_cell_devices must hold a device, got {shown(inner)}")
    for k, one in enumerate(inner[1:], 1):
        if one != inner[0]:
            of.note(f"unit_cell_devices[{k}]", one)
    return Reader(inner[0], f"{of.path}.unit_cell_devices[0]", of.missing)


def _with_preset(of: Reader) -> Reader:
    """A preset's record with what is not given in it; any other record as it is."""
    if of.name not in _PRESETS:
        return of
    name, more = _PRESETS[of.name]
    record = record_of(replace(preset(name), one_sided=False), of.path, [])
    found = of.over(record.values | more)
    found.name = "SoftBoundsReferenceDevice" if "reference_std" in more else record.name
    return found


def _reference(of: Reader) -> Reference | None:
    """Reference of a record; None where all of it is zero."""
    found = Reference(
        subtract=of.flag("subtract_symmetry_point", False),
        mean=of.number("reference_mean", 0.0),
        std=of.number("reference_std", 0.0),
    )
    return None if found == Reference(subtract=False, mean=0.0, std=0.0) else found


def record_of(device: Device, path: str, missing: list[str]) -> Record:
    """Record of a device; settings without an equivalent are added to ``missing``.

    Raises
    ------
    ParameterError
        A response of a user's own.
    """
    response, spread = device.response, device.spread
    kind = _WRITTEN.get(type(response))
    if kind is None:
        raise ParameterError(f"{path}.response must be a family of aihwkit, got {response.family}")
    if device.reference is not None:
        if kind in ("SoftBoundsDevice", "PowStepDevice"):
            kind = kind.replace("Device", "ReferenceDevice")
        else:
            missing.append(f"{path}.reference = {device.reference}")
    values: dict[str, Any] = {
        "dw_min": device.dw_min,
        "dw_min_dtod": spread.dw_min,
        "dw_min_dtod_log_normal": spread.log_normal,
        "dw_min_std": device.cycle_noise.std,
        "w_max": response.w_max,
        "w_min": response.w_min,
        "w_max_dtod": spread.w_max,
        "w_min_dtod": spread.w_min,
        "up_down": spread.asymmetry.mean,
        "up_down_dtod": spread.asymmetry.std,
        "corrupt_devices_prob": spread.corrupt,
        "corrupt_devices_range": spread.corrupt_range,
        **_law_values(response, spread.shape, f"{path}.spread", missing),
    }
    one_sided = isinstance(spread.asymmetry, OneSidedAsymmetry)
    if not one_sided and (spread.asymmetry.mean or spread.asymmetry.std):
        missing.append(f"{path}.spread.asymmetry = {spread.asymmetry}")
    values |= _noise_values(device, kind, path, missing)
    if device.reference is not None and "Reference" in kind:
        values["subtract_symmetry_point"] = device.reference.subtract
        values["reference_mean"], values["reference_std"] = device.reference.mean, device.reference.std
    for key in ("drift", "read_noise", "scale"):
        if getattr(device, key):
            missing.append(f"{path}.{key} = {getattr(device, key)}")
    record = Record(kind, values)
    return Record("OneSidedUnitCell", {"unit_cell_devices": [record]}) if device.one_sided else record


def _noise_values(device: Device, kind: str, path: str, missing: list[str]) -> dict[str, Any]:
    noise, values = device.cycle_noise, dict[str, Any]()
    if _KINDS[kind][1] is not None:
        values["mult_noise"] = not noise.additive
    elif noise.additive and kind != "ConstantStepDevice":
        missing.append(f"{path}.cycle_noise.additive = True")
    if kind == "ExpStepDevice":
        values["dw_min_std_add"], values["dw_min_std_slope"] = noise.offset, noise.slope
    elif noise.offset or noise.slope:
        missing.append(f"{path}.cycle_noise = {noise}")
    if kind in ("ConstantStepDevice", "PowStepReferenceDevice"):
        if device.write_noise:
            missing.append(f"{path}.write_noise = {device.write_noise}")
    else:
        values["write_noise_std"] = device.write_noise
    return values


def _law_values(response: Response, spread: float, path: str, missing: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if isinstance(response, LinearStep):
        values = {"gamma_up": response.gamma_up, "gamma_down": response.gamma_down}
        return values | {"gamma_up_dtod": spread, "gamma_down_dtod": spread}
    if isinstance(response, ExpStep):
        values = {key: getattr(response, key) for key in _EXP}
    elif isinstance(response, PowStep):
        gamma = max(response.gamma_up, response.gamma_down)
        skew = (response.gamma_up - response.gamma_down) / gamma
        values = {"pow_gamma": gamma, "pow_up_down": skew, "pow_gamma_dtod": 0.0, "pow_up_down_dtod": 0.0}
    elif isinstance(response, PiecewiseStep):
        values = {"piecewise_up": list(response.nodes_up), "piecewise_down": list(response.nodes_down)}
    if spread and not isinstance(response, ConstantStep | SoftBounds):
        missing.append(f"{path}.shape = {spread}")
    return values
