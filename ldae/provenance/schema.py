"""Fields of a job's record, by the version of their format.

Records are read by everything that answers questions about a study, and may come from elsewhere or
have been changed. Each one is therefore validated before it is used. A record without ``format``
was written before formats had numbers (1); those stay valid.
``python -m ldae.provenance.schema`` writes ``schemas/record.schema.yaml`` from these models.
"""

from __future__ import annotations

import sys
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from ldae.paths import WORKFLOW
from ldae.provenance.record import COMPLETED, FORMAT, STARTED

SCHEMA = WORKFLOW / "schemas" / "record.schema.yaml"

# Faults of a record that its finding lists.
SHOWN_FAULTS = 3


def _inside(path: str) -> str:
    """Refuse names that lead out of the study's folders."""
    if path.startswith("/") or ".." in PurePosixPath(path).parts or "\0" in path:
        raise ValueError("the name leads out of the study")
    return path


FileName = Annotated[str, AfterValidator(_inside)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=False)


class RecordedFile(_Part):
    """One file that a job read or wrote."""

    path: FileName = Field(description="<results>/…, <bids>/…, or relative to the working folder.")
    size: int = Field(ge=0, description="Bytes.")
    sha256: Sha256


class Problem(_Part):
    """What stopped a job."""

    type: str
    message: str


class Device(_Part):
    """What a job computed on."""

    kind: Literal["cpu", "cuda"] = Field(description="What the job computed on.")
    name: str = Field(description="Model of the processor or GPU.")
    cuda: str | None = Field(None, description="CUDA version of torch.")


class Memory(_Part):
    """Peak memory of a job."""

    process_mib: float = Field(description="Largest resident memory of the job, MiB.")
    child_mib: float = Field(description="The same of its largest child process, MiB.")
    gpu_mib: float | None = Field(None, description="Largest GPU memory held by torch, MiB.")


class Container(_Part):
    """The image that a job ran in."""

    name: str = Field(description="File name of the image.")
    sha256: Sha256 | None = Field(description="Null where the image could not be seen.")


class Blas(_Part):
    """A library of linear algebra, or of threads, as a process had it loaded."""

    library: str = Field(description="Such as openblas, mkl, blis, or openmp.")
    version: str | None = None
    kernel: str | None = Field(
        None, description="Processor that its kernels were chosen for, such as SkylakeX or Zen."
    )
    file: str = Field(description="Name of the library's file.")


class Kernels(_Part):
    """Which variant of the numerical libraries computed a result."""

    blas: list[Blas] = Field(description="Loaded libraries of linear algebra.")
    torch: str | None = Field(
        description="Instruction set of torch's kernels, such as AVX2; null without torch."
    )
    variables: dict[str, str] = Field(
        description="Variables of the environment that choose kernels, such as OPENBLAS_CORETYPE."
    )


class _Record(BaseModel):
    """Fields that records of every format have."""

    rule: str = Field(min_length=1, description="Name of the rule.")
    wildcards: dict[str, Any] = Field(description="Wildcard values of the job.")
    params: dict[str, Any] = Field(
        description="Named parameters of the rule, settings and code digest among them."
    )
    seed: int = Field(description="Seed of the random generators.")
    threads: int = Field(ge=1, description="Processor threads of the job.")
    resources: dict[str, float] = Field(
        default_factory=dict,
        description="Resources that the job was given: memory in MB, run time in minutes, "
        "micro-batch, …",
    )
    start: AwareDatetime = Field(description="Time of the start, with zone.")
    end: AwareDatetime | None = Field(None, description="Time of the end, with zone.")
    wall_seconds: float = Field(0.0, ge=0, description="Time from start to end in seconds.")
    status: Literal["ActiveActionStatus", "CompletedActionStatus", "FailedActionStatus"] = Field(
        description="ActiveActionStatus in the record made at the start, then how the job ended."
    )
    error: Problem | None = Field(
        None, description="Null, or the type and message of what stopped the job."
    )
    input: list[RecordedFile] = Field(default_factory=list, description="Every file read.")
    output: list[RecordedFile] = Field(default_factory=list, description="Every file written.")
    script: str | None = Field(None, description="The rule's script, relative to the repository.")
    references: list[str] = Field(
        default_factory=list,
        description="Functions that the job used by computed names, as module:name; params.code "
        "covers them.",
    )
    code_raw: str | None = Field(
        None,
        description="Digest of the bytes of all code that the job could use; params.code has what "
        "numbers depend on.",
    )
    commit: str | None = Field(description="Commit of the repository; null outside a clone.")
    dirty: bool | None = Field(description="Whether code differed from the commit.")
    software: dict[str, str] = Field(
        default_factory=dict, description="Versions of Python and of the imported packages."
    )
    device: Device | None = None
    peak_memory: Memory | None = None
    slurm: dict[str, Any] | None = Field(None, description="SLURM's names for the job.")
    container: Container | None = Field(
        description="The image that the job ran in; null outside a container."
    )
    locks: dict[str, Sha256] = Field(
        default_factory=dict,
        description="SHA-256 of the locks that the environment was made from, by path; empty if "
        "it does not tell.",
    )
    fitted_on: dict[str, list[str]] = Field(
        default_factory=dict,
        description="For each statistic that the job fitted, the subjects whose scans it saw.",
    )

    @model_validator(mode="after")
    def _ended(self) -> Self:
        """A job that ended has an end, and files if it completed."""
        if self.status == STARTED:
            return self
        if self.end is None:
            raise ValueError("end: missing")
        if self.end < self.start:
            raise ValueError("end: before its start")
        if self.status == COMPLETED and self.error is not None:
            raise ValueError("error: of a completed job")
        return self


