"""Settings of the documentation: Markdown pages; gallery and reference are written from the sources."""

import inspect
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from pygments.lexers.special import TextLexer

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS / "_ext")]

from published import page  # noqa: E402 - found by the line above
from studies import GROUPS, escaped, write_scripts  # noqa: E402

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
exclude_patterns = ["_build", "_ext", "_studies", "gallery/**/*.ipynb", "gallery/**/*.py"]
smartquotes = False
nitpicky = True  # a name that leads nowhere is a warning
html_theme = "furo"
html_title = f"sptrack {release}"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["math.css"]
autosummary_generate = False
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
    "min_reported_time": 3600,
    "notebook_extensions": set(),
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


def directive(value):
    """Directive of autodoc that documents a public name, by what the name stands for."""
    if inspect.isclass(value):
        return "autoclass"
    return "autofunction" if callable(value) else "autodata"


def reference():
    """Pages of the reference by file name: one a module, every name under the first module that offers it."""
    index = ["Reference", "=" * 9, ""]
    index += ["Arrays have the shape of the array of cells unless a docstring says otherwise.", ""]
    index += [".. toctree::", "   :maxdepth: 1", "", *(f"   {stem(module)}" for module in MODULES), ""]
    pages = {"index.rst": "\n".join(index)}
    documented = []
    for name in MODULES:
        module = import_module(name)
        names = [item for item in module.__all__ if not item.startswith("__")]
        new = [item for item in names if not any(getattr(module, item) is each for each in documented)]
        documented += [getattr(module, item) for item in new]
        summary = escaped((module.__doc__ or "").strip().split("\n\n")[0])
        lines = [name, "=" * len(name), "", f".. module:: {name}", "", summary, ""]
        lines += [".. autosummary::", "   :nosignatures:", "", *(f"   {item}" for item in new), ""]
        for item in new:
            kind = directive(getattr(module, item))
            lines += [f".. {kind}:: {item}", *(["   :members:"] if kind == "autoclass" else []), ""]
        again = [f"``{item}``" for item in names if item not in new]
        if again:
            lines += [f"Also importable from here: {', '.join(again)}.", ""]
        pages[f"{stem(name)}.rst"] = "\n".join(lines)
    return pages


def stem(module):
    """Name of the page of a module."""
    return module.rpartition(".")[2]


def plain_formulas(app, what, name, obj, options, lines):
    """Keep |x| and w* of formulas in docstrings as they are written: neither is markup there."""
    literal = False
    for place, line in enumerate(lines):
        literal = line.startswith("    ") and literal
        if not line.lstrip().startswith((">>>", "...")) and not literal:
            lines[place] = escaped(line)
        literal = literal or line.rstrip().endswith("::")


def write_pages(app):
    """Write what is made from sources and results before Sphinx reads any page."""
    write_scripts(ROOT, DOCS / "_studies")
    texts = {DOCS / "reference" / name: text for name, text in reference().items()}
    texts[DOCS / "explanation" / "published.md"] = page(ROOT / "figures")
    for path, text in texts.items():
        path.parent.mkdir(exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app):
    """Register what is done before a build."""
    app.add_lexer("csv", TextLexer)
    app.connect("config-inited", lambda app, config: write_pages(app))
    app.connect("autodoc-process-docstring", plain_formulas, priority=400)  # before numpydoc
