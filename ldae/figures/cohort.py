"""Figures of the cohort: participants over their visits, and measured against reference volumes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ldae.figures.slices import CONVENTION, bounding_box, brain_centre, cut, show_slice
from ldae.figures.theme import REFERENCE, color_of, new_figure, theme
from ldae.methods import Methods
from ldae.wording import counted

SHOWN_PARTICIPANTS = 4
SPLIT = "test"
"""Split that the shown participants are of."""

SHOWN_PLANES = ("coronal", "axial")
STRUCTURES = {
    "ventricles": "lateral ventricles",
    "hippocampi": "hippocampi",
    "brain": "brain tissue",
}
"""Structures that are shown, and their names on the axes."""


def choose_participants(index: pd.DataFrame, n_shown: int) -> list[str]:
    """Participants of the test split with most visits, diagnoses in turn, by name.

    Parameters
    ----------
    index
        Index of the packed scans.
    n_shown
        Participants wanted.
    """
    part = index[index["split"] == SPLIT]
    found = part.groupby("subject").agg(n=("scan", "size"), diagnosis=("diagnosis", "last"))
    found = found.reset_index().sort_values(["n", "subject"], ascending=[False, True])
    turn = found.groupby("diagnosis").cumcount()
    found = found.assign(turn=turn).sort_values(["turn", "diagnosis"], kind="stable")
    return found["subject"].head(n_shown).tolist()


def plot_cohort(
    volumes: np.ndarray, masks: np.ndarray, index: pd.DataFrame
) -> tuple[Figure, pd.DataFrame]:
    """A few participants over their visits: coronal and axial slices, one row for each.

    Parameters
    ----------
    volumes, masks
        Packed scans and masks, (N, H, W, D).
    index
        Their index.

    Returns
    -------
    tuple
        Figure, and one row per slice: scan, subject, months, age, diagnosis, plane.
    """
    chosen = {
        subject: index[index["subject"] == subject].sort_values("months", kind="stable")
        for subject in choose_participants(index, SHOWN_PARTICIPANTS)
    }
    months = sorted({_month(m) for v in chosen.values() for m in v["months"].dropna()}) or [0]
    rows = []
    with theme():
        figure = new_figure(0.25 + 1.05 * len(chosen))
        axes = figure.subplots(len(chosen), 2 * len(months), squeeze=False)
        for axis in axes.ravel():
            axis.set_axis_off()
        for line, visits in zip(axes, chosen.values(), strict=True):
            places = {month: line[2 * k : 2 * k + 2] for k, month in enumerate(months)}
            rows += _draw_visits(places, visits, volumes, masks)
            line[0].set_axis_on()
            line[0].set_ylabel(
                _describe_participant(visits.iloc[0]), rotation=0, ha="right", va="center",
                labelpad=6, fontsize=7,
            )  # fmt: skip
        for k, month in enumerate(months):
            axes[0, 2 * k].set_title(f"month {month}", loc="left", fontsize=8)
    return figure, pd.DataFrame(rows)


def _month(months: float) -> int:
    """Months since the first visit as a whole number; 0 where they are not known."""
    return 0 if pd.isna(months) else round(float(months))


def _draw_visits(
    places: dict[int, np.ndarray], visits: pd.DataFrame, volumes: np.ndarray, masks: np.ndarray
) -> list[dict[str, object]]:
    """Draw a participant's visits, each on the axes of its month; all through the same voxel."""
    mask = np.asarray(masks[int(visits.iloc[0]["row"])]) > 0
    box = bounding_box(mask)
    centre = brain_centre(mask[box])
    rows: list[dict[str, object]] = []
    for _, visit in visits.iterrows():
        month = _month(visit["months"])
        volume = np.asarray(volumes[int(visit["row"])], float)[box]
        for axis, plane in zip(places[month], SHOWN_PLANES, strict=True):
            axis.set_axis_on()
            show_slice(axis, cut(volume, plane, centre), sides=True)
            rows.append(
                {"scan": visit["scan"], "subject": visit["subject"], "months": month}
                | {"age": visit["age"], "diagnosis": visit["diagnosis"], "plane": plane}
            )
    return rows


