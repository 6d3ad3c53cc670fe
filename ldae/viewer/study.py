"""Scenes of a finished study: what its evaluations have kept, and scans to look at."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import yaml

from ldae.conclusions.readers import examples as read_examples
from ldae.data.addresses import Derivative, derivative_address
from ldae.data.volumes import read_index
from ldae.errors import InputError
from ldae.figures.reconstruction import ORIGINAL, shown_methods
from ldae.figures.slices import Examples
from ldae.figures.theme import TASK_LABELS
from ldae.methods import Methods, study_methods
from ldae.report.scans import PREPROCESSED, choose_scans, facts_of
from ldae.subsets import WORDS, scored_split
from ldae.viewer.page import Scene, Shown, Volume, build_page, signed

SIMULATED = (
    "The participants are simulated: what is seen here shows that the workflow works, and is no "
    "finding about the brain."
)

GRID_SPACE = (
    "Every volume is one that the study computed, on its grid in template space, with intensities "
    "from 0 to 1 (rounded to 1/4095). None is blended or interpolated from others."
)

CONFIG, QUALITY, INDEX, SCANS = (
    "config.yaml", "qc/qc.tsv", "volumes/index.tsv", "manifest/scans.tsv",
)  # fmt: skip
"""Files of a study that say which scans are shown, and how."""

MOST_VOXELS = 8_000_000
"""So many voxels of scans to look at are in the page of the report, which is kept."""

SCANS_SCENE = "scans"
"""Scene of the scans to look at."""

SHOWN_BY = {
    "reconstruction": "reconstruction",
    "manipulation_age": "edit-age",
    "manipulation_ad_vs_cn": "edit-ad_vs_cn",
    "interpolation_sequence": "interpolation",
}
"""Scenes of what figures show slices of, by figure."""


def find_examples(paths: Iterable[Path]) -> dict[str, Path]:
    """Files of examples by evaluation, of those that there are."""
    return {path.parent.name: path for path in paths if path.is_file()}


def scenes_of_scans(kept: Mapping[str, Path], viewed: Iterable[str]) -> dict[str, str]:
    """Scene of each of the scans `viewed`, and of those whose reconstructions were kept."""
    scenes = {scan: f"{SCANS_SCENE}:{scan}" for scan in viewed}
    if "reconstruction" in kept:
        scans = read_examples(kept["reconstruction"])["scan"]
        scenes |= {str(scan): _scene_key(str(scan), k) for k, scan in enumerate(scans)}
    return scenes


def _scene_key(scan: str, number: int) -> str:
    return f"reconstruction-{scan}" if number else "reconstruction"


def preprocessed_scans(results: Path, scans: Mapping[str, str]) -> dict[str, str]:
    """Those of the scans that preprocessing could process."""
    return {scan: why for scan, why in scans.items() if scan_file(results, scan).is_file()}


def first_scans(scans: Mapping[str, str], shape: Iterable[int]) -> dict[str, str]:
    """As many of the scans as :data:`MOST_VOXELS` allows, at least one."""
    return dict(islice(scans.items(), max(1, MOST_VOXELS // math.prod(shape))))


def scan_volume(results: Path, scan: str) -> Volume:
    """A preprocessed scan of a study.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    path = scan_file(results, scan)
    try:
        image = nib.Nifti1Image.from_filename(path)
        return Volume(np.asarray(image.dataobj, np.float32), np.asarray(image.affine))
    except (OSError, nib.filebasedimages.ImageFileError) as error:
        raise InputError(path, "the scan cannot be read", "Run the study again") from error


def scan_file(results: Path, scan: str) -> Path:
    """File of a preprocessed scan."""
    return results / PREPROCESSED / derivative_address(scan, Derivative.VOLUME)


def build_study_page(
    results: Path,
    config: Mapping[str, Any],
    methods: Methods,
    kept: Mapping[str, Path],
    scans: Mapping[str, str],
    index: pd.DataFrame,
) -> str:
    """The viewer's page of a study.

    Parameters
    ----------
    results
        Its results.
    config
        Its complete settings.
    methods
        Its methods.
    kept
        Examples by evaluation (:func:`find_examples`).
    scans
        Scans to look at, at least one, and why (:func:`ldae.report.scans.choose_scans`).
    index
        Table ``volumes/index.tsv`` with labels.
    """
    volumes = {scan: scan_volume(results, scan) for scan in scans}
    affine = next(iter(volumes.values())).affine
    made = study_scenes(config, methods, kept, affine, index)
    scenes = [*chain.from_iterable(made.values()), _scans_scene(volumes, scans, index)]
    notes = [SIMULATED] if config["cohort"]["source"] == "simulated" else []
    title = f"{config.get('title') or config['study']}: scans"
    return build_page(title, " ".join([*notes, GRID_SPACE]), scenes)


