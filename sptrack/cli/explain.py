"""`sptrack explain`: rates, times and errors that the settings of a method amount to."""

from sptrack.cli._setup import SetupInput, chosen_methods
from sptrack.cli._show import Column, console, show_lines, show_next, show_table, show_verdict
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
    to = console()
    where = f"{made.method} on {made.problem}, device {made.device}"
    if made.warnings:
        many = "one warning" if len(made.warnings) == 1 else f"{len(made.warnings)} warnings"
        show_verdict(to, "WARNING", f"{where}: {many}, below", good=None)
    else:
        show_verdict(to, "NO WARNINGS", f"{where}: stable, within the range of the linear theory", good=True)
    show_lines(to, (f"warning: {warning}" for warning in made.warnings))
    show_lines(to, (f"note: {note}" for note in made.notes))
    columns = (
        Column("quantity", left=True),
        Column("value"),
        Column("unit", 1, left=True),
        Column("meaning", wraps=True),
    )
    rows = []
    for item in made.quantities:
        digits = 6 if item.name.startswith("loop_pole") else 4
        value = "-" if item.value is None else f"{item.value:.{digits}g}"
        rows.append([item.name, value, "" if item.unit == "1" else item.unit, item.meaning])
    show_table(to, "means over the cells, by formulas alone", columns, rows)
    show_next(to, "sptrack track runs it; sptrack design finds settings for a required error")
