"""The bundle of MONAI: its configuration, and the components that it names.

``python -m monai.bundle run`` builds these components from ``configs/inference.json`` of an
exported folder. They do nothing of their own: the model is that of :mod:`ldae.deployment.model`,
and files are written by :mod:`ldae.deployment.files`, as by the commands.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ldae.deployment.files import Output, base_name, check_outputs, decode_files, encode_files
from ldae.deployment.model import Model, load
from ldae.errors import InputError
from ldae.models.inference import reconstruct

if TYPE_CHECKING:
    from ldae.deployment.artefact import Artefact

SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)

OPERATIONS = ("reconstruct", "encode")


class ReconstructionNetwork(nn.Module):
    """The model as one network: preprocessed brains in, their reconstructions out.

    Parameters
    ----------
    bundle_root
        Exported folder.
    device
        Where to compute.
    steps
        Sampler steps; None for the model's own.
    """

    def __init__(
        self, bundle_root: str, device: str | torch.device = "cpu", steps: int | None = None
    ) -> None:
        super().__init__()
        self.ldae = load(bundle_root, device=device)
        self.steps = self.ldae.steps if steps is None else steps

    def forward(self, x: Tensor) -> Tensor:
        """x̂ (B, 1, H, W, D) of scans x (B, 1, H, W, D), both in [0, 1]."""
        return reconstruct(self.ldae.decoder(), x.to(self.ldae.device), self.steps)


def run_scans(
    network: ReconstructionNetwork,
    scan: str | list[str],
    dataset_dir: str,
    output_dir: str,
    operation: str,
) -> None:
    """Work on NIfTI files, as ``ldae reconstruct`` and ``ldae encode`` do.

    Parameters
    ----------
    network
        The model.
    scan
        One file or several: raw heads or preprocessed brains.
    dataset_dir
        Instead: a folder with files ``*.nii`` and ``*.nii.gz``.
    output_dir
        Folder of the outputs; existing ones are replaced.
    operation
        ``reconstruct`` or ``encode``.

    Raises
    ------
    InputError
        If a scan cannot be used, or the operation is another.
    """
    if not scan and not dataset_dir:
        raise InputError("scan", "no scan was given", "Add --scan FILE, or --dataset_dir FOLDER")
    listed = [scan] if isinstance(scan, str) else scan
    paths = [Path(one) for one in listed] if scan else sorted(Path(dataset_dir).glob("*.nii*"))
    model, folder = network.ldae, Path(output_dir)
    if operation not in OPERATIONS:
        remedy = f"Choose one of {', '.join(OPERATIONS)}"
        raise InputError("operation", f"{operation} is unknown", remedy)
    if operation == "encode":
        status = encode_files(model, paths, folder / "codes.tsv", preprocessed=None)
    else:
        status = _reconstruct(model, paths, folder, network.steps)
    if status:
        problem = "some of the scans failed, see the messages above"
        raise InputError("scans", problem, "Correct them, or leave them out")


def _reconstruct(model: Model, paths: list[Path], folder: Path, steps: int) -> int:
    outputs = {
        path: Output(folder, base_name(path), "reconstruction", has_change=False) for path in paths
    }
    check_outputs(list(outputs.values()), overwrite=True)
    return decode_files(model, outputs, lambda path: model.reconstruct(path, steps=steps))


def inference_config() -> dict[str, Any]:
    """Content of ``configs/inference.json``."""
    here = __name__
    return {
        "bundle_root": ".",
        "scan": "",
        "dataset_dir": "",
        "output_dir": "$@bundle_root + '/eval'",
        "operation": OPERATIONS[0],
        "device": "cpu",
        "steps": None,
        "network_def": {
            "_target_": f"{here}.ReconstructionNetwork",
            "bundle_root": "@bundle_root",
            "device": "@device",
            "steps": "@steps",
        },
        "work": {
            "_target_": f"{here}.run_scans",
            "_mode_": "callable",
            "network": "@network_def",
            "scan": "@scan",
            "dataset_dir": "@dataset_dir",
            "output_dir": "@output_dir",
            "operation": "@operation",
        },
        "run": ["$@work()"],
    }


def metadata(artefact: Artefact, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Content of ``configs/metadata.json``, as the specification of bundles asks."""
    versions = manifest["versions"]
    image = {
        "type": "image",
        "format": "magnitude",
        "modality": "MR",
        "num_channels": 1,
        "spatial_shape": list(manifest["grid"]["shape"]),
        "dtype": "float32",
        "value_range": [0, 1],
        "is_patch_data": False,
        "channel_def": {"0": "T1-weighted brain on the model's grid"},
    }
    simulated = " simulated" if manifest["simulated"] else ""
    return {
        "schema": SCHEMA,
        "name": f"ldae_{artefact.method.name}_{manifest['study']}",
        "version": manifest["ldae"],
        "changelog": {manifest["ldae"]: f"exported from the study {manifest['study']}"},
        "monai_version": versions["monai"],
        "pytorch_version": versions["torch"],
        "numpy_version": versions["numpy"],
        "required_packages_version": {
            name: versions[name] for name in ("ldae", "nibabel", "SimpleITK", "nilearn")
        },
        "task": "Reconstruction and semantic codes of brain MRI",
        "description": f"{artefact.method.look.label}: a latent diffusion autoencoder trained on "
        f"{artefact.config['title']}",
        "authors": "The LDAE workflow authors",
        "copyright": "see LICENSE",
        "data_source": f"the{simulated} cohort {manifest['study']}",
        "data_type": "NIfTI",
        "image_classes": "T1-weighted MRI of the head, voxels of 0.1 to 9 mm, any orientation",
        "intended_use": "Research only. Not for diagnosis.",
        "references": ["Lozupone et al., Medical Image Analysis 108, 103932 (2026)"],
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": image}},
    }


def write_configs(folder: Path, artefact: Artefact, manifest: Mapping[str, Any]) -> None:
    """Write ``configs/`` of an exported folder."""
    contents = {
        "metadata": metadata(artefact, manifest),
        "inference": inference_config(),
    }
    for name, content in contents.items():
        path = folder / "configs" / f"{name}.json"
        path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
