"""Run a study with Snakemake.

All options of Snakemake can be added: -n prints the plan, --cores 4 limits the cores, --profile
FOLDER selects a profile. Files to make may follow after --. Results are written to ./results or to
the folder in the settings (pathvars: results).
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
from ldae.paths import WORKFLOW, leave_python_path

STUDIES = WORKFLOW / "studies"

logger = logging.getLogger(__name__)

EXAMPLES = """\
examples:
  ldae run -n                               show what would run
  ldae run --study ixi --config bids_folder=/data/ixi --cores 4
  ldae run -- results/tables/probes.md      only what this file needs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae run``."""
    add_study_options(parser)


def add_study_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that name a study."""
    studies = ", ".join(sorted(path.stem for path in STUDIES.glob("*.yaml")))
    # the additional names are Snakemake's own; there a second option would replace the first
    parser.add_argument(
        "--study", "--configfile", "--configfiles",
        nargs="+", action="extend", default=[], metavar="STUDY", dest="studies",
        help=f"files of settings, or names of studies that come with ldae ({studies}); they "
        "override the default study in this order",
    )  # fmt: skip
    parser.add_argument(
        "--config", "-C",
        nargs="+", action="extend", default=[], metavar="KEY=VALUE", dest="settings",
        help="single settings at the top level, such as bids_folder=/data/ixi",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Replace this process by Snakemake."""
    if importlib.util.find_spec("snakemake") is None:
        remedy = "Install it from a clone of the repository: pip install '.[workflow]'"
        raise InputError("ldae run", "Snakemake is not installed", remedy)
    from ldae.workflow.settings.files import read_nodes

    for study in options.studies:
        read_nodes(find_study(study))  # names file and line of a fault, which Snakemake does not
    command = snakemake_command(options.studies, options.settings, options.passed_on)
    leave_python_path()
    logger.info("%s", shlex.join(command))
    os.execv(sys.executable, [sys.executable, "-m", *command])  # noqa: S606  without a shell


def snakemake_command(
    studies: Sequence[str], settings: Sequence[str], more: Sequence[str]
) -> list[str]:
    """Command line of Snakemake for a study.

    Parameters
    ----------
    studies
        Files of settings, or names of studies that come with the package.
    settings
        Settings as ``key=value``.
    more
        Additional arguments for Snakemake.

    Raises
    ------
    InputError
        If a study is neither a file nor the name of a study.
    """
    command = ["snakemake"]
    if studies:
        command += ["--configfile", *(str(find_study(study)) for study in studies)]
    if settings:
        command += ["--config", *settings]
    # an option with a single value ends the lists of values before it
    return [*command, "--snakefile", str(WORKFLOW / "Snakefile"), *more]


def find_study(name: str) -> Path:
    """File of settings with a given path, or of the study with this name in the package.

    Raises
    ------
    InputError
        If there is no such file or study.
    """
    known = STUDIES / f"{name}.yaml"
    for path in (Path(name), known):
        if path.is_file():
            return path
    names = ", ".join(sorted(path.stem for path in STUDIES.glob("*.yaml")))
    raise InputError(name, "there is no such file of settings", f"Name a file, or one of {names}.")
