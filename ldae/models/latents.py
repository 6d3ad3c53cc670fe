"""Latents of all scans: scale, encoding, reading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from ldae.data.rows import RowWriter
from ldae.data.volumes import VolumeStore
from ldae.errors import InputError
from ldae.leakage import note_fitted

if TYPE_CHECKING:  # importing the network takes seconds that most readers of latents can save
    from ldae.networks.autoencoder import Autoencoder


@torch.inference_mode()
def encode_latents(
    autoencoder: Autoencoder,
    store: VolumeStore,
    batch_size: int,
    device: torch.device,
    mu_path: Path,
    sigma_path: Path,
) -> None:
    """Write the posterior moments of every scan, unscaled.

    Parameters
    ----------
    autoencoder
        Trained network, on `device`.
    store
        The packed scans.
    batch_size
        Scans encoded at once; changes nothing but speed and memory.
    device
        Where to compute.
    mu_path, sigma_path
        Written: float32 (N, C, h, w, d), row by row as the index.
    """
    shape = (len(store.index), *autoencoder.latent_shape(store.shape))
    with (
        RowWriter(mu_path, shape, np.float32) as mu_file,
        RowWriter(sigma_path, shape, np.float32) as sigma_file,
    ):
        for rows in np.array_split(store.rows(), -(-shape[0] // batch_size)):
            mu, sigma = autoencoder.moments(store.batch(rows).to(device))
            mu_file.write(mu.float().cpu().numpy())
            sigma_file.write(sigma.float().cpu().numpy())


def measure_latent_scale(mu: np.ndarray, index: pd.DataFrame) -> float:
    """Factor s that brings the training latents to unit SD.

    s = 1 / std(μ) over all elements of the training split (Rombach et al. 2022, appendix G).

    Parameters
    ----------
    mu
        Posterior means, (N, C, h, w, d).
    index
        Index of the rows, with column ``split``.

    Returns
    -------
    float
        s > 0; multiply before diffusion, divide before decoding.

    Raises
    ------
    InputError
        If the SD is zero or not finite: the autoencoder collapsed.
    """
    train = (index["split"] == "train").to_numpy()
    note_fitted("latent scale", index.loc[train, "subject"])
    deviation = float(np.std(mu[train], dtype=np.float64))
    if not np.isfinite(deviation) or deviation < 1e-8:
        raise InputError(
            "latents/mu.npy",
            f"the training latents have SD {deviation}",
            "The autoencoder collapsed: lower autoencoder.kl_weight or learning_rate.",
        )
    return 1 / deviation
