"""Recorded gradients: CSV and npy, one column or many; bad fields are named."""

import numpy as np
import pytest

from sptrack.errors import ParameterError
from sptrack.tracking.recorded import RecordedGradient, recorded_gradient

VALUES = np.arange(12.0).reshape(6, 2) / 10


def test_files_of_both_kinds(tmp_path):
    np.save(tmp_path / "g.npy", VALUES)
    np.save(tmp_path / "one.npy", VALUES[:, 0])
    lines = ["step;a;b", *(f"{k};{a};{b}".replace(".", ",") for k, (a, b) in enumerate(VALUES))]
    (tmp_path / "g.csv").write_text("\n".join(lines) + "\n")
    for name in ("g.npy", "g.csv"):
        np.testing.assert_allclose(recorded_gradient(tmp_path / name).values, VALUES)
    one = recorded_gradient(tmp_path / "one.npy")
    np.testing.assert_allclose(one.drive(8, 3), VALUES[[0, 1, 2, 3, 4, 5, 0, 1]][:, [0, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(
        RecordedGradient(values=VALUES).drive(2, 3), VALUES[:2][:, [0, 1, 0]], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "g.csv",
            "1,2\n3,x\n" + "1,2\n" * 30,
            "row 2, column 2: a gradient must be finite, got 'x'",
        ),
        ("g.csv", "a\n1\n", "at least 2 steps"),
        ("g.npy", "junk", "not a .npy file|cannot be read"),
    ],
)
def test_refused_files(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ParameterError, match=message):
        recorded_gradient(tmp_path / name)
    with pytest.raises(ParameterError, match="got nan in step 2, column 1"):
        RecordedGradient(values=np.array([1.0, np.nan]))
