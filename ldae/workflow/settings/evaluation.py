"""Settings of what is measured: probes, evaluations, verdicts, ablations and curves."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from ldae.workflow.settings.types import (
    Count,
    Distinct,
    Positive,
    Section,
    Share,
    Windows,
    Words,
    setting,
)

AblationName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Window = Annotated[int, Field(ge=2)]
SamplerSteps = Annotated[Count, Field(description="Sampler steps, each way.")]
ScansMeasured = Annotated[
    Count | None,
    Field(
        description="Scans of the scored split that are measured. They are taken from as many "
        "participants as possible; null is all of them."
    ),
]
SsimWindows = Annotated[
    Windows,
    Field(description="Windows of SSIM; 11 is Gaussian.", json_schema_extra={"unit": "voxels"}),
]


class Probes(Section):
    """Linear probes on the codes."""

    pca_components: Count = setting(
        64, "Principal components of voxels, and of local intensity histograms."
    )
    c_grid: list[Positive] = setting(
        [0.001, 0.01, 0.1, 1.0, 10.0], "Candidates for C of the logistic regression.",
        min_length=1,
    )  # fmt: skip
    alpha_grid: list[Positive] = setting(
        [1.0, 10.0, 100.0, 1000.0, 10000.0], "Candidates for α of the ridge regression.",
        min_length=1,
    )  # fmt: skip
    n_folds: int = setting(5, "Folds that choose among the candidates, grouped by subject.", ge=2)
    outer_folds: Annotated[int, Field(ge=2)] | None = setting(
        None, "Folds over all participants for cross-validated predictions. Every scan is then "
        "also predicted by probes of the other folds; for cohorts with a small test split. Null "
        "is none.",
    )  # fmt: skip
    label_counts: Distinct = setting(
        [20, 40, 80, 160], "Numbers of labelled participants of further probes. They make the "
        "table `labels`, by cross-validation; numbers that a cohort lacks are left out.",
    )  # fmt: skip
    harmonise: list[Literal["combat"]] = setting(
        [], "How codes are harmonised over sites. The probes of harmonised codes have rows of "
        "their own beside those of the codes as they are. `combat` is ComBat, fitted on training "
        "participants with age, sex and diagnosis preserved.",
    )  # fmt: skip


class Reconstruction(Section):
    """Reconstruction of test scans."""

    steps: Distinct = setting([5, 10, 20, 50], "Numbers of sampler steps, each way.")
    voxel_steps: Distinct = setting(
        [5, 10, 20], "The same for models in voxel space, whose steps cost more."
    )
    n_scans: ScansMeasured = 10
    windows: SsimWindows = [3, 4, 11]
    n_examples: Count = setting(3, "Scans kept for the figure and the viewer.")


class Stochastic(Section):
    """Many stochastic codes for one semantic code."""

    n_steps: SamplerSteps = 20
    n_scans: Count = setting(2, "Scans whose semantic code is held.")
    n_samples: int = setting(5, "Stochastic codes for each of them.", ge=2)
    window: Window = setting(
        3, "Window of SSIM between the samples; 11 is Gaussian.", unit="voxels"
    )


class Manipulation(Section):
    """Editing scans along the direction of disease or age."""

    amounts: list[float] = setting(
        [-0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6],
        "Amounts a; 1 moves the code by one SD (root mean square). Positive amounts go towards "
        "disease or higher age.",
        min_length=3,
    )
    n_steps: SamplerSteps = 20
    n_scans: ScansMeasured = 18


class Interpolation(Section):
    """Prediction of a visit from those before and after it."""

    n_steps: SamplerSteps = 20
    max_triples: Count | None = setting(
        30, "Most triples of visits that are measured. Null is all of them."
    )
    windows: SsimWindows = [3, 4, 11]


class ThroughputSteps(Section):
    """Sampler steps, each way, by sampler.

    A sampler without an entry of its own takes the default.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Count] = Field(init=False)

    default: Count = setting(20, "Of samplers without an entry of their own.")
    multistep: Count = setting(
        5, "Of the multistep sampler. At 5 steps it loses less than the default sampler at 20 "
        "(table `reconstruction`).",
    )  # fmt: skip


class Throughput(Section):
    """Time and memory per scan."""

    steps: ThroughputSteps = Field(default_factory=ThroughputSteps)
    n_scans: int = setting(2, "Scans per batch.", ge=2)
    n_repeats: Count = setting(2, "Measured repetitions after one for warming up.")


