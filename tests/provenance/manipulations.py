"""Everything that was tried on a finished study to deceive or to stop its audit, with the answer.

``docs/reference/manipulations.md`` shows this table; ``python tests/provenance/manipulations.py``
writes it there, and ``test_manipulations.py`` tries every row.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from audited_study import LOCK, PROBES, AuditedStudy, git

from ldae.provenance.code import code_digest
from ldae.provenance.hashing import DigestCache, cache_path
from ldae.provenance.record import STARTED, Record, describe_files
from ldae.provenance.seal import PLACEHOLDER, SEALS, read_seals, seal_records
from ldae.provenance.signature import sign_seal

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "manipulations.md"
BEGIN, END = "<!-- table: made by tests/provenance/manipulations.py -->", "<!-- end of table -->"

Apply = Callable[[AuditedStudy], object]

ERROR, WARNING, UNCHECKED = "error", "warning", "not checked"
# Nothing was done to the results, or nothing that the audit asks about: there must be no finding.
NO_FINDING = "no finding"
# Cannot be found, with the reason; the audit must still not fail for it.
OUTSIDE = "out of scope"

TABLE, FIGURE, CODES = "tables/probes.tsv", "figures/age.png", "codes/voxel_pca/shared.npy"
MODEL, SPLIT, SCANS = "ldae/seed-7/model.safetensors", "split/split.tsv", "manifest/scans.tsv"
RAW = "sub-04/anat/sub-04_T1w.nii.gz"


@dataclass(frozen=True)
class Manipulation:
    """One row.

    Attributes
    ----------
    part
        Heading under which it is listed.
    what
        What was done, in words.
    apply
        Does it to a copy of the study.
    answer
        Level of the finding, :data:`NO_FINDING` or :data:`OUTSIDE`.
    text
        What the finding says was expected or found (a part of it), or the reason.
    options
        Of the audit. ``noted`` is the digest that the user has noted: that on the page, or the last
        one.
    """

    part: str
    what: str
    apply: Apply
    answer: str
    text: str
    options: Mapping[str, Any] = field(default_factory=dict)


# --- what is done -------------------------------------------------------------------------------


def flip(name: str) -> Apply:
    """Change one bit of a file without changing its times of modification."""

    def apply(study: AuditedStudy) -> None:
        path = study.path(name)
        state, content = path.stat(), bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))

    return apply


def flip_raw(study: AuditedStudy) -> None:
    path = study.bids / RAW
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def replace(name: str, content: bytes) -> Apply:
    return lambda study: study.path(name).write_bytes(content)


def put(make: Callable[[Path], object], name: str) -> Apply:
    """Put something that is no regular file in place of a file."""

    def apply(study: AuditedStudy) -> None:
        path = study.results / name
        path.unlink()
        make(path)

    return apply


def swap(study: AuditedStudy) -> None:
    one, other = study.path(CODES), study.path("volumes/volumes.npy")
    assert one.stat().st_size == other.stat().st_size
    a, b = one.read_bytes(), other.read_bytes()
    one.write_bytes(b)
    other.write_bytes(a)


def enlarge(study: AuditedStudy) -> None:
    with study.path(MODEL).open("r+b") as file:
        file.truncate(1 << 42)  # takes no place on the disk, and hours to read


def link_elsewhere(study: AuditedStudy) -> None:
    target = study.folder / "elsewhere.tsv"
    study.path(TABLE).rename(target)
    study.path(TABLE).symlink_to(target)


def age(study: AuditedStudy) -> None:
    path = study.path(TABLE)
    late = path.stat().st_mtime + 3600
    os.utime(path, (late, late))


def ended(study: AuditedStudy, rule: str) -> Path:
    return study.records(rule)[0]


def started(study: AuditedStudy, rule: str) -> Path:
    return study.records(rule, ended=False)[0]


def edit(rule: str, seal: bool = False, **fields: Any) -> Apply:
    """Change fields of a record, perhaps in both records and under new seals."""

    def apply(study: AuditedStudy) -> None:
        if seal:
            study.edit_all(lambda record: record.update(fields), rule)
        else:
            study.edit(ended(study, rule), lambda record: record.update(fields))

    return apply


def edit_end(rule: str, **fields: Any) -> Apply:
    """Change fields of the record of an end only, under new seals."""

    def apply(study: AuditedStudy) -> None:
        study.edit(ended(study, rule), lambda record: record.update(fields))
        study.seal_again()

    return apply


def without_field(rule: str, name: str) -> Apply:
    return lambda study: study.edit(ended(study, rule), lambda record: record.pop(name))


def edit_file(**fields: Any) -> Apply:
    """Change what a record says of its first output."""

    def apply(study: AuditedStudy) -> None:
        study.edit(ended(study, "tabulate"), lambda record: record["output"][0].update(fields))

    return apply


def edit_code(name: str, value: str) -> Apply:
    def change(record: Record) -> None:
        (record["params"] if name == "code" else record)[name] = value

    return lambda study: study.edit_all(change, "train_network")


def overwrite_record(content: bytes) -> Apply:
    return lambda study: ended(study, "tabulate").write_bytes(content)


def remove(*which: str) -> Apply:
    """Remove records of the table's job."""

    def apply(study: AuditedStudy) -> None:
        one = {"ended": ended(study, "tabulate"), "started": started(study, "tabulate")}
        for name in which:
            one[name].unlink()

    return apply


