"""Figure of trust in edits: what an edit moves besides its target, and whether it is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ldae.figures import captions
from ldae.figures.numbers import interval_lengths
from ldae.figures.theme import (
    BLACK,
    GREY,
    TASK_COLORS,
    TASK_LABELS,
    new_figure,
    panel_letters,
    theme,
)
from ldae.methods import Method, Methods, Role

JUDGE_LABELS = {"code": "code probe", "voxels": "voxel probe", "volumes": "volume probe"}
ALONG = {
    "targeted": "an attribute's effect on the code, with the other attributes held",
    "effect": "an attribute's effect on the code",
}
"""Edits other than the paper's (:attr:`ldae.methods.Method.edit`), and what they go along."""

OF_PARTICIPANTS = "off_target_ratio_participants"
"""How much attributes go together in real participants."""

BOUND: dict[str, Any] = {"color": BLACK, "linewidth": 0.8, "linestyle": "--"}
"""Line of a bound of the verdicts."""

WIDEST_RATIO = 3.0
"""Ratios beyond this are not drawn: nothing is learnt from how much too large they are."""

MAP_METRICS = {
    "truth_correlation": "with the true effect",
    "map_correlation": "with the group difference",
}


class _Edits(NamedTuple):
    """What is drawn of the edits: the main model's, other models' own, and the trivial answer."""

    main: Method
    others: list[Method]
    trivial: list[str]

    @classmethod
    def of(cls, methods: Methods) -> _Edits:
        edited = methods.select(evaluation="manipulation")
        others = [method for method in edited.values() if method.edit in ALONG]
        return cls(methods.main, others, list(edited.select(Role.TRIVIAL)))

    def curves(self, rows: pd.DataFrame) -> Iterator[tuple[Method, pd.DataFrame]]:
        """Rows of each model's edit that the table has, by rising amount."""
        for method in (self.main, *self.others):
            curve = rows[(rows["method"] == method.name) & rows["amount"].notna()]
            if len(curve):
                yield method, curve.sort_values("amount")


def plot_edit_fidelity(
    table: pd.DataFrame, methods: Methods, bounds: Mapping[str, float]
) -> tuple[Figure, pd.DataFrame]:
    """Off-target responses, agreement of difference maps, and identity, of edits.

    Parameters
    ----------
    table
        Table ``manipulation``.
    methods
        The study's methods; drawn are the main model's edits and those along effects.
    bounds
        Section ``verdicts.bounds`` of the settings; ``off_target_ratio`` and ``identity_kept`` are
        drawn.

    Returns
    -------
    tuple
        Figure, and the rows shown: off-target ratios of edits and of real participants (by the
        judges of the main model), map correlations and identity by amount.
    """
    edits = _Edits.of(methods)
    shown = [edits.main.name, *(m.name for m in edits.others), *edits.trivial]
    table = table[table["method"].isin(shown)]
    tasks = [t for t in TASK_COLORS if t in set(table["task"])]
    real = (table["metric"] == OF_PARTICIPANTS) & (table["method"] == edits.main.name)
    ratios = table[(table["metric"] == "off_target_ratio") | real]
    with theme():
        figure = new_figure(3.9, 7.6)
        axes = figure.subplots(1, 3, width_ratios=[1.25, 1, 0.8])
        _off_target_panel(axes[0], ratios, tasks, edits)
        axes[0].axvline(bounds["off_target_ratio"], **BOUND)
        parts = [ratios, *_map_panel(axes[1], table, tasks, edits)]
        parts.append(_identity_panel(axes[2], table, tasks, edits))
        axes[2].axhline(bounds["identity_kept"], **BOUND)
        panel_letters(axes)
    return figure, pd.concat(parts, ignore_index=True)


def _off_target_panel(axis: Axes, ratios: pd.DataFrame, tasks: list[str], edits: _Edits) -> None:
    """Ratios of edits (filled) and of real participants (open), by attribute and judge."""
    places, names, y = [], [], 0.0
    for task in tasks:
        of_task = ratios[ratios["task"] == task]
        axis.annotate(
            f"editing {TASK_LABELS[task]}", (0.99, y), fontsize=7, va="center", ha="right",
            xycoords=("axes fraction", "data"), color=TASK_COLORS[task], fontweight="bold",
        )  # fmt: skip
        y -= 1
        for attribute in dict.fromkeys(of_task["attribute"]):
            for judge, judged in JUDGE_LABELS.items():
                part = of_task[(of_task["attribute"] == attribute) & (of_task["judge"] == judge)]
                if len(part):
                    _draw_ratios(axis, part, y, TASK_COLORS[task], edits)
                    places.append(y)
                    names.append(f"{TASK_LABELS[attribute]}, {judged}")
                    y -= 1
    known = ratios["value"].to_numpy(float)
    known = known[np.isfinite(known)]
    axis.set_xlim(0, min(1.15 * max([1.0, *known]), WIDEST_RATIO))
    axis.set_ylim(y + 0.4, 0.6)
    axis.set_yticks(places, names, fontsize=6.5)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("off-target / on-target response")
    _off_target_legend(axis, set(ratios["method"]), edits)


