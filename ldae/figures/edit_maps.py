"""Figure of one edit beside the group difference and the true effect."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ldae.figures import captions
from ldae.figures.slices import (
    CONVENTION,
    Examples,
    bounding_box,
    brain_centre,
    cut,
    difference_colors,
    difference_limit,
    show_slice,
)
from ldae.figures.theme import TASK_COLORS, TASK_LABELS, new_figure, theme
from ldae.methods import Methods

SHOWN_PLANES = ("coronal", "axial")


class _Maps(NamedTuple):
    """What is drawn of one edited attribute."""

    original: np.ndarray
    differences: dict[str, np.ndarray]
    mask: np.ndarray
    amount: float
    training_seed: int

    @classmethod
    def of(cls, examples: Examples, task: str) -> _Maps:
        """Scan, edit by the largest amount, group difference and, if known, the true effect."""
        whole = np.asarray(examples["mask"]) > 0
        box = bounding_box(whole)
        mask = whole[box]
        amounts = np.asarray(examples["amounts"], float)
        zero, last = int(np.argmin(np.abs(amounts))), len(amounts) - 1
        edited = np.asarray(examples[task], float)
        differences = {"edit": (edited[last] - edited[zero])[box] * mask}
        for name in ("group", "truth"):
            if f"{task}_{name}" in examples:
                found = np.asarray(examples[f"{task}_{name}"], float)
                differences[name] = found[box] * mask
        original = np.asarray(examples["original"], float)[box]
        seed = int(examples["training_seed"])
        return cls(original, differences, mask, float(amounts[last]), seed)

    def agreement(self, name: str) -> float:
        """Correlation of a difference with the edit inside the mask."""
        u, v = (self.differences[n][self.mask] for n in (name, "edit"))
        return float("nan") if u.std() == 0 or v.std() == 0 else float(np.corrcoef(u, v)[0, 1])

    def limit(self, name: str) -> float:
        """Symmetric limit of a difference's own colours."""
        values = self.differences[name][self.mask]
        found = np.abs(values[np.isfinite(values)])
        return (
            max(1e-4, float(np.quantile(found, 0.995))) if len(found) else difference_limit(found)
        )


def plot_edit_maps(examples: Examples) -> tuple[Figure, pd.DataFrame]:
    """One scan's edit beside the group difference and, if it is known, the true effect.

    Each map is drawn on its own symmetric scale, because edits by different amounts and a group
    difference have no common unit; the pattern is what is compared.

    Parameters
    ----------
    examples
        As :func:`ldae.evaluation.editing.manipulation.manipulate_attribute` returns them.

    Returns
    -------
    tuple
        Figure, and one row per map: scan, method, task, map, amount, color_limit,
        training_seed, correlation_with_edit.
    """
    maps = {task: _Maps.of(examples, task) for task in TASK_COLORS if task in examples}
    amount = next(iter(maps.values())).amount
    titles = {"edit": f"edit, a = {amount:g}\nminus a = 0"}
    titles["group"] = "difference in\ntraining participants"
    if any("truth" in of_task.differences for of_task in maps.values()):
        titles["truth"] = "true effect on\nthis participant"
    rows: list[dict[str, Any]] = []
    with theme():
        figure = new_figure(0.45 + 1.2 * len(maps), 7.2)
        axes = figure.subplots(len(maps), len(SHOWN_PLANES) * (1 + len(titles)), squeeze=False)
        for axis in axes.ravel():
            axis.set_axis_off()
        for line, (task, of_task) in zip(axes, maps.items(), strict=True):
            found = _draw_maps(line, of_task, list(titles))
            whose = {"scan": str(examples["scan"]), "method": str(examples["method"])}
            rows += [whose | {"task": task} | row for row in found]
            line[0].set_ylabel(TASK_LABELS[task])
        for k, title in enumerate(["original scan", *titles.values()]):
            axes[0, len(SHOWN_PLANES) * k].set_title(title, loc="left", fontsize=7.5)
    return figure, pd.DataFrame(rows)


def _draw_maps(line: np.ndarray, maps: _Maps, names: list[str]) -> list[dict[str, Any]]:
    """Draw one attribute's scan and differences in a line; a row of numbers for each difference."""
    centre = brain_centre(maps.mask)
    for axis, plane in zip(line, SHOWN_PLANES, strict=False):
        axis.set_axis_on()
        show_slice(axis, cut(maps.original, plane, centre), sides=True)
    rows = []
    for k, name in enumerate(names, start=1):
        if name not in maps.differences:
            continue
        first, limit, agreement = len(SHOWN_PLANES) * k, maps.limit(name), maps.agreement(name)
        for axis, plane in zip(line[first:], SHOWN_PLANES, strict=False):
            axis.set_axis_on()
            image = cut(maps.differences[name], plane, centre)
            show_slice(axis, image, **difference_colors(limit))
        if name != "edit":
            line[first].set_xlabel(f"r = {agreement:.2f} with the edit", fontsize=6.5)
        rows.append(
            {"map": name, "amount": maps.amount, "color_limit": limit}
            | {"training_seed": maps.training_seed, "correlation_with_edit": agreement}
        )
    return rows


def describe_edit_maps(data: pd.DataFrame, methods: Methods) -> str:
    """Caption of :func:`plot_edit_maps`."""
    row = data.iloc[0]
    parts = [
        f"{TASK_LABELS[r['task']]}: {r['correlation_with_edit']:.2f} with the "
        f"{'true effect' if r['map'] == 'truth' else 'group difference'}"
        for _, r in data[data["map"] != "edit"].iterrows()
    ]
    return (
        f"Scan {row['scan']}: what an edit by a = {row['amount']:g} of the "
        f"{methods.label(row['method'])} changes, beside the difference in training participants "
        "and, for a simulated participant, the true effect. "
        "Each map has its own symmetric scale. Correlation of the edit inside the mask, "
        f"{'; '.join(parts)}. {captions.shown_seed(data)} {CONVENTION}"
    )
