"""What a study will make, decided from its settings and from a first look at its cohort.

Everything here is cheap: it runs each time the workflow is read.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from ldae.conclusions.registry import Table
from ldae.data.addresses import mask_path, mask_paths
from ldae.data.bids import Cohort, cohort_tables, read_cohort
from ldae.data.diagnoses import Diagnoses
from ldae.data.intake.cells import count_words, propose
from ldae.data.intake.images import image_files
from ldae.data.intake.notices import paste, summarise_notices
from ldae.data.intake.settings import SETTINGS as INTAKE_SETTINGS
from ldae.data.intake.settings import Intake
from ldae.data.manifest import CohortSummary, scan_files, summarise_scans
from ldae.data.partition import batch_bits, divide_subjects
from ldae.data.splits import VISITS, make_split, places_key, read_places
from ldae.errors import InputError
from ldae.evaluation.harmonisation import LEAST_OF_SITE
from ldae.figures.registry import Figure
from ldae.methods import (
    Codes,
    Methods,
    Need,
    Snapshot,
    study_methods,
    study_snapshots,
    study_variants,
)
from ldae.statistics.predictions import SHARED
from ldae.subsets import SPLITS, scored_split
from ldae.workflow.products import choose_products
from ldae.workflow.settings.networks import Autoencoder
from ldae.workflow.split_cohort import SplitCohort

# Bytes per voxel of a preprocessed scan: float32 image, two masks and their packed copies,
# with latents, compressed less than two to one.
BYTES_PER_VOXEL = 12
# Models, checkpoints (weights, optimizer and average), tables and figures of one training seed.
FIXED_BYTES = 2 * 1024**3
# Entries of a folder by which its size is estimated, at least; up to twice as many are all taken.
LEAST_MEASURED = 16
NO_TASK = "there is neither a diagnosis nor an age to predict"


@dataclass(frozen=True)
class StudyPlan:
    """Targets of a study.

    Attributes
    ----------
    batches
        Names of the batches of preprocessing (:mod:`ldae.data.partition`).
    scans_per_batch
        Scans of one of them, at most, each repeat of those of which the best is taken included.
    scan_bytes, latent_bytes
        Size of one preprocessed scan, and of its latent, as float32.
    n_tested, n_triples
        Scans of the scored split, and triples of visits in it.
    seeds
        Training seeds: each network is trained once for every one.
    methods
        The methods that this cohort allows.
    networks
        Names of the networks that are trained or initialised once per training seed.
    snapshots
        Networks on learning curves after each of their steps, by name.
    tasks
        What the probes predict and the manipulation changes.
    parts
        What the study has: evaluations by their names, tasks (``task age``) and tables
        (``table probes``).
    tables, figures
        Those under ``tables/`` and ``figures/`` by name, in the order of the report.
    left_out
        Methods, tasks and evaluations that the cohort does not allow, and why.
    not_made
        Tables and figures that the study is without because of these, and why.
    """

    batches: tuple[str, ...]
    scans_per_batch: int
    scan_bytes: int
    latent_bytes: int
    n_tested: int
    n_triples: int
    seeds: tuple[int, ...]
    methods: Methods
    networks: tuple[str, ...]
    snapshots: dict[str, Snapshot]
    tasks: tuple[str, ...]
    parts: frozenset[str]
    tables: dict[str, Table]
    figures: dict[str, Figure]
    left_out: dict[str, str]
    not_made: dict[str, str]

    @property
    def tabulated(self) -> list[str]:
        """Tables that are made of predictions, scores or other tables."""
        return [name for name, table in self.tables.items() if table.function]

    @property
    def drawn(self) -> list[str]:
        """Figures that are drawn from files of the study."""
        return [name for name, figure in self.figures.items() if figure.function]

    @property
    def runs(self) -> dict[str, tuple[str, ...]]:
        """Sets of codes of each method: one per training seed, or one that all seeds share."""
        of_seeds = tuple(f"seed-{seed}" for seed in self.seeds)
        coded = self.methods.coded()
        return {m: of_seeds if coded[m].codes is Codes.SEEDED else (SHARED,) for m in coded}


def summarise_cohort(config: dict[str, Any]) -> CohortSummary:
    """First look at the study's cohort, without reading an image.

    Raises
    ------
    InputError
        If the cohort's folder cannot be used.
    """
    if config["cohort"]["source"] == "simulated":
        return simulated_summary(config["cohort"]["simulated"], config["seed"])
    return summarise_scans(_read(*_reading(config)).scans)


def read_notices(config: dict[str, Any]) -> list[str]:
    """What was left out or decided when a real cohort was read, as lines to print."""
    if config["cohort"]["source"] == "simulated":
        return []
    return summarise_notices(_read(*_reading(config)).notices)


def _reading(config: dict[str, Any]) -> tuple[Path, bool, str]:
    """What decides how a real cohort is read: arguments of `_read`."""
    cohort = config["cohort"]
    settings = {name: cohort[name] for name in INTAKE_SETTINGS if name in cohort}
    return Path(config["bids_folder"]), cohort.get("public", False), json.dumps(settings)


@cache
def _read(bids_dir: Path, public: bool, settings: str) -> Cohort:
    """A real cohort, read once for all that a plan asks of it; `settings` are JSON."""
    return read_cohort(bids_dir, public, Intake.from_settings(json.loads(settings)))


def simulated_summary(settings: Mapping[str, Any], seed: int = 0) -> CohortSummary:
    """Summary of the cohort that `ldae.simulation.simulate_cohort` makes of the same arguments.

    Raises
    ------
    InputError
        If a setting is missing, unknown or out of range; the error names the key.
    """
    from ldae.simulation.population import draw_population
    from ldae.simulation.settings import SimulationSettings

    return summarise_scans(draw_population(SimulationSettings.from_mapping(settings), seed))


def cohort_fingerprint(config: dict[str, Any]) -> str:
    """Digest of a real cohort's tables, and of names, sizes and times of its images.

    The digest of an empty text for a simulated cohort. Passed to `read_bids` as a parameter, so
    that changed tables or scans trigger a re-run: the rule itself declares no input files.
    """
    digest = hashlib.sha256()
    if config["cohort"]["source"] == "bids":
        folder = Path(config["bids_folder"])
        intake = Intake.from_settings(config["cohort"])
        roots = (folder, intake.tables_folder(folder))
        for path in cohort_tables(folder, intake):
            inside = (path.relative_to(root) for root in roots if path.is_relative_to(root))
            # one that lies elsewhere is the same table wherever that is
            name = next(inside, path.name)
            digest.update(f"{name}\n".encode() + path.read_bytes())
        paths = scan_files(_read(*_reading(config)).scans)["path"] if intake.table else ()
        for path in map(folder.joinpath, paths) if intake.table else image_files(folder):
            digest.update(_describe_file(path, folder))
    return digest.hexdigest()[:16]


@cache
def _listed(bids_dir: Path, public: bool, settings: str) -> pd.DataFrame:
    """Scans of a real cohort in the order of their participants' bits, for all batches."""
    scans = _read(bids_dir, public, settings).scans
    scans = scans.assign(bits=scans["subject"].map(batch_bits))
    return scans.sort_values(["bits", "scan"], ignore_index=True)


