"""The page of a result folder: whole, self-contained, readable, for the folders of all commands."""

import base64
import io
import json
import re
import shutil
import subprocess
from html import escape
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from sptrack.cli import main
from sptrack.report import html_page, read_folder
from sptrack.results import dataset, provenance, save

VOID = {"meta", "img", "br", "link", "input", "hr"}
CELL = "up,down\n" + "".join(f"{np.tanh(k / 12 - 1):.6g},{np.tanh(1 - k / 12):.6g}\n" for k in range(25))
COMMANDS = {
    "calibrate": "calibrate --cells 16x16 --pulses 100 500 --target 0.02",
    "response": "response",
    "track": "track --compare e-rider two-stage --steps 200 --seeds 2",
    "verify": "verify --device linear",
    "budget": "budget --steps 200 --seeds 2",
    "fit": "fit cell.csv --family soft-bounds",
    "look": "fit cell.csv --look",
}
SLOW = {
    "tune": "tune --steps 400 --seeds 2 --trials 2 --finalists 1 --held-out 2",
    "design": "design --seeds 3",
}


class Page(HTMLParser):
    """Elements, text and attributes of a page; every element must be closed where it belongs."""

    def __init__(self, text):
        super().__init__()
        self.open, self.found, self.words = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    def every(self, tag):
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(
    scope="module", params=[*COMMANDS, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def made(request, tmp_path_factory):
    """Command line, folder and page of a result of every command."""
    place = tmp_path_factory.mktemp(request.param)
    line = (COMMANDS | SLOW)[request.param] + f" --out {request.param}"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        (place / "cell.csv").write_text(CELL, encoding="utf-8")
        assert main(line.split()) in (0, 1)
        assert main(["report", request.param]) == 0
    return line, place / request.param, (place / f"{request.param}.html").read_text(encoding="utf-8")


def test_a_page_refers_to_nothing_outside(made):
    _, _, text = made
    page = Page(text)
    for tag, attributes in page.found:
        assert tag not in ("script", "link", "iframe", "object", "base")
        for key in ("src", "href", "srcset", "data", "action", "poster", "background"):
            assert attributes.get(key, "data:").startswith("data:"), (tag, key)
        assert not [key for key in attributes if key.startswith("on") or key == "style"]
    style = text.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_all_figures_are_on_the_page_and_decode(made):
    _, folder, text = made
    images = Page(text).every("img")
    assert len(images) == len({each.stem for each in folder.iterdir() if each.suffix in (".png", ".svg")})
    assert images
    for image in images:
        assert image["alt"].strip()
        media, content = re.fullmatch(r"data:(image/[\w+]+);base64,(.*)", image["src"]).groups()
        decoded = base64.b64decode(content, validate=True)
        assert media == "image/svg+xml"
        root = ElementTree.fromstring(decoded)
        assert root.tag.endswith("svg")
        links = [value for each in root.iter() for key, value in each.attrib.items() if key.endswith("href")]
        assert all(link.startswith(("#", "data:")) for link in links)


def test_a_page_says_how_to_make_the_result_again(made):
    line, folder, text = made
    words = Page(text).text
    if list(folder.glob("*.nc")):
        assert f"sptrack {line}" in words
        for name in ("sptrack", "python", "numpy", "numba"):
            assert re.search(rf"\b{name} \d+\.\d+", words), name
        assert "seed" in words
    else:
        assert "not recorded" in words
    for each in folder.iterdir():
        if not each.name.startswith(".") and each.is_file():
            assert each.name in words


def test_every_number_of_the_json_files_is_on_the_page(made):
    """Up to the digits shown, lists of more than a dozen numbers and dropped ends of intervals apart."""
    _, folder, text = made
    words = Page(text).text
    for path in folder.glob("*.json"):
        value = json.loads(path.read_text(encoding="utf-8"))
        found = list(scalars(value))
        assert found
        missing = [item for item in found if item not in words]
        assert missing == []


def scalars(value):
    if isinstance(value, dict):
        for item in value.values():
            yield from scalars(item)
    elif isinstance(value, list):
        if not value or len(value) <= 12 or isinstance(value[0], dict):
            for item in value[:200]:
                yield from scalars(item)
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, float):
        yield f"{value:.4g}"
    else:
        yield " ".join(str(value).split())


@pytest.mark.parametrize(
    ("document", "state", "words"),
    [
        ({"met": True, "verdict": "RMS error 0.01 after 10 pulses: target met"}, "met", "0.01 after 10"),
        ({"met": False, "verdict": "target missed"}, "missed", "target missed"),
        ({"met": False, "misses": [{"name": "rms"}, {"name": "reads"}]}, "missed", "rms, reads"),
        ({"met": True}, "met", "all requirements"),
        ([{"holds": True}, {"holds": False}], "missed", "1 of 2"),
        ([{"holds": True}, {"holds": True}], "met", "2 of 2"),
        ({"met": None, "value": 3}, "none", "no target"),
        ([{"value": 1}], "none", "no target"),
        ([], "none", "no target"),
    ],
)
def test_the_verdict_is_that_of_the_files(tmp_path, document, state, words):
    (tmp_path / "found.json").write_text(json.dumps(document), encoding="utf-8")
    verdict = read_folder(tmp_path).verdict
    assert verdict.state == state
    assert words in verdict.text


def test_what_a_file_says_stays_text(tmp_path):
    nasty = "</style><script>alert(1)</script> & <b>"
    (tmp_path / "found.json").write_text(json.dumps({"note": nasty, "warnings": [nasty]}), encoding="utf-8")
    text = html_page(read_folder(tmp_path))
    assert "<script" not in text
    assert Page(text).text.count(nasty) == 2


def test_columns_along_a_dimension_carry_units_and_intervals(tmp_path):
    values = np.array([0.5, 0.25])
    data = dataset(
        {"error": ("pulses", values, {"units": "weight units"})},
        {"pulses": ("pulses", [10, 20], {"units": "pulses"})},
        provenance(seed=3, parameters={"a": {"b": 2}}),
    )
    save(data, tmp_path / "found.nc")
    told = {"pulses": [10, 20], "error": [0.5, 0.25], "error_ci": [[0.4, 0.6], [0.2, 0.3]], "cells": [8, 8]}
    (tmp_path / "found.json").write_text(json.dumps(told), encoding="utf-8")
    contents = read_folder(tmp_path)
    by_pulses, plain = contents.tables
    assert by_pulses.headings == ("pulses (pulses)", "error (weight units)")
    assert list(by_pulses.rows) == [("10", "0.5 [0.4, 0.6]"), ("20", "0.25 [0.2, 0.3]")]
    assert list(plain.rows) == [("cells", "8, 8")]
    assert "a.b" in Page(html_page(contents)).text
    assert "not recorded" in Page(html_page(contents)).text


def test_a_wide_record_is_turned_on_its_side(tmp_path):
    record = {f"key{k}": k for k in range(30)}
    (tmp_path / "found.json").write_text(json.dumps([record]), encoding="utf-8")
    (table,) = read_folder(tmp_path).tables
    assert table.headings == ("key0", "0")
    assert list(table.rows) == [(f"key{k}", str(k)) for k in range(1, 30)]


def test_a_long_table_is_cut_and_says_so(tmp_path):
    (tmp_path / "found.json").write_text(json.dumps([{"k": k} for k in range(900)]), encoding="utf-8")
    contents = read_folder(tmp_path)
    assert len(contents.tables[0].rows) == 200
    assert "first 200 of 900 rows" in Page(html_page(contents)).text


def test_a_folder_without_a_result_is_refused(tmp_path, capsys):
    assert main(["report", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
    assert main(["report", str(tmp_path)]) == 2
    assert "holds no result" in capsys.readouterr().err
    (tmp_path / "found.json").write_text("{", encoding="utf-8")
    assert main(["report", str(tmp_path)]) == 2
    assert "damaged" in capsys.readouterr().err
    (tmp_path / "found.json").write_text("{}", encoding="utf-8")
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "page.txt")]) == 2
    assert "out must end in .html" in capsys.readouterr().err


