"""The stage on synthetic heads: registration, masks, grid, determinism, faults, quality control."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from fruits import make_fruit
from head_toy import SHAPE, affine_of, make_head
from scipy import ndimage

from ldae.data.addresses import Derivative, derivative_address
from ldae.errors import InputError, MachineError
from ldae.preprocessing import grid_affine, measures, preprocess_batch, registration
from ldae.preprocessing.bias import correct_bias
from ldae.preprocessing.brain import check_method, external_mask, read_mask, template_mask
from ldae.preprocessing.dataset import describe_dataset, write_description
from ldae.preprocessing.grid import (
    Image,
    apply_affine,
    dice,
    downsample,
    resample_affine,
    smooth,
)
from ldae.preprocessing.limits import exceeded_limits
from ldae.preprocessing.masks import one_body
from ldae.preprocessing.measures import signal_to_noise
from ldae.preprocessing.quality import (
    plot_quality_control,
    quality_control,
    rank_suspects,
)
from ldae.preprocessing.quality_page import write_quality_page
from ldae.preprocessing.registration import register_brain, register_deformable
from ldae.preprocessing.resampling import scale_intensity, to_grid
from ldae.preprocessing.scan import read_scan
from ldae.preprocessing.template import brain_box_mm, head_template, load_template
from ldae.workflow.settings.study import StudySettings

SETTINGS: dict[str, Any] = StudySettings().preprocessing.model_dump() | {
    "brain_extraction": "template",
    "mask_pattern": "derivatives/masks/{subject}/{session}/anat/{scan}_desc-brain_mask.nii.gz",
}
VALIDATOR = ROOT / ".crate-check/bin/bids-validator-deno"
GRID = {"spacing_mm": 4.0, "shape": [40, 48, 40]}
LIMITS: dict[str, Any] = {
    "brain_volume_ml": [800.0, 2200.0],
    "scale": [0.8, 1.5],
    "min_mask_dice": 0.85,
    "min_correlation": 0.4,
    "min_tissue_contrast": 0.05,
    "min_signal_to_noise": 5.0,
    "max_cropped_fraction": 0.02,
    "max_cut_area_cm2": 20.0,
    "max_bright_outside": 0.4,
    "max_rotation_degrees": 45.0,
    "reference_masks": None,
}


def write_cohort(folder: Path, n: int) -> pd.DataFrame:
    rows = []
    for k in range(n):
        name = f"sub-{k:02d}"
        path = folder / name / "anat" / f"{name}_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        head, _, _ = make_head(k)
        image = nib.Nifti1Image(head.data.astype(np.int16), head.affine)
        nib.save(image, path)
        relative = str(path.relative_to(folder))
        rows.append({"scan": name, "subject": name, "session": "", "path": relative})
    return pd.DataFrame(rows)


def made(out: Path, scan: str, kind: Derivative) -> Path:
    return out / derivative_address(scan, kind)


def files_of(out: Path, subject: str) -> list[Path]:
    return sorted(path for path in (out / subject).rglob("*") if path.is_file())


Done = tuple[pd.DataFrame, Path, Path, pd.DataFrame]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Four heads, the third of them broken, preprocessed by two processes; and their table."""
    folder = tmp_path_factory.mktemp("cohort")
    scans = write_cohort(folder / "bids", 4)
    broken = folder / "bids" / scans.loc[2, "path"]
    broken.write_bytes(broken.read_bytes()[:500])
    table = preprocess_batch(scans, folder / "bids", folder / "out", SETTINGS, GRID, n_workers=2)
    return scans, folder / "bids", folder / "out", table


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_template_finds_brain_and_affine(seed: int) -> None:
    head, brain, truth = make_head(seed)
    mask, start = template_mask(correct_bias(head)[0])
    assert dice(one_body(mask), brain) > 0.95
    found, correlation = register_brain(head, mask, start)
    assert correlation > 0.9
    corners = np.array(
        [[-60.0, 0, 0], [60, 0, 0], [0, -95, 0], [0, 60, 0], [0, 0, 70], [0, 0, -40]]
    )
    apart = np.linalg.norm(apply_affine(found, corners) - apply_affine(truth, corners), axis=1)
    assert apart.max() < 5.0
    assert apart.mean() < 2.5


