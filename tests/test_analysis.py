import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import analysis
from analysis import zs_offset_vs_pulses, zs_pulses_vs_granularity
from analysis.__main__ import main
from sptrack import load
from sptrack.calibration import zero_shift
from sptrack.crossbar import Crossbar
from sptrack.devices import Device, sample_cells

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def offsets():
    return zs_offset_vs_pulses.run(small=True, seed=2)


@pytest.fixture(scope="module")
def needs():
    return zs_pulses_vs_granularity.run(small=True, seed=2)


@pytest.mark.parametrize("name", analysis.study_names())
def test_every_study_asks_a_question_and_answers_it(name):
    module = analysis.study(name)
    assert analysis.question(name).endswith("?")
    assert callable(module.run)
    assert callable(module.plot)


def test_the_list_names_every_study_with_its_question(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(analysis.study_names())
    assert all(line.endswith("?") for line in lines)


@pytest.mark.parametrize("words", [["zs_offset_vs_pulse"], ["all", "--smal"], ["list", "--threads", "two"]])
def test_bad_words_give_one_line_and_status_2(capsys, words):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    if words[0].startswith("zs"):
        assert "did you mean 'zs_offset_vs_pulses'?" in err


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, capsys):
    assert main(["zs_offset_vs_pulses", "--small", "--out", str(tmp_path / "a" / "b")]) == 2
    assert "cannot be made a folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_all_is_every_study():
    assert analysis.choose(["all"]) == analysis.study_names()


def test_a_small_run_stays_out_of_the_gallery(tmp_path, monkeypatch, capsys, offsets):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(analysis.tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(zs_offset_vs_pulses, "run", lambda **options: offsets)
    assert main(["zs_offset_vs_pulses", "--small"]) == 0
    assert not (tmp_path / analysis.GALLERY).exists()
    (folder,) = (tmp_path / "temporary").iterdir()
    assert sorted(f.suffix for f in folder.iterdir()) == [".nc", ".png", ".svg"]
    assert str(folder) in capsys.readouterr().out


def test_a_figure_is_redrawn_from_its_file_alone(tmp_path, monkeypatch, offsets):
    monkeypatch.setattr(zs_offset_vs_pulses, "run", lambda **options: offsets)
    data, *pictures = analysis.produce("zs_offset_vs_pulses", tmp_path / "out")
    before = [picture.read_bytes() for picture in pictures]
    kept = load(data)
    assert kept.attrs.keys() == offsets.attrs.keys()
    assert kept.assign_attrs(offsets.attrs).identical(offsets)
    monkeypatch.setattr(zs_offset_vs_pulses, "run", lambda **options: kept)
    analysis.produce("zs_offset_vs_pulses", tmp_path / "out")
    assert [picture.read_bytes() for picture in pictures] == before
    analysis.draw("zs_offset_vs_pulses", tmp_path / "out")
    assert [picture.read_bytes() for picture in pictures] == before


def test_the_command_runs_as_a_module():
    words = [sys.executable, "-m", "analysis", "no_such_study"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("analysis: unknown study 'no_such_study'")


def test_simulated_offsets_agree_with_exact_moments(offsets):
    # 30 statistics of 4096 cells, 4 sigma of the sampling error each
    deviation = (offsets["simulated"] - offsets["exact"]) / offsets["standard_error"]
    assert float(abs(deviation).max()) < 4
    assert float(abs(deviation).mean()) > 0.2


def test_the_stochastic_floor_lies_above_a_hundredth_of_the_range(offsets):
    floor = offsets["floor"].sel(mode="stochastic").item()
    assert floor > 0.02 > 3 * offsets["floor"].sel(mode="cyclic").item()


def test_simulated_needs_agree_with_exact_moments(needs):
    # 95 % intervals are 1.96 sigma: 2.1 half widths are 4 sigma; an even number lies up to 2 pulses above
    known = np.isfinite(needs["simulated"]) & np.isfinite(needs["simulated_low"] + needs["simulated_high"])
    half = (needs["simulated_high"] - needs["simulated_low"]) / 2
    distance = abs(needs["simulated"] - needs["exact"]) - 2
    assert int(known.sum()) >= 10
    assert float((distance / half).where(known).max()) < 2.1


def test_needs_grow_as_the_inverse_of_the_granularity(needs):
    exponent = needs["exponent"]
    assert exponent.sel(mode="stochastic", criterion="mean").item() == pytest.approx(-1, abs=0.002)
    for criterion in ("mean", "rms"):
        assert -1 < exponent.sel(mode="cyclic", criterion=criterion).item() < -0.94


def test_no_number_of_random_pulses_gives_the_rms_on_a_coarse_device(needs):
    one = needs["exact"].sel(mode="stochastic", criterion="rms")
    coarse = one["granularity"] >= 1e-3
    assert np.isnan(one[coarse]).all()
    assert np.isfinite(one[one["granularity"] <= 5e-4]).all()


@pytest.mark.compiled
@pytest.mark.parametrize("mode", ["cyclic", "stochastic"])
def test_single_precision_serves_fine_devices_with_cycle_noise(mode):
    # same draws in both precisions: what differs is rounding alone, held against 1 % of the mean (0.003)
    cells = sample_cells(replace(Device(), dw_min=2e-5), (8, 8))
    single, double = (
        zero_shift(Crossbar(cells.astype(kind)), [300_000], mode=mode).points[0].astype(float)
        for kind in (np.float32, np.float64)
    )
    assert abs(single.mean() - double.mean()) < 0.01 * 0.003
    assert np.abs(single - double).max() < 0.1 * 0.003


def test_the_gallery_holds_small_data_beside_every_picture():
    pictures = sorted((ROOT / analysis.GALLERY).glob("*.png"))
    assert pictures
    for picture in pictures:
        assert picture.with_suffix(".svg").is_file()
        assert load(picture.with_suffix(".nc")).sizes
        assert picture.with_suffix(".nc").stat().st_size < 1e6


def test_the_end_of_a_search_is_no_plateau():
    """A trial at the end of the grid stands at the first cost that affords it, one inside at all of them."""
    from analysis.calibrators_compared import searched

    best = np.array([-1, 0, 0, 1, 1, 2, 2, 2, 0])
    ends = np.array([False, False, True])
    assert searched(best, ends).tolist() == [-1, 0, 0, 1, 1, 2, -1, -1, 0]
