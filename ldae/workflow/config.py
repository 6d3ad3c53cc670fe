"""The study's settings: closed schema, defaults, and one clear message for each mistake."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from ldae.errors import InputError
from ldae.methods import METHODS, NETWORKS, study_networks
from ldae.paths import SCHEMAS

Config = dict[str, Any]

SCHEMA = SCHEMAS / "config.schema.yaml"

# Sections whose training length is given as steps or as epochs.
TRAINING_SECTIONS = ("autoencoder", *(n.name for n in NETWORKS if n.name in n.sections))

# Sections of the diffusion U-Nets.
UNETS = ("prior", "ldae_joint", "voxel_dae")
# Lists with one entry for each level or stage of a network.
SAME_LENGTH = (
    *(((name, "attention_levels"), (name, "channels")) for name in UNETS),
    (("encoder", "widths"), ("encoder", "depths")),
)


def load_schema(path: Path = SCHEMA) -> Config:
    """JSON schema of the settings, as nested dictionaries."""
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def complete_config(config: Config, files: Sequence[Path] = ()) -> Config:
    """Settings with every missing key filled from the schema's defaults, checked.

    Parameters
    ----------
    config
        Merged settings as Snakemake read them; not changed.
    files
        The files they came from, in the order of reading; used to name the file at fault.

    Raises
    ------
    InputError
        If a key is unknown, a value has the wrong type or is out of range, or two settings
        contradict each other. The message names the key, the file and the remedy.
    """
    schema = load_schema()
    completed = _with_defaults(copy.deepcopy(config), schema)
    _check(completed, config, schema, files)
    for name in completed["ablations"]:
        _check_ablation(name, completed, schema, files)
    return completed


def _check(completed: Config, given: Config, schema: Config, files: Sequence[Path]) -> None:
    """Check complete settings against the schema and each other; `given` are those of the files."""
    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(completed), key=_order)
    if errors:
        raise _explain(errors[0], given, files)
    _check_consistency(completed, files)


def _check_ablation(name: str, config: Config, schema: Config, files: Sequence[Path]) -> None:
    """Check the name of an ablation, and its changed settings as if they were the study's."""
    network, change = config["ablations"][name]["network"], config["ablations"][name]["change"]
    source = _source(("ablations", name), config, files)
    where = f"ablations.{name}"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        remedy = "Use lower-case letters, digits and underscores"
        raise InputError(source, f"{where}: this is no name for an ablation", remedy)
    networks = study_networks(config)
    if name in networks or name in {method.name for method in METHODS}:
        raise InputError(source, f"{where}: the name is taken", "Choose another")
    below = networks[network].stands_on
    changeable = networks[network].changeable + (networks[below].changeable if below else ())
    unknown = [section for section in change if section not in changeable]
    if unknown:
        remedy = f"Change one of {', '.join(changeable)}"
        raise InputError(source, f"{where}: {network} is not trained with {unknown[0]}", remedy)
    changed = {s: {**config[s], **change[s]} for s in change}
    if all(config[section] == settings for section, settings in changed.items()):
        raise InputError(
            source, f"{where}: it changes nothing", "Give another value, or take it out"
        )
    try:
        _check({**config, **changed}, config, schema, [])
    except InputError as error:
        raise InputError(source, f"{where}.change: {error.problem}", error.remedy) from error


