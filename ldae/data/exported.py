"""Files of an exported model (``ldae export``): its manifest, its weights and their checksums."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ldae.data.digests import sha256_of
from ldae.errors import InputError

MANIFEST = "model.json"
"""File that makes a folder an exported model."""

FORMAT = 1
"""Version of the layout of an exported folder."""

CHECKSUMS = "SHA256SUMS"
"""Checksums of an exported folder, as ``sha256sum --check`` reads them."""

SCALE = "scale"
"""Name of the latent scale among a model's files; the networks have their own names."""

AUTOENCODER = "autoencoder"

FROZEN, SCRATCH = "frozen", "scratch"
"""Settings ``start`` of a network that keeps the weights of an exported model, or goes without."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """Content of ``model.json`` of an exported model.

    Raises
    ------
    InputError
        If the folder is no exported model, or one of another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        problem = f"it is no exported model (it has no {MANIFEST})"
        raise InputError(folder, problem, "Write one: ldae export RESULTS FOLDER")
    manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if manifest["format"] != FORMAT:
        problem = f"it has format {manifest['format']}, this version of ldae reads {FORMAT}"
        raise InputError(path, problem, f"Use ldae {manifest['ldae']}")
    return manifest


def exported_files(folder: Path) -> dict[str, Path]:
    """Weights of an exported model by the name of their network, and its latent scale.

    Raises
    ------
    InputError
        As :func:`read_manifest`.
    """
    return {name: folder / address for name, address in read_manifest(folder)["files"].items()}


def check_files(folder: Path) -> None:
    """Check every file of an exported folder against its checksum.

    Raises
    ------
    InputError
        If a file is missing or was changed.
    """
    remedy = "Copy the exported folder again"
    listed = folder / CHECKSUMS
    if not listed.is_file():
        raise InputError(listed, "there is no such file", remedy)
    for line in listed.read_text(encoding="utf-8").splitlines():
        digest, _, address = line.partition("  ")
        if not (folder / address).is_file():
            raise InputError(folder / address, "the file is missing", remedy)
        if file_digest(folder / address) != digest:
            raise InputError(folder / address, "the file is not the one that was exported", remedy)


def file_digest(path: Path) -> str:
    """SHA-256 of a file.

    Raises
    ------
    InputError
        If there is no such file.
    """
    if not path.is_file():
        raise InputError(path, "there is no such file", "Run the study to its end")
    return sha256_of(path)
