"""What a script in a container or conda environment can import; what its container may see."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ldae.errors import InputError
from ldae.provenance import images
from ldae.provenance.images import Image, write_digests
from ldae.workflow.containers import container_environment, image_path, use_images

ROOT = Path(__file__).resolve().parents[2]

# As Snakemake begins a script: its own folders at the end of the path, and the object `snakemake`.
SCRIPT = """
import sys
sys.path.extend([{host!r}, {root!r}])
import early_package
snakemake = object()
import ldae
for name in ("early_package", "host_package"):
    try:
        __import__(name)
        print(name, "found")
    except ModuleNotFoundError:
        print(name, "missing")
import ldae.errors, json, numpy
print("rest found")
"""


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"APPTAINER_CONTAINER": "/images/torch-0123.sif"}, ["missing", "missing"]),
        ({}, ["found", "found"]),
    ],
)
def test_host_packages_stay_outside_a_container(
    tmp_path: Path, variables: dict[str, str], words: list[str]
) -> None:
    host = tmp_path / "item_0"
    host.mkdir()
    for name in ("early_package", "host_package"):
        (host / f"{name}.py").touch()
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(host=str(host), root=str(ROOT)))
    done = subprocess.run(
        [sys.executable, str(script)], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")
    assert [line.split()[1] for line in lines[:2]] == words
    assert lines[2] == "rest found"


def test_a_container_gets_what_a_job_needs_and_no_more(tmp_path: Path) -> None:
    found = container_environment({"SECRET": "x", "HOME": "/home/me"}, [])
    assert sorted(found) == ["APPTAINER_CLEANENV", "APPTAINER_NET", "APPTAINER_NETWORK"] or sorted(
        found
    ) == ["SINGULARITY_CLEANENV", "SINGULARITY_NET", "SINGULARITY_NETWORK"]
    in_job = {"SLURM_JOB_ID": "7", "SLURM_STEP_GPUS": "0", "CUDA_VISIBLE_DEVICES": "0"}
    found = container_environment(in_job, [tmp_path, tmp_path])
    assert "/scratch/me" not in str(found)
    writable = container_environment(in_job, [tmp_path], [Path("/scratch/me")])
    assert f"{tmp_path}:{tmp_path}:ro" in str(writable)
    assert "/scratch/me:/scratch/me" in str(writable) and "/scratch/me:ro" not in str(writable)
    found = {name.replace("SINGULARITY", "APPTAINER"): value for name, value in found.items()}
    assert found["APPTAINER_NV"] == "1"
    assert found["APPTAINERENV_CUDA_VISIBLE_DEVICES"] == "0"
    assert found["APPTAINER_BIND"] == f"{tmp_path}:{tmp_path}:ro"
    without = container_environment({"SLURM_JOB_ID": "7"}, [])
    assert "0" in (without.get("APPTAINER_NV"), without.get("SINGULARITY_NV"))


def test_a_rule_gets_the_image_of_its_environment() -> None:
    environments = ("../envs/torch.yaml", "/clone/envs/analysis.yaml", "other/envs/mine.yaml", None)
    rules = [SimpleNamespace(conda_env=path, container_img=None) for path in environments]
    use_images(SimpleNamespace(rules=rules))
    found = [rule.container_img for rule in rules]
    assert found == [image_path("torch"), image_path("analysis"), None, None]


def test_images_are_checked_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ldae.workflow import containers

    monkeypatch.setattr(images, "IMAGES", tmp_path)
    monkeypatch.setattr(images, "DIGESTS", tmp_path / "digests.tsv")
    monkeypatch.setattr(containers, "has_apptainer", lambda: True)
    with pytest.raises(InputError, match="the image is not built"):
        containers.check_images()
    locks = {s: images.file_digest(ROOT / f"envs/{s}.lock") for s in images.STAGES}
    built = {s: Image(s, "a" * 64, locks[s], "c", "cpu", "r") for s in images.STAGES}
    for image in built.values():
        image.path.touch()
    write_digests(built)
    containers.check_images()
    assert containers.image_path("torch").endswith("torch-aaaaaaaaaaaa.sif")
    write_digests(built | {"torch": Image("torch", "a" * 64, "old", "c", "cpu", "r")})
    with pytest.raises(InputError, match=r"built from another envs/torch\.lock"):
        containers.check_images()
