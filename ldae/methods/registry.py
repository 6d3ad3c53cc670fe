"""The networks and methods of this package."""

from __future__ import annotations

from ldae.methods.kinds import Codes, Look, Method, Need, Network, Role, Space

DDIM = "ldae.diffusion.sampler:DDIM"
MULTISTEP = "ldae.diffusion.sampler:MULTISTEP"
_ENCODER = "ldae.networks.encoders:load_encoder"

NETWORKS = (
    Network(
        "prior", ("prior", "diffusion"), Look("prior", "blue"),
        train="ldae.training.diffusion:train_prior",
        model="ldae.models.ldae:load_prior",
    ),
    Network(
        "ldae", ("ldae", "encoder", "diffusion"), Look("LDAE", "vermilion"),
        train="ldae.training.diffusion:train_ldae",
        encoder=_ENCODER,
        model="ldae.models.ldae:load_ldae",
        stands_on="prior",
        memory_mb=64000,
    ),
    Network(
        "ldae_anatomical", ("ldae_anatomical", "diffusion", "grid"),
        Look("anatomical LDAE", "green"),
        train="ldae.training.anatomical:train_ldae_anatomical",
        encoder="ldae.networks.anatomical:load_anatomical_encoder",
        model="ldae.models.anatomical:load_anatomical",
    ),
    Network(
        "ldae_joint", ("ldae_joint", "diffusion", "grid"), Look("LDAE, joint", "yellow"),
        train="ldae.training.joint:train_ldae_joint",
        encoder="ldae.networks.joint:load_joint_encoder",
        model="ldae.models.joint:load_joint",
        optional=True,
    ),
    Network(
        "voxel_dae", ("voxel_dae", "encoder", "diffusion"), Look("voxel DAE", "wine"),
        train="ldae.training.diffusion:train_voxel_dae",
        encoder=_ENCODER,
        model="ldae.models.voxel_dae:load_voxel_dae",
        space=Space.VOXEL,
        memory_mb=64000,
    ),
    Network(
        "supervised", ("supervised", "encoder", "cohort"), Look("supervised encoder", "blue"),
        train="ldae.training.supervised:train_supervised",
        encoder=_ENCODER,
        space=Space.VOXEL,
        needs=Need.LABELS,
    ),
    Network(
        "untrained", ("encoder",), None,
        train="ldae.training.encoder_start:save_untrained_encoder",
        encoder=_ENCODER,
        space=Space.VOXEL,
    ),
    Network(
        "residual", ("residual",), Look("interpolation residual", "purple"),
        train="ldae.training.residual:train_residual",
        needs=Need.TRIPLES,
        optional=True,
    ),
)  # fmt: skip
"""Networks beside the autoencoder, which all of them share."""

_ALL = ("reconstruction", "stochastic", "manipulation", "interpolation", "throughput")

