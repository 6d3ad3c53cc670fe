"""Simulated longitudinal cohort: a BIDS data set of raw heads and its ground truth."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray

from ldae.data.addresses import TruthMap, raw_address, truth_address
from ldae.simulation.anatomy import TISSUES, Anatomy, Sculptor, State, draw_anatomy
from ldae.simulation.population import STREAM_ANATOMY, STREAM_SCAN, draw_population, random_stream
from ldae.simulation.sampling import chain, grid_points, move_points, sample_linear
from ldae.simulation.scanner import RawScan, Site, acquire_scan, draw_site
from ldae.simulation.settings import SimulationSettings
from ldae.simulation.template import HeadTemplate, build_template

logger = logging.getLogger(__name__)

# Level 1 takes a third of the default's time; higher levels do not compress noise any further.
GZIP_LEVEL = 1
# Spacing of the stored deformation, mm. A coarse grid suffices because the deformation is smooth.
DEFORMATION_STEP_MM = 12.0
TRUTH_COLUMNS = (
    "scan", "subject", "session", "months", "icv_ml", "brain_ml", "gm_ml", "wm_ml", "csf_ml",
    "ventricles_ml", "hippocampus_ml", "cortex_ml", "atrophy_score",
)  # fmt: skip


def simulate_cohort(
    settings: Mapping[str, Any], seed: int, bids_dir: Path, truth_dir: Path, n_workers: int
) -> None:
    """Write a simulated longitudinal cohort of raw heads and its ground truth.

    The files depend only on the settings and the seed, byte for byte: not on `n_workers`, nor on
    the processor or the linear algebra behind numpy.

    Parameters
    ----------
    settings
        Configuration section ``cohort.simulated``; see `SimulationSettings`.
    seed
        Seed of all random draws.
    bids_dir
        Folder for the BIDS data set (created if missing): ``dataset_description.json``,
        ``participants.tsv``, and for each participant a table of sessions and raw T1-weighted
        heads (int16).
    truth_dir
        Folder for the ground truth, which only the evaluation may read: ``volumes.tsv`` (ml), and
        in ``maps/`` for each scan the intracranial mask (uint8) and the tissue fractions (uint8,
        255 is 1, six volumes), both on the raw grid, and the deformation (npz: ``displacement``
        (X, Y, Z, 3) float16, mm; ``grid_affine`` grid to scanner mm; ``world_to_template`` (4, 4)).
        A point p in scanner mm lies at ``world_to_template @ p + displacement(p)`` in the MNI
        template.
    n_workers
        Number of processes.

    Raises
    ------
    InputError
        If a setting is missing, unknown or out of range. Nothing has been written then.
    """
    checked = SimulationSettings.from_mapping(settings)
    population = draw_population(checked, seed)
    template = build_template(checked.spacing_mm)
    logger.info("Built the template; rendering %d scans", len(population))
    (truth_dir / "maps").mkdir(parents=True, exist_ok=True)
    bids_dir.mkdir(parents=True, exist_ok=True)
    description = {
        "Name": "Simulated longitudinal cohort",
        "License": "CC0",
        "GeneratedBy": [{"Name": "ldae.simulation"}],
    }
    write_bids_tables(population, bids_dir, description)
    _write_json(truth_dir / "maps" / "tissues.json", {"volumes": list(TISSUES), "one": 255})
    groups = [group for _, group in population.groupby("subject", sort=True)]
    if n_workers <= 1:
        parts = [
            _simulate_visits(group, template, checked, seed, bids_dir, truth_dir)
            for group in groups
        ]
    else:
        parts = Parallel(n_jobs=n_workers, batch_size=4)(
            delayed(_simulate_visits)(group, template, checked, seed, bids_dir, truth_dir)
            for group in groups
        )
    truth = pd.concat(parts, ignore_index=True)
    truth.to_csv(truth_dir / "volumes.tsv", sep="\t", index=False, float_format="%.4f")
    logger.info("Simulated %d scans of %d participants", len(truth), len(groups))


def _simulate_visits(
    visits: pd.DataFrame,
    template: HeadTemplate,
    settings: SimulationSettings,
    seed: int,
    bids_dir: Path,
    truth_dir: Path,
) -> pd.DataFrame:
    """Write the scans and maps of one participant; return the rows of ``volumes.tsv``."""
    first = visits.iloc[0]
    index = int(first.participant)
    rng = random_stream(seed, STREAM_ANATOMY, index)
    anatomy = draw_anatomy(template, float(first.icv_ml), rng)
    sculptor = Sculptor(template, anatomy)
    site_number = int(str(first.site).removeprefix("site-")) - 1
    site = draw_site(settings, seed, site_number)
    rows = []
    for visit in visits.to_dict("records"):
        state, volumes = sculptor.sculpt(
            visit["ventricles_ml"],
            visit["hippocampus_ml"],
            visit["cortex_healthy_ml"],
            visit["cortex_ml"],
        )
        rng = random_stream(seed, STREAM_SCAN, index, int(visit["visit"]))
        raw = acquire_scan(template, anatomy, state, site, rng)
        scan = str(visit["scan"])
        _write_scan(scan, raw, site, visit, bids_dir, truth_dir)
        deformation = truth_dir / truth_address(scan, TruthMap.DEFORMATION)
        _write_deformation(deformation, raw, template, anatomy, state)
        rows.append(
            {"scan": scan, "subject": visit["subject"], "session": visit["session"],
             "months": visit["months"], **volumes, "atrophy_score": visit["severity"]}
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(TRUTH_COLUMNS))


def _write_scan(
    scan: str, raw: RawScan, site: Site, visit: Mapping[Any, Any], bids_dir: Path, truth_dir: Path
) -> None:
    image = bids_dir / raw_address(scan)
    image.parent.mkdir(parents=True, exist_ok=True)
    _save_nifti(image, raw.image, raw.affine, site.orientation)
    sidecar = {
        "Modality": "MR",
        "Manufacturer": "simulated",
        "ManufacturersModelName": visit["site"],
    }
    _write_json(bids_dir / raw_address(scan, "json"), sidecar)
    inside = raw.tissue.sum(-1)
    mask = (inside > 0.5).astype(np.uint8)
    path = truth_dir / truth_address(scan, TruthMap.MASK)
    _save_nifti(path, mask, raw.affine, site.orientation)
    tissue = np.round(raw.tissue * 255).astype(np.uint8)
    path = truth_dir / truth_address(scan, TruthMap.TISSUES)
    _save_nifti(path, tissue, raw.affine, site.orientation)


def _save_nifti(
    path: Path, values: NDArray[Any], affine: NDArray[np.float64], orientation: str
) -> None:
    """Write an image given in RAS order with its axes stored in another order."""
    change = ornt_transform(io_orientation(affine), axcodes2ornt(tuple(orientation)))
    stored = nib.orientations.apply_orientation(values, change)
    image = nib.Nifti1Image(
        np.ascontiguousarray(stored), affine @ inv_ornt_aff(change, values.shape[:3])
    )
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(image.affine, code=1)
    image.set_qform(image.affine, code=1)
    # No time stamp or name in the gzip header, so that equal scans are equal files.
    path.write_bytes(gzip.compress(image.to_bytes(), GZIP_LEVEL, mtime=0))


def _write_deformation(
    path: Path, raw: RawScan, template: HeadTemplate, anatomy: Anatomy, state: State
) -> None:
    extent = np.array(raw.image.shape) * np.diag(raw.affine)[:3]
    shape = tuple(int(n) for n in np.ceil(extent / DEFORMATION_STEP_MM) + 1)
    grid_affine = np.diag([DEFORMATION_STEP_MM] * 3 + [1.0])
    grid_affine[:3, 3] = raw.affine[:3, 3]
    to_template = chain(np.diag([*(1 / anatomy.scale.astype(np.float64)), 1.0]), raw.pose)
    world = move_points(grid_affine, grid_points((shape[0], shape[1], shape[2])))
    straight = move_points(to_template, world)
    in_head = straight * anatomy.scale
    places = anatomy.to_template(in_head)
    flow = template.flow
    places = places + sample_linear(
        state.flow, (places - flow.origin_mm) / np.float32(flow.step_mm)
    )
    np.savez_compressed(
        path,
        displacement=(places - straight).reshape(*shape, 3).astype(np.float16),
        grid_affine=grid_affine,
        world_to_template=to_template,
    )


def write_bids_tables(
    population: pd.DataFrame, bids_dir: Path, description: Mapping[str, Any]
) -> None:
    """Write the tables of a BIDS data set of participants with several visits.

    Parameters
    ----------
    population
        One row per scan: subject, session, months, age at the scan, sex, diagnosis and site.
    bids_dir
        Folder of the data set.
    description
        What ``dataset_description.json`` says, beside the version of BIDS.
    """
    about = {"Name": "", "BIDSVersion": "1.9.0", "DatasetType": "raw"} | dict(description)
    _write_json(bids_dir / "dataset_description.json", about)
    participants = population.groupby("subject", sort=True).first().reset_index()
    participants = participants.rename(columns={"subject": "participant_id"})
    participants[["participant_id", "age", "sex", "diagnosis", "site"]].to_csv(
        bids_dir / "participants.tsv", sep="\t", index=False, lineterminator="\n"
    )
    _write_json(
        bids_dir / "participants.json",
        {
            "age": {"Description": "Age at the first visit", "Units": "years"},
            "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
            "diagnosis": {
                "Description": "Diagnosis at the first visit",
                "Levels": {
                    "CN": "cognitively normal",
                    "MCI": "mild cognitive impairment",
                    "AD": "Alzheimer's disease",
                },
            },
            "site": {"Description": "Scanner"},
        },
    )
    for subject, visits in population.groupby("subject", sort=True):
        folder = bids_dir / str(subject)
        folder.mkdir(exist_ok=True)
        table = visits.rename(columns={"session": "session_id"})[["session_id", "age", "months"]]
        table.to_csv(folder / f"{subject}_sessions.tsv", sep="\t", index=False, lineterminator="\n")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