def add_record(hours: float, *, seal: bool = False, rule: str = "fit_voxel_pca") -> Apply:
    """Forge a record of a job that did the same some hours later (or earlier)."""

    def apply(study: AuditedStudy) -> None:
        path = ended(study, rule)
        record = json.loads(path.read_text())
        start = datetime.fromisoformat(record["start"]) + timedelta(hours=hours)
        record |= {"start": start.isoformat(), "end": (start + timedelta(seconds=9)).isoformat()}
        path.with_name(f"{start:%Y%m%dT%H%M%SZ}-0badcafe.json").write_text(json.dumps(record))
        if seal:
            seal_records(study.results)

    return apply


def recent(study: AuditedStudy) -> float:
    """Hours from the study's jobs to an hour from now."""
    start = json.loads(ended(study, "fit_voxel_pca").read_text())["start"]
    then = datetime.fromisoformat(start)
    return (datetime.now(then.tzinfo) - then).total_seconds() / 3600 + 1


def forge_table(study: AuditedStudy) -> None:
    """A better table for readers, with a record of a later job, and a seal over both."""
    hours = recent(study)
    add_record(hours, rule="tabulate")(study)
    path = next(path for path in study.records("tabulate") if "0badcafe" in path.name)
    study.path("tables/probes.md").write_text("| ldae | 1.2 |")

    def change(record: Record) -> None:
        record["output"] = describe_files(
            [study.path(TABLE), study.path("tables/probes.md")], study.places
        )

    study.edit(path, change)
    seal_records(study.results)


def move_record(study: AuditedStudy) -> None:
    target = study.results / "records/fit_probe/other"
    target.mkdir(parents=True)
    ended(study, "tabulate").rename(target / ended(study, "tabulate").name)


def rename_record(study: AuditedStudy) -> None:
    path = ended(study, "tabulate")
    path.rename(path.with_name("20200101T000000Z-00000009.json"))


def disguise(study: AuditedStudy) -> None:
    """A file whose name erases lines of a terminal and prints another verdict."""
    name = "figures/\x1b[2K\rPASSED: 0 errors.png"
    study.path(name).write_bytes(b"x")


def foreign_name(study: AuditedStudy) -> None:
    os.close(os.open(os.fsencode(study.results) + b"/figures/\xff\xfe.png", os.O_CREAT))


def deep(study: AuditedStudy) -> None:
    ended(study, "tabulate").write_text("[" * 200_000)


# seals


def seals(study: AuditedStudy) -> list[Path]:
    return sorted((study.results / SEALS).glob("*.json"))


def remove_seal(number: int) -> Apply:
    return lambda study: seals(study)[number].unlink()


def remove_seals(study: AuditedStudy) -> None:
    shutil.rmtree(study.results / SEALS)


def edit_seal(number: int, **fields: Any) -> Apply:
    return lambda study: study.edit(seals(study)[number], lambda seal: seal.update(fields))