def _describe_participant(first: pd.Series) -> str:
    """Name, diagnosis, sex and age at the first visit, as far as they are known."""
    age = "" if pd.isna(first["age"]) else f"{first['age']:.0f} y"
    known = (first["subject"], first["diagnosis"], first["sex"], age)
    return "\n".join(str(value) for value in known if str(value))


def describe_cohort(data: pd.DataFrame) -> str:
    """Caption of :func:`plot_cohort`."""
    return (
        f"{data['subject'].nunique()} participants of the cohort over their visits, "
        f"{data['scan'].nunique()} preprocessed scans, coronal and axial slices through the same "
        f"voxel. {CONVENTION}"
    )


def plot_volumes(
    pairs: pd.DataFrame, table: pd.DataFrame, methods: Methods
) -> tuple[Figure, pd.DataFrame]:
    """Measured over reference volumes, one point per scan.

    Parameters
    ----------
    pairs
        structure, scan, subject, measured, reference; ml.
    table
        Table ``volumes``.
    methods
        The study's methods.

    Returns
    -------
    tuple
        Figure, and the shown pairs with cohort, seed, n_subjects, n_scans of the table.
    """
    shown = [s for s in STRUCTURES if s in set(pairs["structure"])]
    data = pairs[pairs["structure"].isin(shown)].reset_index(drop=True)
    value = table.set_index(["structure", "metric"])["value"]
    color = color_of(methods, str(table["method"].iloc[0]))
    with theme():
        figure = new_figure(2.7)
        axes = np.atleast_1d(figure.subplots(1, len(shown)))
        for axis, structure in zip(axes, shown, strict=True):
            _draw_pairs(axis, data[data["structure"] == structure], color)
            axis.set_title(
                f"r = {value[structure, 'correlation']:.3f}, mean error "
                f"{value[structure, 'error_ml']:.3g} ml",
                fontsize=7.5,
            )
            axis.set_xlabel(f"{STRUCTURES[structure]}, reference (ml)")
            axis.set_ylabel("measured (ml)")
    for column in ("cohort", "seed", "n_subjects", "n_scans"):
        data[column] = table[column].iloc[0]
    return figure, data


def _draw_pairs(axis: Axes, pairs: pd.DataFrame, color: str) -> None:
    """One point per scan, and the line of equality."""
    both = pairs[["reference", "measured"]].to_numpy(float)
    ends = [both.min(), both.max()]
    axis.plot(ends, ends, **REFERENCE)
    axis.scatter(both[:, 0], both[:, 1], s=8, alpha=0.6, linewidth=0, color=color)


def describe_volumes(data: pd.DataFrame) -> str:
    """Caption of :func:`plot_volumes`."""
    return (
        "Volumes measured on the preprocessed scans without a segmentation network, in the "
        "participant's head, against the reference, one point per scan; the dotted line is "
        "equality. Titles: Pearson's correlation r and mean absolute error. Cohort "
        f"{data['cohort'].iloc[0]}, all splits, "
        f"{counted(int(data['n_subjects'].iloc[0]), 'participant')}, "
        f"{counted(int(data['n_scans'].iloc[0]), 'scan')}."
    )


def describe_quality() -> str:
    """Caption of the overview that quality control draws."""
    return (
        "Quality control. For each scan, the upper row is the raw head and the lower row the scan "
        "on the study's grid, each with the outline of its brain mask. Titles: volume of the "
        "mask, correlation r with the template, overlap (Dice) of the mask with the template's "
        "brain, and why the scan is shown or, in red, excluded. The most suspicious scans come "
        "first, then scans chosen at random; qc/qc.html has all."
    )
