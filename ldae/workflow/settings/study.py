"""All settings of a study."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from ldae.workflow.settings.cohort import CohortSections
from ldae.workflow.settings.evaluation import EvaluationSections
from ldae.workflow.settings.networks import NetworkSections
from ldae.workflow.settings.types import Count, Place, Section, Seed, Seeds, Whole, Words, setting


class PathVars(Section):
    """Folders."""

    results: Words = setting("results", "Folder of everything computed.")


class Gpu(Section):
    """GPUs of submitted jobs: how rules that use one ask for it."""

    request: Literal["gpus", "gres", "none"] = setting(
        "gpus", "How a GPU is requested. `gpus` is --gpus=1, `gres` is --gres=gpu:1, for clusters "
        "that want that; with `none` everything is computed on the processor.",
    )  # fmt: skip
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")] | None = setting(
        None, "Model of the GPU, as the cluster names it. Null is any."
    )
    partition: Words | None = setting(
        None, "Partition of jobs with a GPU. Null is that of all jobs."
    )
    required: bool = setting(
        True, "Whether a job that was given a GPU stops when torch finds none. False lets it "
        "compute on the processor.",
    )  # fmt: skip


class Site(Section):
    """What the machine or the cluster allows."""

    max_minutes: Count | None = setting(
        None, "Longest time that a job may ask for. Trainings continue in pieces. Null is the "
        "limit of the SLURM partition, where sinfo tells it.", unit="minutes",
    )  # fmt: skip
    max_memory_mb: Whole | None = setting(
        None, "Most memory that a job may ask for. Null is no limit. With 0 jobs ask for none: for "
        "clusters that refuse such requests or give whole nodes.", unit="MB",
    )  # fmt: skip
    local_copy: bool = setting(
        False, "Whether a training copies its arrays to the node's disk first. This is for file "
        "systems on which reading at random is slow; the folder is TMPDIR.",
    )  # fmt: skip


class General(Section):
    """What the study is, and where it runs."""

    study: str = setting(
        "simulated", "Short name of the study, in tables and the report.", pattern="^[a-z0-9_-]+$"
    )
    title: Words = setting("A simulated longitudinal cohort", "Title of the report.")
    pathvars: PathVars = Field(default_factory=PathVars)
    final: bool = setting(
        False, "Whether test participants are scored (`make final`). Otherwise all numbers are of "
        "validation participants, and nothing is computed of test participants' codes. Each "
        "scoring of test participants is a line of `test_ledger.tsv`.",
    )  # fmt: skip
    seed: Seed = setting(
        1, "Seed of what all trainings share. It is that of the simulation, the split, the "
        "autoencoder, the scans chosen for an evaluation, the folds of the probes and the "
        "bootstrap.",
    )  # fmt: skip
    training_seeds: Seeds = setting(
        [0], "Seeds of the trainings; every network is trained once per seed. A seed gives the "
        "order of the data, the initialisation and the noise. The autoencoder is trained once. "
        "Tables are over all seeds; figures of single scans show the first.",
    )  # fmt: skip
    bids_folder: Place | None = setting(
        None, "BIDS folder of a real cohort; --config bids_folder=FOLDER. It holds "
        "participants.tsv. Null for a simulated cohort.",
    )  # fmt: skip
    plugins: list[Words] = setting(
        [], "Modules (mylab.methods) or files (mine.py) that bring methods of one's own."
    )
    variants: list[Words] = setting(
        [], "Earlier variants to train as well: ldae_joint, residual. One that an ablation "
        "changes is always among them.",
    )  # fmt: skip
    pretrained: Place | None = setting(
        None, "Folder of an exported model from whose weights trainings start. They are those of "
        "the autoencoder and of every other network of the model (`ldae export`), among prior, "
        "ldae, ldae_anatomical and voxel_dae; see `start` in their sections. Null is from scratch.",
    )  # fmt: skip
    gpu: Gpu = Field(default_factory=Gpu)
    site: Site = Field(default_factory=Site)


class StudySettings(EvaluationSections, NetworkSections, CohortSections, General):
    """Everything that decides what a study computes.

    Sections are in the order of the bases, from the last to the first.
    """


def study_model(sections: Iterable[str]) -> type[StudySettings]:
    """The settings with further sections, whose keys are free.

    Parameters
    ----------
    sections
        Sections of networks from outside this package.
    """
    extra: Any = {name: (dict[str, Any], Field(default_factory=dict)) for name in sections}
    return (
        create_model("StudySettings", __base__=StudySettings, **extra) if extra else StudySettings
    )
