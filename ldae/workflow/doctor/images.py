"""Checks of Apptainer and of the images that jobs run in."""

from __future__ import annotations

import getpass
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ldae.errors import InputError
from ldae.paths import IS_CLONE
from ldae.provenance.images import read_digests
from ldae.workflow.containers import check_images, has_apptainer
from ldae.workflow.doctor.findings import Check, Finding, note, of_error, problem

QUERY_SECONDS = 120.0
NAMESPACES = ("unshare", "--user", "--map-root-user", "true")
SUBORDINATE = Path("/etc/subuid")
ELSEWHERE = "Build on another machine, and copy containers/*.sif and containers/digests.tsv here"
WITHOUT = "or run in the locked environment: --software-deployment-method env-modules"

SEE_TORCH = """
import json, torch
print(json.dumps([torch.__version__, torch.version.cuda, torch.cuda.is_available()]))
"""


def image_checks(submits: bool) -> dict[str, Check]:
    """Checks of containers.

    Parameters
    ----------
    submits
        Whether jobs are submitted, and so run in containers by the profile.
    """
    if not has_apptainer():
        return {"Apptainer": lambda: without_apptainer(submits)}
    return {"Apptainer": check_apptainer, "images": check_present, "torch in image": check_torch}


def without_apptainer(submits: bool) -> Iterator[Finding]:
    """What the lack of Apptainer means."""
    if submits:
        text = "not on this machine, and --profile slurm runs jobs in containers"
        yield problem("Apptainer", text, f"module load apptainer, {WITHOUT}")
    else:
        yield Finding("Apptainer", "not on this machine; it is needed for containers only")


def check_apptainer() -> Iterator[Finding]:
    """Version of Apptainer, and whether it may build images here."""
    program = "apptainer" if shutil.which("apptainer") else "singularity"
    yield Finding("Apptainer", _run(program, "--version").stdout.strip())
    if program == "singularity":
        yield note("may build", "make containers needs Apptainer", ELSEWHERE)
    elif _run(*NAMESPACES).returncode:
        yield note("may build", "no: user namespaces are not allowed", ELSEWHERE)
    else:
        fakeroot = "with" if _has_subordinate_ids() else "without"
        yield Finding("may build", f"yes: user namespaces, {fakeroot} subordinate ids (fakeroot)")


def _has_subordinate_ids() -> bool:
    if not SUBORDINATE.is_file():
        return False
    users = {line.partition(":")[0] for line in SUBORDINATE.read_text().splitlines()}
    return getpass.getuser() in users


def check_present() -> Iterator[Finding]:
    """Whether all images are there and up to date."""
    if not IS_CLONE:
        yield note("images", "an installed package has none", "Run from a clone for containers")
        return
    try:
        check_images()
    except InputError as error:
        yield of_error("images", error)
        return
    images = read_digests().values()
    sizes = sum(image.path.stat().st_size for image in images) / 1024**3
    yield Finding("images", f"{len(images)}, up to date, {sizes:.1f} GiB")


def check_torch() -> Iterator[Finding]:
    """Build of torch in the image for GPUs, and whether it finds one here."""
    image = read_digests().get("torch")
    if image is None or not image.path.is_file():
        return
    program = "apptainer" if shutil.which("apptainer") else "singularity"
    command = (program, "exec", "--cleanenv", "--nv", str(image.path), "python", "-c", SEE_TORCH)
    done = _run(*command)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        yield problem("torch in image", f"it does not start: {last}", "Build the image again")
        return
    version, cuda, found = json.loads(done.stdout.strip().splitlines()[-1])
    built = f"CUDA {cuda}" if cuda else "without CUDA"
    yield Finding(
        "torch in image", f"{version}, {built}; here it finds {'a' if found else 'no'} GPU"
    )


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=QUERY_SECONDS
        )
    except OSError as error:  # a command that is not here
        return subprocess.CompletedProcess(command, 127, "", str(error))