METHODS = (
    Method(
        "ldae", Role.MODEL, Look("LDAE", "vermilion", "o", "-"), _ALL,
        network="ldae", sampler=DDIM, space=Space.LATENT, edit="probe", codes=Codes.SEEDED,
        start="untrained",
    ),
    Method(
        "ldae_multistep", Role.MODEL, Look("LDAE, multistep sampler", "sky", "v", ":"),
        ("reconstruction", "throughput"),
        network="ldae", sampler=MULTISTEP, space=Space.LATENT,
    ),
    Method(
        "ldae_anatomical", Role.MODEL, Look("anatomical LDAE", "green", "*", "--"),
        ("reconstruction", "manipulation", "interpolation", "throughput"),
        network="ldae_anatomical", sampler=MULTISTEP, space=Space.LATENT, edit="effect",
        codes=Codes.SEEDED, start="histogram_pca", fills_in=True, deforms=True,
    ),
    Method(
        "ldae_joint", Role.MODEL, Look("LDAE, joint", "yellow", "p", "--"),
        ("reconstruction", "manipulation", "interpolation", "throughput"),
        network="ldae_joint", sampler=MULTISTEP, space=Space.LATENT, edit="probe",
        codes=Codes.SEEDED, start="histogram_pca",
    ),
    Method(
        "ldae_joint_targeted", Role.MODEL, Look("LDAE, joint, targeted edit", "green", "^", "-."),
        ("manipulation",),
        network="ldae_joint", sampler=MULTISTEP, space=Space.LATENT, edit="targeted",
        start="histogram_pca",
    ),
    Method(
        "ldae_semantic", Role.PART, Look("LDAE, semantic code only", "purple", "D"),
        ("reconstruction",),
        network="ldae", sampler=DDIM, space=Space.LATENT, part_of="ldae",
    ),
    Method(
        "ldae_anatomical_semantic", Role.PART, Look("anatomical LDAE, semantic only", "green", "d"),
        ("reconstruction",),
        network="ldae_anatomical", sampler=MULTISTEP, space=Space.LATENT,
        part_of="ldae_anatomical",
    ),
    Method(
        "ldae_joint_semantic", Role.PART, Look("LDAE, joint, semantic only", "yellow", "d"),
        ("reconstruction",),
        network="ldae_joint", sampler=MULTISTEP, space=Space.LATENT, part_of="ldae_joint",
    ),
    Method(
        "ldae_residual", Role.MODEL, Look("average + residual", "purple", "D", ":"),
        ("interpolation",),
        network="residual", needs=Need.TRIPLES, fills_in=True,
    ),
    Method(
        "autoencoder", Role.BOUND, Look("autoencoder alone", "black", "_"),
        ("reconstruction",), space=Space.LATENT, seeded=False,
    ),
    Method(
        "prior", Role.BASELINE, Look("prior alone", "blue", "s"), ("reconstruction",),
        network="prior", sampler=DDIM, space=Space.LATENT,
    ),
    Method(
        "voxel_dae", Role.BASELINE, Look("voxel DAE", "wine", "^"),
        ("reconstruction", "stochastic", "throughput"),
        network="voxel_dae", sampler=DDIM, space=Space.VOXEL, codes=Codes.SEEDED,
    ),
    Method(
        "voxel_dae_multistep", Role.BASELINE, Look("voxel DAE, multistep sampler", "orange", "<"),
        ("reconstruction", "throughput"),
        network="voxel_dae", sampler=MULTISTEP, space=Space.VOXEL,
    ),
    Method(
        "supervised", Role.BASELINE, Look("supervised encoder", "blue", "o", "-."),
        network="supervised", codes=Codes.SEEDED, needs=Need.LABELS,
    ),
    Method(
        "untrained", Role.BASELINE, Look("untrained encoder", "grey", "o", ":"),
        network="untrained", codes=Codes.SEEDED,
    ),
    Method("voxel_pca", Role.BASELINE, Look("voxel PCA", "orange"), codes=Codes.SHARED),
    Method(
        "histogram_pca", Role.BASELINE, Look("PCA of local histograms", "yellow", "o", ":"),
        codes=Codes.SHARED,
    ),
    Method("latent_mean", Role.BASELINE, Look("pooled latents", "sky"), codes=Codes.SHARED),
    Method(
        "region_volumes", Role.BASELINE, Look("regional volumes", "purple", "o", "--"),
        codes=Codes.SHARED,
    ),
    Method(
        "true_volumes", Role.TRUTH, Look("true volumes", "black", "o", "--"),
        codes=Codes.SHARED, needs=Need.TRUTH,
    ),
    Method(
        "nearest_visit", Role.TRIVIAL, Look("copy of nearer visit", "grey", "X"),
        ("interpolation",), seeded=False,
    ),
    Method(
        "voxel_average", Role.TRIVIAL, Look("voxel average", "orange", "P"),
        ("interpolation",), seeded=False,
    ),
    Method(
        "latent_average", Role.TRIVIAL, Look("latent average", "blue", "s"),
        ("interpolation",), seeded=False,
    ),
    Method(
        "smoothed_average", Role.TRIVIAL, Look("smoothed voxel average", "yellow", "h"),
        ("interpolation",), seeded=False,
    ),
    Method(
        "halfway_registration", Role.TRIVIAL, Look("half-way registration", "sky", "H"),
        ("interpolation",), seeded=False,
    ),
    Method(
        "group_difference", Role.TRIVIAL, Look("group difference", "grey", "X"),
        ("manipulation",), seeded=False,
    ),
)  # fmt: skip
"""Methods in the order of tables and figures."""


RECOMMENDED = "ldae_anatomical"
"""The model for use on scans, and what it was chosen by: docs/tried/recommended-model.md."""
