"""Settings of the documentation: Markdown pages; gallery and reference are written from the sources."""

import ast
import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from pygments.lexers.special import TextLexer

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path.insert(0, str(ROOT))

import sptrack  # noqa: E402 - found by the line above

project = "sptrack"
author = "The sptrack developers"
copyright = author
version = release = sptrack.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
myst_enable_extensions = ["dollarmath", "amsmath"]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"sptrack {release}"
html_math_renderer = "mathjax"
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

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


def gallery():
    """Markdown of the gallery: every committed figure under the question that its study answers."""
    lines = [
        "# Gallery",
        "",
        "Every figure answers one question. `python -m analysis NAME` computes and draws one again,",
        "`python -m analysis all` all of them; their data lie beside them as netCDF.",
        "",
    ]
    for path in sorted((ROOT / "analysis").glob("[a-z]*.py")):
        picture = ROOT / "figures" / f"{path.stem}.png"
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if not picture.is_file() or not text:
            continue
        question, _, body = text.partition("\n\n")
        question = " ".join(question.split())
        alt = re.sub(r"[\[\]]", "", question)
        lines += [f"({path.stem})=", f"## {question}", "", f"![{alt}](../figures/{picture.name})", ""]
        lines += [body.replace("*", r"\*").replace("``", "`"), ""]
    return "\n".join(lines)


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
        parts = re.split(r"(``.*?``|`[^`]*`)", line)
        literal = line.startswith("    ") and literal
        if not line.lstrip().startswith((">>>", "...")) and not literal:
            parts[::2] = [re.sub(r"(?<!\\)([|*])", r"\\\1", part) for part in parts[::2]]
        lines[place] = "".join(parts)
        literal = literal or line.rstrip().endswith("::")


def write_pages(app):
    """Write the pages made from the sources before Sphinx reads any."""
    for place, text in (("gallery.md", gallery()), ("reference/index.md", reference())):
        path = DOCS / place
        path.parent.mkdir(exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def setup(app):
    """Register what is done before a build."""
    app.add_lexer("csv", TextLexer)
    app.connect("config-inited", lambda app, config: write_pages(app))
    app.connect("autodoc-process-docstring", plain_formulas, priority=400)  # before numpydoc