def test_damaged_data_are_refused(tmp_path, capsys):
    data = dataset({"x": ("k", [1.0], {"units": "1"})}, {}, provenance(seed=0, parameters={}))
    save(data, tmp_path / "found.nc")
    content = bytearray((tmp_path / "found.nc").read_bytes())
    content[100] ^= 1
    (tmp_path / "found.nc").write_bytes(content)
    assert main(["report", str(tmp_path)]) == 2
    assert "damaged" in capsys.readouterr().err


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FRAME = """<!DOCTYPE html><html><body><iframe id="page" width="{width}" height="800" srcdoc="{page}"></iframe>
<script>addEventListener("load", () => {{ const d = document.getElementById("page").contentDocument;
document.body.textContent = JSON.stringify({{ wide: d.documentElement.scrollWidth,
broken: [...d.images].filter(i => !i.naturalWidth).length, images: d.images.length,
smallest: Math.min(...[...d.querySelectorAll("p, td, th, figcaption")].map(
  e => parseFloat(getComputedStyle(e).fontSize))) }}); }});</script></body></html>"""
CONTRAST = """<!DOCTYPE html><html><body><iframe id="page" width="1280" height="800" srcdoc="{page}"></iframe>
<script>addEventListener("load", () => {{ const d = document.getElementById("page").contentDocument;
const parts = text => text.match(/[\\d.]+/g).map(Number);
const light = text => {{ const [r, g, b] = parts(text).map(
  v => v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b; }};
const behind = e => {{ for (; e; e = e.parentElement) {{ const c = getComputedStyle(e).backgroundColor;
  if (parts(c).length === 3) return c; }} return "rgb(255, 255, 255)"; }};
const ratios = [...d.body.querySelectorAll("*")].filter(
  e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {{
  const [a, b] = [light(getComputedStyle(e).color), light(behind(e))];
  return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); }});
document.body.textContent = JSON.stringify({{ least: Math.min(...ratios), texts: ratios.length,
  page: light(behind(d.body)) }}); }});</script></body></html>"""
