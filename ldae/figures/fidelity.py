"""Figures of trust: what an edit moves besides its target, where it moves it, and paired gains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ldae.figures.slices import (
    DIFFERENCE_MAP,
    bounding_box,
    brain_centre,
    cut,
    difference_limit,
    show_slice,
)
from ldae.figures.theme import (
    BLACK,
    GREY,
    MODELS,
    TASK_COLORS,
    TASK_LABELS,
    color_of,
    label_of,
    legend_below,
    models_in,
    new_figure,
    panel_letters,
    theme,
)

JUDGE_LABELS = {"code": "code probe", "voxels": "voxel probe", "volumes": "volume probe"}
MODEL, TARGETED, GROUP_DIFFERENCE = "ldae", "ldae_joint_targeted", "group_difference"
"""The paper's edits, those that hold the other attributes, and the trivial edit beside them; tables
hold all models."""

TITLE_CHARACTERS, LABEL_CHARACTERS = 18, 22
"""Widths of a title over one panel of the comparisons, and of a method's name beside it."""

WIDEST_RATIO = 3.0
"""Ratios beyond this are not drawn: nothing is learnt from how much too large they are."""

MAP_METRICS = {
    "truth_correlation": "with the true effect",
    "map_correlation": "with the group difference",
}


def plot_edit_fidelity(
    table: pd.DataFrame, bounds: Mapping[str, float]
) -> tuple[Figure, pd.DataFrame]:
    """Off-target responses, agreement of difference maps, and identity, of edits.

    Parameters
    ----------
    table
        Table ``manipulation``.
    bounds
        Section ``verdicts.bounds`` of the settings; ``off_target_ratio`` and ``identity_kept`` are
        drawn.

    Returns
    -------
    tuple
        Figure, and the rows shown: off-target ratios of edits and of real people (by the judges of
        the paper's model), map correlations and identity by amount.
    """
    table = table[table["method"].isin([MODEL, TARGETED, GROUP_DIFFERENCE])]
    tasks = [t for t in TASK_COLORS if t in set(table["task"])]
    of_people = (table["metric"] == "off_target_ratio_participants") & (table["method"] == MODEL)
    ratios = table[(table["metric"] == "off_target_ratio") | of_people]
    with theme():
        figure = new_figure(3.9, 7.6)
        axes = figure.subplots(1, 3, width_ratios=[1.25, 1, 0.8])
        _off_target_panel(axes[0], ratios, tasks, bounds["off_target_ratio"])
        identity = _identity_panel(axes[2], table, tasks, bounds["identity_kept"])
        shown = [ratios, *_map_panel(axes[1], table, tasks), identity]
        panel_letters(axes)
    return figure, pd.concat(shown, ignore_index=True)


def _off_target_panel(axis: Axes, ratios: pd.DataFrame, tasks: list[str], bound: float) -> None:
    """Ratios of edits (filled) and of real people (open), one line per attribute and judge."""
    place, names, y = [], [], 0.0
    for task in tasks:
        of_task = ratios[ratios["task"] == task]
        axis.annotate(
            f"editing {TASK_LABELS[task]}", (0.99, y), fontsize=7, va="center", ha="right",
            xycoords=("axes fraction", "data"), color=TASK_COLORS[task], fontweight="bold",
        )  # fmt: skip
        y -= 1
        for attribute in dict.fromkeys(of_task["attribute"]):
            for judge in JUDGE_LABELS:
                part = of_task[(of_task["attribute"] == attribute) & (of_task["judge"] == judge)]
                if part.empty:
                    continue
                for _, row in part.iterrows():
                    people = row["metric"] == "off_target_ratio_participants"
                    color = GREY if people else TASK_COLORS[task]
                    marker, _ = MODELS[row["method"]]
                    at = y - 0.25 if people else y + (0.25 if row["method"] == MODEL else 0)
                    axis.plot([row["ci_low"], row["ci_high"]], [at, at], color=color, linewidth=1.2)
                    axis.plot(
                        row["value"], at, marker, color=color, mfc="white" if people else color,
                        markersize=3.8,
                    )  # fmt: skip
                place.append(y)
                names.append(f"{TASK_LABELS[attribute]}, {JUDGE_LABELS[judge]}")
                y -= 1
    axis.axvline(bound, color=BLACK, linewidth=0.8, linestyle="--")
    known = ratios["value"].to_numpy(float)
    known = known[np.isfinite(known)]
    axis.set_xlim(0, min(1.15 * max([1.0, *known]), WIDEST_RATIO))
    axis.set_ylim(y + 0.4, 0.6)
    axis.set_yticks(place, names, fontsize=6.5)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("off-target / on-target response")
    axis.plot([], [], "o", color=BLACK, label="edit")
    if TARGETED in set(ratios["method"]):
        axis.plot([], [], MODELS[TARGETED][0], color=BLACK, label="targeted")
    axis.plot([], [], "o", color=GREY, mfc="white", label="real people")
    axis.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, handletextpad=0.1, borderaxespad=0,
        columnspacing=0.6, handlelength=1.2, fontsize=6.5,
    )  # fmt: skip


