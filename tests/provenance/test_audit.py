"""The audit reports every change, and nothing in an unchanged study.

Every test uses a copy of the micro study, which real jobs computed.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from audited_study import seal_again

from ldae.provenance.audit import Level, Verdict, audit_study
from ldae.provenance.history import load_history
from ldae.provenance.places import Places
from ldae.provenance.record import TIMESTAMP_FILE
from ldae.provenance.seal import SEALS, read_seals, seal_records

pytestmark = pytest.mark.workflow

RAW = "cohort/bids/sub-0001/ses-M000/anat/sub-0001_ses-M000_T1w.nii.gz"
LOCK = "envs/local.lock"


class Copy:
    """Copy of the study, to be changed and audited."""

    def __init__(self, original: Path, folder: Path) -> None:
        self.repository = original
        self.folder = folder
        shutil.copytree(original / "results", folder / "results")
        shutil.copytree(original / ".snakemake", folder / ".snakemake")
        self.results = folder / "results/micro"

    def path(self, name: str) -> Path:
        return self.results / name

    def audit(self, **options) -> Verdict:
        given = {"repository": self.repository, "working": self.folder, "full": True} | options
        return audit_study(self.results, **given)

    def change_records(self, change, rule: str | None = None, seal: bool = True) -> None:
        """Change records as jobs would have written them, under new seals."""
        for path in sorted(self.path("records").rglob("*.json")):
            record = json.loads(path.read_text())
            if rule in (None, record["rule"]):
                change(record)
                path.write_text(json.dumps(record))
        if seal:
            seal_again(self.results, Places(self.results))


@pytest.fixture
def copy(untouched_study, tmp_path, monkeypatch) -> Copy:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Copy(untouched_study, tmp_path / "copy")


def reported(verdict: Verdict) -> list[str]:
    """Files with errors or warnings."""
    return [f.file for f in verdict.findings if f.level is not Level.UNCHECKED]


def errors(verdict: Verdict) -> dict[str, str]:
    """For each file with an error, what was found."""
    return {f.file: f.found for f in verdict.findings if f.level is Level.ERROR}


def flip(path: Path, position: int = -9) -> None:
    """Change one bit of a file without changing its modification time."""
    state = path.stat()
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


# --- nothing changed ----------------------------------------------------------------------------


def test_an_untouched_study_passes(untouched_study):
    verdict = audit_study(
        untouched_study / "results/micro", repository=untouched_study, working=untouched_study
    )
    assert verdict.passed and reported(verdict) == [], verdict.as_text()
    looked_at = {check.name: check.looked_at for check in verdict.checks}
    targets = load_history(untouched_study / "results/micro").targets
    assert len(targets) > 50 and looked_at["chain"].startswith(f"{len(targets)} figures and tables")
    assert "16 participants, " in looked_at["participants"] and "1 commits" in looked_at["code"]
    assert int(looked_at["Snakemake's metadata"].split()[0]) > 50


def test_a_study_copied_without_its_times_passes(copy, tmp_path):
    shutil.copytree(copy.folder, tmp_path / "again", copy_function=shutil.copyfile)
    verdict = audit_study(
        tmp_path / "again/results/micro", repository=copy.repository, working=tmp_path / "again"
    )
    assert verdict.passed and reported(verdict) == [], verdict.as_text()


def test_results_moved_elsewhere_pass(copy, tmp_path):
    moved = tmp_path / "elsewhere"
    copy.results.rename(moved)
    verdict = audit_study(moved, repository=copy.repository, working=tmp_path)
    assert verdict.passed and reported(verdict) == [], verdict.as_text()
    unchecked = [f.file for f in verdict.findings if f.level is Level.UNCHECKED]
    assert ".snakemake/metadata" in unchecked


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_clone_of_another_user_is_accepted(copy, tmp_path):
    clone = tmp_path / "clone"
    shutil.copytree(copy.repository, clone, symlinks=True, ignore=shutil.ignore_patterns("results"))
    for path in (clone, *clone.rglob("*")):
        os.lchown(path, 12345, 12345)
    refused = subprocess.run(["git", "-C", clone, "status"], capture_output=True, check=False)
    assert refused.returncode, "git alone must refuse; otherwise this test proves nothing"
    verdict = copy.audit(repository=clone)
    assert verdict.passed and reported(verdict) == [], verdict.as_text()


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "affected"),
    [
        (RAW, "figures/cohort.png"),
        ("latents/mu.npy", "figures/reconstruction.png"),
        ("ldae/seed-0/model.safetensors", "figures/dose_response.png"),
        ("tables/throughput.tsv", "figures/throughput.png"),
        ("figures/throughput.png", "figures/throughput.png"),
    ],
)
def test_a_flipped_bit_is_found(copy, name, affected):
    flip(copy.path(name))
    verdict = copy.audit()
    assert not verdict.passed and set(errors(verdict)) == {f"<results>/{name}"}
    (finding,) = [f for f in verdict.findings if f.level is Level.ERROR]
    assert finding.expected.startswith("sha256 ") and finding.found.startswith("sha256 ")
    assert {f"<results>/{affected}", "<results>/report.html"} <= set(finding.affected)


def test_the_cache_hides_no_change(copy):
    settle = datetime.now(UTC).timestamp() - 60
    copy.audit(full=False)
    for path in copy.results.rglob("*"):
        os.utime(path, (settle, settle))
    assert copy.audit(full=False).passed
    flip(copy.path("latents/mu.npy"))
    assert set(errors(copy.audit(full=False))) == {"<results>/latents/mu.npy"}


def test_an_edited_table_cell_is_found(copy):
    table = copy.path("tables/probes.tsv")
    lines = table.read_text().splitlines(keepends=True)
    cells = lines[1].split("\t")
    value = lines[0].split("\t").index("value")
    cells[value] = "9" + cells[value][1:]
    table.write_text("".join([lines[0], "\t".join(cells), *lines[2:]]))
    verdict = copy.audit()
    assert set(errors(verdict)) == {"<results>/tables/probes.tsv"}
    assert "Snakemake" in errors(verdict)["<results>/tables/probes.tsv"]


def test_a_missing_file_is_found(copy):
    copy.path("latents/sigma.npy").unlink()
    assert errors(copy.audit())["<results>/latents/sigma.npy"].startswith("no such file")


def test_swapped_files_of_equal_size_are_found(copy):
    mu, sigma = copy.path("latents/mu.npy"), copy.path("latents/sigma.npy")
    assert mu.stat().st_size == sigma.stat().st_size
    mu.rename(copy.path("latents/x"))
    sigma.rename(mu)
    copy.path("latents/x").rename(sigma)
    found = errors(copy.audit())
    assert "the bytes of <results>/latents/sigma.npy" in found["<results>/latents/mu.npy"]
    assert "the bytes of <results>/latents/mu.npy" in found["<results>/latents/sigma.npy"]


def test_a_figure_without_a_record_is_found(copy):
    shutil.copy(copy.path("figures/roc.png"), copy.path("figures/better.png"))
    assert errors(copy.audit()) == {"<results>/figures/better.png": "none"}


def test_output_newer_than_its_record_is_found(copy):
    table = copy.path("tables/probes.tsv")
    late = table.stat().st_mtime + 3600
    os.utime(table, (late, late))
    verdict = copy.audit()
    assert reported(verdict) == ["<results>/tables/probes.tsv"]
    assert "newer than its record" in verdict.findings[0].found
    table.write_bytes(table.read_bytes() + b"\n")
    os.utime(table, (late, late))
    assert "after its record" in errors(copy.audit())["<results>/tables/probes.tsv"]


def test_results_of_outdated_inputs_are_found(copy):
    """The PCA was computed again with another result, but the probe was not."""
    codes = copy.path("codes/voxel_pca/shared.npy")
    (path,) = [
        p for p in copy.path("records/fit_voxel_pca").glob("*.json") if "started" not in p.name
    ]
    flip(codes)
    record = json.loads(path.read_text())
    now = datetime.now(UTC)
    record |= {"start": now.isoformat(), "end": (now + timedelta(seconds=1)).isoformat()}
    record["output"][0]["sha256"] = hashlib.sha256(codes.read_bytes()).hexdigest()
    (path.parent / f"{now:%Y%m%dT%H%M%SZ}-0badcafe.json").write_text(json.dumps(record))
    seal_records(copy.results)
    found = errors(copy.audit())
    assert "out of date" in found["<results>/codes/voxel_pca/shared.npy"]


# --- records and seals --------------------------------------------------------------------------


def ended(copy: Copy, rule: str) -> Path:
    """Record of the end of a rule's one job."""
    found = copy.path(f"records/{rule}").rglob("*.json")
    (path,) = [p for p in found if "started" not in p.name]
    return path


