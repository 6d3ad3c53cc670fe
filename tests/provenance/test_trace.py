"""Tracing of a figure, or one number, back to the raw scans."""

import json
import shutil
import subprocess
import sys
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from conftest import ROOT
from tiny_study import SUBJECTS

from ldae.__main__ import main
from ldae.errors import InputError
from ldae.provenance.history import load_history
from ldae.provenance.lineage import trace_lineage
from ldae.provenance.tree import draw_tree
from ldae.report.ancestry import BOX, lay_out

BEHIND_AGE = {
    "read_bids": 1, "preprocess_scan": 2, "pack_volumes": 1, "train_network": 1,
    "encode_semantics": 1, "fit_voxel_pca": 1, "fit_probe": 2, "tabulate": 1, "plot_figure": 1,
}  # fmt: skip
LDAE = {"method": "ldae", "split": "test"}


@pytest.fixture
def history(public_study):
    return load_history(public_study.results)


def test_tree_of_a_figure_has_each_job_once_and_ends_at_raw_scans(public_study, capsys):
    assert main(["trace", str(public_study.results / "figures/age.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("<results>/figures/age.png") and lines[0].endswith("as recorded")
    assert lines[1].startswith(f"{sum(BEHIND_AGE.values())} jobs, each with ")
    named = [line.partition("─ ")[2].split()[0] for line in lines if "─ " in line]
    for rule in BEHIND_AGE:
        assert named.count(rule) == (2 if rule == "fit_probe" else 1), rule
    assert "build_report" not in named
    tree = "\n".join(lines)
    assert "figure=age" in tree and "cohort" not in tree
    assert "preprocess_scan ×2 batch=0 … 1" in tree
    assert "raw: <bids>/sub-*  3 files" in tree and "raw: <bids>/participants.tsv" in tree
    assert "n_steps 30" in tree and "seed 7" in tree


def test_json_of_a_figure_names_every_job_and_every_raw_scan(public_study, capsys):
    main(["trace", "figures/age.png", "--results", str(public_study.results), "--json"])
    description = json.loads(capsys.readouterr().out)
    rules = [job["rule"] for job in description["jobs"]]
    assert {rule: rules.count(rule) for rule in rules} == BEHIND_AGE
    assert rules[0] == "plot_figure" and description["jobs"][0]["parents"] == [
        description["jobs"][1]["id"]
    ]
    raw = [file["path"] for file in description["raw"]]
    assert raw == sorted([f"<bids>/{p}/anat/{p}_T1w.nii.gz" for p in SUBJECTS] +
                         ["<bids>/participants.tsv"])  # fmt: skip
    for job in description["jobs"]:
        assert (public_study.results / job["record"]).is_file()


def test_selected_rows_set_other_jobs_aside_but_drop_none(public_study, history, capsys):
    table = public_study.results / "tables/probes.tsv"
    lineage = trace_lineage(history, table, LDAE)
    aside = {(job.rule, *job.wildcards.values()) for job in lineage.jobs if job.id in lineage.aside}
    assert aside == {("fit_probe", "voxel_pca", "shared"), ("fit_voxel_pca",)}
    whole = trace_lineage(history, table, {})
    assert lineage.jobs == whole.jobs and not whole.aside
    assert main(["trace", str(table), "--where", "method=ldae,split=test"]) == 0
    text = capsys.readouterr().out
    assert "value=5.2" in text and "value=6.1" not in text and "value=5.0" not in text
    assert "other rows of the same table, by their wildcards: fit_probe, fit_voxel_pca" in text


def test_a_difference_comes_from_both_methods(public_study, history):
    where = {"method": "voxel_pca", "metric": "mae_difference"}
    assert not trace_lineage(history, public_study.results / "tables/probes.tsv", where).aside
    where["metric"] = "mae"
    assert trace_lineage(history, public_study.results / "tables/probes.tsv", where).aside


def test_numbers_are_found_as_numbers(public_study, history):
    table = public_study.results / "tables/probes.tsv"
    rows = trace_lineage(history, table, {"value": "5.20"}).cell.rows
    assert rows["value"].tolist() == ["5.2"]


@pytest.mark.parametrize(
    ("where", "problem"),
    [
        ({"colour": "red"}, "no column colour. Choose among method"),
        ({"method": "vae"}, "no row has method=vae. Choose among ldae, voxel_pca"),
    ],
)
def test_wrong_column_or_value_is_an_error(public_study, history, where, problem):
    with pytest.raises(InputError, match=problem):
        trace_lineage(history, public_study.results / "tables/probes.tsv", where)


def test_file_that_cannot_be_traced_is_an_error(public_study, history):
    with pytest.raises(InputError, match="no job of this study wrote this file"):
        trace_lineage(history, public_study.results / "figures/unknown.png", {})
    with pytest.raises(InputError, match="not a table"):
        trace_lineage(history, public_study.results / "figures/age.png", LDAE)
    assert main(["trace", str(public_study.results / "tables/probes.tsv"), "--where", "ldae"]) == 2


def test_changed_figure_is_reported(public_study, tmp_path):
    moved = tmp_path / "elsewhere"
    shutil.copytree(public_study.results, moved)
    lines = list(draw_tree(trace_lineage(load_history(moved), moved / "figures/age.png", {})))
    assert lines[0].endswith("as recorded"), "a study may be moved"
    (moved / "figures/age.png").write_bytes(b"another")
    lines = list(draw_tree(trace_lineage(load_history(moved), moved / "figures/age.png", {})))
    assert lines[0].endswith("differs from its record")


def test_pictures_are_the_same_each_time(public_study, tmp_path):
    figure = str(public_study.results / "figures/age.png")
    for name in ("a.png", "a.svg"):
        assert main(["trace", figure, "--picture", str(tmp_path / name)]) == 0
    command = [sys.executable, "-m", "ldae", "trace", figure, "--picture", tmp_path / "b.png"]
    subprocess.run(command, cwd=ROOT, env={"PYTHONHASHSEED": "1"}, check=True, capture_output=True)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    drawing = (tmp_path / "a.svg").read_text()
    for text in ["read_bids", "fit_probe", "train_network", "plot_figure", "raw files", "2 jobs"]:
        assert text in drawing, text
    assert main(["trace", figure, "--picture", str(tmp_path / "a.txt")]) == 2


@pytest.mark.parametrize("seed", range(5))
def test_boxes_do_not_overlap_and_lines_run_to_the_right(seed):
    random = np.random.default_rng(seed)
    graph = nx.DiGraph()
    graph.add_nodes_from(f"rule_{i}" for i in range(16))
    pairs = combinations(range(16), 2)
    graph.add_edges_from((f"rule_{a}", f"rule_{b}") for a, b in pairs if random.random() < 0.15)
    graph = nx.transitive_reduction(graph)
    layout = lay_out(graph)
    assert set(layout.boxes) == set(graph)
    for (_, (x0, y0)), (_, (x1, y1)) in combinations(layout.boxes.items(), 2):
        assert abs(x0 - x1) >= BOX[0] or abs(y0 - y1) >= BOX[1] - 1e-6
    for a, b in graph.edges:
        (x0, y0), (x1, y1) = layout.boxes[a], layout.boxes[b]
        assert x0 < x1 or (x0 == x1 and y0 > y1)
    assert len(layout.lines) == graph.number_of_edges()