def test_brain_registers_without_a_start() -> None:
    head, brain, truth = make_head(4, bias=0.0)
    found, _ = register_brain(head, brain, None)
    points = np.random.default_rng(0).uniform(-60, 60, (50, 3))
    apart = np.linalg.norm(apply_affine(found, points) - apply_affine(truth, points), axis=1)
    assert apart.mean() < 1.5


def test_demons_brings_the_scan_closer() -> None:
    head, brain, truth = make_head(5, bias=0.0)
    off = truth @ np.diag([1.06, 0.95, 1.04, 1.0])  # an affine error that the field has to undo
    warp = register_deformable(head, brain, off, 4.0, "demons")
    affine = grid_affine(4.0, (40, 48, 40))
    template = load_template()
    target = resample_affine(
        smooth(Image(template.t1, template.affine), 4.0), np.eye(4), (40, 48, 40), affine, order=1
    )

    def likeness(field: Image | None) -> float:
        values, inside = to_grid(head, brain, off, field, (40, 48, 40), affine)
        return float(np.corrcoef((values * inside).ravel(), target.ravel())[0, 1])

    assert likeness(warp) > likeness(None) + 0.02


def test_workers_make_nothing_of_the_template(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for made_once in (registration._template_points, registration._template_ml, measures._on_grid):
        made_once.cache_clear()
    parent, prepared = os.getpid(), []

    def only_here(work: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: float) -> object:
            if os.getpid() != parent:
                raise ValueError(f"a worker calls {work.__name__}")
            prepared.append(work.__name__)
            return work(*arguments)

        return watched

    for module, work in ((registration, head_template), (measures, load_template)):
        monkeypatch.setattr(module, work.__name__, only_here(work))
    scans = write_cohort(tmp_path / "bids", 1)
    table = preprocess_batch(
        scans, tmp_path / "bids", tmp_path / "out", SETTINGS, GRID, n_workers=1
    )
    assert list(table["reason"]) == [""]
    assert set(prepared) == {"head_template", "load_template"}


def test_bias_field_is_found() -> None:
    flat, brain, _ = make_head(6, bias=0.0)
    bent, _, _ = make_head(6, bias=0.35)
    corrected, deviation = correct_bias(bent)
    assert deviation > 0.03

    def spread(image: Image) -> float:
        return float(np.std(np.log((image.data[brain] + 1) / (flat.data[brain] + 1))))

    assert spread(corrected) < 0.75 * spread(bent)


def test_files_of_a_scan(done: Done) -> None:
    _, bids, out, _ = done
    volume = nib.load(made(out, "sub-00", Derivative.VOLUME))
    mask = nib.load(made(out, "sub-00", Derivative.MASK))
    native = nib.load(made(out, "sub-00", Derivative.NATIVE_MASK))
    raw = nib.load(bids / "sub-00" / "anat" / "sub-00_T1w.nii.gz")
    values, inside = np.asarray(volume.dataobj), np.asarray(mask.dataobj)
    assert volume.shape == mask.shape == (40, 48, 40)
    assert volume.get_data_dtype() == np.float32
    assert mask.get_data_dtype() == native.get_data_dtype() == np.uint8
    assert nib.aff2axcodes(volume.affine) == ("R", "A", "S")
    np.testing.assert_allclose(volume.affine, grid_affine(4.0, (40, 48, 40)))
    middle = apply_affine(volume.affine, (np.array(volume.shape) - 1) / 2)
    np.testing.assert_allclose(middle, brain_box_mm().mean(axis=0))
    assert values.min() == 0.0
    assert values.max() == 1.0
    assert (values[inside == 0] == 0).all()
    assert set(np.unique(inside)) == {0, 1}
    assert native.shape == raw.shape
    np.testing.assert_array_equal(native.affine, raw.affine)
    assert dice(np.asarray(native.dataobj) > 0, make_head(0)[1]) > 0.95

    transform = json.loads(made(out, "sub-00", Derivative.TRANSFORM).read_text())
    found, truth = np.linalg.inv(transform["affine"]), affine_of(0)
    assert np.linalg.norm(apply_affine(found, np.zeros(3)) - apply_affine(truth, np.zeros(3))) < 4
    sidecar = json.loads(made(out, "sub-00", Derivative.SIDECAR).read_text())
    assert sidecar["SkullStripped"] is True
    assert sidecar["native"]["shape"] == list(SHAPE)
    assert made(out, "sub-00", Derivative.PREVIEW).is_file()


def test_broken_scan_fails_alone(done: Done) -> None:
    scans, bids, out, table = done
    assert table["scan"].tolist() == scans["scan"].tolist()
    assert table["status"].tolist() == ["ok", "ok", "failed", "ok"]
    assert not files_of(out, "sub-02") and table.loc[2, "sha256"] == ""
    assert table.loc[2, "reason"].startswith("sub-02/anat/sub-02_T1w.nii.gz: ")
    assert str(bids) not in table.loc[2, "reason"]
    assert made(out, "sub-03", Derivative.VOLUME).is_file()
    assert table["sha256"].nunique() == 4 and table.loc[0, "seconds_register"] > 0


def test_the_reason_does_not_say_who_it_is(tmp_path: Path) -> None:
    """Participants whose labels must not be shown have pseudonyms in the table of scans."""
    row = {"scan": "sub-p1_ses-p2", "subject": "sub-p1", "session": "ses-p2"}
    (tmp_path / "participants.tsv").touch()
    path = "sub-ADNI7/ses-20150312/anat/sub-ADNI7_ses-20150312_T1w.nii.gz"
    scans = pd.DataFrame([row | {"path": path}])
    table = preprocess_batch(scans, tmp_path, tmp_path / "out", SETTINGS, GRID, n_workers=1)
    reason = table.loc[0, "reason"]
    assert "ADNI7" not in reason and "2015" not in reason
    assert reason.startswith("sub-p1/ses-p2/anat/sub-p1_ses-p2_T1w.nii.gz: there is no such file")


def test_the_reason_does_not_say_the_place_below_a_table_of_scans(tmp_path: Path) -> None:
    path = "Ward 7/Anna Maria T1.nii.gz"
    (tmp_path / "data/Ward 7").mkdir(parents=True)
    (tmp_path / "data" / path).touch()
    row = {"scan": "sub-p0123", "subject": "sub-p0123", "session": "", "path": path}
    args = (tmp_path / "data", tmp_path / "out", SETTINGS, GRID)
    table = preprocess_batch(pd.DataFrame([row]), *args, n_workers=0)
    assert table.loc[0, "reason"].startswith("sub-p0123: the file is empty (0 bytes)")


def test_a_scan_in_template_space_is_not_registered_again(tmp_path: Path) -> None:
    """As Clinica's t1-linear leaves it: only its grid changes, and the skull is stripped."""
    head, brain, truth = make_head(0)
    args = (truth, SHAPE, head.affine)
    moved = resample_affine(head, *args, order=1)
    inside = resample_affine(Image(brain.astype(np.float32), head.affine), *args, order=1) > 0.5
    scan = "sub-01_ses-M000"
    path = (
        f"subjects/sub-01/ses-M000/t1_linear/{scan}_space-MNI152NLin2009cSym_desc-Crop_T1w.nii.gz"
    )
    (tmp_path / "caps" / path).parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(moved.astype(np.int16), head.affine), tmp_path / "caps" / path)
    row = {"scan": scan, "subject": "sub-01", "session": "ses-M000", "path": path}
    out = tmp_path / "out"
    table = preprocess_batch(
        pd.DataFrame([row]), tmp_path / "caps", out, SETTINGS, GRID, n_workers=0
    )
    assert table.loc[0, "status"] == "ok"
    transform = json.loads(made(out, scan, Derivative.TRANSFORM).read_text())
    assert transform["affine"] == np.eye(4).tolist()
    sidecar = json.loads(made(out, scan, Derivative.SIDECAR).read_text())
    assert sidecar["registration"] == "in template space before"
    assert sidecar["brain_extraction"] == "template"
    mask = np.asarray(nib.load(made(out, scan, Derivative.NATIVE_MASK)).dataobj) > 0
    assert dice(mask, inside) > 0.95
    assert quality_control(table[["scan"]], table, out, LIMITS).loc[0, "status"] == "pass"