def test_an_edited_record_is_found(copy):
    path = ended(copy, "train_network/ldae")
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    name = path.relative_to(copy.results).as_posix()
    found = errors(copy.audit())
    assert set(found) == {name} and found[name].startswith("sha256")


@pytest.mark.parametrize("part", ["started", "ended", "both"])
def test_a_deleted_record_is_found(copy, part):
    path = ended(copy, "split_subjects")
    started = path.with_name(path.stem + ".started.json")
    gone = {"started": [started], "ended": [path], "both": [path, started]}[part]
    for one in gone:
        one.unlink()
    found = errors(copy.audit())
    assert {one.relative_to(copy.results).as_posix() for one in gone} <= set(found)
    if part != "started":
        assert found["<results>/split/split.tsv"] == "none"


def test_an_unreadable_record_is_found(copy):
    path = ended(copy, "split_subjects")
    path.write_text(path.read_text()[:-40])
    assert any("JSONDecodeError" in finding.found for finding in copy.audit().findings)


def test_added_record_is_found(copy):
    path = ended(copy, "fit_voxel_pca")
    record = json.loads(path.read_text())
    earlier = datetime.fromisoformat(record["start"]) - timedelta(hours=1)
    record |= {"start": earlier.isoformat(), "end": earlier.isoformat()}
    forged = path.with_name("20200101T000000Z-0badcafe.json")
    forged.write_text(json.dumps(record))
    assert set(errors(copy.audit())) == {forged.relative_to(copy.results).as_posix()}


