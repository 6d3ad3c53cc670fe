"""The whole study in miniature, through Snakemake."""

import hashlib
import json
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import MICRO, ROOT, micro_settings, run_snakemake

import ldae
from ldae.conclusions.registry import TABLES
from ldae.data.addresses import Derivative, derivative_address
from ldae.data.manifest import read_scans
from ldae.data.partition import read_batches
from ldae.evaluation.selection import read_selection
from ldae.figures.registry import FIGURES
from ldae.provenance.seal import read_seals, unsealed_records
from ldae.statistics.tables import table_columns
from ldae.workflow.config import complete_config

pytestmark = pytest.mark.workflow

STUDY = MICRO
SETTINGS = complete_config(yaml.safe_load(micro_settings()))
# Rules that `rule all` does not ask for.
ON_REQUEST = {"audit", "doctor", "make_crate"}


@pytest.fixture(scope="module")
def study(micro_study):
    """Workflow folder in which the study in miniature has run."""
    return micro_study


def results(study: Path) -> Path:
    return study / "results/micro"


def rerun_rules(study: Path) -> set[str]:
    """Rules that would run now."""
    done = run_snakemake(study, "-n", *STUDY)
    assert done.returncode == 0, done.stderr
    table = done.stdout.partition("Job stats:")[2].partition("total")[0]
    return set(re.findall(r"^(\w+) +\d+$", table, re.M)) - {"all"}


def records(study: Path) -> list[dict]:
    """Records of jobs that ended."""
    found = sorted((results(study) / "records").rglob("*.json"))
    return [json.loads(p.read_text()) for p in found if not p.name.endswith(".started.json")]


def test_report_and_tables_are_there(study):
    page = (results(study) / "report.html").read_text()
    assert "This is a simulated cohort" in page and "not judged: no model" not in page
    assert {f.suffix for f in (results(study) / "methods").iterdir()} == {".md", ".bib", ".json"}
    assert "A study in miniature" in page and "http://" not in page.replace("http://www.w3", "")
    for name in [table.name for table in TABLES if table.asked(SETTINGS)]:
        table = pd.read_csv(results(study) / f"tables/{name}.tsv", sep="\t")
        assert list(table.columns) == table_columns(name)
        assert len(table) and (table["cohort"] == "micro").all()


def test_every_figure_lies_beside_its_numbers(study):
    pictures = sorted((results(study) / "figures").glob("*.png"))
    assert len(pictures) == sum(figure.asked(SETTINGS) for figure in FIGURES)
    for picture in pictures:
        assert all(picture.with_suffix(f".{kind}").is_file() for kind in ("svg", "pdf", "tsv"))


def test_progress_is_shown(study):
    lines = re.findall(r"^\[(\d+)/(\d+) jobs, .* left\]", (study / "stderr.txt").read_text(), re.M)
    assert len(lines) > 50
    assert lines[-1][0] == lines[-1][1]


def test_a_second_run_has_nothing_to_do(study):
    done = run_snakemake(study, *STUDY)
    assert done.returncode == 0
    assert "Nothing to be done" in done.stderr


def test_the_ledger_has_one_line_for_the_run(study):
    ledger = pd.read_csv(results(study) / "test_ledger.tsv", sep="\t")
    scored = {who for record in records(study) for who in record["scored"]}
    index = pd.read_csv(results(study) / "volumes/index.tsv", sep="\t")
    assert scored == set(index["subject"][index["split"] == "test"])
    assert ledger["n_subjects"].tolist() == [len(scored)]
    assert ledger["times_before"].tolist() == [0]
    assert "scored once in this folder" in (results(study) / "report.html").read_text()


def test_locking_the_test_participants_repeats_no_training(study):
    done = run_snakemake(study, "-n", "--config", "final=false", *STUDY)
    assert done.returncode == 0, done.stderr
    again = {*re.findall(r"^(\w+) +\d+$", done.stdout.partition("Job stats:")[2], re.M)}
    assert {"fit_probe", "evaluate_reconstruction", "build_report"} <= again
    assert not {rule for rule in again if rule.startswith(("train_", "encode_", "preprocess"))}


