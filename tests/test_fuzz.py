"""Files with anything in them: read, or refused in one line that names the file."""

import random
import warnings

import numpy as np
import pytest

from sptrack import ParameterError, preset
from sptrack.blocks.spec import filter_from
from sptrack.design.plan import table_values
from sptrack.design.specification import load_specification
from sptrack.devices.config import device_to_toml, load_device, read_toml
from sptrack.errors import SptrackError
from sptrack.fitting import fit_responses, read_measurement
from sptrack.fitting.recipe import load_recipe
from sptrack.tracking.config import Setup, load_setup, setup_to_toml
from sptrack.tracking.recorded import recorded_gradient

UP = 10 + 40 * (1 - np.exp(-np.arange(40) / 25))
DOWN = UP[-1] - 40 * (1 - np.exp(-np.arange(40) / 15))

SPECIFICATION = """
device = "ecram"
steps = 2000
read_noise = 0.01
[require]
rms = 0.1
settling = 1000
pulses = 2000
"""
RECIPE = """
quantity = "conductance"
range = [10.0, 60.0]
decimal = "."
[columns]
reading = "G"
[directions]
up = "set"
"""
TUNING = """
[tune]
trials = 10
sampler = "random"
objective = ["w", "pulses"]
[tune.vary]
alpha = "1e-3:0.1"
eta = true
beta = [0.001, 0.01]
"""


def tuning(path):
    return table_values(read_toml(path).get("tune", {}), str(path))


def rows(form, separator, header):
    lines = [separator.join(header)]
    lines += [form.format(k=k, up=up, down=down) for k, (up, down) in enumerate(zip(UP, DOWN, strict=True))]
    return "\n".join(lines) + "\n"


TOML = {
    "device": (load_device, device_to_toml(preset("ecram"))),
    "setup": (load_setup, setup_to_toml(Setup())),
    "chain": (load_setup, 'filter = "ema:eta=0.01,order=2"\n[chopper]\nkind = "telegraph"\np = 0.01\n'),
    "specification": (load_specification, SPECIFICATION),
    "recipe": (load_recipe, RECIPE),
    "tuning": (tuning, TUNING),
}
LONG = "\n".join(
    ["step,direction,G (uS)"]
    + [f"{k},{'set' if k % 80 < 40 else 'reset'},{g:.4f}" for k, g in enumerate(np.r_[UP, DOWN, UP, DOWN])]
)
CSV = {
    "two columns": (read_measurement, rows("{up:.4f},{down:.4f}", ",", ("up (uS)", "down (uS)"))),
    "german": (
        read_measurement,
        rows("{up:.4f};{down:.4f}", ";", ("LTP (uS)", "LTD (uS)")).replace(".", ","),
    ),
    "tabs": (read_measurement, rows("{k}\t{up:.5e}\t{down:.5e}", "\t", ("pulse", "G_up", "G_down"))),
    "long": (read_measurement, LONG),
    "gradients": (recorded_gradient, rows("{k},{up:.3f},{down:.3f}", ",", ("step", "a", "b"))),
    "taps": (lambda path: filter_from(f"fir:file={path}"), "0.25\n0.5\n0.125\n0.125\n"),
}
WORDS = (
    *["nan", "inf", "-inf", "1e999", "-1", "0", "1e-320", "9" * 20, "true", "None", "1970-01-01", "0x10"],
    *[
        "up",
        "uS",
        "kOhm",
        "[",
        "]",
        "{",
        "}",
        "=",
        ",",
        ";",
        "'",
        "[[",
        "]]",
        "#",
        ".",
        "..",
        "+",
        "-",
        "µ",
        "𝛀",
    ],
    *['""', '"', "\\", "\t", "\n", "\r", "\0", "\ufeff"],
    *["[" * 3000, "{a=" * 3000, "a." * 3000, "9" * 5000, " " * 5000],
)


