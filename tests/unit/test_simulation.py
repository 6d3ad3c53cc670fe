"""The simulated cohort: target volumes, rendered heads, and the agreement of both."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from ldae.data.bids import describe_bids, read_bids
from ldae.errors import InputError
from ldae.simulation import rates
from ldae.simulation.anatomy import REGIONAL_SD, draw_anatomy
from ldae.simulation.cohort import simulate_cohort
from ldae.simulation.population import draw_population, healthy_growth
from ldae.simulation.rates import ICV_RATIO_MEN
from ldae.simulation.sampling import refine_linear, sample_linear
from ldae.simulation.settings import SimulationSettings
from ldae.simulation.template import _block_mean, _double, build_template
from ldae.workflow.plan import simulated_summary

SETTINGS = {
    "n_subjects": 8,
    "months": [0, 12, 24],
    "follow_up_share": 1.0,
    "missing_visit_rate": 0.3,
    "shares": {"CN": 0.5, "MCI": 0.0, "AD": 0.5},
    "age_years": [55, 90],
    "n_sites": 3,
    "contrast_sd": 0.015,
    "spacing_mm": 6.0,
}


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    simulate_cohort(SETTINGS, 3, folder / "bids", folder / "truth", 1)
    return folder


@pytest.fixture(scope="module")
def truth(cohort: Path) -> pd.DataFrame:
    return pd.read_csv(cohort / "truth" / "volumes.tsv", sep="\t")


def population(n: int, seed: int = 0) -> pd.DataFrame:
    shares = {"CN": 0.45, "MCI": 0.2, "AD": 0.35}
    settings = {**SETTINGS, "n_subjects": n, "shares": shares, "missing_visit_rate": 0.0}
    return draw_population(SimulationSettings.from_mapping(settings), seed)


def test_follow_up_share_is_the_share_of_participants_with_follow_up() -> None:
    settings = {**SETTINGS, "n_subjects": 400, "follow_up_share": 0.3, "missing_visit_rate": 0.0}
    visits = draw_population(SimulationSettings.from_mapping(settings), 0)["subject"].value_counts()
    assert set(visits) == {1, len(SETTINGS["months"])}
    assert (visits > 1).mean() == pytest.approx(0.3, abs=0.07)


def test_files_do_not_depend_on_workers(cohort: Path, tmp_path: Path) -> None:
    simulate_cohort(SETTINGS, 3, tmp_path / "bids", tmp_path / "truth", 2)
    assert digests(tmp_path) == digests(cohort)


def test_files_do_not_depend_on_the_processor(cohort: Path, tmp_path: Path) -> None:
    """Another BLAS kernel, and numpy without the instructions of newer processors."""
    script = (
        "import json, pathlib, sys; from ldae.simulation.cohort import simulate_cohort; "
        "to = pathlib.Path(sys.argv[2]); "
        "simulate_cohort(json.loads(sys.argv[1]), 3, to / 'bids', to / 'truth', 1)"
    )
    older = {"OPENBLAS_CORETYPE": "Prescott", "NPY_DISABLE_CPU_FEATURES": " ".join(_newer())}
    subprocess.run(
        [sys.executable, "-c", script, json.dumps(SETTINGS), str(tmp_path)],
        env=os.environ | older, check=True,
    )  # fmt: skip
    assert digests(tmp_path) == digests(cohort)


def _newer() -> list[str]:
    """Instruction sets beyond numpy's baseline that this processor has."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    return [name for name in __cpu_dispatch__ if __cpu_features__[name]]


def test_cohort_is_read_back(cohort: Path, truth: pd.DataFrame) -> None:
    read = read_bids(cohort / "bids", 1, public=True)
    scans = read.scans
    assert not read.notices
    assert list(scans["scan"]) == list(truth["scan"])
    assert describe_bids(cohort / "bids", public=True) == simulated_summary(SETTINGS, 3)
    assert set(scans["site"]) == {"site-01", "site-02", "site-03"}
    ages = scans.groupby("subject")["age"].agg(lambda a: a.iloc[-1] - a.iloc[0])
    months = scans.groupby("subject")["months"].max()
    np.testing.assert_allclose(ages, months / 12, atol=0.02)


def test_target_volumes_are_rendered(truth: pd.DataFrame) -> None:
    target = draw_population(SimulationSettings.from_mapping(SETTINGS), 3).set_index("scan")
    rendered = truth.set_index("scan")
    for name in ("icv_ml", "hippocampus_ml", "cortex_ml", "ventricles_ml"):
        np.testing.assert_allclose(rendered[name], target[name], rtol=0.06)
    total = truth["brain_ml"] + truth["csf_ml"]
    np.testing.assert_allclose(total, truth["icv_ml"], rtol=1e-3)


