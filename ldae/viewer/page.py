"""The viewer's page: scenes of volumes, drawn by niivue, in one HTML file that needs no network."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any

import nibabel as nib
import numpy as np

from ldae.figures.slices import brain_centre, difference_limit

STEPS = 4095
"""Intensities are rounded to this share of the brightest one: finer than a screen shows."""

COMPRESSION = 6

BRIGHTEST = 0.998
"""Quantile of the voxels that are not empty that is drawn white, where a scan has no range."""

PARTS = {"style": "viewer.css", "script": "viewer.js", "niivue": "niivue/niivue.umd.js"}
"""Files of this package that stand in the page."""

TEMPLATE = "page.html"


@dataclass(frozen=True, eq=False)
class Volume:
    """A volume and where it lies.

    Attributes
    ----------
    data
        Intensities (X, Y, Z).
    affine
        Voxel indices to RAS mm, (4, 4).
    white
        Intensity that is drawn white.
    """

    data: np.ndarray
    affine: np.ndarray
    white: float = 1.0

    def fits(self, other: Volume) -> bool:
        """Whether both lie on one grid, so that voxels can be subtracted."""
        same = self.data.shape == other.data.shape
        return same and np.allclose(self.affine, other.affine, atol=1e-3)


@dataclass(frozen=True)
class Shown:
    """A volume under the name that stands over it.

    Attributes
    ----------
    label
        What it is, in a few words.
    volume
        The volume.
    tick
        Where it stands on a slider, such as ``0.4`` or ``12 months``; by default the label.
    base
        What its difference is counted from, on the same grid; None where there is nothing to
        compare it with.
    name
        Its name in the page's address, after the scene's and a colon.
    """

    label: str
    volume: Volume
    tick: str = ""
    base: Shown | None = None
    name: str = ""


@dataclass(frozen=True)
class Scene:
    """Volumes that are looked at together: one on the left, one of several on the right.

    Attributes
    ----------
    key
        Its name in the page's address, after ``#``.
    title, text
        What it is about: a few words, and what exactly is shown.
    control
        What the slider or list chooses.
    stops
        What it chooses from.
    start
        Which of them is shown first.
    slider
        Whether they have an order: a slider instead of a list.
    reference
        What is shown on the left; None leaves it out.
    scan
        Name of the scan that it is about; empty if there are several.
    """

    key: str
    title: str
    text: str
    control: str
    stops: Sequence[Shown]
    start: int = 0
    slider: bool = False
    reference: Shown | None = None
    scan: str = ""


def brightest(data: np.ndarray) -> float:
    """Intensity to draw white, of a scan whose range is not known."""
    found = data[data > 0]
    return float(np.quantile(found, BRIGHTEST)) if found.size else 1.0


def signed(amount: float) -> str:
    """An amount with its sign, as it is printed; 0 has none.

    >>> signed(0.4), signed(-0.4), signed(0.0)
    ('+0.4', '−0.4', '0')
    """
    return f"{amount:+.3g}".replace("-", "−") if amount else "0"


def build_page(title: str, note: str, scenes: Iterable[Scene]) -> str:
    """The page as HTML; the same scenes give the same bytes.

    Parameters
    ----------
    title
        Heading.
    note
        One paragraph that every reader must see.
    scenes
        At least one.
    """
    content, volumes = [], _Volumes()
    for scene in scenes:
        content.append(_described(scene, volumes))
    if not content:
        raise ValueError("a viewer without scenes")
    data = {"title": title, "note": note, "scenes": content, "volumes": volumes.content}
    package = files(__package__)
    text = {
        name: (package / file).read_text(encoding="utf-8").rstrip("\n")
        for name, file in PARTS.items()
    }
    page = Template((package / TEMPLATE).read_text(encoding="utf-8"))
    return page.substitute(text, data=_harmless(json.dumps(data, ensure_ascii=False)))


def _harmless(text: str) -> str:
    """JSON that cannot end the element that it stands in."""
    return text.replace("<", "\\u003c")


class _Volumes:
    """The volumes of a page, each once, whichever scenes show it."""

    def __init__(self) -> None:
        self.content: list[dict[str, Any]] = []
        self._known: dict[int, tuple[Volume, int]] = {}

    def number(self, volume: Volume) -> int:
        """Its place among the page's volumes."""
        if id(volume) not in self._known:
            self._known[id(volume)] = volume, len(self.content)
            self.content.append(_encoded(volume))
        return self._known[id(volume)][1]


def _encoded(volume: Volume) -> dict[str, Any]:
    """A volume as a compressed NIfTI file in base64; whole numbers, `white` being `STEPS`."""
    scaled = np.rint(np.nan_to_num(volume.data.astype(np.float64)) * (STEPS / volume.white))
    limits = np.iinfo(np.int16)
    image = nib.Nifti1Image(
        np.clip(scaled, limits.min, limits.max).astype(np.int16), volume.affine.astype(float)
    )
    image.header["cal_min"], image.header["cal_max"] = 0, STEPS  # black and white
    data = gzip.compress(image.to_bytes(), COMPRESSION, mtime=0)
    return {"nifti": base64.b64encode(data).decode(), "white": volume.white, "steps": STEPS}


def _described(scene: Scene, volumes: _Volumes) -> dict[str, Any]:
    """What the page's script needs of a scene."""

    def named(one: Shown | None) -> dict[str, Any] | None:
        if one is None:
            return None
        return {"label": one.label, "volume": volumes.number(one.volume)}

    return {
        "key": scene.key,
        "title": scene.title,
        "text": scene.text,
        "control": scene.control,
        "slider": scene.slider,
        "start": scene.start,
        "stops": [
            {
                "label": one.label,
                "volume": volumes.number(one.volume),
                "tick": one.tick or one.label,
                "base": named(one.base),
                "name": one.name,
            }
            for one in scene.stops
        ],
        "reference": named(scene.reference),
        "limit": _limit(scene.stops),
        "centre": _centre(scene),
    }


def _limit(stops: Iterable[Shown]) -> float:
    """Difference at the end of the colours, as in the figures: one for all stops of a scene."""
    pairs = [(one.volume, one.base.volume) for one in stops if one.base is not None]
    white = max((base.white for _, base in pairs), default=1.0)
    differences = [(x.data.astype(np.float32) - base.data) / white for x, base in pairs]
    return difference_limit(*differences) * white if differences else white


def _centre(scene: Scene) -> list[float]:
    """Where the crosshair starts, RAS mm: where the report's figures are cut."""
    volume = (scene.reference or scene.stops[0]).volume
    x, y, z = brain_centre(volume.data > 0.05 * volume.white)
    return [float(v) for v in (volume.affine @ [x, y, z, 1])[:3]]
