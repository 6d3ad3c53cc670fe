"""Scenes as still pictures, for a page that is read or printed: slices and their differences.

A strip shows what the viewer shows of a scene, one column for each volume, in one axial slice.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill

import numpy as np

from ldae.figures.slices import (
    bounding_box,
    brain_centre,
    color_bar,
    cut,
    difference_colors,
    difference_limit,
    show_slice,
)
from ldae.figures.theme import new_figure, theme
from ldae.provenance.history import History
from ldae.report.links import record_of
from ldae.report.scans import Strip
from ldae.viewer.page import Scene, Shown

PLANE = "axial"
DPI = 130
COLUMN_INCHES, HEIGHT_INCHES = 0.95, 2.2
TITLE_CHARACTERS = 13
BACKGROUND = 0.05
"""Share of the intensity that is drawn white up to which a voxel is taken for background."""


def draw_strips(
    scenes: Mapping[str, Sequence[Scene]], kept: Mapping[str, Path], history: History
) -> dict[str, list[Strip]]:
    """Strips of a study's scenes, by the scan that they are about.

    Parameters
    ----------
    scenes
        By evaluation (:func:`ldae.viewer.study.study_scenes`).
    kept
        Examples by evaluation (:func:`ldae.viewer.study.find_examples`).
    history
        History of the study, for the records of the evaluations.
    """
    found: dict[str, list[Strip]] = {}
    for name, of_evaluation in scenes.items():
        job = history.producer(history.name(kept[name]))
        files = {} if job is None else {"record": record_of(job)}
        for scene in (one for one in of_evaluation if one.scan):
            picture, limit = draw_strip(scene)
            strip = Strip(scene.title, describe_strip(scene, limit), picture, scene.key, files)
            found.setdefault(scene.scan, []).append(strip)
    return found


def draw_strip(scene: Scene) -> tuple[bytes, float]:
    """A scene as a picture (PNG), and the difference at the end of its colours.

    The first row has the reference and every stop, the second row what each differs by from its
    base. Equal scenes give equal bytes.
    """
    shown = [one for one in (scene.reference, *scene.stops) if one is not None]
    mask = shown[0].volume.data > BACKGROUND * shown[0].volume.white
    box = bounding_box(mask)
    centre = brain_centre(mask[box])
    changes = {k: _change(one)[box] for k, one in enumerate(shown) if one.base is not None}
    limit = difference_limit(*changes.values())
    with theme():
        figure = new_figure(HEIGHT_INCHES, COLUMN_INCHES * (len(shown) + 1))
        axes = figure.subplots(2, len(shown), squeeze=False)
        for axis, one in zip(axes[0], shown, strict=True):
            image = cut(one.volume.data[box] / one.volume.white, PLANE, centre)
            show_slice(axis, image, sides=True)
            axis.set_title(fill(_named(one), TITLE_CHARACTERS), fontsize=7)
        for axis in axes[1]:
            axis.set_axis_off()
        for k, change in changes.items():
            image = cut(change, PLANE, centre)
            drawn = show_slice(axes[1, k], image, **difference_colors(limit))
        color_bar(figure, drawn, axes, "", shrink=0.4, aspect=12, pad=0.01, anchor=(0, 0))
        target = io.BytesIO()
        figure.savefig(target, format="png", dpi=DPI, metadata={"Software": None})
    return target.getvalue(), limit


def describe_strip(scene: Scene, limit: float) -> str:
    """Caption of :func:`draw_strip`."""
    bases = dict.fromkeys(one.base.label for one in scene.stops if one.base is not None)
    first = f"First column: {scene.reference.label}. " if scene.reference else ""
    others = f"{scene.control[:1].lower()}{scene.control[1:]}"
    others += "" if scene.slider else " the method named above"
    return (
        f"Axial slices. {first}Other columns: {others}. Below: the difference from "
        f"{' or '.join(f'“{base}”' for base in bases)}, ±{limit:.2g} of the intensity range."
    )


def _named(one: Shown) -> str:
    """Name of a column."""
    return one.tick or one.label


def _change(one: Shown) -> np.ndarray:
    """What a volume differs by from its base, in units of what is drawn white."""
    if one.base is None:
        return np.zeros_like(one.volume.data)
    difference: np.ndarray = one.volume.data - one.base.volume.data
    return difference / one.base.volume.white
