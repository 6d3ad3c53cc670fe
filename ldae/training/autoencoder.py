"""Stage 1: training of the KL autoencoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.losses import JukeboxLoss, PatchAdversarialLoss, PerceptualLoss
from monai.networks.nets import PatchDiscriminator
from torch import Tensor, nn
from typing_extensions import override

from ldae.data.draws import normal_part
from ldae.data.volumes import VolumeStore
from ldae.errors import InputError
from ldae.leakage import note_fitted
from ldae.networks.autoencoder import Autoencoder, kl_divergence, save_autoencoder, space_to_depth
from ldae.networks.weights import adopt_weights
from ldae.training.batches import Batch
from ldae.training.fit import file_identity, fingerprint, fit, resolve_steps
from ldae.training.job import Sections, TrainingData, TrainingJob
from ldae.training.module import StepTraining, add_share
from ldae.training.pca_initialisation import initialise_by_pca
from ldae.training.standard import adopt_standard, measure_standard


def perceptual_loss(settings: dict[str, Any]) -> nn.Module | None:
    """MONAI's slice-wise perceptual loss with a ResNet-50; None if its weight is 0.

    Parameters
    ----------
    settings
        ``perceptual_weight`` and ``perceptual_weights_file``. The file is a state dict of
        torchvision's ResNet-50; it is not downloaded.

    Raises
    ------
    InputError
        If the weight of the loss is not 0 and torchvision or the file is missing.
    """
    if not settings["perceptual_weight"]:
        return None
    path = settings["perceptual_weights_file"]
    try:
        import torchvision  # noqa: F401
    except ImportError as error:
        raise InputError(
            "autoencoder.perceptual_weight",
            "the perceptual loss needs torchvision",
            "Install it with a CUDA build of torch, or set the weight to 0.",
        ) from error
    if path is None or not Path(path).is_file():
        raise InputError(
            "autoencoder.perceptual_weights_file",
            f"there are no weights at {path}",
            "Provide a state dict of torchvision's ResNet-50, or set perceptual_weight to 0.",
        )
    return PerceptualLoss(
        spatial_dims=3, network_type="resnet50", is_fake_3d=True, pretrained_path=str(path)
    )


class AutoencoderTraining(StepTraining):
    """L1 + w_kl·KL + w_spec·spectral + w_perc·perceptual + w_adv·PatchGAN (least squares).

    Generator and discriminator take alternate optimizer steps on the same batch. The discriminator
    is frozen during the backward pass of the generator, and its gradients are set to zero before
    its own.

    Parameters
    ----------
    autoencoder
        Network to train.
    store
        The packed scans.
    settings
        Config section ``autoencoder`` with ``n_steps``.
    seed
        Training seed.
    """

    def __init__(
        self, autoencoder: Autoencoder, store: VolumeStore, settings: dict[str, Any], seed: int
    ) -> None:
        super().__init__(autoencoder, store.rows("train"), store.rows("val"), settings, seed)
        note_fitted("autoencoder", store.index["subject"].iloc[self.train_rows])
        self.store = store
        self.discriminator_patch_size = int(settings["discriminator_patch_size"])
        self.discriminator = PatchDiscriminator(
            spatial_dims=3,
            channels=int(settings["discriminator_channels"]),
            in_channels=self.discriminator_patch_size**3,
            num_layers_d=int(settings["discriminator_layers"]),
            norm=("GROUP", {"num_groups": 8}),  # batch norm needs larger batches than volumes allow
        )
        self.adversarial = PatchAdversarialLoss(criterion="least_squares")
        self.spectral = JukeboxLoss(spatial_dims=3)
        perceptual = perceptual_loss(settings)
        self._perceptual = (perceptual,)  # a tuple keeps its weights out of checkpoints

    @override
    def on_fit_start(self) -> None:
        if self._perceptual[0] is not None:
            self._perceptual[0].to(self.device)

    @override
    def make_batch(self, rows: np.ndarray, part: slice, generator: torch.Generator) -> Batch:
        shape = self.network.latent_shape(self.store.shape)  # type: ignore[operator]
        noise = normal_part(len(rows), shape, part, generator)
        return {"x": self.store.batch(rows[part]), "noise": noise}

    @override
    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        s = self.settings
        return [
            torch.optim.Adam(self.network.parameters(), lr=float(s["learning_rate"])),
            torch.optim.Adam(
                self.discriminator.parameters(), lr=float(s["discriminator_learning_rate"])
            ),
        ]

    def discriminate(self, x: Tensor) -> Tensor:
        """Patch-wise output of the discriminator for scans x (B, 1, H, W, D)."""
        output: Tensor = self.discriminator(space_to_depth(x, self.discriminator_patch_size))[-1]
        return output

    def reconstruction_losses(
        self, network: nn.Module, batch: Batch
    ) -> tuple[dict[str, Tensor], Tensor]:
        """All losses except the adversarial one, and the reconstruction x̂."""
        x, s = batch["x"], self.settings
        x_hat, mu, sigma = network(x, batch["noise"])
        losses = {"l1": (x_hat - x).abs().mean(), "kl": kl_divergence(mu, sigma)}
        total = losses["l1"] + float(s["kl_weight"]) * losses["kl"]
        if s["spectral_weight"]:
            losses["spectral"] = self.spectral(x_hat.float(), x)
            total = total + float(s["spectral_weight"]) * losses["spectral"]
        if self._perceptual[0] is not None:
            losses["perceptual"] = self._perceptual[0](x_hat.float(), x)
            total = total + float(s["perceptual_weight"]) * losses["perceptual"]
        return losses | {"loss": total}, x_hat

    @override
    def losses(self, network: nn.Module, batch: Batch) -> dict[str, Tensor]:
        return self.reconstruction_losses(network, batch)[0]

    @override
    def training_step(self, batch: Batch, batch_idx: int) -> None:
        generator_optimizer, discriminator_optimizer = self.optimizers()  # type: ignore[attr-defined]
        adversarial_on = int(self.step) >= int(self.settings["adversarial_start"])
        weight = float(self.settings["adversarial_weight"]) if adversarial_on else 0.0

        means: dict[str, float] = {}
        generated: list[Tensor] = []
        self.discriminator.requires_grad_(not weight)
        generator_optimizer.zero_grad()
        for piece, share in self.pieces(batch):
            losses, x_hat = self.reconstruction_losses(self.network, piece)
            total = losses["loss"]
            if weight:
                losses["adversarial"] = self.adversarial(
                    self.discriminate(x_hat), target_is_real=True, for_discriminator=False
                )
                total = total + weight * losses["adversarial"]
            self.manual_backward(share * total)
            add_share(means, losses, share)
            generated.append(x_hat.detach())
        generator_optimizer.step()

        if weight:
            self.discriminator.requires_grad_(True)
            batch = {"x": batch["x"], "x_hat": torch.cat(generated)}
            discriminator_optimizer.zero_grad()
            for piece, share in self.pieces(batch):
                fake = self.adversarial(
                    self.discriminate(piece["x_hat"]), target_is_real=False, for_discriminator=True
                )
                real = self.adversarial(
                    self.discriminate(piece["x"]), target_is_real=True, for_discriminator=True
                )
                loss = (fake + real) / 2
                self.manual_backward(share * loss)
                add_share(means, {"discriminator": loss}, share)
            discriminator_optimizer.step()
        self.latest = means
        self.step += 1


def train_autoencoder(data: TrainingData, sections: Sections, job: TrainingJob) -> None:
    """Train the autoencoder on the training split and save it.

    Parameters
    ----------
    data
        The packed scans.
    sections
        Config section ``autoencoder``.
    job
        Seed and output files of the training.

    Raises
    ------
    InputError
        If an axis of the grid is not a multiple of the network's downsampling factor.
    """
    torch.manual_seed(job.seed)
    store, settings = data.store, sections["autoencoder"]
    autoencoder = Autoencoder(
        patch_size=settings["patch_size"],
        channels=settings["channels"],
        n_res_blocks=settings["n_res_blocks"],
        latent_channels=settings["latent_channels"],
        norm_groups=settings["norm_groups"],
        standard_shape=store.shape if settings["z_score_input"] else None,
        pca_initialisation=settings["pca_initialisation"],
    )
    if any(size % autoencoder.downsampling for size in store.shape):
        raise InputError(
            "grid.shape",
            f"{store.shape} is not a multiple of {autoencoder.downsampling}, the downsampling "
            "factor of the autoencoder",
            "Change grid.shape, autoencoder.patch_size or autoencoder.channels.",
        )
    if data.pretrained is not None:
        adopt_weights(autoencoder, data.pretrained)
    else:
        _start(autoencoder, store, job.seed)
    settings = resolve_steps(settings, len(store.rows("train")))
    module = AutoencoderTraining(autoencoder, store, settings, job.seed)
    perceptual = settings["perceptual_weights_file"] if settings["perceptual_weight"] else None
    files = file_identity(perceptual), file_identity(data.pretrained)
    identity = fingerprint(job, settings, *files, store.digest())
    fit(module, "train_autoencoder", job, identity, save_autoencoder)


def _start(autoencoder: Autoencoder, store: VolumeStore, seed: int) -> None:
    """Statistics of the training scans and principal components of their patches, in place."""
    if autoencoder.standard is not None:
        adopt_standard(autoencoder, measure_standard(store))
    if autoencoder.pca_initialisation:
        initialise_by_pca(autoencoder, store, seed)
