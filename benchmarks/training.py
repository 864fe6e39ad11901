"""Training on tracked arrays: CPU time of each phase of a mini-batch, one thread, beside what bounds it.

Where the reference simulator is installed, the same mini-batches are trained on it in turn, with the nearest
settings that it has (`benchmarks.simulator`).
"""

import time
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from analysis._training import BATCH, mnist_folder
from benchmarks.ceiling import copied_bytes_per_second, multiply_adds_per_second
from benchmarks.commands import YARDSTICK
from benchmarks.report import Row

EPOCHS = {"agad": 19.0 / 3, "e-rider": 82.0 / 8}
"""Seconds of an epoch of the fully connected net asked on the machine of `YARDSTICK`: a third of what the
reference simulator's AGAD takes there, an eighth of its chopped compound with gamma."""
TIMES = {"agad": 3.0, "e-rider": 8.0}
"""How many times as fast as the reference simulator an epoch of the fully connected net is asked to be."""
UPDATES = 3.0
"""How many times as fast as there updates are asked to be."""
PULSE_BYTES = 4 * (6 + 2 * 3)
"""Bytes that a pulse reads and writes: parameters of a cell, its weight and its counts."""
WARM, TURN = 20, 50
"""Mini-batches before those that are measured; mini-batches at a time where two take turns."""


def rows(method: str, net: str, batches: int) -> Iterator[Row]:
    """Phases of ``batches`` mini-batches of MNIST with the published settings, after a few others."""
    import torch

    from benchmarks import simulator
    from sptrack.nn.data import load_images
    from sptrack.nn.training import Trainer, TrainSettings, published_device, published_settings

    torch.set_num_threads(1)
    settings, lr = published_settings(method, net)
    device, batch = published_device(0.0, 0.05), BATCH[net]
    images = load_images(str(mnist_folder()))
    run = Trainer(TrainSettings(net=net, settings=settings, device=device, lr=lr, batch=batch), images)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(images.train)))
    parts = order.split(batch)
    there = simulator.Simulated(net, settings, device, lr, images) if simulator.installed() else None
    measured = parts[WARM : WARM + batches]
    _train(run, parts[:WARM])
    if there is not None:
        there.train(parts[:WARM])
        there.forget()
    batches = len(measured)
    spent, work = _timed(run)
    before, total = run.pulses, 0.0
    for first in range(0, batches, TURN):
        part = measured[first : first + TURN]
        total += _train(run, part)
        if there is not None:
            there.train(part)
    pulses = run.pulses - before
    spent["update"] -= spent["transfer"]
    shares = {
        "forward": work["forward"] / multiply_adds_per_second(),
        "backward": work["backward"] / multiply_adds_per_second(),
        "update": pulses * PULSE_BYTES / copied_bytes_per_second(),
    }
    name = f"{method}, {net}"
    for phase, seconds in spent.items():
        share = shares[phase] / seconds if phase in shares else None
        yield Row(f"{name}: {phase}", 1e3 * seconds / batches, "ms a batch", fraction=share)
    yield Row(f"{name}: the rest", 1e3 * (total - sum(spent.values())) / batches, "ms a batch")
    yield Row(f"{name}: pulses by time of updates", pulses / spent["update"], "pulses/s")
    epoch = total / batches * run.batches
    yield Row(f"{name}: an epoch", epoch, "s")
    scaled = epoch * multiply_adds_per_second() / YARDSTICK
    yield Row(f"{name}: an epoch, scaled", scaled, "s", EPOCHS.get(method) if net == "fcn" else None, True)
    if there is not None:
        yield Row(f"{name}: an epoch of the simulator", there.seconds / batches * run.batches, "s")
        asked = TIMES if net == "fcn" else {}
        yield Row(f"{name}: times as fast as it", there.seconds / total, "times", asked.get(method))
        ratio = there.updates / (spent["update"] + spent["transfer"])
        yield Row(f"{name}: updates, times as fast", ratio, "times", UPDATES if asked else None)


def _train(run, parts):  # type: ignore[no-untyped-def]
    """CPU seconds of mini-batches."""
    begin = time.process_time()
    for part in parts:
        run._step(part)
    return time.process_time() - begin


def _timed(run):  # type: ignore[no-untyped-def]
    """Seconds by phase and multiply-adds by direction, of what the tiles of ``run`` do from now on."""
    spent, work = defaultdict(float), defaultdict(float)

    def watch(tile, attribute, phase):
        inner = getattr(tile, attribute)

        def timed(*given):
            begin = time.process_time()
            out = inner(*given)
            spent[phase] += time.process_time() - begin
            if phase in ("forward", "backward"):
                passes = 2 if tile.settings.residual == "stored" and tile.settings.gamma > 0 else 1
                work[phase] += passes * len(given[0]) * tile.shape[0] * tile.shape[1]
            return out

        setattr(tile, attribute, timed)

    for layer in run.layers:
        for tile in layer.tiles:
            for attribute in ("forward", "backward", "update"):
                watch(tile, attribute, attribute)
            watch(tile, "_transfer", "transfer")
    return spent, work
