"""Figures draw without the learning libraries, keep their data, and have captions."""

from __future__ import annotations

import inspect
import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluation_toy import draw_head
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from ldae.conclusions.readers import training_logs
from ldae.conclusions.registry import TABLES
from ldae.conclusions.sources import Product, call, make, parameters
from ldae.conclusions.verdicts import FAILS, HOLDS, OPEN
from ldae.figures import theme
from ldae.figures.captions import intervals
from ldae.figures.cohort import plot_cohort, plot_volumes
from ldae.figures.comparisons import plot_comparisons
from ldae.figures.curves import plot_curves
from ldae.figures.edit_maps import plot_edit_maps
from ldae.figures.fidelity import plot_edit_fidelity
from ldae.figures.interpolation import plot_interpolation_gap, plot_interpolation_sequence
from ldae.figures.labels import plot_labels
from ldae.figures.manipulation import RESPONSES, plot_dose_response, plot_manipulation
from ldae.figures.probes import plot_age, plot_roc
from ldae.figures.reconstruction import (
    plot_reconstruction,
    plot_reconstruction_steps,
    plot_stochastic,
)
from ldae.figures.registry import FIGURES
from ldae.figures.slices import brain_centre, cut, difference_limit
from ldae.figures.theme import PALETTE, save_figure, shown_models
from ldae.figures.throughput import plot_throughput
from ldae.figures.training import plot_training
from ldae.figures.verdicts import FACES, INKS, plot_verdicts
from ldae.methods import METHODS, Look, Methods, Role, study_methods, study_networks
from ldae.references import resolve
from ldae.report.page import SECTIONS
from ldae.statistics.tables import tidy, write_table
from ldae.workflow.config import complete_config

Drawn = tuple[Figure, pd.DataFrame]
SMALL_CODE = {"network": "ldae", "change": {"encoder": {"dim_y": 16}}}
VARIANTS = {"variants": ["ldae_joint", "residual"]}
SETTINGS = complete_config(VARIANTS | {"ablations": {"ldae_short_code": SMALL_CODE}})
DIAGNOSES = SETTINGS["cohort"]["diagnoses"]
STUDY = study_methods(SETTINGS)
NETWORKS = {n.name: n.look for n in study_networks(SETTINGS).values() if n.look is not None}
HEAD, MASK = draw_head(1.0, np.random.default_rng(0))
BIG, _ = draw_head(1.2, np.random.default_rng(0))
SEED = {"training_seed": np.array(3)}


def numbers(table: str, rows: list[dict[str, object]]) -> pd.DataFrame:
    for row in rows:
        value = row["value"]
        row |= {"ci_low": value - 0.01, "ci_high": value + 0.01, "n_subjects": 5, "n_scans": 9}  # type: ignore[operator]
    seeds = {str(row["method"]): [3] for row in rows}
    return tidy(rows, table, cohort="toy", seeds=seeds, split="test")


def cohort() -> Drawn:
    index = pd.DataFrame(
        [
            [2 * s + k, f"sub-{s}_ses-M{6 * k:03d}", f"sub-{s}", 6.0 * k, 70.0, "F", "AD", "test"]
            for s in range(3)
            for k in range(2)
        ],
        columns=["row", "scan", "subject", "months", "age", "sex", "diagnosis", "split"],
    )
    return plot_cohort(np.stack([HEAD] * 6), np.stack([MASK] * 6), index)


def training() -> Drawn:
    log = pd.DataFrame({"step": range(100), "seconds": range(100), "train_loss": 1.0})
    log["val_loss"] = np.where(log["step"] % 20 == 0, 1.2, np.nan)
    logs = {"autoencoder": log, "prior": log, "ldae": log, "voxel_dae": log}
    figure, data = plot_training(logs, NETWORKS)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[:4] == ["autoencoder", "prior", "LDAE", "voxel DAE"]
    return figure, data


