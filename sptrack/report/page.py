"""HTML of a result folder's contents: one file without references to others, for screens and for paper."""

from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from sptrack import __version__
from sptrack.report.contents import Contents, Table, flat

_STYLE = """
:root { color-scheme: light dark; --page: #fff; --text: #1a1a1a; --soft: #555; --line: #d5d5d5;
  --panel: #f5f5f5; --met: #00694f; --missed: #a34100; --none: #555; }
@media (prefers-color-scheme: dark) { :root { --page: #16181c; --text: #e8e8e8; --soft: #b0b0b0;
  --line: #3d4148; --panel: #22252b; --met: #4cd3a9; --missed: #ff9d5c; --none: #b0b0b0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; border-bottom: 1px solid var(--line); }
h3, caption { font-size: 1rem; font-weight: 600; margin: 1rem 0 .3rem; text-align: left; }
p, li { max-width: 45rem; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.verdict { border-left: .4rem solid; padding: .5rem .8rem; background: var(--panel); }
.verdict strong { margin-right: .5rem; }
.met { border-color: var(--met); } .met strong { color: var(--met); }
.missed { border-color: var(--missed); } .missed strong { color: var(--missed); }
.none { border-color: var(--none); }
figure { margin: 0 0 1rem; overflow-x: auto; }
img { display: block; width: 100%; min-width: 36rem; height: auto; background: #fff;
  border: 1px solid var(--line); }
figcaption { color: var(--soft); font-size: .9rem; }
.wide { overflow-x: auto; margin: .5rem 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .2rem .7rem .2rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
td { max-width: 32rem; overflow-wrap: break-word; }
pre { background: var(--panel); padding: .7rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font-size: .9rem; }
summary { cursor: pointer; font-weight: 600; }
@media print {
  :root { color-scheme: light; --page: #fff; --text: #000; --soft: #444; --line: #bbb; --panel: #f5f5f5;
    --met: #00694f; --missed: #a34100; --none: #555; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .wide, figure { overflow: visible; }
  img { min-width: 0; }
  table { font-size: 8pt; }
  figure, tr, .verdict { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
"""
_WORDS = {"met": "TARGET MET", "missed": "TARGET MISSED", "none": "VERDICT"}
_VERSIONS = ("sptrack", "python", "numpy", "numba")


def html_page(contents: Contents) -> str:
    """HTML text of a page: verdict, figures, tables, origin, files.

    Pictures are embedded; nothing is fetched, and no script runs.
    """
    root = Element("html", lang="en")
    head = SubElement(root, "head")
    SubElement(head, "meta", charset="utf-8")
    SubElement(head, "meta", name="viewport", content="width=device-width, initial-scale=1")
    SubElement(head, "title").text = f"{contents.name} - sptrack report"
    SubElement(head, "style").text = _STYLE
    body = SubElement(root, "body")
    _opening(SubElement(body, "header"), contents)
    main = SubElement(body, "main")
    _figures(main, contents)
    if contents.tables:
        SubElement(main, "h2").text = "Tables"
        for table in contents.tables:
            _table(main, table)
    _origin(main, contents)
    _files(main, contents)
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    footer = SubElement(SubElement(body, "footer"), "p", {"class": "soft"})
    footer.text = f"Page made {made} by sptrack {__version__}."
    return "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"


def _opening(parent: Element, contents: Contents) -> None:
    SubElement(parent, "h1").text = contents.name
    verdict = SubElement(parent, "p", {"class": f"verdict {contents.verdict.state}"})
    word = SubElement(verdict, "strong")
    word.text = _WORDS[contents.verdict.state]
    word.tail = contents.verdict.text
    commands = _different(each.get("command") for each in contents.origin.values())
    if commands:
        SubElement(parent, "p", {"class": "soft"}).text = "Made by, and made again with:"
        SubElement(parent, "pre").text = "\n".join(commands)
    else:
        text = "The command that made this result is not recorded in it; its parameters are listed below."
        SubElement(parent, "p", {"class": "soft"}).text = text
    if contents.notes:
        notes = SubElement(parent, "ul")
        for note in contents.notes:
            SubElement(notes, "li").text = note


def _figures(parent: Element, contents: Contents) -> None:
    if not contents.figures:
        return
    SubElement(parent, "h2").text = "Figures"
    for figure in contents.figures:
        place = SubElement(parent, "figure", tabindex="0")
        source = f"data:{figure.media};base64,{b64encode(figure.content).decode()}"
        SubElement(place, "img", src=source, alt=f"Figure {figure.name!r} of the result {contents.name!r}")
        SubElement(place, "figcaption").text = figure.name


def _table(parent: Element, table: Table) -> None:
    # wide tables scroll in a box of their own, which a keyboard must reach
    box = SubElement(
        parent, "div", {"class": "wide", "tabindex": "0", "role": "region", "aria-label": table.title}
    )
    made = SubElement(box, "table")
    SubElement(made, "caption").text = table.title
    _row(SubElement(made, "thead"), "th", table.headings)
    body = SubElement(made, "tbody")
    for row in table.rows:
        _row(body, "td", row)
    if table.rows_in_all > len(table.rows):
        text = f"The first {len(table.rows)} of {table.rows_in_all} rows; the file holds all."
        SubElement(parent, "p", {"class": "soft"}).text = text


def _row(parent: Element, kind: str, texts: Iterable[str]) -> None:
    row = SubElement(parent, "tr")
    for text in texts:
        cell = SubElement(row, kind, {"scope": "col"} if kind == "th" else {})
        cell.text = text


def _origin(parent: Element, contents: Contents) -> None:
    """Versions, seeds, machine and parameters of every dataset, and the settings files."""
    SubElement(parent, "h2").text = "How it was made"
    for file, found in contents.origin.items():
        versions = ", ".join(f"{name} {found[name]}" for name in _VERSIONS if found.get(name))
        facts = [
            ("made", found.get("created")),
            ("seed", found.get("seed")),
            ("versions", versions),
            ("machine", found.get("machine")),
        ]
        rows = [(name, "-" if value is None else str(value)) for name, value in facts]
        _table(parent, Table(file, ("what", "value"), rows, len(rows)))
        parameters = list(flat(found.get("parameters") or {}))
        if parameters and parameters != [("", "-")]:
            details = _details(parent, f"Parameters of {file}")
            _table(details, Table(file, ("parameter", "value"), parameters, len(parameters)))
    for name, text in contents.texts.items():
        SubElement(_details(parent, name), "pre").text = text


def _files(parent: Element, contents: Contents) -> None:
    SubElement(parent, "h2").text = "Files"
    for table in contents.variables:
        _table(_details(parent, f"Variables of {table.title}"), table)
    rows = [(file.name, f"{file.size}", file.sha256) for file in contents.files]
    _table(parent, Table("Files of the folder", ("file", "bytes", "SHA-256"), rows, contents.files_in_all))


def _details(parent: Element, title: str) -> Element:
    details = SubElement(parent, "details", open="open")
    SubElement(details, "summary").text = title
    return details


def _different(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(value) for value in values if value))
