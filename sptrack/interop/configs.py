"""Configurations of aihwkit 1.2.0 (``rpu_config``) as settings of this package, and back."""

import math
from dataclasses import replace
from typing import Any, NamedTuple

from sptrack.crossbar import PulseScheme
from sptrack.errors import ParameterError
from sptrack.interop.analog import AnalogConfig, kind_of
from sptrack.interop.devices import device_of, record_of
from sptrack.interop.records import Member, Reader, Record, read_record, shown, write_record
from sptrack.tiles import IDEAL_IO, AnalogIO
from sptrack.tiles.io import COARSEST
from sptrack.tiles.settings import READS
from sptrack.tracking.compounds import (
    Buffer,
    CompoundSettings,
    FastUpdate,
    SliceChopper,
    SliceTransfer,
)

_COMPOUNDS = {
    "TransferCompound": "tt-v1",
    "BufferedTransferCompound": "tt-v2",
    "ChoppedTransferCompound": "c-ttv2",
    "DynamicTransferCompound": "agad",
}
_TYPES = {
    "stochasticcompressed": "stochastic-compressed",
    "deterministicimplicit": "deterministic-implicit",
    "meancount": "mean-count",
}
_TYPES_BACK = {
    "stochastic-compressed": "STOCHASTIC_COMPRESSED",
    "deterministic-implicit": "DETERMINISTIC_IMPLICIT",
    "mean-count": "MEAN_COUNT",
}
_SINGLE = PulseScheme(train_length=1, update_management=False, length_management=False)
_IO_NEUTRAL: dict[str, Any] = {
    "inp_noise": 0.0,
    "inp_sto_round": False,
    "inp_asymmetry": 0.0,
    "out_noise_std": 0.0,
    "out_sto_round": False,
    "out_scale": 1.0,
    "out_asymmetry": 0.0,
    "out_nonlinearity": 0.0,
    "out_nonlinearity_std": 0.0,
    "w_noise": 0.0,
    "ir_drop": 0.0,
    "r_series": 0.0,
    "v_offset_std": 0.0,
    "w_read_asymmetry_dtod": 0.0,
    "nm_thres": 0.0,
    "max_bm_factor": 1000,
    "max_bm_res": COARSEST,
    "bm_test_negative_bound": True,
    "mv_type": "OnePass",
}
_IO_COMPANIONS = {
    "w_noise_type": "w_noise",
    "ir_drop_g_ratio": "ir_drop",
    "v_offset_w_min": "v_offset_std",
    "slope_calibration": "out_nonlinearity",
}
_UPDATE_NEUTRAL = {"x_res_implicit": 0.0, "d_res_implicit": 0.0, "d_sparsity": False}
_COMPOUND_NEUTRAL: dict[str, Any] = {
    "construction_seed": 0,
    "gamma_vec": [],
    "transfer_every_vec": [],
    "transfer_lr_vec": [],
    "n_reads_per_transfer": 1,
    "with_reset_prob": 0.0,
    "random_selection": False,
    "no_self_transfer": True,
    "no_buffer": False,
    "out_chop_prob": 0.0,
    "experimental_correct_accumulation": False,
    "step": 1.0,
}
_MAPPING: dict[str, Any] = {
    "digital_bias": True,
    "max_input_size": 512,
    "max_output_size": 512,
    "weight_scaling_omega": 0.3,
    "weight_scaling_columnwise": True,
    "weight_scaling_lr_compensation": False,
    "learn_out_scaling": True,
    "out_scaling_columnwise": False,
}
_MAPPING_ABSENT = {
    "weight_scaling_omega": 0.0,
    "weight_scaling_columnwise": False,
    "learn_out_scaling": False,
}
"""What a mapping that is given leaves out, where the simulator's default is not that of our layers."""
_OWN_DEFAULTS: dict[str, dict[str, Any]] = {
    "PresetIOParameters": {"out_bound": 20.0, "out_noise": 0.1},
    "StandardIOParameters": {"inp_res": 1 / 254, "out_res": 1 / 254, "out_bound": 10.0, "out_noise": 0.04},
    "PresetUpdateParameters": {"desired_bl": 31},
}
"""Records whose defaults differ from those of the class that they derive from."""


class Written(NamedTuple):
    """Text of a configuration, and the settings that it cannot hold, "path = value"."""

    text: str
    missing: tuple[str, ...]