def reconstruction() -> Drawn:
    example = {"scan": np.array(["sub-1"]), "steps": np.array(10), "mask": MASK[None]} | SEED
    names = ["voxel_dae", "prior", "ldae_joint_semantic", "ldae_semantic", "ldae_joint"]
    names += ["ldae_multistep", "ldae", "autoencoder"]
    example |= {name: BIG[None] for name in names}
    figure, data = plot_reconstruction(example | {"original": HEAD[None]}, STUDY)
    shown = ["autoencoder", "ldae", "ldae_joint", "ldae_semantic", "prior", "voxel_dae"]
    assert data["method"].tolist() == shown
    return figure, data


def reconstruction_steps() -> Drawn:
    rows = [{"method": "autoencoder", "region": "mask", "metric": "mse", "value": 0.01}]
    rows += [
        {"method": "autoencoder", "region": "mask", "metric": "ssim", "window": 11, "value": 0.9}
    ]
    for steps in (10, 20):
        common = {"method": "ldae", "region": "mask", "steps": steps}
        rows += [common | {"metric": "ssim", "window": 11, "value": 0.8}]
        rows += [common | {"metric": "mse", "value": 0.02}]
    return plot_reconstruction_steps(numbers("reconstruction", rows), STUDY, window=11)


def stochastic() -> Drawn:
    samples = np.stack([HEAD, BIG, HEAD])
    example = {"scan": np.array("sub-1"), "original": HEAD, "mask": MASK, "samples": samples} | SEED
    return plot_stochastic(example | {"mean": samples.mean(0), "std": samples.std(0)})


def predictions() -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"scan": [f"s{i}" for i in range(20)], "subject": [f"p{i}" for i in range(20)]}
    )
    disease = frame.assign(
        task="ad_vs_cn", target=np.arange(20) % 2.0, prediction=rng.uniform(size=20)
    )
    age = frame.assign(
        task="age", target=rng.uniform(60, 80, 20), prediction=rng.uniform(60, 80, 20)
    )
    both = pd.concat([disease, age]).assign(split="test")
    rows = []
    for method in ("ldae", "voxel_pca"):
        rows += [{"method": method, "task": "ad_vs_cn", "metric": "roc_auc", "value": 0.6}]
        rows += [{"method": method, "task": "age", "metric": "mae", "value": 6.0}]
    return {"ldae": both, "voxel_pca": both}, numbers("probes", rows)


def roc() -> Drawn:
    return plot_roc(*predictions(), STUDY, DIAGNOSES)


def age() -> Drawn:
    by_method, table = predictions()
    index = pd.DataFrame({"scan": [f"s{i}" for i in range(20)], "diagnosis": ["CN", ""] * 10})
    return plot_age(by_method, table, index, STUDY, DIAGNOSES)


def manipulation() -> Drawn:
    example = {"scan": np.array("sub-1"), "method": np.array("ldae"), "mask": MASK} | SEED
    example["amounts"] = np.array([-1.0, 0, 1])
    edited = np.stack([0.9 * HEAD, HEAD, BIG])
    return plot_manipulation(example | {"original": HEAD, "age": edited}, "age", DIAGNOSES)


def dose_response() -> Drawn:
    rows: list[dict[str, object]] = []
    edits = ("ldae", "ldae_joint_targeted")
    for method, (name, judge, _) in itertools.product(edits, RESPONSES):
        common = {"method": method, "task": "age", "judge": judge}
        common["attribute"] = "age" if judge else ""
        for amount in (-1, 0, 1):
            rows.append(common | {"metric": name, "amount": amount, "value": amount})
        rows.append(common | {"metric": f"{name.removesuffix('_ml')}_spearman", "value": 0.9})
    figure, data = plot_dose_response(numbers("manipulation", rows), STUDY)
    assert len(data) == 3 * len(RESPONSES) * len(edits)
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert "LDAE" in labels and "LDAE, joint, targeted edit" in labels
    return figure, data


