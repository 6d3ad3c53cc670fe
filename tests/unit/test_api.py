"""The package for other programs: load a study, encode scans."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
import yaml
from train_toy import ENCODER, read_store, write_data

import ldae
from ldae.errors import InputError
from ldae.evaluation.codes import encode_semantics
from ldae.networks.assembly import SemanticPair, save_semantic_pair
from ldae.networks.encoders import encoder_architecture, load_encoder
from ldae.networks.unet import NoiseUNet
from ldae.workflow.config import complete_config

# As train_toy's scans, on a grid that holds a small part of the brain.
GRID = {"spacing_mm": 4.0, "shape": [8, 8, 8]}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of a study whose LDAE has learnt nothing, with its scans beside."""
    folder = tmp_path_factory.mktemp("toy")
    write_data(folder)
    torch.manual_seed(0)
    pair = SemanticPair(
        encoder_architecture(ENCODER, (8, 8, 8)), NoiseUNet(3, [8], 1, [False], 0.0, 4)
    )
    results = folder / "results"
    (results / "ldae/seed-0").mkdir(parents=True)
    save_semantic_pair(results / "ldae/seed-0/model.safetensors", pair)
    config = complete_config({}) | {"grid": GRID}
    (results / "config.yaml").write_text(yaml.safe_dump(config))
    return results


@pytest.fixture(scope="module")
def model(toy: Path) -> ldae.Model:
    return ldae.load(toy)


def test_importing_the_package_is_cheap() -> None:
    code = "import sys, ldae; ldae.__version__; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {"load", "Model"} <= set(dir(ldae))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ldae.nothing  # noqa: B018


def test_encoding_needs_no_monai() -> None:
    """Its import takes longer than a hundred scans."""
    networks = "ldae.networks.anatomical, ldae.networks.encoders"
    code = f"import sys, ldae.deployment.files, {networks}; sys.exit('monai' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_missing_package_is_named_with_the_remedy() -> None:
    code = "import sys; sys.modules['torch'] = None; import ldae; ldae.load('model')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ldae.load needs the package torch, which is not installed. Install" in done.stderr


def test_codes_are_those_of_the_rule(toy: Path, model: ldae.Model, tmp_path: Path) -> None:
    store = read_store(toy.parent)
    device = torch.device("cpu")
    encoder = load_encoder(toy / "ldae/seed-0/model.safetensors", device)
    expected = encode_semantics(encoder, store, 4, device)
    np.testing.assert_allclose(model.encode(store.batch(range(14))), expected, atol=1e-5)
    scan = np.asarray(store.volumes[3], np.float32)
    path = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(scan, model.affine), path)
    for image in (path, str(path), nib.load(path), scan, torch.from_numpy(scan)):
        y = model.encode(image)
        assert y.shape == (8,) and y.dtype == np.float32
        np.testing.assert_allclose(y, expected[3], atol=1e-5)


def test_an_image_stored_along_other_axes_is_the_same(model: ldae.Model) -> None:
    scan = np.random.default_rng(0).random(model.shape, np.float32)
    image = nib.Nifti1Image(scan, model.affine)
    turned = image.as_reoriented([[0, -1], [2, 1], [1, 1]])
    codes = [model.encode(one, preprocessed=True) for one in (turned, image)]
    np.testing.assert_array_equal(*codes)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((8, 8), np.float32), r"voxels: have shape \(8, 8\)"),
        (np.zeros((2, 8, 8, 8), np.float32), r"voxels: have shape \(2, 8, 8, 8\)"),
        (np.full((8, 8, 8), 300.0, np.float32), r"from 300 to 300, not in \[0, 1\]"),
        (np.full((8, 8, 8), np.nan, np.float32), "not in"),
        (nib.Nifti1Image(np.zeros((8, 8, 9), np.float32), np.eye(4)), r"shape \(8, 8, 9\)"),
        (nib.Nifti1Image(np.zeros((8, 8, 8), np.float32), np.eye(4)), "elsewhere in space"),
        ("missing.nii.gz", "missing.nii.gz: it cannot be read"),
    ],
)
def test_what_is_not_on_the_grid_is_refused(model: ldae.Model, image: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        model.encode(image, preprocessed=True)


def test_raw_heads_are_preprocessed_only_as_the_study_did(
    toy: Path, model: ldae.Model, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"there is no such file\. Name"):
        model.preprocess(tmp_path / "missing.nii.gz")
    config = dict(model.config) | {
        "preprocessing": model.config["preprocessing"] | {"brain_extraction": "precomputed"}
    }
    other = ldae.Model(replace(model.artefact, config=config), model.device)
    with pytest.raises(InputError, match="masks of the model's study were not made by its"):
        other.preprocess(tmp_path / "missing.nii.gz")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"method": "nearest_visit"}, "no encoder of this name. Choose one of ldae, "),
        ({"method": "voxel_pca"}, "no encoder of this name"),
        ({"method": "prior"}, "no encoder of this name"),
        ({"seed": 7}, "seed-7/model.safetensors: there are no such weights. .* seeds are 0"),
    ],
)
def test_what_a_study_does_not_hold_is_refused(toy: Path, arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        ldae.load(toy, **arguments)


def test_a_folder_without_a_study_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it holds no model"):
        ldae.load(tmp_path)