def study_scenes(
    config: Mapping[str, Any],
    methods: Methods,
    kept: Mapping[str, Path],
    affine: np.ndarray,
    index: pd.DataFrame,
) -> dict[str, list[Scene]]:
    """Scenes of what the evaluations have kept, by evaluation.

    Parameters
    ----------
    config, methods, kept, index
        As for :func:`build_study_page`.
    affine
        Of the study's grid, voxel indices to RAS mm, (4, 4).
    """
    scenes = {}
    for name, make in SCENES.items():
        if name in kept:
            found = read_examples(kept[name])
            middle = _middle_visit(found, index) if "subject" in found else ""
            made = make(found, methods, affine, config)
            scenes[name] = [replace(one, scan=one.scan or middle) for one in made]
    return scenes


def _middle_visit(found: Examples, index: pd.DataFrame) -> str:
    """Name of the scan that an interpolation predicts; empty if it is not listed."""
    of_subject = index["subject"] == str(found["subject"])
    at_time = np.isclose(index["months"], float(found["months"][1]))
    return next(iter(index.loc[of_subject & at_time, "scan"]), "")


def read_study_page(results: Path) -> str:
    """The viewer's page of a finished study, read from its results.

    Raises
    ------
    InputError
        If the folder has no finished evaluation, or something in it cannot be read.
    """
    try:
        config = yaml.safe_load((results / CONFIG).read_text(encoding="utf-8"))
        quality = pd.read_csv(results / QUALITY, sep="\t")
        index = read_index(results / INDEX, results / SCANS)
        seed, names = config["training_seeds"][0], tuple(SCENES)
        kept = find_examples(results / f"examples/{name}/seed-{seed}.npz" for name in names)
        scans = preprocessed_scans(results, choose_scans(quality, config["seed"]))
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        problem = f"the folder has no results of a finished study ({error})"
        raise InputError(results, problem, "Name the results of one, or NIfTI files") from error
    if not scans:
        raise InputError(results, "it has no preprocessed scans", "Run the study: ldae run")
    return build_study_page(results, config, study_methods(config), kept, scans, index)


def _reconstruction(
    found: Examples, methods: Methods, affine: np.ndarray, config: Mapping[str, Any]
) -> list[Scene]:
    """A scene for every scan that was kept with its reconstructions."""
    names = shown_methods(methods, found)
    scenes = []
    for k, scan in enumerate(map(str, found["scan"])):
        real = Shown(f"original scan {scan}", Volume(found[ORIGINAL][k], affine), "original")
        stops = [Shown(methods.label(n), Volume(found[n][k], affine), base=real) for n in names]
        scenes.append(
            Scene(
                key=_scene_key(scan, k),
                title=f"Reconstruction, {scan}",
                text=(
                    f"{_kind(config)} scan {scan} and what each method makes of it, with training "
                    f"seed {int(found['training_seed'])} and the study's largest number of steps "
                    f"({int(found['steps'])}; in voxel space {int(found['voxel_steps'])})."
                ),
                control="Reconstructed by",
                stops=stops,
                start=names.index(methods.main.name) if methods.main.name in names else 0,
                reference=real,
                scan=scan,
            )
        )
    return scenes


def _kind(config: Mapping[str, Any]) -> str:
    """Which split the kept scans are of, at the beginning of a sentence."""
    return WORDS[scored_split(final=config["final"])].capitalize()