def from_aihwkit(source: Any) -> AnalogConfig:
    """Settings of a configuration of aihwkit.

    Parameters
    ----------
    source : str, mapping or object
        An ``rpu_config``: the object itself, its ``repr``, or JSON (`sptrack.interop.records`).

    Returns
    -------
    AnalogConfig
        Its ``missing`` names what has no equivalent. A mapping that is not given is not among it: layers are
        split and scaled by `sptrack.nn`.

    Raises
    ------
    ParameterError
        Text that cannot be read, a configuration without pulsed devices, a value outside its range.
    """
    missing: list[str] = []
    of = Reader(read_record(source), "config", missing)
    inner = of.record("device")
    if inner is None:
        got = of.name or "a record"
        raise ParameterError(f"config.device must be a device or a compound, got {got} without one")
    update = _scheme(of.record("update"), PulseScheme())
    forward, backward = _io(of.record("forward")), _io(of.record("backward"), backward=True)
    mapping = of.record("mapping")
    if mapping is not None:
        mapping.over(_MAPPING_ABSENT).close(_MAPPING, {})
    for key, plain in (("tile_class", ".AnalogTile"), ("tile_array_class", ".TileModuleArray")):
        if str(of.rest().get(key)).endswith(plain):
            of.plain(key)
    runtime, pre_post = of.record("runtime"), of.record("pre_post")
    if runtime is not None:
        runtime.close({"data_type": "FLOAT"}, dict.fromkeys(runtime.rest(), "data_type"))
    if pre_post is not None:
        inputs = pre_post.record("input_range")
        if inputs is not None and inputs.flag("enable", False):
            inputs.note("enable", True)
        pre_post.close({}, {})
    of.close({}, {})
    found = AnalogConfig(update=update, forward=forward, backward=backward)
    found = _compound(inner, found) if inner.name in _COMPOUNDS else replace(found, device=device_of(inner))
    return replace(found, missing=tuple(missing))


def to_aihwkit(config: AnalogConfig) -> Written:
    """Text of a configuration, which Python evaluates where aihwkit's names are imported.

    Its mapping is that of the layers of `sptrack.nn`. What ``config.missing`` names is missing here too.

    Raises
    ------
    ParameterError
        A response of a user's own.
    """
    missing = list(config.missing)
    compound = config.compound
    device = record_of(config.device, "device", missing)
    if compound is not None:
        slow = device if config.slow is None else record_of(config.slow, "slow", missing)
        device = _compound_record(compound, config, [device, slow])
        missing += _unwritten(compound)
    if config.backward.bound_management:
        missing.append("backward.bound_management = True")
    for key in ("noise_management", "bound_management"):
        if compound is not None and getattr(config.reads, key):
            missing.append(f"reads.{key} = True")
    record = Record(
        "SingleRPUConfig" if compound is None else "UnitCellRPUConfig",
        {
            "device": device,
            "forward": _io_record(config.forward),
            "backward": _io_record(config.backward),
            "update": _scheme_record(config.update),
            "mapping": Record("MappingParameter", _MAPPING),
        },
    )
    return Written(write_record(record), tuple(missing))


def _scheme(of: Reader | None, absent: PulseScheme) -> PulseScheme:
    if of is None:
        return absent
    of = of.over(_OWN_DEFAULTS.get(of.name, {}))
    kind = of.choice("pulse_type", "STOCHASTIC_COMPRESSED")
    if kind == "stochastic":  # the same counts in every cell; trains of both signs are apart
        of.note("pulse_type", Member("PulseType", "STOCHASTIC"))
        kind = "stochasticcompressed"
    if kind not in _TYPES:
        names = ", ".join(_TYPES_BACK.values())
        raise ParameterError(f"{of.path}.pulse_type must be one of {names}, got {kind}")
    scheme = PulseScheme(
        pulse_type=_TYPES[kind],
        train_length=of.whole("desired_bl", absent.train_length),
        update_management=of.flag("update_management", absent.update_management),
        length_management=of.flag("update_bl_management", absent.length_management),
        fixed_length=of.flag("fixed_bl", True),
        gradient_scale=of.number("um_grad_scale", 1.0),
        resolution=max(of.number("res", 0.0), 0.0),
        stochastic_rounding=of.flag("sto_round", False),
    )
    of.close(_UPDATE_NEUTRAL, {})
    return scheme


