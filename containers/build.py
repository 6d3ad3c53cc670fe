"""Build the container images of the stages, and write the table of their digests.

    make containers
    .venv/bin/python containers/build.py torch --torch cuda
    .venv/bin/python containers/build.py preprocess --programs

An image is named containers/<stage>-<first digits of its SHA-256>.sif. A rebuilt image therefore
has a new name, and Snakemake re-runs the jobs that used the old one. containers/digests.tsv lists
the current image of every stage; :mod:`ldae.workflow.containers` reads it. An image is built only
if its recipe has changed (definition, lock file, base, build of torch).

During the build, pip uses the settings of this machine's pip: index, certificates, local folders.
"""

from __future__ import annotations

import argparse
import ast
import configparser
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ldae.errors import InputError  # noqa: E402
from ldae.provenance.images import (  # noqa: E402
    IMAGES,
    STAGES,
    Image,
    file_digest,
    read_digests,
    write_digests,
)

BASE_DEFINITION = IMAGES / "base.def"
# HD-BET and SynthStrip, on top of the image of this stage
PROGRAMS, PROGRAMS_STAGE = IMAGES / "programs.def", "preprocess"
# The torch stage is meant for GPUs; the others use the CPU build if pip finds it.
DEFAULT_TORCH = {"preprocess": "auto", "torch": "cuda", "analysis": "auto"}
# Takes a quarter of the time of gzip at the same size.
COMPRESSION = "-comp zstd -Xcompression-level 3"
# Settings of pip that are passed into a build; certificates are passed as a file.
PIP_SETTINGS = ("index-url", "extra-index-url", "find-links", "trusted-host", "default-timeout")
# Number of builds at a time; each needs a few GB for temporary files.
N_BUILDS = 3
# Number of mount points below /hostpip that the definitions provide for local package folders.
N_FOLDERS = 8

# Protects the base while it is built, and the table of images while it is changed.
LOCK = threading.Lock()

logger = logging.getLogger("containers")


