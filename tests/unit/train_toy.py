"""Trains stages on toy data, alone or as one of several processes: a program for tests.

    train_toy.py FOLDER TAG STAGE…

Writes FOLDER/STAGE-TAG.safetensors and FOLDER/STAGE-TAG.csv. Dropout is off: its masks are drawn by
every process for itself.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ldae.data.volumes import VolumeStore
from ldae.methods import NETWORKS
from ldae.models.latents import encode_latents, measure_latent_scale
from ldae.networks.autoencoder import Autoencoder
from ldae.references import resolve
from ldae.training.job import TrainingData, TrainingJob
from ldae.workflow.settings.study import StudySettings

TRAININGS = {"autoencoder": "ldae.training.autoencoder:train_autoencoder"} | {
    network.name: network.train for network in NETWORKS if network.look
}
STAGES = tuple(TRAININGS)
DIFFUSION = {"n_timesteps": 50, "beta_start": 1e-4, "beta_end": 0.2}
AUTOENCODER: dict[str, Any] = {
    "patch_size": 2, "channels": [8, 16], "n_res_blocks": 1, "latent_channels": 3,
    "norm_groups": 4,
    "kl_weight": 1e-6, "spectral_weight": 0.1, "perceptual_weight": 0.0,
    "perceptual_weights_file": None, "adversarial_weight": 0.05, "adversarial_start": 2,
    "discriminator_patch_size": 1, "discriminator_channels": 8, "discriminator_layers": 1,
    "discriminator_learning_rate": 1e-3, "z_score_input": True, "pca_initialisation": False,
}  # fmt: skip
AVERAGED: dict[str, Any] = {
    "learning_rate": 1e-3, "n_steps": 6, "n_validations": 3, "batch_size": 4, "ema_decay": 0.9,
}  # fmt: skip
UNET: dict[str, Any] = {
    "channels": [8, 16], "attention_levels": [False, True], "n_res_blocks": 1, "dropout": 0.0,
    "norm_groups": 4, "v_prediction": False,
}  # fmt: skip
JOINT: dict[str, Any] = {
    "n_components": 6, "temporal_scores": True, "other_visit": True, "encoder_width": 8,
    "window_mm": 32, "stride_mm": 16, "n_bins": 4,
}  # fmt: skip
ANATOMICAL: dict[str, Any] = {
    "n_components": 6, "n_scores": 2, "encoder_width": 8, "encoder_dropout": 0.0,
    "window_mm": 32, "stride_mm": 16, "n_bins": 4,
    "width": 8, "depth": 1, "n_heads": 2, "fill_in_channels": 8,
}  # fmt: skip
RESIDUAL = {"patch_size": 2, "channels": 8, "n_blocks": 1}
OWN: dict[str, dict[str, Any]] = {
    "autoencoder": AUTOENCODER, "ldae_anatomical": ANATOMICAL, "ldae_joint": JOINT,
    "voxel_dae": {"patch_size": 2}, "residual": RESIDUAL,
}  # fmt: skip
"""What else a section has on toy data; others have their defaults."""
ENCODER: dict[str, Any] = {
    "backbone": "slices", "slab": 4, "dim_y": 8, "depths": [1], "widths": [8], "patch_size": 4,
    "n_heads": 2, "pretrained": None, "z_score_input": True,
}  # fmt: skip


def write_data(folder: Path) -> None:
    """Write the packed scans and latents of 14 toy brains, three visits of each participant."""
    folder.mkdir(parents=True, exist_ok=True)
    n, shape = 14, (8, 8, 8)
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 1, 8)[:, None, None] * np.ones(shape)
    strength = rng.uniform(0.5, 1, (n, 1, 1, 1))
    np.save(folder / "v.npy", (strength * ramp).astype(np.float16))
    np.save(folder / "m.npy", np.ones((n, *shape), np.uint8))
    table = {
        "row": range(n), "scan": [f"s{i}" for i in range(n)],
        "subject": [f"p{i // 3}" for i in range(n)], "session": "",
        "months": [6.0 * (i % 3) for i in range(n)],
        "age": rng.uniform(60, 80, n), "sex": "F", "site": "",
        "diagnosis": ["AD", "CN", "MCI", "AD", "CN", "CN", "AD"] * 2,
        "split": ["train"] * 9 + ["val"] * 3 + ["test"] * 2,
    }  # fmt: skip
    pd.DataFrame(table).to_csv(folder / "i.tsv", sep="\t", index=False)
    torch.manual_seed(0)
    autoencoder = Autoencoder(2, [8], 1, 3, 4).eval()
    paths = folder / "mu.npy", folder / "sigma.npy"
    encode_latents(autoencoder, read_store(folder), 5, torch.device("cpu"), *paths)
    scale = measure_latent_scale(np.load(folder / "mu.npy"), read_store(folder).index)
    (folder / "scale.json").write_text(json.dumps({"scale": scale}))


def read_store(folder: Path) -> VolumeStore:
    """The toy brains."""
    return VolumeStore(folder / "v.npy", folder / "m.npy", folder / "i.tsv")


def sections_of(stage: str, **changes: Any) -> dict[str, dict[str, Any]]:
    """Settings that the training of a stage reads, by section."""
    defaults = getattr(StudySettings(), stage).model_dump()
    small = {key: value for key, value in (UNET | AVERAGED).items() if key in defaults}
    own = defaults | small | OWN.get(stage, {}) | changes
    cohort = {"diagnoses": {"patient": "AD", "control": "CN"}}
    common = {"encoder": ENCODER, "diffusion": DIFFUSION, "grid": {"spacing_mm": 8.0}}
    return common | {"cohort": cohort, stage: own}


def train(folder: Path, stage: str, tag: str, **changes: Any) -> None:
    """Train one stage; the LDAE needs the prior of tag ``prior``. Steps in `kept` are kept.

    With ``pretrained`` the training starts from the weights of that tag.
    """
    weights = changes.pop("pretrained", None)
    data = TrainingData(
        *(folder / name for name in ("v.npy", "m.npy", "i.tsv", "mu.npy", "sigma.npy")),
        scale=folder / "scale.json",
        stands_on=folder / "prior.safetensors" if stage == "ldae" else None,
        pretrained=folder / f"{weights}.safetensors" if weights else None,
    )
    job = TrainingJob(
        seed=0,
        model_path=folder / f"{tag}.safetensors",
        metrics_path=folder / f"{tag}.csv",
        work_dir=folder / f"{tag}-work",
        checkpoint_minutes=changes.pop("checkpoint_minutes", 60),
        code="toy",
        kept={step: folder / f"{tag}-{step}.safetensors" for step in changes.pop("kept", ())},
    )
    training = resolve(TRAININGS[stage])
    training(data, sections_of(stage, **changes), job)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    for name in sys.argv[3:]:
        train(Path(sys.argv[1]), name, f"{name}-{sys.argv[2]}", micro_batch=1)