def edit_fidelity() -> Drawn:
    rows: list[dict[str, object]] = []
    edits = ("ldae", "ldae_joint", "ldae_joint_targeted")
    tasks = (("ad_vs_cn", ("age", "sex")), ("age", ("ad_vs_cn", "sex")))
    for method, (task, others) in itertools.product(edits, tasks):
        common = {"method": method, "task": task}
        for attribute in others:
            for judge in ("code", "voxels"):
                judged = common | {"attribute": attribute, "judge": judge}
                rows.append(judged | {"metric": "off_target_ratio", "value": 0.3})
                rows.append(judged | {"metric": "off_target_ratio_participants", "value": 0.4})
        for amount in (-1, 1):
            for metric in ("truth_correlation", "identity_kept"):
                rows.append(common | {"metric": metric, "amount": amount, "value": 0.6})
        rows.append(common | {"metric": "truth_ceiling", "value": 0.9})
    for task, _ in tasks:
        trivial = {"method": "group_difference", "task": task, "metric": "truth_correlation"}
        rows.append(trivial | {"value": 0.5})
    figure, data = plot_edit_fidelity(
        numbers("manipulation", rows), STUDY, {"off_target_ratio": 0.2, "identity_kept": 0.95}
    )
    shown = data.groupby("metric")["method"].agg(set)
    both = {"ldae", "ldae_joint_targeted"}
    assert shown["off_target_ratio"] == both and shown["identity_kept"] == both
    assert shown["truth_correlation"] == both | {"group_difference"}
    assert shown["off_target_ratio_participants"] == shown["truth_ceiling"] == {"ldae"}
    return figure, data


def edit_maps() -> Drawn:
    example = {"scan": np.array("sub-1"), "method": np.array("ldae"), "mask": MASK} | SEED
    example["amounts"] = np.array([-1.0, 0, 1])
    example |= {"original": HEAD, "age": np.stack([0.9 * HEAD, HEAD, BIG])}
    figure, data = plot_edit_maps(example | {"age_group": BIG - HEAD, "age_truth": HEAD - BIG})
    value = data.set_index("map")["correlation_with_edit"]
    assert value["group"] == pytest.approx(1) and value["truth"] == pytest.approx(-1)
    return figure, data


def comparisons() -> Drawn:
    rows: list[dict[str, object]] = []
    for against in ("voxel_pca", "untrained"):
        common = {"method": "ldae", "against": against, "split": "test"}
        for task, metric in (("ad_vs_cn", "roc_auc_gain"), ("age", "mae_gain")):
            rows.append(common | {"claim": "probes", "task": task, "metric": metric, "value": 0.1})
    for steps in (10, 20):
        rows.append(
            {"claim": "reconstruction", "method": "ldae", "against": "voxel_dae", "steps": steps}
            | {
                "split": "test",
                "metric": "ssim_gain",
                "region": "mask",
                "window": 11,
                "value": steps / 100,
            }
        )
    figure, data = plot_comparisons(numbers("comparisons", rows), STUDY, n_steps=20, window=11)
    assert data.loc[data["claim"] == "reconstruction", "value"].tolist() == [0.2]
    return figure, data


def labels() -> Drawn:
    rows: list[dict[str, object]] = [
        {"method": method, "task": task, "metric": metric, "n_labelled": n, "value": n / 100}
        for method in ("ldae", "voxel_pca")
        for task, metric in (("ad_vs_cn", "roc_auc"), ("ad_vs_cn", "roc_auc_gain"), ("age", "mae"))
        for n in (20, 40)
    ]
    figure, data = plot_labels(numbers("labels", rows), STUDY)
    assert len(figure.axes) == 2 and set(data["metric"]) == {"roc_auc", "mae"}
    return figure, data