def main() -> None:
    """Build the images that the command line selects."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"of {', '.join(STAGES)}")
    parser.add_argument("--torch", choices=("auto", "cpu", "cuda", "cuda12"), help="build of torch")
    parser.add_argument("--base", help="docker://NAME@sha256:DIGEST, or debootstrap")
    parser.add_argument("--mirror", help="archive of Debian packages for --base debootstrap")
    what = f"add HD-BET and SynthStrip to the image of {PROGRAMS_STAGE}"
    parser.add_argument("--programs", action="store_true", help=what)
    options = parser.parse_args()
    unknown = set(options.stages) - set(STAGES)
    if unknown:
        parser.error(f"unknown stage {', '.join(sorted(unknown))}")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if shutil.which("apptainer") is None:
            raise InputError("apptainer", "the command is not on the PATH", "Install Apptainer.")
        with tempfile.TemporaryDirectory(prefix="ldae-build-") as scratch:
            base = Base(options.base, options.mirror, Path(scratch))
            options_of_pip = pip_options(Path(scratch))

            def build_one(stage: str) -> None:
                torch = options.torch or DEFAULT_TORCH[stage]
                layer = PROGRAMS if options.programs and stage == PROGRAMS_STAGE else None
                build_stage(stage, torch, base, options_of_pip, layer)

            # most of a build runs on a single thread
            with ThreadPoolExecutor(min(N_BUILDS, os.cpu_count() or 1)) as pool:
                for _ in pool.map(build_one, options.stages or STAGES):
                    pass  # errors of builds are raised here
    except InputError as error:
        sys.exit(f"Error: {error}")


class Base:
    """Base of the images: that of the definitions, another image, or one from Debian's packages.

    Parameters
    ----------
    name
        None for the base of the definitions, ``SOURCE://NAME`` or ``debootstrap``.
    mirror
        Archive of Debian packages; None for that of the definition.
    scratch
        Folder in which to build the base.

    Raises
    ------
    InputError
        If the name is not valid.
    """

    def __init__(self, name: str | None, mirror: str | None, scratch: Path) -> None:
        if name is not None and name != "debootstrap" and "://" not in name:
            problem = f"{name!r} does not name a source"
            raise InputError("--base", problem, "Write docker://NAME@sha256:DIGEST or debootstrap.")
        self.name = name
        self.mirror = mirror
        self.scratch = scratch

    def recipe(self) -> str:
        """Identifier of the base for the recipe of an image.

        It does not include the mirror, because all archives of Debian have the same packages.
        """
        return file_digest(BASE_DEFINITION) if self.name == "debootstrap" else str(self.name)

    def arguments(self) -> dict[str, str]:
        """Build arguments for the image of a stage; builds the base on the first call."""
        if self.name is None:
            return {}
        if self.name != "debootstrap":
            kind, _, name = self.name.partition("://")
            return {"BOOTSTRAP": kind, "FROM": name}
        folder = self.scratch / "base"
        with LOCK:
            if not folder.exists():
                logger.info("base: building from Debian packages")
                given = {"MIRROR": self.mirror} if self.mirror else {}
                build(folder, BASE_DEFINITION, given, ["--sandbox"])
        return {"BOOTSTRAP": "localimage", "FROM": str(folder)}


def build_stage(
    stage: str, torch: str, base: Base, more: list[str], layer: Path | None = None
) -> None:
    """Build the image of one stage, unless the current image has the same recipe.

    `layer` is the definition of what is built on top of it.
    """
    lock = ROOT / "envs" / f"{stage}.lock"
    definition = IMAGES / f"{stage}.def"
    files = [definition, IMAGES / "install.sh", lock, *([layer] if layer else [])]
    recipe = recipe_digest(files, torch, base.recipe())
    present = read_digests().get(stage)
    if present and present.recipe == recipe and present.path.is_file():
        logger.info("%s: %s is up to date", stage, present.path.name)
        return
    logger.info("%s: building", stage)
    start = time.monotonic()
    image = Image(stage, "", file_digest(lock), commit(), torch, recipe)
    arguments = base.arguments()
    arguments |= {"TORCH": torch, "COMMIT": image.commit, "LOCK": image.lock}
    partial = IMAGES / f".{stage}.partial.sif"
    build(partial, definition, arguments, more)
    if layer:
        whole = IMAGES / f".{stage}.whole.sif"
        build(whole, layer, {"FROM": str(partial)}, more)
        whole.replace(partial)
    image = replace(image, sha256=file_digest(partial))
    partial.rename(image.path)
    with LOCK:
        write_digests(read_digests() | {stage: image})
    logger.info(
        "%s: %s, %.0f MiB, in %.0f s",
        stage, image.path.name, image.path.stat().st_size / 2**20, time.monotonic() - start,
    )  # fmt: skip


def recipe_digest(files: list[Path], *words: str) -> str:
    """Digest of everything that determines the content of an image."""
    parts = [*(file_digest(path) for path in files), *words]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def build(image: Path, definition: Path, arguments: dict[str, str], more: list[str]) -> None:
    """Run ``apptainer build`` with additional options `more`.

    Its output is written to a log file in the folder of the definition.

    Raises
    ------
    InputError
        If the build fails; the message contains the path of the log.
    """
    command = ["apptainer", "build", "--force", "--mksquashfs-args", COMPRESSION]
    for name, value in arguments.items():
        command += ["--build-arg", f"{name}={value}"]
    log = definition.with_suffix(".log")
    with log.open("w", encoding="utf-8") as file:
        done = subprocess.run(
            [*command, *more, str(image), str(definition)],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        if image.is_file():
            image.unlink()
        last = log.read_text("utf-8", "replace").strip().splitlines()[-1:] or [""]
        raise InputError(definition.name, f"the build failed: {last[0]}", f"See {log}.")


def pip_options(scratch: Path) -> list[str]:
    """Options that pass this machine's pip settings to a build without storing them in the image.

    Local folders with packages are mounted below ``/hostpip``; the settings are changed to match.

    Parameters
    ----------
    scratch
        Folder for a copy of the settings.
    """
    settings: dict[str, str] = {}
    done = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    )
    for line in done.stdout.splitlines():
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        if key in PIP_SETTINGS:
            settings[key] = str(ast.literal_eval(value))
    folders: list[Path] = []
    for key, value in settings.items():
        settings[key] = " ".join(_inside(word, key, folders) for word in value.split())
    if len(folders) > N_FOLDERS:
        problem = f"its settings refer to {len(folders)} local folders"
        raise InputError("pip", problem, f"Use at most {N_FOLDERS}.")
    folder = scratch / "pip"
    folder.mkdir()
    config = configparser.RawConfigParser()
    config["global"] = settings
    with (folder / "pip.conf").open("w", encoding="utf-8") as file:
        config.write(file)
    bundle = Path(os.environ.get("PIP_CERT") or "/etc/ssl/certs/ca-certificates.crt")
    if bundle.is_file():
        shutil.copy(bundle, folder / "ca.crt")
    binds = [f"{folder}:/hostpip/settings"]
    binds += [f"{place}:/hostpip/{number}" for number, place in enumerate(folders)]
    return [word for bind in binds for word in ("--bind", bind)]


def _inside(word: str, key: str, folders: list[Path]) -> str:
    """`word` of a pip setting as valid inside a build; a local folder is added to `folders`."""
    path = Path(word.removeprefix("file://"))
    if not path.is_absolute() or not path.is_dir():
        return word
    # an index needs its parent folder, because its pages refer to files there
    place, rest = (path, "") if key == "find-links" else (path.parent, f"/{path.name}")
    if place not in folders:
        folders.append(place)
    inside = f"/hostpip/{folders.index(place)}{rest}"
    return f"file://{inside}" if word.startswith("file://") else inside


def commit() -> str:
    """Commit of the repository, with the suffix -dirty if files differ from it."""
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode:
        return "unknown"
    changes = subprocess.run(
        [*git, "status", "--porcelain"], capture_output=True, text=True, check=True
    )
    return head.stdout.strip() + ("-dirty" if changes.stdout else "")


if __name__ == "__main__":
    main()
