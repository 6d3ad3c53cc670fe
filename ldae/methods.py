"""Every method and network of a study, each an object in one place.

A *network* is what a study trains (or only initialises) once per training seed. A *method* is a row
of the tables: a model under test, a baseline, a trivial answer or the truth. Rules, evaluations,
tables and figures ask the objects here what a method is; nothing is read from how a name begins or
ends. A new method is registered here, or in a module of one's own that the setting ``plugins`` or
the entry point group ``ldae.methods`` names (``METHODS`` and ``NETWORKS`` of that module).

Only the standard library is imported: this module is read whenever the Snakefile is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from importlib.metadata import entry_points
from typing import Any

from ldae.errors import InputError
from ldae.references import import_named

PLUGIN_GROUP = "ldae.methods"
"""Entry point group of packages that bring methods of their own."""

Settings = Mapping[str, Any]


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
        How its code is edited: along the weights of the ``probe``, as in the paper, or
        ``targeted``, holding the other attributes.
    codes
        Whether probes are fitted on its codes, and how many sets of them there are.
    part_of
        The method that it is a part of.
    seeded
        Whether its scores differ between training seeds.
    ablation_of
        The method that it is an ablation of.
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
    seeded: bool = True
    ablation_of: str | None = None
    needs: Need | None = None
    change: str = ""


SHARED_SECTIONS = ("cohort", "diffusion", "grid")
"""Sections that all networks of a study share, so that no ablation changes them."""

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
        "voxel_dae", ("voxel_dae", "encoder", "diffusion"), Look("voxel DAE", "green"),
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
    ),
    Method(
        "ldae_multistep", Role.MODEL, Look("LDAE, multistep sampler", "sky", "v", ":"),
        ("reconstruction", "throughput"),
        network="ldae", sampler=MULTISTEP, space=Space.LATENT,
    ),
    Method(
        "ldae_anatomical", Role.MODEL, Look("anatomical LDAE", "green", "*", "--"),
        ("reconstruction", "manipulation", "interpolation", "throughput"),
        network="ldae_anatomical", sampler=MULTISTEP, space=Space.LATENT, edit="targeted",
        codes=Codes.SEEDED,
    ),
    Method(
        "ldae_joint", Role.MODEL, Look("LDAE, joint", "yellow", "p", "--"),
        ("reconstruction", "manipulation", "interpolation", "throughput"),
        network="ldae_joint", sampler=MULTISTEP, space=Space.LATENT, edit="probe",
        codes=Codes.SEEDED,
    ),
    Method(
        "ldae_joint_targeted", Role.MODEL, Look("LDAE, joint, targeted edit", "green", "^", "-."),
        ("manipulation",),
        network="ldae_joint", sampler=MULTISTEP, space=Space.LATENT, edit="targeted",
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
        network="residual", needs=Need.TRIPLES,
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
        "voxel_dae", Role.BASELINE, Look("voxel DAE", "green", "^"),
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
        "group_difference", Role.TRIVIAL, Look("group difference", "grey", "X"),
        ("manipulation",), seeded=False,
    ),
)  # fmt: skip
"""Methods in the order of tables and figures."""


RECOMMENDED = "ldae_anatomical"
"""The model that keeps every claim (docs/tried/recommended-model.md)."""


class Methods(Mapping[str, Method]):
    """The methods of a study by name, in the order of tables and figures.

    Parameters
    ----------
    methods
        In their order.

    Raises
    ------
    InputError
        If two have one name.
    """

    def __init__(self, methods: Iterable[Method]) -> None:
        self._methods: dict[str, Method] = {}
        for method in methods:
            if method.name in self._methods:
                raise InputError(f"method {method.name}", "the name is taken", "Choose another")
            self._methods[method.name] = method

    def __getitem__(self, name: str) -> Method:
        return self._methods[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._methods)

    def __len__(self) -> int:
        return len(self._methods)

    def select(self, *roles: Role, evaluation: str | None = None) -> Methods:
        """Those with one of `roles` (any, if none is named) that take part in `evaluation`."""
        return Methods(
            method
            for method in self.values()
            if (not roles or method.role in roles)
            and (evaluation is None or evaluation in method.evaluations)
        )

    def coded(self, codes: Codes | None = None) -> Methods:
        """Those whose codes are probed; with `codes`, those with so many sets of them."""
        return Methods(
            method
            for method in self.values()
            if (method.codes is not None if codes is None else method.codes is codes)
        )

    def models(self, evaluation: str) -> Methods:
        """Those of an evaluation that diffuse, and so are loaded as a trained model."""
        return Methods(
            method
            for method in self.select(evaluation=evaluation).values()
            if method.sampler is not None and method.part_of is None
        )

    @property
    def main(self) -> Method:
        """The first model under test: the paper's, which figures of a single model show."""
        return next(iter(self.select(Role.MODEL).values()))

    @property
    def recommended(self) -> Method:
        """The model for use on scans: the recommended one, or the first model under test."""
        return self[RECOMMENDED] if RECOMMENDED in self else self.main

    def is_(self, name: str, *roles: Role) -> bool:
        """Whether a method is there and has one of `roles`."""
        return name in self and self[name].role in roles

    def look(self, name: str) -> Look:
        """How a method is drawn; what is not registered is drawn grey, under its own name."""
        return self[name].look if name in self else Look(name.replace("_", " "))

    def label(self, name: str) -> str:
        """Name of a method for readers."""
        return self.look(name).label

    def as_params(self, *, looks: bool = True) -> list[dict[str, Any]]:
        """The methods as plain data, for the parameters of a rule.

        Parameters
        ----------
        looks
            Whether to say how they are drawn. A rule that draws nothing does without, so that a
            changed colour does not run it again.
        """
        plain = [asdict(method) for method in self.values()]
        return plain if looks else [{k: v for k, v in m.items() if k != "look"} for m in plain]

    @classmethod
    def from_params(cls, params: Iterable[Mapping[str, Any]]) -> Methods:
        """The methods of :meth:`as_params`."""
        return cls(
            Method(
                **{
                    **given,
                    "role": Role(given["role"]),
                    "look": Look(**given.get("look", {"label": given["name"]})),
                    "evaluations": tuple(given["evaluations"]),
                    "space": given["space"] and Space(given["space"]),
                    "codes": given["codes"] and Codes(given["codes"]),
                    "needs": given["needs"] and Need(given["needs"]),
                }
            )
            for given in params
        )