def test_a_changed_seal_is_found(copy):
    first = sorted((copy.results / SEALS).glob("*.json"))[0]
    first.write_text(first.read_text().replace("{", "{ ", 1))
    assert len(read_seals(copy.results)) > 1
    assert "a seal was changed" in str(errors(copy.audit()).values())


def test_a_removed_seal_is_found(copy):
    sorted((copy.results / SEALS).glob("*.json"))[0].unlink()
    assert not copy.audit().passed


def test_replaced_seals_are_found_by_the_noted_digest(copy):
    noted = read_seals(copy.results)[-1].digest
    assert copy.audit(seal=noted).passed
    copy.change_records(lambda record: record.update(seed=record["seed"] + 1))
    assert copy.audit().passed, "inside the folder the change cannot be detected"
    assert "seals were replaced" in errors(copy.audit(seal=noted))["provenance/seals"]


def test_killed_run_is_only_a_warning(copy):
    """Its records have no seal until the next run or `ldae seal` makes one."""
    path = ended(copy, "fit_voxel_pca")
    started = path.with_name(path.stem + ".started.json")
    record = json.loads(started.read_text())
    now = datetime.now(UTC)
    record["start"] = now.isoformat()
    path.with_name(f"{now:%Y%m%dT%H%M%SZ}-0badcafe.started.json").write_text(json.dumps(record))
    verdict = copy.audit()
    assert verdict.passed and "records" in reported(verdict)
    assert any("never ended" in finding.found for finding in verdict.findings)
    seal_records(copy.results)
    assert "records" not in reported(copy.audit())


def test_job_without_a_record_is_found_in_the_metadata(copy):
    """It wrote the same bytes; different bytes would be found in the files."""
    for entry in (copy.folder / ".snakemake/metadata").rglob("*"):
        content = json.loads(entry.read_text()) if entry.is_file() else {}
        if content.get("rule") == "fit_voxel_pca":
            content["endtime"] += 900
            entry.write_text(json.dumps(content))
    verdict = copy.audit()
    assert reported(verdict) == ["<results>/codes/voxel_pca/shared.npy"]
    assert "a job without a record" in verdict.findings[0].found


