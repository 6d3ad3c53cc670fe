"""What is preprocessed again when a real cohort changes.

The images but one are empty files: preprocessing them takes no time, fails, and is done with all
the same.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from conftest import copy_workflow, run_snakemake
from head_toy import make_head
from test_plan import make_bids, planned

from ldae.data.addresses import Derivative, derivative_address
from ldae.data.partition import belongs, divide_subjects
from ldae.data.pseudonyms import KEY_FILE, cohort_key, pseudonym
from ldae.methods import NETWORKS, Need

pytestmark = pytest.mark.workflow

SIZE = 10
SETTINGS = f"""
study: growing
pathvars: {{results: results/growing}}
cohort: {{source: bids}}
preprocessing: {{batch_size: {SIZE}, brain_extraction: template, bias_correction: false}}
"""
QC = ("results/growing/qc/qc.tsv", "results/growing/manifest/scans.tsv")


class Growing:
    """A workflow with a cohort of its own, preprocessed up to quality control."""

    def __init__(self, folder: Path) -> None:
        self.folder = copy_workflow(folder / "workflow")
        self.bids = make_bids(folder / "bids", ["ses-M000", "ses-M012"], ["CN", "AD"])
        (self.bids / KEY_FILE).parent.mkdir()
        (self.bids / KEY_FILE).write_bytes((self.bids / "participants.tsv").read_bytes())
        (self.folder / "growing.yaml").write_text(SETTINGS)

    def run(self, *options: str, targets: Sequence[str] = QC, seed: int = 0) -> str:
        config = (f"bids_folder={self.bids}", f"seed={seed}")
        study = ("--configfile", "growing.yaml", "--config", *config)
        done = run_snakemake(self.folder, *options, *study, "--", *targets)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def plan(self, targets: Sequence[str] = QC) -> dict[str, int]:
        return planned(self.run("-n", targets=targets))

    def finish(self) -> None:
        """Make all other results, as empty files that are held for done."""
        listed = self.run("--summary", targets=())
        for line in listed.splitlines()[1:]:
            path = self.folder / line.split("\t")[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        self.run("--touch", targets=())

    def shown(self, subject: str) -> str:
        return pseudonym(subject, cohort_key(self.bids))

    def batches(self) -> dict[str, list[str]]:
        """Batches that there should be, by the participants' folders."""
        subjects = [self.shown(path.name) for path in self.bids.glob("sub-*")]
        return divide_subjects(dict.fromkeys(subjects, 2), SIZE)

    def home(self) -> str:
        """A batch with room for two scans more."""
        return next(name for name, group in self.batches().items() if 2 * len(group) + 2 <= SIZE)

    def member_of(self, batch: str) -> str:
        """A participant of a batch, by the cohort's own label."""
        subjects = sorted(path.name for path in self.bids.glob("sub-*"))
        return next(subject for subject in subjects if belongs(self.shown(subject), batch))

    def image(self, subject: str) -> Path:
        return self.bids / subject / "ses-M000/anat" / f"{subject}_ses-M000_T1w.nii.gz"

    def tables(self) -> dict[str, list[str]]:
        """Batches that there are, by their tables."""
        found = {}
        for path in (self.folder / "results/growing/manifest/batches").glob("*.tsv"):
            scans = pd.read_csv(path, sep="\t")["scan"]
            name = re.fullmatch(r"batch-([01]+)\.tsv", path.name)
            assert name
            found[name[1]] = sorted(scans.str.partition("_")[0].unique())
        return found

    def add(self, subject: str) -> None:
        """Add a participant with two visits."""
        with (self.bids / "participants.tsv").open("a") as table:
            table.write(f"{subject}\t70\tF\tCN\n")
        sessions = self.bids / subject / f"{subject}_sessions.tsv"
        for visit in ("ses-M000", "ses-M012"):
            image = self.bids / subject / visit / "anat" / f"{subject}_{visit}_T1w.nii.gz"
            image.parent.mkdir(parents=True)
            image.touch()
        sessions.write_text("session_id\tage\nses-M000\t70\nses-M012\t71\n")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Growing:
    growing = Growing(tmp_path_factory.mktemp("growing"))
    head, _, _ = make_head(0)
    image = nib.Nifti1Image(head.data.astype(np.int16), head.affine)
    nib.save(image, growing.image(growing.member_of(growing.home())))
    growing.run()
    return growing