def test_raw_grid_holds_the_true_volumes(cohort: Path, truth: pd.DataFrame) -> None:
    names = {"ventricles_ml": 0, "hippocampus_ml": 4, "cortex_ml": 5}
    for row in truth.to_dict("records"):
        image = nib.load(cohort / "truth" / "maps" / f"{row['scan']}_tissues.nii.gz")
        voxel_ml = abs(np.linalg.det(image.affine[:3, :3])) / 1000
        sums = np.asarray(image.dataobj).reshape(-1, 6).sum(0) / 255 * voxel_ml
        for name, place in names.items():
            assert sums[place] == pytest.approx(row[name], rel=0.06)


def test_ventricles_grow_and_hippocampi_shrink(truth: pd.DataFrame) -> None:
    for _, visits in truth.groupby("subject"):
        assert (np.diff(visits["ventricles_ml"]) > 0).all()
        assert (np.diff(visits["hippocampus_ml"]) < 0).all()
        assert (np.diff(visits["brain_ml"]) < 0).all()


def test_raw_heads_look_like_raw_heads(cohort: Path, truth: pd.DataFrame) -> None:
    codes = set()
    for scan in truth["scan"]:
        subject, session = scan.split("_")
        path = cohort / "bids" / subject / session / "anat" / f"{scan}_T1w.nii.gz"
        image = nib.load(path)
        mask = nib.load(cohort / "truth" / "maps" / f"{scan}_mask.nii.gz")
        assert image.get_data_dtype() == np.int16
        np.testing.assert_allclose(image.affine, mask.affine)
        codes.add("".join(nib.aff2axcodes(image.affine)))
        head, inside = np.asarray(image.dataobj), np.asarray(mask.dataobj) > 0
        assert head[~inside].max() > np.median(head[inside])  # scalp outside the brain
        litres = inside.sum() * abs(np.linalg.det(image.affine[:3, :3])) / 1e6
        assert 1.0 < litres < 2.1
    assert codes == {"RAS", "LPS", "PSR"}


def test_deformation_leads_to_the_template(cohort: Path, truth: pd.DataFrame) -> None:
    scan = truth["scan"].iloc[0]
    with np.load(cohort / "truth" / "maps" / f"{scan}_deformation.npz") as found:
        moved = found["displacement"].astype(float)
        assert np.isfinite(moved).all()
        assert 1 < np.abs(moved).max() < 40
    mask = nib.load(cohort / "truth" / "maps" / f"{scan}_mask.nii.gz")
    centre = np.argwhere(np.asarray(mask.dataobj)).mean(0)
    world = mask.affine @ [*centre, 1]
    with np.load(cohort / "truth" / "maps" / f"{scan}_deformation.npz") as found:
        place = (found["world_to_template"] @ world)[:3]
        node = np.linalg.solve(found["grid_affine"], world)[:3].round().astype(int)
        place = place + found["displacement"][tuple(node)]
    np.testing.assert_allclose(place, [0, -20, 8], atol=12)  # the brain's centre in MNI mm


def test_population_depends_on_the_seed_alone() -> None:
    first, again = population(20), population(20)
    assert len(first) == 60
    pd.testing.assert_frame_equal(first, again)
    assert not population(20, seed=1)["icv_ml"].equals(first["icv_ml"])


def test_own_draws_of_a_participant_do_not_depend_on_the_size_of_the_cohort() -> None:
    # Diagnosis, age, sex and site are allocated over the whole cohort. The draw of head size is the
    # participant's own: it may differ only by the factor between men and women.
    few, many = (population(n).groupby("subject").first() for n in (20, 40))
    ratio = np.abs(np.log(few["icv_ml"] / many.loc[few.index, "icv_ml"]))
    same_sex = few["sex"] == many.loc[few.index, "sex"]
    np.testing.assert_allclose(ratio[same_sex], 0, atol=1e-6)
    np.testing.assert_allclose(ratio[~same_sex], np.log(ICV_RATIO_MEN), atol=1e-6)


def test_groups_overlap_and_age_does_not_predict_them() -> None:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    first = population(1000)
    first = first[first["months"] == 0]
    volumes = first[["icv_ml", "ventricles_ml", "hippocampus_ml", "cortex_ml"]].to_numpy()
    chosen = (first["diagnosis"] != "MCI").to_numpy()
    patient = (first["diagnosis"] == "AD").to_numpy()[chosen]
    model = make_pipeline(StandardScaler(), LogisticRegression())
    scores = cross_val_predict(model, volumes[chosen], patient, method="predict_proba")[:, 1]
    assert 0.84 < roc_auc_score(patient, scores) < 0.94
    age = first["age"].to_numpy()
    assert 0.45 < roc_auc_score(patient, age[chosen]) < 0.55
    guess = cross_val_predict(make_pipeline(StandardScaler(), Ridge()), volumes, age)
    assert 3.4 < np.abs(guess - age).mean() < 5.2