def sign(study: AuditedStudy, name: str = "ada") -> None:
    """Sign the last seal; only Ada is an allowed signer."""
    for person in ("ada", "eve"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", study.folder / person]
        subprocess.run(command, check=True)
    public = (study.folder / "ada.pub").read_text()
    (study.folder / "signers").write_text(f"ada@example.org {public}")
    sign_seal(study.results, read_seals(study.results)[-1], study.folder / name)


def sign_by_another(study: AuditedStudy) -> None:
    sign(study, "eve")


def edit_after_signing(study: AuditedStudy) -> None:
    sign(study)
    seals(study)[-1].write_text(seals(study)[-1].read_text() + "\n")


def forge_after_signing(study: AuditedStudy) -> None:
    sign(study)
    forge_table(study)


def never_sign(study: AuditedStudy) -> None:
    sign(study)
    seals(study)[-1].with_name(f"{seals(study)[-1].name}.sig").unlink()


def better_page(study: AuditedStudy) -> str:
    return study.path("report.html").read_text().replace("5.2", "1.2")


def replace_page_without_records(study: AuditedStudy) -> None:
    """What the issue describes: the page is replaced, its end record and last seal are removed."""
    study.path("report.html").write_text(better_page(study))
    ended(study, "build_report").unlink()
    seals(study)[-1].unlink()


def replace_page_in_its_record(study: AuditedStudy) -> None:
    """The page is replaced, and its own record and the last seal are made again."""
    study.path("report.html").write_text(better_page(study))
    seals(study)[-1].unlink()
    page = [study.path("report.html")]
    study.edit(
        ended(study, "build_report"),
        lambda record: record.update(output=describe_files(page, study.places)),
    )
    seal_records(study.results)


def replace_page_and_seals(study: AuditedStudy) -> None:
    """The page is replaced, and everything from its seal on is made again."""
    page = study.path("report.html")
    shown = json.loads(seals(study)[-1].read_text())["previous"]
    page.write_text(better_page(study).replace(shown, PLACEHOLDER))
    study.seal_again()


def page_shows_another_seal(study: AuditedStudy) -> None:
    page = study.path("report.html")
    shown = json.loads(seals(study)[-1].read_text())["previous"]
    page.write_text(page.read_text().replace(shown, "1" * 64))


def rebuild_page(study: AuditedStudy) -> None:
    """A page is built again, by a job of the study: a user's right."""
    study._report()


# attempts and chain


def attempt(status: str, wildcards: dict[str, str], hours: float = 0) -> Apply:
    def apply(study: AuditedStudy) -> None:
        study._time = datetime.now(study._time.tzinfo)
        study.job("plot_figure", [], {}, wildcards, status=status)

    return apply


def other_input(study: AuditedStudy) -> None:
    """The probe's job says that it read other codes than those that were written."""

    def change(record: Record) -> None:
        for file in record.get("input", []):
            if file["path"].endswith("shared.npy"):
                file["sha256"] = "a" * 64

    study.edit_all(change, "fit_probe")


def recompute(study: AuditedStudy) -> None:
    """The components are computed again and differ; the probe is not."""
    study._time = datetime.now(study._time.tzinfo)
    volumes = [study.path("volumes/volumes.npy"), study.path("volumes/index.tsv")]
    study.job("fit_voxel_pca", volumes, {CODES: "others"}, fitted_on={"components": ["sub-01"]})
    seal_records(study.results)


def forget_inputs(study: AuditedStudy) -> None:
    study.edit_all(lambda record: record.update(input=[]), "plot_figure")


def forget_producer(study: AuditedStudy) -> None:
    for path in (ended(study, "fit_voxel_pca"), started(study, "fit_voxel_pca")):
        path.unlink()
    study.seal_again()


def circle(study: AuditedStudy) -> None:
    """Two jobs read each other's outputs."""

    def change(record: Record) -> None:
        if "input" in record:
            record["input"] = [*record["input"], *describe_files([study.path(TABLE)], study.places)]

    study.edit_all(change, "fit_probe")


def no_figures(study: AuditedStudy) -> None:
    """A study that was stopped before its first table."""
    for rule in ("tabulate", "plot_figure", "build_report"):
        shutil.rmtree(study.results / "records" / rule)
    for name in ("tables", "figures"):
        shutil.rmtree(study.results / name)
    study.path("report.html").unlink()
    shutil.rmtree(study.results / SEALS)
    seal_records(study.results)


# code


def other_code(study: AuditedStudy) -> None:
    (study.clone / "ldae/science.py").write_text("def compute() -> int:\n    return 43\n")
    git(study.clone, "commit", "-qam", "Other numbers")


def replace_commit(study: AuditedStudy) -> None:
    """Git shows the files of another commit for the recorded one; the records fit to those."""
    recorded = git(study.clone, "rev-parse", "HEAD")
    other_code(study)
    digest = code_digest(study.clone / "scripts/train_network.py", root=study.clone)
    git(study.clone, "replace", recorded, git(study.clone, "rev-parse", "HEAD"))
    edit_code("code", digest)(study)


def outside_a_clone(study: AuditedStudy) -> None:
    study.edit_all(lambda record: record.update(commit=None, dirty=None))


def outside_with_other_code(study: AuditedStudy) -> None:
    outside_a_clone(study)
    other_code(study)


def export_nothing(study: AuditedStudy) -> None:
    attributes = study.clone / ".git/info/attributes"
    attributes.parent.mkdir(exist_ok=True)
    attributes.write_text("scripts/** export-ignore\n")
    # a copy of the study has another folder, so what is known of the first clone is not asked


# environment and participants


def edit_lock(study: AuditedStudy) -> None:
    (study.clone / LOCK).write_text("numpy==2.4.5\n")


def with_image(study: AuditedStudy) -> None:
    name = "torch-aaaaaaaaaaaa.sif"
    image = {"name": name, "sha256": "a" * 64}
    (study.clone / "containers").mkdir()
    (study.clone / "containers" / name).write_bytes(b"another image")
    study.edit_all(lambda record: record.update(container=image))


def table(name: str, change: Callable[[str], str]) -> Apply:
    """Change a table, and all records and seals with it."""

    def apply(study: AuditedStudy) -> None:
        path = study.path(name)
        study.rewrite(path, change(path.read_text()).encode())

    return apply


def same_bytes(one: str, other: str) -> Apply:
    """The same raw scan lies under the names of two participants."""

    def change(text: str) -> str:
        rows = [line.split("\t") for line in text.splitlines()]
        digest = next(row[3] for row in rows if row[0] == one)
        rows = [[*row[:3], digest] if row[0] == other else row for row in rows]
        return "".join("\t".join(row) + "\n" for row in rows)

    def apply(study: AuditedStudy) -> None:
        source, target = (next(study.bids.glob(f"{name}/anat/*")) for name in (one, other))
        study.rewrite(target, source.read_bytes())
        table(SCANS, change)(study)

    return apply


def same_voxels(one: str, other: str) -> Apply:
    """A scan was saved again under another name: other bytes, the same voxels."""

    def apply(study: AuditedStudy) -> None:
        known: dict[str, str] = {}
        for path in study.records("preprocess_scan"):
            known |= json.loads(path.read_text())["voxels"]

        def change(record: Record) -> None:
            if other in record.get("voxels", {}):
                record["voxels"][other] = known[one]

        study.edit_all(change, "preprocess_scan")

    return apply


def fitted_on(subjects: list[str]) -> Apply:
    def change(record: Record) -> None:
        if "fitted_on" in record:
            record["fitted_on"] = {"mean": subjects}

    return lambda study: study.edit_all(change, "train_network")


# Snakemake's metadata, the cache, and other places


def edit_metadata(**fields: Any) -> Apply:
    def apply(study: AuditedStudy) -> None:
        for path in (study.folder / ".snakemake/metadata").iterdir():
            entry = json.loads(path.read_text())
            if entry["rule"] == "fit_voxel_pca":
                path.write_text(json.dumps(entry | fields))

    return apply


def break_metadata(study: AuditedStudy) -> None:
    one, other, third, *_ = sorted((study.folder / ".snakemake/metadata").iterdir())
    one.write_bytes(b"\xff{")
    other.write_text("[]")
    third.unlink()
    os.mkfifo(third)


def remove_metadata(study: AuditedStudy) -> None:
    shutil.rmtree(study.folder / ".snakemake")


def poison_cache(study: AuditedStudy) -> None:
    """A changed table, with the digest of the old one in the cache of the user who audits."""
    path = study.path(TABLE)
    size = path.stat().st_size
    old = describe_files([path], study.places)[0]["sha256"]
    path.write_text(PROBES.replace("5.2", "1.2"))
    assert path.stat().st_size == size
    os.utime(path, (1, 1))
    place = cache_path(study.results)
    assert place is not None
    state = path.stat()
    key = [state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({os.path.abspath(path): [key, old]}))
    assert DigestCache(place).get(path, state) == old


def lose_times(study: AuditedStudy) -> None:
    copy = study.folder.with_name("again")
    shutil.copytree(study.folder, copy, symlinks=True, copy_function=shutil.copyfile)
    shutil.rmtree(study.folder)
    copy.rename(study.folder)


def recompress(study: AuditedStudy) -> None:
    """The raw scan is compressed again: the same head, other bytes."""
    path = study.bids / RAW
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=0))