def batch_fingerprint(config: dict[str, Any], batch: str) -> str:
    """Digest of what a batch of a real cohort is preprocessed from.

    These are its scans' names, and names, sizes and times of their images and of masks that take
    the place of brain extraction. Passed to `preprocess_scan` as a parameter, so that a scan that
    is added or replaced re-runs its own batch, and a corrected age or diagnosis none. The digest of
    an empty text for a simulated cohort.

    Parameters
    ----------
    config
        Complete configuration.
    batch
        Name of the batch.
    """
    digest = hashlib.sha256()
    if config["cohort"]["source"] == "bids":
        folder, pattern = Path(config["bids_folder"]), None
        if config["preprocessing"]["brain_extraction"] == "precomputed":
            pattern = config["preprocessing"]["mask_pattern"]
        scans = _listed(*_reading(config))
        first, last = scans["bits"].searchsorted([batch, f"{batch}2"])  # 2 comes after any bit
        files = scan_files(scans.iloc[first:last])
        for scan, path in zip(files["scan"], files["path"], strict=True):
            digest.update(f"{scan} ".encode() + _describe_file(folder / path, folder))
            mask = mask_path(pattern, path, folder) if pattern else None
            if mask is not None and mask.is_file():
                digest.update(_describe_file(mask, folder))
    return digest.hexdigest()[:16]


def mask_fingerprint(config: dict[str, Any], pattern: str | None) -> str:
    """Digest of names, sizes and times of the masks that lie in a real cohort's folder.

    Passed as a parameter to the rules that read them, which declare no such input either.

    Parameters
    ----------
    config
        Complete configuration.
    pattern
        Path of a scan's mask with {subject}, {session} and {scan}; None where none are read.
    """
    digest = hashlib.sha256()
    if pattern is not None and config["cohort"]["source"] == "bids":
        folder = Path(config["bids_folder"])
        without_session = pattern.replace("{session}/", "")
        globs = {re.sub(r"\{\w+\}", "*", text) for text in (pattern, without_session)}
        for path in sorted({path for text in globs for path in folder.glob(text)}):
            digest.update(_describe_file(path, folder))
    return digest.hexdigest()[:16]


