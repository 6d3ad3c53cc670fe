"""Run a study: a door to Snakemake, which does the work.

What Snakemake understands can be added: -n shows the plan, --cores 4 limits the cores, --profile
FOLDER names a profile; after -- also files to make. Results go to ./results, or where the settings
say (pathvars: results).
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ldae.errors import InputError
from ldae.paths import WORKFLOW

STUDIES = WORKFLOW / "studies"

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae run``."""
    studies = ", ".join(sorted(path.stem for path in STUDIES.glob("*.yaml")))
    # the further names are Snakemake's, which would let one of them replace the other
    parser.add_argument(
        "--study", "--configfile", "--configfiles",
        nargs="+", action="extend", default=[], metavar="STUDY", dest="studies",
        help=f"files of settings, or studies that come with ldae ({studies}), merged over the "
        "default study in this order",
    )  # fmt: skip
    parser.add_argument(
        "--config", "-C",
        nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="settings",
        help="single settings at the top level, such as bids_folder=/data/ixi",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Replace this process by Snakemake, whose exit status counts."""
    if importlib.util.find_spec("snakemake") is None:
        raise InputError("ldae run", "Snakemake is not installed", "pip install 'ldae[workflow]'")
    command = snakemake_command(options.studies, options.settings, options.passed_on)
    logger.info("%s", shlex.join(command))
    os.execv(sys.executable, [sys.executable, "-m", *command])  # noqa: S606  no shell wanted


def snakemake_command(
    studies: Sequence[str], settings: Sequence[str], more: Sequence[str]
) -> list[str]:
    """Snakemake's command line for a study.

    Parameters
    ----------
    studies
        Files of settings, or names of studies that come with the package.
    settings
        Settings as ``key=value``.
    more
        Further arguments of Snakemake.

    Raises
    ------
    InputError
        If a study is neither a file nor known.
    """
    command = ["snakemake"]
    if studies:
        command += ["--configfile", *(str(find_study(study)) for study in studies)]
    if settings:
        command += ["--config", *settings]
    # an option with one value ends the lists before it
    return [*command, "--snakefile", str(WORKFLOW / "Snakefile"), *more]


def find_study(name: str) -> Path:
    """File of settings by its path, or by the name of a study that comes with the package.

    Raises
    ------
    InputError
        If there is neither.
    """
    known = STUDIES / f"{name}.yaml"
    for path in (Path(name), known):
        if path.is_file():
            return path
    names = ", ".join(sorted(path.stem for path in STUDIES.glob("*.yaml")))
    raise InputError(name, "there is no such file of settings", f"Name a file, or one of {names}")