class Record1(_Record):
    """Record from before formats had numbers."""

    model_config = ConfigDict(extra="allow")

    format: Literal[1] = 1


class Record2(_Record):
    """Record of format 2: also the code when the job ended, kernels, and contents of scans."""

    model_config = ConfigDict(extra="forbid")

    format: Literal[2] = Field(description="Version of the record's format.")
    code_end: str | None = Field(
        None,
        description="The digest of params.code, made again when the job ended; null if the job "
        "failed.",
    )
    code_raw_end: str | None = Field(
        None, description="The digest of code_raw, made again when the job ended."
    )
    kernels: Kernels | None = Field(
        None, description="Which variant of the numerical libraries computed the result."
    )
    settings: Sha256 | None = Field(
        None,
        description="SHA-256 of the study's settings without places, GPUs, title and `final`.",
    )
    scored: list[str] = Field(
        default_factory=list,
        description="Test participants of whom the job wrote predictions or scores.",
    )
    voxels: dict[str, Sha256] = Field(
        default_factory=dict,
        description="For each raw scan that was preprocessed, SHA-256 of its sorted values: the "
        "same after compression, another header, or a flip.",
    )


def _version(record: Any) -> str:
    given = record.get("format", 1) if isinstance(record, dict) else 1
    return str(given)


AnyRecord = Annotated[
    Annotated[Record1, Tag("1")] | Annotated[Record2, Tag(str(FORMAT))], Discriminator(_version)
]
_ADAPTER: TypeAdapter[Record1 | Record2] = TypeAdapter(AnyRecord)
_FILE = TypeAdapter(RecordedFile)
FILES = ("input", "output")


def validate_record(content: Any) -> Record1 | Record2:
    """The record with its types.

    Parameters
    ----------
    content
        What the JSON file holds.

    Returns
    -------
    Record1 or Record2
        The record without its files.

    Raises
    ------
    ValueError
        If the content is no record of a known format, naming the first fields at fault.
    """
    # The files are validated one at a time: a job of a large study reads a million of them.
    listed = _files_of(content)
    small = {**content, **{name: [] for name in listed}} if listed else content
    where: tuple[str | int, ...] = ()
    try:
        record = _ADAPTER.validate_python(small)
        for name, entries in listed.items():
            for number, entry in enumerate(entries):
                where = (name, number)
                _FILE.validate_python(entry)
    except ValidationError as error:
        faults = []
        for one in error.errors(include_url=False, include_input=False):
            parts = (*where, *one["loc"]) if where else one["loc"][1:]
            faults.append(f"{'.'.join(map(str, parts)) or 'record'}: {one['msg']}")
        more = f"; and {len(faults) - SHOWN_FAULTS} more" if faults[SHOWN_FAULTS:] else ""
        raise ValueError("; ".join(faults[:SHOWN_FAULTS]) + more) from None
    return record


def _files_of(content: Any) -> dict[str, list[Any]]:
    """Lists of files in what a record holds, by field; none that is no list."""
    if not isinstance(content, dict):
        return {}
    return {name: content[name] for name in FILES if isinstance(content.get(name), list)}


def json_schema() -> dict[str, Any]:
    """JSON schema of a record, of any format."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Job record",
        "description": (
            "What one attempt at one job did. Written by ldae/workflow/entry.py as a new file "
            "each time. Made by python -m ldae.provenance.schema."
        ),
        **_ADAPTER.json_schema(),
    }


def schema_text() -> str:
    """Text of ``schemas/record.schema.yaml``."""
    return str(yaml.safe_dump(json_schema(), sort_keys=False, allow_unicode=True, width=100))


if __name__ == "__main__":
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    sys.stdout.write(f"{SCHEMA}\n")
