"""The documentation: gallery of the studies, equations without a network, links that lead somewhere."""

import ast
import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

import analysis
from sptrack.results import load

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LABEL = re.compile(r"\{ref\}`(\w+)`")
PASSAGES = re.compile(r"```.*?^```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
EQUATIONS = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", re.DOTALL)
LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src"}
"""Elements whose files a browser loads by itself, with the attribute that names the file."""


@pytest.fixture
def extension(monkeypatch):
    """Module of docs/_ext by name."""
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))

    def load(name):
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    return load


@pytest.fixture
def studies(extension):
    pytest.importorskip("sphinx_gallery", reason="needs sphinx-gallery: pip install 'sptrack[docs]'")
    return extension("studies")


def pages():
    """Pages that are written by hand."""
    return sorted(DOCS.glob("*.md")) + [
        path for kind in ("tutorials", "howto", "explanation") for path in sorted((DOCS / kind).glob("*.md"))
    ]


def test_every_study_is_in_one_group_of_the_gallery(studies):
    names = [name for _, _, members in studies.GROUPS.values() for name in members]
    assert sorted(names) == list(analysis.study_names())


def test_a_gallery_script_draws_stored_results_and_runs_no_study(studies, tmp_path):
    studies.write_scripts(ROOT, tmp_path / "scripts")
    scripts = {path.stem: path for path in (tmp_path / "scripts").rglob("*.py")}
    assert set(scripts) == {path.stem for path in (ROOT / "figures").glob("*.nc")}
    for name, path in scripts.items():
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        assert f".. _{name}:" in ast.get_docstring(tree)
        assert f"``python -m analysis {name}``" in text
        called = {node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call)
                  and isinstance(node.func, ast.Attribute)}  # fmt: skip
        assert "plot" in called
        assert not called & {"run", "produce"}


def test_scripts_of_studies_that_are_gone_are_removed(studies, tmp_path):
    old = tmp_path / "scripts" / "devices" / "gone.py"
    old.parent.mkdir(parents=True)
    old.write_text("", encoding="utf-8")
    studies.write_scripts(ROOT, tmp_path / "scripts")
    assert not old.exists()


def test_the_page_on_the_paper_tells_what_is_stored(extension, tmp_path):
    published = extension("published")
    text = published.page(ROOT / "figures")
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    assert {len(row) for row in rows} == {4, 6}
    data = load(ROOT / "figures" / "published_tables.nc")
    for net, mean, std, name, printed, here in (row for row in rows if len(row) == 6 and row[0] != "| net"):
        one = data.sel({"net": net.strip("| "), "mean": float(mean), "std": float(std), "method": name})
        assert float(printed) == pytest.approx(float(one["published"]))
        last = float(one["accuracy"][-1])
        assert here.strip(" |") == (f"{last:.2f}" if np.isfinite(last) else "not run")
    empty = published.page(tmp_path)
    assert empty.count("no results stored") == 11
    assert "No results of `published_tables`" in empty


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("W* and |x|", r"W\* and \|x\|"),
        ("``a * b`` and `c|d` stay, e*f not", r"``a * b`` and `c|d` stay, e\*f not"),
        (r"already \* escaped", r"already \* escaped"),
    ],
)
def test_signs_of_formulas_are_no_markup(studies, text, expected):
    assert studies.escaped(text) == expected


def test_studies_that_pages_name_are_in_the_gallery(studies):
    stored = {path.stem for path in (ROOT / "figures").glob("*.nc")}
    named = {name for page in pages() for name in LABEL.findall(page.read_text(encoding="utf-8"))}
    assert len(named) >= 12
    assert named <= stored


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(DOCS).as_posix())
def test_equations_of_a_page_convert(extension, page):
    pytest.importorskip(
        "docutils.utils.math.latex2mathml", reason="needs docutils: pip install 'sptrack[docs]'"
    )
    pytest.importorskip("sphinx", reason="needs Sphinx: pip install 'sptrack[docs]'")
    from docutils.utils.math.latex2mathml import tex2mathml

    for block, inline in EQUATIONS.findall(PASSAGES.sub("", page.read_text(encoding="utf-8"))):
        assert tex2mathml(block or inline, as_block=bool(block)).startswith("<math")


def test_an_equation_that_cannot_be_converted_is_shown_and_warned_of(extension, caplog):
    pytest.importorskip("sphinx", reason="needs Sphinx: pip install 'sptrack[docs]'")
    mathml = extension("mathml")
    assert mathml.mathml(r"a < \undefinedmacro", block=False) == r"<code>a &lt; \undefinedmacro</code>"
    assert "undefinedmacro" in caplog.text
    assert "<mfrac>" in mathml.mathml(r"\frac{1}{2}", block=True)


class Page(HTMLParser):
    """Names of anchors, links, files that a browser loads, pictures and equations of a page."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links, self.loaded = set(), [], []
        self.without_text, self.equations = [], 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.anchors |= {found[key] for key in ("id", "name") if found.get(key)}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag in LOADED and found.get(LOADED[tag]) and found.get("rel") not in ("canonical", "search"):
            self.loaded.append(found[LOADED[tag]])
        # a thumbnail may be silent: the question that it leads to stands beside it
        silent = found.get("alt") == "" and (found.get("src") or "").endswith("_thumb.png")
        if tag == "img" and not silent and not (found.get("alt") or "").strip():
            self.without_text.append(found.get("src"))
        self.equations += tag == "math"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built with warnings as errors."""
    for name in ("sphinx", "furo", "myst_parser", "numpydoc", "sphinx_gallery"):
        pytest.importorskip(name, reason="needs the extra sptrack[docs]")
    out = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(DOCS), str(out)]
    done = subprocess.run(
        [*command, "-d", str(out / ".doctrees")],
        capture_output=True,
        text=True,
        env=os.environ | {"MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return {path.relative_to(out).as_posix(): Page(path) for path in out.rglob("*.html")}, out


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_site_loads_nothing_from_a_network(site):
    parsed, out = site
    for name, page in parsed.items():
        for file in page.loaded:
            assert not urlsplit(file).netloc, f"{name} loads {file}"
            assert (out / name).parent.joinpath(unquote(urlsplit(file).path)).exists(), f"{name}: {file}"
    for style in out.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"(?:url\(\s*['\"]?|@import\s+['\"])(?:https?:)?//", text), style.name


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_links_within_the_site_lead_somewhere(site):
    parsed, out = site
    checked = 0
    for name, page in parsed.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = os.path.normpath((out / name).parent / unquote(parts.path)) if parts.path else out / name
            assert Path(target).exists(), f"{name}: {link}"
            relative = Path(target).relative_to(out).as_posix()
            if parts.fragment and relative in parsed:
                assert unquote(parts.fragment) in parsed[relative].anchors, f"{name}: {link}"
            checked += 1
    assert checked > 1000


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_pictures_of_the_site_have_a_text_and_equations_are_rendered(site):
    parsed, _ = site
    assert parsed["explanation/theory.html"].equations >= 40
    for name, page in parsed.items():
        assert page.without_text == [], name
    shown = {Path(name).stem for name in parsed if name.startswith("gallery/")} - {"index"}
    assert shown == {path.stem for path in (ROOT / "figures").glob("*.nc")}
