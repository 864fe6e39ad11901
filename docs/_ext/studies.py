"""Scripts for sphinx-gallery, one a study: question, figure drawn from stored results, text, command."""

import ast
import re
import shutil
from pathlib import Path

from sphinx_gallery.scrapers import figure_rst

import analysis
from sptrack.plotting.style import save_figure

GROUPS = {
    "calibration": (
        "Calibration",
        "Symmetric points before training: how many pulses, how exact, what theory promises.",
        (
            "bounds_atlas",
            "calibrators_compared",
            "calibrators_nonlinear",
            "zs_bias_anatomy",
            "zs_offset_vs_pulses",
            "zs_pulses_vs_granularity",
        ),
    ),
    "tracking": (
        "Tracking",
        "Symmetric points during training: what converges, how fast, and what limits it.",
        (
            "convergence_rate",
            "error_budget",
            "moving_symmetric_point",
            "pulse_complexity",
            "rider_invariant",
            "tracking_error_vs_pulses",
            "tuned_methods",
            "validity_map",
        ),
    ),
    "filters": (
        "Filters and choppers",
        "Which low-pass and which chopper, seen in time and in frequency.",
        (
            "bias_vs_chopper",
            "chopper_ablation",
            "chopper_spectrum",
            "design_pareto",
            "eta_budget",
            "filter_response",
            "tone_response",
        ),
    ),
    "observers": (
        "Observers",
        "Estimates that use what each cell was asked for.",
        ("observer_limits", "observer_misknown", "observer_vs_filters"),
    ),
    "devices": (
        "Devices",
        "What measured pulse responses tell of a device, and how surely.",
        ("fit_coverage", "measured_devices", "measured_response"),
    ),
    "networks": (
        "Networks",
        "Training on analog arrays.",
        (
            "accuracy_vs_pulses",
            "chopper_probability",
            "observer_in_training",
            "published_tables",
            "pulse_cost_to_loss",
            "seed_spread",
            "sp_error_in_training",
            "training_ablations",
        ),
    ),
}
"""Folder of each group to its title, its sentence and its studies."""

HEADER = """\
Gallery
=======

Each figure answers one question. It is drawn here from the stored results of its study;
``python -m analysis NAME`` computes them anew, ``python -m analysis all`` those of all studies.
"""
SCRIPT = '''\
r"""
.. _{name}:

{question}
{underline}
"""

from pathlib import Path

import analysis
from sptrack.results import load

data = load(Path(analysis.__file__).parents[1] / analysis.GALLERY / "{name}.nc")
figure = analysis.study("{name}").plot(data)

# %%
{body}
#
# Compute the results anew and draw them: ``python -m analysis {name}``. Draw the stored ones:
# ``python -m analysis draw {name}``.
'''


def escaped(text):
    """Text of a docstring with | and * as they are written: neither is markup there."""
    parts = re.split(r"(``.*?``|`[^`]*`)", text)
    parts[::2] = [re.sub(r"(?<!\\)([|*])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def script(name, text):
    """Gallery script of a study from its module's docstring."""
    question, _, body = text.partition("\n\n")
    question = escaped(" ".join(question.split()))
    body = "\n".join(f"# {line}".rstrip() for line in escaped(body).splitlines())
    return SCRIPT.format(name=name, question=question, underline="=" * len(question), body=body)


def write_scripts(root, folder):
    """Write the scripts of all studies with stored results into a folder a group; others are removed.

    Parameters
    ----------
    root : Path
        Repository, with ``analysis`` and ``figures``.
    folder : Path
        Where the scripts go.
    """
    wanted = {folder / "GALLERY_HEADER.rst": HEADER}
    for group, (title, sentence, names) in GROUPS.items():
        stored = [name for name in names if (root / "figures" / f"{name}.nc").is_file()]
        if stored:
            wanted[folder / group / "GALLERY_HEADER.rst"] = f"{title}\n{'-' * len(title)}\n\n{sentence}\n"
        for name in stored:
            source = (root / "analysis" / f"{name}.py").read_text(encoding="utf-8")
            text = ast.get_docstring(ast.parse(source)) or ""
            wanted[folder / group / f"{name}.py"] = script(name, text)
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def scrape(block, block_vars, gallery_conf):
    """Save the figure that a script has drawn; its title and the question are the alternative text."""
    figure = block_vars["example_globals"].get("figure")
    if figure is None or "drawn" in block_vars["example_globals"]:
        return ""
    block_vars["example_globals"]["drawn"] = True
    path = next(block_vars["image_path_iterator"])
    save_figure(figure, path)
    question = analysis.question(Path(block_vars["src_file"]).stem)
    finding = " ".join(figure.get_suptitle().split())
    return figure_rst([path], gallery_conf["src_dir"], f"{question} {finding}".strip())