def test_volumes_that_are_no_brains_are_preprocessed_by_settings_alone(tmp_path: Path) -> None:
    """Fruits with a stone, where they lie, in masks of their own."""
    settings = SETTINGS | {
        "bias_correction": False,
        "brain_extraction": "precomputed",
        "mask_pattern": "{scan}_mask.nii.gz",
        "registration": "none",
    }
    limits = LIMITS | {
        "brain_volume_ml": [1.0, 5000.0], "min_mask_dice": 0.0, "min_correlation": -1.0,
        "min_tissue_contrast": -100.0, "max_bright_outside": 1.0,
    }  # fmt: skip
    rows, masks = [], []
    for radius in (45.0, 50.0, 55.0):
        scan = f"sub-{radius:.0f}"
        fruit, mask, affine = make_fruit(GRID, radius, stone=10.0)
        masks.append(mask)
        for name, values in (("T1w", fruit), ("mask", mask)):
            image = nib.Nifti1Image(values.astype(np.float32), affine)
            nib.save(image, tmp_path / f"{scan}_{name}.nii.gz")
        row = {"scan": scan, "subject": scan, "session": "", "path": f"{scan}_T1w.nii.gz"}
        rows.append(row)
    scans, out = pd.DataFrame(rows), tmp_path / "out"
    table = preprocess_batch(scans, tmp_path, out, settings, GRID, n_workers=0)
    assert table["reason"].tolist() == [""] * 3
    for scan, mask in zip(scans["scan"], masks, strict=True):
        found = nib.load(made(out, scan, Derivative.MASK)).get_fdata() > 0
        assert np.array_equal(found, mask), "nothing was moved"
        assert json.loads(made(out, scan, Derivative.SIDECAR).read_text())["registration"] == "none"
    qc = quality_control(scans, table, out, limits)
    assert qc["status"].tolist() == ["pass"] * 3, qc["reason"].tolist()


