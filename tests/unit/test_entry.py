"""The entry of every script: log, record, message, threads."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import jsonschema
import pytest
import yaml

from ldae.provenance.code import code_digest, raw_digest
from ldae.workflow.entry import records_folder

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = yaml.safe_load((ROOT / "schemas" / "record.schema.yaml").read_text())

HEADER = """
import logging, os, sys, time
sys.path.insert(0, {root!r})
class Named(dict):
    def __getattr__(self, name): return self[name]
    def __iter__(self): return iter(self.values())
class Job:
    rule, threads = "make_it", 1
    wildcards = Named(case="a")
    params = Named(seed=3, folder="/somewhere/raw")
    config = {{"cohort": {{"source": "simulated"}}}}
    resources = Named(mem_mb=100, tmpdir="/somewhere/tmp", _cores=1)
    input = Named(x="in.txt")
    output = Named(y="out.txt")
    log = Named(text="results/logs/make_it/a.log")
from ldae.workflow.entry import rule_entry
from ldae.errors import InputError
from ldae.references import resolve
"""


def run(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    """Run a script like Snakemake would, in a process of its own."""
    (folder / "in.txt").write_text("in")
    script = folder / "script.py"
    script.write_text(HEADER.format(root=str(ROOT)) + textwrap.dedent(body))
    return subprocess.run(
        [sys.executable, str(script)], cwd=folder, capture_output=True, text=True, check=False
    )


def records(folder: Path) -> tuple[list[dict], list[dict]]:
    """Records of started and of ended jobs, all valid."""
    found = sorted((folder / "results/records/make_it/a").glob("*.json"))
    all_ = {path.name: json.loads(path.read_text()) for path in found}
    for record in all_.values():
        jsonschema.validate(record, SCHEMA)
    started = [r for name, r in all_.items() if name.endswith(".started.json")]
    return started, [r for name, r in all_.items() if not name.endswith(".started.json")]


def test_records_lie_beside_logs():
    assert records_folder(Path("results/ixi/logs/a/b.log")) == Path("results/ixi/records/a/b")
    assert records_folder(Path("logs/logs/a.log")) == Path("logs/records/a")


def test_a_fit_on_a_test_participant_fails_the_job(tmp_path):
    split = tmp_path / "results/split/split.tsv"
    split.parent.mkdir(parents=True)
    split.write_text("subject\tsplit\nsub-a\ttrain\nsub-b\ttest\n")
    body = """
        from ldae.leakage import note_fitted
        with rule_entry(Job()) as run:
            note_fitted("the mean", {subjects})
            open("out.txt", "w").write("out")
        """
    assert run(tmp_path, body.format(subjects=["sub-a"])).returncode == 0
    assert run(tmp_path, body.format(subjects=["sub-a", "sub-b"])).returncode == 1
    log = (tmp_path / "results/logs/make_it/a.log").read_text()
    assert "the mean was fitted on 1 participants of the test split, such as sub-b" in log
    (failed,) = [r for r in records(tmp_path)[1] if r["status"] == "FailedActionStatus"]
    assert failed["fitted_on"] == {"the mean": ["sub-a", "sub-b"]}


def test_success(tmp_path):
    done = run(
        tmp_path,
        """
        with rule_entry(Job()) as run:
            logging.getLogger("ldae.something").info("hello")
            logging.getLogger("other").info("detail")
            assert run.seed == 3
            assert os.environ["OMP_NUM_THREADS"] == "1"
            resolve("ldae.errors:InputError")
            open("out.txt", "w").write("out")
        """,
    )
    assert done.returncode == 0, done.stderr
    assert "hello" in done.stderr and "detail" not in done.stderr
    log = (tmp_path / "results/logs/make_it/a.log").read_text()
    assert "hello" in log and "detail" in log
    (started,), (ended,) = records(tmp_path)
    assert started["status"] == "ActiveActionStatus"
    assert ended["status"] == "CompletedActionStatus" and ended["error"] is None
    assert [f["path"] for f in ended["input"]] == ["in.txt"]
    assert [f["path"] for f in ended["output"]] == ["out.txt"]
    assert ended["params"]["folder"] == "<external>/raw"
    assert ended["resources"] == {"mem_mb": 100}
    assert ended["script"] == "script.py" and ended["references"] == ["ldae.errors:InputError"]
    assert ended["format"] == started["format"] == 2
    assert ended["code_end"] == code_digest(tmp_path / "script.py", "ldae.errors:InputError")
    assert ended["code_raw_end"] == ended["code_raw"]
    assert set(ended["kernels"]) == {"blas", "torch", "variables"}
    assert ended["code_raw"] == started["code_raw"] == raw_digest(tmp_path / "script.py")
    assert ended["seed"] == 3 and ended["peak_memory"]["process_mib"] > 1
    assert str(tmp_path) not in json.dumps(ended)


def test_code_that_is_edited_while_it_runs_is_recorded(tmp_path):
    done = run(
        tmp_path,
        """
        with rule_entry(Job()):
            open("out.txt", "w").write("out")
            open(__file__, "a").write("later = 1\\n")
        """,
    )
    assert done.returncode == 0, done.stderr
    (started,), (ended,) = records(tmp_path)
    assert ended["code_raw_end"] != ended["code_raw"] == started["code_raw"]
    assert ended["code_end"] == code_digest(tmp_path / "script.py")


def test_a_fault_of_the_user_is_one_line_without_traceback(tmp_path):
    done = run(
        tmp_path,
        """
        with rule_entry(Job()):
            raise InputError("scans.tsv", "has no column age", "Add it.")
        """,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    log = (tmp_path / "results/logs/make_it/a.log").read_text()
    assert log.rstrip().endswith("scans.tsv: has no column age. Add it.")
    _, (ended,) = records(tmp_path)
    assert ended["status"] == "FailedActionStatus"
    assert ended["error"] == {
        "type": "InputError",
        "message": "scans.tsv: has no column age. Add it.",
    }


def test_another_fault_leaves_its_traceback_in_the_log(tmp_path):
    done = run(tmp_path, "with rule_entry(Job()):\n    1 / 0\n")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    log = (tmp_path / "results/logs/make_it/a.log").read_text()
    assert "Traceback" in log and log.rstrip().endswith("ZeroDivisionError: division by zero")


def test_a_terminated_job_leaves_a_record(tmp_path):
    done = run(
        tmp_path,
        f"""
        with rule_entry(Job()):
            os.kill(os.getpid(), {int(signal.SIGTERM)})
            time.sleep(10)
        """,
    )
    assert done.returncode == 1
    _, (ended,) = records(tmp_path)
    assert ended["error"]["type"] == "JobTerminated"


def test_a_killed_job_leaves_the_record_of_its_start(tmp_path):
    done = run(
        tmp_path, f"with rule_entry(Job()):\n    os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
    )
    assert done.returncode == -signal.SIGKILL
    started, ended = records(tmp_path)
    assert len(started) == 1 and not ended


def test_attempts_are_appended(tmp_path):
    for _ in range(2):
        run(tmp_path, "with rule_entry(Job()):\n    open('out.txt', 'w').write('x')\n")
    started, ended = records(tmp_path)
    assert len(started) == len(ended) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_record_that_cannot_be_written_fails_the_job(tmp_path):
    folder = tmp_path / "results/records"
    folder.mkdir(parents=True)
    folder.chmod(0o500)
    assert run(tmp_path, "with rule_entry(Job()):\n    pass\n").returncode != 0


def test_a_blocked_record_folder_fails_the_job(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/records").write_text("a file where the folder should be")
    assert run(tmp_path, "with rule_entry(Job()):\n    pass\n").returncode != 0
