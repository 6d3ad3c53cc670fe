"""Settings of the networks and of their trainings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from ldae.workflow.settings.types import Count, Place, Positive, Section, setting

Widths = Annotated[
    list[Count],
    Field(
        min_length=1,
        description="Width of each resolution level. Every level but the last halves the "
        "resolution.",
    ),
]
Attention = Annotated[
    list[bool],
    Field(min_length=1, description="Whether each level attends over space, with one head."),
]
ResBlocks = Annotated[Count, Field(description="Residual blocks per level.")]
NormGroups = Annotated[
    Count, Field(description="Groups of the group normalisation. They divide every width.")
]
Dropout = Annotated[float, Field(ge=0, lt=1, description="Dropout in the residual blocks.")]
PatchSize = Annotated[
    Count,
    Field(
        description="Edge of the voxel cubes that become channels (space-to-depth). 1 leaves "
        "the voxels as they are."
    ),
]
VPrediction = Annotated[
    bool,
    Field(
        description="Whether the layers predict v, from which the noise follows. Small errors "
        "then stay small at high noise. If not, they predict the noise, as in the paper."
    ),
]
ZScoreInput = Annotated[
    bool,
    Field(
        description="Whether inputs are z-scored voxel by voxel by the training mean and SD. "
        "The paper does not do this."
    ),
]
LearningRate = Annotated[Positive, Field(description="Learning rate of Adam.")]
BatchSize = Annotated[Count, Field(description="Scans per optimizer step, over all devices.")]
MicroBatch = Annotated[
    Count | None,
    Field(
        description="Scans that a process takes at a time. Set it where a batch does not fit "
        "into memory: the gradients of the parts add up to the batch's. Null is the whole batch."
    ),
]
Steps = Annotated[
    Count | None,
    Field(description="Length of the training in optimizer steps. Null where n_epochs is given."),
]
Epochs = Annotated[
    Count | None,
    Field(description="Length of the training in epochs. Null where n_steps is given."),
]
Start = Annotated[
    Literal["pretrained", "frozen", "scratch"],
    Field(
        description="How the weights of the model in `pretrained` are used. `pretrained` trains "
        "on from them, `frozen` keeps them as they are, `scratch` starts without them."
    ),
]
Validations = Annotated[
    Count,
    Field(
        description="Number of validations during the training, evenly spread. Each takes 16 "
        "samples of the validation split, or as many as a batch has."
    ),
]
EmaDecay = Annotated[
    float,
    Field(ge=0, lt=1, description="Decay of the average of the weights per optimizer step."),
]


class Diffusion(Section):
    """Noise schedule, linear in β."""

    n_timesteps: int = setting(1000, "Number of timesteps T.", ge=2)
    beta_start: float = setting(1e-4, "First β.", gt=0, lt=1)
    beta_end: float = setting(0.02, "Last β.", gt=0, lt=1)


def _halvings(widths: Sequence[int]) -> int:
    """By how much resolution levels shrink an axis: every level but the last halves it."""
    return int(2 ** (len(widths) - 1))


class Training(Section):
    """What every training has; its length is given in steps or in epochs."""

    learning_rate: LearningRate
    batch_size: BatchSize
    micro_batch: MicroBatch = None
    n_steps: Steps
    n_epochs: Epochs = None
    n_validations: Validations = 8

    def reduction(self, latent: int) -> int:
        """Factor by which the network shrinks an axis of the grid.

        Parameters
        ----------
        latent
            That of the autoencoder's latents.
        """
        return 1


class Continued(Section):
    """A training that can start from the weights of a trained model."""

    start: Start = "pretrained"


class AveragedTraining(Training):
    """A training whose result is the average of its weights."""

    ema_decay: EmaDecay


class UNet(Section):
    """Shape of a diffusion U-Net."""

    channels: Widths
    attention_levels: Attention
    n_res_blocks: ResBlocks = 1
    norm_groups: NormGroups
    dropout: Dropout = 0.1

    def halvings(self) -> int:
        """Factor by which its levels shrink an axis."""
        return _halvings(self.channels)


class LatentDiffusion(AveragedTraining, UNet):
    """A diffusion U-Net in latent space."""

    def reduction(self, latent: int) -> int:
        """Factor by which latent and levels shrink an axis of the grid."""
        return latent * self.halvings()


class Autoencoder(Continued, Training):
    """Autoencoder that compresses a scan to a latent."""

    patch_size: PatchSize = 4
    channels: Widths = [96]
    n_res_blocks: ResBlocks = 1
    latent_channels: Count = setting(32, "Channels of the latent.")
    norm_groups: NormGroups = 16
    z_score_input: ZScoreInput = True
    pca_initialisation: bool = setting(
        True, "Whether a linear path starts from the principal components of training patches. "
        "The paper has no such path.",
    )  # fmt: skip
    kl_weight: float = setting(1e-8, "Weight of the Kullback-Leibler term.", ge=0)
    spectral_weight: float = setting(0.0, "Weight of the spectral loss.", ge=0)
    perceptual_weight: float = setting(
        0.0, "Weight of the perceptual loss. Above 0 it needs perceptual_weights_file.", ge=0
    )
    perceptual_weights_file: Place | None = setting(
        None, "State dict of torchvision's ResNet-50 (.pth). Null without the perceptual loss."
    )
    adversarial_weight: float = setting(0.002, "Weight of the adversarial loss.", ge=0)
    adversarial_start: int = setting(45, "First step with the adversarial loss.", ge=0)
    discriminator_patch_size: Count = setting(
        4, "Edge of the voxel cubes that become channels of the discriminator (space-to-depth)."
    )
    discriminator_channels: int = setting(
        32, "Width of the discriminator's first layer. Its normalisation has 8 groups.",
        ge=8, multiple_of=8,
    )  # fmt: skip
    discriminator_layers: Count = setting(1, "Layers of the discriminator.")
    learning_rate: LearningRate = 5e-4
    discriminator_learning_rate: Positive = setting(
        2e-4, "Learning rate of Adam for the discriminator."
    )
    batch_size: BatchSize = 4
    n_steps: Steps = 60

    def reduction(self, latent: int) -> int:
        """Factor by which it shrinks an axis of the grid: that of its latents."""
        return self.patch_size * _halvings(self.channels)


class Prior(Continued, LatentDiffusion):
    """Unconditional diffusion prior in the latent space."""

    channels: Widths = [16, 32]
    attention_levels: Attention = [False, True]
    norm_groups: NormGroups = 8
    v_prediction: VPrediction = True
    learning_rate: LearningRate = 1e-3
    batch_size: BatchSize = 32
    n_steps: Steps = 150
    ema_decay: EmaDecay = 0.99


class Encoder(Section):
    """Semantic encoder of the LDAE, the voxel DAE and the supervised network."""

    backbone: Literal["slices", "volume"] = setting(
        "slices", "2-D network on slices, as in the paper, or 3-D network. `slices` is a ConvNeXt "
        "on every axial slice with attention over the slices; `volume` is a 3-D convolutional "
        "network on the local intensity histograms of overlapping windows.",
    )  # fmt: skip
    depths: list[Count] = setting([1, 1], "Blocks of each stage of the ConvNeXt.", min_length=1)
    widths: list[Count] = setting([48, 96], "Width of each stage.", min_length=1)
    patch_size: Count = setting(4, "Edge of the patches of the stem.", unit="voxels")
    slab: Count = setting(
        4, "Neighbouring slices that are stacked as channels of one image. It is 1 in the paper."
    )
    n_heads: Count = setting(4, "Heads of the attention over slices.")
    dim_y: Count = setting(96, "Length of the semantic code y.")
    z_score_input: ZScoreInput = True
    pretrained: Place | None = setting(
        None, "File of a ConvNeXt trained on ImageNet. It is model.safetensors of a Hugging Face "
        "model, for the backbone of slices; null starts from random weights.",
    )  # fmt: skip
    window: Count = setting(
        12, "Edge of the windows of local intensity histograms (volume backbone).",
        unit="voxels",
    )  # fmt: skip
    stride: Count = setting(
        6, "Distance between the centres of these windows, at most their edge.", unit="voxels"
    )
    n_bins: int = setting(8, "Bins of these histograms.", ge=2)
    channels: list[Count] = setting(
        [64, 64], "Width of each level of the volume backbone. Every level but the first halves "
        "the resolution.", min_length=1,
    )  # fmt: skip


class Ldae(Continued, AveragedTraining):
    """Training of the LDAE: semantic encoder and gradient estimator on the prior."""

    learning_rate: LearningRate = 1e-3
    batch_size: BatchSize = 32
    n_steps: Steps = 130
    ema_decay: EmaDecay = 0.99
    snr_gamma: float = setting(
        0.1, "Exponent of the signal-to-noise ratio in the loss weight.", ge=0, le=1
    )


class LdaeJoint(LatentDiffusion):
    """LDAE with encoder and denoiser trained together in latent space; not the paper's."""

    window_mm: Positive = setting(
        48, "Edge of the windows of local intensity histograms that the encoder sees.", unit="mm"
    )
    stride_mm: Positive = setting(24, "Distance between the centres of the windows.", unit="mm")
    n_bins: int = setting(8, "Bins of the histograms.", ge=2)
    n_components: Count = setting(64, "Entries of the semantic code that are trained.")
    temporal_scores: bool = setting(
        True, "Whether scores of the order of visits, one per window, are further entries. "
        "They are left out where no training participant has two visits.",
    )  # fmt: skip
    encoder_width: Count = setting(32, "Width of the hidden layer in the encoder's correction.")
    other_visit: bool = setting(
        True, "Whether the code of one visit is trained to restore another visit. Both are of "
        "the same participant.",
    )  # fmt: skip
    channels: Widths = [16, 32]
    attention_levels: Attention = [False, True]
    norm_groups: NormGroups = 8
    learning_rate: LearningRate = 1e-3
    batch_size: BatchSize = 32
    n_steps: Steps = 60
    ema_decay: EmaDecay = 0.98


