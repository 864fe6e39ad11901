"""Page that sets figures and tables of the paper beside what the stored results of the studies say."""

from itertools import product

import numpy as np

from sptrack.results import load, read_provenance

PAPER = "Xiao, Li, Wu, Gokmen, Chen: Dynamic Symmetric Point Tracking (arXiv 2602.21321)"


def page(figures):
    """Markdown of the page.

    Parameters
    ----------
    figures : Path
        Folder with the stored results of the studies; a row without its results says so.
    """
    stored = {path.stem: path for path in figures.glob("*.nc")}
    parts = [
        "# The paper's figures and tables",
        f"{PAPER} beside this project. *Published* is what the paper prints; *here* is what the results say "
        "that are stored with the project, and from which the gallery is drawn. Settings that the paper "
        "leaves open are those of the study: a difference may come from them.",
        "## Figures and statements",
        table(("Published", "says", "Here", "says"), statements(stored)),
        "`pulse_complexity` asks the question of Figure 4, left, of quadratic problems too.",
        "## Tables: accuracy on MNIST",
        *accuracies(stored),
    ]
    return "\n\n".join(parts) + "\n"


def table(head, rows):
    """Markdown of a table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def statements(stored):
    """Rows of figures, theorems and their counterparts."""
    rows = []
    for published, says, study, read in (
        (
            "Figure 1a",
            "over 2000 pulses for a mean within 1 % (h = 0.001)",
            "zs_pulses_vs_granularity",
            needed,
        ),
        ("Figure 1a", "mean and std over the array improve with pulses", "zs_offset_vs_pulses", offsets),
        ("Figure 1b", "pulses grow nearly as 1/h", "zs_pulses_vs_granularity", exponents),
        ("Theorems 2.2, C.2 - C.4", "bounds on zero-shifting", "bounds_atlas", failures),
        ("Figure 2", "too few calibration pulses cost accuracy", "sp_error_in_training", training),
        (
            "Figure 4, left",
            "E-RIDER needs the fewest pulses to a training loss of 0.2 (LeNet-5)",
            "pulse_cost_to_loss",
            to_loss,
        ),
        ("Theorem 3.7", "RIDER: error of order 1/√K", "convergence_rate", convergence),
        ("Corollary 3.9", "a finer device favours tracking", "pulse_complexity", complexity),
        ("Lemma 3.10", "response of the moving average", "filter_response", average),
        ("Figure 5", "a small p > 0 beats p = 0 (net)", "chopper_probability", trained_flips),
        ("Figure 5", "the same", "chopper_ablation", flips),
    ):
        found = f"{{ref}}`{study}`" if study in stored else f"`{study}`"
        rows.append(
            (published, says, found, read(load(stored[study])) if study in stored else "no results stored")
        )
    return rows


def needed(data):
    """Pulses until the mean over the array is within 1 %, both modes."""
    one = data["exact"].sel({"criterion": "mean"})
    one = one.isel(granularity=int(np.abs(np.log(one["granularity"].values / 0.001)).argmin()))
    cyclic, random = (float(one.sel({"mode": mode})) for mode in ("cyclic", "stochastic"))
    return f"{cyclic:,.0f} alternating, {random:,.0f} random pulses"


def offsets(data):
    """Offsets of mean and std after the fewest and the most pulses, alternating."""
    one = data["simulated"].sel(mode="cyclic")
    first, last = one.isel(pulses=0), one.isel(pulses=-1)
    told = [
        f"{name} {float(first.sel(statistic=name)):.3f} to {float(last.sel(statistic=name)):.4f}"
        for name in ("mean", "std")
    ]
    return f"{', '.join(told)} from {int(first['pulses']):,} to {int(last['pulses']):,} alternating pulses"


def exponents(data):
    """Power of h for the mean criterion, with its interval."""
    one = data.sel(criterion="mean", mode="cyclic")
    low, high = float(one["exponent_low"]), float(one["exponent_high"])
    return f"h to the power {float(one['exponent']):.3f} (95 %: {low:.3f} .. {high:.3f})"


def training(data):
    """Accuracy with the fewest and the most calibration pulses."""
    own = data.sel({"kind": "per cell"})
    if (data["accuracy"].isel(epoch=-1).isnull() & ~data["diverged"]).any():
        return "not all runs are trained"
    told = []
    for one in (own.isel(pulses=0), own.isel(pulses=-1)):
        end = "diverged" if one["diverged"] else f"{float(one['accuracy'][-1]):.1f} %"
        told.append(f"{end} after {int(one['pulses']):,}")
    return f"{', '.join(told)} pulses (per cell); exact points {float(data['exact'][-1]):.1f} %"


def to_loss(data):
    """Counted pulses of the runs that got to the loss, those that did not, and those that are not made."""
    told = []
    for name in data["run"].values.tolist():
        for states in data["states"].values.tolist():
            one = data.sel(run=name, states=states)
            if bool(one["finished"]):
                pulses, more = float(one["counted"]), "" if bool(one["reached"]) else "more than "
                told.append(f"{name}, {states:,} states: {more}{pulses:,.0f} pulses")
    left = int((~data["finished"]).sum())
    return "; ".join([*told, *([f"{left} of {data['finished'].size} runs are not finished"] if left else [])])


def failures(data):
    """Comparisons with simulation that the printed and the corrected forms fail."""
    told = []
    for form in ("printed", "corrected"):
        one = data.isel(check=data["form"].values == form)
        failed = ~one["holds"].values
        names = ", ".join(sorted(set(one["bound"].values[failed].tolist())))
        text = f" ({names})" if names else ""
        told.append(f"{form}: {failed.sum()} of {failed.size} comparisons fail{text}")
    return "; ".join(told)


def convergence(data):
    """Powers of K at the largest gradient noise, with their intervals."""
    one = data.isel(noise=-1)
    told = []
    for case, name in (("rider", "generic start"), ("rider-on-line-ideal", "start on the conserved line")):
        low, high = (float(one[f"exponent_{end}"].sel({"case": case})) for end in ("low", "high"))
        told.append(f"{low:.2f} .. {high:.2f} ({name})")
    return f"K to the power {', '.join(told)}"


def complexity(data):
    """Powers of the granularity with which the pulses grow."""
    low, high = data["pulses_exponent_low"], data["pulses_exponent_high"]
    told = [
        f"{name} {float(low.sel({'method': name})):.2f} .. {float(high.sel({'method': name})):.2f}"
        for name in data["method"].values.tolist()
        if np.isfinite(float(data["pulses_exponent"].sel({"method": name})))
    ]
    return f"pulses of all methods grow, as h to the power {', '.join(told)}"


def average(data):
    """Largest departure of the variance behind the moving average from theory, over the drives."""
    one = data.sel({"filter": "EMA"})
    departure = np.abs(one["settled_simulated"] / one["settled"] - 1)
    return f"variance behind it within {100 * float(departure.max()):.1f} % of theory"


def trained_flips(data):
    """Scores with the best flip probability above 0 and without a chopper, means over the runs that ended."""
    score, diverged = data["score"].mean("seed"), data["diverged"].sum("seed")
    if (data["score"].isnull() & ~data["diverged"]).any():
        return "not all runs are trained"
    best = int(score[1:].argmax("p")) + 1
    lost = f" ({int(diverged[0])} of {data.sizes['seed']} runs diverged)" if diverged[0] else ""
    told = f"{float(score[best]):.1f} % at p = {float(data['p'][best]):g}"
    if diverged[0] == data.sizes["seed"]:
        return f"{told}, diverged at p = 0"
    return f"{told}, {float(score[0]):.1f} % at p = 0{lost}"


def flips(data):
    """Best flip probability, and what it gains over none."""
    best = data["w"].argmin("p")
    gain = float(data["w"].sel(p=0.0) / data["w"][best])
    return (
        f"best p = {float(data['p'][best]):g}: mean squared error of W {gain:.0f} times below that of p = 0"
    )


def accuracies(stored):
    """Paragraph and table of the accuracies of nets."""
    if "published_tables" not in stored:
        return ["No results of `published_tables` are stored."]
    data = load(stored["published_tables"])
    rows = []
    axes = ("net", "mean", "std", "method")
    for values in product(*(data[axis].values.tolist() for axis in axes)):
        net, mean, std, name = values
        one = data.sel(dict(zip(axes, values, strict=True)))
        found = float(one["accuracy"][-1])
        here = f"{found:.2f}" if np.isfinite(found) else "not run"
        rows.append((net, f"{mean:g}", f"{std:g}", name, f"{float(one['published']):.2f}", here))
    epochs, seed = int(data["epoch"][-1]), read_provenance(data)["seed"]
    return [
        f"Test accuracy in percent after {epochs} epochs, fully connected net (fcn) and LeNet-5; mean and "
        "std of the error of the subtracted reference in weight units. Published: mean of three runs. Here "
        f"({{ref}}`published_tables`): one run (seed {seed}), so that differences of a few tenths mean "
        "nothing. What the paper's tables hold beyond these rows is not run.",
        table((*axes, "published", "here"), rows),
    ]
