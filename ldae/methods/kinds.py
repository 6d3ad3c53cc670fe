"""What methods and networks are, and the words for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SHARED_SECTIONS = ("cohort", "diffusion", "grid")
"""Sections that all networks of a study share, so that no ablation changes them."""


class Role(StrEnum):
    """What a method is in a comparison."""

    MODEL = "model"
    """Under test: claims are made of it."""
    BASELINE = "baseline"
    """What models are compared with."""
    TRIVIAL = "trivial"
    """An answer without a model, such as a copy; interpolation's skill is against the best one."""
    BOUND = "bound"
    """What a model cannot pass, such as the autoencoder alone for what is decoded by it."""
    TRUTH = "truth"
    """What simulated participants were made from; no method is asked to beat it."""
    PART = "part"
    """A model without one of its parts; it claims nothing."""
    HARMONISED = "harmonised"
    """Codes of another method without the effects of sites; it claims nothing."""


class Space(StrEnum):
    """Where a diffusion runs."""

    LATENT = "latent"
    VOXEL = "voxel"


class Codes(StrEnum):
    """How many sets of codes a method has: one per training seed, or one that all seeds share."""

    SEEDED = "seeded"
    SHARED = "shared"


class Need(StrEnum):
    """What a cohort must have for a network or a method to make sense."""

    LABELS = "labels"
    """A diagnosis or an age to learn from."""
    TRIPLES = "triples"
    """One participant with three visits to test on, and another one to learn from."""
    TRUTH = "truth"
    """True volumes, which only simulated participants have."""


@dataclass(frozen=True)
class Look:
    """How a method is drawn.

    No number depends on it: it reaches figures through their rules' parameters, and the digest of
    code leaves it out (:mod:`ldae.provenance.code`).

    Attributes
    ----------
    label
        Name in figures and tables for readers.
    color
        Name of a colour of the palette (:data:`ldae.figures.theme.PALETTE`).
    marker, line
        Of matplotlib.
    """

    label: str
    color: str = "grey"
    marker: str = "o"
    line: str = "-"


@dataclass(frozen=True)
class Network:
    """A network that depends on the training seed.

    Attributes
    ----------
    name
        Its folder under the results, and its section of the settings.
    sections
        Sections of the settings that its training reads; an ablation may change them.
    look
        Of its training curve; None where there is no training to draw.
    train
        ``module:function`` that trains and saves it, given its data
        (:class:`ldae.training.job.TrainingData`), its sections of the settings and its job
        (:class:`ldae.training.job.TrainingJob`).
    encoder
        ``module:function`` that loads its semantic encoder from a file and a device; None for a
        network without a semantic code.
    model
        ``module:function`` that loads it as a :class:`ldae.models.base.DiffusionAutoencoder`; None
        for a network that is none.
    space
        Where its diffusion runs: in latent space it is trained on latents.
    stands_on
        Another network whose weights it needs.
    needs
        What the cohort must have; one that needs labels is trained on them.
    memory_mb
        Memory that its training asks for.
    optional
        Whether only studies have it that ask for it by the setting ``variants`` or ablate it.
    """

    name: str
    sections: tuple[str, ...]
    look: Look | None
    train: str
    encoder: str | None = None
    model: str | None = None
    space: Space = Space.LATENT
    stands_on: str | None = None
    needs: Need | None = None
    memory_mb: int = 32000
    optional: bool = False

    @property
    def in_latents(self) -> bool:
        """Whether it is trained on latents."""
        return self.space is Space.LATENT

    @property
    def changeable(self) -> tuple[str, ...]:
        """Sections that belong to this network alone, or to its encoder."""
        return tuple(s for s in self.sections if s not in SHARED_SECTIONS)


@dataclass(frozen=True)
class Method:
    """A row of the tables.

    Attributes
    ----------
    name
        In files and tables.
    role
        What it is in a comparison.
    look
        How it is drawn.
    evaluations
        Evaluations that it takes part in: among ``reconstruction``, ``stochastic``,
        ``manipulation``, ``interpolation`` and ``throughput``.
    network
        The network whose weights it uses; None for what needs none.
    sampler
        ``module:name`` of its sampler; None for what does not diffuse.
    space
        Where it diffuses.
    edit
        How its code is edited: along the weights of the ``probe``, as in the paper; ``targeted``,
        holding what probes read of the other attributes; or along the ``effect`` of the attribute.
    codes
        Whether probes are fitted on its codes, and how many sets of them there are.
    part_of
        The method that it is a part of.
    start
        The method whose code its own code is before training.
    fills_in
        Whether it interpolates by a head that uses neither code nor diffusion.
    deforms
        Whether its edits deform the scan as the code says, without the diffusion.
    seeded
        Whether its scores differ between training seeds.
    ablation_of
        The method that it is an ablation of.
    harmonises
        The method whose codes it takes the effects of sites out of.
    needs
        What the cohort must have.
    change
        What an ablation changes, in words.
    """

    name: str
    role: Role
    look: Look
    evaluations: tuple[str, ...] = ()
    network: str | None = None
    sampler: str | None = None
    space: Space | None = None
    edit: str | None = None
    codes: Codes | None = None
    part_of: str | None = None
    start: str | None = None
    fills_in: bool = False
    deforms: bool = False
    seeded: bool = True
    ablation_of: str | None = None
    harmonises: str | None = None
    needs: Need | None = None
    change: str = ""