def curves() -> Drawn:
    rows: list[dict[str, object]] = [
        {"claim": "reconstruction", "method": method, "metric": "ssim", "value": step / 1000,
         "training_steps": step, "window": 11}
        for method in ("ldae", "ldae_short_code")
        for step in (10, 100, 400)
    ]  # fmt: skip
    bound: dict[str, object] = {"method": "autoencoder", "metric": "ssim", "value": 0.5}
    gain = rows[-1] | {"metric": "ssim_gain", "since_steps": 100}
    rows += [gain, bound | {"claim": "reconstruction", "window": 11}]
    figure, data = plot_curves(numbers("curves", rows), STUDY)
    assert len(data) == len(rows) and len(figure.legends[0].get_texts()) == 3
    return figure, data


def verdicts() -> Drawn:
    rows: list[dict[str, object]] = []
    code = {"claim": "the code", "metric": "measured"}
    for method, measured in (("ldae", 0.1), ("ldae_joint", -0.1), ("ldae_short_code", 0.0)):
        for against, found in (("voxel_pca", HOLDS), ("untrained", FAILS)):
            conditions = {"statement": "AUC is above that of", "against": against}
            number = {"method": method, "verdict": found, "value": measured}
            rows.append(code | conditions | number)
        single = {"statement": "most of the way", "verdict": OPEN, "method": method}
        rows.append(code | single | {"value": 0.9})
    figure, data = plot_verdicts(numbers("verdicts", rows), STUDY)
    assert set(data["method"]) == {"ldae", "ldae_joint", "ldae_short_code"}
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written.count("AUC is above that of") == 1 and "voxel PCA" in written
    assert written.count("0.1") == written.count("−0.1") == 2
    return figure, data


def volumes() -> Drawn:
    rows: list[dict[str, object]] = []
    for structure in ("ventricles", "hippocampi"):
        common = {"method": "region_volumes", "structure": structure}
        rows.append(common | {"metric": "correlation", "value": 0.9})
        rows.append(common | {"metric": "error_ml", "value": 2.0})
    pairs = pd.DataFrame(
        {"structure": ["ventricles", "hippocampi"] * 5, "scan": "s", "subject": "p"}
        | {"measured": np.arange(10.0), "reference": np.arange(10.0) + 1}
    )
    return plot_volumes(pairs, numbers("volumes", rows), STUDY)


def interpolation_sequence() -> Drawn:
    example = {"subject": np.array("sub-1"), "months": np.array([0.0, 6, 12]), "mask": MASK} | SEED
    example |= {"visit_a": HEAD, "real": HEAD, "visit_b": BIG, "ldae": BIG, "nearest_visit": HEAD}
    example |= {"sequence": np.stack([HEAD] * 5), "sequence_alpha": np.linspace(0, 1, 5)}
    return plot_interpolation_sequence(example, STUDY)


def interpolation_gap() -> Drawn:
    rows: list[dict[str, object]] = []
    for span in ("gap_months", "nearest_months"):
        for months in (12, 24):
            for method in ("ldae", "nearest_visit"):
                common = {"method": method, "target": "real", span: months}
                rows.append(common | {"region": "mask", "metric": "mse", "value": 0.02})
                rows.append(common | {"region": "mask", "metric": "skill", "value": -0.1})
                rows.append(common | {"metric": "ventricle_error_ml", "value": 2.0})
                rows.append(common | {"metric": "hippocampus_error_ml", "value": 0.3})
    return plot_interpolation_gap(numbers("interpolation", rows), STUDY)


def throughput() -> Drawn:
    rows: list[dict[str, object]] = []
    for method in ("ldae", "voxel_dae"):
        common = {"method": method, "operation": "encode", "device": "cpu, 1 threads"}
        rows.append(common | {"metric": "seconds_per_scan", "value": 0.3})
        rows.append(common | {"metric": "peak_memory_mb", "value": 30})
    rows.append(common | {"method": "ldae", "metric": "speed_ratio", "value": 4})
    return plot_throughput(numbers("throughput", rows), STUDY)