# --- code, environment, participants ------------------------------------------------------------


def test_uncommitted_code_is_found(copy):
    copy.change_records(lambda record: record.update(dirty=True), "train_network")
    ((where, found),) = errors(copy.audit()).items()
    assert where.startswith("train_network/") and found == "uncommitted changes"


def test_unknown_commit_is_found(copy):
    copy.change_records(lambda record: record.update(commit="0" * 40))
    assert "no such commit in the repository" in errors(copy.audit()).values()


def test_missing_commit_and_missing_clone_are_distinguished(copy, tmp_path):
    verdict = copy.audit(repository=tmp_path)
    assert verdict.passed and any("no clone" in f.found for f in verdict.findings)
    copy.change_records(lambda record: record.update(commit=None))
    verdict = copy.audit()
    assert verdict.passed and any("outside a clone" in f.found for f in verdict.findings)


def test_shallow_clone_is_reported(copy, tmp_path):
    clone = tmp_path / "shallow"
    shutil.copytree(copy.repository / ".git", clone / ".git")
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    for arguments in (("commit", "-q", "--allow-empty", "-m", "Later"),):
        subprocess.run(["git", *identity, *arguments], cwd=clone, check=True)
    url = f"file://{clone}"
    subprocess.run(["git", "clone", "-q", "--depth", "1", url, tmp_path / "s"], check=True)
    verdict = copy.audit(repository=tmp_path / "s")
    assert verdict.passed and any("shallow" in finding.found for finding in verdict.findings)


def test_code_that_differs_from_the_commit_is_found(copy):
    def change(record: dict) -> None:
        record["params"]["code"] = "0123456789abcdef"
        if "code_end" in record:
            record["code_end"] = "0123456789abcdef"

    copy.change_records(change, "train_network")
    assert "code 0123456789abcdef" in errors(copy.audit()).values()


@pytest.fixture
def later(copy, tmp_path):
    """Clone in which a text was replaced and committed after the study, and that commit."""
    clone = tmp_path / "later"
    shutil.copytree(copy.repository, clone, symlinks=True, ignore=shutil.ignore_patterns("results"))

    def commit(name: str, old: str, new: str) -> tuple[Path, str]:
        text = (clone / name).read_text()
        assert old in text
        (clone / name).write_text(text.replace(old, new, 1))
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
        git = ["git", "-C", clone]
        subprocess.run([*git, *identity, "commit", "-qam", "Later"], check=True)
        found = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, check=True)
        return clone, found.stdout.decode().strip()

    return commit


def test_code_that_changed_since_is_no_finding(copy, later):
    clone, _ = later("ldae/diffusion/multistep.py", "CONCENTRATION = 1.75", "CONCENTRATION = 1.5")
    verdict = copy.audit(repository=clone)
    assert verdict.passed and reported(verdict) == [], verdict.as_text()


def test_other_words_than_the_commit_has_are_a_warning(copy, later):
    clone, commit = later("ldae/networks/autoencoder.py", '"""', '"""In other words: ')
    copy.change_records(lambda record: record.update(commit=commit), "train_autoencoder")
    verdict = copy.audit(repository=clone)
    assert verdict.passed
    (warning,) = [f for f in verdict.findings if f.level is Level.WARNING]
    assert warning.file.startswith("train_autoencoder") and "no number can differ" in warning.found


def test_another_expression_than_the_commit_has_is_an_error(copy, later):
    clone, commit = later("ldae/networks/autoencoder.py", "stride=edge", "stride=edge + 0")
    copy.change_records(lambda record: record.update(commit=commit), "train_autoencoder")
    (file,) = errors(copy.audit(repository=clone))
    assert file.startswith("train_autoencoder")


