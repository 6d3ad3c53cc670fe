"""The research object contains the whole history, and nothing that is restricted."""

import hashlib
import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from conftest import ROOT
from tiny_study import SUBJECTS

from ldae.__main__ import main
from ldae.errors import InputError
from ldae.provenance.crate import METADATA, write_crate
from ldae.provenance.history import Status, load_history

CHECKER = ROOT / ".crate-check/bin/python"


@pytest.fixture(scope="module")
def public_crate(public_study, tmp_path_factory):
    crate = tmp_path_factory.mktemp("crate") / "public"
    assert main(["crate", "--results", str(public_study.results), "--output", str(crate),
                 "--agent", "Ada", "--orcid", "0000-0002-1825-0097"]) == 0  # fmt: skip
    return crate


@pytest.fixture(scope="module")
def restricted_crate(restricted_study, tmp_path_factory):
    crate = tmp_path_factory.mktemp("crate") / "restricted"
    write_crate(restricted_study.results, crate)
    return crate


def graph(crate: Path) -> dict[str, dict]:
    entities = json.loads((crate / METADATA).read_text())["@graph"]
    return {entity["@id"]: entity for entity in entities}


def of_type(crate: Path, kind: str) -> list[dict]:
    return [e for e in graph(crate).values() if kind in as_list(e["@type"])]


def as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def ids(value) -> set[str]:
    return {reference["@id"] for reference in as_list(value or [])}


def files_of(crate: Path) -> dict[str, bytes]:
    found = {p.relative_to(crate).as_posix(): p for p in crate.rglob("*") if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items()}


def check(crate: Path) -> subprocess.CompletedProcess[str]:
    if not CHECKER.is_file():
        pytest.skip("roc-validator is not installed; `make test` does it")
    command = [CHECKER, ROOT / "envs/check_crate.py", crate]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_attempt_is_an_action(public_study, public_crate):
    jobs = load_history(public_study.results).jobs
    entities = graph(public_crate)
    for job in jobs:
        action = entities[f"#job/{job.id}"]
        done = job.status is Status.COMPLETED
        expected = "CompletedActionStatus" if done else "FailedActionStatus"
        assert action["actionStatus"] == f"http://schema.org/{expected}"
        assert ("error" in action) is not done
        assert ("endTime" in action) is (job.end is not None)
        assert len(ids(action.get("result"))) == len(group_ends(job.outputs))
        assert entities[action["containerImage"]["@id"]]["sha256"] == "ab" * 32
    assert Counter(job.status for job in jobs)[Status.FAILED] == 1
    assert Counter(job.status for job in jobs)[Status.UNENDED] == 1
    assert len(of_type(public_crate, "CreateAction")) == len(jobs) + 1


def group_ends(files) -> set[str]:
    """Single files, and one entry for the scans below one folder."""
    return {f.path.partition("/sub-")[0] if "/sub-" in f.path else f.path for f in files}


def test_steps_tools_and_connections_are_consistent(public_study, public_crate):
    entities = graph(public_crate)
    jobs = load_history(public_study.results).jobs
    rules = {job.rule for job in jobs}
    scripts = {Path(job.script).stem for job in jobs}
    workflow = entities["Snakefile"]
    steps = {entities[i]["name"]: entities[i] for i in ids(workflow["step"])}
    assert set(steps) == rules
    tools = {entities[step["workExample"]["@id"]]["name"] for step in steps.values()}
    assert tools == scripts == {entities[i]["name"] for i in ids(workflow["hasPart"])}
    controls = of_type(public_crate, "ControlAction")
    controlled = [i for control in controls for i in ids(control["object"])]
    n_actions = len(of_type(public_crate, "CreateAction"))
    assert len(controlled) == len(set(controlled)) == n_actions - 1
    engine = of_type(public_crate, "OrganizeAction")[0]
    assert ids(engine["object"]) == {control["@id"] for control in controls}
    assert ids(engine["result"]) == {"#run"}
    links = {
        (entities[i]["sourceParameter"]["@id"], entities[i]["targetParameter"]["@id"])
        for i in ids(steps["tabulate"]["connection"])
    }
    assert links == {
        ("#parameter/fit_probe/output/results/probes/%24method/%24run.json",
         "#parameter/tabulate/input/results/probes/%24method/%24run.json")
    }  # fmt: skip
    for entity in entities.values():
        for key, value in entity.items():
            for part in as_list(value):
                if isinstance(part, dict) and not part["@id"].startswith("http"):
                    assert part["@id"] in entities, (entity["@id"], key, part)