@dataclass(frozen=True)
class Variant:
    """A network as the study trains it, or as an ablation changes it.

    Attributes
    ----------
    name
        Its folder under the results.
    network
        What is trained.
    change
        Changed settings by section; empty for the study's own.
    stands_on
        The variant whose weights it needs.
    """

    name: str
    network: Network
    change: Mapping[str, Mapping[str, Any]]
    stands_on: str | None

    def settings(self, config: Settings) -> dict[str, dict[str, Any]]:
        """The sections that its training reads, with its changes."""
        return {s: {**config[s], **self.change.get(s, {})} for s in self.network.sections}


def study_networks(config: Settings) -> dict[str, Network]:
    """Networks that a study can train by name: those of this package and of its plugins."""
    found: dict[str, Network] = {}
    for network in (*NETWORKS, *(n for p in plugins(config) for n in p.networks)):
        if network.name in found:
            raise InputError(f"network {network.name}", "the name is taken", "Choose another")
        found[network.name] = network
    return found


def unwanted_networks(config: Settings) -> set[str]:
    """Optional networks that a study neither asks for nor ablates.

    Parameters
    ----------
    config
        Complete settings of the study.

    Raises
    ------
    InputError
        If ``variants`` names what is no optional network.
    """
    optional = {name for name, network in study_networks(config).items() if network.optional}
    wanted = set(config.get("variants", ()))
    if unknown := sorted(wanted - optional):
        raise InputError(
            "variants",
            f"{unknown[0]} is no variant",
            f"Choose among {', '.join(sorted(optional))}",
        )
    return optional - wanted - {ablation["network"] for ablation in config["ablations"].values()}


def study_variants(config: Settings) -> dict[str, Variant]:
    """Every network of a study as it is trained, ablations among them, by name.

    An ablation that changes what its network stands on gets a network of its own to stand on.

    Parameters
    ----------
    config
        Complete settings of the study.
    """
    networks = study_networks(config)
    unwanted = unwanted_networks(config)
    trained = [network for name, network in networks.items() if name not in unwanted]
    variants = {n.name: Variant(n.name, n, {}, n.stands_on) for n in trained}
    for name, ablation in config["ablations"].items():
        network, change = networks[ablation["network"]], ablation["change"]
        below = network.stands_on
        if below is not None and set(change) & set(networks[below].changeable):
            own = f"{below}_of_{name}"
            variants[own] = Variant(own, networks[below], change, networks[below].stands_on)
            below = own
        variants[name] = Variant(name, network, change, below)
    return variants


def study_methods(config: Settings) -> Methods:
    """Every method of a study: those of this package, of its plugins, and its ablations.

    Parameters
    ----------
    config
        Complete settings of the study.
    """
    known = Methods([*METHODS, *(m for p in plugins(config) for m in p.methods)])
    ablations = [
        replace(
            _ablation(name, known[ablation["network"]], i, ablation.get("label")),
            change=describe_change(config, name),
        )
        for i, (name, ablation) in enumerate(config["ablations"].items())
    ]
    unwanted = unwanted_networks(config)
    return Methods([*(m for m in known.values() if m.network not in unwanted), *ablations])


ABLATION_MARKERS = ("<", ">", "h", "H", "8", "*")


def _ablation(name: str, base: Method, number: int, label: str | None) -> Method:
    """The method of an ablation: codes of a changed network, otherwise its base."""
    words = name.removeprefix(f"{base.name}_").replace("_", " ")
    marker = ABLATION_MARKERS[number % len(ABLATION_MARKERS)]
    look = Look(label or f"{base.look.label}, {words}", base.look.color, marker)
    return replace(
        base, name=name, look=look, evaluations=(), edit=None, network=name, ablation_of=base.name
    )


def describe_change(config: Settings, ablation: str) -> str:
    """What an ablation changes, as ``encoder.dim_y 96 → 16; …``."""
    return "; ".join(
        f"{section}.{key} {json.dumps(config[section][key])} → {json.dumps(value)}"
        for section, values in config["ablations"][ablation]["change"].items()
        for key, value in values.items()
    )


@dataclass(frozen=True)
class Plugin:
    """Methods and networks of one's own, from outside this package."""

    methods: tuple[Method, ...]
    networks: tuple[Network, ...]


def plugins(config: Settings) -> list[Plugin]:
    """What the entry points and the setting ``plugins`` bring.

    Parameters
    ----------
    config
        Complete settings; ``plugins`` names modules (``mylab.methods``) or files (``mine.py``).

    Raises
    ------
    InputError
        If a module cannot be imported.
    """
    modules = [point.load() for point in entry_points(group=PLUGIN_GROUP)]
    modules += [import_named(name) for name in config.get("plugins", ())]
    return [
        Plugin(tuple(getattr(m, "METHODS", ())), tuple(getattr(m, "NETWORKS", ()))) for m in modules
    ]