def test_every_job_left_a_valid_record(study):
    schema = yaml.safe_load((ROOT / "schemas/record.schema.yaml").read_text())
    made = records(study)
    for record in made:
        jsonschema.validate(record, schema)
        assert record["status"] == "CompletedActionStatus"
        assert str(study) not in json.dumps(record)
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    assert {Path(record["script"]).stem for record in made} == scripts - ON_REQUEST


def test_preprocessed_scans_are_a_data_set_of_their_own(study):
    folder = results(study) / "preprocessed"
    scans = read_scans(results(study) / "manifest/scans.tsv")["scan"]
    kinds = set(Derivative) - {Derivative.WARP}  # the registration is affine
    expected = {derivative_address(scan, kind) for scan in scans for kind in kinds}
    there = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
    assert expected <= there
    assert there - expected == {Path("dataset_description.json"), Path(".bidsignore")}
    description = json.loads((folder / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative" and "micro" in description["Name"]
    batches = sorted((results(study) / "manifest/batches").glob("*.tsv"))
    assert set(read_batches(batches)["scan"]) == set(scans)


def test_records_connect_outputs_with_inputs(study):
    made = records(study)
    written = {file["path"]: file["sha256"] for record in made for file in record["output"]}
    for record in made:
        for file in record["input"]:
            assert written[file["path"]] == file["sha256"], (record["rule"], file["path"])


def test_a_run_ends_with_the_digest_of_its_records(study):
    text = (study / "stderr.txt").read_text()
    number, digest = re.findall(r"Records sealed: seal (\d+), sha256 (\w+)", text)[-1]
    seal = results(study) / f"provenance/seals/{int(number):06d}.json"
    assert hashlib.sha256(seal.read_bytes()).hexdigest() == digest
    assert not unsealed_records(results(study), read_seals(results(study)))


def test_a_loaded_model_gives_the_codes_of_the_study(study):
    index = pd.read_csv(results(study) / "volumes/index.tsv", sep="\t", dtype=str)
    row, scan = int(index.index[-1]), index["scan"].iloc[-1]
    (raw,) = (results(study) / "cohort/bids").rglob(f"{scan}_T1w.nii.gz")
    for method in (
        "ldae",
        "ldae_anatomical",
        "ldae_joint",
        "voxel_dae",
        "supervised",
        "ldae_small_code",
    ):
        model = ldae.load(results(study), method)
        codes = np.load(results(study) / f"codes/{method}/seed-0.npy")
        preprocessed = model.preprocess(raw)
        np.testing.assert_allclose(model.encode(preprocessed), codes[row], atol=1e-5)
    volumes = np.load(results(study) / "volumes/volumes.npy", mmap_mode="r")
    np.testing.assert_array_equal(np.float16(preprocessed.get_fdata()), volumes[row])


def test_the_recommended_model_fills_in_a_visit(study):
    model = ldae.load(results(study))
    index = pd.read_csv(results(study) / "volumes/index.tsv", sep="\t", dtype=str)
    (visits, *_) = (rows for _, rows in index.groupby("subject") if len(rows) > 2)
    first, last = (model.open(raw) for raw in raw_scans(study, visits["scan"].iloc[[0, -1]]))
    there = model.interpolate(first, last, months=(0, 12, 3))
    back = model.interpolate(last, first, months=(12, 0, 3))
    np.testing.assert_allclose(there.template.get_fdata(), back.template.get_fdata(), atol=1e-5)
    assert not there.warnings and there.details["gap_months"] == 12
    assert "12 are assumed" in model.interpolate(first, last, at=0.25).warnings[0]


def raw_scans(study, scans):
    """Files of scans."""
    folder = results(study) / "cohort/bids"
    return [next(folder.rglob(f"{scan}_T1w.nii.gz")) for scan in scans]


def test_an_audit_on_request_answers_with_its_status(study):
    page = results(study) / "report.html"
    kept = page.read_bytes()
    done = run_snakemake(study, *STUDY, "audit")
    assert done.returncode == 0 and "PASSED: 0 errors, 0 warnings" in done.stderr, done.stderr
    page.write_bytes(kept.replace(b"0", b"1", 1))
    done = run_snakemake(study, *STUDY, "audit")
    page.write_bytes(kept)
    # the page differs from its record, and from what its seal covers
    assert done.returncode != 0 and "FAILED: 2 errors" in done.stderr
    verdict = json.loads((results(study) / "provenance/audit.json").read_text())
    assert not verdict["passed"]


def test_what_is_written_is_for_the_group_too(untouched_study):
    """The micro study runs with an umask of 002: no file has a mode of its own."""
    modes = {
        path: stat.S_IMODE(path.stat().st_mode) for path in results(untouched_study).rglob("*")
    }
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o664 != 0o664} == {}


def test_settings_as_used_are_an_output(study):
    config = yaml.safe_load((results(study) / "config.yaml").read_text())
    assert config["study"] == "micro" and config["diffusion"]["n_timesteps"] == 1000


@contextmanager
def changed(study: Path, *edits: tuple[str, str, str]) -> Iterator[None]:
    """Replace a text in files of the study's workflow for a while."""
    originals = {study / name: (study / name).read_text() for name, _, _ in edits}
    try:
        for name, old, new in edits:
            text = originals[study / name]
            assert old in text, (name, old)
            (study / name).write_text(text.replace(old, new, 1))
        yield
    finally:
        for path, text in originals.items():
            path.write_text(text)


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (("ldae/figures/training.py", "SMOOTHING_SHARE = 0.02", "SMOOTHING_SHARE = 0.03"),
         {"plot_figure", "build_report"}),
        (("ldae/report/page.py", '"Latent diffusion autoencoder study"', '"A study"'),
         {"build_report"}),
        (("ldae/evaluation/throughput.py", "in_voxels[0].name", "in_voxels[-1].name"),
         {"measure_throughput", "plot_figure", "tabulate", "build_report"}),
    ],
)  # fmt: skip
def test_a_change_of_the_code_runs_exactly_what_depends_on_it(study, edit, expected):
    with changed(study, edit):
        assert rerun_rules(study) == expected