def test_everyone_varies_regionally() -> None:
    """Cortex, hippocampi and ventricles: the disease is no direction that controls lack."""
    template = build_template(6.0)
    fields = np.stack(
        [
            draw_anatomy(template, 1450.0, np.random.default_rng(i)).regional[4:-4, 4:-4, 4:-4]
            for i in range(40)
        ]
    )
    np.testing.assert_allclose(fields.mean((0, 1, 2, 3)), 0, atol=0.02)
    np.testing.assert_allclose(fields.std((0, 1, 2, 3)), REGIONAL_SD, rtol=0.25)
    # The loss that a patient of average severity has more than a control, where it is largest, is
    # about twice the SD of a control there.
    lost = rates.CORTEX_ML * (1 - np.exp(rates.CORTEX_LOG_EFFECT_AD))
    outer = template.brain[..., 6].sum() * template.step_mm**3 / 1000
    assert 0.5 < lost / (0.45 * outer) / REGIONAL_SD[0] < 2.5


def test_norms_by_age_are_the_published_ones() -> None:
    ventricles, hippocampi, _ = healthy_growth(40, 53)
    assert ventricles == pytest.approx(55 / 16) and hippocampi == pytest.approx(3.3 / 4.1)
    controls = population(3000)
    controls = controls[(controls["diagnosis"] == "CN") & (controls["months"] == 0)]
    relative = np.log(controls["hippocampus_ml"] / controls["icv_ml"] ** 0.7)
    per_year = np.polyfit(controls["age"], relative, 1)[0]
    assert per_year == pytest.approx(np.log(healthy_growth(55, 35)[1]) / 35, abs=0.001)


def test_rates_are_the_published_ones() -> None:
    table = population(600)
    first = table[table["months"] == 0].set_index("subject")
    last = table[table["months"] == 24].set_index("subject")
    hippocampus = np.log(last["hippocampus_ml"] / first["hippocampus_ml"]) / 2
    ventricles = (last["ventricles_ml"] - first["ventricles_ml"]) / 2
    by_group = first["diagnosis"]
    assert hippocampus.groupby(by_group).mean()["AD"] == pytest.approx(-0.047, abs=0.004)
    assert hippocampus.groupby(by_group).mean()["CN"] == pytest.approx(-0.014, abs=0.004)
    assert ventricles.groupby(by_group).mean()["AD"] == pytest.approx(5.0, abs=0.5)
    assert ventricles.groupby(by_group).mean()["CN"] == pytest.approx(1.5, abs=0.3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_subjects", 3), ("n_subjects", 10.5), ("months", [6, 12]), ("months", [0, 12, 6]),
        ("follow_up_share", 1.5), ("missing_visit_rate", 1.0), ("missing_visit_rate", "x"),
        ("shares", {"CN": 0.5}),
        ("shares", {"CN": 0.5, "FTD": 0.5}), ("age_years", [90, 55]), ("age_years", [55]),
        ("n_sites", 0), ("spacing_mm", 0.5), ("contrast_sd", 0.5),
    ],
)  # fmt: skip
def test_wrong_setting_is_named(key: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"cohort\.simulated\.{key}"):
        simulate_cohort({**SETTINGS, key: value}, 0, tmp_path / "b", tmp_path / "t", 1)
    assert not list(tmp_path.iterdir())


def test_missing_and_unknown_settings_are_named() -> None:
    with pytest.raises(InputError, match="n_sites"):
        SimulationSettings.from_mapping({k: v for k, v in SETTINGS.items() if k != "n_sites"})
    with pytest.raises(InputError, match="spacing: there is no such setting"):
        SimulationSettings.from_mapping({**SETTINGS, "spacing": 4})


@pytest.mark.parametrize("shape", [(6, 8, 4), (7, 9, 5)])
def test_map_at_half_the_voxel_size_fills_the_grid(shape: tuple[int, int, int]) -> None:
    coarse = np.random.default_rng(0).random([n // 2 for n in shape], np.float32)
    fine = _double(coarse, shape)
    assert fine.shape == shape
    np.testing.assert_allclose(_block_mean(fine, 2), coarse, rtol=1e-6)


def test_sampling_is_linear() -> None:
    rng = np.random.default_rng(0)
    grid = np.indices((6, 7, 8), np.float32)
    plane = np.stack([grid[0] + 2 * grid[1], 3 - grid[2]], -1)
    places = rng.uniform(0, [5, 6, 7], (50, 3)).astype(np.float32)
    values = sample_linear(plane, places)
    np.testing.assert_allclose(values[:, 0], places[:, 0] + 2 * places[:, 1], atol=0.02)
    np.testing.assert_allclose(values[:, 1], 3 - places[:, 2], atol=0.02)
    fine = refine_linear(plane, (11, 13, 15), np.full(3, 0.5))
    np.testing.assert_allclose(fine[::2, ::2, ::2], plane, atol=1e-5)
