"""One look for all figures, and one way to save them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 160
WIDTH_INCHES = 7.2
"""Width of a two-column figure in print (183 mm)."""

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE, GREY = (
    "#1a1a1a", "#E69F00", "#56B4E9", "#009E73", "#D9C500", "#0072B2", "#D55E00", "#CC79A7",
    "#8c8c8c",
)  # fmt: skip
"""Palette that colour-blind readers can tell apart (Okabe & Ito 2008, yellow darkened)."""

METHOD_LABELS = {
    "ldae": "LDAE",
    "ldae_multistep": "LDAE, multistep sampler",
    "ldae_joint": "LDAE, joint",
    "ldae_joint_targeted": "LDAE, joint, targeted edit",
    "ldae_semantic": "LDAE, semantic code only",
    "ldae_joint_semantic": "LDAE, joint, semantic only",
    "ldae_residual": "average + residual",
    "residual": "interpolation residual",
    "autoencoder": "autoencoder alone",
    "prior": "prior alone",
    "voxel_dae": "voxel DAE",
    "voxel_dae_multistep": "voxel DAE, multistep sampler",
    "supervised": "supervised encoder",
    "untrained": "untrained encoder",
    "voxel_pca": "voxel PCA",
    "histogram_pca": "PCA of local histograms",
    "latent_mean": "pooled latents",
    "region_volumes": "regional volumes",
    "true_volumes": "true volumes",
    "nearest_visit": "copy of nearer visit",
    "voxel_average": "voxel average",
    "latent_average": "latent average",
}
METHOD_COLORS = {
    "ldae": VERMILION,
    "ldae_multistep": SKY,
    "ldae_joint": YELLOW,
    "ldae_joint_targeted": GREEN,
    "ldae_semantic": PURPLE,
    "ldae_joint_semantic": YELLOW,
    "ldae_residual": PURPLE,
    "residual": PURPLE,
    "autoencoder": BLACK,
    "prior": BLUE,
    "voxel_dae": GREEN,
    "voxel_dae_multistep": ORANGE,
    "supervised": BLUE,
    "untrained": GREY,
    "voxel_pca": ORANGE,
    "histogram_pca": YELLOW,
    "latent_mean": SKY,
    "region_volumes": PURPLE,
    "true_volumes": BLACK,
    "nearest_visit": GREY,
    "voxel_average": ORANGE,
    "latent_average": BLUE,
}
METHOD_MARKERS = {
    "ldae": "o", "ldae_multistep": "v", "ldae_joint": "p", "ldae_semantic": "D",
    "ldae_joint_semantic": "d",
    "autoencoder": "_", "prior": "s", "voxel_dae": "^", "voxel_dae_multistep": "<",
    "ldae_residual": "D", "nearest_visit": "X", "voxel_average": "P", "latent_average": "s",
}  # fmt: skip

MODELS = {
    "ldae": ("o", "-"), "ldae_multistep": ("v", ":"), "ldae_joint": ("s", "--"),
    "ldae_joint_targeted": ("^", "-."), "ldae_residual": ("D", ":"),
}  # fmt: skip
"""Models under test and their edits, with marker and line where colours tell something else."""

ABLATION_MARKERS = [("<", "-"), (">", "-")]
"""Those of ablations; a study with more of them than this shows them in tables only."""

TASK_LABELS = {"ad_vs_cn": "Alzheimer's disease", "age": "age", "sex": "sex"}
TASK_COLORS = {"ad_vs_cn": VERMILION, "age": BLUE}
"""Attributes, and the colours of their edits."""

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "figure.dpi": DPI,
    "svg.hashsalt": "ldae",
    "svg.fonttype": "none",
}


@contextmanager
def theme() -> Iterator[None]:
    """Draw in the common style; settings outside the block are untouched."""
    with mpl.rc_context(STYLE):
        yield


def models_in(methods: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Models under test among methods, with marker and line; ablations where they are few."""
    present = dict.fromkeys(methods)
    ablations = [method for method in present if method not in MODELS]
    marked = {model: style for model, style in MODELS.items() if model in present}
    if len(ablations) <= len(ABLATION_MARKERS):
        marked |= dict(zip(ablations, ABLATION_MARKERS, strict=False))
    return marked


def label_of(method: str) -> str:
    """Name of a method for people; an ablation is named after the network that it changes."""
    network = _network_of(method)
    change = method.removeprefix(network).replace("_", " ").strip()
    return ", ".join(filter(None, [METHOD_LABELS.get(network, ""), change]))


def color_of(method: str) -> str:
    """Colour of a method, the same in every figure; an ablation has its network's."""
    return METHOD_COLORS.get(_network_of(method), GREY)


def _network_of(method: str) -> str:
    """The method itself or, of an ablation, the network that its name begins with."""
    known = [m for m in METHOD_LABELS if method == m or method.startswith(f"{m}_")]
    return max(known, key=len, default="")


def new_figure(height_inches: float, width_inches: float = WIDTH_INCHES) -> Figure:
    """Empty figure that lays itself out; not registered with pyplot, so nothing needs closing."""
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panel_letters(axes: Iterable[Axes]) -> None:
    """Mark panels a, b, c, … at their upper left."""
    for letter, axis in zip("abcdefghij", axes, strict=False):
        axis.set_title(letter, loc="left", fontweight="bold", fontsize=9)


def save_figure(figure: Figure, data: pd.DataFrame, png: Path, svg: Path, tsv: Path) -> None:
    """Write a figure as picture, as drawing, and as the numbers it shows.

    Parameters
    ----------
    figure, data
        As a plot function returns them.
    png, svg, tsv
        Written; equal input gives equal bytes (no date is embedded).
    """
    with theme():
        figure.savefig(png, dpi=DPI, metadata={"Software": None})
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
    data.to_csv(tsv, sep="\t", index=False, float_format="%.6g", lineterminator="\n")


def legend_below(figure: Figure, axis: Axes, columns: int) -> None:
    """One legend for all panels, under them."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
