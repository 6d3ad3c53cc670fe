"""Results of an earlier job are kept where everything that decides them is as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from test_preprocessing_pipeline import LIMITS
from test_repeats import GOOD

from ldae.data.addresses import Derivative, derivative_address
from ldae.data.intake.copies import checksum
from ldae.data.partition import clear_batch, share_participants
from ldae.preprocessing.unchanged import READING, decisive, unchanged_scans
from ldae.provenance.earlier import EarlierJob, earlier_jobs
from ldae.provenance.places import Places
from ldae.provenance.record import COMPLETED, FAILED, FORMAT, Record, describe_files, device

SETTINGS = {"brain_extraction": "deepbet", "mask_pattern": None, "batch_size": 120}
SCANS = ("sub-01_ses-M000", "sub-01_ses-M012", "sub-02")
DECIDING = ("correlation_to_template", "cut_area_cm2")
KINDS = (Derivative.VOLUME, Derivative.SIDECAR, Derivative.PREVIEW)
Change = Callable[[Record], object]


class Study:
    """A folder of raw scans and one of results, with a job that preprocessed all of them."""

    def __init__(self, folder: Path) -> None:
        self.bids, self.out = folder / "bids", folder / "results/preprocessed"
        self.places = Places(folder / "results", self.bids)
        self.records = folder / "results/records/preprocess_scan"
        rows = []
        for scan in SCANS:
            raw = Path(scan.partition("_")[0]) / f"{scan}_T1w.nii.gz"
            rows.append({"scan": scan, "path": str(raw)})
            (self.bids / raw).parent.mkdir(parents=True, exist_ok=True)
            (self.bids / raw).write_text(f"raw {scan}")
            for kind in KINDS:
                path = self.out / derivative_address(scan, kind)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps({"file": f"{kind} of {scan}"}))
        self.scans = pd.DataFrame(rows)
        self.record: Record = {
            "format": FORMAT, "rule": "preprocess_scan", "wildcards": {"batch": "01"},
            "params": {"settings": SETTINGS, "grid": {"shape": [8, 8, 8]}, "code": "c0de",
                       "fingerprint": "then", "reading": {}},
            "seed": 0, "threads": 1, "start": "2026-01-01T00:00:00+00:00", "commit": "before",
            "dirty": False, "locks": {"envs/local.lock": "a" * 64}, "container": None, "input": [],
        }  # fmt: skip

    def end(self, case: str = "batch-01", name: str = "20260101T000000Z-1", **more: Any) -> None:
        """Write the record of the job's end."""
        files = describe_files([self.bids, self.out], self.places)
        record = self.record | {
            "status": COMPLETED, "end": "2026-01-01T00:01:00+00:00", "device": device(),
            "input": [file for file in files if file["path"].startswith("<bids>")],
            "output": [file for file in files if file["path"].startswith("<results>")],
            "voxels": dict.fromkeys(SCANS, "b" * 64),
        }  # fmt: skip
        path = self.records / case / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record | more))
        path.with_suffix(".started.json").write_text(json.dumps(self.record))

    def now(self, change: Change = lambda record: None) -> list[EarlierJob]:
        """Earlier jobs for one that begins now, because a scan was added."""
        record: Record = json.loads(json.dumps(self.record))
        record |= {"commit": "after"}
        record["params"]["fingerprint"] = "now"
        change(record)
        folders = sorted(self.records.iterdir())
        return earlier_jobs(folders, record, decisive, self.places, READING)

    def unchanged(self, jobs: list[EarlierJob], **settings: Any) -> list[str]:
        args = (self.scans, self.bids, self.out, SETTINGS | settings, jobs)
        found = unchanged_scans(*args, limits=LIMITS)
        assert all(one["status"] == "ok" and one["voxels"] == "b" * 64 for one in found)
        return [one["scan"] for one in found]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    made = Study(tmp_path)
    made.end()
    return made


def test_nothing_is_done_again_for_another_scan(study: Study) -> None:
    jobs = study.now()
    assert study.unchanged(jobs) == list(SCANS)
    study.scans.loc[len(SCANS)] = {"scan": "sub-03", "path": "sub-03/sub-03_T1w.nii.gz"}
    (study.bids / "sub-03").mkdir()
    (study.bids / "sub-03/sub-03_T1w.nii.gz").write_text("new")
    assert study.unchanged(jobs) == list(SCANS)


OF_ANOTHER_JOB: dict[str, Change] = {
    "code": lambda record: record["params"].update(code="another"),
    "settings": lambda record: record["params"].update(settings=SETTINGS | {"brain": 1}),
    "grid": lambda record: record["params"].update(grid={"shape": [16, 16, 16]}),
    "lock": lambda record: record.update(locks={"envs/local.lock": "f" * 64}),
    "unknown environment": lambda record: record.update(locks={}),
    "container": lambda record: record.update(container={"name": "x.sif", "sha256": "a" * 64}),
    "asked for again as it was": lambda record: record["params"].update(fingerprint="then"),
    "asked for again after a corrected age": lambda record: record["params"].update(
        fingerprint="then", reading={"kept": "another"}
    ),
}


@pytest.mark.parametrize("what", OF_ANOTHER_JOB)
def test_everything_is_done_again_with_another(study: Study, what: str) -> None:
    assert study.now(OF_ANOTHER_JOB[what]) == []


OF_THE_RECORD: dict[str, dict[str, Any]] = {
    "a job that failed": {"status": FAILED},
    "another processor": {"device": {"kind": "cpu", "name": "another", "cuda": None}},
    "a damaged record": {"output": [{"path": "<results>/x"}]},
}