def spoilt(text, rng):
    """A text with a few places changed as files are: cut, doubled, exchanged, with words put in."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        lines = text.split("\n")
        k, other = rng.randrange(len(lines)), rng.randrange(len(lines))
        at = rng.randrange(len(text) + 1)
        change = rng.randrange(8)
        if change == 0:
            text = text[:at] + rng.choice(WORDS) + text[at:]
        elif change == 1:
            text = text[:at] + text[at + rng.choice((1, 2, 10)) :]
        elif change == 2:
            text = text[:at]
        elif change == 3:
            lines[k], lines[other] = lines[other], lines[k]
            text = "\n".join(lines)
        elif change == 4:
            lines.insert(other, lines[k])
            text = "\n".join(lines)
        elif change == 5:
            text = text[:at] + chr(rng.randrange(1, 0x250)) + text[at + 1 :]
        else:
            mark = rng.choice("=,;\t")
            words = lines[k].split(mark)
            words[rng.randrange(len(words))] = rng.choice(WORDS)
            lines[k] = mark.join(words)
            text = "\n".join(lines)
        if not text:
            return text
    return text


def encoded(text, rng):
    form = rng.choice(("utf-8",) * 6 + ("utf-8-sig", "utf-16", "latin-1"))
    data = bytearray(text.encode(form, "replace"))
    if data and rng.random() < 0.2:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def read_or_refused(kinds, number, path, seed, after=lambda _: None):
    """How many of so many spoilt files were read, and how many refused."""
    rng = random.Random(seed)
    read = refused = 0
    for k in range(number):
        load, text = kinds[rng.choice(sorted(kinds))]
        data = encoded(spoilt(text, rng), rng)
        path.write_bytes(data)
        said = ""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                after(load(path))
            read += 1
        except SptrackError as error:
            refused += 1
            said = str(error)
        except Exception as error:
            raise AssertionError(f"file {k} of seed {seed}: {data[:2000]!r}") from error
        assert "\n" not in said, (k, data)
        assert len(said) < 1000, (k, data)
    return read, refused


@pytest.mark.parametrize(("kinds", "name"), [(TOML, "a.toml"), (CSV, "a.csv")], ids=["toml", "csv"])
def test_any_file_is_read_or_refused(tmp_path, kinds, name):
    for load, text in kinds.values():
        (tmp_path / name).write_text(text, encoding="utf-8")
        load(tmp_path / name)
    read, refused = read_or_refused(kinds, 500, tmp_path / name, seed=1)
    assert min(read, refused) > 15


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("kinds", "name"), [(TOML, "a.toml"), (CSV, "a.csv")], ids=["toml", "csv"])
def test_any_of_very_many_files_is_read_or_refused(tmp_path, kinds, name):
    read_or_refused(kinds, 50_000, tmp_path / name, seed=2)


def fitted(measurement):
    assert fit_responses(measurement, "soft-bounds").cells


MEASURED = {name: CSV[name] for name in ("two columns", "german", "tabs", "long")}


@pytest.mark.compiled
@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 5])
def test_fits_of_any_file_end_or_are_refused(tmp_path, seed):
    read, _ = read_or_refused(MEASURED, 25, tmp_path / "a.csv", seed=seed, after=fitted)
    assert read > 4


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_fits_of_very_many_files_end_or_are_refused(tmp_path):
    read_or_refused(MEASURED, 1000, tmp_path / "a.csv", seed=4, after=fitted)


@pytest.mark.parametrize("depth", [200, 3_000])
@pytest.mark.parametrize("text", ["a = {0}1{1}", "a = {2}1{3}", "{4}b = 1", "[{4}a]", "[{5}]\n{4}b = 1"])
def test_deep_files_are_refused_in_one_line(tmp_path, depth, text):
    path = tmp_path / "a.toml"
    opened = ("[" * depth, "]" * depth, "{b=" * depth, "}" * depth, "a." * depth)
    tables = ("response", "method", "chopper", "require", "columns", "tune")
    for (load, _), table in zip(TOML.values(), tables, strict=True):
        path.write_text(text.format(*opened, table))
        with pytest.raises(ParameterError, match=r"a\.toml") as caught:
            load(path)
        assert len(str(caught.value)) < 1000
