"""Settings of the cohort: where the scans come from, their split, preprocessing and quality."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ldae.simulation.settings import (
    AGE_RANGE,
    LARGEST_CONTRAST_SD,
    MAX_MONTHS,
    SPACING_RANGE_MM,
)
from ldae.workflow.settings.types import (
    Cell,
    Count,
    Limits,
    MaskPattern,
    Place,
    Section,
    Share,
    Words,
    mistake,
    setting,
)


def _from_baseline(months: list[int]) -> list[int]:
    if months[0] != 0 or months != sorted(set(months)):
        raise mistake("the months do not rise from 0", "Write for example [0, 6, 12, 24]")
    return months


Months = Annotated[list[Annotated[int, Field(ge=0, le=MAX_MONTHS)]], AfterValidator(_from_baseline)]
Age = Annotated[float, Field(ge=AGE_RANGE[0], le=AGE_RANGE[1])]
OpenShare = Annotated[float, Field(gt=0, lt=1)]


class DiagnosisShares(Section):
    """Share of the participants with each diagnosis; they add up to 1."""

    CN: Share = setting(0.45, "Cognitively normal.")
    MCI: Share = setting(0.2, "Mild cognitive impairment.")
    AD: Share = setting(0.35, "Alzheimer's disease.")


class SimulatedCohort(Section):
    """The simulated cohort."""

    n_subjects: int = setting(400, "Number of participants.", ge=6)
    months: Months = setting(
        [0, 6, 12, 24], "Times of the planned visits since the first one; they rise from 0.",
        unit="months", min_length=1,
    )  # fmt: skip
    follow_up_share: Share = setting(
        0.3, "Share of the participants who are invited back after their first visit. "
        "The others come once.",
    )  # fmt: skip
    missing_visit_rate: float = setting(
        0.25, "Share of these later visits that do not take place.", ge=0, lt=1
    )
    shares: DiagnosisShares = Field(default_factory=DiagnosisShares)
    age_years: Annotated[list[Age], *Limits.__metadata__] = setting(
        [55, 90], "Lowest and highest age at the first visit.", unit="years"
    )
    n_sites: Count = setting(
        3, "Number of scanners, each with its own contrast, bias field and noise."
    )
    contrast_sd: float = setting(
        0.015, "How much their contrast differs: SD of the log of each tissue's signal.",
        ge=0, le=LARGEST_CONTRAST_SD,
    )  # fmt: skip
    spacing_mm: float = setting(
        4.0, "Voxel edge of the raw heads.", unit="mm",
        ge=SPACING_RANGE_MM[0], le=SPACING_RANGE_MM[1],
    )  # fmt: skip


class Diagnoses(Section):
    """Words for diagnoses in the cohort's tables."""

    patient: Words = setting(
        "AD", "Diagnosis of the patients. They are the positive class of the task `ad_vs_cn`."
    )
    control: Words = setting("CN", "Diagnosis of the controls, the negative class.")
    prodromal: Words = setting(
        "MCI", "Diagnosis that may become that of the patients. The task `conversion` separates "
        "converters from stable participants, where there are at least ten of each.",
    )  # fmt: skip
    conversion_months: float = setting(
        36.0, "Time within which participants convert, or are known to be stable.",
        unit="months", gt=0,
    )  # fmt: skip


class Columns(Section):
    """Columns of the cohort's tables, where their names are not known beforehand.

    Known are those of BIDS, Clinica's converters, ADNI, OASIS and IXI (docs/how-to/bids-cohort.md).
    """

    subject: Words | None = setting(None, "Label of the participant.")
    session: Words | None = setting(None, "Label of the session.")
    age: Words | None = setting(
        None, "Age in years: of participants at month 0, of sessions at the visit."
    )
    sex: Words | None = setting(None, "Sex.")
    diagnosis: Words | None = setting(None, "Diagnosis.")
    site: Words | None = setting(None, "Site or scanner.")
    path: Words | None = setting(
        None, "File of the scan, in the table of cohort.table. Or a pattern with columns in "
        "braces: IXI{IXI_ID:0>3}-*-T1.nii.gz is IXI002-Guys-0828-T1.nii.gz for IXI_ID 2.",
    )  # fmt: skip
    months: Words | None = setting(None, "Time since the first visit in months.")
    days: Words | None = setting(None, "Time since the first visit in days.")
    date: Words | None = setting(None, "Date of the visit (ISO 8601).")


