"""Programs for a bench, written and read back; benches whose answers are checked."""

import numpy as np
import pytest

from sptrack import Crossbar, Device, ParameterError, calibrator, sample_cells
from sptrack.fitting import Recipe
from sptrack.fitting.bench import read_answers, write_program
from sptrack.fitting.programs import parse_program

PROGRAM = "up:30 down:30 x2 alternating:20"


def answers(directions):
    """Readings of a simulated array after each pulse of a program [count, R, C]."""
    bar, out = Crossbar(sample_cells(Device(dw_min=0.02), directions.shape[1:], seed=1), seed=1), []
    for one in directions:
        bar.pulse(one[None], 1)
        out.append(bar.read())
    return np.array(out, np.float64)


def test_programs_come_back_with_their_answers(tmp_path):
    """The same measurement by .npy and by the filled-in .csv: directions and readings of every cell."""
    write_program(PROGRAM, tmp_path / "program.npy", shape=(1, 2))
    directions = np.load(tmp_path / "program.npy")
    np.testing.assert_array_equal(directions[:, 0, 1], parse_program(PROGRAM))
    readings = answers(directions)
    np.save(tmp_path / "answers.npy", readings)
    write_program(PROGRAM, tmp_path / "program.csv", shape=(1, 2))
    lines = (tmp_path / "program.csv").read_text().splitlines()
    filled = [line + repr(float(v)) for line, v in zip(lines[1:], readings[:, 0].T.ravel(), strict=True)]
    (tmp_path / "program.csv").write_text("\n".join([lines[0], *filled]) + "\n")
    recipe = Recipe(range=(-1.0, 1.0))
    for found in (
        read_answers(tmp_path / "program.npy", tmp_path / "answers.npy", recipe),
        read_answers(tmp_path / "program.csv", recipe=recipe),
    ):
        assert [one.name for one in found.cells] == ["0 0", "0 1"]
        for column, one in enumerate(found.cells):
            np.testing.assert_allclose(one.readings, readings[:, 0, column], atol=1e-12)
            np.testing.assert_array_equal(one.pulses, directions[:, 0, column])


def test_refused_programs(tmp_path):
    with pytest.raises(ParameterError, match="directions 1, -1 or 0"):
        write_program([2, 3], tmp_path / "a.csv")
    with pytest.raises(ParameterError, match=r"as \.csv or \.npy"):
        write_program(PROGRAM, tmp_path / "a.txt")
    write_program(PROGRAM, tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.zeros((3, 1, 1)))
    with pytest.raises(ParameterError, match="must have the shape of the program"):
        read_answers(tmp_path / "a.npy", tmp_path / "b.npy")
    with pytest.raises(ParameterError, match="cannot be read as"):
        read_answers(tmp_path / "none.npy", tmp_path / "b.npy")


class Bench:
    shape = (1, 2)

    def __init__(self, answer):
        self.answer = answer

    def pulse(self, program, count=None):
        pass

    def read(self, noise=0.0):
        return self.answer


class NoRead:
    shape = (1, 2)

    def pulse(self, program, count=None):
        pass


@pytest.mark.parametrize(
    ("bench", "message"),
    [
        (NoRead(), r"bench NoRead: method read\(\) is missing"),
        (Bench(np.array([[0.1, np.nan]])), r"must be finite, got nan in cell \(0, 1\)"),
        (Bench(np.zeros(2)), r"must have shape \(1, 2\), got \(2,\)"),
        (Bench("0.1"), r"must be real numbers, got texts"),
    ],
)
@pytest.mark.parametrize("method", ["zero-shifting", "transient"])
@pytest.mark.compiled
def test_benches_are_checked(bench, message, method):
    with pytest.raises(ParameterError, match=message):
        calibrator(method, Device()).calibrate(bench, (60, 120))
