"""Specifications: files, recordings, limits, and what is refused with one line."""

import numpy as np
import pytest

from sptrack.design import (
    Gradient,
    Requirements,
    Specification,
    load_specification,
    specification_from_mapping,
)
from sptrack.devices.presets import preset
from sptrack.errors import ParameterError
from sptrack.tracking.recorded import RecordedGradient

RMS = {"require": {"rms": 0.05}}


def test_a_file_says_all(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text(
        'device = "idealized"\nsteps = 3000\nread_noise = 0.01\ncurvature = [0.5, 2]\ntrain = false\n'
        "[gradient]\nmean = -0.1\nstd = 0.3\n[require]\nbias = 0.01\nprograms = 0\n"
    )
    assert load_specification(path) == Specification(
        requirements=Requirements(bias=0.01, programs=0),
        device=preset("idealized"),
        gradient=Gradient(mean=-0.1, std=0.3),
        steps=3000,
        read_noise=0.01,
        curvature=(0.5, 2),
        train=False,
    )


def test_training_adds_what_it_needs_unless_told():
    limits = specification_from_mapping(RMS).requirements
    assert (limits.converging, limits.weights) == (10000, pytest.approx(0.05))
    given = specification_from_mapping({"require": {"rms": 0.05, "converging": 7, "weights": 0.3}})
    assert (given.requirements.converging, given.requirements.weights) == (7, 0.3)
    untrained = specification_from_mapping(RMS | {"train": False}).requirements
    assert untrained.limits == {"rms": 0.05}


@pytest.mark.parametrize(
    ("name", "value", "limits", "excess"),
    [
        ("rms", 0.1, {"rms": 0.05}, 2.0),
        ("rms", 0.1, {"bias": 0.05}, 0.0),
        ("rms", np.nan, {"rms": 0.05}, np.inf),
        ("signal", 0.25, {"rms": 1.0, "signal": 0.5}, 2.0),
        ("signal", 0.0, {"rms": 1.0, "signal": 0.5}, np.inf),
        ("signal", 0.0, {"rms": 1.0, "signal": 0.0}, 0.0),
        ("programs", 1.0, {"programs": 0}, np.inf),
        ("programs", 0.0, {"programs": 0}, 0.0),
    ],
)
def test_excess_is_the_ratio_that_breaks_a_limit_above_one(name, value, limits, excess):
    assert Requirements(**limits).excess(name, value) == excess


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, r"\[require\]"),
        ({"require": {}}, "at least one of bias"),
        ({"require": {"signal": 0.5}}, "at least one of bias"),
        ({"require": {"rmss": 0.1}}, "unknown key 'require.rmss'.*did you mean 'rms'"),
        ({"require": {"rms": "small"}}, "require.rms must be a finite number.*got 'small'"),
        ({"require": {"rms": True}}, "require.rms must be a finite number.*got True"),
        ({"require": {"rms": -0.1}}, "require.rms must .*got -0.1"),
        ({"require": {"rms": 10**400}}, "require.rms must .*finite number"),
        ({"require": {"rms": 0.1, "signal": 1}}, "require.signal must .*got 1"),
        ({"require": {"rms": 0.01, "bias": 0.02}}, "rms includes the bias"),
        ({"require": {"settling": 30000}}, "within the run of"),
        (RMS | {"step": 5}, "unknown key 'step'.*did you mean 'steps'"),
        (RMS | {"steps": 5}, "steps must be a whole number in 100 .. 10000000, got 5"),
        (RMS | {"steps": 1e4}, "steps must .*a whole number.*got 10000.0"),
        (RMS | {"steps": True}, "steps must .*a whole number.*got True"),
        (RMS | {"train": 1}, "train must .*true or false.*got 1"),
        (RMS | {"read_noise": -1.0}, "read_noise must .*got -1.0"),
        (RMS | {"curvature": 1.0}, "curvature must .*two numbers.*got 1.0"),
        (RMS | {"curvature": [1.0, 0.5]}, "smallest <= largest"),
        (RMS | {"device": 3}, "device must be a preset's name or a table, got 3"),
        (RMS | {"device": "soft-bound"}, "soft-bound"),
        (RMS | {"gradient": 3}, "gradient must .*a table.*got 3"),
        (RMS | {"gradient": {"men": 3}}, "unknown key 'gradient.men'.*did you mean 'mean'"),
        (RMS | {"gradient": {"std": "x"}}, "gradient.std must be a finite number.*got 'x'"),
        (RMS | {"gradient": {"std": -1.0}}, "std >= 0"),
        (RMS | {"gradient": {"mean": 0.0, "std": 0.0}}, "without pulses"),
        (RMS | {"gradient": {"recorded": 3}}, "gradient.recorded"),
        (RMS | {"gradient": {"recorded": "a.csv", "mean": 0.1}}, "without mean and std"),
        (RMS | {"gradient": {"recorded": "missing.csv"}}, "missing.csv: cannot be read"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(mapping, message):
    with pytest.raises(ParameterError, match=message) as caught:
        specification_from_mapping(mapping)
    assert "\n" not in str(caught.value)


def recorded(tmp_path, text):
    (tmp_path / "g.csv").write_text(text)
    return specification_from_mapping(RMS | {"gradient": {"recorded": "g.csv"}}, folder=tmp_path).gradient


@pytest.mark.parametrize("header", ["", "one,two\n"])
def test_a_recording_is_dealt_out_and_repeated(tmp_path, header):
    gradient = recorded(tmp_path, f"{header}1,10\n2,20\n6,60\n")
    mean, std = gradient.over(3)
    np.testing.assert_allclose(mean, [3, 30, 3])
    np.testing.assert_allclose(std, np.std([1, 2, 6]) * np.array([1, 10, 1]))
    expected = [[1, 10, 1], [2, 20, 2], [6, 60, 6], [1, 10, 1]]
    np.testing.assert_array_equal(gradient.drive(4, 3), expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\n3\n", "row 2, column 2: a gradient must be finite, got ''"),
        ("a,b\n1,2\n3,x\n", "row 3, column 'b': a gradient must be finite, got 'x'"),
        ("1\n2\nnan\n", "row 3, column 1: a gradient must be finite, got 'nan'"),
        ("1\n", "at least 2 steps"),
        ("", "no readings, the file is empty"),
    ],
)
def test_bad_rows_of_a_recording_are_named(tmp_path, text, message):
    with pytest.raises(ParameterError, match=message):
        recorded(tmp_path, text)


def test_correlation_is_that_of_successive_steps(tmp_path):
    slow = np.repeat(np.random.default_rng(1).standard_normal((2000, 3)), 2, axis=0)
    assert RecordedGradient(values=slow).correlation == pytest.approx(0.5, abs=0.05)
    assert RecordedGradient(values=np.ones((5, 2))).correlation == 0