def _describe_file(path: Path, folder: Path) -> bytes:
    """Name, size and time of a file too large to be read for every plan."""
    stat = path.stat()
    return f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}\n".encode()


def plan_study(config: dict[str, Any], cohort: CohortSummary) -> StudyPlan:
    """Targets that the cohort allows, and the reasons for those that it does not.

    Parameters
    ----------
    config
        Complete settings of the study.
    cohort
        First look at the cohort.

    Raises
    ------
    InputError
        If the cohort is too small to be split by subject.
    """
    if cohort.n_subjects < len(SPLITS):
        raise InputError(
            config["bids_folder"] or "cohort.simulated.n_subjects",
            f"{cohort.n_subjects} subjects cannot be split into training, validation and test",
            "Give a larger cohort.",
        )
    left_out: dict[str, str] = {}
    scored = scored_split(final=config["final"])
    split_cohort = SplitCohort(cohort.scans, plan_split(config, cohort), scored)
    tasks = _plan_tasks(cohort, split_cohort, Diagnoses(**config["cohort"]["diagnoses"]), left_out)
    lacking = _lacking(config, split_cohort, tasks)
    _plan_controls(config, split_cohort, left_out)
    methods = _plan_methods(config, lacking, left_out)
    parts = [
        *_plan_evaluations(config, split_cohort, tasks, left_out),
        *(f"task {t}" for t in tasks),
    ]
    snapshots = _plan_snapshots(config, lacking, left_out)
    parts += ["curves"] if snapshots else []
    chosen = choose_products(config, parts, tasks, left_out)
    variants = study_variants(config).values()
    batches = divide_subjects(cohort.visits, config["preprocessing"]["batch_size"])
    n_files = scan_files(cohort.scans)["subject"].value_counts()
    return StudyPlan(
        batches=tuple(batches),
        scans_per_batch=max(sum(n_files[s] for s in group) for group in batches.values()),
        scan_bytes=4 * math.prod(config["grid"]["shape"]),
        latent_bytes=latent_bytes(config),
        n_tested=split_cohort.n_scans(scored),
        n_triples=split_cohort.n_triples(scored),
        seeds=tuple(config["training_seeds"]),
        methods=methods,
        networks=tuple(v.name for v in variants if v.network.needs not in lacking),
        snapshots=snapshots,
        tasks=tuple(tasks),
        parts=chosen.parts,
        tables=chosen.tables,
        figures=chosen.figures,
        left_out=left_out,
        not_made=chosen.left_out,
    )