"""Least contrast of a text with what is behind it, as WCAG 2 defines it."""


def chromium(*arguments):
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--log-level=0"]
    return subprocess.run(
        [CHROMIUM, *flags, *arguments], capture_output=True, check=True, timeout=120, text=True
    )


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the page is not laid out")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_lays_the_page_out_without_a_sideways_scroll(made, tmp_path, width):
    _, _, text = made
    (tmp_path / "frame.html").write_text(FRAME.format(width=width, page=escape(text)), encoding="utf-8")
    log = "--enable-logging=stderr"
    shown = chromium(log, "--window-size=1400,900", "--dump-dom", (tmp_path / "frame.html").as_uri())
    assert "CONSOLE" not in shown.stderr
    found = json.loads(re.search(r"<body>(\{.*?\})</body>", shown.stdout)[1])
    assert found["wide"] <= width
    assert found["broken"] == 0
    assert found["images"] == text.count("<img")
    assert found["smallest"] >= 12


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: no colours are computed")
@pytest.mark.parametrize(("scheme", "dark"), [(0, True), (1, False)], ids=["dark", "light"])
def test_a_browser_shows_text_with_contrast_in_either_scheme(made, tmp_path, scheme, dark):
    """At least 4.5, level AA for text of normal size."""
    _, _, text = made
    (tmp_path / "frame.html").write_text(CONTRAST.format(page=escape(text)), encoding="utf-8")
    chosen = f"--blink-settings=preferredColorScheme={scheme}"
    shown = chromium(chosen, "--dump-dom", (tmp_path / "frame.html").as_uri())
    found = json.loads(re.search(r"<body>(\{.*?\})</body>", shown.stdout)[1])
    assert (found["page"] < 0.2) == dark
    assert found["texts"] > 10
    assert found["least"] >= 4.5


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the page is not printed")
def test_a_browser_prints_the_page_without_an_error(made, tmp_path):
    _, _, text = made
    page, paper = tmp_path / "page.html", tmp_path / "page.pdf"
    page.write_text(text, encoding="utf-8")
    done = chromium("--enable-logging=stderr", f"--print-to-pdf={paper}", page.as_uri())
    assert "CONSOLE" not in done.stderr
    content = io.BytesIO(paper.read_bytes()).getvalue()
    assert content.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) >= 1
