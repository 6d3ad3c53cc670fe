"""What is made from the settings' models is up to date and complete."""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
import yaml

from ldae.errors import InputError
from ldae.methods import METHODS, NETWORKS
from ldae.preprocessing.brain import METHODS as BRAIN_EXTRACTIONS
from ldae.provenance.code import code_files
from ldae.workflow.settings.ablations import FOLDERS
from ldae.workflow.settings.cohort import BRAIN_EXTRACTION, BrainExtraction, Cohort
from ldae.workflow.settings.command import add_arguments, run
from ldae.workflow.settings.documents import CONFIG, json_schema, make_documents
from ldae.workflow.settings.wording import expectation, in_yaml, resolve, summary

ROOT = Path(__file__).resolve().parents[2]
SCHEMA: Mapping[str, Any] = json_schema()
STUDIES = [ROOT / CONFIG, ROOT / "tests/workflow/micro.yaml", *sorted(ROOT.glob("studies/*.yaml"))]


def settings(schema: Mapping[str, Any] = SCHEMA, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every section and setting of the schema with its path."""
    for key, part in schema["properties"].items():
        resolved = resolve(part, SCHEMA)
        yield f"{path}.{key}".removeprefix("."), resolved
        if "properties" in resolved:
            yield from settings(resolved, f"{path}.{key}")


def test_what_is_made_from_the_models_is_up_to_date() -> None:
    for name, text in make_documents(ROOT).items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, f"{name}: run `make settings`"


@pytest.mark.parametrize(("path", "part"), settings(), ids=[path for path, _ in settings()])
def test_every_setting_is_described_and_closed(path: str, part: Mapping[str, Any]) -> None:
    assert summary(part), "no description"
    assert not summary(part).endswith((":", ";", ","))
    if "properties" in part:
        # samplers of plugins have steps of their own
        assert part["additionalProperties"] is False or path == "evaluation.throughput.steps"
    else:
        assert "default" in part
        assert "any value" not in expectation(part)


@pytest.mark.parametrize("file", STUDIES, ids=lambda path: path.stem)
def test_an_editor_accepts_the_studies(file: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert not list(validator.iter_errors(yaml.safe_load(file.read_text(encoding="utf-8"))))


def test_an_editor_sees_a_misspelt_key() -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert not validator.is_valid({"prior": {"n_step": 3}})
    assert not validator.is_valid({"priors": {}})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Folder with the default settings alone."""
    shutil.copy(ROOT / CONFIG, tmp_path)
    return tmp_path


def command(folder: Path, *options: str) -> int:
    """Exit status of the command in a folder."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(["--folder", str(folder), *options]))


def test_comments_are_made_and_the_order_is_kept(repository: Path) -> None:
    file = repository / CONFIG
    text = file.read_text(encoding="utf-8")
    section = next(line for line in text.splitlines() if line.startswith("ablations:"))
    moved = text.replace(f"{section}\n", "") + f"\n# the last\n{section.partition('  #')[0]}\n"
    file.write_text(moved.replace("# First β", "# something else"), encoding="utf-8")
    assert command(repository, "--check") == 1
    assert command(repository) == 0
    made = file.read_text(encoding="utf-8")
    assert made.endswith(f"\n# the last\n{section}\n") and "# First β" in made
    assert sorted(made.split("\n")) == sorted([*text.split("\n"), "", "# the last"])
    assert command(repository, "--check") == 0


@pytest.mark.parametrize(
    "gone",
    [
        r"  ema_decay.*\n",
        r"residual: (.*\n)(  .*\n)+",
        r"prior: (.*\n)(  .*\n)+",
        r", interpolation: 4",
        r"  paper_windows:.*\n(    .*\n)*",
        r"ablations: .*\n",
    ],
)
def test_a_setting_that_config_lacks_is_added_where_it_belongs(repository: Path, gone: str) -> None:
    file = repository / CONFIG
    text = file.read_text(encoding="utf-8")
    shorter, n = re.subn(gone, "", text, count=1)
    assert n == 1
    file.write_text(shorter, encoding="utf-8")
    assert command(repository, "--check") == 1
    assert command(repository) == 0
    made = file.read_text(encoding="utf-8")
    assert yaml.safe_load(made) == yaml.safe_load(text)
    lines = iter(made.splitlines())
    kept = [line for line in shorter.splitlines() if "{reconstruction" not in line]
    assert all(line in lines for line in kept), "other lines stay as they are"
    assert command(repository, "--check") == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            r"  n_timesteps.*\n",
            "",
            r"diffusion.n_timesteps is missing. Add the line n_timesteps: 1000",
        ),
        (r"dropout: 0.1", "dropout: 0.2", r"prior.dropout is 0.2, and the default is 0.1"),
        (r"  n_res_blocks: 1", "  n_blocks: 1", r"unknown key autoencoder.n_blocks"),
        (r"^study: ", "mine: 3\nstudy: ", r"unknown key mine. Take it out"),
    ],
)
def test_a_config_file_that_differs_from_the_models_is_refused(
    repository: Path, old: str, new: str, words: str
) -> None:
    file = repository / CONFIG
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(old, new, text, count=1, flags=re.MULTILINE), encoding="utf-8")
    with pytest.raises(InputError, match=words):
        command(repository)


def test_numbers_are_written_as_yaml_reads_them() -> None:
    for value in (1e-8, 1.5e-7, 2e16, 0.1, 3, True, None, [1, 2.5], {"a": {"b": [1e-8]}}):
        assert yaml.safe_load(in_yaml(value)) == value


def test_every_method_of_brain_extraction_is_a_choice() -> None:
    assert get_args(BrainExtraction) == BRAIN_EXTRACTIONS
    assert set(BRAIN_EXTRACTION) == set(get_args(Cohort.model_fields["source"].annotation))


def test_no_job_needs_the_models() -> None:
    """Containers have what the scripts import; the settings are read by the main process."""
    for script in (ROOT / "scripts").glob("*.py"):
        read = [file for file in code_files(script) if "workflow/settings" in file.as_posix()]
        assert not read, f"{script.name} reads {read[0]}"


def test_ablations_cannot_take_the_place_of_a_folder() -> None:
    texts = [path.read_text() for path in (ROOT / "rules").glob("*.smk")]
    texts += [path.read_text() for path in (ROOT / "ldae" / "workflow").glob("*.py")]
    named = set(re.findall(r"(?:<results>/|results\(f?\")([a-z_]+)/", "\n".join(texts)))
    taken = {*FOLDERS, *(network.name for network in NETWORKS), *(m.name for m in METHODS)}
    assert named and named <= taken
