"""Settings of the documentation: Markdown pages; gallery and reference are written from the sources."""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from pygments.lexers.special import TextLexer

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS / "_ext")]

from studies import GROUPS, escaped, write_scripts  # noqa: E402 - found by the line above

import sptrack  # noqa: E402

project = "sptrack"
author = "The sptrack developers"
copyright = author
version = release = sptrack.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "mathml",
]
myst_enable_extensions = ["dollarmath", "amsmath"]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_ext", "_studies", "gallery/**/*.ipynb", "gallery/**/*.py"]
html_theme = "furo"
html_title = f"sptrack {release}"
html_math_renderer = "mathml"
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
sphinx_gallery_conf = {
    "examples_dirs": "_studies",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "subsection_order": [f"_studies/{group}" for group in GROUPS],
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("studies.scrape",),
    "reset_modules": (),
    "run_stale_examples": True,  # a script stays as it is when its study changes
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    "capture_repr": (),
}

MODULES = (
    "sptrack.blocks",
    "sptrack.devices",
    "sptrack.crossbar",
    "sptrack.calibration",
    "sptrack.tracking",
    "sptrack.theory",
    "sptrack.fitting",
    "sptrack.design",
    "sptrack.tuning",
    "sptrack.response",
    "sptrack.tiles",
    "sptrack.interop",
    *(("sptrack.nn",) if find_spec("torch") else ()),
    "sptrack.sweep",
    "sptrack.report",
    "sptrack.results",
    "sptrack",
)
"""Modules of the reference, each with the names of its own ``__all__``."""


def reference():
    """Markdown of the reference: one table a module, every name under the first module that offers it."""
    lines = ["# Reference", ""]
    lines += ["Arrays have the shape of the array of cells unless a docstring says otherwise.", ""]
    documented = []
    for name in MODULES:
        module = import_module(name)
        names = [item for item in module.__all__ if not item.startswith("__")]
        new = [item for item in names if not any(getattr(module, item) is each for each in documented)]
        documented += [getattr(module, item) for item in new]
        summary = (module.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
        lines += [f"## {name}", "", summary, "", "```{eval-rst}", f".. currentmodule:: {name}", ""]
        lines += [".. autosummary::", "   :toctree: generated", "   :nosignatures:", ""]
        lines += [f"   {item}" for item in new]
        lines += ["```", ""]
        again = [f"`{item}`" for item in names if item not in new]
        if again:
            lines += [f"Also importable from here: {', '.join(again)}.", ""]
    return "\n".join(lines)


def plain_formulas(app, what, name, obj, options, lines):
    """Keep |x| and w* of formulas in docstrings as they are written: neither is markup there."""
    literal = False
    for place, line in enumerate(lines):
        literal = line.startswith("    ") and literal
        if not line.lstrip().startswith((">>>", "...")) and not literal:
            lines[place] = escaped(line)
        literal = literal or line.rstrip().endswith("::")


def write_pages(app):
    """Write the scripts of the gallery and the reference before Sphinx reads any page."""
    write_scripts(ROOT, DOCS / "_studies")
    path, text = DOCS / "reference" / "index.md", reference()
    path.parent.mkdir(exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def setup(app):
    """Register what is done before a build."""
    app.add_lexer("csv", TextLexer)
    app.connect("config-inited", lambda app, config: write_pages(app))
    app.connect("autodoc-process-docstring", plain_formulas, priority=400)  # before numpydoc