def test_same_bits_again(done: Done, tmp_path: Path) -> None:
    """Whatever the order of the scans, the company they are in and the number of processes."""
    scans, bids, out, before = done
    table = preprocess_batch(scans.iloc[[3, 1]], bids, tmp_path, SETTINGS, GRID, n_workers=1)
    assert table["sha256"].tolist() == before["sha256"].iloc[[3, 1]].tolist()
    files = files_of(out, "sub-01")
    assert len(files) == len(Derivative) - 1, "all but the warp"
    for path in files:
        assert (tmp_path / path.relative_to(out)).read_bytes() == path.read_bytes()


def test_no_head_in_the_picture(tmp_path: Path) -> None:
    data = np.random.default_rng(0).normal(100, 1, SHAPE).astype(np.float32)
    data[20:22, 20:22, 20:22] = 5000
    nib.save(nib.Nifti1Image(data, np.diag([4.0, 4, 4, 1])), tmp_path / "a_T1w.nii.gz")
    scans = pd.DataFrame([{"scan": "a", "subject": "a", "session": "", "path": "a_T1w.nii.gz"}])
    table = preprocess_batch(scans, tmp_path, tmp_path / "out", SETTINGS, GRID, n_workers=1)
    qc = quality_control(scans, table, tmp_path / "out", LIMITS)
    assert qc.loc[0, "status"] == "excluded"


def test_precomputed_mask(tmp_path: Path) -> None:
    scans = write_cohort(tmp_path, 1)
    settings = SETTINGS | {"brain_extraction": "precomputed"}
    table = preprocess_batch(scans, tmp_path, tmp_path / "out", settings, GRID, n_workers=1)
    missing = "derivatives/masks/sub-00/anat/sub-00_desc-brain_mask.nii.gz: "
    assert table.loc[0, "reason"].startswith(missing)

    _, brain, _ = make_head(0)
    path = tmp_path / "derivatives/masks/sub-00/anat/sub-00_desc-brain_mask.nii.gz"
    path.parent.mkdir(parents=True)
    raw = nib.load(tmp_path / scans.loc[0, "path"])
    nib.save(nib.Nifti1Image(brain.astype(np.uint8), raw.affine), path)
    preprocess_batch(scans, tmp_path, tmp_path / "out", settings, GRID, n_workers=1)
    native = nib.load(made(tmp_path / "out", "sub-00", Derivative.NATIVE_MASK))
    assert dice(np.asarray(native.dataobj) > 0, brain) > 0.999

    moved = raw.affine.copy()
    moved[0, 3] += 3.0
    nib.save(nib.Nifti1Image(brain.astype(np.uint8), moved), path)
    with pytest.raises(InputError, match=r"3\.00 mm away"):
        read_mask(path, read_scan(tmp_path / scans.loc[0, "path"]))