def own_by_another(study: AuditedStudy) -> None:
    for path in (study.folder, *study.folder.rglob("*")):
        os.lchown(path, 12345, 12345)


def nothing(study: AuditedStudy) -> None:
    """Leave the study as it is."""


# --- the table ----------------------------------------------------------------------------------

FILES, RECORDS, SEALED, PAGE_PART = "Files", "Records", "Seals", "The report"
CHAIN, CODE, ENVIRONMENT, WHO, OTHER = (
    "Jobs and links", "Code", "Environment", "Participants", "Snakemake, cache and places",
)  # fmt: skip
SAME_BYTES = "the bytes are the same, wherever they lie"
NOTE = "only a digest that was noted outside the study shows it"
WITNESS = "the record is the only witness of what the processor was; a noted digest shows it"


M = Manipulation


M = Manipulation


def _flips() -> list[Manipulation]:
    names = {
        "figure": FIGURE, "figure's data": "figures/age.tsv", "table": TABLE,
        "table for readers (.md)": "tables/probes.md", "report": "report.html",
        "settings": "config.yaml", "weights of a network": MODEL, "codes": CODES,
        "packed volumes": "volumes/volumes.npy", "index of the volumes": "volumes/index.tsv",
        "split": SPLIT, "table of scans": SCANS, "probe": "probes/voxel_pca/shared.json",
        "preprocessed scan": "preprocessed/sub-04_T1w.nii.gz",
    }  # fmt: skip
    return [
        Manipulation(
            FILES, f"one bit of the {what}, with its old time", flip(name), ERROR, "sha256"
        )
        for what, name in names.items()
    ]