def test_functions_that_the_digest_does_not_cover_are_an_error(copy):
    used = ["ldae.simulation.rates:SEVERITY"]
    copy.change_records(lambda record: record.update(references=used), "train_autoencoder")
    (found,) = errors(copy.audit()).values()
    assert found.startswith("code ")


def test_functions_from_elsewhere_are_not_checked(copy):
    used = ["nowhere/mine.py:train"]
    copy.change_records(lambda record: record.update(references=used), "train_autoencoder")
    verdict = copy.audit()
    assert verdict.passed and reported(verdict) == []
    assert any("does not give its digest" in finding.found for finding in verdict.findings)


def with_lock(copy: Copy, sha256: str, software: dict[str, str] | None = None) -> None:
    def change(record: dict) -> None:
        record["locks"] = {LOCK: sha256}
        if "software" in record:  # known at the end of a job
            record["software"] |= software or {}

    copy.change_records(change)


@pytest.fixture
def clone(copy, tmp_path) -> Path:
    """Clone of the code that a test may change."""
    target = tmp_path / "clone"
    shutil.copytree(
        copy.repository,
        target,
        symlinks=True,
        ignore=shutil.ignore_patterns("results", ".snakemake"),
    )
    return target


def test_changed_lock_is_found(copy, clone):
    sha256 = hashlib.sha256((clone / LOCK).read_bytes()).hexdigest()
    with_lock(copy, sha256)
    verdict = copy.audit(repository=clone)
    assert verdict.passed, verdict.as_text()
    (clone / LOCK).write_text((clone / LOCK).read_text() + "\n# edited\n")
    verdict = copy.audit(repository=clone)
    assert not verdict.passed and "currently sha256" in str(errors(verdict).values())
    identity = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *identity, "commit", "-qam", "New lock"], cwd=clone, check=True)
    verdict = copy.audit(repository=clone)
    assert verdict.passed, "the recorded lock is still in the repository"
    with_lock(copy, "0" * 64)
    findings = copy.audit(repository=clone).findings
    assert any("another envs/local.lock" in finding.found for finding in findings)


def test_versions_that_are_not_locked_are_found(copy, clone):
    sha256 = hashlib.sha256((clone / LOCK).read_bytes()).hexdigest()
    with_lock(copy, sha256, {"numpy": "1.0.0"})
    assert errors(copy.audit(repository=clone)) and "numpy 1.0.0" in str(errors(copy.audit()))


def test_changed_container_is_found(copy, clone):
    digest = hashlib.sha256(b"image").hexdigest()
    name = f"torch-{digest[:12]}.sif"
    image = {"name": name, "sha256": digest}
    copy.change_records(lambda record: record.update(container=image))
    table = clone / "containers/digests.tsv"
    table.parent.mkdir(exist_ok=True)

    def list_image(sha256: str) -> None:
        header = "name\tsha256\tlock\tcommit\ttorch\trecipe"
        table.write_text(f"{header}\ntorch\t{sha256}\t{'1' * 64}\tc\tcpu\tr\n")

    list_image(digest)
    (clone / "containers" / name).write_bytes(b"image")
    verdict = copy.audit(repository=clone)
    assert verdict.passed and reported(verdict) == [], verdict.as_text()
    (clone / "containers" / name).write_bytes(b"another image")
    assert f"containers/{name}" in str(errors(copy.audit(repository=clone)).values())
    (clone / "containers" / name).unlink()
    list_image(digest[:12] + "b" * 52)
    assert "in containers/digests.tsv" in str(errors(copy.audit(repository=clone)).values())
    list_image("b" * 64)
    assert any("built since" in finding.found for finding in copy.audit(repository=clone).findings)


def subjects_of(copy: Copy, split: str) -> list[str]:
    lines = copy.path("split/split.tsv").read_text().splitlines()[1:]
    return [line.split("\t")[0] for line in lines if line.endswith(f"\t{split}")]