class LdaeAnatomical(Continued, AveragedTraining):
    """The recommended LDAE: code, denoiser and fill-in head, trained as one network."""

    window_mm: Positive = setting(
        48, "Edge of the windows of local intensity histograms that the encoder sees. Those of "
        "the baseline histogram_pca are the same.", unit="mm",
    )  # fmt: skip
    stride_mm: Positive = setting(24, "Distance between the centres of the windows.", unit="mm")
    n_bins: int = setting(8, "Bins of the histograms.", ge=2)
    n_components: Count = setting(64, "Entries of the code that start as principal components.")
    n_scores: int = setting(
        8, "Entries of the code that learn the order of visits. They are left out where no "
        "training participant has two visits.", ge=0,
    )  # fmt: skip
    encoder_width: Count = setting(64, "Width of the hidden layer of these entries.")
    encoder_dropout: float = setting(
        0.2, "Share of the histograms' bins that are dropped in training.", ge=0, lt=1
    )
    other_visit: bool = setting(
        True, "Whether the code of one visit is trained to restore another visit. Both are of "
        "the same participant.",
    )  # fmt: skip
    anatomy_weight: float = setting(
        1.0, "Weight of the error of the histograms that the code restores.", ge=0
    )
    order_weight: float = setting(1.0, "Weight of the error of the years between visits.", ge=0)
    patch_size: Count = setting(2, "Edge of the patches of the latent that become tokens.")
    width: Count = setting(128, "Width of the tokens.")
    depth: Count = setting(3, "Blocks of the transformer.")
    n_heads: Count = setting(4, "Heads of its attention.")
    fill_in_patch_size: PatchSize = 2
    fill_in_channels: Count = setting(32, "Width of the fill-in head.")
    fill_in_n_blocks: int = setting(1, "Residual blocks of the fill-in head.", ge=0)
    fill_in_whole_share: float = setting(
        0.25, "Share of the whole volume in the loss of the fill-in head. The rest is inside the "
        "brain mask. Without it the head draws brain wherever another visit has some.", ge=0, le=1,
    )  # fmt: skip
    deformation_spacing_mm: Positive = setting(
        8.0, "Grid on which the code's effect on anatomy is held.", unit="mm"
    )
    deformation_n_participants: Count = setting(
        300, "Participants on whom this effect is fitted. Their scans are registered to the "
        "average of training.",
    )  # fmt: skip
    deformation_penalty: float = setting(
        3.0, "Ridge penalty of this fit. It is per participant, for a code of unit variance.", ge=0
    )
    component_learning_rate: Positive = setting(
        1e-4, "Learning rate of Adam for the entries that start as principal components."
    )
    learning_rate: LearningRate = 1e-3
    batch_size: BatchSize = 8
    n_steps: Steps = 400
    ema_decay: EmaDecay = 0.98

    def reduction(self, latent: int) -> int:
        """Factor by which tokens and fill-in head shrink an axis of the grid."""
        return math.lcm(latent * self.patch_size, self.fill_in_patch_size)


