"""Stand-ins of SLURM's programs: jobs are accepted, listed and cancelled, and never start.

For limits, refusals and states that the real SLURM of tests/hpc is not brought into.
"""

from __future__ import annotations

import sys
from pathlib import Path

FIELDS = ("%P", "%a", "%D", "%l", "%c", "%m", "%G", "%M")
SINFO = """\
batch*|up|20|1-00:00:00|64|256000+|(null)|OFF
gpu|up|4|12:00:00|32|500000|gpu:a100:4(S:0-1)|CANCEL
"""
CONFIG = """\
AccountingStorageType   = accounting_storage/slurmdbd
MinJobAge               = 300 sec
JobRequeue              = 1
"""
PROGRAM = f"""\
#!{sys.executable} -S
import sys, pathlib
here = pathlib.Path(__file__).resolve().parent
name, words, jobs = pathlib.Path(sys.argv[0]).name, sys.argv[1:], here / "jobs"
jobs.mkdir(exist_ok=True)
value = lambda option: words[words.index(option) + 1] if option in words else ""
if name == "sbatch":
    number = str(len(list(jobs.iterdir())) + 1)
    facts = ["PENDING", value("--job-name"), value("-D"), value("--comment")]
    (jobs / number).write_text("|".join(facts))
    print(number)
elif name == "scancel":
    for number in words:
        state, _, rest = (jobs / number).read_text().partition("|")
        (jobs / number).write_text("CANCELLED|" + rest)
elif name in ("squeue", "sacct"):
    for job in sorted(jobs.iterdir()):
        state, _, rest = job.read_text().partition("|")
        if name == "sacct" or "--states=all" in words:
            print(f"{{job.name}}|{{state}}")
        elif state in ("PENDING", "RUNNING"):
            print(f"{{job.name}}|{{state}}|{{rest}}")
elif words[:1] == ["ping"]:
    print("Slurmctld(primary) at controller is UP")
elif words[:1] == ["--version"]:
    print("slurm 24.05.2")
elif name == "sinfo":
    wanted = words[-1].rpartition("=")[2].split("|")
    for line in (here / "sinfo.txt").read_text().splitlines():
        fields = dict(zip({FIELDS}, line.split("|")))
        print("|".join(fields[field] for field in wanted))
else:
    print((here / "config.txt").read_text(), end="")
"""
NAMES = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo")


class StandIn:
    """Programs in a folder for the PATH, and the jobs that they were given.

    Parameters
    ----------
    folder
        Folder to make.
    sinfo, config
        What sinfo and ``scontrol show config`` print.
    without
        Programs that this cluster does not have.
    """

    def __init__(
        self, folder: Path, sinfo: str = SINFO, config: str = CONFIG, without: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "sinfo.txt").write_text(sinfo)
        (folder / "config.txt").write_text(config)
        for name in set(NAMES) - set(without):
            program = folder / name
            program.write_text(PROGRAM)
            program.chmod(0o755)

    def jobs(self) -> dict[str, list[str]]:
        """State, name, folder and comment of every job by its number."""
        paths = sorted((self.folder / "jobs").glob("*"))
        return {path.name: path.read_text().split("|") for path in paths}