DRAWN: list[Callable[[], Drawn]] = [
    cohort, training, reconstruction, reconstruction_steps, stochastic, roc, age, manipulation,
    dose_response, edit_fidelity, edit_maps, interpolation_sequence, interpolation_gap, throughput,
    comparisons, curves, labels, verdicts, volumes,
]  # fmt: skip


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save pictures at a screen's resolution: the one for print takes most of the time."""
    monkeypatch.setattr(theme, "DPI", 72)


KINDS = ("png", "svg", "pdf", "tsv")
"""Files of a figure, its numbers last."""


def caption(name: str, data: pd.DataFrame) -> str:
    """Caption of a registered figure, as the report writes it."""
    (figure,) = (figure for figure in FIGURES if figure.name == name)
    arguments = figure.arguments(SETTINGS)
    return str(call(figure.caption, {}, data=data, methods=STUDY, networks=NETWORKS, **arguments))


@pytest.mark.parametrize("draw", DRAWN, ids=lambda draw: draw.__name__)
def test_figure_is_saved_with_its_data_and_caption(
    draw: Callable[[], Drawn], tmp_path: Path
) -> None:
    figure, data = draw()
    files = [tmp_path / f"f.{kind}" for kind in KINDS]
    save_figure(figure, data, *files)
    assert all(f.stat().st_size > 50 for f in files)
    text = caption(draw.__name__, pd.read_csv(files[-1], sep="\t"))
    assert text.endswith(".") and "nan" not in text and len(text) > 60


def read_back(drawn: Drawn, folder: Path) -> pd.DataFrame:
    files = [folder / f"f.{kind}" for kind in KINDS]
    save_figure(*drawn, *files)
    return pd.read_csv(files[-1], sep="\t")


def test_captions_say_which_trainings_are_shown(tmp_path: Path) -> None:
    by_method, table = predictions()
    one = caption("roc", read_back(plot_roc(by_method, table, STUDY, DIAGNOSES), tmp_path))
    assert "training seed 3." in one and "Curves" not in one and "over participants." in one
    again = by_method["ldae"].assign(prediction=0.5)
    by_method["ldae"] = pd.concat([by_method["ldae"].assign(seed=4), again.assign(seed=5)])
    several = numbers("probes", table.drop(columns="seed").to_dict("records")).assign(seed="4 5")
    figure, data = plot_roc(by_method, several, STUDY, DIAGNOSES)
    curve = data[data["method"] == "ldae"]
    assert set(curve["training_seed"]) == {4} and len(curve) > 3, "the first training's curve"
    assert data.loc[data["method"] == "voxel_pca", "training_seed"].isna().all()
    text = caption("roc", read_back((figure, data), tmp_path))
    assert "Curves: training seed 4." in text and "training seeds 4, 5." in text
    assert "over training seeds and participants." in text
    index = pd.DataFrame({"scan": [f"s{i}" for i in range(20)], "diagnosis": ["CN", ""] * 10})
    figure, data = plot_age(by_method, several, index, STUDY, DIAGNOSES)
    assert len(data) == 20
    assert "Points: training seed 4." in caption("age", read_back((figure, data), tmp_path))
    text = caption("manipulation", read_back(manipulation(), tmp_path))
    assert "Networks of training seed 3." in text


def test_diagnoses_are_called_as_the_study_calls_them() -> None:
    words = {"patient": "dementia", "control": "healthy"}
    by_method, table = predictions()
    figure, _ = plot_roc(by_method, table, STUDY, words)
    assert figure.axes[0].get_ylabel() == "sensitivity (dementia detected)"
    diagnoses = ["dementia", "healthy", "MCI", "other", ""] * 4
    index = pd.DataFrame({"scan": [f"s{i}" for i in range(20)], "diagnosis": diagnoses})
    figure, _ = plot_age(by_method, table, index, STUDY, words)
    drawn = {p.get_label(): to_hex(p.get_facecolor()[0]) for p in figure.axes[0].collections}
    assert drawn["dementia (4 participants)"] == PALETTE["vermilion"].lower()
    assert drawn["healthy (4 participants)"] == PALETTE["blue"].lower()
    assert len(set(drawn.values())) == 5


