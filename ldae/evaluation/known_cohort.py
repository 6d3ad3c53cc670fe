"""A longitudinal cohort of real heads with known change, as a BIDS data set."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from ldae.data.addresses import raw_address, scan_name
from ldae.data.bids import read_cohort
from ldae.errors import InputError
from ldae.preprocessing.pipeline import preprocess_image
from ldae.simulation import rates
from ldae.simulation.cohort import write_bids_tables
from ldae.simulation.known_change import ALTERED, TEMPLATE_MM, KnownHead, Registration
from ldae.simulation.population import VENTRICLES_GROWTH, random_stream
from ldae.simulation.template import HeadTemplate, build_template

logger = logging.getLogger(__name__)

VOLUMES = Path("derivatives/known_change/volumes.tsv")
"""Truth of the cohort, below its folder; ``evaluation.reference_volumes`` names it."""

GRID = {"spacing_mm": 4.0, "shape": [40, 48, 40]}
"""Grid on which heads are registered."""

NOISE = 0.01
"""SD of the noise added to every visit, relative to the brightest tissue: without it, the visits of
a participant would share the noise of one scan."""

VENTRICLES_ML = rates.VENTRICLES_ML_AT_40 * np.exp(VENTRICLES_GROWTH * (rates.REFERENCE_AGE - 40))
"""Healthy ventricles at the reference age, ml; yearly growth is relative to them."""


@dataclass(frozen=True)
class Course:
    """How a participant's structures change.

    Attributes
    ----------
    severity
        Of the disease at the first visit; 0 in controls.
    pace
        Factor on the yearly rates.
    """

    severity: float
    pace: float

    def factors(self, years: float) -> dict[str, float]:
        """Volumes relative to the head as it was scanned, `years` after the first visit."""
        ill, years = self.severity > 0, self.pace * years
        growth = rates.VENTRICLES_ML_PER_YEAR_AD if ill else rates.VENTRICLES_ML_PER_YEAR
        return {
            "ventricles": np.exp(rates.VENTRICLES_LOG_EFFECT_AD * self.severity)
            + growth / VENTRICLES_ML * years,
            "hippocampus": np.exp(
                rates.HIPPOCAMPUS_LOG_EFFECT_AD * self.severity
                + (rates.HIPPOCAMPUS_RATE_AD if ill else rates.HIPPOCAMPUS_RATE) * years
            ),
            "cortex": np.exp(
                rates.CORTEX_LOG_EFFECT_AD * self.severity
                + (rates.CORTEX_RATE_AD if ill else rates.CORTEX_RATE) * years
            ),
        }


def make_known_cohort(
    bids_dir: Path,
    out_dir: Path,
    *,
    months: Sequence[int],
    brain_extraction: str,
    seed: int,
    n_workers: int,
) -> None:
    """Write visits of real heads, half of them patients, whose change is known.

    Every participant's first scan is changed by the rates of the simulated cohort. Of every two
    neighbours in age, one becomes a patient, so that age does not tell the diagnosis.

    Parameters
    ----------
    bids_dir
        BIDS folder of real heads.
    out_dir
        New BIDS folder; volumes are in `VOLUMES`.
    months
        Times of the visits, months since the first.
    brain_extraction
        As the setting ``preprocessing.brain_extraction``.
    seed
        Seed of diagnoses, severity, pace and noise.
    n_workers
        Processes.

    Raises
    ------
    InputError
        If `bids_dir` is no cohort, `out_dir` is not empty, or a head cannot be registered.
    """
    if out_dir.exists() and any(out_dir.iterdir()):
        raise InputError(out_dir, "the folder is not empty", "Name a new folder.")
    heads = _read_heads(bids_dir).groupby("subject", sort=True).first()
    participants = _draw_courses(heads.reset_index(), seed)
    visits = _plan_visits(participants, months)
    out_dir.mkdir(parents=True, exist_ok=True)
    write_bids_tables(visits, out_dir, {"Name": "Real heads with known change"})
    template = build_template(TEMPLATE_MM)
    work = (
        delayed(_change_head)(
            participant,
            part.to_dict("records"),
            bids_dir,
            out_dir,
            brain_extraction,
            seed,
            template,
        )
        for participant, (_, part) in zip(
            participants.to_dict("records"), visits.groupby("subject", sort=True), strict=True
        )
    )
    rows = [row for part in Parallel(n_jobs=n_workers)(work) for row in part]
    (out_dir / VOLUMES).parent.mkdir(parents=True)
    pd.DataFrame(rows).to_csv(out_dir / VOLUMES, sep="\t", index=False, float_format="%.4f")
    logger.info("Made %d visits of %d heads", len(rows), len(participants))


def _read_heads(bids_dir: Path) -> pd.DataFrame:
    """Scans of a cohort that no settings describe.

    Raises
    ------
    InputError
        If it is no cohort as it is. The remedy is one for the folder, as no settings are read.
    """
    if not bids_dir.is_dir():
        raise InputError(bids_dir, "the folder does not exist", "Give a BIDS folder as FOLDER")
    try:
        return read_cohort(bids_dir, public=True).scans
    except InputError as error:
        if "cohort: {" not in str(error):
            raise
        remedy = (
            f"Correct FOLDER itself: this command reads no settings. For a study: {error.remedy}"
        )
        raise InputError(error.source, error.problem, remedy) from error


def _draw_courses(heads: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Heads with diagnosis, severity and pace; one row per subject, sorted by subject."""
    rng = random_stream(seed, 0)
    order = heads.sort_values("age", kind="stable").index.to_numpy()
    ill = np.zeros(len(heads), bool)
    for start in range(0, len(order), 2):
        pair = order[start : start + 2]
        ill[rng.choice(pair)] = True
    z_severity, z_pace = rng.standard_normal((2, len(heads)))
    severity = np.exp(rates.SEVERITY_LOG_SD * z_severity - rates.SEVERITY_LOG_SD**2 / 2)
    pace = np.exp(rates.RATE_LOG_SD * z_pace - rates.RATE_LOG_SD**2 / 2)
    return heads.assign(
        number=np.arange(len(heads)),
        diagnosis=np.where(ill, "AD", "CN"),
        severity=np.where(ill, severity, 0.0).round(4),
        pace=pace.round(4),
    )