MANIPULATIONS: tuple[Manipulation, ...] = (
    *_flips(),
    M(FILES, "one bit of a raw scan", flip_raw, ERROR, "sha256"),
    M(FILES, "a raw scan compressed again", recompress, ERROR, "sha256"),
    M(FILES, "a cell of a table", replace(TABLE, PROBES.replace("5.2", "1.2").encode()), ERROR,
      "sha256"),
    M(FILES, "a table removed", lambda s: s.path(TABLE).unlink(), ERROR, "no such file"),
    M(FILES, "a raw scan removed", lambda s: (s.bids / RAW).unlink(), ERROR, "no such file"),
    M(FILES, "weights emptied", replace(MODEL, b""), ERROR, "0 bytes"),
    M(FILES, "two files of one size exchanged", swap, ERROR, "the bytes of"),
    M(FILES, "a figure that no job drew", replace("figures/better.png", b"x"), ERROR,
      "a record of the job that wrote it"),
    M(FILES, "a table that no job made", replace("tables/more.tsv", b"x"), ERROR,
      "a record of the job that wrote it"),
    M(FILES, "codes that no job made", replace("codes/mine/x.npy", b"x"), WARNING,
      "files without one"),
    M(FILES, "a folder of figures behind a link",
      lambda s: s.path("figures/more").symlink_to(s.bids),
      ERROR, "a record of the job that wrote it"),
    M(FILES, "a table behind a link to the same bytes", link_elsewhere, NO_FINDING, SAME_BYTES),
    M(FILES, "a table written again later, with the same bytes", age, WARNING,
      "newer than its record"),
    M(FILES, "a named pipe in place of a table", put(os.mkfifo, TABLE), ERROR, "regular file"),
    M(FILES, "a folder in place of a figure", put(Path.mkdir, FIGURE), ERROR, "regular file"),
    M(FILES, "an endless device in place of weights", put(lambda p: p.symlink_to("/dev/zero"),
      MODEL),
      ERROR, "regular file"),
    M(FILES, "a link to itself in place of weights", put(lambda p: p.symlink_to(p), MODEL), ERROR,
      "regular file"),
    M(FILES, "weights of 4 TiB", enlarge, ERROR, "not read"),
    M(FILES, "a name that rewrites the terminal", disguise, ERROR,
      "a record of the job that wrote it"),
    M(FILES, "a name that is no UTF-8", foreign_name, ERROR, "a record of the job that wrote it"),
    # records
    M(RECORDS, "a record of an end edited", edit("train_network", seed=1), ERROR, "sha256"),
    M(RECORDS, "a record of a start edited",
      lambda s: s.edit(started(s, "tabulate"), lambda r: r.update(seed=1)), ERROR, "sha256"),
    M(RECORDS, "a record of an end removed", remove("ended"), ERROR, "no such file"),
    M(RECORDS, "a record of a start removed", remove("started"), ERROR, "no such file"),
    M(RECORDS, "both records removed", remove("ended", "started"), ERROR, "no such file"),
    M(RECORDS, "a record cut off", lambda s: os.truncate(ended(s, "tabulate"), 99), ERROR,
      "JSONDecodeError"),
    M(RECORDS, "a record that is no object", overwrite_record(b"[]"), ERROR, "record: "),
    M(RECORDS, "a record with a byte that is no UTF-8", overwrite_record(b'{"rule": "\xff"}'),
      ERROR,
      "UnicodeDecodeError"),
    M(RECORDS, "a record of nested brackets", deep, ERROR, "RecursionError"),
    M(RECORDS, "a record without its commit", without_field("tabulate", "commit"), ERROR,
      "commit: Field required"),
    M(RECORDS, "a record of an end without its end", without_field("tabulate", "end"), ERROR,
      "end: missing"),
    M(RECORDS, "a time without a zone", edit("tabulate", start="2026-11-22T08:10:00"), ERROR,
      "timezone"),
    M(RECORDS, "a time that is none", edit("tabulate", end="later"), ERROR, "valid datetime"),
    M(RECORDS, "an end before its start", edit("tabulate", end="2026-11-22T07:00:00+00:00"), ERROR,
      "before its start"),
    M(RECORDS, "a format that is not known", edit("tabulate", format=99), ERROR, "tag"),
    M(RECORDS, "a field that is not known", edit("tabulate", more=1), ERROR, "Extra inputs"),
    M(RECORDS, "a size below zero", edit_file(size=-1), ERROR, "greater than or equal to 0"),
    M(RECORDS, "a checksum that is none", edit_file(sha256="?"), ERROR, "match pattern"),
    M(RECORDS, "a file name that leads out of the study", edit_file(path="<results>/../../x"),
      ERROR,
      "leads out of the study"),
    M(RECORDS, "an absolute file name", edit_file(path="/etc/passwd"), ERROR,
      "leads out of the study"),
    M(RECORDS, "a named pipe in place of a record",
      lambda s: put(os.mkfifo, ended(s, "tabulate").relative_to(s.results).as_posix())(s), ERROR,
      "not a regular file"),
    M(RECORDS, "a record moved to another rule's folder", move_record, ERROR, "in the folder of"),
    M(RECORDS, "a record under the name of another time", rename_record, ERROR,
      "not the time in the file's name"),
    M(RECORDS, "an older record added", add_record(-1), ERROR, "added later than its own time"),
    M(RECORDS, "a newer record added", lambda s: add_record(recent(s))(s), WARNING,
      "unsealed records"),
    M(RECORDS, "an end that contradicts its start, sealed again", edit_end("train_network", seed=1),
      ERROR, "other seed"),
    M(RECORDS, "a record edited, all seals made again, digest noted",
      edit("train_network", seal=True, seed=1), ERROR, "seals were replaced", {"noted": "last"}),
    M(RECORDS, "a record edited, all seals made again, no digest noted",
      edit("train_network", seal=True, seed=1), OUTSIDE, NOTE),
    # seals
    M(SEALED, "a seal edited", edit_seal(0, made="2026-11-22T08:00:00+00:00"), ERROR,
      "a seal was changed"),
    M(SEALED, "the first seal removed", remove_seal(0), ERROR, "seal 2"),
    M(SEALED, "the page's seal removed", remove_seal(1), ERROR, "seal 3"),
    M(SEALED, "the last seal removed", remove_seal(-1), WARNING, "unsealed records"),
    M(SEALED, "the last seal removed, its digest noted", remove_seal(-1), ERROR,
      "seals were replaced", {"noted": "last"}),
    M(SEALED, "all seals removed", remove_seals, ERROR, "they were removed"),
    M(SEALED, "a seal cut off", lambda s: os.truncate(seals(s)[0], 20), ERROR, "not a seal"),
    M(SEALED, "a seal without a zone of its time", edit_seal(2, made="2026-11-22T08:00:00"), ERROR,
      "not a seal"),
    M(SEALED, "a named pipe in place of a seal",
      lambda s: put(os.mkfifo, f"{SEALS}/000002.json")(s), ERROR, "not a seal"),
    M(SEALED, "records forged and sealed after the noted digest", forge_table, ERROR,
      "later records of jobs behind it", {"noted": "last"}),
    M(SEALED, "records forged and sealed, no digest noted", forge_table, OUTSIDE, NOTE),
    M(SEALED, "the digest noted in capitals", nothing, NO_FINDING, "means the same",
      {"noted": "last", "spelt": str.upper}),
    M(SEALED, "the digest noted in part", nothing, NO_FINDING, "eight digits are enough",
      {"noted": "last", "spelt": lambda digest: digest[:8]}),
    M(SEALED, "the digest noted as the short code", nothing, NO_FINDING, "means the same",
      {"noted": "last", "spelt": lambda digest: "-".join([digest[:4], digest[4:8], digest[8:12]])}),
    M(SEALED, "the digest of another study", nothing, ERROR, "another study", {"seal": "a" * 64}),
    M(SEALED, "the last seal signed by an allowed signer", sign, NO_FINDING,
      "the verdict names the signer", {"signers": "signers"}),
    M(SEALED, "the last seal signed by another", sign_by_another, ERROR, "no allowed signer",
      {"signers": "signers"}),
    M(SEALED, "a signed seal edited", edit_after_signing, ERROR, "not of this seal",
      {"signers": "signers"}),
    M(SEALED, "a signature removed", never_sign, ERROR, "a seal that is signed by",
      {"signers": "signers"}),
    M(SEALED, "records forged and sealed after the signed seal", forge_after_signing, ERROR,
      "later records of jobs behind it", {"signers": "signers"}),
    # the report
    M(PAGE_PART, "replaced; its end record and the last seal removed", replace_page_without_records,
      ERROR, "a record of the job that wrote it"),
    M(PAGE_PART, "the same, with the page's digest noted", replace_page_without_records, ERROR,
      "a record of the job that wrote it", {"noted": "page"}),
    M(PAGE_PART, "replaced; its record and the last seal made again", replace_page_in_its_record,
      ERROR, "sha256"),
    M(PAGE_PART, "the same, with the page's digest noted", replace_page_in_its_record, ERROR,
      "sha256", {"noted": "page"}),
    M(PAGE_PART, "replaced; all seals made again, digest noted", replace_page_and_seals, ERROR,
      "seals were replaced", {"noted": "page"}),
    M(PAGE_PART, "replaced; all seals made again, no digest noted", replace_page_and_seals, OUTSIDE,
      NOTE),
    M(PAGE_PART, "shows the digest of another seal", page_shows_another_seal, ERROR, "sha256"),
    M(PAGE_PART, "untouched, with the page's digest noted", nothing, NO_FINDING,
      "its seal covers all but the record of its own job", {"noted": "page"}),
    M(PAGE_PART, "built again by a job of the study", rebuild_page, NO_FINDING, "has a new seal"),
    # jobs and links
    M(CHAIN, "a job that never ended, nothing completed", attempt(STARTED, {"figure": "roc"}),
      WARNING, "never ended"),
    M(CHAIN, "a job that never ended, after a completed one", attempt(STARTED, {"figure": "age"}),
      WARNING, "never ended"),
    M(CHAIN, "a job that failed after a completed one",
      attempt("FailedActionStatus", {"figure": "age"}), WARNING, "failed"),
    M(CHAIN, "an input other than what was written", other_input, ERROR, "changed in between"),
    M(CHAIN, "a step computed again, but not what follows", recompute, ERROR, "out of date"),
    M(CHAIN, "a figure without scans behind it", forget_inputs, ERROR, "a chain from raw scans"),
    M(CHAIN, "an input without a job", forget_producer, ERROR, "a record of the job that wrote it"),
    M(CHAIN, "two jobs that read each other's outputs", circle, OUTSIDE,
      "the files and their checksums agree; the order of jobs is not judged"),
    M(CHAIN, "a study that was stopped before its first figure", no_figures, UNCHECKED, "none yet"),
    # code
    M(CODE, "uncommitted changes recorded", edit("train_network", seal=True, dirty=True), ERROR,
      "uncommitted changes"),
    M(CODE, "a commit that does not exist", edit("train_network", seal=True, commit="0" * 40),
      ERROR,
      "no such commit"),
    M(CODE, "another digest of the code", edit_code("code", "0123456789abcdef"), ERROR,
      "code 0123456789abcdef"),
    M(CODE, "code edited while a job ran, hidden from git",
      edit_end("train_network", code_end="0123456789abcdef"), ERROR, "changed during the run"),
    M(CODE, "other comments than the commit's", edit_code("code_raw", "0123456789abcdef"), WARNING,
      "no number can differ"),
    M(CODE, "git replace: another commit's files under the recorded name", replace_commit, ERROR,
      "code "),
    M(CODE, "GIT_DIR and GIT_INDEX_FILE lead elsewhere", nothing, NO_FINDING,
      "git is asked without variables of the environment",
      {"environment": {"GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere"}}),
    M(CODE, "newer code in the clone than the study's", other_code, NO_FINDING,
      "the recorded commit is looked at"),
    M(CODE, "run outside a clone, with the code that lies here", outside_a_clone, WARNING,
      "the code here has their digest"),
    M(CODE, "run outside a clone, with other code", outside_with_other_code, WARNING,
      "here is other code"),
    M(CODE, "no clone", lambda s: shutil.rmtree(s.clone), UNCHECKED, "no clone"),
    M(CODE, "a clone whose attributes hide scripts", export_nothing, UNCHECKED,
      "does not give its digest"),
    # environment
    M(ENVIRONMENT, "a lock edited, not committed", edit_lock, ERROR, "currently sha256"),
    M(ENVIRONMENT, "another lock recorded",
      edit("tabulate", seal=True, locks={LOCK: "0" * 64}), ERROR, "another envs/local.lock"),
    M(ENVIRONMENT, "a version that is not locked", edit_end("tabulate", software={"numpy": "1.0"}),
      ERROR, "numpy 1.0"),
    M(ENVIRONMENT, "another container image under the recorded name", with_image, ERROR,
      "in containers/torch-"),
    M(ENVIRONMENT, "other kernels recorded than computed, all seals made again",
      edit_end("tabulate", kernels={"blas": [], "torch": "AVX512", "variables": {}}), OUTSIDE,
      WITNESS),
    # participants
    M(WHO, "a participant in two splits", table(SPLIT, lambda t: t + "sub-04\ttrain\n"), ERROR,
      "sub-04 in test and train"),
    M(WHO, "a test participant in a fit", fitted_on(["sub-01", "sub-04"]), ERROR, "sub-04"),
    M(WHO, "a fit without participants", fitted_on([]), ERROR, "at least one participant"),
    M(WHO, "a fit on an unknown participant", fitted_on(["sub-99"]), ERROR, "sub-99"),
    M(WHO, "a test participant in the training rows of a table",
      table("volumes/index.tsv", lambda t: t.replace("sub-04\ttest", "sub-04\ttrain")), ERROR,
      "sub-04 in train"),
    M(WHO, "a scanned participant outside the split",
      table(SPLIT, lambda t: t.replace("sub-03\tval\n", "")), ERROR, "not in it"),
    M(WHO, "the same file under two names, in two splits", same_bytes("sub-01", "sub-04"), ERROR,
      "the same bytes in sub-01 and sub-04, in different splits"),
    M(WHO, "the same file under two names, in one split", same_bytes("sub-01", "sub-02"), WARNING,
      "in one split"),
    M(WHO, "the same voxels saved again, in two splits", same_voxels("sub-01", "sub-04"), ERROR,
      "the same values of voxels in sub-01 and sub-04"),
    M(WHO, "the same voxels saved again, in one split", same_voxels("sub-01", "sub-02"), WARNING,
      "in one split"),
    M(WHO, "the same head resampled, or with noise", nothing, OUTSIDE,
      "values differ in every voxel; that would need a judgement of likeness"),
    M(WHO, "a byte in the split that is no UTF-8", replace(SPLIT,
      b"subject\tsplit\nsub-\xff\ttest\n"),
      ERROR, "sha256"),
    M(WHO, "a byte in a table that is no UTF-8", replace(TABLE, b"subject\tsplit\n\xff\tval\n"),
      ERROR,
      "sha256"),
    M(WHO, "a split without its columns", replace(SPLIT, b"a\tb\n1\t2\n"), ERROR, "no column"),
    M(WHO, "a table of NUL bytes", replace(TABLE, b"\0" * 99), ERROR, "sha256"),
    M(WHO, "a named pipe in place of the split", put(os.mkfifo, SPLIT), ERROR, "no such table"),
    # Snakemake, cache and places
    M(OTHER, "an output noted by Snakemake after its job ended", edit_metadata(endtime=2e9),
      WARNING,
      "without a record"),
    M(OTHER, "another code in Snakemake's metadata", edit_metadata(params=["'x'"]), ERROR,
      "other code"),
    M(OTHER, "metadata that cannot be read", break_metadata, NO_FINDING,
      "Snakemake keeps them for itself; the records say the same"),
    M(OTHER, "metadata removed", remove_metadata, UNCHECKED, "the study was moved"),
    M(OTHER, "a changed table, and its old digest in the auditor's own cache", poison_cache,
      OUTSIDE,
      "the verdict says how many digests are from the cache; --full reads every file",
      {"full": False}),
    M(OTHER, "the same, with --full", poison_cache, ERROR, "sha256"),
    M(OTHER, "logs and times of jobs edited", lambda s: [flip(n)(s) for n in
      ("logs/tabulate/probes.log", "benchmarks/tabulate.tsv")], OUTSIDE,
      "no number comes from them; the verdict lists what is not covered"),
    M(OTHER, "a copy without the times of its files", lose_times, NO_FINDING,
      "times prove nothing"),
    M(OTHER, "results moved elsewhere", lambda s: s.results.rename(s.folder / "moved"), NO_FINDING,
      "records name no place", {"results": "moved"}),
    M(OTHER, "a study of another user", own_by_another, NO_FINDING, "records name no user"),
)  # fmt: skip


def markdown() -> str:
    """The table as Markdown, one for each part."""
    lines = []
    for part in dict.fromkeys(one.part for one in MANIPULATIONS):
        lines += [f"## {part}", "", "| manipulation | answer | finding or reason |"]
        lines += ["| --- | --- | --- |"]
        for one in MANIPULATIONS:
            if one.part == part:
                text = one.text if one.answer in (NO_FINDING, OUTSIDE) else f"“… {one.text} …”"
                lines.append(f"| {one.what} | {one.answer} | {text} |")
        lines.append("")
    return "\n".join(lines)


def page() -> str:
    """Text of the page in the documentation with the present table."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{markdown()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
