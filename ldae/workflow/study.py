"""What the rules ask about a study: its plan, its files, and the parameters of its jobs.

What memory and time they ask for is in :mod:`ldae.workflow.demands`.

Methods that take ``wildcards`` are input functions or parameters of rules.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ldae.data.intake.settings import BEST
from ldae.data.intake.settings import SETTINGS as INTAKE_SETTINGS
from ldae.data.kept_cohort import KeptCohort
from ldae.data.manifest import summarise_scans
from ldae.methods import (
    Methods,
    Need,
    Role,
    Snapshot,
    Variant,
    study_networks,
    study_variants,
)
from ldae.provenance import code
from ldae.subsets import scored_split
from ldae.training.checkpoints import WEIGHTS, snapshot_file
from ldae.workflow.demands import Demands
from ldae.workflow.doctor.trial_arguments import study_trials
from ldae.workflow.plan import (
    batch_fingerprint,
    cohort_fingerprint,
    mask_fingerprint,
    plan_study,
    read_notices,
    split_digest,
    split_settings,
    summarise_cohort,
)
from ldae.workflow.pretrained import kept_scale, weights_of_autoencoder, weights_of_network
from ldae.workflow.products import Products

VIEWED = ("reconstruction", "manipulation", "interpolation")
"""Evaluations whose examples the viewer shows (:data:`ldae.viewer.study.SCENES`)."""

HISTOGRAMS = ("window_mm", "stride_mm", "n_bins")
"""Settings of :func:`ldae.training.histograms.histogram_layer`."""

NO_LIMITS = ("decisions", "reference_masks")
"""Settings of the quality control that are no limits of measures."""

SNAPSHOTS = "curves/"
"""Folder, below those of the scores and examples, of networks on learning curves."""

NO_WILDCARDS: Mapping[str, str] = {}
"""Of a job that is of the study's own models."""