def _scheme_record(scheme: PulseScheme) -> Record:
    return Record(
        "UpdateParameters",
        {
            "pulse_type": Member("PulseType", _TYPES_BACK[scheme.pulse_type]),
            "desired_bl": scheme.train_length,
            "update_management": scheme.update_management,
            "update_bl_management": scheme.length_management,
            "fixed_bl": scheme.fixed_length,
            "um_grad_scale": scheme.gradient_scale,
            "res": scheme.resolution,
            "sto_round": scheme.stochastic_rounding,
        },
    )


def _io(of: Reader | None, *, backward: bool = False, absent: AnalogIO | None = None) -> AnalogIO:
    """Converters of a record; bound management of the backward pass is silently off in the simulator."""
    base = AnalogIO() if absent is None else absent
    if of is None:
        return replace(base, bound_management=False) if backward else base
    of = of.over(_OWN_DEFAULTS.get(of.name, {}))
    if of.flag("is_perfect", False):
        return IDEAL_IO
    scaled = _managed(of, "noise_management", "absmax", base.noise_management)
    bounded = _managed(of, "bound_management", "iterative", base.bound_management)
    io = AnalogIO(
        input_resolution=max(of.number("inp_res", 1 / 126), 0.0),
        output_resolution=max(of.number("out_res", 1 / 510), 0.0),
        input_bound=_bound(of.number("inp_bound", 1.0)),
        output_bound=_bound(of.number("out_bound", 12.0)),
        output_noise=of.number("out_noise", 0.06),
        noise_management=scaled,
        bound_management=bounded and not backward,
    )
    of.close(_IO_NEUTRAL, _IO_COMPANIONS)
    return io


def _managed(of: Reader, key: str, known: str, default: bool) -> bool:
    """Whether a management is on; another kind of it is named and taken as off."""
    kind = of.choice(key, known if default else "none")
    if kind not in (known, "none"):
        of.note(key, kind)
    return kind == known


def _bound(value: float) -> float:
    return value if value > 0 else math.inf


def _io_record(io: AnalogIO) -> Record:
    if io == IDEAL_IO:
        return Record("IOParameters", {"is_perfect": True})
    return Record(
        "IOParameters",
        {
            "inp_res": io.input_resolution,
            "out_res": io.output_resolution,
            "inp_bound": io.input_bound if math.isfinite(io.input_bound) else 0.0,
            "out_bound": io.output_bound if math.isfinite(io.output_bound) else 0.0,
            "out_noise": io.output_noise,
            "noise_management": Member("NoiseManagementType", "ABS_MAX" if io.noise_management else "NONE"),
            "bound_management": Member("BoundManagementType", "ITERATIVE" if io.bound_management else "NONE"),
        },
    )


def _compound(of: Reader, found: AnalogConfig) -> AnalogConfig:
    """``found`` with the devices and the transfer of a compound."""
    kind, chopped = _COMPOUNDS[of.name], of.name in ("ChoppedTransferCompound", "DynamicTransferCompound")
    devices = of.plain("unit_cell_devices")
    if not (isinstance(devices, list) and len(devices) == 2 and all(isinstance(d, Record) for d in devices)):
        raise ParameterError(f"{of.path}.unit_cell_devices must be two devices, got {shown(devices)}")
    paths = [f"{of.path}.unit_cell_devices[{k}]" for k in range(2)]
    fast, slow = (device_of(Reader(one, path, of.missing)) for one, path in zip(devices, paths, strict=True))
    every = of.number("transfer_every", 1.0)
    if not 1 <= every < math.inf:
        raise ParameterError(f"{of.path}.transfer_every must be at least 1, got {every:g}")
    if every != round(every):
        of.note("transfer_every", every)
    compound = CompoundSettings(
        gamma=of.number("gamma", 0.0),
        fast=FastUpdate(
            rate=of.number("fast_lr", 1.0),
            scaled=of.flag("scale_fast_lr", not chopped),
            auto_scale=chopped and of.flag("auto_scale", False),
            auto_momentum=of.number("auto_momentum", 0.99) if chopped else 0.99,
            scheme=found.update,
        ),
        transfer=SliceTransfer(
            every=round(every),
            columns=of.flag("transfer_columns", True),
            rate=of.number("transfer_lr", 1.0),
            scaled=of.flag("scale_transfer_lr", True),
            scheme=_scheme(of.record("transfer_update"), PulseScheme() if kind == "tt-v1" else _SINGLE),
        ),
        buffer=None if kind == "tt-v1" else _buffer(of, kind),
        chopper=_chopper(of, kind) if chopped else None,
    )
    batched = of.flag("units_in_mbatch", not chopped)
    reads = _io(of.record("transfer_forward"), absent=READS)
    if reads != IDEAL_IO:  # whatever is asked there, slices are read without either
        reads = replace(reads, noise_management=False, bound_management=False)
    of.close(_COMPOUND_NEUTRAL, {})
    return replace(found, device=fast, slow=slow, compound=compound, batched=batched, reads=reads)


