"""`sptrack train`: nets trained on tracked arrays."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sptrack.cli._figures import write_figures
from sptrack.cli._folder import kept_folder
from sptrack.cli._show import Column, console, show_lines, show_next, show_table, show_verdict
from sptrack.devices.config import read_toml
from sptrack.errors import ParameterError
from sptrack.intervals import interval_text, wilson_interval
from sptrack.results import json_text, save, write_atomic

if TYPE_CHECKING:
    from sptrack.nn.data import Images
    from sptrack.nn.training import Trainer, TrainSettings


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class NetInput:
    """Net, data and device.

    Parameters
    ----------
    net
        fcn, lenet5, or a Python file with a function net(shape, classes) that returns a torch module.
    data
        digits (scikit-learn's), mnist (in SPTRACK_DATA/mnist), or a folder with the IDX files of MNIST.
    device
        Preset of the cells or TOML file; the default is that of the published runs, reram-array-hfo2. A
        read_noise in the file takes the place of the converter's on reads.
    ref_mean
        Mean of the error of the subtracted reference, weight units; default: of the device's file, else 0.
    ref_std
        Std of that error, cell by cell; default: of the device's file, else 0.05.
    filter
        Filter of the reference instead of the method's own, as of `sptrack track`.
    chopper
        Chopper of the columns instead of the method's own; a sample is a read of the column.
    config
        TOML file with tables [tile], [io], [filter], [chopper], [device]; options override the file.
    """

    net: str = "fcn"
    data: str = "digits"
    device: str | None = None
    ref_mean: float | None = None
    ref_std: float | None = None
    filter: str | None = None
    chopper: str | None = None
    config: Path | None = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class TrainAmount:
    """Epochs, batch, rate and seeds.

    Parameters
    ----------
    epochs
        Passes over the data.
    batch
        Images of a mini-batch; default: 10, for lenet5 8.
    lr
        Learning rate of the first epochs; the default is that of the method. It is halved every 15 epochs,
        for lenet5 divided by 10 every 30.
    per_sample
        Arrays follow the gradient of each image, not that of the mean of a mini-batch, which is smaller: the
        default for digits, whose epochs are short.
    seed
        Root seed of start weights, order and noise.
    device_seed
        Root seed of the cells.
    """

    epochs: int = 20
    batch: int | None = None
    lr: float | None = None
    per_sample: bool | None = None
    seed: int = 0
    device_seed: int = 0


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOutput:
    """Output of the results.

    Parameters
    ----------
    out
        Folder for the table as JSON, the dataset, the figure, and the state of every run.
    resume
        Go on from the states in that folder: after an interrupt, or to more epochs.
    json
        Print the table as JSON alone.
    quiet
        No progress on stderr.
    """

    out: Path | None = None
    resume: bool = False
    json: bool = False
    quiet: bool = False


_SAVE_EVERY = 30.0
"""Seconds after which the state is written, and at the end of every epoch."""
_NET, _AMOUNT, _OUTPUT = NetInput(), TrainAmount(), TrainOutput()


def train(
    *,
    method: str | None = None,
    compare: Annotated[tuple[str, ...] | None, Parameter(consume_multiple=True)] = None,
    net: NetInput = _NET,
    amount: TrainAmount = _AMOUNT,
    output: TrainOutput = _OUTPUT,
) -> int:
    """Train a neural network on analog arrays.

    Parameters
    ----------
    method
        Method: sgd, tt-v1, tt-v2, c-ttv2, agad, residual, two-stage, rider, e-rider (the default),
        e-rider-paper, o-rider.
    compare
        Methods to compare.
    net
        Net, data, device, settings.
    amount
        Epochs, batch, rate, seeds.
    output
        Folder and form of the results.
    """
    if method is not None and compare is not None:
        raise ParameterError("--method and --compare: only one of them can be given")
    if compare == ():
        raise ParameterError("--compare needs names of methods")
    twice = [name for name in compare or () if (compare or ()).count(name) > 1]
    if twice:
        raise ParameterError(f"--compare must name each method once, got {twice[0]} more than once")
    if output.resume and output.out is None:
        raise ParameterError("--resume needs --out with the folder of the interrupted run")
    if amount.epochs < 1:
        raise ParameterError(f"epochs must be at least 1, got {amount.epochs}")
    from sptrack.nn.config import images_named
    from sptrack.nn.training import Trainer, curves

    names = compare or (method or "e-rider",)
    asked = {name: _settings(name, net, amount) for name in names}
    images = images_named(net.data)
    with kept_folder(output.out) as folder:
        runs: dict[str, Trainer] = {}
        for name, settings in asked.items():
            runs[name] = Trainer(settings, images)
            _train(runs[name], name, amount.epochs, output)
        rows = [{"method": name, **_summary(run)} for name, run in runs.items()]
        if folder is not None:
            write_atomic(folder / "train.json", json_text(rows))
            data = curves(runs)
            save(data, folder / "train.nc")
            write_figures(folder, data, train="sptrack.plotting.training:training_figure")
    if output.json:
        print(json_text(rows), end="")
    else:
        _print(rows, net, images, output.out)
    if output.out is not None and not output.quiet:
        print(f"wrote {output.out}", file=sys.stderr)
    return 0


def _settings(name: str, net: NetInput, amount: TrainAmount) -> "TrainSettings":
    """Settings of one run from method, file and options, the later ones first."""
    from sptrack.nn.config import TABLES, train_settings

    tables = {} if net.config is None else read_toml(net.config)
    for key, value in tables.items():
        if key not in TABLES or not isinstance(value, dict):
            raise ParameterError(f"{net.config}: table {key!r} must be one of {', '.join(TABLES)}")
    names = ("net", "data", "device", "ref_mean", "ref_std", "filter", "chopper")
    options = {key: getattr(net, key) for key in names}
    options |= {key: getattr(amount, key) for key in ("lr", "batch", "per_sample", "seed", "device_seed")}
    given = {key: value for key, value in options.items() if value is not None}
    return train_settings(tables | given | {"method": name}, str(net.config or "train"))


def _train(run: "Trainer", name: str, epochs: int, output: TrainOutput) -> None:
    """Train one method, with a bar; its state goes to the output folder, also when it is to end early."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    state = None if output.out is None else output.out / "checkpoints" / f"{name}.pt"
    if state is not None:
        state.parent.mkdir(exist_ok=True)
        if output.resume and state.exists():
            run.load(state)
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TimeRemainingColumn())
    hidden = output.quiet or not console.is_terminal
    with (
        _signals_kept() as asked,
        Progress(*columns, console=console, transient=True, disable=hidden) as bar,
    ):
        task = bar.add_task(name, total=epochs * run.batches)

        def move(run: "Trainer", batch: int, loss: float) -> None:
            last = f", test {run.history[-1]['accuracy']:.1f} %" if run.history else ""
            text = f"{name} epoch {len(run.history) + 1}: loss {loss:.3f}{last}, {run.pulses:.2e} pulses"
            bar.update(task, description=text, completed=len(run.history) * run.batches + batch)

        def due() -> bool:
            return bool(asked) or time.monotonic() > saved + _SAVE_EVERY

        while len(run.history) < epochs and not asked:
            saved = time.monotonic()
            run.run(len(run.history) + 1, progress=move, stopped=due)
            if state is not None:
                run.save(state)