class Study:
    """A study as its rules see it.

    Parameters
    ----------
    config
        Complete settings.
    scripts
        Folder of the rules' scripts.
    kept
        The real cohort as the main process read it, for the process of a job; by default the
        cohort is read here.

    Attributes
    ----------
    cohort, plan
        First look at the cohort, and the targets that it allows.
    notices
        What was left out or decided when a real cohort was read, as lines to print.
    variants
        Every network that is trained, by name.
    networks
        The networks that these are variants of.
    products
        What is made of each table and figure.
    demands
        Memory and time of its jobs.
    """

    def __init__(
        self, config: Mapping[str, Any], scripts: Path, kept: KeptCohort | None = None
    ) -> None:
        self.config = dict(config)
        self.scripts = scripts
        self._kept = kept
        self.cohort = summarise_scans(kept.scans) if kept else summarise_cohort(self.config)
        self.notices = [] if kept else read_notices(self.config)
        self.plan = plan_study(self.config, self.cohort)
        known = study_variants(config)
        self.variants: dict[str, Variant] = {name: known[name] for name in self.plan.networks}
        self.networks = study_networks(config)
        self.products = Products(self.plan, self.networks, self.config)
        self.demands = Demands(self)

    # how the cohort is read

    @property
    def intake(self) -> dict[str, Any]:
        """Settings by which tables and folders of a cohort are read."""
        return {name: self.config["cohort"][name] for name in INTAKE_SETTINGS}

    def reading(self, wildcards: Any, input: object = None) -> dict[str, Any]:
        """All that decides which scans there are, not compared (:func:`not_compared`).

        The digest of a batch's files notices what it changes.
        """
        kept = self._kept and self._kept.path and os.path.relpath(self._kept.path)
        return {"public": self.public, "intake": self.intake, "kept": kept}

    def keep_cohort(self, folder: Path) -> Path:
        """Keep a real cohort as it was read for the processes of the jobs, in a file in `folder`.

        From here on this process answers from what was kept, too.
        """
        kept = KeptCohort(
            scans=self.cohort.scans,
            fingerprint=self.cohort_fingerprint,
            batches={batch: batch_fingerprint(self.config, batch) for batch in self.plan.batches},
            masks=self.reference_masks(None),
            split=self.planned_split,
        )
        path = kept.write(folder, self.results(""))
        self._kept = replace(kept, path=path)
        return path

    # files

    def results(self, path: str) -> str:
        """Path of a file of the study, where Snakemake does not replace ``<results>``."""
        return f"{self.config['pathvars']['results']}/{path}"

    def model(self, network: str, seed: object) -> str:
        """Weights of a network of one training seed; of one on a learning curve after its step."""
        snapshot = self.plan.snapshots.get(network)
        if snapshot is None or snapshot.step is None:
            return self.results(f"{network}/seed-{seed}/{WEIGHTS}")
        return self.results(f"{snapshot.variant.name}/seed-{seed}/{snapshot_file(snapshot.step)}")

    def weights(self, wildcards: Any) -> str:
        """Weights of the network and training seed that a job's wildcards name."""
        return self.model(wildcards.network, wildcards.seed)

    def bids_dir(self, wildcards: Any) -> str:
        """Folder of the cohort's raw scans."""
        if self.simulated:
            return self.results("cohort/bids")
        return str(self.config["bids_folder"])

    def preprocessed(self, wildcards: Any) -> str:
        """Data set of the preprocessed scans, whose files are found by their scan's name."""
        return self.results("preprocessed")

    @property
    def simulated(self) -> bool:
        """Whether the cohort is simulated."""
        return bool(self.config["cohort"]["source"] == "simulated")

    @property
    def public(self) -> bool:
        """Whether participants may be called by the labels of their cohort."""
        return self.simulated or bool(self.config["cohort"]["public"])

    @property
    def folders(self) -> list[Path]:
        """Folders with data from outside that jobs read."""
        named = [self.config["bids_folder"], self.config["split"]["file"]]
        named += [self.config["cohort"]["table"], self.config["cohort"]["tables"]]
        named += [*self.config["quality"]["decisions"], self.config["encoder"]["pretrained"]]
        named += [self.config["autoencoder"]["perceptual_weights_file"], self.config["pretrained"]]
        # a table of scans may be named by its place below the cohort's folder
        paths = [path for path in map(Path, filter(None, named)) if path.exists()]
        return [path if path.is_dir() else path.parent for path in paths]

    @property
    def split(self) -> dict[str, Any]:
        """Settings of the split, with strata."""
        return split_settings(self.config)

    def given_split(self, wildcards: Any) -> str | list[str]:
        """Table of a split that was made elsewhere; none for most."""
        return self.config["split"]["file"] or []

    def qc_decisions(self, wildcards: Any) -> list[str]:
        """Tables of raters' decisions on scans; none for most."""
        return list(self.config["quality"]["decisions"])

    def reference_volumes(self, wildcards: Any) -> str | list[str]:
        """Table of reference volumes of a real cohort; none if the settings name none."""
        name = self.config["evaluation"]["reference_volumes"]
        return f"{self.config['bids_folder']}/{name}" if name else []

    @property
    def cohort_fingerprint(self) -> str:
        """Digest of a real cohort's tables and of its images' names, sizes and times."""
        return self._kept.fingerprint if self._kept else cohort_fingerprint(self.config)

    def batch_files(self, wildcards: Any) -> str:
        """Digest of the files that a batch of a real cohort is preprocessed from."""
        if self._kept:
            return self._kept.batches[wildcards.batch]
        return batch_fingerprint(self.config, wildcards.batch)

    def limits_of_repeats(self, wildcards: Any) -> dict[str, Any] | None:
        """Limits of quality, by which the best of repeated scans is taken; None without a choice.

        Without what does not enter the measures, so that a rater's decision preprocesses nothing.
        """
        if self.simulated or self.config["cohort"]["repeats"] != BEST:
            return None
        quality = self.config["quality"]
        return {name: quality[name] for name in quality if name not in NO_LIMITS}

    @property
    def planned_split(self) -> str:
        """Digest of a real cohort's visits and of the split that they will have.

        A corrected label leaves it as it is, and with it all that is trained without labels.
        """
        if self._kept:
            return self._kept.split
        return "" if self.simulated else split_digest(self.config, self.cohort)

    def labels(self, wildcards: Any) -> str | list[str]:
        """Table of scans with labels, for a network that learns from them."""
        needs = self.variant(wildcards).network.needs
        return self.results("manifest/scans.tsv") if needs is Need.LABELS else []

    @property
    def checked_scans(self) -> str:
        """Table of the scans whose quality is checked; with their files if these have masks."""
        with_files = self.config["quality"]["reference_masks"]
        return self.results(f"manifest/{'scans' if with_files else 'visits'}.tsv")

    def reference_masks(self, wildcards: Any) -> str:
        """Digest of the masks that brain masks are compared with."""
        if self._kept:
            return self._kept.masks
        return mask_fingerprint(self.config, self.config["quality"]["reference_masks"])

    # trainings

    @property
    def followed(self) -> list[str]:
        """Networks that keep their weights after some steps, for learning curves."""
        return [name for name in self.config["curves"]["networks"] if name in self.variants]

    @property
    def not_followed(self) -> list[str]:
        """Networks that keep their weights at the end of their training alone."""
        return [name for name in self.variants if name not in self.followed]

    @property
    def snapshot_files(self) -> list[str]:
        """Names of the weights that a followed network keeps beside its last ones."""
        return [snapshot_file(step) for step in sorted(self.config["curves"]["steps"])]

    def variant(self, wildcards: Any) -> Variant:
        """What a job's wildcard ``network`` names."""
        snapshot = self.plan.snapshots.get(wildcards.network)
        return snapshot.variant if snapshot else self.variants[wildcards.network]

    def training(self, wildcards: Any, input: object = None) -> str:
        """Reference of the function that trains a network, not compared (:func:`not_compared`)."""
        return self.variant(wildcards).network.train

    def sections(self, wildcards: Any) -> dict[str, dict[str, Any]]:
        """Settings that a training reads, by section, with an ablation's changes."""
        return self.variant(wildcards).settings(self.config)

    def section(self, name: str) -> dict[str, dict[str, Any]]:
        """One section of the settings, under its name."""
        return {name: self.config[name]}

    def training_seed(self, wildcards: Any) -> int:
        """Seed of one training: its order of the data, initialisation and noise."""
        return int(wildcards.seed)

    def in_latents(self, wildcards: Any) -> bool:
        """Whether a network is trained on latents."""
        return self.variant(wildcards).network.in_latents

    def stands_on(self, wildcards: Any) -> str | list[str]:
        """Weights that a network stands on; none for most."""
        below = self.variant(wildcards).stands_on
        return self.model(below, wildcards.seed) if below else []

    def imagenet(self, wildcards: Any) -> str | list[str]:
        """ImageNet weights that a network's encoder starts from, if any."""
        return existing(self.sections(wildcards).get("encoder", {}).get("pretrained"))

    def pretrained(self, wildcards: Any) -> str | list[str]:
        """Weights of a trained model that a network starts from, if any."""
        return weights_of_network(self.config, self.variant(wildcards))

    def pretrained_autoencoder(self, wildcards: Any) -> str | list[str]:
        """Weights of a trained model that the autoencoder starts from, if any."""
        return weights_of_autoencoder(self.config)

    def kept_scale(self, wildcards: Any) -> str | list[str]:
        """Scale of the latents of a trained model whose autoencoder is trained on, if any."""
        return kept_scale(self.config)

    def perceptual(self, wildcards: Any) -> str | list[str]:
        """Weights of the perceptual loss, if there is one."""
        settings = self.config["autoencoder"]
        return existing(settings["perceptual_weight"] and settings["perceptual_weights_file"])

    def checkpoints(self, wildcards: Any) -> str:
        """Folder of one training's checkpoints, outside its rule's outputs."""
        return self.results(f"checkpoints/{wildcards.network}-seed-{wildcards.seed}")

    @property
    def trials(self) -> dict[str, Any]:
        """Arguments of :func:`ldae.workflow.doctor.trials.try_trainings`: trainings and grid."""
        return study_trials(self.config, self.variants.values())

    # evaluations

    @property
    def scored(self) -> str:
        """Split of the participants who are scored."""
        return scored_split(final=self.config["final"])

    def encoder(self, wildcards: Any, input: object = None) -> str:
        """Reference of what loads a network's semantic encoder, not compared."""
        return str(self.variant(wildcards).network.encoder)

    @property
    def encoders(self) -> list[str]:
        """Networks whose semantic codes are computed."""
        coded = [m.name for m in self.plan.methods.coded().values() if m.network is not None]
        return list(dict.fromkeys([*coded, *self.plan.snapshots]))

    @property
    def probed(self) -> list[str]:
        """Methods, and networks on learning curves, whose codes are probed."""
        return list(dict.fromkeys([*self.plan.runs, *self.plan.snapshots]))

    @property
    def measured(self) -> str:
        """Pattern of what an evaluation is of: nothing for the study's models, or a snapshot."""
        return f"|{SNAPSHOTS}({one_of(self.plan.snapshots)})/"

    def snapshot(self, wildcards: Any) -> Snapshot | None:
        """The network on a learning curve that an evaluation is of, if it is of one."""
        name = wildcards.get("of", "").removeprefix(SNAPSHOTS).rstrip("/")
        return self.plan.snapshots[name] if name else None

    def methods(self, evaluation: str, wildcards: Any = NO_WILDCARDS) -> Methods:
        """Methods of an evaluation; of a snapshot it, and what its model cannot pass."""
        methods = self.plan.methods.select(evaluation=evaluation)
        snapshot = self.snapshot(wildcards)
        if snapshot is None:
            return methods
        return Methods([snapshot.method, *methods.select(Role.BOUND).values()])

    def loaders(self, evaluation: str, wildcards: Any = NO_WILDCARDS) -> dict[str, str]:
        """Reference of the function that loads the model of each network of an evaluation."""
        methods = self.methods(evaluation, wildcards).models(evaluation).values()
        return {m.network: str(self.networks[m.network].model) for m in methods if m.network}

    def model_params(self, evaluation: str) -> dict[str, Any]:
        """Parameters by which a job of an evaluation loads its models."""
        return {
            "methods": lambda w: self.methods(evaluation, w).as_params(looks=False),
            "loaders": lambda w: self.loaders(evaluation, w),
            "diffusion": self.config["diffusion"],
            "scored": self.scored,
        }

    def models(self, evaluation: str) -> Callable[[Any], dict[str, str]]:
        """Input function: weights of all networks of an evaluation, by name."""

        def files(wildcards: Any) -> dict[str, str]:
            seed = wildcards.get("seed", self.plan.seeds[0])
            snapshot = self.snapshot(wildcards)
            if snapshot is not None:
                return self._weights_of(snapshot, seed)
            names = {m.network for m in self.methods(evaluation).values() if m.network}
            names |= {below for n in names if (below := self.networks[n].stands_on)}
            return {name: self.model(name, seed) for name in sorted(names)}

        return files

    def _weights_of(self, snapshot: Snapshot, seed: object) -> dict[str, str]:
        """Weights of a snapshot and of what it stands on, by the names that its loader knows."""
        variant = snapshot.variant
        files = {variant.network.name: self.model(snapshot.name, seed)}
        if variant.network.stands_on and variant.stands_on:
            files[variant.network.stands_on] = self.model(variant.stands_on, seed)
        return files

    def edited_codes(self, wildcards: Any) -> dict[str, str]:
        """Codes of every network whose code is edited, as ``<network>_codes``."""
        methods = self.methods("manipulation", wildcards).values()
        names = dict.fromkeys(m.network for m in methods if m.edit is not None)
        snapshot, codes = self.snapshot(wildcards), "codes/{}/seed-{}.npy"
        owner = {n: snapshot.name if snapshot else n for n in names}
        return {f"{n}_codes": self.results(codes.format(owner[n], wildcards.seed)) for n in names}

    def reconstruction_settings(self, wildcards: Any) -> dict[str, Any]:
        """Settings of a reconstruction; on a learning curve at the steps that verdicts compare."""
        settings: dict[str, Any] = self.config["evaluation"]["reconstruction"]
        if self.snapshot(wildcards) is None:
            return settings
        steps = [self.config["verdicts"]["n_steps"]]
        return settings | {"steps": steps, "voxel_steps": steps}

    @property
    def histograms(self) -> dict[str, Any]:
        """Windows and bins of the local histograms: all that baseline and model have in common."""
        return {name: self.config["ldae_anatomical"][name] for name in HISTOGRAMS}

    @property
    def probe_params(self) -> dict[str, Any]:
        """Parameters by which a job fits its probes: what of, and how their strength is chosen."""
        names = ("c_grid", "alpha_grid", "n_folds")
        return {name: self.config["probes"][name] for name in names} | {"tasks": self.plan.tasks}

    def outer_folds(self, wildcards: Any) -> Any:
        """Folds of the probes' cross-validation; None for codes that were learned from labels.

        Probes that predict training participants would learn from codes that saw their labels.
        Codes on the way of a learning curve are for validation participants alone.
        """
        known = wildcards.method in self.plan.methods
        without = not known or self._saw_labels(wildcards)
        return None if without else self.config["probes"]["outer_folds"]

    def label_counts(self, wildcards: Any) -> list[int]:
        """Numbers of labels that codes are probed with; none for codes learned from labels.

        Harmonised codes have none either: ComBat is fitted on labelled participants. Nor have codes
        on the way of a learning curve.
        """
        known = wildcards.method in self.plan.methods
        without = not known or self._saw_labels(wildcards) or self.harmonised(wildcards)
        return [] if without else self.config["probes"]["label_counts"]

    def _saw_labels(self, wildcards: Any) -> bool:
        """Whether a method's codes were learned from labels."""
        variant = self.variants.get(self._origin(wildcards))
        return variant is not None and variant.network.needs is Need.LABELS

    def probed_codes(self, wildcards: Any) -> str:
        """Codes that a job fits its probes on, before the effects of sites are taken out."""
        return self.results(f"codes/{self._origin(wildcards)}/{wildcards.run}.npy")

    def harmonised(self, wildcards: Any) -> bool:
        """Whether the effects of sites are taken out of them."""
        return self._origin(wildcards) != str(wildcards.method)

    def _origin(self, wildcards: Any) -> str:
        """The method whose codes they are."""
        method = self.plan.methods.get(wildcards.method)
        return (method and method.harmonises) or str(wildcards.method)

    # tables, figures and the report

    @property
    def looks(self) -> dict[str, dict[str, str]]:
        """How the training curve of each network is drawn."""
        return {n.name: asdict(n.look) for n in self.networks.values() if n.look is not None}

    @property
    def cohort_tables(self) -> list[str]:
        """Tables that the report counts the cohort from, in the order of its script."""
        return [
            "manifest/notices.tsv",
            "manifest/scans.tsv",
            "qc/qc.tsv",
            "volumes/index.tsv",
        ]

    @property
    def examples(self) -> list[str]:
        """Volumes that evaluations keep, of the first training seed, for the viewer."""
        kept = [name for name in VIEWED if name in self.plan.parts]
        return [f"examples/{name}/seed-{self.plan.seeds[0]}.npz" for name in kept]

    @property
    def captions(self) -> dict[str, str]:
        """Reference of the function that writes each figure's caption."""
        return {name: figure.caption for name, figure in self.plan.figures.items()}

    def product_code(self, script: str) -> Callable[[Any], str]:
        """Parameter: digest of the code that makes one table or figure."""
        path = self.scripts / f"{script}.py"
        return lambda wildcards: code.code_digest(path, *self.products.find(wildcards).references)

    # jobs

    def code(self, script: str, *references: str) -> Callable[[Any], str]:
        """Parameter: digest of a script and of `references`, made when a job asks for it.

        `references` are those that the script resolves (:func:`ldae.references.resolve`).
        """
        path = self.scripts / f"{script}.py"
        return lambda wildcards: code.code_digest(path, *references)

    def training_code(self, wildcards: Any) -> str:
        """Digest of the code of one network's training."""
        return self.code("train_network", self.training(wildcards))(wildcards)

    def encoder_code(self, wildcards: Any) -> str:
        """Digest of the code of one network's encoder."""
        return self.code("encode_semantics", self.encoder(wildcards))(wildcards)

    def evaluation_code(self, script: str, evaluation: str) -> Callable[[Any], str]:
        """Parameter: digest of an evaluation's code, its models' and their samplers' included."""

        def digest(wildcards: Any) -> str:
            methods = self.methods(evaluation, wildcards).models(evaluation).values()
            samplers = dict.fromkeys(m.sampler for m in methods if m.sampler)
            loaders = self.loaders(evaluation, wildcards).values()
            return self.code(script, *loaders, *samplers)(wildcards)

        return digest


def existing(name: object) -> str | list[str]:
    """A file of weights that a setting names, if it is there.

    :func:`ldae.workflow.plan.check_weights` says which are missing.
    """
    return str(name) if name and Path(str(name)).is_file() else []


def not_compared(value: Any) -> Callable[[Any, object], Any]:
    """A parameter that Snakemake does not compare with that of the last run.

    It leaves out what is derived from a job's inputs, that is, functions that take ``input``. So
    are references to code: the digest of the code notices what they lead to, wherever it lies.
    """
    return lambda wildcards, input: value


def one_of(names: Iterable[str]) -> str:
    """Pattern for a wildcard that is one of `names`."""
    return "|".join(names) or "none"
