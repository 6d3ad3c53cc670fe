"""The study's settings: completed with defaults, checked, and one clear message for a mistake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ldae.errors import InputError
from ldae.methods import study_networks
from ldae.paths import WORKFLOW
from ldae.workflow.settings.ablations import find_ablation_faults
from ldae.workflow.settings.checks import Fault, find_faults
from ldae.workflow.settings.cohort import BRAIN_EXTRACTION
from ldae.workflow.settings.curves import find_curve_faults
from ldae.workflow.settings.faults import explain
from ldae.workflow.settings.files import LOADER, read_nodes, read_texts, source_of, spell
from ldae.workflow.settings.study import StudySettings, study_model

Config = dict[str, Any]


def complete_config(config: Config, files: Sequence[Path] = ()) -> Config:
    """Settings with every missing key filled with its default, checked.

    Parameters
    ----------
    config
        Merged settings as Snakemake read them; not changed.
    files
        The files they came from, in the order of reading; used to name the file at fault.

    Returns
    -------
    dict
        Nested dictionaries, lists, texts and numbers. A number that need not be whole is a float,
        however it was written: 4 and 4.0 are one setting.

    Raises
    ------
    InputError
        If a key is unknown, a value has the wrong type or is out of range, or two settings
        contradict each other. The message names the key, the file and its line, and the remedy.
    """
    for file in files:
        read_nodes(file)
    model = study_model(_sections_of_plugins(config))
    schema = model.model_json_schema()

    def check(settings: Config) -> Config:
        """`settings` completed; those of an ablation are its study's with a change."""
        try:
            study = model.model_validate(read_texts(settings, schema))
        except ValidationError as error:
            raise explain(error, model, config, files) from error
        for fault in find_faults(study):
            raise _input_error(fault, config, files)
        completed = study.model_dump()
        preprocessing = completed["preprocessing"]
        if preprocessing["brain_extraction"] == "auto":
            preprocessing["brain_extraction"] = BRAIN_EXTRACTION[study.cohort.source]
        return completed

    completed = check(config)
    for fault in chain(find_ablation_faults(completed, check), find_curve_faults(completed)):
        raise _input_error(fault, config, files)
    return completed


def _sections_of_plugins(config: Config) -> list[str]:
    """Sections that networks from outside this package bring; none if `plugins` is no list."""
    named = config.get("plugins", [])
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        return []
    networks = study_networks({"plugins": named}).values()
    sections = dict.fromkeys(section for network in networks for section in network.sections)
    return [section for section in sections if section not in StudySettings.model_fields]


def _input_error(fault: Fault, config: Config, files: Sequence[Path]) -> InputError:
    source = source_of(fault.path, config, files)
    return InputError(source, f"{spell(fault.path)}: {fault.problem}", fault.remedy)


@cache
def defaults() -> Config:
    """Settings of the default study, as ``config.yaml`` has them; not to be changed."""
    found: Config = _load((WORKFLOW / "config.yaml").read_text(encoding="utf-8"))
    return found


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Config:
    """Settings over others, as Snakemake merges files of settings; sections are merged."""
    both = {k: merged(below[k], above[k]) for k in above if isinstance(below.get(k), Mapping)}
    return {**below, **above, **both}


def read_study(files: Sequence[Path], settings: Sequence[str] = ()) -> Config:
    """Complete settings of a study, without Snakemake.

    Parameters
    ----------
    files
        Files of settings, merged over the default study in this order.
    settings
        Single settings at the top level, as ``key=value``.

    Raises
    ------
    InputError
        As :func:`complete_config`, and if a setting has no value.
    """
    config = defaults()
    for file in files:
        read_nodes(file)
        config = merged(config, _load(file.read_text(encoding="utf-8")) or {})
    for setting in settings:
        key, sign, value = setting.partition("=")
        if not sign:
            raise InputError(f"--config {setting}", "it has no value", "Write key=value")
        config = merged(config, {key: _load(value)})
    return complete_config(config, files)


def _load(text: str) -> Any:
    return yaml.load(text, LOADER)  # noqa: S506  a safe loader


def leaves(config: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all values that are not themselves non-empty sections."""
    for key, value in config.items():
        path = (*prefix, str(key))
        if isinstance(value, dict) and value:
            yield from leaves(value, path)
        else:
            yield path
