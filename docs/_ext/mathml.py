"""Sphinx extension: equations become MathML in the build, so that pages load neither scripts nor fonts."""

from html import escape

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)


def mathml(tex, *, block, node=None):
    """MathML of an equation; one that cannot be converted is shown as its source, with a warning."""
    try:
        return tex2mathml(tex, as_block=block)
    except MathError as error:
        logger.warning("equation %r: %s", tex, error, location=node)
        return f"<code>{escape(tex)}</code>"


def visit_inline(writer, node):
    """Write an equation in a line of text."""
    writer.body.append(writer.starttag(node, "span", "", CLASS="math notranslate nohighlight"))
    writer.body.append(mathml(node.astext(), block=False, node=node) + "</span>")
    raise nodes.SkipNode


def visit_block(writer, node):
    """Write an equation in a block of its own, with its number if it has a label."""
    writer.body.append(writer.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node["number"]:
        writer.body.append(f'<span class="eqno">({get_node_equation_number(writer, node)})')
        writer.add_permalink_ref(node, "Link to this equation")
        writer.body.append("</span>")
    writer.body.append(mathml(node.astext(), block=True, node=node) + "</div>\n")
    raise nodes.SkipNode


def setup(app):
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
