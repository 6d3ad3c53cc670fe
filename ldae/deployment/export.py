"""A trained model as a folder that stands alone, laid out as a bundle of MONAI.

The folder has what inference needs (weights, latent scale, settings, probes), what a reader needs
(model card, licence, checksums) and what MONAI needs (``configs/``). It names no place of the
machine and no participant.
"""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import yaml

import ldae
from ldae.data.exported import CHECKSUMS, FORMAT, MANIFEST, SCALE, file_digest
from ldae.deployment.artefact import WEIGHTS, Artefact, read_artefact
from ldae.deployment.bundle import write_configs
from ldae.deployment.card import model_card
from ldae.deployment.files import installed_versions
from ldae.deployment.readout import write_readouts
from ldae.deployment.scans import Grid
from ldae.errors import InputError
from ldae.paths import IS_CLONE, SOURCE

LOCAL = (
    "bids_folder", "cohort.table", "split.file", "preprocessing.mask_pattern",
    "quality.reference_masks", "evaluation.reference_volumes", "encoder.pretrained",
    "autoencoder.perceptual_weights_file", "pretrained",
)  # fmt: skip
"""Settings that may name files of the machine, and that inference does not need."""


def export_model(
    results: Path,
    folder: Path,
    *,
    method: str | None = None,
    seed: int | None = None,
    licence: Path | None = None,
    overwrite: bool = False,
) -> Artefact:
    """Write a trained model of a study as a folder that stands alone.

    Parameters
    ----------
    results
        Results of a finished study.
    folder
        Written.
    method, seed
        As for :func:`ldae.deployment.model.load`.
    licence
        Text of the licence of the weights. Of a simulated study, by default, this package's.
    overwrite
        Whether an exported model in `folder` is replaced.

    Returns
    -------
    Artefact
        The model, read back from the folder.

    Raises
    ------
    InputError
        If the study is not finished, the folder has something else in it, there is no licence, or
        the method comes from a file that the folder cannot carry.
    """
    _check_folder(folder, overwrite=overwrite)
    artefact = read_artefact(results, method, seed)
    if artefact.manifest is not None:
        problem = "it is an exported model already"
        raise InputError(results, problem, "Copy the folder, or name the results of a study")
    text = _licence(artefact, licence)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".ldae-export-", dir=folder.parent) as scratch:
        whole = Path(scratch) / "model"
        _write(artefact, whole, text)
        exported = read_artefact(whole, None, None)
        if exported.digest != artefact.digest:
            raise InputError(results, "a file changed during the export", "Export again")
        if folder.exists():
            shutil.rmtree(folder)
        whole.rename(folder)
    return read_artefact(folder, None, None)


def _check_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder with other content than an exported model that may be replaced."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / MANIFEST).is_file():
        problem = "it exists and is no exported model"
        raise InputError(folder, problem, "Name a new folder")
    if not overwrite:
        problem = "there is an exported model already"
        raise InputError(folder, problem, "Add --overwrite, or name a new folder")


def _licence(artefact: Artefact, given: Path | None) -> str:
    """Text of the licence of the weights."""
    if given is not None:
        if not given.is_file():
            raise InputError(given, "there is no such file", "Name the text of a licence")
        return given.read_text(encoding="utf-8")
    if artefact.config["cohort"]["source"] != "simulated":
        problem = "the model was trained on real scans, whose terms decide how it may be shared"
        remedy = "Read them, and name the text of the weights' licence with --licence FILE"
        raise InputError("licence", problem, remedy)
    if IS_CLONE:
        return (SOURCE / "LICENSE").read_text(encoding="utf-8")
    return str(distribution("ldae").read_text("licenses/LICENSE"))


def _write(artefact: Artefact, folder: Path, licence: str) -> None:
    """Write all files of an exported folder."""
    for name in (WEIGHTS, "configs", "docs"):
        (folder / name).mkdir(parents=True)
    files = {}
    for name, path in artefact.files.items():
        files[name] = f"{WEIGHTS}/{name}{path.suffix}"
        file_digest(path)  # names a missing file
        shutil.copyfile(path, folder / files[name])
    config = public_settings(artefact)
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    readouts, directions = artefact.readouts(), artefact.directions()
    write_readouts(folder, readouts, directions)
    manifest = _manifest(artefact, files)
    _write_json(manifest, folder / MANIFEST)
    card = model_card(artefact, manifest, readouts)
    (folder / "docs" / "README.md").write_text(card, encoding="utf-8")
    (folder / "LICENSE").write_text(licence, encoding="utf-8")
    write_configs(folder, artefact, manifest)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{file_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in paths]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def public_settings(artefact: Artefact) -> dict[str, Any]:
    """Settings of a study without what names places of the machine.

    Raises
    ------
    InputError
        If the model's method or network comes from a file.
    """
    config = copy.deepcopy(dict(artefact.config))
    for key in LOCAL:
        section, _, name = key.rpartition(".")
        place = config[section] if section else config
        if name in place:
            place[name] = None
    config["pathvars"] = {"results": "results"}
    modules = [name for name in config["plugins"] if not name.endswith(".py")]
    for reference in (artefact.network.train, artefact.network.model, artefact.network.encoder):
        file = (reference or "").partition(":")[0]
        if file.endswith(".py"):
            problem = f"the network {artefact.network.name} comes from this file"
            remedy = "Make it an installable package, and name its module in plugins"
            raise InputError(file, problem, remedy)
    return config | {"plugins": modules}


def _manifest(artefact: Artefact, files: Mapping[str, str]) -> dict[str, Any]:
    """Content of ``model.json``."""
    config = artefact.config
    grid = Grid(config)
    scale = artefact.files.get(SCALE)
    return {
        "format": FORMAT,
        "ldae": ldae.__version__,
        "method": artefact.method.name,
        "seed": artefact.seed,
        "digest": artefact.digest,
        "study": config["study"],
        "simulated": config["cohort"]["source"] == "simulated",
        "files": dict(files),
        "grid": {
            "shape": list(grid.shape),
            "spacing_mm": config["grid"]["spacing_mm"],
            "affine": grid.affine.tolist(),
            "space": "MNI152NLin2009aSym",
        },
        "schedule": config["diffusion"],
        "latent_scale": json.loads(scale.read_text(encoding="utf-8"))["scale"] if scale else None,
        "sampler": artefact.method.sampler,
        "steps": config["evaluation"]["manipulation"]["n_steps"],
        "edit": artefact.method.edit,
        "preprocessing": {"version": ldae.__version__} | config["preprocessing"],
        "network": asdict(artefact.network) | {"look": None},
        "versions": installed_versions(),
    }


def _write_json(content: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
