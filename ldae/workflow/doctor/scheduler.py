"""Checks of the scheduler: version, status queries, and the limits of its partitions."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from ldae.slurm import minutes_of
from ldae.workflow.doctor.findings import Check, Finding, listed, note, problem

QUERY_SECONDS = 30.0
OTHERS = {"qsub": "PBS or SGE", "bsub": "LSF", "condor_submit": "HTCondor", "kubectl": "Kubernetes"}
LEAST_JOB_AGE = 120
"""Seconds that squeue must list ended jobs for: three times the time between two queries."""

GPU_MODEL = re.compile(r"gpu:([A-Za-z][\w.-]*)")
PARTITION_FIELDS = ("%P", "%a", "%D", "%l", "%c", "%m", "%G", "%M")


@dataclass(frozen=True)
class Partition:
    """Limits of the nodes of a partition.

    Attributes
    ----------
    name
        Its name.
    default
        Whether jobs that name none go there.
    minutes
        Longest job, minutes; infinite without a limit.
    cpus, mem_mb
        Of its largest node.
    gres
        Generic resources of its nodes, such as ``gpu:a100:4``; several kinds of node are joined.
    preempt
        What happens to jobs that another one pushes out, such as ``REQUEUE`` or ``CANCEL``.
    up
        Whether it takes jobs.
    nodes
        Number of its nodes.
    """

    name: str
    default: bool
    minutes: float
    cpus: int
    mem_mb: int
    gres: str
    preempt: str
    up: bool
    nodes: int

    @property
    def gpus(self) -> bool:
        """Whether it has GPUs."""
        return "gpu" in self.gres


def scheduler_checks(status_command: str = "") -> dict[str, Check]:
    """Checks of the scheduler of this machine.

    Parameters
    ----------
    status_command
        ``slurm-status-command`` of the profiles; empty where none names it.
    """
    if shutil.which("sbatch") is None:
        return {"scheduler": other_schedulers}
    return {
        "scheduler": check_slurm,
        "job status": partial(check_status, status_command),
        "partitions": check_partitions,
    }


def has_slurm() -> bool:
    """Whether this machine submits jobs to SLURM."""
    return shutil.which("sbatch") is not None


def other_schedulers() -> Iterator[Finding]:
    """Schedulers other than SLURM, by their commands."""
    found = [name for command, name in OTHERS.items() if shutil.which(command)]
    if found:
        remedy = "Use Snakemake's plugin for it: docs/how-to/slurm.md, Another scheduler"
        yield note("scheduler", f"no SLURM here, but {listed(found)}", remedy)
    else:
        yield Finding("scheduler", "none here: jobs run on this machine")


def check_slurm() -> Iterator[Finding]:
    """Version of SLURM, and whether its controller answers."""
    missing = [
        name for name in ("squeue", "scancel", "scontrol", "sinfo") if not shutil.which(name)
    ]
    if missing:
        text = f"{listed(missing)} cannot be found"
        yield problem("scheduler", text, "Load the module of SLURM, or use a login node")
        return
    version = query("sinfo", "--version").strip() or "SLURM"
    if not answers():
        remedy = "Wait until scontrol ping reports that the controller is UP"
        yield problem("scheduler", f"{version}, whose controller does not answer", remedy)
    else:
        yield Finding("scheduler", version)


def check_status(command: str) -> Iterator[Finding]:
    """Whether Snakemake learns that jobs have ended, by sacct or squeue."""
    settings = slurm_settings()
    if not settings:
        return  # the controller does not answer, which is reported already
    accounting = settings.get("AccountingStorageType", "")
    age = int(re.match(r"\d+", settings.get("MinJobAge", "0"))[0])  # type: ignore[index]
    by_sacct = command == "sacct" if command else bool(shutil.which("sacct"))
    if by_sacct and not accounting.endswith("/none"):
        yield Finding("job status", f"by sacct ({accounting or 'accounting is not reported'})")
    elif by_sacct:
        text = "sacct is here, but no accounting database answers: Snakemake would wait for ever"
        yield problem("job status", text, "slurm-status-command: squeue in the site's profile")
    else:
        yield Finding("job status", f"by squeue, which lists ended jobs for {age} s")
    if not by_sacct and age < LEAST_JOB_AGE:
        remedy = f"Ask for MinJobAge of {LEAST_JOB_AGE} s or more, or for accounting"
        yield problem("job status", f"squeue forgets jobs after {age} s (MinJobAge)", remedy)
    if settings.get("JobRequeue", "1") == "0":
        yield note("job status", "SLURM does not requeue jobs (JobRequeue=0)", "Retries replace it")


def answers() -> bool:
    """Whether a controller of SLURM answers."""
    return "UP" in query("scontrol", "ping").split()


def slurm_settings() -> dict[str, str]:
    """Settings of SLURM by name (``scontrol show config``)."""
    pairs = (line.partition("=") for line in query("scontrol", "show", "config").splitlines())
    return {name.strip(): value.strip() for name, sign, value in pairs if sign}


def check_partitions() -> Iterator[Finding]:
    """Limits of every partition, with the models of its GPUs."""
    found = partitions()
    if not found:
        return
    for one in found:
        models = gpu_models(one.gres)
        words = [
            "no time limit" if math.isinf(one.minutes) else f"at most {spell_minutes(one.minutes)}",
            f"{one.mem_mb / 1000:.0f} GB and {one.cpus} CPUs a node",
        ]
        words.append(f"GPUs ({listed(models) or 'no models named'})" if one.gpus else "no GPU")
        if one.preempt.upper() not in ("", "OFF", "N/A"):
            words.append(f"PreemptMode={one.preempt}")
        name = f"{one.name}{' (default)' if one.default else ''}: "
        yield Finding("partition", name + ", ".join(words))
        if not one.up:
            yield note("partition", f"{one.name} is down", "Use another one")
        if odd := [model for model in models if not re.fullmatch(r"[\w.]+", model)]:
            remedy = "Choose them by gpu: {partition: NAME}, or by a constraint of the nodes"
            text = f"the executor plugin cannot name models with a hyphen: {listed(odd)}"
            yield note("partition", text, remedy)
    if not any(one.default for one in found):
        remedy = "default-resources: {slurm_partition: NAME} in the site's profile"
        yield note("partition", "there is no default partition", remedy)
    if not any(one.gpus for one in found):
        yield note("partition", "no partition has GPUs", "gpu: {request: none} in the settings")


def partitions() -> list[Partition]:
    """Partitions by name, their kinds of node joined; empty if SLURM does not answer."""
    text = query("sinfo", "--noheader", f"--format={'|'.join(PARTITION_FIELDS)}")
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        name, up, nodes, limit, cpus, memory, gres, preempt = line.split("|")
        one = Partition(
            name=name.rstrip("*"),
            default=name.endswith("*"),
            minutes=minutes_of(limit),
            cpus=_number(cpus),
            mem_mb=_number(memory),
            gres="" if gres == "(null)" else gres,
            preempt=preempt.strip(),
            up=up.strip() == "up",
            nodes=_number(nodes),
        )
        found[one.name] = _joined(found[one.name], one) if one.name in found else one
    return list(found.values())


def _joined(one: Partition, other: Partition) -> Partition:
    """A partition of two kinds of node."""
    gres = ",".join(dict.fromkeys(filter(None, (one.gres, other.gres))))
    return Partition(
        name=one.name,
        default=one.default,
        minutes=one.minutes,
        cpus=max(one.cpus, other.cpus),
        mem_mb=max(one.mem_mb, other.mem_mb),
        gres=gres,
        preempt=one.preempt,
        up=one.up or other.up,
        nodes=one.nodes + other.nodes,
    )


def spell_minutes(minutes: float) -> str:
    """Minutes as text: ``45 min``, ``6 h``, ``2 days``."""
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.0f} h" if minutes < 4320 else f"{minutes / 1440:.3g} days"


def gpu_models(gres: str) -> list[str]:
    """Models of GPUs in generic resources such as ``gpu:a100:4(S:0-1)``."""
    return list(dict.fromkeys(GPU_MODEL.findall(gres)))


def query(*command: str) -> str:
    """Output of a command of the scheduler; empty if it fails or does not answer."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=QUERY_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _number(text: str) -> int:
    """Leading digits of a field such as ``128000+``; 0 if there are none."""
    found = re.match(r"\d+", text)
    return int(found[0]) if found else 0