@pytest.mark.parametrize("what", OF_THE_RECORD)
def test_everything_is_done_again_after(tmp_path: Path, what: str) -> None:
    study = Study(tmp_path)
    study.end(**OF_THE_RECORD[what])
    assert study.now() == []
    study.end(name="20251231T000000Z-0")
    assert (study.now() == []) is (what == "another processor"), "the last that completed counts"


def test_a_scan_may_have_been_in_another_batch(study: Study) -> None:
    """The batch was larger then, and its first result of the scan is an older one."""
    path = study.out / derivative_address("sub-02", KINDS[0])
    path.write_text("made again")
    study.end("batch-010")
    assert study.unchanged(study.now()) == list(SCANS)


def test_the_size_of_batches_does_not_matter(study: Study) -> None:
    smaller = SETTINGS | {"batch_size": 60}
    assert study.now(lambda record: record["params"].update(settings=smaller))


ON_DISK: dict[str, tuple[str, set[str]]] = {
    "bids/sub-02/sub-02_T1w.nii.gz": ("another head", {"sub-02"}),
    f"results/preprocessed/{derivative_address('sub-02', KINDS[0])}": ("edited", {"sub-02"}),
    f"results/preprocessed/{derivative_address(SCANS[1], KINDS[2])}": ("", {SCANS[1]}),
    f"results/preprocessed/{derivative_address(SCANS[0], Derivative.WARP)}": ("new", {SCANS[0]}),
}


@pytest.mark.parametrize("path", ON_DISK)
def test_a_scan_whose_files_changed_is_done_again(study: Study, tmp_path: Path, path: str) -> None:
    text, changed = ON_DISK[path]
    if text:
        (tmp_path / path).write_text(text)
    else:
        (tmp_path / path).unlink()
    assert set(study.unchanged(study.now())) == set(SCANS) - changed


def test_masks_count_where_they_are_read(study: Study) -> None:
    pattern = "{scan}_mask.nii.gz"
    jobs = study.now()
    assert study.unchanged(jobs, brain_extraction="precomputed", mask_pattern=pattern) == []
    assert study.unchanged(jobs, brain_extraction="hdbet") == [], "nothing tells its version"


def choose_of_two(study: Study, best: int = 1) -> list[str]:
    """Give every scan a rival, of which the better one was kept; the rivals' paths."""
    study.scans["rivals"] = [[f"{path}.2"] for path in study.scans["path"]]
    for _, row in study.scans.iterrows():
        paths = [study.bids / row["path"], study.bids / row["rivals"][0]]
        paths[1].write_text(f"again {row['scan']}")
        repeats = [
            {"name": path.name, "sha256": checksum(path), "reason": "", "taken": place == best}
            | {"measures": GOOD | dict.fromkeys(DECIDING, 0.6 + (place == best))}
            for place, path in enumerate(paths)
        ]
        sidecar = study.out / derivative_address(row["scan"], Derivative.SIDECAR)
        sidecar.write_text(json.dumps({"repeats": repeats}))
    study.end()
    return [f"bids/{paths[0]}" for paths in study.scans["rivals"]]


def test_a_choice_is_kept_as_long_as_it_would_be_made_again(study: Study, tmp_path: Path) -> None:
    rivals = choose_of_two(study)
    assert study.unchanged(study.now()) == list(SCANS)
    (tmp_path / rivals[1]).write_text("another head")
    assert study.unchanged(study.now()) == [SCANS[0], SCANS[2]], "another repeat was replaced"
    study.scans.at[0, "rivals"] = []
    assert study.unchanged(study.now()) == [SCANS[2]], "there is nothing to choose from now"


def test_a_choice_among_others_is_made_again(study: Study) -> None:
    choose_of_two(study)
    pairs = zip(study.scans["path"], study.scans["rivals"], strict=True)
    swapped = [(rivals[0], [path]) for path, rivals in pairs]
    study.scans["path"], study.scans["rivals"] = map(list, zip(*swapped, strict=True))
    assert study.unchanged(study.now()) == [], "in another order"


def test_other_limits_may_choose_otherwise(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    choose_of_two(study)
    monkeypatch.setitem(LIMITS, "min_correlation", 0.5)
    assert study.unchanged(study.now()) == list(SCANS), "the same one is the best"
    monkeypatch.setitem(LIMITS, "max_cut_area_cm2", 1.0)
    assert study.unchanged(study.now()) == [], "the kept one is beyond a limit now"


def test_a_scan_without_rivals_is_no_choice_of_before(study: Study) -> None:
    choose_of_two(study, best=0)
    del study.scans["rivals"]
    assert study.unchanged(study.now()) == []


def test_what_is_kept_stays_when_a_batch_is_cleared(study: Study) -> None:
    (study.out / "sub-02/anat/of-a-former-version.nii.gz").write_text("old")
    for batch in "01":
        clear_batch(study.out, batch, kept=["sub-01_ses-M012", "sub-02"])
    left = {path for path in study.out.rglob("*") if path.is_file()}
    assert left == {
        study.out / derivative_address(scan, kind) for scan in SCANS[1:] for kind in KINDS
    }
    assert not (study.out / "sub-01/ses-M000").exists()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("batch-01", "batch-01", True),
        ("batch-011", "batch-01", True),
        ("batch-0", "batch-01", True),
        ("batch-00", "batch-01", False),
        ("batch-1", "batch-01", False),
    ],
)
def test_batches_that_share_participants(one: str, other: str, expected: bool) -> None:
    assert share_participants(one, other) is share_participants(other, one) is expected