def test_other_words_in_the_code_run_nothing(study):
    edits = [
        ("ldae/networks/unet.py", '"""', '"""In other words: '),
        ("ldae/errors.py", '"{self.source}: ', '"{self.source} - '),
        ("scripts/train_network.py", '"""Rule', '# touched\n"""Rule'),
    ]
    with changed(study, *edits):
        assert rerun_rules(study) == set()


def test_a_changed_setting_runs_what_uses_it(study):
    with changed(study, ("micro.yaml", "n_bootstrap: 20", "n_bootstrap: 21")):
        rules = rerun_rules(study)
    assert {"write_config", "tabulate", "compare_volumes"} <= rules
    # Intervals are made from scores: no model runs again.
    assert not {rule for rule in rules if rule.startswith(("train_", "evaluate_", "encode_"))}


def test_histograms_are_not_fitted_again_for_a_setting_of_the_network(study):
    with changed(study, ("micro.yaml", "fill_in_channels: 8", "fill_in_channels: 9")):
        rules = rerun_rules(study)
    assert "train_network" in rules and "fit_histogram_pca" not in rules


NEW_FIGURE = '''
from ldae.figures.theme import new_figure


def plot_sites(index):
    """Scans of every site."""
    data = index["site"].value_counts().rename_axis("site").reset_index(name="scans")
    figure = new_figure(2.0)
    figure.subplots().bar(data["site"], data["scans"])
    return figure, data


def describe_sites(data):
    """Caption."""
    return f"Scans of each of {len(data)} sites."
'''
NEW_LINE = """    Figure(
        "sites", "cohort",
        "ldae.figures.sites:plot_sites", {"index": INDEX}, "ldae.figures.sites:describe_sites",
    ),
"""