def test_every_training_has_a_curve(tmp_path: Path) -> None:
    log = pd.DataFrame({"step": range(10), "seconds": range(10), "train_loss": 1.0})
    both = pd.concat([log.assign(training_seed=s, train_loss=s + 1.0) for s in (0, 2)])
    drawn = plot_training({"autoencoder": log, "ldae": both}, NETWORKS)
    data = read_back(drawn, tmp_path)
    of_ldae = data[data["stage"] == "ldae"].groupby("training_seed")["value"].unique()
    assert {seed: list(v) for seed, v in of_ldae.items()} == {0: [1.0], 2: [3.0]}
    assert data.loc[data["stage"] == "autoencoder", "training_seed"].isna().all()
    assert "one line for each of 2 training seeds" in caption("training", data)


def test_logs_are_read_by_network_and_seed(tmp_path: Path) -> None:
    log = pd.DataFrame({"step": [1, 2], "seconds": [1, 2], "train_loss": [2.0, 1.0]})
    paths = [tmp_path / "autoencoder", *(tmp_path / f"ldae/seed-{seed}" for seed in (0, 2))]
    for path in paths:
        path.mkdir(parents=True)
        log.to_csv(path / "metrics.csv", index=False)
    found = training_logs(*(path / "metrics.csv" for path in paths))
    assert list(found) == ["autoencoder", "ldae"] and "training_seed" not in found["autoencoder"]
    assert found["ldae"]["training_seed"].tolist() == [0, 0, 2, 2]


PRODUCTS: list[Product] = [*TABLES, *FIGURES]


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda one: f"{type(one).__name__} {one.name}")
def test_what_is_registered_can_be_made(product: Product) -> None:
    """References resolve, the function takes what it gets, and the report has the section."""
    assert product.section in {section.anchor for section in SECTIONS}
    for reference in product.references:
        assert callable(resolve(reference))
    if product.function is not None:
        given = {*product.needs, *product.options, *product.settings}
        given |= {"task"} if getattr(product, "per_task", False) else set()
        asked = inspect.signature(resolve(product.function)).parameters
        assert set(asked) == set(parameters(resolve(product.function)))
        needed = {name for name, one in asked.items() if one.default is one.empty}
        assert given <= set(asked), "it is given what it does not know"
        assert needed <= given | {"methods", "networks", "left_out"}, "it lacks what it needs"


def test_every_figure_has_a_caption_and_is_drawn_here() -> None:
    assert {draw.__name__ for draw in DRAWN} == {f.name for f in FIGURES if f.function}
    for figure in FIGURES:
        given = {"data", "methods", "networks", *figure.options, *figure.settings}
        assert set(parameters(resolve(figure.caption))) <= given


def test_names_of_tables_and_of_figures_are_taken_once() -> None:
    for products in (TABLES, FIGURES):
        names = [product.name for product in products]
        assert len(names) == len(set(names))