@pytest.mark.parametrize(
    ("method", "command", "place"),
    [("synthstrip", "mri_synthstrip", "$4"), ("hdbet", "hd-bet", "${4%.nii.gz}_bet.nii.gz")],
)
def test_external_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, command: str, place: str
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(InputError, match="not on the PATH"):
        check_method(method)
    program = tmp_path / command
    # Stands in for the real program: the "mask" is the head itself, positive everywhere.
    program.write_text(f'#!/bin/sh\ncp "$2" "{place}"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    check_method(method)
    scans = write_cohort(tmp_path, 1)
    scan = read_scan(tmp_path / scans.loc[0, "path"])
    np.testing.assert_array_equal(external_mask(scan, method), scan.image.data > 0)
    for line, error, match in (
        ("echo no head here >&2; exit 3", InputError, "no head here"),
        ("echo out of memory >&2; exit 3", MachineError, "out of memory"),
        ("kill -KILL $$", MachineError, "SIGKILL"),
        ("kill -SEGV $$", InputError, "SIGSEGV"),
    ):
        program.write_text(f"#!/bin/sh\n{line}\n")
        with pytest.raises(error, match=match):
            external_mask(scan, method)


@pytest.mark.parametrize(
    "change",
    [
        {"brain_extraction": "magic"},
        {"registration": "syn"},
        {"intensity_percentiles": [99.0, 1.0]},
    ],
)
def test_wrong_setting_stops_before_work(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="preprocessing"):
        preprocess_batch(
            pd.DataFrame(), tmp_path, tmp_path / "out", SETTINGS | change, GRID, n_workers=1
        )
    assert not (tmp_path / "out").exists()


def test_downsample_keeps_place_and_mean() -> None:
    rng = np.random.default_rng(0)
    image = Image(
        ndimage.gaussian_filter(rng.normal(size=(31, 40, 28)), 3), np.diag([1.0, 2, 1, 1])
    )
    coarse = downsample(image, 2.0)
    assert coarse.data.shape == (15, 40, 14)
    np.testing.assert_allclose(coarse.spacing, 2.0)
    there = resample_affine(
        smooth(image, np.array([1.7, 0.0, 1.7])),
        np.eye(4),
        coarse.data.shape,
        coarse.affine,
        order=1,
    )
    assert np.corrcoef(there.ravel(), coarse.data.ravel())[0, 1] > 0.99


def test_intensity_scale() -> None:
    values = np.arange(1000.0).reshape(10, 10, 10)
    mask = values >= 100
    scaled = scale_intensity(values, mask, [0.5, 99.5])
    assert scaled.dtype == np.float32
    assert (scaled[~mask] == 0).all()
    assert scaled.max() == 1.0
    with pytest.raises(ValueError, match="outside the study grid"):
        scale_intensity(values, np.zeros_like(mask), [0.5, 99.5])
    with pytest.raises(ValueError, match="contrast"):
        scale_intensity(np.ones_like(values), mask, [0.5, 99.5])


def test_signal_to_noise_is_the_noise_s() -> None:
    rng = np.random.default_rng(0)
    ramp = np.linspace(90, 110, 30)[:, None, None] + np.zeros((30, 30, 30))
    mask = np.zeros(ramp.shape, bool)
    mask[2:-2, 2:-2, 2:-2] = True
    assert signal_to_noise(ramp + rng.normal(0, 4, ramp.shape), mask) == pytest.approx(25, rel=0.05)


def test_quality_control(done: Done, tmp_path: Path) -> None:
    scans, _, out, table = done
    qc = quality_control(scans, table, out, LIMITS)
    assert list(qc["scan"]) == list(scans["scan"])
    assert list(qc["status"]) == ["pass", "pass", "excluded", "pass"]
    assert "cannot be" in qc.loc[2, "reason"]
    strict = quality_control(scans, table, out, LIMITS | {"brain_volume_ml": [10.0, 20.0]})
    assert (strict["status"] == "excluded").all()
    assert "brain_volume_ml" in strict.loc[0, "reason"]
    assert rank_suspects(qc).iloc[0]["scan"] == "sub-02"
    blurred = qc.assign(signal_to_noise=[20.0, 21.0, np.nan, 100.0])
    assert rank_suspects(blurred)["scan"].tolist()[:2] == ["sub-02", "sub-03"]

    for k in range(3):
        _, brain, _ = make_head(k)
        raw_affine = make_head(k)[0].affine
        nib.save(nib.Nifti1Image(brain.astype(np.uint8), raw_affine), tmp_path / f"sub-{k:02d}.nii")
    limits = LIMITS | {"reference_masks": "{scan}.nii"}
    overlap = quality_control(scans, table, out, limits, tmp_path)["dice_reference"]
    assert overlap[0] > 0.95
    assert np.isnan(overlap[2])
    assert np.isnan(overlap[3])
    with pytest.raises(InputError, match="reference_masks"):
        wrong = limits | {"reference_masks": "{scan}_none.nii"}
        quality_control(scans, table, out, wrong, tmp_path)

    plot_quality_control(qc, out, tmp_path / "qc.png")
    assert (tmp_path / "qc.png").stat().st_size > 20_000
    begun = time.perf_counter()
    write_quality_page(qc, out, tmp_path / "qc.html")
    assert time.perf_counter() - begun < 4 * 0.03 + 1.0
    page = (tmp_path / "qc.html").read_text()
    assert page.count("data:image/jpeg;base64") == 3, "one for each scan that could be processed"
    assert all(scan in page for scan in scans["scan"])
    assert "http" not in page
    assert len(page) < 10_000 + 4 * 15_000


def test_no_label_breaks_the_page(done: Done, tmp_path: Path) -> None:
    scans, _, out, table = done
    qc = quality_control(scans, table, out, LIMITS)
    label = "sub-<!--<script></script>&@ROWS@"
    qc.loc[2, ["scan", "reason", "notes"]] = label
    write_quality_page(qc, out, tmp_path / "qc.html")
    script = (tmp_path / "qc.html").read_text().split("<script>", 1)[1]
    assert script.count("</script>") == 1 and "<!--" not in script and "<script" not in script
    rows = script.split(", rows=", 1)[1].split(", units=", 1)[0]
    assert label in {row["n"] for row in json.loads(rows)}


def test_what_was_not_preprocessed_is_named(done: Done, tmp_path: Path) -> None:
    scans, _, out, table = done
    with pytest.raises(InputError, match="1 scans are in no batch, first sub-01"):
        quality_control(scans, table.drop(1), out, LIMITS)
    with pytest.raises(InputError, match=r"sub-00_space-.*\.json: there is no such file"):
        quality_control(scans, table, tmp_path, LIMITS)


def test_missing_measure_does_not_pass() -> None:
    good = {
        "brain_volume_ml": 1400.0,
        "scale": 1.1,
        "mask_dice_to_template": 0.95,
        "correlation_to_template": 0.7,
        "tissue_contrast": 0.2,
        "signal_to_noise": 20.0,
        "cropped_fraction": 0.0,
        "cut_area_cm2": 0.0,
        "bright_outside": 0.1,
        "rotation_degrees": 10.0,
    }
    assert exceeded_limits(good, LIMITS) == []
    assert len(exceeded_limits(good | {"tissue_contrast": None}, LIMITS)) == 1
    assert len(exceeded_limits({}, LIMITS)) == 9


@pytest.mark.skipif(not VALIDATOR.is_file(), reason="make test sets up .crate-check")
def test_the_outputs_are_a_bids_data_set(done: Done, tmp_path: Path) -> None:
    _, bids_dir, out, _ = done
    folder = Path(shutil.copytree(out, tmp_path / "preprocessed"))
    description = describe_dataset("toy", ["0" * 64], bids_dir)
    write_description(description, folder / "dataset_description.json", folder / ".bidsignore")
    warp = folder / derivative_address("sub-00", Derivative.WARP)  # as a deformation leaves one
    shutil.copy(folder / derivative_address("sub-00", Derivative.VOLUME), warp)
    assert bids_errors(folder, tmp_path) == set()
    (folder / "sub-00/anat/sub-00_warp.nii.gz").touch()
    assert "NOT_INCLUDED" in bids_errors(folder, tmp_path)


def bids_errors(folder: Path, tmp_path: Path) -> set[str]:
    """Codes of what the validator reports as an error."""
    report = tmp_path / "report.json"
    command = [str(VALIDATOR), str(folder), "--format", "json", "--outfile", str(report)]
    subprocess.run(command, capture_output=True, check=False)
    issues = json.loads(report.read_text())["issues"]["issues"]
    return {issue["code"] for issue in issues if issue["severity"] == "error"}
