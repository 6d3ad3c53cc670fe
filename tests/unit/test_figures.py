"""Figures draw without the learning libraries, keep their data, and have captions."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluation_toy import draw_head
from matplotlib.figure import Figure

from ldae.conclusions.verdicts import FAILS, HOLDS, OPEN
from ldae.figures import curves, fidelity, images, probes
from ldae.figures.captions import CAPTIONS, caption
from ldae.figures.slices import brain_centre, cut, difference_limit
from ldae.figures.theme import color_of, label_of, save_figure
from ldae.figures.verdicts import plot_verdicts
from ldae.statistics.tables import tidy

Drawn = tuple[Figure, pd.DataFrame]
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
    return images.plot_cohort(np.stack([HEAD] * 6), np.stack([MASK] * 6), index, n_people=2)


def training() -> Drawn:
    log = pd.DataFrame({"step": range(100), "seconds": range(100), "train_loss": 1.0})
    log["val_loss"] = np.where(log["step"] % 20 == 0, 1.2, np.nan)
    return curves.plot_training({"autoencoder": log, "prior": log, "ldae": log, "voxel_dae": log})


def reconstruction() -> Drawn:
    example = {"scan": np.array(["sub-1"]), "steps": np.array(10), "mask": MASK[None]} | SEED
    methods = {"autoencoder": BIG[None], "ldae": BIG[None]}
    return images.plot_reconstruction(example | {"original": HEAD[None]} | methods)


def reconstruction_steps() -> Drawn:
    rows = [{"method": "autoencoder", "region": "mask", "metric": "mse", "value": 0.01}]
    rows += [
        {"method": "autoencoder", "region": "mask", "metric": "ssim", "window": 11, "value": 0.9}
    ]
    for steps in (10, 20):
        common = {"method": "ldae", "region": "mask", "steps": steps}
        rows += [common | {"metric": "ssim", "window": 11, "value": 0.8}]
        rows += [common | {"metric": "mse", "value": 0.02}]
    return curves.plot_reconstruction_steps(numbers("reconstruction", rows), window=11)


def stochastic() -> Drawn:
    samples = np.stack([HEAD, BIG, HEAD])
    example = {"scan": np.array("sub-1"), "original": HEAD, "mask": MASK, "samples": samples} | SEED
    return images.plot_stochastic(example | {"mean": samples.mean(0), "std": samples.std(0)})


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
    return probes.plot_roc(*predictions())


def age() -> Drawn:
    by_method, table = predictions()
    index = pd.DataFrame({"scan": [f"s{i}" for i in range(20)], "diagnosis": ["CN", ""] * 10})
    return probes.plot_age(by_method["ldae"], table, index)


def manipulation() -> Drawn:
    example = {"scan": np.array("sub-1"), "amounts": np.array([-1.0, 0, 1]), "mask": MASK} | SEED
    edited = np.stack([0.9 * HEAD, HEAD, BIG])
    return images.plot_manipulation(example | {"original": HEAD, "age": edited}, "age")


def dose_response() -> Drawn:
    rows: list[dict[str, object]] = []
    edits = ("ldae", "ldae_joint_targeted")
    for method, (name, judge, _) in itertools.product(edits, curves.RESPONSES):
        common = {"method": method, "task": "age", "judge": judge}
        common["attribute"] = "age" if judge else ""
        for amount in (-1, 0, 1):
            rows.append(common | {"metric": name, "amount": amount, "value": amount})
        rows.append(common | {"metric": f"{name.removesuffix('_ml')}_spearman", "value": 0.9})
    figure, data = curves.plot_dose_response(numbers("manipulation", rows))
    assert len(data) == 3 * len(curves.RESPONSES) * len(edits)
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
    figure, data = fidelity.plot_edit_fidelity(
        numbers("manipulation", rows), {"off_target_ratio": 0.2, "identity_kept": 0.95}
    )
    shown = data.groupby("metric")["method"].agg(set)
    both = {"ldae", "ldae_joint_targeted"}
    assert shown["off_target_ratio"] == both and shown["identity_kept"] == both
    assert shown["truth_correlation"] == both | {"group_difference"}
    assert shown["off_target_ratio_participants"] == shown["truth_ceiling"] == {"ldae"}
    return figure, data


def edit_maps() -> Drawn:
    example = {"scan": np.array("sub-1"), "amounts": np.array([-1.0, 0, 1]), "mask": MASK} | SEED
    example |= {"original": HEAD, "age": np.stack([0.9 * HEAD, HEAD, BIG])}
    figure, data = fidelity.plot_edit_maps(
        example | {"age_group": BIG - HEAD, "age_truth": HEAD - BIG}
    )
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
            | {"metric": "ssim_gain", "region": "mask", "window": 11, "value": steps / 100}
        )
    figure, data = fidelity.plot_comparisons(numbers("comparisons", rows), n_steps=20, window=11)
    assert data.loc[data["claim"] == "reconstruction", "value"].tolist() == [0.2]
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
    more = [rows[-1] | {"method": f"ldae_{name}"} for name in ("half", "quarter")]
    assert "ldae_short_code" not in set(
        plot_verdicts(numbers("verdicts", rows + more))[1]["method"]
    )
    figure, data = plot_verdicts(numbers("verdicts", rows))
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
    return curves.plot_volumes(pairs, numbers("volumes", rows))


def interpolation_sequence() -> Drawn:
    example = {"subject": np.array("sub-1"), "months": np.array([0.0, 6, 12]), "mask": MASK} | SEED
    example |= {"visit_a": HEAD, "real": HEAD, "visit_b": BIG, "ldae": BIG, "nearest_visit": HEAD}
    example |= {"sequence": np.stack([HEAD] * 5), "sequence_alpha": np.linspace(0, 1, 5)}
    return images.plot_interpolation_sequence(example)


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
    return curves.plot_interpolation_gap(numbers("interpolation", rows))


def throughput() -> Drawn:
    rows: list[dict[str, object]] = []
    for method in ("ldae", "voxel_dae"):
        common = {"method": method, "operation": "encode", "device": "cpu, 1 threads"}
        rows.append(common | {"metric": "seconds_per_scan", "value": 0.3})
        rows.append(common | {"metric": "peak_memory_mb", "value": 30})
    rows.append(common | {"method": "ldae", "metric": "speed_ratio", "value": 4})
    return curves.plot_throughput(numbers("throughput", rows))


FIGURES: list[Callable[[], Drawn]] = [
    cohort, training, reconstruction, reconstruction_steps, stochastic, roc, age, manipulation,
    dose_response, edit_fidelity, edit_maps, interpolation_sequence, interpolation_gap, throughput,
    comparisons, verdicts, volumes,
]  # fmt: skip


@pytest.mark.parametrize("draw", FIGURES, ids=lambda draw: draw.__name__)
def test_figure_is_saved_with_its_data_and_caption(
    draw: Callable[[], Drawn], tmp_path: Path
) -> None:
    figure, data = draw()
    files = [tmp_path / f"f.{kind}" for kind in ("png", "svg", "tsv")]
    save_figure(figure, data, *files)
    assert all(f.stat().st_size > 50 for f in files)
    text = caption(draw.__name__, pd.read_csv(files[2], sep="\t"))
    assert text.endswith(".") and "nan" not in text and len(text) > 60


def read_back(drawn: Drawn, folder: Path) -> pd.DataFrame:
    files = [folder / f"f.{kind}" for kind in ("png", "svg", "tsv")]
    save_figure(*drawn, *files)
    return pd.read_csv(files[2], sep="\t")


def test_captions_tell_which_trainings_are_shown(tmp_path: Path) -> None:
    by_method, table = predictions()
    one = caption("roc", read_back(probes.plot_roc(by_method, table), tmp_path))
    assert "training seed 3." in one and "Curves" not in one and "over subjects." in one
    again = by_method["ldae"].assign(prediction=0.5)
    by_method["ldae"] = pd.concat([by_method["ldae"].assign(seed=4), again.assign(seed=5)])
    several = numbers("probes", table.drop(columns="seed").to_dict("records")).assign(seed="4 5")
    figure, data = probes.plot_roc(by_method, several)
    curve = data[data["method"] == "ldae"]
    assert set(curve["training_seed"]) == {4} and len(curve) > 3, "the first training's curve"
    assert data.loc[data["method"] == "voxel_pca", "training_seed"].isna().all()
    text = caption("roc", read_back((figure, data), tmp_path))
    assert "Curves: training seed 4." in text and "training seeds 4, 5." in text
    assert "over training seeds and subjects." in text
    index = pd.DataFrame({"scan": [f"s{i}" for i in range(20)], "diagnosis": ["CN", ""] * 10})
    figure, data = probes.plot_age(by_method["ldae"], several, index)
    assert len(data) == 20
    assert "Points: training seed 4." in caption("age", read_back((figure, data), tmp_path))
    text = caption("manipulation_age", read_back(manipulation(), tmp_path))
    assert "Networks of training seed 3." in text


def test_every_training_has_a_curve(tmp_path: Path) -> None:
    log = pd.DataFrame({"step": range(10), "seconds": range(10), "train_loss": 1.0})
    both = pd.concat([log.assign(training_seed=s, train_loss=s + 1.0) for s in (0, 2)])
    drawn = curves.plot_training({"autoencoder": log, "ldae": both})
    data = read_back(drawn, tmp_path)
    of_ldae = data[data["stage"] == "ldae"].groupby("training_seed")["value"].unique()
    assert {seed: list(v) for seed, v in of_ldae.items()} == {0: [1.0], 2: [3.0]}
    assert data.loc[data["stage"] == "autoencoder", "training_seed"].isna().all()
    assert "one line for each of 2 training seeds" in caption("training", data)


def test_every_caption_has_a_figure_here() -> None:
    assert {draw.__name__ for draw in FIGURES} == set(CAPTIONS)
    with pytest.raises(ValueError, match="no caption"):
        caption("nothing", pd.DataFrame())


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_figure(*dose_response(), *(tmp_path / f"{name}.{k}" for k in ("png", "svg", "tsv")))
    for kind in ("png", "svg", "tsv"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


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
    code = (
        "import sys; from ldae.figures import captions, curves, fidelity, images, probes; import "
        "ldae.report.page; heavy = {'torch', 'sklearn', 'monai', 'lightning'}; "
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_ablations_are_named_after_the_network_that_they_change() -> None:
    assert label_of("ldae_joint_start") == "LDAE, joint, start"
    assert color_of("ldae_joint_start") == color_of("ldae_joint")
    assert label_of("ldae_multistep") == "LDAE, multistep sampler"
    assert label_of("something_else") == "something else"
