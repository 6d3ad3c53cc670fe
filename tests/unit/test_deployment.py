"""A model in use: export, bundle, spaces, predictions, commands on files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import nibabel.processing
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from model_toy import DIM, write_head, write_study

import ldae
from ldae.__main__ import main
from ldae.data.addresses import TEMPLATE
from ldae.deployment.answers import NO_DIAGNOSIS
from ldae.deployment.artefact import read_artefact
from ldae.deployment.export import export_model
from ldae.deployment.files import base_name, label_of
from ldae.deployment.placement import unwarp
from ldae.deployment.readout import COVERAGE, conformal_half_width
from ldae.deployment.requests import position_of
from ldae.errors import InputError
from ldae.preprocessing.grid import Image, apply_affine, sample

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for each other cost small networks more than they bring."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "results"
    write_study(folder)
    return folder


@pytest.fixture(scope="module")
def exported(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    export_model(results, folder)
    return folder


@pytest.fixture(scope="module")
def model(exported: Path) -> ldae.Model:
    return ldae.load(exported)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("heads") / "sub-01_T1w.nii.gz"
    write_head(path)
    return path


@pytest.fixture(scope="module")
def brain(model: ldae.Model, head: Path) -> Path:
    """The head, preprocessed."""
    path = head.with_name("sub-02_T1w.nii.gz")
    nib.save(model.preprocess(head), path)
    return path


def test_an_exported_folder_is_complete_and_names_no_place(results: Path, exported: Path) -> None:
    files = {p.relative_to(exported).as_posix(): p for p in exported.rglob("*") if p.is_file()}
    assert set(files) == {
        "LICENSE", "SHA256SUMS", "config.yaml", "configs/inference.json", "configs/metadata.json",
        "docs/README.md", "model.json", "models/autoencoder.safetensors", "models/ldae.safetensors",
        "models/prior.safetensors", "models/scale.json", "probes.json",
        "resampled_probes.safetensors",
    }  # fmt: skip
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=exported, check=True)
    for name, path in files.items():
        if path.suffix in {".json", ".yaml", ".md"}:
            text = path.read_text()
            assert "/data/secret" not in text and str(results) not in text, name
            assert "sub-" not in text, f"{name} names a participant"
    card = files["docs/README.md"].read_text()
    assert "Trained on simulated participants only" in card
    assert "| train | 40 | 40 |" in card
    assert read_artefact(exported, None, None).digest == read_artefact(results, None, None).digest


def test_an_exported_model_is_the_study_s(results: Path, model: ldae.Model, brain: Path) -> None:
    study = ldae.load(results)
    np.testing.assert_array_equal(model.encode(brain), study.encode(brain))
    ours, theirs = (m.edit(brain, "age", to_age=80) for m in (model, study))
    np.testing.assert_allclose(ours.template.get_fdata(), theirs.template.get_fdata(), atol=1e-6)
    for name, found in model.predict(brain).items():
        again = study.predict(brain)[name]
        assert (found.low, found.value, found.high) == pytest.approx(
            (again.low, again.value, again.high), abs=1e-4
        )


def test_it_loads_in_an_empty_environment(
    model: ldae.Model, exported: Path, brain: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(exported, moved)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import ldae; "
        f"print(*ldae.load({str(moved)!r}).encode({str(brain)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=tmp_path, env={"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = np.array(done.stdout.split(), float)
    np.testing.assert_allclose(found, model.encode(brain), atol=1e-6)


def test_monai_runs_the_bundle(
    model: ldae.Model, exported: Path, head: Path, tmp_path: Path
) -> None:
    from monai.bundle import run, verify_net_in_out

    configs = {
        "config_file": str(exported / "configs/inference.json"),
        "meta_file": str(exported / "configs/metadata.json"),
        "bundle_root": str(exported),
    }
    given = {"scan": str(head), "output_dir": str(tmp_path)}
    run(**configs, **given)
    image = nib.load(tmp_path / f"sub-01_space-{TEMPLATE}_desc-reconstruction_T1w.nii.gz")
    expected = model.reconstruct(head)
    np.testing.assert_allclose(image.get_fdata(), expected.template.get_fdata(), atol=1e-5)
    run(**configs, **given, operation="encode")
    codes = pd.read_csv(tmp_path / "codes.tsv", sep="\t").iloc[:, 1:].to_numpy()[0]
    np.testing.assert_allclose(codes, model.encode(head), rtol=1e-5)
    verify_net_in_out("network_def", device="cpu", **configs)


@pytest.mark.parametrize("orientation", ["RAS", "LPS", "PIR", "oblique", "anisotropic"])
def test_what_comes_back_lies_where_the_head_lies(
    model: ldae.Model, orientation: str, tmp_path: Path
) -> None:
    path = tmp_path / "head.nii"
    turned = write_head(path, orientation if orientation.isupper() else "LPS")
    if orientation == "oblique":
        angle = 0.2
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        turned = nib.Nifti1Image(turned.dataobj, turn @ turned.affine)
    if orientation == "anisotropic":
        affine = turned.affine @ np.diag([1, 1, 1.5, 1])
        turned = nib.processing.resample_from_to(turned, ((50, 60, 38), affine), order=1)
    nib.save(turned, path)
    scan = model.open(path)
    own = scan.own_brain(scan.x[0, 0].numpy())
    assert own.shape == turned.shape and own.header["descrip"] == b""
    np.testing.assert_allclose(own.affine, turned.affine, atol=1e-5)
    inside = own.get_fdata() > 0
    raw = turned.get_fdata()
    assert np.corrcoef(own.get_fdata()[inside], raw[inside])[0, 1] > 0.85
    unchanged = scan.own_changed(np.zeros(model.shape, np.float32))
    np.testing.assert_allclose(unchanged.get_fdata(), raw, atol=1e-3)
    # a spot of the template is found in the head where the registration says it is
    spot, place = np.zeros(model.shape, np.float32), (25, 30, 22)
    spot[place] = 0.5
    moved = np.abs(scan.own_changed(spot).get_fdata() - raw)
    assert scan.placement is not None
    voxel = np.argwhere(moved > 0.5 * moved.max()).mean(0)
    expected = apply_affine(
        scan.placement.done.brain.to_scan, apply_affine(model.affine, np.array(place, float))
    )
    assert np.linalg.norm(apply_affine(turned.affine, voxel) - expected) < 4.0
    assert (moved[~inside] == 0).all(), "outside the brain every voxel is kept"


def test_a_warp_is_inverted() -> None:
    affine = np.diag([4.0, 4, 4, 1])
    lattice = np.stack(np.meshgrid(*[np.arange(12.0)] * 3, indexing="ij"), axis=-1)
    warp = Image(3 * np.sin(lattice / 3), affine)
    points = np.random.default_rng(0).uniform(8, 32, (50, 3))
    found = unwarp(points, warp)
    shift = [sample(Image(warp.data[..., k], affine), found, order=1) for k in range(3)]
    np.testing.assert_allclose(found + np.stack(shift, -1), points, atol=0.05)


def test_edits_reach_the_age_that_was_asked_for(model: ldae.Model, brain: Path) -> None:
    edited = model.edit(brain, "age", to_age=80)
    assert edited.details["read_after"] == pytest.approx(80, abs=1e-3)
    assert edited.change is not None and np.abs(edited.change.get_fdata()).max() > 0
    aged = model.edit(brain, "age", to_age=80, from_age=70)
    gained = aged.details["read_after"] - aged.details["read_before"]
    assert gained == pytest.approx(10, abs=1e-3)
    far = model.edit(brain, "diagnosis", amount=5.0)
    assert "outside -0.6 to 0.6" in far.warnings[0]
    nothing = model.edit(brain, "diagnosis", amount=0.0)
    np.testing.assert_allclose(nothing.own.get_fdata(), nib.load(brain).get_fdata(), atol=1e-4)


def test_the_ends_of_an_interpolation_are_the_visits(
    model: ldae.Model, brain: Path, head: Path
) -> None:
    start, end = (model.interpolate(brain, head, at=at) for at in (0, 1))
    np.testing.assert_allclose(start.change.get_fdata(), 0, atol=1e-5)
    there = model.reconstruct(head).template.get_fdata()
    np.testing.assert_allclose(end.template.get_fdata(), there, atol=1e-4)


@pytest.mark.parametrize(
    ("at", "months", "expected"),
    [
        (0.5, None, 0.5), (None, (0, 24, 6), 0.25), (None, (24, 0, 6), 0.75),
        (None, None, "unclear"), (0.5, (0, 24, 6), "unclear"), (None, (6, 6, 6), "same time"),
        (None, (0, 24, 30), "not between"), (-0.1, None, "not between"),
        (float("nan"), None, "not between"),
    ],
)  # fmt: skip
def test_positions(at: float | None, months: tuple | None, expected: float | str) -> None:
    if isinstance(expected, str):
        with pytest.raises(InputError, match=expected):
            position_of(at, months)
    else:
        assert position_of(at, months) == expected


def test_predictions_have_intervals_and_say_that_they_are_no_diagnosis(
    model: ldae.Model, brain: Path
) -> None:
    found = model.predict(brain)
    assert set(found) == {"age", "diagnosis"}
    for prediction in found.values():
        assert prediction.low < prediction.value < prediction.high
        assert NO_DIAGNOSIS in prediction.warnings
    assert 0 <= found["diagnosis"].low and found["diagnosis"].high <= 1


def test_the_interval_of_an_age_covers_as_said() -> None:
    nine = np.arange(1.0, 10.0)
    assert conformal_half_width(nine, nine.astype(str)) == 9
    assert conformal_half_width(nine[:8], nine[:8].astype(str)) == np.inf
    # many scans of one participant count as one
    assert conformal_half_width(np.r_[nine, [99] * 5], np.r_[nine, [9] * 5].astype(str)) == 99
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        error = np.abs(rng.normal(size=31))
        width = conformal_half_width(error[:30], np.arange(30).astype(str))
        covered.append(error[30] <= width)
    assert np.mean(covered) > COVERAGE - 0.04


def _with(folder: Path, target: Path, **changes: object) -> Path:
    """Copy of a study with other settings."""
    shutil.copytree(folder, target)
    config = yaml.safe_load((target / "config.yaml").read_text()) | changes
    (target / "config.yaml").write_text(yaml.safe_dump(config))
    return target


def test_exports_that_are_refused(results: Path, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is an exported model already\. Add --overwrite"):
        export_model(results, exported)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.docx").touch()
    with pytest.raises(InputError, match="it exists and is no exported model"):
        export_model(results, tmp_path / "mine", overwrite=True)
    with pytest.raises(InputError, match="it is an exported model already"):
        export_model(exported, tmp_path / "new")
    cohort = yaml.safe_load((results / "config.yaml").read_text())["cohort"] | {"source": "bids"}
    real = _with(results, tmp_path / "real", cohort=cohort)
    with pytest.raises(InputError, match=r"trained on real scans.* --licence FILE"):
        export_model(real, tmp_path / "new")
    (real / "terms.txt").write_text("ask us")
    export_model(real, tmp_path / "new", licence=real / "terms.txt")
    assert (tmp_path / "new" / "LICENSE").read_text() == "ask us"
    assert "not validated for clinical use" in (tmp_path / "new" / "docs/README.md").read_text()
    export_model(results, tmp_path / "new", overwrite=True)
    assert list(tmp_path.glob(".ldae-export-*")) == []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda f: (f / "models/prior.safetensors").unlink(),
            "prior.safetensors: the file is missing",
        ),
        (lambda f: (f / "probes.json").write_text("{}"), "probes.json: the file is not the one"),
        (lambda f: (f / "SHA256SUMS").unlink(), "SHA256SUMS: there is no such file"),
    ],
)
def test_a_changed_folder_is_refused(
    exported: Path, tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    damage(copy)
    with pytest.raises(InputError, match=words):
        ldae.load(copy)


def test_another_model_than_the_exported_one_is_refused(exported: Path) -> None:
    with pytest.raises(InputError, match="it is ldae of training seed 0, not ldae_joint"):
        ldae.load(exported, "ldae_joint")
    with pytest.raises(InputError, match="it is no device"):
        ldae.load(exported, device="abacus")


def test_brains_that_were_preprocessed_otherwise_are_refused(
    model: ldae.Model, brain: Path, tmp_path: Path
) -> None:
    path = tmp_path / "sub-03_T1w.nii.gz"
    shutil.copy(brain, path)
    record = path.with_name("sub-03_T1w.json")
    record.write_text(json.dumps({"registration": "demons"}))
    with pytest.raises(InputError, match=r'registration "demons", .* "affine" .*Give the raw head'):
        model.encode(path)
    record.write_text(json.dumps({"registration": "affine"}))
    model.encode(path)
    values = nib.load(brain).get_fdata()
    nib.save(nib.Nifti1Image(values * 300, model.affine), path)
    with pytest.raises(InputError, match=r"not in \[0, 1\], so it was not preprocessed as"):
        model.encode(path)
    nib.save(nib.Nifti1Image(np.clip(values, 0.1, 1), model.affine), path)
    with pytest.raises(InputError, match="is not 0 outside the brain"):
        model.encode(path)
    model.encode(path, preprocessed=True)
    nib.save(nib.Nifti1Image(values, np.diag([4.0, 4, 4, 1])), path)
    with pytest.raises(InputError, match="elsewhere in space"):
        model.encode(path, preprocessed=True)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("sub-01_T1w.nii.gz", "sub-01"), ("head.nii", "head"), ("T1w.nii.gz", "T1w"),
        (f"sub-1_ses-2_space-{TEMPLATE}_desc-preproc_T1w.nii.gz", "sub-1_ses-2"),
        ("my.scan.NII.GZ", "my.scan"),
    ],
)  # fmt: skip
def test_names_of_outputs(name: str, base: str) -> None:
    assert base_name(Path(name)) == base


@pytest.mark.parametrize(
    ("value", "label"), [(0.5, "x0p5"), (-0.5, "xMinus0p5"), (80, "x80"), (1e-7, "x1em07")]
)
def test_labels_are_of_letters_and_digits(value: float, label: str) -> None:
    assert label_of("x", value) == label


def test_a_broken_file_does_not_stop_the_others(
    exported: Path, brain: Path, head: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken, table = tmp_path / "broken.nii.gz", tmp_path / "codes.tsv"
    broken.write_bytes(head.read_bytes()[:500])
    scans = [str(brain), str(broken), str(tmp_path / "missing.nii"), str(head)]
    command = ["encode", *scans, "--model", str(exported), "-o", str(table)]
    assert main(command) == 1
    codes = pd.read_csv(table, sep="\t")
    assert codes["scan"].tolist() == [str(brain), str(head)] and codes.shape == (2, DIM + 1)
    assert "[2/4] failed: " in caplog.text and "missing.nii: there is no such file" in caplog.text
    assert "2 of 4 scans failed" in caplog.text
    record = json.loads(table.with_suffix(".json").read_text())
    assert record["model"]["digest"] == read_artefact(exported, None, None).digest
    assert [one["file"] for one in record["inputs"]] == [brain.name, head.name]
    assert main(command) == 2, "the table exists"
    assert "the file exists already. Add --overwrite" in caplog.text
    assert main(["encode", str(brain), *command[-4:], "--overwrite"]) == 0


def test_commands_write_both_spaces_and_a_record(
    exported: Path, head: Path, brain: Path, tmp_path: Path
) -> None:
    more = ["--model", str(exported), "-o", str(tmp_path), "--steps", "2", "--threads", "1"]
    assert main(["reconstruct", str(head), *more]) == 0
    assert main(["edit", str(head), "--attribute", "age", "--to-age", "80", *more]) == 0
    assert main(["edit", str(head), "--attribute", "diagnosis", "--amount", "-0.5", *more]) == 0
    assert main(["interpolate", str(head), str(brain), "--months", "0", "24", "6", *more]) == 0
    images = {path.name.removesuffix(".nii.gz") for path in tmp_path.glob("*.nii.gz")}
    space = f"sub-01_space-{TEMPLATE}_desc-"
    labels = ("ageTo80", "diagnosisMinus0p5", "month6")
    assert images == {
        "sub-01_desc-reconstruction_T1w", f"{space}reconstruction_T1w",
        *(f"sub-01_desc-{label}_T1w" for label in labels),
        *(f"{space}{label}{kind}_T1w" for label in labels for kind in ("", "Change")),
    }  # fmt: skip
    assert {path.stem for path in tmp_path.glob("*.json")} == images
    raw, own = nib.load(head), nib.load(tmp_path / "sub-01_desc-ageTo80_T1w.nii.gz")
    np.testing.assert_allclose(own.affine, raw.affine, atol=1e-5)
    record = json.loads((tmp_path / f"{space}month6_T1w.json").read_text())
    assert (record["at"], record["steps"], len(record["inputs"])) == (0.25, 2, 2)
    assert record["versions"]["ldae"] == ldae.__version__


def test_what_is_predicted_is_printed_and_written(
    exported: Path, brain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "p.tsv"
    assert main(["predict", str(brain), "--model", str(exported), "-o", str(table)]) == 0
    printed = capsys.readouterr().out
    assert (
        "years  [" in printed and NO_DIAGNOSIS in printed and "nothing about real ones" in printed
    )
    rows = pd.read_csv(table, sep="\t")
    assert rows["attribute"].tolist() == ["age", "diagnosis"]
    assert NO_DIAGNOSIS in json.loads(table.with_suffix(".json").read_text())["warnings"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["edit", "A", "--attribute", "diagnosis", "--to-age", "80"], "it belongs to age"),
        (["edit", "A", "--attribute", "age", "--amount", "1", "--from-age", "9"], "belongs to --t"),
        (["edit", "A", "--attribute", "age", "--amount", "nan"], "nan is no amount"),
        (["edit", "A", "--attribute", "age", "--to-age", "800"], "800 is no age in years"),
        (["interpolate", "A", "A", "--at", "1.5"], "not between the visits"),
        (["reconstruct", "A", "A"], "the scan is given twice"),
        (["reconstruct", "x/A.nii", "y/A.nii"], "two of the scans would be written to this file"),
        (["reconstruct", "A", "--model", "nowhere"], "nowhere: it holds no model"),
        (["reconstruct", "A", "--method", "ldae_joint"], "training seed 0, not ldae_joint"),
    ],
)
def test_commands_that_are_refused_before_any_work(
    exported: Path, head: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    arguments: list[str], words: str,
) -> None:  # fmt: skip
    given = [str(head) if one == "A" else one for one in arguments]
    where = [] if "--model" in given else ["--model", str(exported)]
    assert main([*given, *where, "-o", str(tmp_path / "out")]) == 2
    assert words in caplog.text
    assert not (tmp_path / "out").exists()
