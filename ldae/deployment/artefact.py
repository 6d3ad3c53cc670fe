"""A trained model as files: those in the results of a study, or those of an exported folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from ldae.data.exported import (
    AUTOENCODER,
    MANIFEST,
    SCALE,
    check_files,
    exported_files,
    file_digest,
    read_manifest,
)
from ldae.errors import InputError
from ldae.methods import Method, Network, Variant, study_methods, study_variants

if TYPE_CHECKING:
    from ldae.deployment.readout import Readout
    from ldae.evaluation.editing.directions import Direction
    from ldae.evaluation.probes.fitting import Probe

WEIGHTS = "models"
"""Folder of the weights in an exported folder, as MONAI has it."""


@dataclass(frozen=True)
class Artefact:
    """A trained model of a study.

    Attributes
    ----------
    folder
        Results of the study, or exported folder.
    method
        How it encodes, samples and edits.
    coded
        The method with the same network whose codes the probes read.
    variant
        Its network, as the study trained it.
    seed
        Training seed.
    files
        Weights by network, and the latent scale (:data:`SCALE`).
    config
        Complete settings of the study.
    manifest
        Content of ``model.json``; None in the results of a study.
    """

    folder: Path
    method: Method
    coded: Method
    variant: Variant
    seed: int
    files: Mapping[str, Path]
    config: Mapping[str, Any]
    manifest: Mapping[str, Any] | None = None

    @property
    def network(self) -> Network:
        """The method's network."""
        return self.variant.network

    @cached_property
    def digest(self) -> str:
        """SHA-256 of weights, scale and the settings that encoding depends on.

        An exported folder has the same one as the results that it was exported from.
        """
        content = {name: file_digest(path) for name, path in self.files.items()}
        settings = {s: dict(self.config[s]) for s in ("grid", "preprocessing", "diffusion")}
        settings["preprocessing"]["mask_pattern"] = None  # names files, which are not exported
        text = json.dumps([content, settings, self.method.name], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def readouts(self) -> dict[str, Readout]:
        """What predictions are made with, by task."""
        from ldae.deployment import readout

        if self.manifest is None:
            return readout.fit_readouts(self)
        return readout.read_readouts(self.folder)

    def probes(self) -> dict[str, Probe]:
        """Probes of the training participants by task."""
        from ldae.deployment import readout

        if self.manifest is None:
            return readout.read_probes(self)
        return {task: one.probe for task, one in readout.read_readouts(self.folder).items()}

    def directions(self) -> dict[str, Direction]:
        """Directions of edits in code space, by task."""
        from ldae.deployment import readout

        if self.manifest is None:
            return readout.fit_directions(self)
        return readout.read_directions(self.folder)


def read_artefact(folder: Path, method: str | None, seed: int | None) -> Artefact:
    """The model in a folder, its files found.

    Parameters
    ----------
    folder
        Results of a finished study, or a folder that ``ldae export`` has written.
    method
        Method of the study; by default the recommended one, or the first one under test of a study
        without it. An exported folder has one only.
    seed
        Training seed; by default the first of the study.

    Raises
    ------
    InputError
        If the folder has neither, or not this model, or an exported file was changed.
    """
    if (folder / MANIFEST).is_file():
        return _read_exported(folder, method, seed)
    return _read_results(folder, method, seed)


def _read_results(folder: Path, name: str | None, seed: int | None) -> Artefact:
    """A model in the results of a study."""
    config = _read_settings(folder)
    method, coded = _choose_method(folder, config, name)
    variants = study_variants(config)
    variant = variants[str(method.network)]
    seed = config["training_seeds"][0] if seed is None else seed
    files = {}
    below: str | None = variant.name
    while below is not None:
        files[variants[below].network.name] = folder / below / f"seed-{seed}" / "model.safetensors"
        below = variants[below].stands_on
    if variant.network.in_latents:
        files[AUTOENCODER] = folder / AUTOENCODER / "model.safetensors"
        files[SCALE] = folder / "latents" / "scale.json"
    own = files[variant.network.name]
    if not own.is_file():
        seeds = ", ".join(map(str, config["training_seeds"]))
        remedy = f"Run the study to its end; its training seeds are {seeds}"
        raise InputError(own, "there are no such weights", remedy)
    return Artefact(folder, method, coded, variant, int(seed), files, config)


def _choose_method(folder: Path, config: dict[str, Any], name: str | None) -> tuple[Method, Method]:
    """The method of this name, and the one with its network whose codes are probed."""
    methods = study_methods(config)
    coded: dict[str, Method] = {}
    for method in methods.coded().values():
        if method.network is not None:
            coded.setdefault(method.network, method)
    usable = {m.name: m for m in methods.values() if m.network in coded and m.part_of is None}
    if name is None:
        trained = (folder / str(methods.recommended.network)).is_dir()
        name = (methods.recommended if trained else methods.main).name
    if name not in usable:
        remedy = f"Choose one of {', '.join(usable)}"
        raise InputError(name, "the study has no encoder of this name", remedy)
    return usable[name], coded[str(usable[name].network)]


def _read_settings(folder: Path) -> dict[str, Any]:
    """Complete settings of a study."""
    path = folder / "config.yaml"
    if not path.is_file():
        problem = f"it holds no model (no {MANIFEST} of ldae export, no config.yaml of a study)"
        raise InputError(folder, problem, "Name an exported folder, or the results of a study")
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def _read_exported(folder: Path, name: str | None, seed: int | None) -> Artefact:
    """The model of an exported folder."""
    manifest = read_manifest(folder)
    for given, kept in ((name, manifest["method"]), (seed, manifest["seed"])):
        if given is not None and given != kept:
            problem = f"it is {manifest['method']} of training seed {manifest['seed']}, not {given}"
            raise InputError(folder, problem, "Leave method and seed out, or export another model")
    check_files(folder)
    config = _read_settings(folder)
    _check_grid(folder / MANIFEST, manifest, config)
    method, coded = _choose_method(folder, config, manifest["method"])
    variant = study_variants(config)[str(method.network)]
    seed, files = manifest["seed"], exported_files(folder)
    return Artefact(folder, method, coded, variant, seed, files, config, manifest)


def _check_grid(path: Path, manifest: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuse a grid that would not be the training's: another version has another template."""
    from ldae.preprocessing.resampling import grid_affine

    grid = config["grid"]
    now = grid_affine(float(grid["spacing_mm"]), tuple(grid["shape"]))
    if not np.allclose(now, manifest["grid"]["affine"], rtol=0, atol=1e-6):
        problem = "the template of the installed nilearn is not that of the model"
        raise InputError(path, problem, f"Install nilearn {manifest['versions']['nilearn']}")
