"""Sources on which a study depends: found and hashed without running them.

The data of a study depend on what its ``run`` names, in its own file and, import by import, in the package;
its picture on what ``plot`` names. Comments, docstrings, blank lines and layout do not count: hashed is the
text that the parsed source gives back.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DRAWING = "sptrack.plotting"
"""Package that shapes pictures, not data."""
RUNNING = ("analysis._cells", "analysis._provenance", "analysis._sources", "sptrack.sweep")
"""What computes the cells of a study in one process or many, and what stamps them: the data are the same."""
_OURS = ("sptrack", "analysis")
_DIGITS = 16
_Definition = ast.FunctionDef | ast.ClassDef


def data_sources(name: str) -> dict[str, str]:
    """Hashes by module of what the data of a study come from."""
    return _hashes(name, "run", drawing=False)


def picture_sources(name: str) -> dict[str, str]:
    """Hashes by module of what draws the picture of a study from its data."""
    found = _hashes(name, "plot", drawing=True)
    own = f"analysis.{name}"
    return {module: digest for module, digest in found.items() if module == own or module.startswith(DRAWING)}


def _hashes(name: str, entry: str, *, drawing: bool) -> dict[str, str]:
    own = f"analysis.{name}"
    kept = _reached(_tree(own).body, entry)
    found = {own: _digest("\n".join(ast.unparse(node) for node in kept))}
    open_modules = set(_imports(kept, own))
    while open_modules:
        module = open_modules.pop()
        if module in found or module.startswith(RUNNING) or (module.startswith(DRAWING) and not drawing):
            continue
        found[module] = _module_digest(module)
        open_modules |= _module_imports(module)
    return dict(sorted(found.items()))


@cache
def _path(module: str) -> Path | None:
    """File of a module of ours; None if there is none."""
    if module.partition(".")[0] not in _OURS:
        return None
    place = ROOT.joinpath(*module.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def _tree(module: str) -> ast.Module:
    """Parsed source of a module, without docstrings."""
    path = _path(module)
    if path is None:
        raise FileNotFoundError(module)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [one for one in node.body if not _is_text(one)] or [ast.Pass()]
    return tree


def _is_text(node: ast.stmt) -> bool:
    """Whether a statement is a text alone: a docstring, of a function or of a constant."""
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


@cache
def _module_imports(module: str) -> frozenset[str]:
    """Modules of ours that a module imports."""
    return frozenset(_imports(_tree(module).body, module))


@cache
def _module_digest(module: str) -> str:
    """Hash of a module, and of the tables beside a package's modules."""
    path = _path(module)
    text = ast.unparse(_tree(module))
    if path is not None and path.name == "__init__.py":
        text += "".join(table.read_text(encoding="utf-8") for table in sorted(path.parent.glob("*.toml")))
    return _digest(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def _reached(body: Iterable[ast.stmt], entry: str) -> list[ast.stmt]:
    """Statements of a module that ``entry`` needs, in their order: definitions, constants and imports."""
    statements = list(body)
    bound: dict[str, list[int]] = {}
    for k, node in enumerate(statements):
        for name in _binds(node):
            bound.setdefault(name, []).append(k)
    needed: set[int] = set()
    names = {entry}
    while names:
        places = {k for name in names for k in bound.get(name, ())} - needed
        needed |= places
        names = {name for k in places for name in _names(statements[k])}
    return [statements[k] for k in sorted(needed)]


def _binds(node: ast.stmt) -> Iterator[str]:
    """Names that a statement at the top of a module binds."""
    if isinstance(node, _Definition):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield (alias.asname or alias.name).partition(".")[0]
    else:
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                yield part.id


def _names(node: ast.stmt) -> Iterator[str]:
    """Names that a statement uses."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name):
            yield part.id


def _imports(body: Iterable[ast.stmt], module: str) -> Iterator[str]:
    """Modules of ours that statements import, anywhere in them but for type checkers alone."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            yield from _from(node, module)
        else:
            inner = [part for part in ast.walk(node) if isinstance(part, ast.Import | ast.ImportFrom)]
            yield from _imports(inner, module)


def _from(node: ast.ImportFrom, module: str) -> Iterator[str]:
    """Modules of one ``from`` import; names that a package loads late stand for the modules of theirs."""
    base = node.module or ""
    if node.level:
        path = _path(module)
        inside = module.split(".")
        if path is None or path.name != "__init__.py":
            inside.pop()
        base = ".".join([*inside[: len(inside) - node.level + 1], *filter(None, [node.module])])
    yield from _with_parents(base)
    if _path(base) is None:
        return
    late = _late(base)
    for alias in node.names:
        yield from _with_parents(f"{base}.{alias.name}")
        if alias.name in late:
            yield from _with_parents(late[alias.name])


def _with_parents(module: str) -> Iterator[str]:
    """A module of ours and the packages that are imported before it; nothing if it is not ours."""
    if _path(module) is not None:
        parts = module.split(".")
        for k in range(1, len(parts) + 1):
            if _path(".".join(parts[:k])) is not None:
                yield ".".join(parts[:k])


@cache
def _late(package: str) -> dict[str, str]:
    """Home of each name that a package shows to type checkers alone, which it loads when it is asked for."""
    found: dict[str, str] = {}
    for node in _tree(package).body:
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            for part in ast.walk(node):
                if isinstance(part, ast.ImportFrom) and part.module:
                    found |= {alias.asname or alias.name: part.module for alias in part.names}
    return found