READ = {"read_bids": 1}
CHECKED = READ | {"quality_control": 1}
AGAIN = CHECKED | {"split_subjects": 1}


def test_batches_are_written(study: Growing) -> None:
    assert len(study.batches()) > 2
    assert study.tables() == study.batches()


def test_a_table_that_is_written_again_as_it_was_changes_nothing(study: Growing) -> None:
    for path in (study.folder / "results/growing/manifest").rglob("*.tsv"):
        path.touch()
    assert study.plan() == {}


def test_a_corrected_diagnosis_or_age_preprocesses_nothing(study: Growing) -> None:
    table = study.bids / "participants.tsv"
    original = table.read_text()
    table.write_text(original.replace("AD", "MCI", 1).replace("\t62\t", "\t63\t"))
    assert study.plan() == READ
    table.write_text(original)


def test_another_image_preprocesses_its_batch(study: Growing) -> None:
    image = study.bids / "sub-003/ses-M012/anat/sub-003_ses-M012_T1w.nii.gz"
    time = image.stat().st_mtime_ns
    os.utime(image, (0, 0))
    assert study.plan() == CHECKED | {"preprocess_scan": 1}
    os.utime(image, ns=(time, time))


def test_another_key_gives_everybody_another_name(study: Growing) -> None:
    """As any change of the table does where it is the key."""
    key = study.bids / KEY_FILE
    original = key.read_bytes()
    key.write_bytes(b"another secret")
    assert study.plan() == AGAIN | {"preprocess_scan": len(study.batches())}
    key.write_bytes(original)


def test_one_more_participant_preprocesses_one_batch(study: Growing) -> None:
    """And of this batch only what was added or had failed."""
    batches, home = study.batches(), study.home()
    results = study.folder / "results/growing"
    scan = f"{study.shown(study.member_of(home))}_ses-M000"
    volume = results / "preprocessed" / derivative_address(scan, Derivative.VOLUME)
    made = volume.stat().st_mtime_ns
    labels = (f"sub-{number:03d}" for number in range(100, 999))
    new = next(label for label in labels if belongs(study.shown(label), home))
    study.add(new)
    assert study.plan() == AGAIN | {"preprocess_scan": 1}
    study.run()
    assert study.tables() == batches | {home: sorted([*batches[home], study.shown(new)])}
    assert study.plan() == {}
    assert volume.stat().st_mtime_ns == made
    log = (results / f"logs/preprocess_scan/batch-{home}.log").read_text()
    n_scans = 2 * len(batches[home]) + 2
    assert f"1 of {n_scans} scans are unchanged: their results are kept" in log
    table = pd.read_csv(results / f"manifest/batches/batch-{home}.tsv", sep="\t")
    assert table.loc[table["status"] == "ok", "scan"].tolist() == [scan]


WITH_LABELS = {
    "read_bids", "train_network", "encode_semantics", "fit_probe",
    "manipulate_attribute", "tabulate", "plot_figure", "build_report", "all",
}  # fmt: skip


def test_a_corrected_age_trains_only_what_learns_from_labels(study: Growing) -> None:
    study.finish()
    assert study.plan(()) == {}
    sessions = study.bids / "sub-004/sub-004_sessions.tsv"
    sessions.write_text(sessions.read_text().replace("64.00", "64.25"))
    jobs = study.plan(())
    assert set(jobs) == WITH_LABELS
    supervised = [network for network in NETWORKS if network.needs is Need.LABELS]
    assert jobs["train_network"] == jobs["encode_semantics"] == len(supervised)


def test_another_split_trains_everything(study: Growing) -> None:
    jobs = planned(study.run("-n", targets=(), seed=1))
    assert jobs["split_subjects"] == jobs["train_autoencoder"] == 1
    assert jobs["train_network"] > 1
