"""Figures of reconstruction: a scan by every method, quality by steps, and stochastic variation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from ldae.figures import captions
from ldae.figures.numbers import errorbars
from ldae.figures.slices import (
    CONVENTION,
    PLANES,
    Examples,
    brain_centre,
    color_bar,
    crop,
    cut,
    difference_colors,
    difference_limit,
    show_slice,
)
from ldae.figures.theme import color_of, legend_below, new_figure, panel_letters, theme
from ldae.methods import Methods, Role

ORIGINAL = "original"
"""The real scan among the examples."""

ROLES = (Role.BOUND, Role.MODEL, Role.PART, Role.BASELINE)
"""Roles of the reconstructions that are shown, from top to bottom."""

SHOWN_SAMPLES = 4


def shown_methods(methods: Methods, present: Iterable[str]) -> list[str]:
    """Reconstructions among the names `present` that a picture shows.

    Of several samplers of a network the first: their scans look alike. Of the models without one of
    their parts that of the main model.
    """
    names = set(present)
    shown: dict[tuple[Role, str | None], str] = {}
    for role in ROLES:
        for method in methods.select(role, evaluation="reconstruction").values():
            if method.name in names and method.part_of in (None, methods.main.name):
                shown.setdefault((role, method.network), method.name)
    return list(shown.values())


def plot_reconstruction(examples: Examples, methods: Methods) -> tuple[Figure, pd.DataFrame]:
    """One scan and its reconstructions in three planes, each with its difference to the scan.

    Parameters
    ----------
    examples
        As :func:`ldae.evaluation.reconstruction.evaluate_reconstruction` returns them; the first
        scan is shown.
    methods
        The study's methods.

    Returns
    -------
    tuple
        Figure, and one row per method: scan, method, steps, voxel_steps, training_seed,
        mean_abs_difference_in_mask, color_limit.
    """
    names = shown_methods(methods, examples)
    first = {name: examples[name][0] for name in (ORIGINAL, *names)}
    scans, mask = crop(first, first, np.asarray(examples["mask"][0]) > 0)
    differences = {name: (scans[name] - scans[ORIGINAL]) * mask for name in names}
    limit = difference_limit(*differences.values())
    centre = brain_centre(mask)
    with theme():
        figure = new_figure(0.5 + 0.8 * (len(names) + 1))
        axes = figure.subplots(len(names) + 1, 2 * len(PLANES), squeeze=False)
        _draw_planes(axes[0], scans[ORIGINAL], centre, "original scan")
        for axis in axes[0, len(PLANES) :]:
            axis.set_axis_off()
        for line, name in zip(axes[1:], names, strict=True):
            _draw_planes(line, scans[name], centre, methods.label(name).replace(", ", ",\n"))
            drawn = _draw_differences(line[len(PLANES) :], differences[name], centre, limit)
        for k, plane in enumerate(PLANES):
            axes[0, k].set_title(plane)
            axes[1, k + len(PLANES)].set_title(plane)
        color_bar(
            figure, drawn, axes[:, len(PLANES) :], "reconstruction − scan", shrink=0.5, aspect=30,
            pad=0.02,
        )  # fmt: skip
    steps = int(examples["steps"])
    data = pd.DataFrame(
        {
            "scan": str(examples["scan"][0]),
            "method": names,
            "steps": steps,
            "voxel_steps": int(examples.get("voxel_steps", steps)),
            "training_seed": int(examples["training_seed"]),
            "mean_abs_difference_in_mask": [np.abs(differences[n][mask]).mean() for n in names],
            "color_limit": limit,
        }
    )
    return figure, data


def _draw_planes(
    line: Sequence[Axes], volume: np.ndarray, centre: tuple[int, int, int], text: str
) -> None:
    """Three slices of a scan, named at the left."""
    for axis, plane in zip(line, PLANES, strict=False):
        show_slice(axis, cut(volume, plane, centre), sides=plane != "sagittal")
    line[0].set_ylabel(text, rotation=0, ha="right", va="center", labelpad=6)


def _draw_differences(
    line: Sequence[Axes], difference: np.ndarray, centre: tuple[int, int, int], limit: float
) -> AxesImage:
    """The same three slices of a difference map."""
    for axis, plane in zip(line, PLANES, strict=True):
        drawn = show_slice(
            axis, cut(difference, plane, centre), sides=plane != "sagittal",
            **difference_colors(limit),
        )  # fmt: skip
    return drawn


def describe_reconstruction(data: pd.DataFrame) -> str:
    """Caption of :func:`plot_reconstruction`."""
    row = data.iloc[0]
    steps = f"{int(row['steps'])} sampler steps (voxel DAE: {int(row['voxel_steps'])})"
    return (
        f"Scan {row['scan']} and its reconstructions with {steps}, with their "
        "differences to the scan inside the brain mask on one colour scale "
        f"(±{row['color_limit']:.2f} of the intensity range). {captions.shown_seed(data)} "
        f"{CONVENTION}"
    )


def plot_reconstruction_steps(
    table: pd.DataFrame, methods: Methods, window: int
) -> tuple[Figure, pd.DataFrame]:
    """SSIM and MSE inside the mask against the number of sampler steps, with intervals.

    Parameters
    ----------
    table
        Table ``reconstruction``.
    methods
        The study's methods.
    window
        Window of SSIM that is shown, voxels.

    Returns
    -------
    tuple
        Figure, and the rows shown.
    """
    part = table[table["region"] == "mask"]
    ssim = part[(part["metric"] == "ssim") & (part["window"] == window)]
    data = pd.concat([ssim, part[part["metric"] == "mse"]], ignore_index=True)
    texts = {"ssim": f"SSIM in the mask (window {window})", "mse": "MSE in the mask"}
    with theme():
        figure = new_figure(2.9)
        axes = figure.subplots(1, 2)
        for axis, (metric, text) in zip(axes, texts.items(), strict=True):
            _draw_steps(axis, data[data["metric"] == metric], methods)
            axis.set_ylabel(text)
        axes[1].set_yscale("log")
        panel_letters(axes)
        legend_below(figure, axes[0], 3)
    return figure, data


def _draw_steps(axis: Axes, rows: pd.DataFrame, methods: Methods) -> None:
    """One number against the steps; a dashed line for what does not diffuse and bounds the rest."""
    steps = sorted(rows["steps"].dropna().astype(int).unique())
    names = list(rows["method"].unique())
    moving = [name for name in names if not methods.is_(name, Role.BOUND)]
    for k, name in enumerate(moving):
        curve = rows[rows["method"] == name].sort_values("steps")
        x = np.array([steps.index(int(s)) for s in curve["steps"]], float)
        errorbars(axis, x + 0.06 * (k - (len(moving) - 1) / 2), curve, methods, name)
    for _, row in rows[rows["method"].isin(set(names) - set(moving))].iterrows():
        color = color_of(methods, row["method"])
        label = methods.label(row["method"])
        axis.axhline(row["value"], color=color, linestyle="--", label=label)
        if np.isfinite(row["ci_low"]):
            axis.axhspan(row["ci_low"], row["ci_high"], color=color, alpha=0.08, linewidth=0)
    axis.set_xticks(range(len(steps)), [str(s) for s in steps])
    axis.set_xlabel("sampler steps T")


def describe_reconstruction_steps(data: pd.DataFrame) -> str:
    """Caption of :func:`plot_reconstruction_steps`."""
    return (
        "Reconstruction quality inside the brain mask against the number of sampler steps; the "
        "dashed line is the autoencoder without diffusion, the bound of every latent model. "
        f"{captions.window(data)} {captions.intervals(data)} {captions.facts(data)}"
    )


def plot_stochastic(examples: Examples) -> tuple[Figure, pd.DataFrame]:
    """One scan, decodings of its semantic code, their mean and standard deviation, in three planes.

    Parameters
    ----------
    examples
        As :func:`ldae.evaluation.reconstruction.vary_stochastic` returns them.

    Returns
    -------
    tuple
        Figure, and one row: scan, n_samples, training_seed, mean_std_in_mask,
        mean_abs_difference_of_mean.
    """
    scans, mask = crop(examples, [ORIGINAL, "samples", "mean", "std"], examples["mask"] > 0)
    centre = brain_centre(mask)
    shown = {"original scan": scans[ORIGINAL]}
    shown |= {f"sample {i + 1}": s for i, s in enumerate(scans["samples"][:SHOWN_SAMPLES])}
    shown |= {"mean": scans["mean"], "SD": scans["std"] * mask}
    limit = max(0.02, float(np.quantile(scans["std"][mask], 0.99)))
    with theme():
        figure = new_figure(3.2)
        axes = figure.subplots(len(PLANES), len(shown), squeeze=False)
        for column, (title, volume) in zip(axes.T, shown.items(), strict=True):
            options = {"cmap": "magma", "vmin": 0, "vmax": limit} if title == "SD" else {}
            for axis, plane in zip(column, PLANES, strict=True):
                sides = plane != "sagittal" and title != "SD"
                drawn = show_slice(axis, cut(volume, plane, centre), sides=sides, **options)
            column[0].set_title(title)
        for axis, plane in zip(axes[:, 0], PLANES, strict=True):
            axis.set_ylabel(plane)
        label = "SD of intensity over samples"
        color_bar(figure, drawn, axes[:, -1], label, shrink=0.7, aspect=25, pad=0.04)
    error = np.abs(scans["mean"] - scans[ORIGINAL])[mask].mean()
    data = pd.DataFrame(
        {
            "scan": [str(examples["scan"])],
            "n_samples": [len(examples["samples"])],
            "training_seed": int(examples["training_seed"]),
            "mean_std_in_mask": [scans["std"][mask].mean()],
            "mean_abs_difference_of_mean": [error],
        }
    )
    return figure, data


def describe_stochastic(data: pd.DataFrame) -> str:
    """Caption of :func:`plot_stochastic`."""
    row = data.iloc[0]
    return (
        f"Scan {row['scan']} decoded from one semantic code and {int(row['n_samples'])} draws of "
        "the stochastic code; their voxel-wise standard deviation (SD) inside the mask is "
        f"{row['mean_std_in_mask']:.3f} on average. {captions.shown_seed(data)} {CONVENTION}"
    )
