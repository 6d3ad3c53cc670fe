"""The text under a figure is composed from the records of its jobs."""

import shutil

import pytest
from tiny_study import TinyStudy

from ldae.errors import InputError
from ldae.provenance.history import load_history
from ldae.provenance.origin import describe_origin, require_recorded
from ldae.provenance.reading import digest_of


def test_origin_names_scans_seed_windows_networks_commit_and_digest(public_study):
    results = public_study.results
    history = load_history(results)
    text = describe_origin(history, results / "figures/age.png")
    record = history.producer("<results>/figures/age.png").record
    parts = [
        "From 3 raw scans of 3 participants", "seed 7",
        f"networks ldae/seed-7 {digest_of(results / 'ldae/seed-7/model.safetensors')[:10]}",
        f"commit {record['commit'][:10]}" if record["commit"] else "no commit",
        f"sha256 {digest_of(results / 'figures/age.png')[:10]}",
    ]  # fmt: skip
    for part in parts:
        assert part in text, text
    assert "networks" not in describe_origin(history, results / "figures/cohort.png")


def test_masks_of_the_cohort_are_not_counted_as_scans(tmp_path):
    study = TinyStudy(tmp_path, public=True)
    scans = study.scans
    mask = study.bids / "derivatives/sub-0042/anat/sub-0042_mask.nii.gz"
    mask.parent.mkdir(parents=True)
    mask.write_bytes(b"mask")
    study.job("quality_control", [*scans, mask], {"qc/qc.tsv": "scan\n"})
    figure = {"figures/quality.tsv": "a\n"}
    study.job("plot_figure", [study.path("qc/qc.tsv")], figure, {"figure": "quality"})
    text = describe_origin(load_history(study.results), study.results / "figures/quality.tsv")
    assert text.startswith("From 3 raw scans of 3 participants"), text


def test_figures_of_trainings_name_their_networks(tmp_path):
    study = TinyStudy(tmp_path, public=True)
    names = {"model.safetensors": "weights", "step-30.safetensors": "some", "metrics.csv": "step\n"}
    weights = {f"prior/seed-7/{name}": text for name, text in names.items()}
    study.job("train_network", study.scans, weights, {"network": "prior", "seed": "7"})
    figure = {"figures/losses.tsv": "a\n"}
    study.job("plot_figure", [study.path("prior/seed-7/metrics.csv")], figure, {"figure": "losses"})
    text = describe_origin(load_history(study.results), study.results / "figures/losses.tsv")
    assert "networks prior/seed-7 " in text, "it reads the log alone, not the weights"
    assert ", prior/seed-7/step-30 " in text, "weights of the same training after fewer steps"


def test_files_that_differ_from_their_records_are_an_error(public_study, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(public_study.results, results)
    history = load_history(results)
    figure = results / "figures/age.tsv"
    require_recorded(history, [figure, results / "tables/probes.tsv"])
    figure.write_text(figure.read_text().replace("5.2", "4.2"))
    with pytest.raises(InputError, match="differs from its record"):
        require_recorded(history, [figure])
    (results / "figures/new.tsv").write_text("a\n")
    with pytest.raises(InputError, match="has no record"):
        require_recorded(history, [results / "figures/new.tsv"])
    with pytest.raises(InputError, match="has no record"):
        describe_origin(history, results / "figures/new.tsv")