def latent_bytes(config: Mapping[str, Any]) -> int:
    """Size of the latent of one scan as float32."""
    settings = Autoencoder(**config["autoencoder"])
    shrunk: list[int] = [n // settings.reduction(1) for n in config["grid"]["shape"]]
    return 4 * settings.latent_channels * math.prod(shrunk)


def split_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Section ``split`` with the strata that null stands for."""
    settings = dict(config["split"])
    if settings["strata"] is None:
        settings["strata"] = [VISITS] if config["cohort"]["source"] == "bids" else []
    return settings


def plan_split(config: Mapping[str, Any], cohort: CohortSummary) -> pd.DataFrame:
    """The split that the job will make of the same cohort: subject, split.

    Raises
    ------
    InputError
        If the cohort cannot be split as the settings say.
    """
    settings, seed = split_settings(config), config["seed"]
    kept: dict[str, str] = {}
    if config["cohort"]["source"] == "bids" and settings["folds"] is None:
        folder = Path(config["pathvars"]["results"]) / "split"
        kept, _ = read_places(folder, places_key(settings, seed))
    return make_split(cohort.scans, settings, seed, kept)


def split_digest(config: Mapping[str, Any], cohort: CohortSummary) -> str:
    """Digest of the visits of a cohort, and of the split that the job will make."""
    visits = cohort.scans[["scan", "subject", "session", "months"]]
    table = visits.merge(plan_split(config, cohort), on="subject").sort_values("scan")
    return hashlib.sha256(table.to_csv(sep="\t", index=False).encode()).hexdigest()[:16]


def _plan_tasks(
    cohort: CohortSummary, split_cohort: SplitCohort, diagnoses: Diagnoses, left_out: dict[str, str]
) -> list[str]:
    """What probes can predict of these participants; adds to `left_out` what they cannot."""
    tasks = []
    missing = diagnoses.missing(pd.Series(cohort.diagnoses))
    if not missing:
        reason = split_cohort.why_no_groups(diagnoses)
        tasks += [] if reason else ["ad_vs_cn"]
        left_out |= {"task ad_vs_cn": reason} if reason else {}
    else:
        left_out["task ad_vs_cn"] = _without_group(cohort, diagnoses, missing)
    if cohort.has_age:
        reason = split_cohort.why_no_ages()
        tasks += [] if reason else ["age"]
        left_out |= {"task age": reason} if reason else {}
    else:
        left_out["task age"] = "the cohort gives no ages"
    return tasks


def _without_group(cohort: CohortSummary, diagnoses: Diagnoses, missing: list[str]) -> str:
    """Why there are no patients or no controls, and the setting that may change it."""
    reason = f"nobody in the cohort is diagnosed {' or '.join(missing)}"
    if not cohort.words:
        return f"{reason}: its tables give no diagnoses"
    groups = {diagnoses.patient, diagnoses.control}
    words = propose(sorted(set(cohort.words) - groups), diagnoses.patient, diagnoses.control)
    reason += f"; its tables have, with numbers of scans, {count_words(cohort.words)}"
    if not words:
        return reason
    example = paste(values={"diagnosis": words})
    return f"{reason}. If some of these words mean the same, say so in the settings: {example}"


def _lacking(
    config: dict[str, Any], split_cohort: SplitCohort, tasks: list[str]
) -> dict[Need | None, str]:
    """What the cohort does not have, and why that is so."""
    lacking: dict[Need | None, str] = {}
    if not tasks:
        lacking[Need.LABELS] = NO_TASK
    if config["cohort"]["source"] != "simulated":
        lacking[Need.TRUTH] = "true volumes are known of simulated participants only"
    if reason := split_cohort.why_no_residual():
        lacking[Need.TRIPLES] = reason
    return lacking


def _plan_methods(
    config: dict[str, Any], lacking: Mapping[Need | None, str], left_out: dict[str, str]
) -> Methods:
    """Methods that the cohort allows; adds to `left_out` those that it does not."""
    methods = study_methods(config)
    for name, method in methods.items():
        if method.needs in lacking:
            left_out[f"method {name}"] = lacking[method.needs]
    without = "harmonised codes" in left_out
    kept = (m for m in methods.values() if m.harmonises is None or not without)
    return Methods(m for m in kept if m.needs not in lacking)


def _plan_snapshots(
    config: dict[str, Any], lacking: Mapping[Need | None, str], left_out: dict[str, str]
) -> dict[str, Snapshot]:
    """Networks on learning curves; adds to `left_out` why there are none where some are asked for.

    Steps are chosen by these curves, so that they are never of test participants.
    """
    if config["final"] and config["curves"]["networks"]:
        left_out["curves"] = "learning curves are of validation participants: run without final"
        return {}
    found = study_snapshots(config)
    return {name: one for name, one in found.items() if one.variant.network.needs not in lacking}


def _plan_controls(
    config: dict[str, Any], split_cohort: SplitCohort, left_out: dict[str, str]
) -> None:
    """Add to `left_out` what probes cannot predict beside the tasks, and of which sites.

    Names of sites are shown where participants are shown under their own labels.
    """
    diagnoses = Diagnoses(**config["cohort"]["diagnoses"])
    if reason := split_cohort.why_no_conversion(diagnoses):
        left_out["task conversion"] = reason
    harmonised = config["probes"]["harmonise"]
    if reason := split_cohort.why_no_sites():
        left_out |= {"task site": reason} | ({"harmonised codes": reason} if harmonised else {})
        return
    named = config["cohort"]["source"] == "simulated" or config["cohort"]["public"]
    sites = split_cohort.other_sites()
    if sites:
        names = ", ".join(f"{s} ({n})" for s, n in sites.items()) if named else str(len(sites))
        what = f"sites with fewer than {LEAST_OF_SITE} training participants: {names}"
        left_out["task site, of some sites"] = what
        if harmonised:
            left_out["harmonised codes, of some sites"] = f"{what}; their codes stay as they are"


def _plan_evaluations(
    config: dict[str, Any], split_cohort: SplitCohort, tasks: list[str], left_out: dict[str, str]
) -> list[str]:
    """What is measured of methods and scans; adds to `left_out` what cannot be."""
    evaluations = ["reconstruction", "stochastic", "throughput"]
    if tasks:
        evaluations += ["probes", "manipulation"]
    else:
        left_out |= {"probes": NO_TASK, "manipulation": NO_TASK}
    if reason := split_cohort.why_no_interpolation():
        left_out["interpolation"] = reason
    else:
        evaluations.append("interpolation")
    if config["cohort"]["source"] == "simulated" or config["evaluation"]["reference_volumes"]:
        evaluations.append("volumes")
    else:
        left_out["volumes"] = "there are no reference volumes (evaluation.reference_volumes)"
    return evaluations


def disk_bytes(config: dict[str, Any], cohort: CohortSummary) -> int:
    """Rough upper estimate of what the study writes, bytes."""
    voxels: int = math.prod(config["grid"]["shape"])
    per_scan: int = voxels * BYTES_PER_VOXEL
    if config["cohort"]["source"] == "simulated":
        spacing = config["cohort"]["simulated"]["spacing_mm"]
        # a head's field of view, 256 mm along each axis, as float32
        per_scan += round((256 / spacing) ** 3) * 4
    return FIXED_BYTES * len(config["training_seeds"]) + cohort.n_scans * per_scan


def check_weights(config: dict[str, Any]) -> None:
    """Stop before the work when a file of pretrained weights is missing.

    Raises
    ------
    InputError
        Naming the setting and the file.
    """
    wanted = {"encoder.pretrained": config["encoder"]["pretrained"]}
    for name, ablation in config["ablations"].items():
        key = f"ablations.{name}.change.encoder.pretrained"
        wanted[key] = ablation["change"].get("encoder", {}).get("pretrained")
    if config["autoencoder"]["perceptual_weight"]:
        key = "perceptual_weights_file"
        wanted[f"autoencoder.{key}"] = config["autoencoder"][key] or "nowhere"
    for key, name in wanted.items():
        if name is not None and not Path(name).is_file():
            raise InputError(
                key,
                f"there are no weights at {name}",
                "Fetch them (docs/how-to/paper-sizes.md), or change the setting",
            )


def check_references(config: dict[str, Any], cohort: CohortSummary) -> None:
    """Stop before the work when masks or volumes that the settings name are not in the folder.

    One mask is enough: a scan without its own is left out alone, with the reason.

    Raises
    ------
    InputError
        Naming the setting and a file that was looked for.
    """
    if config["cohort"]["source"] != "bids":
        return
    folder, preprocessing = Path(config["bids_folder"]), config["preprocessing"]
    patterns = {"quality.reference_masks": config["quality"]["reference_masks"]}
    if preprocessing["brain_extraction"] == "precomputed":
        patterns["preprocessing.mask_pattern"] = preprocessing["mask_pattern"]
    for key, pattern in patterns.items():
        paths = mask_paths(pattern, scan_files(cohort.scans), folder)
        if paths and not any(path.is_file() for path in paths):
            problem = f"no scan has such a mask; the first would be {paths[0]}"
            raise InputError(key, problem, "Correct the pattern, or add the masks")
    volumes = config["evaluation"]["reference_volumes"]
    if volumes and not (folder / volumes).is_file():
        problem = f"there is no file {folder / volumes}"
        raise InputError("evaluation.reference_volumes", problem, "Correct the setting")


def estimate_size(folder: Path) -> int:
    """Bytes of the files in a folder and below; 0 without one.

    Of a folder with many entries, such as that of the preprocessed participants, some that lie
    evenly among the others stand for all: a study has several files for each scan.

    Parameters
    ----------
    folder
        The folder; links are not followed.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError:
        return 0
    chosen = entries[:: max(1, len(entries) // LEAST_MEASURED)]
    sizes = [
        estimate_size(Path(entry)) if entry.is_dir(follow_symlinks=False)
        else entry.stat(follow_symlinks=False).st_size
        for entry in chosen
    ]  # fmt: skip
    return sum(sizes) * len(entries) // max(1, len(chosen))


def check_disk_space(folder: Path, needed: int) -> None:
    """Stop before the work when the disk cannot hold the results.

    Parameters
    ----------
    folder
        The results folder, which need not exist yet.
    needed
        Estimated bytes of all results; what is there already is taken off.

    Raises
    ------
    InputError
        If less is free than will be written.
    """
    present = estimate_size(folder)
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if needed - present > free:
        gib = 1024**3
        raise InputError(
            folder,
            f"about {(needed - present) / gib:.1f} GiB will be written and "
            f"{free / gib:.1f} GiB are free",
            "Free some space, or set pathvars.results to a folder on a larger disk.",
        )