def _manipulation(
    found: Examples, methods: Methods, affine: np.ndarray, config: Mapping[str, Any]
) -> list[Scene]:
    """A scene for every attribute that was edited."""
    amounts = np.asarray(found["amounts"], float)
    zero = int(np.argmin(np.abs(amounts)))
    scan, diagnoses = str(found["scan"]), config["cohort"]["diagnoses"]
    real = Shown(f"original scan {scan}", Volume(found[ORIGINAL], affine), "original")
    more = {"age": "older", "ad_vs_cn": f"towards {diagnoses['patient']}"}
    scenes = []
    for task in (name for name in more if name in found):
        plain = Shown("not edited, a = 0", Volume(found[task][zero], affine), "0")
        stops = [
            Shown(f"edited, a = {signed(a)}", Volume(x, affine), signed(a), base=plain)
            for a, x in zip(amounts, found[task], strict=True)
        ]
        stops[zero] = plain
        scenes.append(
            Scene(
                key=f"edit-{task}",
                title=f"Edit, {TASK_LABELS[task]}",
                text=(
                    f"{_kind(config)} scan {scan}: {methods.label(str(found['method']))} moves its "
                    f"code by the amount a along the direction of {TASK_LABELS[task]} (positive is "
                    f"{more[task]}) and decodes it with the scan's own stochastic code. Each stop "
                    "of the slider is one edit of the study. Differences are counted from the "
                    "decoding that was not edited (a = 0), so that they show the edit and not the "
                    f"error of reconstruction. Training seed {int(found['training_seed'])}."
                ),
                control="Amount a (SD per entry of the code)",
                stops=stops,
                start=len(stops) - 1,
                slider=True,
                reference=real,
                scan=scan,
            )
        )
    return scenes


def _interpolation(
    found: Examples, methods: Methods, affine: np.ndarray, config: Mapping[str, Any]
) -> list[Scene]:
    """The visits between two visits over time, and the middle one by every method."""
    start, middle, end = (float(m) for m in found["months"])
    model = methods.main.look.label
    first, real, last = (
        Shown(
            f"original visit, month {month:g}", Volume(found[name], affine), f"{month:g} original"
        )
        for name, month in (("visit_a", start), ("real", middle), ("visit_b", end))
    )
    filled = _filled_in(found, affine, start, end)
    subject, seed = str(found["subject"]), int(found["training_seed"])
    names = [n for n in methods.select(evaluation="interpolation") if n in found]
    answers = [Shown(methods.label(n), Volume(found[n], affine), base=real) for n in names]
    return [
        Scene(
            key="interpolation",
            title="Interpolation over time",
            text=(
                f"{_kind(config)} participant {subject}, from the original scan of month {start:g} "
                f"to that of month {end:g}. The stops between are filled in by {model} from these "
                "two scans alone: each is one decoding of the study. On the left is the original "
                f"scan of month {middle:g}, from which nothing was computed. Differences are "
                f"counted from month {start:g}, decoded from decoded and original from original, "
                "so that they show change over time and not the error of reconstruction. Training "
                f"seed {seed}."
            ),
            control="Month",
            stops=[first, *filled, replace(last, base=first)],
            start=len(filled) // 2 + 1,
            slider=True,
            reference=real,
        ),
        Scene(
            key="middle-visit",
            title="Middle visit by method",
            text=(
                f"Participant {subject}: the visit of month {middle:g}, predicted from those of "
                f"months {start:g} and {end:g} by every method, against the original scan. "
                f"Training seed {seed}."
            ),
            control="Predicted by",
            stops=answers,
            reference=real,
        ),
    ]


def _filled_in(found: Examples, affine: np.ndarray, start: float, end: float) -> list[Shown]:
    """The model's visits from month `start` to month `end`, both included."""
    filled: list[Shown] = []
    alphas = np.asarray(found["sequence_alpha"], float)
    for alpha, x in zip(alphas, found["sequence"], strict=True):
        month = f"{start + alpha * (end - start):.3g}"
        what = "filled in" if 0 < alpha < 1 else "original visit, decoded"
        base = filled[0] if filled else None
        filled.append(Shown(f"{what}, month {month}", Volume(x, affine), month, base))
    return filled


SCENES: Mapping[str, Callable[[Examples, Methods, np.ndarray, Mapping[str, Any]], list[Scene]]] = {
    "reconstruction": _reconstruction,
    "manipulation": _manipulation,
    "interpolation": _interpolation,
}
"""Evaluations whose examples are shown, and what makes their scenes."""


def _scans_scene(
    volumes: Mapping[str, Volume], scans: Mapping[str, str], index: pd.DataFrame
) -> Scene:
    """The scans that the report shows one by one."""
    known = {row["scan"]: row for _, row in index.iterrows()}
    facts = {scan: facts_of(known[scan]) if scan in known else "not used" for scan in volumes}
    stops = [
        Shown(
            f"{scan} ({facts[scan]})",
            volume,
            f"{scan}, {scans[scan]}".removesuffix(", "),
            name=scan,
        )
        for scan, volume in volumes.items()
    ]
    text = "Scans of the report's section “Scans to look at”, as preprocessing has made them."
    return Scene(SCANS_SCENE, "Scans to look at", text, "Scan", stops)
