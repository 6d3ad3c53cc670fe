"""Recomputation of a file, and comparison with the original."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ldae.errors import InputError
from ldae.provenance.compare import Comparison, Likeness, compare_beginning, compare_files
from ldae.provenance.history import load_history
from ldae.provenance.kernels import kernel_differences, kernels
from ldae.provenance.replay import Options, Replay, replay_target


@pytest.fixture
def results(untouched_study, tmp_path) -> Path:
    """Results of the micro study, to be changed."""
    shutil.copytree(untouched_study / "results/micro", tmp_path / "results")
    return tmp_path / "results"


@pytest.mark.workflow
class TestReplay:
    def test_job_is_reproduced_and_changed_file_is_reported(
        self, untouched_study, results, tmp_path
    ):
        path = results / "probes/voxel_pca/shared.json"
        probes = json.loads(path.read_text())
        probes["age"]["intercept"] += 1
        path.write_text(json.dumps(probes, indent=1) + "\n")
        replay = replay_target(results, path, tmp_path / "scratch", repository=untouched_study)
        assert "the code of commit" in replay.code and not replay.differences
        found = {name: comparison.likeness for name, comparison in replay.comparisons.items()}
        assert found == {
            "<results>/probes/voxel_pca/shared.json": Likeness.DIFFERENT,
            "<results>/probes/voxel_pca/shared.tsv": Likeness.IDENTICAL,
            "<results>/probes/voxel_pca/shared.labels.tsv": Likeness.IDENTICAL,
        }
        assert not replay.agrees and "age/intercept" in replay.as_text()
        again = tmp_path / "scratch/results/probes/voxel_pca/shared.tsv"
        assert again.is_file() and not again.is_symlink()

    def test_stopped_training_is_compared_and_resumed(
        self, untouched_study, results, tmp_path, caplog
    ):
        """Without time it stops after its first step; the next call in the same folder ends it."""
        scratch, target = tmp_path / "scratch", "prior/seed-0/metrics.csv"
        given = {"repository": untouched_study}
        stopped = replay_target(results, target, scratch, options=Options(minutes=0.01), **given)
        assert stopped.steps is not None and stopped.steps[0] < stopped.steps[1]
        assert not stopped.differences
        with pytest.raises(InputError, match="not that of an earlier replay"):
            replay_target(results, "figures/roc.png", scratch, **given)
        again = replay_target(results, target, scratch, **given)
        assert again.steps is None and again.agrees, again.as_text()

    def test_changed_input_is_an_error(self, untouched_study, results, tmp_path):
        path = results / "codes/voxel_pca/shared.npy"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        with pytest.raises(InputError, match="has changed since the job read it"):
            replay_target(
                results,
                "probes/voxel_pca/shared.tsv",
                tmp_path / "scratch",
                repository=untouched_study,
            )

    def test_file_without_a_job_is_an_error(self, results, tmp_path):
        with pytest.raises(InputError, match="no recorded job wrote"):
            replay_target(results, "figures/other.png", tmp_path / "scratch")


def pair(folder: Path, name: str) -> tuple[Path, Path]:
    for side in ("kept", "again"):
        (folder / side).mkdir(exist_ok=True)
    return folder / "kept" / name, folder / "again" / name


@pytest.mark.parametrize(
    ("name", "kept", "again", "likeness"),
    [
        ("a.tsv", "m\tvalue\nx\t1.0\n", "m\tvalue\nx\t1.0\n", Likeness.IDENTICAL),
        ("a.tsv", "m\tvalue\nx\t1.0\n", "m\tvalue\nx\t1.0000001\n", Likeness.WITHIN),
        ("a.tsv", "m\tvalue\nx\t1.0\n", "m\tvalue\nx\t1.01\n", Likeness.DIFFERENT),
        ("a.tsv", "m\tvalue\nx\t1.0\n", "m\tvalue\ny\t1.0\n", Likeness.DIFFERENT),
        ("a.tsv", "m\tvalue\nx\t1.0\n", "m\tvalue\nx\t1.0\nx\t2.0\n", Likeness.DIFFERENT),
        ("a.tsv", "m\tvalue\nx\t\n", "m\tvalue\nx\tnan\n", Likeness.DIFFERENT),
        ("a.csv", "step,seconds\n1,2.5\n", "step,seconds\n1,9.5\n", Likeness.MEASURED),
        (
            "a.tsv",
            "metric\tvalue\nseconds_per_scan\t1\n",
            "metric\tvalue\nseconds_per_scan\t3\n",
            Likeness.MEASURED,
        ),
        ("a.json", '{"a": [1, 2]}', '{"a": [1, 2.00000001]}', Likeness.WITHIN),
        ("a.json", '{"a": [1, 2]}', '{"a": [1]}', Likeness.DIFFERENT),
        ("a.json", '{"a": {"seconds": 1}}', '{"a": {"seconds": 2}}', Likeness.MEASURED),
        ("a.txt", "a", "b", Likeness.DIFFERENT),
    ],
)
def test_texts(tmp_path, name, kept, again, likeness):
    one, other = pair(tmp_path, name)
    one.write_text(kept)
    other.write_text(again)
    assert compare_files(one, other).likeness is likeness


@pytest.mark.parametrize(
    ("again", "likeness"),
    [
        ([1.0, 2.0, 3.0], Likeness.IDENTICAL),
        ([1.0, 2.0, 3.000001], Likeness.WITHIN),
        ([1.0, 2.0, 3.1], Likeness.DIFFERENT),
        ([1.0, 2.0, float("nan")], Likeness.DIFFERENT),
        ([1.0, 2.0], Likeness.DIFFERENT),
    ],
)
def test_arrays(tmp_path, again, likeness):
    from safetensors.numpy import save_file

    arrays = np.array([1.0, 2.0, 3.0]), np.array(again)
    for name, save in (
        ("a.npy", np.save),
        ("a.npz", lambda path, x: np.savez(path, x=x)),
        ("a.safetensors", lambda path, x: save_file({"x": x}, path)),
    ):
        paths = pair(tmp_path, name)
        for path, array in zip(paths, arrays, strict=True):
            save(path, array)
        assert compare_files(*paths).likeness is likeness, name


def test_pictures(tmp_path):
    from PIL import Image

    picture = np.full((20, 20, 3), 100, np.uint8)
    for change, likeness in ((0, "identical"), (1, "within tolerance"), (90, "different")):
        paths = pair(tmp_path, f"{change}.png")
        other = picture.copy()
        other[:3, :3] += np.uint8(change)
        if change == 90:
            other[:10] += np.uint8(change)
        for path, array in zip(paths, (picture, other), strict=True):
            Image.fromarray(array).save(path)
        assert compare_files(*paths).likeness == likeness


def test_scans(tmp_path):
    import nibabel as nib

    paths = pair(tmp_path, "a_T1w.nii.gz")
    for path, affine in zip(paths, (np.eye(4), np.diag([2.0, 1, 1, 1])), strict=True):
        nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.float32), affine), path)
    assert compare_files(*paths).likeness is Likeness.DIFFERENT


def test_a_missing_file(tmp_path):
    one, other = pair(tmp_path, "a.tsv")
    one.write_text("a")
    assert "the recomputed file is missing" in compare_files(one, other).detail


@pytest.mark.parametrize(
    ("again", "likeness", "reached"),
    [
        ("step,seconds,loss\n5,9,0.5\n", Likeness.MEASURED, 5),
        ("step,seconds,loss\n5,1,0.5\n", Likeness.IDENTICAL, 5),
        ("step,seconds,loss\n5,1,0.6\n", Likeness.DIFFERENT, 5),
        ("step,seconds,loss\n", Likeness.DIFFERENT, 0),
        (None, Likeness.DIFFERENT, 0),
    ],
)
def test_beginning_of_a_training(tmp_path, again, likeness, reached):
    one, other = pair(tmp_path, "metrics.csv")
    one.write_text("step,seconds,loss\n5,1,0.5\n10,2,0.25\n")
    if again is not None:
        other.write_text(again)
    comparison, last, total = compare_beginning(one, other)
    assert (comparison.likeness, last, total) == (likeness, reached, 10)


def test_tolerance_is_the_users(tmp_path):
    one, other = pair(tmp_path, "a.tsv")
    one.write_text("value\n1.0\n")
    other.write_text("value\n1.01\n")
    assert compare_files(one, other).likeness is Likeness.DIFFERENT
    assert compare_files(one, other, 0.1).likeness is Likeness.WITHIN


SKYLAKE = {
    "blas": [{"library": "openblas", "version": "0.3.30", "kernel": "SkylakeX", "file": "a.so"}],
    "torch": "AVX512",
    "variables": {},
}
HASWELL = {
    "blas": [{"library": "openblas", "version": "0.3.30", "kernel": "Haswell", "file": "b.so"}],
    "torch": "AVX2",
    "variables": {"OPENBLAS_CORETYPE": "Haswell"},
}


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (SKYLAKE, SKYLAKE, 0),
        (SKYLAKE, HASWELL, 3),
        (SKYLAKE, {**SKYLAKE, "torch": None}, 0),  # a job that does not import torch
        (None, HASWELL, 0),
        (SKYLAKE, None, 0),
    ],
)
def test_differences_of_kernels(before, now, expected):
    found = kernel_differences(before, now)
    assert len(found) == expected
    if expected:
        assert "openblas: 0.3.30, kernel SkylakeX before, 0.3.30, kernel Haswell now" in found


def test_kernels_of_this_process_are_known(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    found = kernels()
    assert any(one["kernel"] for one in found["blas"]), found
    assert found["variables"]["OPENBLAS_CORETYPE"] == "Haswell"


@pytest.mark.parametrize(
    ("likeness", "differences", "expected"),
    [
        (Likeness.DIFFERENT, ("openblas: a before, b now",), "Other kernels computed"),
        (Likeness.WITHIN, ("openblas: a before, b now",), "Other kernels computed"),
        (Likeness.IDENTICAL, ("openblas: a before, b now",), None),
        (Likeness.DIFFERENT, None, "does not name the kernels"),
        (Likeness.DIFFERENT, (), None),
    ],
)
def test_kernels_are_named_as_the_cause(public_study, likeness, differences, expected):
    job = load_history(public_study.results).jobs[0]
    text = Replay(job, "code", (), {"a": Comparison(likeness)}, differences).as_text()
    assert (expected in text) if expected else "ernels" not in text
