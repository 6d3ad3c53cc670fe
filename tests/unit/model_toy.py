"""Results of a small study: an LDAE that has learnt nothing, and probes of made-up codes."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import torch
import yaml
from head_toy import make_head
from train_toy import ENCODER

from ldae.data.diagnoses import Diagnoses
from ldae.data.manifest import SCAN_COLUMNS
from ldae.data.volumes import INDEX_COLUMNS
from ldae.evaluation.probes.fitting import fit_probes
from ldae.networks.assembly import SemanticPair, save_prior, save_semantic_pair
from ldae.networks.autoencoder import Autoencoder, save_autoencoder
from ldae.networks.encoders import encoder_architecture
from ldae.networks.unet import NoiseUNet
from ldae.statistics.predictions import write_predictions
from ldae.workflow.config import complete_config

SHAPE = (40, 48, 40)
N_SUBJECTS = 60
DIM = int(ENCODER["dim_y"])
HEAD_SEED = 1


def write_study(results: Path) -> None:
    """Write what export and inference read of a finished study of simulated participants."""
    torch.manual_seed(0)
    prior = NoiseUNet(3, [8], 1, [False], 0.0, 4)
    pair = SemanticPair(encoder_architecture(ENCODER, SHAPE), prior)
    for parameter in pair.estimator.parameters():  # an untrained one adds nothing to the prior
        parameter.data += 0.05 * torch.randn(parameter.shape)
    for name in ("prior/seed-0", "ldae/seed-0", "autoencoder", "latents", "probes/ldae"):
        (results / name).mkdir(parents=True)
    save_prior(results / "prior/seed-0/model.safetensors", prior)
    save_semantic_pair(results / "ldae/seed-0/model.safetensors", pair)
    save_autoencoder(results / "autoencoder/model.safetensors", Autoencoder(4, [8], 1, 3, 4).eval())
    (results / "latents/scale.json").write_text(json.dumps({"scale": 1.0}))
    config = complete_config({}) | {"bids_folder": "/data/secret"}
    config["evaluation"]["manipulation"]["n_steps"] = 3
    (results / "config.yaml").write_text(yaml.safe_dump(config))
    _write_probes(results)


def _write_probes(results: Path) -> None:
    """Write codes that contain age and diagnosis, the index, probes and their predictions."""
    rng = np.random.default_rng(0)
    age, patient = rng.uniform(60, 90, N_SUBJECTS), np.arange(N_SUBJECTS) % 2
    codes = rng.normal(size=(N_SUBJECTS, DIM)).astype(np.float32)
    codes[:, 0] += (age - 75) / 5
    codes[:, 1] += 2 * patient
    index = pd.DataFrame(
        {
            "row": range(N_SUBJECTS), "scan": [f"sub-{i}" for i in range(N_SUBJECTS)],
            "subject": [f"sub-{i}" for i in range(N_SUBJECTS)], "session": "", "months": 0.0,
            "age": age, "sex": "", "diagnosis": np.where(patient, "AD", "CN"), "site": "",
            "split": ["test" if i % 3 == 0 else "train" for i in range(N_SUBJECTS)],
        }
    )  # fmt: skip
    probes, predictions = fit_probes(
        codes, index, Diagnoses("AD", "CN"),
        c_grid=[0.1], alpha_grid=[1.0], n_folds=3, outer_folds=None, seed=0,
    )  # fmt: skip
    (results / "probes/ldae/seed-0.json").write_text(json.dumps(probes))
    write_predictions(predictions, "ldae", 0, results / "probes/ldae/seed-0.tsv")
    for name in ("codes/ldae", "volumes", "manifest"):
        (results / name).mkdir(parents=True)
    np.save(results / "codes/ldae/seed-0.npy", codes)
    index[INDEX_COLUMNS].to_csv(results / "volumes/index.tsv", sep="\t", index=False)
    scans = index.assign(path=index["scan"] + ".nii.gz", sha256=[f"{i:064x}" for i in index["row"]])
    scans[list(SCAN_COLUMNS)].to_csv(results / "manifest/scans.tsv", sep="\t", index=False)


def write_head(path: Path, orientation: str = "RAS", seed: int = HEAD_SEED) -> nib.Nifti1Image:
    """Write a synthetic head with its axes in another order; returns the image."""
    head, _, _ = make_head(seed)
    image = nib.Nifti1Image(head.data, head.affine)
    image.header["descrip"] = b"name of a participant"
    wanted = nib.orientations.axcodes2ornt(tuple(orientation))
    turned = image.as_reoriented(
        nib.orientations.ornt_transform(nib.io_orientation(image.affine), wanted)
    )
    nib.save(turned, path)
    return turned