def test_files_are_those_of_the_records(public_study, public_crate):
    held = files_of(public_crate)
    for file in of_type(public_crate, "File"):
        path = unquote(file["@id"])
        if path.startswith("ni:"):
            assert len(file["sha256"]) == 64
        else:
            assert path in held
            assert file.get("contentSize", str(len(held[path]))) == str(len(held[path]))
            if "sha256" in file:
                assert file["sha256"] == hashlib.sha256(held[path]).hexdigest()
    for name in ("figures/age.png", "figures/cohort.png", "report.html", "tables/probes.tsv"):
        assert held[f"results/{name}"] == (public_study.results / name).read_bytes()
    assert not [name for name in held if name.endswith((".nii.gz", ".npy", ".safetensors"))]
    person = graph(public_crate)["https://orcid.org/0000-0002-1825-0097"]
    assert person["name"] == "Ada"


def test_restricted_crate_shows_no_participant(restricted_study, restricted_crate):
    held = files_of(restricted_crate)
    for name, content in held.items():
        for secret in [*SUBJECTS, str(restricted_study.results.parent)]:
            assert secret not in name and secret.encode() not in content, (name, secret)
    kept = {name for name in held if name.startswith("results/")}
    assert kept == {
        "results/config.yaml", "results/tables/probes.tsv", "results/figures/age.png",
        "results/figures/age.tsv", "results/probes/ldae/seed-7.json",
        "results/probes/voxel_pca/shared.json",
    }  # fmt: skip
    entities = graph(restricted_crate).values()
    cohort = next(e for e in entities if e.get("name") == "results/figures/cohort.png")
    content = (restricted_study.results / "figures/cohort.png").read_bytes()
    assert cohort["sha256"] == hashlib.sha256(content).hexdigest(), "by checksum only"
    rows = held["scans.tsv"].decode().splitlines()[1:]
    digests = {hashlib.sha256(p.read_bytes()).hexdigest() for p in restricted_study.scans}
    assert len(rows) == 3 and {row.split("\t")[2] for row in rows} == digests
    assert all(row.startswith("sub-p") for row in rows)


def test_subject_labels_in_a_restricted_crate_are_an_error(restricted_study, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(restricted_study.results, results)
    folder = results / "records/read_bids"
    record = next(p for p in folder.glob("*.json") if "started" not in p.name)
    text = record.read_text()
    label = json.loads(text)["input"][-1]["path"].split("/")[1]
    record.write_text(text.replace(label, "sub-Anna"))
    with pytest.raises(InputError, match="subject labels of a restricted cohort"):
        write_crate(results, tmp_path / "crate")
    assert not (tmp_path / "crate").exists()


def test_file_that_differs_from_its_record_is_an_error(public_study, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(public_study.results, results)
    table = results / "tables/probes.tsv"
    table.write_text(table.read_text().replace("5.2", "4.2"))
    with pytest.raises(InputError, match=r"probes.tsv: the file differs from its record"):
        write_crate(results, tmp_path / "crate")
    table.unlink()
    with pytest.raises(InputError, match=r"probes.tsv: the file is missing"):
        write_crate(results, tmp_path / "crate")


def test_only_a_crate_is_replaced(public_study, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="not empty and not a crate"):
        write_crate(public_study.results, tmp_path)
    assert (tmp_path / "thesis.txt").is_file()
    crate = tmp_path / "crate"
    write_crate(public_study.results, crate)
    first = files_of(crate)
    (crate / "old.txt").write_text("left over")
    write_crate(public_study.results, crate)
    assert files_of(crate) == first


def test_crate_conforms_to_the_profile(public_crate):
    done = check(public_crate)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "required: 0 issues" in done.stdout
    n_actions = len(of_type(public_crate, "CreateAction"))
    assert f"runcrate reads {n_actions} actions" in done.stdout


def test_a_broken_crate_is_not_valid(public_crate, tmp_path):
    crate = tmp_path / "crate"
    shutil.copytree(public_crate, crate)
    metadata = json.loads((crate / METADATA).read_text())
    for entity in metadata["@graph"]:
        if entity["@id"] == "#run":
            del entity["instrument"]
    (crate / METADATA).write_text(json.dumps(metadata))
    done = check(crate)
    assert done.returncode == 1 and "REQUIRED" in done.stdout


def test_every_accepted_recommendation_has_a_reason():
    accepted = yaml.safe_load((ROOT / "resources/ro-crate/accepted.yaml").read_text())
    assert all(len(entry["reason"].split()) > 5 for entry in accepted)
    assert len({entry["message"] for entry in accepted}) == len(accepted) <= 6
