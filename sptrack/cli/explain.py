"""`sptrack explain`: rates, times and errors that the settings of a method amount to."""

from sptrack.cli._setup import SetupInput, chosen_methods
from sptrack.evaluation.explain import Explanation
from sptrack.evaluation.explain import explain as explanation_of
from sptrack.results import json_text
from sptrack.tracking.problems import problem

_SETUP = SetupInput()


def explain(*, setup: SetupInput = _SETUP, steps: int = 20000, json: bool = False) -> None:
    """Rates, poles, time constants and thresholds of a method, with warnings, from formulas.

    Parameters
    ----------
    setup
        Method, problem, device, file.
    steps
        Length of the intended run.
    json
        Print JSON alone.
    """
    loaded = setup.load()
    (method,) = chosen_methods(loaded, () if setup.method is None else (setup.method,))
    made = explanation_of(problem(loaded.problem, loaded.settings), method, steps=steps)
    if json:
        print(json_text(made), end="")
    else:
        _print(made)


def _print(made: Explanation) -> None:
    print(f"{made.method} on {made.problem}, device {made.device}; means over the cells")
    for item in made.quantities:
        digits = 6 if item.name.startswith("loop_pole") else 4
        value = "-" if item.value is None else f"{item.value:.{digits}g}"
        print(f"  {item.name:<22} {value:>10} {item.unit:<13} {item.meaning}")
    for warning in made.warnings:
        print(f"warning: {warning}")