class Values(Section):
    """Words of the cohort's tables and what they stand for; n/a stands for no value.

    Case does not count, and 0 and 0.0 are one word. Entries of one's own are added to the default.
    """

    diagnosis: dict[Cell, Cell] = setting(
        {"EMCI": "MCI", "LMCI": "MCI"}, "Diagnosis that a word stands for. For example "
        "{Dementia: AD, NL: CN}; a diagnosis that is neither patient nor control is left out of "
        "the task.",
    )  # fmt: skip
    sex: dict[Cell, Literal["F", "M", "n/a"]] = setting(
        {}, 'Sex that a word stands for. For example {"0": F, "1": M}.'
    )
    age: dict[Cell, Cell] = setting(
        {}, "Age that a word stands for. For example {89+: 89}; without an entry, a limit or a "
        "range is not known, and no probe of age uses it.",
    )  # fmt: skip


class Cohort(Section):
    """Where the scans come from."""

    source: Literal["simulated", "bids"] = setting(
        "simulated",
        "A simulated cohort, or real scans. These lie in a BIDS folder, in a CAPS "
        "folder of Clinica (t1-linear), or where cohort.table says.",
    )
    public: bool = setting(
        False, "Whether participants of a real cohort may appear under their own labels. "
        "If not, participants have pseudonyms in tables, figures, records and the report, and so "
        "have sessions whose labels may be dates or sites. A simulated cohort is always public.",
    )  # fmt: skip
    diagnoses: Diagnoses = Field(default_factory=Diagnoses)
    table: Place | None = setting(
        None, "Table with a row for each scan, where the cohort is no BIDS folder. Its path below "
        "bids_folder, or below the working folder. Paths of scans are relative to the table if it "
        "lies in bids_folder, else to bids_folder.",
    )  # fmt: skip
    tables: Place | None = setting(
        None, "Folder of the tables of participants and sessions, if not bids_folder. For a CAPS "
        "folder, the BIDS folder that it was made from.",
    )  # fmt: skip
    columns: Columns = Field(default_factory=Columns)
    values: Values = Field(default_factory=Values)
    session_months: dict[Cell, Annotated[float, Field(ge=0)]] = setting(
        {}, "Months since the first visit, by session. For example {wave1: 0, wave2: 48}. They "
        "count before columns, dates and labels; visits of unknown time are left out, but for a "
        "participant's first.",
    )  # fmt: skip
    diagnosis_of: Literal["visit", "baseline", "last", "stable"] = setting(
        "visit", "Which of a participant's diagnoses a scan has. That of its visit, the first or "
        "the last one, where the tables give one for each visit. With `stable`, participants whose "
        "diagnosis changes have none.",
    )  # fmt: skip
    repeats: Literal["first", "last", "best"] = setting(
        "first", "Which of a session's repeated scans is taken. By the number of the run; a scan "
        "without acq-, rec- and other entities comes before one with them. With `best`, all runs "
        "of the scan that would come first are preprocessed, and the best is kept: one within the "
        "limits of quality, then the one most like the template.",
    )  # fmt: skip
    prefer: list[Words] = setting(
        [], "Parts of file names that count before this rule, best first. For example [acq-MPRAGE]."
    )
    ignore_leading_zeros: bool = setting(
        False, "Whether sub-1 in the table is the folder sub-0001."
    )
    required: list[Literal["age", "sex", "diagnosis"]] = setting(
        [], "What must be known of a scan. Scans without it are left out; for example [age]."
    )
    simulated: SimulatedCohort = Field(default_factory=SimulatedCohort)


class Split(Section):
    """How the participants are divided: shares that add up to 1, or a table made elsewhere."""

    train: OpenShare = setting(0.7, "Training.")
    val: OpenShare = setting(0.1, "Validation.")
    test: OpenShare = setting(0.2, "Test.")
    strata: list[Literal["visits", "site"]] | None = setting(
        None, "What is balanced beside diagnosis, sex and age. `visits`: participants with the "
        "three visits that an interpolation takes; `site`: sites. Null is [visits] for a real "
        "cohort and [] for a simulated one.",
    )  # fmt: skip
    test_sites: list[Cell] = setting(
        [], "Sites that are held out: all their participants are in the test split, and nobody "
        "else. The others are divided by the shares of training and validation.",
    )  # fmt: skip
    file: Place | None = setting(
        None, "Table of a split that was made elsewhere, with columns subject and split. The "
        "splits are train, val and test, the labels those of the cohort; shares are not read.",
    )  # fmt: skip
    folds: Annotated[int, Field(ge=2)] | None = setting(
        None, "Folds of a cross-validation of the whole study. One of them is tested in place of "
        "the share `test`; each fold is a study with results of its own "
        "(docs/how-to/several-seeds.md). Null is none.",
    )  # fmt: skip
    fold: int = setting(0, "The fold that is tested, from 0.", ge=0)
    repeat: int = setting(
        0, "The division into folds, from 0. Each number draws other folds; all folds of several "
        "divisions are a repeated cross-validation.",
        ge=0,
    )  # fmt: skip