def test_a_new_figure_is_its_functions_and_a_line(study, tmp_path):
    copy = Path(shutil.copytree(study, tmp_path / "study", symlinks=True))
    registry = copy / "ldae/figures/registry.py"
    target = "results/micro/figures/sites.png"
    (copy / "ldae/figures/sites.py").write_text(NEW_FIGURE)
    text = registry.read_text()
    registry.write_text(text.replace("FIGURES = (\n", f"FIGURES = (\n{NEW_LINE}"))
    planned = run_snakemake(copy, "-n", *STUDY)
    assert re.findall(r"Drawing the figure (\w+)", planned.stdout) == ["sites"]
    assert rerun_rules(copy) == {"plot_figure", "build_report"}
    done = run_snakemake(copy, *STUDY, target)
    assert done.returncode == 0, done.stderr[-4000:]
    numbers = pd.read_csv((copy / target).with_suffix(".tsv"), sep="\t")
    index = pd.read_csv(results(copy) / "volumes/index.tsv", sep="\t")
    assert numbers["scans"].sum() == len(index)


def test_edits_are_held_to_the_true_effects(study):
    scores = pd.read_csv(results(study) / "scores/manipulation/seed-0.tsv.gz", sep="\t")
    truth = scores[scores["metric"] == "truth_correlation"]
    assert set(truth["method"]) == {
        "ldae", "ldae_anatomical", "ldae_joint", "ldae_joint_targeted", "group_difference",
    }  # fmt: skip
    assert truth["value"].between(-1, 1).all()
    # sex too where both halves of the few participants have two of each
    assert "age" in set(scores.loc[scores["task"] == "ad_vs_cn", "attribute"].dropna())


def test_edited_scans_are_chosen_once(study):
    edited = read_selection(results(study) / "manifest/edited.tsv")
    scores = pd.read_csv(results(study) / "scores/manipulation/seed-0.tsv.gz", sep="\t")
    assert set(scores.loc[scores["metric"] == "change", "scan"]) == set(edited)
    effects = np.load(results(study) / "truth/effects.npz")
    assert effects["scans"].tolist() == edited


SAME = ["latents/mu.npy", "latents/scale.json", "prior/seed-0/model.safetensors",
        "ldae/seed-0/model.safetensors", "codes/ldae/seed-0.npy",
        "probes/ldae/seed-0.tsv"]  # fmt: skip


def test_the_same_trainings_again_give_the_same_bytes(study):
    """Simulation and preprocessing are repeated by their own tests."""
    before = {name: (results(study) / name).read_bytes() for name in SAME}
    targets = [f"results/micro/{name}" for name in SAME]
    again = ("--forcerun", "train_autoencoder", *STUDY)
    done = run_snakemake(study, *again, *targets)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "train_network done" in done.stderr
    for name in SAME:
        assert (results(study) / name).read_bytes() == before[name], name


def test_a_crate_is_made_on_request(study):
    done = run_snakemake(study, *STUDY, "crate")
    assert done.returncode == 0, done.stderr[-4000:]
    metadata = json.loads((results(study) / "crate/ro-crate-metadata.json").read_text())
    actions = [entity for entity in metadata["@graph"] if entity["@type"] == "CreateAction"]
    jobs = [record for record in records(study) if record["rule"] != "make_crate"]
    assert len(actions) == len(jobs) + 1
    copied = (results(study) / "crate/results/report.html").read_bytes()
    assert copied == (results(study) / "report.html").read_bytes()


def test_the_report_shows_origins_and_verdict(study):
    page = (results(study) / "report.html").read_text()
    pictures = [*(results(study) / "figures").glob("*.png"), "qc"]
    assert len(re.findall(r"From \d+ raw scans of 16 participants; seed 0", page)) == len(pictures)
    assert re.search(r"<b>PASSED: 0 errors, [^<]*</b>", page)
