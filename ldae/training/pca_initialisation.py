"""PCA initialisation of the KL autoencoder: a linear autoencoder of patches."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.decomposition import PCA

from ldae.data.volumes import VolumeStore
from ldae.leakage import note_fitted
from ldae.networks.autoencoder import Autoencoder, fill_convolution, space_to_depth

MAX_PATCHES = 20_000  # enough for the leading components of some hundred voxels


def initialise_by_pca(autoencoder: Autoencoder, store: VolumeStore, seed: int) -> None:
    """Set the linear path to the principal components of training patches, and the rest to zero.

    The edge of a patch is the downsampling factor of the autoencoder. Afterwards μ(x) contains the
    leading components of each patch, and D(μ) is the best linear reconstruction from them. The
    contribution of the nonlinear network is zero.

    Parameters
    ----------
    autoencoder
        Autoencoder with ``pca_initialisation``, and with its standardisation already measured;
        changed in place.
    store
        The packed scans; only rows of the training split are read.
    seed
        Seed of the selection of scans and patches.
    """
    edge, n_components = autoencoder.downsampling, autoencoder.latent_channels
    rng = np.random.default_rng(seed)
    per_scan = int(np.prod([size // edge for size in store.shape]))
    rows = rng.permutation(store.rows("train"))[: -(-MAX_PATCHES // per_scan)]
    note_fitted("PCA initialisation", store.index["subject"].iloc[rows])
    x = store.batch(np.sort(rows))
    if autoencoder.standard is not None:
        x = autoencoder.standard(x)
    patches = space_to_depth(x, edge).permute(0, 2, 3, 4, 1).reshape(-1, edge**3).numpy()
    chosen = rng.permutation(len(patches))[:MAX_PATCHES]
    pca = PCA(n_components, svd_solver="randomized", random_state=seed).fit(patches[chosen])

    kernel = torch.from_numpy(pca.components_.astype(np.float32))
    kernel = kernel.reshape(n_components, 1, edge, edge, edge)
    mean = torch.from_numpy(pca.mean_.astype(np.float32)).reshape(1, -1)
    start = -(kernel.reshape(n_components, -1) @ mean.reshape(-1))
    autoencoder.linear_encode.load_state_dict({"weight": kernel, "bias": start})
    # all voxels of a patch share one bias: the mean over the mean patch
    autoencoder.linear_decode.load_state_dict({"weight": kernel, "bias": mean.mean()[None]})
    fill_convolution(autoencoder.network.quant_conv_mu, 0.0)
    fill_convolution(autoencoder.network.decoder, 0.0)