class VoxelDae(Continued, AveragedTraining, UNet):
    """Diffusion autoencoder in voxel space, with the LDAE's encoder."""

    patch_size: PatchSize = 2
    channels: Widths = [16, 32]
    attention_levels: Attention = [False, False]
    norm_groups: NormGroups = 8
    v_prediction: VPrediction = True
    learning_rate: LearningRate = 1e-3
    batch_size: BatchSize = 8
    n_steps: Steps = 190
    ema_decay: EmaDecay = 0.98

    def reduction(self, latent: int) -> int:
        """Factor by which patches and levels shrink an axis of the grid."""
        return self.patch_size * self.halvings()


class Supervised(AveragedTraining):
    """The LDAE's encoder, trained with labels."""

    learning_rate: LearningRate = 1e-3
    batch_size: BatchSize = 32
    n_steps: Steps = 100
    ema_decay: EmaDecay = 0.98


class Residual(AveragedTraining):
    """What interpolation adds to the average of two visits, learned from triples of visits."""

    patch_size: PatchSize = 2
    channels: Count = setting(16, "Width of the network.")
    n_blocks: int = setting(1, "Residual blocks.", ge=0)
    learning_rate: LearningRate = 2e-3
    batch_size: Count = setting(2, "Triples of visits per optimizer step, over all devices.")
    micro_batch: Count | None = setting(
        None, "Triples of visits that a process takes at a time. Null is the whole batch."
    )
    n_steps: Steps = 300
    ema_decay: EmaDecay = 0.98

    def reduction(self, latent: int) -> int:
        """Factor by which its patches shrink an axis of the grid."""
        return self.patch_size


class NetworkSections(Section):
    """The sections of the diffusion, the autoencoder and the networks."""

    diffusion: Diffusion = Field(default_factory=Diffusion)
    autoencoder: Autoencoder = Field(default_factory=Autoencoder)
    prior: Prior = Field(default_factory=Prior)
    encoder: Encoder = Field(default_factory=Encoder)
    ldae: Ldae = Field(default_factory=Ldae)
    ldae_joint: LdaeJoint = Field(default_factory=LdaeJoint)
    ldae_anatomical: LdaeAnatomical = Field(default_factory=LdaeAnatomical)
    voxel_dae: VoxelDae = Field(default_factory=VoxelDae)
    supervised: Supervised = Field(default_factory=Supervised)
    residual: Residual = Field(default_factory=Residual)
