"""The public names: documented, with examples that run, importable without a heavy load."""

import doctest
import inspect
import pkgutil
import re
import subprocess
import sys
from importlib import import_module

import pytest

import sptrack


def _public(module_name):
    return not any(part.startswith("_") for part in module_name.split("."))


MODULES = sorted(name for _, name, _ in pkgutil.walk_packages(sptrack.__path__, "sptrack.") if _public(name))


def imported(name):
    if name.startswith("sptrack.nn"):
        pytest.importorskip("torch", reason="needs PyTorch: pip install 'sptrack[nn]'")
    return import_module(name)


def functions(module):
    """Qualified name to function, of all public functions, classes and methods that a module defines."""
    found = {}
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value):
            found[name] = value
        elif inspect.isclass(value):
            found[name] = value
            for key, method in vars(value).items():
                if inspect.isfunction(method) and not key.startswith("_"):
                    found[f"{name}.{key}"] = method
    return found


def undocumented(called, text):
    """Arguments that the text does not name."""
    names = [name for name in inspect.signature(called).parameters if name not in ("self", "args", "kwargs")]
    return [name for name in names if not re.search(rf"\b{re.escape(name)}\b", text)]


def texts(kind, method=None):
    """Docstring of a class or of its method, with those of its bases."""
    sources = (getattr(base, method, None) if method else base for base in kind.__mro__[:-1])
    return " ".join(inspect.getdoc(source) or "" for source in sources)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_is_documented(name):
    module = imported(name)
    assert module.__doc__
    for label, function in functions(module).items():
        assert inspect.getdoc(function), f"{name}.{label} has no docstring"


@pytest.mark.parametrize("name", sorted(sptrack._HOME_OF))
def test_every_argument_of_the_front_door_is_documented(name):
    value = getattr(sptrack, name)
    if not inspect.isclass(value):
        assert undocumented(value, inspect.getdoc(value)) == []
        return
    assert undocumented(value, texts(value)) == []
    for key, method in vars(value).items():
        if inspect.isfunction(method) and not key.startswith("_"):
            assert undocumented(method, texts(value, key)) == [], key


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    assert doctest.testmod(imported(name)).failed == 0


def test_there_are_examples():
    assert doctest.testmod(import_module("sptrack.evaluation.certificate")).attempted >= 4


def test_names_at_the_front_door_are_those_of_their_modules():
    assert set(sptrack.__all__) >= set(sptrack._HOME_OF)
    for name, home in sptrack._HOME_OF.items():
        assert getattr(sptrack, name) is getattr(import_module(home), name)


def test_importing_sptrack_loads_nothing_heavy():
    heavy = "{'numba', 'scipy', 'xarray', 'matplotlib'} & set(sys.modules)"
    code = f"import sys, sptrack; print(sorted({heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