def _draw_ratios(axis: Axes, rows: pd.DataFrame, y: float, color: str, edits: _Edits) -> None:
    """Ratios about one attribute by one judge: main edit, others, participants."""
    looks = {method.name: method.look for method in (edits.main, *edits.others)}
    for _, row in rows.iterrows():
        real = row["metric"] == OF_PARTICIPANTS
        shade = GREY if real else color
        at = y - 0.25 if real else y + (0.25 if row["method"] == edits.main.name else 0)
        axis.plot([row["ci_low"], row["ci_high"]], [at, at], color=shade, linewidth=1.2)
        axis.plot(
            row["value"], at, looks[row["method"]].marker, color=shade,
            mfc="white" if real else shade, markersize=3.8,
        )  # fmt: skip


def _off_target_legend(axis: Axes, shown: set[str], edits: _Edits) -> None:
    """What the markers are, above the panel."""
    axis.plot([], [], edits.main.look.marker, color=BLACK, label="edit")
    for method in edits.others:
        if method.name in shown:
            axis.plot([], [], method.look.marker, color=BLACK, label=method.edit)
    axis.plot([], [], edits.main.look.marker, color=GREY, mfc="white", label="participants")
    axis.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, handletextpad=0.1, borderaxespad=0,
        columnspacing=0.6, handlelength=1.2, fontsize=6.5,
    )  # fmt: skip


def _map_panel(
    axis: Axes, table: pd.DataFrame, tasks: list[str], edits: _Edits
) -> list[pd.DataFrame]:
    """Correlation of difference maps with the truth (else the group), by amount."""
    known = (table["metric"] == "truth_correlation").any()
    metric = "truth_correlation" if known else "map_correlation"
    shown = []
    for task in tasks:
        of_task = table[table["task"] == task]
        rows, color = of_task[of_task["metric"] == metric], TASK_COLORS[task]
        for method, curve in edits.curves(rows):
            label = TASK_LABELS[task] if method == edits.main else None
            axis.errorbar(
                curve["amount"], curve["value"].to_numpy(float), interval_lengths(curve),
                color=color, marker=method.look.marker, linestyle=method.look.line, capsize=2,
                elinewidth=0.9, label=label,
            )  # fmt: skip
            shown.append(curve)
        trivial = rows[rows["method"].isin(edits.trivial)]
        # All methods have one autoencoder.
        ceiling = of_task[of_task["metric"] == "truth_ceiling"]
        ceiling = ceiling[ceiling["method"] == edits.main.name]
        for bounds, style in ((trivial, ":"), (ceiling, "--")):
            for value in bounds["value"]:
                axis.axhline(value, color=color, linestyle=style, linewidth=1)
        shown += [trivial, ceiling]
    axis.axhline(0, color=BLACK, linewidth=0.6)
    if known:
        axis.plot([], [], ":", color=GREY, label="group difference")
        axis.plot([], [], "--", color=GREY, label="autoencoder's ceiling")
    axis.set_ylim(top=1.02)
    axis.set_xlabel("amount a")
    axis.set_ylabel(f"correlation of the edit\n{MAP_METRICS[metric]}")
    # Below the panel: where curves leave room differs from study to study.
    axis.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, borderaxespad=0,
        columnspacing=0.8, fontsize=6,
    )  # fmt: skip
    return shown


def _identity_panel(
    axis: Axes, table: pd.DataFrame, tasks: list[str], edits: _Edits
) -> pd.DataFrame:
    """Share of edits whose nearest other scan is the same participant's, by amount."""
    rows = table[(table["metric"] == "identity_kept") & table["amount"].notna()]
    for task in tasks:
        for method, curve in edits.curves(rows[rows["task"] == task]):
            axis.plot(
                curve["amount"], curve["value"], color=TASK_COLORS[task],
                marker=method.look.marker, linestyle=method.look.line,
            )  # fmt: skip
    axis.set_ylim(-0.03, 1.05)
    axis.set_xlabel("amount a")
    axis.set_ylabel("identity kept (share of scans)")
    return rows


def describe_edit_fidelity(
    data: pd.DataFrame, methods: Methods, bounds: Mapping[str, float]
) -> str:
    """Caption of :func:`plot_edit_fidelity`."""
    edits = _Edits.of(methods)
    known = (data["metric"] == "truth_correlation").any()
    against = (
        "the simulated participant's true effect, with that of the training participants' mean "
        "difference (dotted) and what the autoencoder lets through (dashed)"
        if known
        else "the training participants' mean difference"
    )
    others = "; ".join(
        f"those of {method.look.label} go along {ALONG[str(method.edit)]}"
        for method in edits.others
        if (data["method"] == method.name).any()
    )
    which = f"Edits are those of {edits.main.look.label}" + (f"; {others}." if others else ".")
    return (
        "(a) Response to attributes that an edit should leave alone, over the response to its own; "
        "open circles show how much the attributes go together in participants, the dashed "
        f"line is the bound of {bounds['off_target_ratio']:g}. Ratios above {WIDEST_RATIO:g}, and "
        "those of edits whose own response may be zero, are not drawn. (b) Correlation of the "
        f"edits' difference maps with {against}, inside the mask; positive where the change goes "
        "the right way. (c) Share of edited scans whose nearest other scan is the same "
        f"participant's; the dashed line is the bound of {bounds['identity_kept']:g}. {which} "
        f"{captions.intervals(data)} {captions.facts(data)}"
    )