def leaves(config: Config, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all values that are not themselves non-empty sections."""
    for key, value in config.items():
        path = (*prefix, str(key))
        if isinstance(value, dict) and value:
            yield from leaves(value, path)
        else:
            yield path


def _with_defaults(value: Any, schema: Config) -> Any:
    """`value` with the defaults of `schema` put where a key is missing."""
    if not isinstance(value, dict):
        return value
    for key, part in schema.get("properties", {}).items():
        if key not in value:
            if "default" in part:
                value[key] = copy.deepcopy(part["default"])
            elif part.get("type") == "object":
                value[key] = {}
        if key in value:
            value[key] = _with_defaults(value[key], part)
    return value


def _order(error: jsonschema.ValidationError) -> tuple[int, str]:
    """Unknown keys first: a misspelt key explains the value that is then missing."""
    return (error.validator != "additionalProperties", error.json_path)


def _explain(
    error: jsonschema.ValidationError, config: Config, files: Sequence[Path]
) -> InputError:
    """One message for the first error that the schema found."""
    schema: Config = dict(error.schema) if isinstance(error.schema, dict) else {}
    instance: Any = error.instance
    path = tuple(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties":
        known = list(schema.get("properties", {}))
        unknown = next(key for key in instance if key not in known)
        path = (*path, str(unknown))
        near = difflib.get_close_matches(str(unknown), known, n=1)
        remedy = f"Did you mean {near[0]}?" if near else f"Known keys here: {', '.join(known)}"
        return InputError(_source(path, config, files), f"unknown key {'.'.join(path)}", remedy)
    description = str(schema.get("description", "")).rstrip(".")
    remedy = f"Its meaning: {description}" if description else "See schemas/config.schema.yaml"
    problem = f"{'.'.join(path) or 'settings'}: {_shorten(error.message)}"
    if isinstance(instance, str) and error.validator == "type":
        remedy += ". Nested values given by --config are text: use a file with --configfile"
    return InputError(_source(path, config, files), problem, remedy)


def _shorten(message: str, limit: int = 160) -> str:
    message = " ".join(message.split())
    return message if len(message) <= limit else message[: limit - 1] + "…"


def _source(path: Sequence[str], config: Config, files: Sequence[Path]) -> str:
    """Name of the last file that sets `path` to its present value, else the command line."""
    value = _at(config, path)
    for file in reversed(files):
        if _at(yaml.safe_load(Path(file).read_text(encoding="utf-8")), path) == value:
            return str(file)
    return "command line"


def _at(node: Any, path: Sequence[str]) -> Any:
    """Value at `path`, or None where the path leads nowhere."""
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _check_consistency(config: Config, files: Sequence[Path]) -> None:
    """Checks that involve more than one key.

    Raises
    ------
    InputError
        At the first contradiction.
    """

    def fail(path: tuple[str, ...], problem: str, remedy: str) -> None:
        raise InputError(_source(path, config, files), f"{'.'.join(path)}: {problem}", remedy)

    total = sum(config["split"].values())
    if abs(total - 1.0) > 1e-6:
        fail(("split",), f"the shares add up to {total:g}", "Make train + val + test = 1")
    if config["cohort"]["source"] == "bids" and not config["bids_folder"]:
        fail(
            ("bids_folder",),
            "no folder is given for a cohort from BIDS",
            "Add --config bids_folder=FOLDER to the command",
        )
    shares = config["cohort"]["simulated"]["shares"]
    if config["cohort"]["source"] == "simulated" and abs(sum(shares.values()) - 1.0) > 1e-6:
        fail(
            ("cohort", "simulated", "shares"),
            f"the shares add up to {sum(shares.values()):g}",
            "Make them add up to 1",
        )
    for section in TRAINING_SECTIONS:
        given = [key for key in ("n_steps", "n_epochs") if config[section][key] is not None]
        if len(given) != 1:
            fail(
                (section, "n_steps"),
                "the length of training is given twice" if given else "no length of training",
                "Give one of n_steps and n_epochs, and set the other to null",
            )
    for name, factor in _reductions(config).items():
        for size in config["grid"]["shape"]:
            if size % factor:
                fail(
                    ("grid", "shape"),
                    f"{size} is not a multiple of the {name} {factor}",
                    f"Choose multiples of {factor}",
                )
    for path, sizes, factor, name in _divided(config):
        for size in sizes:
            if size % factor:
                fail(path, f"{size} is not a multiple of {name} {factor}", f"Change it or {name}")
    for first, second in SAME_LENGTH:
        if len(config[first[0]][first[1]]) != len(config[second[0]][second[1]]):
            fail(first, f"it is not as long as {'.'.join(second)}", "Give one entry per level")
    for path, problem, remedy in _volume_encoder_faults(config):
        fail(path, problem, remedy)


def _volume_encoder_faults(config: Config) -> Iterator[tuple[tuple[str, str], str, str]]:
    """What a 3-D encoder cannot be built with: path, problem and remedy."""
    encoder = config["encoder"]
    if encoder["backbone"] != "volume":
        return
    if encoder["stride"] > encoder["window"]:
        yield ("encoder", "stride"), "windows leave gaps between them", "At most encoder.window"
    windows = -(-min(config["grid"]["shape"]) // encoder["stride"])
    levels = len(encoder["channels"])
    if windows < 2 ** (levels - 1):
        yield (
            ("encoder", "channels"),
            f"{levels} levels are too many for {windows} windows along an axis",
            "Take fewer levels, or a smaller encoder.stride",
        )
    if encoder["pretrained"] is not None:
        yield (
            ("encoder", "pretrained"),
            "ImageNet's weights are for the backbone of slices",
            "Set it to null, or encoder.backbone to slices",
        )


def _reductions(config: Config) -> dict[str, int]:
    """By how much each network shrinks an axis of the grid: every axis must be a multiple of it."""

    def levels(section: str) -> int:
        return int(2 ** (len(config[section]["channels"]) - 1))

    latent = config["autoencoder"]["patch_size"] * levels("autoencoder")
    return {
        "autoencoder's reduction": latent,
        "discriminator's patch size": config["autoencoder"]["discriminator_patch_size"],
        "prior's reduction": latent * levels("prior"),
        "joint LDAE's reduction": latent * levels("ldae_joint"),
        "voxel DAE's reduction": config["voxel_dae"]["patch_size"] * levels("voxel_dae"),
        "residual's patch size": config["residual"]["patch_size"],
    }


def _divided(config: Config) -> Iterator[tuple[tuple[str, str], list[int], int, str]]:
    """Settings that another one divides: path, values, divisor, and the divisor's name."""
    encoder = config["encoder"]
    yield ("grid", "shape"), config["grid"]["shape"][2:], encoder["slab"], "encoder.slab"
    yield ("encoder", "dim_y"), [encoder["dim_y"]], encoder["n_heads"], "encoder.n_heads"
    for section in ("autoencoder", *UNETS):
        widths, groups = config[section]["channels"], config[section]["norm_groups"]
        yield (section, "channels"), widths, groups, f"{section}.norm_groups"