def test_a_table_is_made_of_the_files_and_settings_that_it_names(tmp_path: Path) -> None:
    rows = [{"method": "ldae", "operation": "encode", "metric": "speed_ratio", "value": 4.0}]
    path = tmp_path / "throughput.tsv"
    write_table(numbers("throughput", rows), path, path.with_suffix(".md"))
    registered = {table.name: table for table in TABLES}
    claims = registered["claims"]
    arguments = claims.arguments(complete_config({}))
    made = make(claims.recipe, arguments, {"tables": [str(path)]}, methods=STUDY)
    assert made["protocol"].tolist() == ["paper", "workflow"] and (made["value"] == 4).all()
    settings = {"study": "toy", "seed": 3, "evaluation": {"n_bootstrap": 5}}
    readers = registered["manipulation"].recipe["readers"]
    assert readers == {"scores": "ldae.conclusions.readers:scores"}
    expected = {"table": "manipulation", "cohort": "toy", "seed": 3, "n_bootstrap": 5}
    assert registered["manipulation"].arguments(settings) == expected


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_figure(*dose_response(), *(tmp_path / f"{name}.{kind}" for kind in KINDS))
    for kind in KINDS:
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_text_needs_no_font_where_a_figure_is_shown(tmp_path: Path) -> None:
    save_figure(*dose_response(), *(tmp_path / f"f.{kind}" for kind in KINDS))
    drawing, print_file = (tmp_path / f"f.{kind}" for kind in ("svg", "pdf"))
    assert "<text" not in drawing.read_text(encoding="utf-8")
    assert b"/FontFile2" in print_file.read_bytes(), "TrueType, embedded"


def test_text_on_verdicts_has_contrast() -> None:
    def luminance(color: str) -> float:
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
        return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))

    for verdict, face in FACES.items():
        low, high = sorted(luminance(color) for color in (face, INKS[verdict]))
        assert (high + 0.05) / (low + 0.05) >= 4.5, f"{verdict}: WCAG AA asks for 4.5:1"


@pytest.mark.parametrize("column", [{}, {"ci_low": [np.nan], "ci_high": [np.nan]}])
def test_captions_name_intervals_only_where_there_are_some(column: dict[str, list[float]]) -> None:
    assert intervals(pd.DataFrame({"value": [1.0], **column})) == ""
    assert "95 %" in intervals(pd.DataFrame({"value": [1.0], "ci_low": [0.5], "ci_high": [1.5]}))


def test_slices_are_upright() -> None:
    volume = np.zeros((4, 5, 6))
    volume[3, 4, 5] = 1  # right, anterior, superior
    centre = (3, 4, 5)
    assert cut(volume, "axial", centre)[0, 3] == 1  # top row is anterior, last column is right
    assert cut(volume, "coronal", centre)[0, 3] == 1  # top row is superior, last column is right
    assert (
        cut(volume, "sagittal", centre)[0, 4] == 1
    )  # top row is superior, last column is anterior


def test_slice_helpers_survive_empty_input() -> None:
    assert brain_centre(np.zeros((4, 6, 8))) == (2, 3, 4)
    assert difference_limit(np.zeros(5)) == 0.02


def test_drawing_loads_no_learning_library() -> None:
    modules = {str(f.function).partition(":")[0] for f in FIGURES if f.function}
    code = (
        f"import sys; import {', '.join(sorted(modules))}, ldae.conclusions.readers, "
        "ldae.report.page; heavy = {'torch', 'sklearn', 'monai', 'lightning'}; "
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_registries_load_the_standard_library_only() -> None:
    code = (
        "import sys; import ldae.workflow.products; "
        "sys.exit(bool({'numpy', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_method_has_a_colour_of_the_palette() -> None:
    looks = [*(method.look for method in METHODS), *NETWORKS.values()]
    assert {look.color for look in looks} <= set(PALETTE)


def test_many_ablations_are_left_to_the_tables() -> None:
    def shown(*ablations: str) -> list[str]:
        study = study_methods(SETTINGS | {"ablations": dict.fromkeys(ablations, SMALL_CODE)})
        return [model.name for model in shown_models(study, study)]

    models = [method.name for method in METHODS if STUDY.is_(method.name, Role.MODEL)]
    assert shown("ldae_half", "ldae_third") == [*models, "ldae_half", "ldae_third"]
    assert shown("ldae_half", "ldae_third", "ldae_fourth") == models


def test_an_unknown_method_is_drawn_grey_under_its_name() -> None:
    assert Methods([]).look("something_else") == Look("something else", "grey")
