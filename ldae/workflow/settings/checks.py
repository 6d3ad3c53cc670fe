"""Settings that contradict each other, each with what to do about it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ldae.data.exported import FROZEN
from ldae.paths import PACKAGE, WORKFLOW
from ldae.workflow.settings.files import Key, spell
from ldae.workflow.settings.networks import Continued, Training, UNet
from ldae.workflow.settings.study import StudySettings

SOURCES = (
    ".ci", ".git", ".github", ".snakemake", "benchmarks", "containers", "docs", "envs", "profiles",
    "resources", "rules", "schemas", "scripts", "slurm", "studies", "tests",
)  # fmt: skip
"""Folders of the workflow that results may not lie in."""

TRAININGS = tuple(
    name
    for name, field in StudySettings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Training)
)
"""Sections whose training length is given as steps or as epochs."""

UNETS = tuple(
    name
    for name, field in StudySettings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, UNet)
)
"""Sections of the diffusion U-Nets."""


class Fault(NamedTuple):
    """A contradiction."""

    path: tuple[Key, ...]
    """The setting to be corrected."""
    problem: str
    remedy: str


def find_faults(study: StudySettings) -> Iterator[Fault]:
    """Contradictions between settings that are valid by themselves, in the order of the checks."""
    for check in CHECKS:
        yield from check(study)


def _sums(study: StudySettings) -> Iterator[Fault]:
    """Shares that do not add up to 1."""
    split = study.split
    total = split.train + split.val + split.test
    if abs(total - 1.0) > 1e-6:
        yield Fault(("split",), f"the shares add up to {total:g}", "Make train + val + test = 1")
    total = sum(study.cohort.simulated.shares.model_dump().values())
    if study.cohort.source == "simulated" and abs(total - 1.0) > 1e-6:
        path = ("cohort", "simulated", "shares")
        yield Fault(path, f"the shares add up to {total:g}", "Make them add up to 1")


def _split(study: StudySettings) -> Iterator[Fault]:
    """A split from a table that other settings would change."""
    split = study.split
    if split.file is not None and split.test_sites:
        problem = "sites are held out of a split that is read from split.file"
        yield Fault(("split", "test_sites"), problem, "Take one of the two out")
    if split.folds is not None:
        if split.file is not None or split.test_sites:
            other = "file" if split.file is not None else "test_sites"
            problem = f"folds and split.{other} both say who is tested"
            yield Fault(("split", "folds"), problem, "Take one of the two out")
        if split.fold >= split.folds:
            problem = f"there is no fold {split.fold} among {split.folds}"
            yield Fault(("split", "fold"), problem, f"Choose 0 to {split.folds - 1}")
    elif split.repeat:
        problem = "it chooses a division into folds, and split.folds is null"
        yield Fault(("split", "repeat"), problem, "Set split.folds, or take it out")
    if split.strata is not None and len(set(split.strata)) < len(split.strata):
        yield Fault(("split", "strata"), "a word stands there twice", "Give every word once")


def _folders(study: StudySettings) -> Iterator[Fault]:
    """A cohort without a folder, and results that would be written among sources."""
    source = study.bids_folder if study.cohort.source == "bids" else None
    if study.cohort.source == "bids" and source is None:
        yield Fault(
            ("bids_folder",),
            "no folder is given for a cohort from BIDS",
            "Add --config bids_folder=FOLDER to the command",
        )
    if study.cohort.source == "simulated" and study.bids_folder is not None:
        yield Fault(
            ("bids_folder",),
            f"{study.bids_folder} is named, but cohort.source is simulated: it would not be read",
            "Add the settings of a study of real scans (--configfile studies/adni.yaml, or a file "
            "of your own with cohort: {source: bids}), or take bids_folder out",
        )
    yield from _results(study.pathvars.results, None if source is None else Path(source))


def _results(folder: str, cohort: Path | None) -> Iterator[Fault]:
    """Results that would be written among sources or scans."""
    path = ("pathvars", "results")
    if folder.startswith("~"):
        home = os.path.expanduser(folder)
        yield Fault(path, f"{folder}: ~ is not replaced here", f"Write the whole path: {home}")
    results = Path(folder).resolve()
    sources = (PACKAGE, *(WORKFLOW / name for name in SOURCES))
    if results == WORKFLOW or any(results.is_relative_to(place) for place in sources):
        problem = f"the results would lie among the workflow's own files in {WORKFLOW}"
        yield Fault(path, problem, "Choose another folder, such as results/mine")
    if cohort is None:
        return
    # BIDS keeps what was computed from a cohort below its folder derivatives
    if results.is_relative_to(cohort.resolve()) and not results.is_relative_to(
        cohort.resolve() / "derivatives"
    ):
        remedy = "Choose a folder outside it, or one below its derivatives/"
        yield Fault(path, "the results would lie inside the cohort's folder", remedy)


def _diagnoses(study: StudySettings) -> Iterator[Fault]:
    """Words that cannot tell patients from controls."""
    words, path = study.cohort.diagnoses, ("cohort", "diagnoses")
    if words.patient == words.control:
        problem = f"patients and controls are both called {words.patient}"
        yield Fault((*path, "control"), problem, "Give the diagnosis of each group")
    meanings = study.cohort.values.diagnosis
    for word in {words.patient, words.control} & set(meanings):
        if meanings[word] != word:
            yield Fault(
                ("cohort", "values", "diagnosis", word),
                f"{word} is itself the diagnosis of a group",
                "Take it out, or name the group differently",
            )


def _masks(study: StudySettings) -> Iterator[Fault]:
    """Precomputed masks without a place."""
    settings = study.preprocessing
    if settings.brain_extraction == "precomputed" and settings.mask_pattern is None:
        example = "derivatives/masks/{subject}/{session}/anat/{scan}_mask.nii.gz"
        yield Fault(
            ("preprocessing", "brain_extraction"),
            "precomputed needs the path of the masks, and mask_pattern is null",
            f"Give preprocessing.mask_pattern, for example {example}",
        )


def _trainings(study: StudySettings) -> Iterator[Fault]:
    """Trainings without a length, or with two."""
    for name in TRAININGS:
        training: Training = getattr(study, name)
        given = [n for n in (training.n_steps, training.n_epochs) if n is not None]
        if len(given) != 1:
            yield Fault(
                (name, "n_steps"),
                "the length of training is given twice" if given else "no length of training",
                "Give one of n_steps and n_epochs, and set the other to null",
            )


def _starts(study: StudySettings) -> Iterator[Fault]:
    """Networks that shall keep weights which no setting names."""
    for name in TRAININGS:
        section = getattr(study, name)
        frozen = isinstance(section, Continued) and section.start == FROZEN
        if frozen and study.pretrained is None:
            problem = "there are no weights to keep: pretrained is null"
            yield Fault((name, "start"), problem, "Name an exported model in pretrained")


def _schedule(study: StudySettings) -> Iterator[Fault]:
    """A noise schedule that falls, and samplers that take more steps than there are timesteps."""
    diffusion = study.diffusion
    if diffusion.beta_start > diffusion.beta_end:
        problem = f"{diffusion.beta_start:g} is above diffusion.beta_end {diffusion.beta_end:g}"
        yield Fault(("diffusion", "beta_start"), problem, "Choose a smaller number")
    for path, steps in _sampler_steps(study):
        if steps > diffusion.n_timesteps:
            yield Fault(
                path,
                f"{steps} steps are more than diffusion.n_timesteps {diffusion.n_timesteps}",
                "Take fewer steps",
            )


def _sampler_steps(study: StudySettings) -> Iterator[tuple[tuple[Key, ...], int]]:
    """Every number of sampler steps."""
    evaluation = study.evaluation
    for name in ("steps", "voxel_steps"):
        for steps in getattr(evaluation.reconstruction, name):
            yield ("evaluation", "reconstruction", name), steps
    for name in ("stochastic", "manipulation", "interpolation"):
        yield ("evaluation", name, "n_steps"), getattr(evaluation, name).n_steps
    for name, steps in evaluation.throughput.steps.model_dump().items():
        yield ("evaluation", "throughput", "steps", name), steps


def _grid(study: StudySettings) -> Iterator[Fault]:
    """Axes of the grid that a network cannot divide."""
    latent = study.autoencoder.reduction(1)
    factors = {
        f"{name.replace('_', ' ')}'s reduction": getattr(study, name).reduction(latent)
        for name in TRAININGS
    }
    factors["discriminator's patch size"] = study.autoencoder.discriminator_patch_size
    for name, factor in factors.items():
        for size in study.grid.shape:
            if size % factor:
                problem = f"{size} is not a multiple of the {name} {factor}"
                yield Fault(("grid", "shape"), problem, f"Choose multiples of {factor}")


def _divided(study: StudySettings) -> Iterator[Fault]:
    """Settings that another one does not divide."""
    encoder = study.encoder
    pairs: list[tuple[tuple[Key, ...], Sequence[int], int, str]] = [
        (("grid", "shape"), study.grid.shape[2:], encoder.slab, "encoder.slab"),
        (("encoder", "dim_y"), [encoder.dim_y], encoder.n_heads, "encoder.n_heads"),
        (
            ("ldae_anatomical", "width"),
            [study.ldae_anatomical.width],
            study.ldae_anatomical.n_heads,
            "ldae_anatomical.n_heads",
        ),
    ]
    for name in ("autoencoder", *UNETS):
        section = getattr(study, name)
        groups = f"{name}.norm_groups"
        pairs.append(((name, "channels"), section.channels, section.norm_groups, groups))
    for path, sizes, factor, divisor in pairs:
        for size in sizes:
            if size % factor:
                problem = f"{size} is not a multiple of {divisor} {factor}"
                yield Fault(path, problem, f"Change it or {divisor}")


def _levels(study: StudySettings) -> Iterator[Fault]:
    """Lists with one entry per level or stage whose lengths differ."""
    pairs = [(name, "attention_levels", "channels") for name in UNETS]
    for name, first, second in [*pairs, ("encoder", "widths", "depths")]:
        section = getattr(study, name)
        if len(getattr(section, first)) != len(getattr(section, second)):
            problem = f"it is not as long as {name}.{second}"
            yield Fault((name, first), problem, "Give one entry per level")


def _volume_encoder(study: StudySettings) -> Iterator[Fault]:
    """What a 3-D encoder cannot be built with."""
    encoder = study.encoder
    if encoder.backbone != "volume":
        return
    if encoder.stride > encoder.window:
        problem = "windows leave gaps between them"
        yield Fault(("encoder", "stride"), problem, "At most encoder.window")
    windows = -(-min(study.grid.shape) // encoder.stride)
    levels = len(encoder.channels)
    if windows < 2 ** (levels - 1):
        yield Fault(
            ("encoder", "channels"),
            f"{levels} levels are too many for {windows} windows along an axis",
            "Take fewer levels, or a smaller encoder.stride",
        )
    if encoder.pretrained is not None:
        yield Fault(
            ("encoder", "pretrained"),
            "ImageNet's weights are for the backbone of slices",
            "Set it to null, or encoder.backbone to slices",
        )


def _verdicts(study: StudySettings) -> Iterator[Fault]:
    """Verdicts on what is not measured."""
    verdicts, evaluation = study.verdicts, study.evaluation
    of_steps, windows = ("reconstruction", "steps"), ("reconstruction", "windows")
    between = ("interpolation", "windows")
    wanted: Iterable[tuple[tuple[str, ...], int, tuple[str, str]]] = [
        (("n_steps",), verdicts.n_steps, of_steps),
        (("n_steps",), verdicts.n_steps, ("reconstruction", "voxel_steps")),
        (("ssim_window",), verdicts.ssim_window, windows),
        (("ssim_window",), verdicts.ssim_window, between),
        (("paper_windows", "reconstruction"), verdicts.paper_windows.reconstruction, windows),
        (("paper_windows", "interpolation"), verdicts.paper_windows.interpolation, between),
    ]
    for path, number, (section, name) in wanted:
        measured: list[int] = getattr(getattr(evaluation, section), name)
        if number not in measured:
            yield Fault(
                ("verdicts", *path),
                f"{number} is not among evaluation.{section}.{name}",
                f"Add it there, or set {spell(('verdicts', *path))} to one of {measured}",
            )


CHECKS: tuple[Callable[[StudySettings], Iterator[Fault]], ...] = (
    _sums, _split, _folders, _diagnoses, _masks, _trainings, _starts, _schedule, _grid, _divided,
    _levels, _volume_encoder, _verdicts,
)  # fmt: skip
"""Checks of settings against each other."""
