"""A small study's report, for tests of the page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from ldae.methods import METHODS, Methods
from ldae.provenance.audit import Check, Finding, Level, Verdict
from ldae.provenance.ledger import Scoring
from ldae.report.cohort import Cohort, describe_cohort
from ldae.report.effort import Effort, Problem, RuleEffort
from ldae.report.page import Contents, Picture, TableFile
from ldae.report.scans import ScanCard, Strip
from ldae.report.summary import Summary, summarise
from ldae.report.writeup import MethodsText, write_methods
from ldae.statistics.tables import tidy, write_table
from ldae.workflow.config import complete_config

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da63f8ffff3f"
    "0005fe02fea7352a2d0000000049454e44ae426082"
)
CHANGED = Finding(Level.ERROR, "tables/probes.tsv", "sha256 1234", "sha256 <5678>")
VERDICT = Verdict((Check("files", "12 files", (CHANGED,)), Check("code", "3 jobs")), {}, 1.5)
CONFIG = complete_config({"title": "Toy study", "final": True})
STUDY = Methods(METHODS)
MADE = datetime(2026, 11, 28, tzinfo=UTC)

GAIN = {"claim": "disease and age are in the code", "statement": "age error is below that of"}
AUC = {**GAIN, "statement": "AUC is above that of", "task": "ad_vs_cn"}
GROWTH = {
    "claim": "manipulation",
    "statement": "ventricles grow with the edit: Spearman at least 0.95",
    "task": "ad_vs_cn",
}
LOSS = {
    "claim": "reconstruction",
    "statement": "SSIM is within 0.002 of the autoencoder's",
    "task": float("nan"),
    "against": "autoencoder",
    "region": "mask",
}
SIDE_EFFECT = {
    "claim": "manipulation",
    "statement": "the other one of disease and age moves less than 0.2 times as much",
    "task": "ad_vs_cn",
    "attribute": "age",
    "judge": "volumes",
}
SPEEDUP = {
    "claim": "speed against voxel space",
    "statement": "faster than the voxel DAE",
    "operation": "reconstruct",
}
SKILL = {
    "claim": "interpolation",
    "statement": "squared error is below the best trivial answer's: skill above 0",
}


def verdict_rows(*rows: dict[str, object]) -> pd.DataFrame:
    """Table ``verdicts``; of a row only what differs must be given."""
    common: dict[str, object] = {
        "method": "ldae",
        "metric": "measured",
        "n_subjects": 80,
        "n_scans": 151,
    }
    common |= {"split": "test", "ci_low": float("nan"), "ci_high": float("nan")}
    return tidy([{**common, **row} for row in rows], "verdicts", cohort="toy", seeds={"ldae": [0]})


def gain(
    value: float, low: float, high: float, verdict: str, **changes: object
) -> dict[str, object]:
    """A verdict on the age error against voxel PCA."""
    numbers = {"value": value, "ci_low": low, "ci_high": high, "verdict": verdict}
    return {**GAIN, "task": "age", "against": "voxel_pca", **numbers, **changes}


def toy_cohort(*, simulated: bool = True) -> Cohort:
    """Four subjects, one of them with two visits, of whom one scan was excluded."""
    scans = pd.DataFrame(
        {
            "subject": ["sub-1", "sub-1", "sub-2", "sub-3", "sub-4"],
            "age": [60.0, 61.0, 70.0, float("nan"), 80.0],
            "diagnosis": ["AD", "AD", "CN", "n/a", "CN"],
        }
    )
    index = scans.iloc[:4].assign(split=["train", "train", "val", "test"])
    return describe_cohort(scans, index, name="toy", simulated=simulated)


def toy_summary(verdicts: pd.DataFrame | None, *, simulated: bool = True) -> Summary:
    """The first screen of these verdicts."""
    return summarise(verdicts, STUDY, CONFIG["verdicts"], toy_cohort(simulated=simulated), {})


def toy_text() -> MethodsText:
    """The methods section of the default study's settings."""
    networks = ["prior", "ldae", "ldae_joint", "voxel_dae", "supervised", "residual"]
    tables = ["probes", "reconstruction", "manipulation", "interpolation", "throughput"]
    software = {"python": "3.11.7", "torch": "2.13.0", "odd-package": "1.0"}
    return write_methods(CONFIG, toy_cohort(), STUDY, networks, tables, software, MADE)


def toy_contents(folder: Path) -> Contents:
    """Everything that a report says, of a study with a few rows."""
    picture = folder / "f.png"
    picture.write_bytes(PIXEL)
    rows = [
        {"method": method, "task": "age", "metric": "mae", "value": value, "note": note}
        for method, value, note in (
            ("ldae", 4.5, "years <b>"), ("voxel_pca", 12.25, ""), ("untrained", 7.0, ""),
        )
    ]  # fmt: skip
    table = tidy(rows, "probes", cohort="toy", seeds={"ldae": [1]}, split="test")
    write_table(table, folder / "p.tsv", folder / "p.md")
    files = {"numbers (TSV)": "figures/age.tsv", "record": "records/plot_figure/age/1.json"}
    return Contents(
        summary=toy_summary(verdict_rows(gain(-1.81, -2.94, -0.79, "fails"))),
        figures={
            "manipulation_age": Picture(picture, "manipulation", "Edits.", "From 8.", {}, ""),
            "age": Picture(
                picture, "probes", "Ages of 3 <subjects>.", "From 7 scans.", files, "x.py", "s 2"
            ),
            "qc": Picture(picture, "cohort", "Quality control.", "From 9.", {}, ""),
        },
        tables={
            "probes": TableFile(folder / "p.tsv", "probes", "Linear probes of every code", files)
        },
        methods=STUDY,
        text=toy_text(),
        scans=[
            ScanCard(
                "sub-1_ses-1",
                "drawn at random",
                "test split",
                picture,
                files,
                "s-1",
                [Strip("Edit, age", "Axial slices of sub-1_ses-1.", PIXEL, "edit-age", files)],
            )
        ],
        measures=pd.DataFrame({"scan": ["median", "sub-1_ses-1"], "scale": ["1.1", "1.2"]}),
        effort=Effort(
            (RuleEffort("train_network", 2, 3, 1, 4000.0, 3000.0, 1.5, 0.0, 0.0),),
            (Problem("train_network/ldae", "2026-11-28 05:22", "no <space> left", True),),
        ),
        left_out={"interpolation": "nobody has three visits"},
        notices=pd.DataFrame({"kind": ["age"], "notice": ["sub-01: age <89+> is a limit"]}),
        config=CONFIG,
        provenance={"commit": "abc123", "made": "today", "python": "3.11"},
        audit=VERDICT,
        scorings=[Scoring(MADE, MADE, "abc123+", "0" * 64, 80, 3, 0, 0)],
    )