def _plan_visits(participants: pd.DataFrame, months: Sequence[int]) -> pd.DataFrame:
    """One row per visit: scan, subject, session, months, age, sex, diagnosis, site."""
    parts = [
        participants.assign(
            session=f"ses-M{month:03d}",
            months=float(month),
            age=(participants["age"] + month / 12).round(2),
        )
        for month in months
    ]
    visits = pd.concat(parts).sort_values(["subject", "months"], kind="stable")
    names = zip(visits["subject"], visits["session"], strict=True)
    return visits.assign(scan=[scan_name(*name) for name in names]).reset_index(drop=True)


def _change_head(
    participant: dict[str, Any],
    visits: list[dict[str, Any]],
    bids_dir: Path,
    out_dir: Path,
    brain_extraction: str,
    seed: int,
    template: HeadTemplate,
) -> list[dict[str, Any]]:
    """Write one participant's visits; rows of the table of volumes."""
    settings = {
        "batch_size": 1, "bias_correction": True, "brain_extraction": brain_extraction,
        "mask_pattern": None, "registration": "demons", "intensity_percentiles": [0.5, 99.5],
    }  # fmt: skip
    brain = preprocess_image(bids_dir / participant["path"], settings, GRID).brain
    if brain.warp is None:
        raise InputError(participant["path"], "the head was not registered", "Check the scan.")
    warp = np.asarray(brain.warp.data, np.float32)
    to_scan, grid = (np.asarray(m, np.float64) for m in (brain.to_scan, brain.warp.affine))
    image = brain.scan.image
    affine = np.asarray(image.affine, np.float64)
    head = KnownHead(image.data, affine, Registration(to_scan, warp, grid), template)
    bright = float(np.percentile(head.image[brain.mask], 99))
    course = Course(participant["severity"], participant["pace"])
    rows = []
    for visit in visits:
        changed, volumes = head.change(**course.factors(visit["months"] / 12))
        rng = random_stream(seed, 1, int(participant["number"]), int(visit["months"]))
        noisy = np.abs(changed + NOISE * bright * rng.standard_normal(changed.shape, np.float32))
        path = out_dir / raw_address(visit["scan"])
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(noisy.astype(np.float32), image.affine), path)
        names = {name: f"{name}_ml" for name in ALTERED}
        rows.append(
            {"scan": visit["scan"], "months": visit["months"], "severity": course.severity}
            | {names[name]: volumes[name] for name in ALTERED}
        )
    return rows