class Evaluation(Section):
    """What is measured."""

    micro_batch: Count = setting(
        16, "Scans that a network takes at a time when it encodes, decodes or is measured."
    )
    n_bootstrap: int = setting(1000, "Replicates of the bootstrap over subjects.", ge=10)
    reference_volumes: Words | None = setting(
        None, "Table of reference volumes below the BIDS folder. It is a tsv with scan or "
        "participant_id and volumes in ml, such as gm_ml, that measured volumes are compared "
        "with; simulated participants bring theirs.",
    )  # fmt: skip
    reconstruction: Reconstruction = Field(default_factory=Reconstruction)
    stochastic: Stochastic = Field(default_factory=Stochastic)
    manipulation: Manipulation = Field(default_factory=Manipulation)
    interpolation: Interpolation = Field(default_factory=Interpolation)
    throughput: Throughput = Field(default_factory=Throughput)


class PaperWindows(Section):
    """Windows of SSIM in the paper's protocol."""

    reconstruction: Window = setting(
        3, "Of reconstructions; one of evaluation.reconstruction.windows.", unit="voxels"
    )
    interpolation: Window = setting(
        4, "Of interpolations; one of evaluation.interpolation.windows.", unit="voxels"
    )


class Bounds(Section):
    """Bounds that a model's numbers must keep for a statement to hold."""

    ssim_loss: float = setting(
        0.002, "Largest loss of SSIM against the autoencoder alone.", ge=0, le=1
    )
    ventricle_spearman: float = setting(
        0.95, "Least rank correlation of ventricle growth with the amount of an edit.", ge=-1, le=1
    )
    truth_agreement: Share = setting(
        0.8, "Least share of edits whose difference map correlates with the true effect (r > 0)."
    )
    identity_kept: Share = setting(
        0.95, "Least share of edited scans that still resemble their own participant most."
    )
    off_target_ratio: float = setting(
        0.2, "Largest response of the other attribute over that of the edited one.", ge=0
    )


class Verdicts(Section):
    """How the paper's claims are judged from the tables."""

    n_steps: Count = setting(
        20, "Sampler steps at which reconstructions are compared. They are among "
        "evaluation.reconstruction.steps and voxel_steps.",
    )  # fmt: skip
    ssim_window: Window = setting(
        11, "Window of SSIM in the workflow's protocol; 11 is Gaussian. It is among "
        "evaluation.reconstruction.windows and evaluation.interpolation.windows.",
        unit="voxels",
    )  # fmt: skip
    paper_windows: PaperWindows = Field(default_factory=PaperWindows)
    bounds: Bounds = Field(default_factory=Bounds)


class Ablation(Section):
    """A network with changed settings; what it does not change it shares with the study."""

    network: Words = setting(..., "The network that is changed; one with a semantic code.")
    change: dict[str, Annotated[dict[str, Any], Field(min_length=1)]] = setting(
        ..., "Changed keys by section, with their values. The sections are those that the network "
        "is trained with, or the network that it stands on.", min_length=1,
    )  # fmt: skip
    label: Words | None = setting(
        None, "Name in figures. Null makes one of the network's name and the ablation's."
    )


class Curves(Section):
    """Learning curves: networks that are also measured in the course of their training."""

    networks: list[Words] = setting(
        [], "Networks and ablations that are followed. Each has a semantic code and diffuses. "
        "Curves are of validation participants, and a study has none with final=true.",
    )  # fmt: skip
    steps: Distinct = setting(
        [10, 30, 100], "Steps after which they are measured, beside the last. All are before the "
        "last step of each of these trainings.",
    )  # fmt: skip


class EvaluationSections(Section):
    """The sections of what trained networks are asked."""

    probes: Probes = Field(default_factory=Probes)
    evaluation: Evaluation = Field(default_factory=Evaluation)
    verdicts: Verdicts = Field(default_factory=Verdicts)
    ablations: dict[AblationName, Ablation] = setting(
        {}, "Further trainings by name, each with some changed settings. Each gets codes, probes "
        "and rows in the tables of probes, comparisons and ablations; see studies/ablation.yaml.",
    )  # fmt: skip
    curves: Curves = Field(default_factory=Curves)