@contextmanager
def _signals_kept() -> Iterator[list[int]]:
    """Signals that ask for the end, in a list: the first is kept until the block ends, a second ends it."""
    asked: list[int] = []
    before: dict[int, Any] = {}

    def give_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: Any) -> None:
        asked.append(number)
        if len(asked) > 1:
            give_back()
            signal.raise_signal(number)

    if current_thread() is main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) not in (None, signal.SIG_IGN):
                before[number] = signal.signal(number, note)
    try:
        yield asked
    finally:
        give_back()
    if asked:
        signal.raise_signal(asked[0])


def _summary(run: "Trainer") -> dict[str, Any]:
    last = run.history[-1]
    best = max(one["accuracy"] for one in run.history)
    return {**last, "best_accuracy": best, "history": run.history}


def _print(rows: list[dict[str, Any]], net: NetInput, data: "Images", out: Path | None) -> None:
    to, images = console(), len(data.test)
    word, text, good = _verdict(rows, images, data.classes)
    epochs = rows[0]["epoch"]
    setting = f"{net.net} on {net.data}, {epochs} epoch{'s' if epochs > 1 else ''}"
    show_verdict(to, word, f"{text} ({setting})", good)
    columns = (
        Column("method", left=True),
        Column("test % (95 %)"),
        Column("best epoch %", 2),
        Column("loss", 1),
        Column("pulses"),
        Column("reads", 3),
        Column("seconds", 4),
    )
    body = []
    for row in rows:
        numbers = (_percent(row, images), f"{row['best_accuracy']:.2f}", f"{row['loss']:.3f}")
        counts = (f"{row['pulses']:.3g}", f"{row['reads']:.3g}", f"{row['seconds']:.0f}")
        body.append([row["method"], *numbers, *counts])
    show_table(to, "", columns, body)
    text = (
        f"Intervals: of {images:,} test images; other cells or start weights are not counted (other --seed)."
    )
    show_lines(to, [text])
    show_next(to, _advice(rows, word, out))


def _verdict(rows: list[dict[str, Any]], images: int, classes: int) -> tuple[str, str, bool | None]:
    """Word, reason and meaning: the method with the highest accuracy, where the intervals tell."""
    ranked = sorted(rows, key=lambda row: -row["accuracy"])
    best = ranked[0]
    told = f"{best['method']} classifies {_percent(best, images)} % of the test images"
    if _ends(best, images)[0] <= 100 / classes:
        return "NOT LEARNED", f"{told}; chance is {100 / classes:.3g} %", False
    if len(rows) == 1:
        return "TRAINED", told, None
    low = _ends(best, images)[0]
    near = [row["method"] for row in ranked[1:] if _ends(row, images)[1] >= low]
    if near:
        return "NOT RESOLVED", f"{told}; its interval overlaps with {', '.join(near)}", None
    return "BEST", f"{told}, {ranked[1]['method']} {_percent(ranked[1], images)} %", True


def _ends(row: dict[str, Any], images: int) -> tuple[float, float]:
    """95 % interval of an accuracy, percent, from the number of test images."""
    low, high = wilson_interval(row["accuracy"] / 100, images)
    return 100 * low, 100 * high


def _percent(row: dict[str, Any], images: int) -> str:
    return interval_text(row["accuracy"], *_ends(row, images))


def _advice(rows: list[dict[str, Any]], word: str, out: Path | None) -> str:
    if word == "NOT LEARNED":
        return "more --epochs, or another --lr"
    if out is not None:
        return f"sptrack report {out} makes one page of it; --resume with more --epochs goes on"
    if len(rows) == 1:
        return "--compare NAME NAME sets methods side by side; --out DIR keeps states, table and figure"
    return "--out DIR keeps states, table and figure; another --seed shows the spread over cells and starts"
