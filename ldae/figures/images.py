"""Figures of scans: cohort, reconstructions, stochastic variation, edits, filled-in visits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ldae.figures.slices import (
    DIFFERENCE_MAP,
    PLANES,
    bounding_box,
    brain_centre,
    cut,
    difference_limit,
    show_slice,
)
from ldae.figures.theme import color_of, label_of, new_figure, theme

Examples = Mapping[str, np.ndarray]

RECONSTRUCTIONS = ("autoencoder", "ldae", "ldae_joint", "ldae_semantic", "prior", "voxel_dae")
DIFFERENCE_LABEL = "difference of intensity"


def _cropped(examples: Examples, names: Sequence[str], mask: np.ndarray) -> dict[str, np.ndarray]:
    box = bounding_box(mask)
    return {name: np.asarray(examples[name], float)[(..., *box)] for name in names}


def _crop_mask(mask: np.ndarray) -> np.ndarray:
    return np.asarray(mask)[bounding_box(mask)] > 0


def choose_people(index: pd.DataFrame, n_people: int, split: str = "test") -> list[str]:
    """People for the cohort figure: those with most visits, diagnoses in turn, by name.

    Parameters
    ----------
    index
        Index of the packed scans.
    n_people
        People wanted.
    split
        Split they come from.
    """
    part = index[index["split"] == split]
    people = part.groupby("subject").agg(n=("scan", "size"), diagnosis=("diagnosis", "last"))
    people = people.reset_index().sort_values(["n", "subject"], ascending=[False, True])
    turn = people.groupby("diagnosis").cumcount()
    people = people.assign(turn=turn).sort_values(["turn", "diagnosis"], kind="stable")
    return people["subject"].head(n_people).tolist()


def plot_cohort(
    volumes: np.ndarray,
    masks: np.ndarray,
    index: pd.DataFrame,
    n_people: int = 4,
    split: str = "test",
) -> tuple[Figure, pd.DataFrame]:
    """A few people over their visits: coronal and axial slices, one row for each person.

    Parameters
    ----------
    volumes, masks
        Packed scans and masks, (N, H, W, D).
    index
        Their index.
    n_people
        Rows of the figure.
    split
        Split they come from.
    """
    people = choose_people(index, n_people, split)
    chosen = {p: index[index["subject"] == p].sort_values("months", kind="stable") for p in people}
    months = sorted({round(float(m)) for v in chosen.values() for m in v["months"].dropna()}) or [0]
    rows = []
    with theme():
        figure = new_figure(0.25 + 1.05 * len(people))
        axes = figure.subplots(len(people), 2 * len(months), squeeze=False)
        for axis in axes.ravel():
            axis.set_axis_off()
        for line, (subject, visits) in zip(axes, chosen.items(), strict=True):
            first = visits.iloc[0]
            mask = np.asarray(masks[int(first["row"])]) > 0
            box, inner = bounding_box(mask), _crop_mask(mask)
            centre = brain_centre(inner)
            for _, visit in visits.iterrows():
                month = 0 if pd.isna(visit["months"]) else round(float(visit["months"]))
                volume = np.asarray(volumes[int(visit["row"])], float)[box]
                for k, plane in enumerate(("coronal", "axial")):
                    axis = line[2 * months.index(month) + k]
                    axis.set_axis_on()
                    show_slice(axis, cut(volume, plane, centre), sides=True)
                    rows.append({"scan": visit["scan"], "subject": subject, "months": month})
                    rows[-1] |= {
                        "age": visit["age"],
                        "diagnosis": visit["diagnosis"],
                        "plane": plane,
                    }
            text = "\n".join(
                str(v)
                for v in (subject, first["diagnosis"], first["sex"], _years(first["age"]))
                if str(v)
            )
            line[0].set_axis_on()
            line[0].set_ylabel(text, rotation=0, ha="right", va="center", labelpad=6, fontsize=7)
        for k, month in enumerate(months):
            axes[0, 2 * k].set_title(f"month {month}", loc="left", fontsize=8)
    return figure, pd.DataFrame(rows)


def _years(age: float) -> str:
    return "" if pd.isna(age) else f"{age:.0f} y"


def plot_reconstruction(examples: Examples, item: int = 0) -> tuple[Figure, pd.DataFrame]:
    """One scan and its reconstructions in three planes, each with its difference to the scan.

    Parameters
    ----------
    examples
        As :func:`ldae.evaluation.reconstruction.evaluate_reconstruction` returns them.
    item
        Which of the example scans.
    """
    mask_full = np.asarray(examples["mask"][item]) > 0
    methods = [m for m in RECONSTRUCTIONS if m in examples]
    one = {name: examples[name][item] for name in ("original", *methods)}
    shown = _cropped(one, list(one), mask_full)
    mask = _crop_mask(mask_full)
    centre = brain_centre(mask)
    differences = {m: (shown[m] - shown["original"]) * mask for m in methods}
    limit = difference_limit(*differences.values())
    rows = []
    with theme():
        figure = new_figure(0.5 + 0.8 * (len(methods) + 1))
        axes = figure.subplots(len(methods) + 1, 6, squeeze=False)
        drawn = None
        for line, name in zip(axes, ("original", *methods), strict=True):
            for k, plane in enumerate(PLANES):
                sides = plane != "sagittal"
                show_slice(line[k], cut(shown[name], plane, centre), sides=sides)
                if name == "original":
                    line[k + 3].set_axis_off()
                    continue
                drawn = show_slice(
                    line[k + 3], cut(differences[name], plane, centre), sides=sides,
                    cmap=DIFFERENCE_MAP, vmin=-limit, vmax=limit,
                )  # fmt: skip
            text = "real scan" if name == "original" else label_of(name).replace(", ", ",\n")
            line[0].set_ylabel(text, rotation=0, ha="right", va="center", labelpad=6)
            if name != "original":
                rows.append(
                    {
                        "scan": str(examples["scan"][item]),
                        "method": name,
                        "steps": int(examples["steps"]),
                        "voxel_steps": int(examples.get("voxel_steps", examples["steps"])),
                        "training_seed": int(examples["training_seed"]),
                        "mean_abs_difference_in_mask": np.abs(differences[name][mask]).mean(),
                        "color_limit": limit,
                    }
                )
        for k, plane in enumerate(PLANES):
            axes[0, k].set_title(plane)
            axes[1, k + 3].set_title(plane)
        if drawn is not None:
            bar = figure.colorbar(drawn, ax=axes[:, 3:], shrink=0.5, aspect=30, pad=0.02)
            bar.set_label("reconstruction - scan")
            bar.outline.set_visible(False)
    return figure, pd.DataFrame(rows)


def plot_stochastic(examples: Examples, n_shown: int = 4) -> tuple[Figure, pd.DataFrame]:
    """One scan, samples of its semantic code, their mean and their deviation, in three planes.

    Parameters
    ----------
    examples
        As :func:`ldae.evaluation.reconstruction.vary_stochastic` returns them.
    n_shown
        Samples drawn.
    """
    mask_full = np.asarray(examples["mask"]) > 0
    shown = _cropped(examples, ["original", "samples", "mean", "std"], mask_full)
    mask = _crop_mask(mask_full)
    centre = brain_centre(mask)
    n_shown = min(n_shown, len(shown["samples"]))
    columns = ["real scan", *[f"sample {i + 1}" for i in range(n_shown)], "mean", "deviation"]
    images = [shown["original"], *shown["samples"][:n_shown], shown["mean"], shown["std"] * mask]
    limit = max(0.02, float(np.quantile(shown["std"][mask], 0.99)))
    with theme():
        figure = new_figure(3.2)
        axes = figure.subplots(3, len(columns), squeeze=False)
        for j, (title, image) in enumerate(zip(columns, images, strict=True)):
            for i, plane in enumerate(PLANES):
                options = (
                    {"cmap": "magma", "vmin": 0, "vmax": limit} if title == "deviation" else {}
                )
                drawn = show_slice(
                    axes[i, j], cut(image, plane, centre),
                    sides=plane != "sagittal" and title != "deviation", **options,
                )  # fmt: skip
            axes[0, j].set_title(title)
        for i, plane in enumerate(PLANES):
            axes[i, 0].set_ylabel(plane)
        bar = figure.colorbar(drawn, ax=axes[:, -1], shrink=0.7, aspect=25, pad=0.04)
        bar.set_label("deviation of intensity over samples")
        bar.outline.set_visible(False)
    data = pd.DataFrame(
        {
            "scan": [str(examples["scan"])],
            "n_samples": [len(examples["samples"])],
            "training_seed": int(examples["training_seed"]),
            "mean_std_in_mask": [shown["std"][mask].mean()],
            "mean_abs_difference_of_mean": [np.abs(shown["mean"] - shown["original"])[mask].mean()],
        }
    )
    return figure, data


def plot_manipulation(examples: Examples, task: str) -> tuple[Figure, pd.DataFrame]:
    """One scan edited by rising amounts, and the difference of each to the unedited decoding.

    Parameters
    ----------
    examples
        As :func:`ldae.evaluation.editing.manipulation.manipulate_attribute` returns them.
    task
        Edited attribute, ``ad_vs_cn`` or ``age``.
    """
    amounts = np.asarray(examples["amounts"], float)
    mask_full = np.asarray(examples["mask"]) > 0
    shown = _cropped(examples, [task, "original"], mask_full)
    mask = _crop_mask(mask_full)
    centre = brain_centre(mask)
    zero = int(np.argmin(np.abs(amounts)))
    differences = (shown[task] - shown[task][zero]) * mask
    limit = difference_limit(differences)
    low, high = ("towards CN", "towards AD") if task == "ad_vs_cn" else ("younger", "older")
    with theme():
        figure = new_figure(4.0)
        axes = figure.subplots(4, len(amounts), squeeze=False)
        for j, amount in enumerate(amounts):
            for i, plane in enumerate(("coronal", "axial")):
                show_slice(axes[2 * i, j], cut(shown[task][j], plane, centre), sides=True)
                drawn = show_slice(
                    axes[2 * i + 1, j], cut(differences[j], plane, centre),
                    cmap=DIFFERENCE_MAP, vmin=-limit, vmax=limit,
                )  # fmt: skip
            end = {0: f"\n{low}", len(amounts) - 1: f"\n{high}"}.get(j, "\n ")
            axes[0, j].set_title(f"a = {amount:g}{end}")
        for i, text in enumerate(("decoded", "minus a = 0") * 2):
            axes[i, 0].set_ylabel(text)
        bar = figure.colorbar(drawn, ax=axes, shrink=0.5, aspect=30, pad=0.01)
        bar.set_label(DIFFERENCE_LABEL)
        bar.outline.set_visible(False)
    data = pd.DataFrame(
        {
            "scan": str(examples["scan"]),
            "task": task,
            "training_seed": int(examples["training_seed"]),
            "amount": amounts,
            "mean_difference_in_mask": [d[mask].mean() for d in differences],
            "mean_abs_difference_in_mask": [np.abs(d[mask]).mean() for d in differences],
            "color_limit": limit,
        }
    )
    return figure, data


TITLE_CHARACTERS = 12
"""Width of a title over one slice."""

INTERPOLATED = (
    "ldae",
    "ldae_joint",
    "ldae_residual",
    "latent_average",
    "voxel_average",
    "nearest_visit",
)


def plot_interpolation_sequence(examples: Examples) -> tuple[Figure, pd.DataFrame]:
    """A person's visits, the middle one filled in by every method, and what each gets wrong.

    Top: real visits A and B with the model's sequence between them, and the model's change since A.
    Bottom: the real middle visit, each method's, and their differences to it.

    Parameters
    ----------
    examples
        As :func:`ldae.evaluation.interpolation.interpolate_gaps` returns them.
    """
    methods = [m for m in INTERPOLATED if m in examples]
    mask_full = np.asarray(examples["mask"]) > 0
    shown = _cropped(examples, ["visit_a", "real", "visit_b", "sequence", *methods], mask_full)
    mask = _crop_mask(mask_full)
    centre = brain_centre(mask)
    start, middle, end = (float(m) for m in examples["months"])
    alphas = np.asarray(examples["sequence_alpha"], float)
    changes = (shown["sequence"] - shown["sequence"][0]) * mask
    errors = {m: (shown[m] - shown["real"]) * mask for m in methods}
    limit = difference_limit(changes, *errors.values())
    difference: dict[str, Any] = {"cmap": DIFFERENCE_MAP, "vmin": -limit, "vmax": limit}
    n_columns = len(alphas) + 2
    with theme():
        figure = new_figure(5.0)
        axes = figure.subplots(4, n_columns, squeeze=False)
        for axis in axes.ravel():
            axis.set_axis_off()
        columns = [("real A", start, shown["visit_a"])]
        columns += [
            (f"α = {a:g}", start + a * (end - start), v)
            for a, v in zip(alphas, shown["sequence"], strict=True)
        ]
        columns.append(("real B", end, shown["visit_b"]))
        for j, (title, month, volume) in enumerate(columns):
            axes[0, j].set_axis_on()
            show_slice(axes[0, j], cut(volume, "axial", centre), sides=True)
            axes[0, j].set_title(f"{title}\nmonth {month:.3g}")
            change = changes[j - 1] if 0 < j < n_columns - 1 else None
            if j == n_columns - 1:
                change = (shown["visit_b"] - shown["visit_a"]) * mask
            if change is not None:
                axes[1, j].set_axis_on()
                drawn = show_slice(axes[1, j], cut(change, "axial", centre), **difference)
        axes[0, 0].set_ylabel("LDAE, A to B")
        axes[1, 1].set_ylabel("change since A")
        columns_below = [("real middle", shown["real"])]
        columns_below += [
            ("\n".join(wrap(label_of(m), TITLE_CHARACTERS)), shown[m]) for m in methods
        ]
        for j, (title, volume) in enumerate(columns_below):
            axes[2, j].set_axis_on()
            show_slice(axes[2, j], cut(volume, "axial", centre), sides=True)
            axes[2, j].set_title(title)
            if j == 0:
                axes[2, j].set_ylabel(f"month {middle:.3g}")
                continue
            axes[3, j].set_axis_on()
            show_slice(axes[3, j], cut(errors[methods[j - 1]], "axial", centre), **difference)
            axes[3, j].set_xlabel(
                f"MSE {np.square(errors[methods[j - 1]][mask]).mean():.4f}", fontsize=7,
                color=color_of(methods[j - 1]),
            )  # fmt: skip
        axes[3, 1].set_ylabel("minus real")
        bar = figure.colorbar(drawn, ax=axes, shrink=0.4, aspect=30, pad=0.01)
        bar.set_label(DIFFERENCE_LABEL)
        bar.outline.set_visible(False)
    data = pd.DataFrame(
        {
            "subject": str(examples["subject"]),
            "months_a": start,
            "months_middle": middle,
            "months_b": end,
            "method": methods,
            "training_seed": int(examples["training_seed"]),
            "mse_in_mask": [np.square(errors[m][mask]).mean() for m in methods],
            "color_limit": limit,
        }
    )
    return figure, data