def _curves(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each edit that the table has, by rising amount."""
    for method in (MODEL, TARGETED):
        curve = rows[(rows["method"] == method) & rows["amount"].notna()]
        if len(curve):
            yield method, curve.sort_values("amount")


def _map_panel(axis: Axes, table: pd.DataFrame, tasks: list[str]) -> list[pd.DataFrame]:
    """Correlation of difference maps with the truth (else the group), by amount."""
    known = (table["metric"] == "truth_correlation").any()
    metric = "truth_correlation" if known else "map_correlation"
    shown = []
    for task in tasks:
        of_task = table[(table["task"] == task) & (table["metric"] == metric)]
        trivial = of_task[of_task["method"] == GROUP_DIFFERENCE]
        color = TASK_COLORS[task]
        for method, curve in _curves(of_task):
            marker, line = MODELS[method]
            value = curve["value"].to_numpy(float)
            low = np.nan_to_num(value - curve["ci_low"].to_numpy(float)).clip(0)
            high = np.nan_to_num(curve["ci_high"].to_numpy(float) - value).clip(0)
            axis.errorbar(
                curve["amount"], value, [low, high], color=color, marker=marker, linestyle=line,
                capsize=2, elinewidth=0.9, label=TASK_LABELS[task] if method == MODEL else None,
            )  # fmt: skip
            shown.append(curve)
        # All methods have one autoencoder.
        ceiling = table[
            (table["task"] == task) & (table["metric"] == "truth_ceiling")
            & (table["method"] == MODEL)
        ]  # fmt: skip
        for rows, style in ((trivial, ":"), (ceiling, "--")):
            for _, row in rows.iterrows():
                axis.axhline(row["value"], color=color, linestyle=style, linewidth=1)
        shown += [trivial, ceiling]
    axis.axhline(0, color=BLACK, linewidth=0.6)
    if known:
        axis.plot([], [], ":", color=GREY, label="group difference")
        axis.plot([], [], "--", color=GREY, label="autoencoder's ceiling")
    axis.set_ylim(top=1.02)
    axis.set_xlabel("amount a")
    axis.set_ylabel(f"correlation of the edit\n{MAP_METRICS[metric]}")
    axis.legend(fontsize=6.5)
    return shown


def _identity_panel(
    axis: Axes, table: pd.DataFrame, tasks: list[str], bound: float
) -> pd.DataFrame:
    """Share of edits whose nearest other scan is the same person's, by amount."""
    rows = table[(table["metric"] == "identity_kept") & table["amount"].notna()]
    for task in tasks:
        for method, curve in _curves(rows[rows["task"] == task]):
            marker, line = MODELS[method]
            color = TASK_COLORS[task]
            axis.plot(curve["amount"], curve["value"], marker=marker, linestyle=line, color=color)
    axis.axhline(bound, color=BLACK, linewidth=0.8, linestyle="--")
    axis.set_ylim(-0.03, 1.05)
    axis.set_xlabel("amount a")
    axis.set_ylabel("identity kept (share of scans)")
    return rows


def plot_edit_maps(examples: Mapping[str, np.ndarray]) -> tuple[Figure, pd.DataFrame]:
    """One scan's edit beside the group difference and, if it is known, the true effect.

    Each map is drawn on its own symmetric scale, because edits by different amounts and a group
    difference have no common unit; the pattern is what is compared.

    Parameters
    ----------
    examples
        As :func:`ldae.evaluation.editing.manipulation.manipulate_attribute` returns them.
    """
    tasks = [t for t in TASK_COLORS if t in examples]
    amounts = np.asarray(examples["amounts"], float)
    zero, last = int(np.argmin(np.abs(amounts))), len(amounts) - 1
    whole = np.asarray(examples["mask"]) > 0
    box = bounding_box(whole)
    mask = whole[box]
    centre = brain_centre(mask)
    titles = {
        "original": "real scan",
        "edit": f"edit, a = {amounts[last]:g}\nminus a = 0",
        "group": "difference in\ntraining people",
        "truth": "true effect on\nthis person",
    }
    rows = []
    with theme():
        names = ["original", "edit", "group"]
        names += ["truth"] if any(f"{t}_truth" in examples for t in tasks) else []
        figure = new_figure(0.45 + 1.2 * len(tasks), 7.2)
        axes = figure.subplots(len(tasks), 2 * len(names), squeeze=False)
        for line, task in zip(axes, tasks, strict=True):
            edited = np.asarray(examples[task], float)
            maps = {
                "original": np.asarray(examples["original"], float)[box],
                "edit": (edited[last] - edited[zero])[box] * mask,
                "group": np.asarray(examples[f"{task}_group"], float)[box] * mask,
            }
            if f"{task}_truth" in examples:
                maps["truth"] = np.asarray(examples[f"{task}_truth"], float)[box] * mask
            for k, name in enumerate(names):
                if name not in maps:
                    line[2 * k].set_axis_off()
                    line[2 * k + 1].set_axis_off()
                    continue
                options: dict[str, Any] = {}
                if name != "original":
                    limit = _own_limit(maps[name][mask])
                    options = {"cmap": DIFFERENCE_MAP, "vmin": -limit, "vmax": limit}
                    rows.append(
                        {"scan": str(examples["scan"]), "task": task, "map": name}
                        | {"amount": amounts[last], "color_limit": limit}
                        | {"training_seed": int(examples["training_seed"])}
                        | {"correlation_with_edit": _correlation(maps[name], maps["edit"], mask)}
                    )
                for j, plane in enumerate(("coronal", "axial")):
                    show_slice(
                        line[2 * k + j], cut(maps[name], plane, centre), sides=name == "original",
                        **options,
                    )  # fmt: skip
                if name in ("group", "truth"):
                    line[2 * k].set_xlabel(
                        f"r = {rows[-1]['correlation_with_edit']:.2f} with the edit", fontsize=6.5
                    )
            line[0].set_ylabel(TASK_LABELS[task])
        for k, name in enumerate(names):
            axes[0, 2 * k].set_title(titles[name], loc="left", fontsize=7.5)
    return figure, pd.DataFrame(rows)


def _own_limit(values: np.ndarray) -> float:
    found = np.abs(values[np.isfinite(values)])
    return max(1e-4, float(np.quantile(found, 0.995))) if len(found) else difference_limit(values)


def _correlation(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> float:
    u, v = a[mask], b[mask]
    return float("nan") if u.std() == 0 or v.std() == 0 else float(np.corrcoef(u, v)[0, 1])


PANELS: tuple[tuple[str, float, dict[str, object]], ...] = (
    ("AUC, AD vs CN", 1, {"claim": "probes", "metric": "roc_auc_gain", "split": "test"}),
    ("age error (years)", 1, {"claim": "probes", "metric": "mae_gain", "split": "test"}),
    (
        "reconstruction, SSIM",
        1,
        {"claim": "reconstruction", "metric": "ssim_gain", "region": "mask"},
    ),
    (
        "interpolation, MSE\u00a0×\u00a01000",
        1000,
        {"claim": "interpolation", "metric": "mse_gain", "region": "mask", "target": "real"},
    ),
    (
        "interpolation, ventricles (ml)",
        1,
        {"claim": "interpolation", "metric": "ventricle_error_gain_ml", "target": "real"},
    ),
)
"""Panels of the forest plot: what is gained, its scale, and the rows of the table that say so."""


def plot_comparisons(table: pd.DataFrame, n_steps: int, window: int) -> tuple[Figure, pd.DataFrame]:
    """Forest plot of the paired gains of the models over every other method.

    Parameters
    ----------
    table
        Table ``comparisons``.
    n_steps
        Sampler steps at which reconstructions are compared, where there are several.
    window
        SSIM window of the reconstructions, voxels.
    """
    styles = models_in(table["method"])
    of_model = table[table["method"].isin(styles)]
    panels = []
    for title, scale, where in PANELS:
        rows = of_model
        for column, wanted in where.items():
            rows = rows[rows[column] == wanted]
        if where["metric"] == "ssim_gain":
            rows = rows[rows["window"] == window]
        if len(rows) and rows["steps"].notna().any() and rows["steps"].nunique() > 1:
            steps = rows["steps"].dropna().astype(int)
            common = n_steps if n_steps in set(steps) else int(steps.max())
            rows = rows[rows["steps"] == common]
        if len(rows):
            panels.append((title, scale, rows))
    if not panels:
        raise ValueError("there is nothing to compare")
    height = max(
        rows["against"].nunique() * (0.1 + 0.06 * rows["method"].nunique()) for *_, rows in panels
    )
    lines = -(-len(panels) // 3)
    with theme():
        figure = new_figure(0.5 + lines * (0.7 + height), 7.6)
        axes = np.atleast_1d(figure.subplots(lines, min(3, len(panels)), squeeze=False)).ravel()
        for axis, (title, scale, rows) in zip(axes, panels, strict=False):
            against = list(rows.groupby("against")["value"].max().sort_values().index)
            shown = [model for model in styles if model in set(rows["method"])]
            for _, row in rows.iterrows():
                k = (len(shown) - 1) / 2 - shown.index(row["method"])
                y = against.index(row["against"]) + 0.7 * k / len(shown)
                color = color_of(str(row["against"]))
                ends = np.array([row["ci_low"], row["ci_high"]], float) * scale
                axis.plot(ends, [y, y], color=color, linewidth=1.6)
                sure = not row["ci_low"] <= 0 <= row["ci_high"]
                face = color if sure else "white"
                marker, _ = styles[row["method"]]
                axis.plot(row["value"] * scale, y, marker, color=color, mfc=face, markersize=4)
            axis.axvline(0, color=BLACK, linewidth=0.8)
            names = ["\n".join(wrap(label_of(str(m)), LABEL_CHARACTERS)) for m in against]
            axis.set_yticks(np.arange(len(against)), names)
            axis.set_ylim(-0.7, len(against) - 0.3)
            axis.set_title("\n".join(wrap(title, TITLE_CHARACTERS)), fontsize=8)
            axis.set_xlabel("gain of the model")
            axis.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
            axis.grid(visible=False, axis="y")
        for axis in axes[len(panels) :]:
            axis.set_visible(False)
        for model, (marker, _) in styles.items():
            axes[0].plot([], [], marker, color=BLACK, label=label_of(model))
        if len(styles) > 1:
            legend_below(figure, axes[0], len(styles))
    return figure, pd.concat([rows.assign(panel=title) for title, _, rows in panels])
