"""Curves of training runs, drawn from the dataset of `sptrack.nn.training.curves` alone."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sptrack.plotting.style import (
    headline,
    house_style,
    label,
    label_ends,
    look_of,
    new_figure,
    text_colour,
)


@house_style()
def training_figure(data: xr.Dataset) -> Figure:
    """Test accuracy and training loss of each method against epochs."""
    figure = new_figure(7.2, 4.0)
    accuracy = data["accuracy"].values
    finals = [row[np.isfinite(row)][-1] if np.isfinite(row).any() else np.nan for row in accuracy]
    best = str(data["method"].values[int(np.nanargmax(finals))])
    count = data.sizes["epoch"]
    headline(
        figure, f"{best}: {np.nanmax(finals):.1f} % of the test images are classified correctly",
        f"Accuracy and loss after each of {count} epochs; one run per method.",
    )  # fmt: skip
    panels = figure.subplots(1, 2)
    epochs = data["epoch"].values
    ends = []
    for name in data["method"].values.tolist():
        one = data.sel({"method": name})
        colour, marker, line = look_of(name)
        for ax, key in zip(panels, ("accuracy", "loss"), strict=True):
            ax.plot(
                epochs, one[key], line, color=colour, marker=marker, markerfacecolor="white", markersize=4.5,
                label=name,
            )  # fmt: skip
        loss = one["loss"].values
        ends.append((float(loss[np.isfinite(loss)][-1]) if np.isfinite(loss).any() else np.nan, name, colour))
    label(panels[0], "Test accuracy", "epoch", "correct (%)")
    label(panels[1], "Training loss", "epoch", "cross entropy (nat)")
    for ax in panels:
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    panels[1].set_ylim(bottom=0)
    label_ends(panels[1], [(y, name, text_colour(colour)) for y, name, colour in ends])
    return figure