class Grid(Section):
    """Grid of the preprocessed scans, in template space."""

    spacing_mm: float = setting(4.0, "Voxel edge.", unit="mm", ge=0.5, le=16)
    shape: list[Annotated[int, Field(ge=8)]] = setting(
        [40, 48, 40], "Number of voxels from left to right, from back to front and upwards.",
        min_length=3, max_length=3,
    )  # fmt: skip


BrainExtraction = Literal["template", "deepbet", "precomputed", "synthstrip", "hdbet"]

BRAIN_EXTRACTION: dict[str, BrainExtraction] = {"simulated": "template", "bids": "deepbet"}
"""Default of `preprocessing.brain_extraction` by the source of the cohort.

On real heads deepbet is better than the template, which is fast and needs no network
(docs/tried/preprocessing.md).
"""


class Preprocessing(Section):
    """From raw heads to brains on the grid."""

    batch_size: Count = setting(120, "Scans per job.")
    bias_correction: Literal[True, False, "ants"] = setting(
        True, "Whether the bias field is corrected (N4). `true` estimates it on a coarse copy of "
        "the tissue; `ants` is N4 of ANTs with its defaults, in the whole picture. It needs ANTs, "
        "which is in the environment of the preprocessing alone.",
    )  # fmt: skip
    brain_extraction: Literal["auto", BrainExtraction] = setting(
        "auto", "How the brain is found. `auto` is `template` for a simulated cohort and `deepbet` "
        "for a real one. `precomputed` needs mask_pattern; `synthstrip` and `hdbet` need the "
        "commands mri_synthstrip and hd-bet on the PATH. A scan that was skull-stripped before "
        "keeps its own outline, unless masks are precomputed.",
    )  # fmt: skip
    mask_pattern: MaskPattern | None = setting(
        None, "Path of precomputed masks below the BIDS folder. {subject} stands for sub-01, "
        "{session} for ses-M012, {scan} for the image's name without _T1w.nii.gz.",
    )  # fmt: skip
    registration: Literal["none", "affine", "demons", "syn"] = setting(
        "affine", "Transform to the template. `demons` and `syn` add a deformation to the affine; "
        "`syn` needs ANTs, which is in the environment of the preprocessing alone. `none` leaves "
        "scans where they lie: they are in one space already.",
    )  # fmt: skip
    intensity_percentiles: Annotated[
        list[Annotated[float, Field(ge=0, le=100)]], *Limits.__metadata__
    ] = setting([0.5, 99.5], "Percentiles inside the brain that become 0 and 1.", unit="%")


class Quality(Section):
    """Limits of the quality control; a scan beyond one of them is excluded."""

    min_mask_dice: Share = setting(
        0.85, "Least Dice overlap of the brain mask with the template's."
    )
    min_correlation: float = setting(0.4, "Least correlation with the template.", ge=-1, le=1)
    min_tissue_contrast: float = setting(0.05, "Least contrast of white and grey matter.")
    min_signal_to_noise: float = setting(5.0, "Least signal-to-noise ratio inside the brain.", ge=0)
    max_cropped_fraction: Share = setting(0.02, "Largest share of the brain outside the grid.")
    max_cut_area_cm2: float = setting(
        20.0, "Largest area of the brain on the border of the image.", unit="cm²", ge=0
    )
    max_bright_outside: Share = setting(
        0.4, "Largest share of the 4.5 mm around the brain mask that is as bright as brain. "
        "More means that the mask is too small, too large or in the wrong place.",
    )  # fmt: skip
    max_rotation_degrees: float = setting(
        45.0, "Largest rotation to the template.", unit="degrees", ge=0, le=180
    )
    brain_volume_ml: Limits = setting(
        [800, 2200], "Least and largest volume of the brain mask.", unit="ml"
    )
    scale: Limits = setting([0.8, 1.5], "Least and largest linear scale to the template.")
    decisions: list[Place] = setting(
        [], "Tables of raters' decisions, as qc/qc.html saves them. Their columns are scan, "
        "decision (keep or exclude), reason, rater and date; a decision counts before the limits.",
    )  # fmt: skip
    reference_masks: MaskPattern | None = setting(
        None, "Path of masks to compare with, written like preprocessing.mask_pattern. "
        "Their Dice overlap with the study's masks is reported and excludes nothing.",
    )  # fmt: skip


class CohortSections(Section):
    """The sections of the scans: who they are of, and how they are prepared."""

    cohort: Cohort = Field(default_factory=Cohort)
    split: Split = Field(default_factory=Split)
    grid: Grid = Field(default_factory=Grid)
    preprocessing: Preprocessing = Field(default_factory=Preprocessing)
    quality: Quality = Field(default_factory=Quality)