def _buffer(of: Reader, kind: str) -> Buffer:
    chopped = kind != "tt-v2"
    if chopped and "thres_scale" in of:
        of.plain("thres_scale")  # without effect there
    return Buffer(
        scale=of.number("buffer_granularity" if chopped else "thres_scale", 1.0),
        auto_granularity=of.number("auto_granularity", 0.0) if chopped else 0.0,
        momentum=of.number("momentum", 0.0 if chopped else 0.1),
        forget=of.flag("forget_buffer", True),
        cap=of.number("buffer_cap", 0.0) if kind == "agad" else 0.0,
        correct_magnitudes=chopped and of.flag("correct_gradient_magnitudes", False),
    )


def _chopper(of: Reader, kind: str) -> SliceChopper | None:
    probability = of.number("in_chop_prob", 0.1)
    random = of.flag("in_chop_random", kind == "c-ttv2")
    tail = of.number("tail_weightening", 5.0) if kind == "agad" else 0.0
    if kind == "agad" and "out_chop_prob" in of:
        of.plain("out_chop_prob")  # without effect there
    if probability == 0 and kind == "agad":
        raise ParameterError(f"{of.path}.in_chop_prob must be > 0, got 0")
    return SliceChopper(probability=probability, random=random, tail=tail)


def _unwritten(compound: CompoundSettings) -> list[str]:
    """Settings that the compound of the same kind does not have."""
    kind, buffer, fast = kind_of(compound), compound.buffer or Buffer(), compound.fast
    none = Buffer()
    found = {"transfer.read_noise": (compound.transfer.read_noise, 0.0)}
    if kind != "agad":
        found["buffer.cap"] = buffer.cap, none.cap
    if kind in ("tt-v1", "tt-v2"):
        found["fast.auto_scale"] = fast.auto_scale, False
        found["buffer.auto_granularity"] = buffer.auto_granularity, none.auto_granularity
        found["buffer.correct_magnitudes"] = buffer.correct_magnitudes, none.correct_magnitudes
    return [f"compound.{key} = {value}" for key, (value, neutral) in found.items() if value != neutral]


def _compound_record(compound: CompoundSettings, config: AnalogConfig, devices: list[Record]) -> Record:
    kind, buffer, chopper = kind_of(compound), compound.buffer, compound.chopper
    name = next(name for name, one in _COMPOUNDS.items() if one == kind)
    values: dict[str, Any] = {
        "unit_cell_devices": devices,
        "gamma": compound.gamma,
        "transfer_every": compound.transfer.every,
        "units_in_mbatch": config.batched,
        "fast_lr": compound.fast.rate,
        "scale_fast_lr": compound.fast.scaled,
        "transfer_lr": compound.transfer.rate,
        "scale_transfer_lr": compound.transfer.scaled,
        "transfer_columns": compound.transfer.columns,
        "transfer_forward": _io_record(config.reads),
        "transfer_update": _scheme_record(compound.transfer.scheme),
    }
    if buffer is not None:
        values["momentum"], values["forget_buffer"] = buffer.momentum, buffer.forget
        values["buffer_granularity" if chopper else "thres_scale"] = buffer.scale
    if buffer is not None and chopper is not None:
        values |= {
            "auto_granularity": buffer.auto_granularity,
            "correct_gradient_magnitudes": buffer.correct_magnitudes,
            "auto_scale": compound.fast.auto_scale,
            "auto_momentum": compound.fast.auto_momentum,
            "in_chop_prob": chopper.probability,
            "in_chop_random": chopper.random,
        }
        if kind == "agad":
            values |= {"tail_weightening": chopper.tail, "buffer_cap": buffer.cap}
    return Record(name, values)
