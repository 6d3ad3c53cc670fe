"""Errors before the first job: one line, and all faults of a cohort in a file."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.resources import Resources
from snakemake.settings.types import DeploymentMethod, ResourceSettings

from ldae.errors import CohortError, InputError
from ldae.packages import NEEDS_ANTS, PROGRAMS
from ldae.workflow.launch import (
    FAULTS,
    check_packages,
    check_scheduler,
    one_line_errors,
    share_requests,
)


def test_all_faults_of_a_cohort_are_written(tmp_path: Path) -> None:
    results = tmp_path / "results"
    config = {"pathvars": {"results": str(results)}}
    found = [InputError("participants.tsv", f"line {i} is wrong", "Correct it") for i in range(300)]
    with pytest.raises(SystemExit) as caught, one_line_errors(config):
        raise CohortError(tmp_path, found, "Correct them")
    message = str(caught.value)
    assert "300 faults" in message and "and 290 more" in message and "\n" not in message
    assert message.endswith(f"All of them are listed in {results / FAULTS}.")
    lines = (results / FAULTS).read_text().splitlines()
    assert len(lines) == 301
    assert lines[300].split("\t") == ["participants.tsv", "line 299 is wrong", "Correct it"]

    with one_line_errors(config):
        pass
    assert not (results / FAULTS).exists(), "there are none left"


@pytest.mark.parametrize("config", [{}, {"pathvars": 3}, {"pathvars": {"results": 3}}])
def test_an_error_is_one_line_whatever_the_settings_are(config: dict[str, object]) -> None:
    with pytest.raises(SystemExit, match=r"^Error: seed: it is wrong\. Correct it$"):
        with one_line_errors(config):
            raise InputError("seed", "it is wrong", "Correct it")


def test_faults_that_cannot_be_written_are_shown_in_part(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file is in the way")
    found = [InputError("a", "b", "c")] * 20
    config = {"pathvars": {"results": str(tmp_path / "results")}}
    with pytest.raises(SystemExit, match=r"20 faults.* and 10 more\. Correct them$"):
        with one_line_errors(config):
            raise CohortError("cohort", found, "Correct them")


@pytest.mark.parametrize("executor", ["slurm", "cluster-generic", "lsf", "kubernetes", "local"])
def test_commands_of_slurm_are_asked_of_slurm_only(
    executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    workflow = SimpleNamespace(executor_plugin=SimpleNamespace(name=executor))
    if executor != "slurm":
        check_scheduler(workflow, tmp_path)
        return
    with pytest.raises(InputError, match="sbatch and squeue and scancel cannot be found"):
        check_scheduler(workflow, tmp_path)


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({}, {}),
        ({"train_network": ["runtime=240"]}, {"runtime": 240}),
        ({"train_network": ["runtime=240", "gpu=4"], "train_followed": ["runtime=60"]},
         {"runtime": 60, "gpu": 4}),
        ({"train_followed": ["runtime=60"], "fit_probe": ["gpu=4"]}, {"runtime": 60}),
    ],
)  # fmt: skip
def test_a_line_for_a_training_holds_for_those_with_a_learning_curve(
    given: dict[str, list[str]], asked: dict[str, int]
) -> None:
    parsed = {name: Resources.parse(texts, allow_expressions=True) for name, texts in given.items()}
    threads = dict.fromkeys(given, 8)
    settings = ResourceSettings(overwrite_resources=parsed, overwrite_threads=threads)
    share_requests(SimpleNamespace(resource_settings=settings))
    found = settings._parsed_overwrite_resources.get("train_followed", {})
    assert {name: resource.value for name, resource in found.items()} == asked
    assert ("train_followed" in settings._parsed_overwrite_threads) is bool(asked)
    assert set(given) <= set(settings.overwrite_resources)


@pytest.mark.parametrize(("key", "value"), NEEDS_ANTS.items())
@pytest.mark.parametrize(
    ("method", "refused"),
    [
        (None, True),
        (DeploymentMethod.ENV_MODULES, True),
        (DeploymentMethod.CONDA, False),
        (DeploymentMethod.APPTAINER, False),
    ],
)
def test_ants_is_missed_before_the_first_job_unless_stages_have_environments(
    method: DeploymentMethod | None, refused: bool, key: str, value: str, no_ants: None
) -> None:
    methods = frozenset({method} if method else ())
    workflow = SimpleNamespace(deployment_settings=SimpleNamespace(deployment_method=methods))
    usual = {"registration": "affine", "bias_correction": True, "brain_extraction": "deepbet"}
    check_packages(workflow, {"preprocessing": usual})
    config = {"preprocessing": usual | {key: value}}
    if not refused:
        check_packages(workflow, config)
        return
    with pytest.raises(InputError, match=f"{key}: {value}: .*ANTs.*--software-deployment-method"):
        check_packages(workflow, config)


@pytest.mark.parametrize(("extraction", "command"), PROGRAMS.items())
@pytest.mark.parametrize(
    ("method", "nodes", "refused"),
    [
        (None, None, True),
        (DeploymentMethod.CONDA, None, True),
        (DeploymentMethod.APPTAINER, None, False),
        (None, 4, False),
    ],
)
def test_a_program_is_missed_before_the_first_job_where_jobs_run_here(
    monkeypatch: pytest.MonkeyPatch, method: DeploymentMethod | None, nodes: int | None,
    refused: bool, extraction: str, command: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("PATH", "/nowhere")
    workflow = SimpleNamespace(
        deployment_settings=SimpleNamespace(deployment_method={method} if method else set()),
        resource_settings=SimpleNamespace(nodes=nodes),
        remote_exec=False,
    )
    settings = {"registration": "affine", "bias_correction": True, "brain_extraction": extraction}
    if not refused:
        check_packages(workflow, {"preprocessing": settings})
        return
    with pytest.raises(InputError, match=f"{command} is not on the PATH.*make containers PROGRAMS"):
        check_packages(workflow, {"preprocessing": settings})


@pytest.fixture
def no_ants(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without ANTs, whatever this one has."""
    monkeypatch.setitem(sys.modules, "ants", None)
