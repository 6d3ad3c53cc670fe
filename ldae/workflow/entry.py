"""What every rule's script does around its one library call: log, seed, threads and record."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ldae import slurm
from ldae.data.permissions import follow_umask
from ldae.data.pieces import Pieces
from ldae.errors import InputError, Interrupted, OneLineError
from ldae.leakage import contents, fitted_on, require_unseen, scored_participants
from ldae.paths import WORKFLOW
from ldae.provenance import record as provenance
from ldae.provenance.code import CodeError, code_digest, raw_digest, references_in
from ldae.provenance.earlier import EarlierJob, earlier_jobs
from ldae.provenance.environment import container, locks
from ldae.provenance.kernels import kernels
from ldae.provenance.places import Places, study_places
from ldae.references import resolved
from ldae.workflow import determinism, gpu

if TYPE_CHECKING:
    import torch

logger = logging.getLogger("ldae")

CHECKPOINTS = "checkpoints"
"""Folder in the results of what unfinished jobs resume from."""

PERMANENT = (
    InputError, ArithmeticError, AssertionError, AttributeError, ImportError, LookupError,
    NameError, NotImplementedError, SyntaxError, TypeError, ValueError,
)  # fmt: skip
"""Errors that another attempt would meet again: in the input, and in the code."""


class JobTerminated(BaseException):
    """The job was asked to end (SIGTERM): by the user, or by the scheduler at its time limit."""


class RuleRun:
    """What a script may ask about its job.

    Attributes
    ----------
    seed
        The study's seed, the training's for a training, or 0 for a rule without one.
    threads
        Processor threads that the job may use.
    places
        Where the study's folders lie, to name files without naming this machine.
    pieces
        Results of parts of the job that an earlier attempt has left, and those of this one.
    """

    def __init__(
        self, seed: int, threads: int, places: Places, pieces: Pieces | None = None
    ) -> None:
        self.seed = seed
        self.threads = threads
        self.places = places
        self.pieces = pieces or Pieces()
        self._inputs: list[Path] = []
        self._outputs: list[Path] = []
        self._record: provenance.Record | None = None
        self._records = Path()

    def begin(self, record: provenance.Record, records: Path, pieces: Path) -> None:
        """Note the record of the job so far, where its records are, and where its parts.

        For :func:`rule_entry`.
        """
        self._record, self._records = record, records
        self.pieces = Pieces(pieces / _identity(record))

    def earlier_jobs(
        self,
        related: Callable[[str, str], bool],
        decisive: Callable[[Mapping[str, Any]], object],
        ignored: Collection[str],
    ) -> list[EarlierJob]:
        """Completed jobs of this rule whose results may hold for this one.

        Parameters
        ----------
        related
            Whether a job, by the name of its log, may have to do with this one, whose name is
            given first.
        decisive, ignored
            As for :func:`ldae.provenance.earlier.earlier_jobs`.
        """
        if self._record is None or not self._records.parent.is_dir():
            return []
        cases = [one for one in self._records.parent.iterdir() if one.is_dir()]
        own = self._records.name
        folders = sorted(folder for folder in cases if related(own, folder.name))
        return earlier_jobs(folders, self._record, decisive, self.places, ignored)

    def torch_device(self) -> torch.device:
        """The GPU when there is one, else the processor."""
        return determinism.torch_device()

    def add_inputs(self, paths: Iterable[str | Path | None]) -> None:
        """Name files that the job reads besides its declared inputs, for the record.

        None, as a setting without a file is, and files that are missing are left out.
        """
        self._inputs.extend(Path(path) for path in paths if path is not None)

    def add_outputs(self, paths: Iterable[str | Path]) -> None:
        """Name files or folders that the job writes besides its declared outputs, for the record.

        Those that are missing when the job ends are left out.
        """
        self._outputs.extend(map(Path, paths))


@contextlib.contextmanager
def rule_entry(snakemake: Any, *, needs_gpu: bool = True) -> Iterator[RuleRun]:
    """Run a rule's library call under one log, one seed and one record.

    Everything logged goes to ``log.text`` of the rule; messages of the library also go to standard
    error. A fault ends the job with exit code 1, and the log ends with its message in one line. The
    record is written under ``records/`` beside ``logs/``, once when the job starts and once when it
    ends, however it ends; a record that cannot be written fails the job.

    Of several processes that SLURM has started for one job, the first does all this, and the others
    keep a log beside its log.

    Parameters
    ----------
    snakemake
        The object that Snakemake hands to a script.
    needs_gpu
        Whether a job that was given a GPU stops when torch finds none.
    """
    log_path = Path(snakemake.log.text)
    rank = slurm.process_rank()
    _configure_logging(log_path.with_suffix(f".process-{rank}.log") if rank else log_path)
    determinism.limit_threads(snakemake.threads)
    seed = determinism.job_seed(snakemake.params)
    determinism.seed_everything(seed)
    signal.signal(signal.SIGTERM, _terminate)
    places = study_places(results_folder(log_path), snakemake.config)
    run = RuleRun(seed, snakemake.threads, places)
    if rank:
        with _reported(snakemake.rule):
            gpu.require_gpu(snakemake.rule, snakemake.resources, snakemake.config)
            yield run
        return

    clock = time.monotonic()
    record = _first_record(snakemake, seed, places)
    folder, name = records_folder(log_path), _record_name(record)
    provenance.write_record(folder, f"{name}.started", record)

    problem: BaseException | None = None
    try:
        if needs_gpu:
            gpu.require_gpu(snakemake.rule, snakemake.resources, snakemake.config)
        record["input"] = provenance.describe_files(snakemake.input, places)
        run.begin(record, folder, pieces_folder(log_path))
        yield run
        require_unseen(results_folder(log_path) / "split" / "split.tsv")
    except BaseException as error:  # noqa: BLE001  recorded, and the job fails below
        problem = error
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the record is written whatever comes
    follow_umask(map(Path, [*snakemake.output, *_work_folder(snakemake.params)]))
    record["end"] = provenance.now().isoformat()
    record["wall_seconds"] = round(time.monotonic() - clock, 3)
    record["input"] = record.get("input", []) + provenance.describe_files(run._inputs, places)
    record["output"] = provenance.describe_files([*snakemake.output, *run._outputs], places)
    record |= _last_record(problem, places)
    if problem is None:
        record |= _describe_code_now(record)
    provenance.write_record(folder, name, record)
    if problem is not None:
        _report_problem(snakemake.rule, problem)
        raise SystemExit(1)
    shutil.rmtree(pieces_folder(log_path), ignore_errors=True)


def _identity(record: provenance.Record) -> str:
    """Digest of all that decides a job's results: what another attempt must have in common."""
    content = [(file["path"], file["sha256"]) for file in record["input"]]
    decisive = [record[name] for name in ("params", "wildcards", "seed", "locks")]
    text = json.dumps([*decisive, content], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _first_record(snakemake: Any, seed: int, places: Places) -> provenance.Record:
    """What is known of a job when it starts."""
    return {
        "format": provenance.FORMAT,
        "rule": snakemake.rule,
        "wildcards": dict(snakemake.wildcards.items()),
        "params": places.plain(dict(snakemake.params.items())),
        "settings": provenance.settings_digest(snakemake.config),
        "seed": seed,
        "threads": snakemake.threads,
        "resources": _numbers(snakemake.resources),
        "start": provenance.now().isoformat(),
        "status": provenance.STARTED,
        "slurm": provenance.scheduler(),
        "container": container(),
        "locks": locks(),
        **_describe_code(dict(snakemake.params.items())),
        **provenance.git_state(),
    }


def _record_name(record: provenance.Record) -> str:
    """Name of a job's record: when it started, and digits that no other job has."""
    start = datetime.fromisoformat(record["start"])
    return f"{start.strftime(provenance.ID_TIME)}-{uuid.uuid4().hex[:8]}"


def _last_record(problem: BaseException | None, places: Places) -> provenance.Record:
    """What is known of a job when it ends, beside its times and files."""
    return {
        "references": resolved(),
        "fitted_on": fitted_on(),
        "scored": scored_participants(),
        "voxels": contents(),
        "kernels": kernels(),
        "status": provenance.COMPLETED if problem is None else provenance.FAILED,
        "error": None if problem is None else _describe_error(problem, places),
        "peak_memory": provenance.peak_memory(),
        "device": provenance.device(),
        "software": provenance.software(),
    }


def _describe_code(params: dict[str, Any]) -> provenance.Record:
    """The script that runs, and a digest of the bytes of all code that it could use."""
    script = _script()
    inside = script.is_relative_to(WORKFLOW)
    return {
        "script": script.relative_to(WORKFLOW).as_posix() if inside else script.name,
        "code_raw": raw_digest(script, *references_in(params)),
    }


def _script() -> Path:
    script = Path(vars(sys.modules["__main__"])["__file__"]).resolve()
    # inside a container the script that runs lies elsewhere than the workflow that it belongs to
    listed = WORKFLOW / "scripts" / script.name
    return listed if not script.is_relative_to(WORKFLOW) and listed.is_file() else script


def _describe_code_now(record: provenance.Record) -> provenance.Record:
    """The digests of a job's code, made again at its end, when it has imported what it uses.

    The rules were read before the job, and code may have been edited since: the audit then says
    that the result is not of the code that its parameters name.
    """
    script, params = _script(), record["params"]
    found: provenance.Record = {"code_end": None, "code_raw_end": None}
    try:
        found["code_raw_end"] = raw_digest(script, *references_in(params))
        found["code_end"] = code_digest(script, *record["references"])
    except (OSError, SyntaxError, CodeError) as error:
        logger.warning("The code cannot be read any more: %s", error)
        found["code_end"] = "unreadable"
    known = params.get("code")
    if known is not None and found["code_end"] != known:
        logger.warning("The code was changed during the run. Start the run again to use it.")
    return found


def _work_folder(params: Any) -> list[str]:
    """Where a training keeps what it resumes from; empty for other jobs."""
    folder = dict(params.items()).get("work_dir")
    return [folder] if folder else []


def _numbers(resources: Any) -> dict[str, int | float]:
    """Resources that are numbers; the others are places of this machine."""
    return {k: v for k, v in resources.items() if isinstance(v, (int, float)) and k[0] != "_"}


@contextlib.contextmanager
def _reported(rule: str) -> Iterator[None]:
    """End the process with exit code 1 and a report in its log when something fails."""
    try:
        yield
    except BaseException as error:
        _report_problem(rule, error)
        raise SystemExit(1) from error


def records_folder(log_path: Path) -> Path:
    """Folder of a job's records: ``logs/rule/case.log`` becomes ``records/rule/case``."""
    results = results_folder(log_path)
    return results / "records" / log_path.with_suffix("").relative_to(results / "logs")


def pieces_folder(log_path: Path) -> Path:
    """Folder of the results of a job's parts: ``checkpoints/rule-case`` for the log of the job."""
    results = results_folder(log_path)
    job = log_path.with_suffix("").relative_to(results / "logs")
    return results / CHECKPOINTS / "-".join(job.parts)


def results_folder(log_path: Path) -> Path:
    """Folder of a study's results: ``results`` for ``results/logs/rule/case.log``."""
    parts = log_path.parts
    return Path(*parts[: len(parts) - 1 - parts[::-1].index("logs")])


def _describe_error(problem: BaseException, places: Places) -> dict[str, str]:
    return {"type": type(problem).__name__, "message": places.scrub(str(problem))}


def _report_problem(rule: str, problem: BaseException) -> None:
    """Leave the traceback and, as the last line, the message in the log file.

    The workflow's main process reads that line and shows it
    (:func:`ldae.workflow.progress.last_error`): it does so for jobs on other machines too.
    """
    foreseen = isinstance(problem, (OneLineError, Interrupted))
    if not foreseen:
        logger.error("rule %s failed", rule, exc_info=problem)
    if foreseen:
        line = str(problem)
    elif isinstance(problem, (JobTerminated, KeyboardInterrupt)):
        line = "It was ended on request before it was done."
    else:
        line = f"{type(problem).__name__}: {problem}"
    kind = "permanent" if isinstance(problem, PERMANENT) else "passing"
    logging.getLogger(f"ldae.problem.{kind}").error("%s", " ".join(line.split()))


def _configure_logging(path: Path) -> None:
    """Send all messages to `path`, and those of this package to standard error too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = logging.FileHandler(path, mode="w", encoding="utf-8")
    whole.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    )
    screen = logging.StreamHandler(sys.stderr)
    screen.addFilter(_for_the_screen)
    screen.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[whole, screen], force=True)
    logging.captureWarnings(True)


def _for_the_screen(record: logging.LogRecord) -> bool:
    return record.name.startswith("ldae.") and not record.name.startswith("ldae.problem")


def _terminate(number: int, frame: FrameType | None) -> None:
    raise JobTerminated(f"signal {number}")