def test_every_fit_records_its_participants(copy):
    train = set(subjects_of(copy, "train"))
    fits = {}
    for job in load_history(copy.results).current:
        fits |= {(job.rule, name): set(who) for name, who in job.record["fitted_on"].items()}
    assert all(who and who <= train for who in fits.values()), fits
    rules = {rule for rule, _ in fits}
    assert rules >= {
        "train_autoencoder", "train_network", "measure_latent_scale", "fit_voxel_pca",
        "fit_probe", "manipulate_attribute",
    }  # fmt: skip


def test_test_participant_in_a_training_is_found(copy):
    (subject, *_) = subjects_of(copy, "test")

    def change(record: dict) -> None:
        for subjects in record.get("fitted_on", {}).values():
            subjects.append(subject)

    copy.change_records(change, "train_network")
    found = {f.found for f in copy.audit().findings if f.level is Level.ERROR}
    assert found and all(subject in text for text in found)


def rewrite(copy: Copy, name: str, text: str, rule: str) -> None:
    """Replace a file and change all records as if its rule had written the new text."""
    copy.path(name).write_text(text)
    content = text.encode()

    def change(record: dict) -> None:
        for file in [*record.get("input", []), *record.get("output", [])]:
            if file["path"] == f"<results>/{name}":
                file |= {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}

    copy.change_records(change)


def test_participant_in_two_splits_is_found(copy):
    text = copy.path("split/split.tsv").read_text()
    (subject, *_) = subjects_of(copy, "test")
    rewrite(copy, "split/split.tsv", f"{text}{subject}\ttrain\n", "split_subjects")
    found = errors(copy.audit(working=copy.path("split")))
    assert found["<results>/split/split.tsv"] == f"{subject} in test and train"


def test_test_participant_in_training_rows_is_found(copy):
    """The index has train where the split has test, and the fits used the index."""
    (subject, *_) = subjects_of(copy, "test")
    text = copy.path("volumes/index.tsv").read_text()
    lines = [
        line.removesuffix("test") + "train" if f"\t{subject}\t" in line else line
        for line in text.splitlines()
    ]
    rewrite(copy, "volumes/index.tsv", "\n".join(lines) + "\n", "pack_volumes")
    found = errors(copy.audit(working=copy.path("split")))
    assert found["<results>/volumes/index.tsv"] == f"{subject} in train"


def test_scan_of_two_participants_is_found(copy):
    (one, *_), (other, *_) = subjects_of(copy, "train"), subjects_of(copy, "test")
    lines = copy.path("manifest/scans.tsv").read_text().splitlines()
    digest = next(line.split("\t")[-1] for line in lines if f"\t{one}\t" in line)
    changed = [
        "\t".join([*line.split("\t")[:-1], digest]) if f"\t{other}\t" in line else line
        for line in lines
    ]
    rewrite(copy, "manifest/scans.tsv", "\n".join(changed) + "\n", "read_bids")
    assert "in different splits" in str(errors(copy.audit(working=copy.path("split"))).values())


# --- command line -------------------------------------------------------------------------------


def test_the_command_answers_with_its_exit_status(copy):
    def audit(results: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ldae", "audit", "--json", str(copy.folder / "found.json")]
        return subprocess.run(
            [*command, "--results", str(results)],
            cwd=copy.repository,
            capture_output=True,
            text=True,
            check=False,
        )

    done = audit(copy.results)
    assert done.returncode == 0 and "PASSED: 0 errors" in done.stdout, done.stdout + done.stderr
    flip(copy.path("tables/probes.tsv"))
    done = audit(copy.results)
    assert done.returncode == 1
    assert "ERROR  files: <results>/tables/probes.tsv" in done.stdout and "affects" in done.stdout
    checks = json.loads((copy.folder / "found.json").read_text())["checks"]
    findings = [finding for check in checks for finding in check["findings"]]
    assert any(f["level"] == "error" and f["affected"] for f in findings)


def test_records_do_not_name_this_machine(untouched_study):
    places = {str(untouched_study), str(Path.home()) + "/", os.uname().nodename, "/tmp/"}  # noqa: S108
    for path in (untouched_study / "results/micro/records").rglob("*.json"):
        text = path.read_text()
        assert not any(place in text for place in places), path
    assert not list((untouched_study / "results/micro/records").rglob(TIMESTAMP_FILE))
