"""Formats of records, and that the schema in the repository is that of the models."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from ldae.provenance.record import FORMAT
from ldae.provenance.schema import SCHEMA, json_schema, schema_text, validate_record

FILE = {"path": "<results>/x", "size": 1, "sha256": "a" * 64}
FIRST = {
    "rule": "tabulate", "wildcards": {}, "params": {"code": "0"}, "seed": 0, "threads": 1,
    "resources": {}, "start": "2026-11-22T08:00:00+00:00", "status": "ActiveActionStatus",
    "slurm": None, "container": None, "locks": {}, "commit": None, "dirty": None,
}  # fmt: skip
ENDED = FIRST | {
    "status": "CompletedActionStatus", "end": "2026-11-22T08:01:00+00:00", "output": [FILE],
}  # fmt: skip


def test_schema_is_made_from_the_models():
    assert Path(SCHEMA).read_text() == schema_text(), "run python -m ldae.provenance.schema"
    jsonschema.Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("record", [FIRST, ENDED, FIRST | {"of_an_old_version": 1}])
def test_records_without_a_format_stay_valid(record):
    assert validate_record(record).format == 1
    jsonschema.validate(record, yaml.safe_load(Path(SCHEMA).read_text()))


@pytest.mark.parametrize("record", [FIRST, ENDED])
def test_new_records_are_valid(record):
    record = record | {"format": FORMAT, "voxels": {"sub-1": "a" * 64}, "code_end": "0"}
    assert validate_record(json.loads(json.dumps(record))).format == FORMAT


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": 3}, "tag '3'"),
        ({"format": 2, "more": 1}, "more: Extra inputs are not permitted"),
        ({"start": "2026-11-22T08:00:00"}, "start: Input should have timezone info"),
        ({"threads": 0}, "threads: "),
        ({"params": []}, "params: "),
        ({"output": [FILE | {"path": "<results>/../x"}]}, "output.0.path: "),
        ({"output": [FILE | {"path": "/etc/passwd"}]}, "output.0.path: "),
        ({"output": [FILE | {"size": -1}]}, "output.0.size: "),
        ({"output": [{"path": "x"}]}, "output.0.size: Field required"),
        ({"status": "CompletedActionStatus"}, "end: missing"),
        ({"rule": 1, "seed": "x", "threads": "y", "commit": 4}, "and 1 more"),
    ],
)
def test_faults_are_named(change, problem):
    with pytest.raises(ValueError) as error:
        validate_record(FIRST | change)
    assert problem in str(error.value)
