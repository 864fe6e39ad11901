"""Curves of training runs, drawn from the dataset of `sptrack.nn.training.curves` alone."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from sptrack.plotting.style import label, new_figure
from sptrack.plotting.tracking import STYLES


def training_figure(data: xr.Dataset) -> Figure:
    """Test accuracy and training loss of each method against epochs."""
    figure = new_figure(9.0, 4.2)
    panels = figure.subplots(1, 2)
    epochs = data["epoch"].values
    for k, name in enumerate(data["method"].values.tolist()):
        one = data.sel({"method": name})
        colour, line = STYLES.get(name, (f"C{k}", "-"))
        for ax, key in zip(panels, ("accuracy", "loss"), strict=True):
            ax.plot(epochs, one[key], line, color=colour, marker="o", markersize=3, label=name)
    accuracy = data["accuracy"].values
    finals = [row[np.isfinite(row)][-1] for row in accuracy]
    best = str(data["method"].values[int(np.argmax(finals))])
    title = f"{best}: {max(finals):.1f} % of the test images"
    label(panels[0], title, "epoch", "test accuracy (%)")
    label(panels[1], "Training loss", "epoch", "cross entropy (nat)")
    panels[1].set_ylim(bottom=0)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center")
    return figure
