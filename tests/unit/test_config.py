"""The settings: schema, defaults, and messages."""

import copy
from pathlib import Path

import pytest
import yaml

from ldae.errors import InputError
from ldae.methods import CODED, SECTIONS, changed_section, describe_change
from ldae.workflow.config import complete_config, leaves, load_schema

ROOT = Path(__file__).resolve().parents[2]
DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text())


def merged(*overlays: dict) -> dict:
    """Default settings with overlays merged in, as Snakemake does."""

    def merge(base: dict, overlay: dict) -> dict:
        for key, value in overlay.items():
            if isinstance(value, dict) and isinstance(base.get(key), dict):
                merge(base[key], value)
            else:
                base[key] = value
        return base

    config = copy.deepcopy(DEFAULT)
    for overlay in overlays:
        merge(config, copy.deepcopy(overlay))
    return config


def schema_objects(schema: dict, path: str = ""):
    """Every object of the schema with its path."""
    if schema.get("type") == "object":
        yield path, schema
        for key, part in schema["properties"].items():
            yield from schema_objects(part, f"{path}.{key}")


NAMED = {".ablations"}
"""Objects whose keys are names; their values are checked by the code."""


def test_defaults_in_schema_equal_config_file():
    assert complete_config({}) == DEFAULT


def test_completing_changes_nothing_in_a_complete_config():
    assert complete_config(DEFAULT) == DEFAULT


def test_schema_is_closed_and_described():
    for path, part in schema_objects(load_schema()):
        assert (part["additionalProperties"] is False) != (path in NAMED), path
        for key, value in part["properties"].items():
            assert value.get("description"), f"{path}.{key}"
            assert value.get("type") == "object" or "default" in value, f"{path}.{key}"


@pytest.mark.parametrize("study", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda p: p.stem)
def test_studies_are_valid(study):
    config = merged(yaml.safe_load(study.read_text()), {"bids_folder": "data"})
    assert complete_config(config)["study"] == study.stem


def test_adni_has_the_papers_sizes():
    config = merged(yaml.safe_load((ROOT / "studies/adni.yaml").read_text()), {"bids_folder": "x"})
    assert config["grid"] == {"spacing_mm": 1.5, "shape": [128, 160, 128]}
    autoencoder, prior, encoder = config["autoencoder"], config["prior"], config["encoder"]
    assert autoencoder["channels"] == [64, 128, 128, 128] and autoencoder["latent_channels"] == 3
    assert (autoencoder["kl_weight"], autoencoder["perceptual_weight"]) == (1e-7, 1e-3)
    assert (autoencoder["adversarial_weight"], autoencoder["n_epochs"]) == (0.025, 100)
    assert prior["channels"] == [256, 512, 768] and prior["n_res_blocks"] == 2
    assert (prior["batch_size"], prior["n_epochs"], prior["learning_rate"]) == (128, 500, 2.5e-5)
    assert encoder["depths"] == [3, 3, 27, 3] and encoder["dim_y"] == 768
    assert (config["ldae"]["batch_size"], config["ldae"]["n_epochs"]) == (32, 400)
    assert config["ldae"]["snr_gamma"] == 0.1


def ablation(name: str, section: str, change: dict) -> dict:
    """Settings with one ablation of the LDAE."""
    return {"ablations": {name: {"network": "ldae", "change": {section: change}}}}


def test_an_ablation_shares_every_other_setting():
    config = complete_config(merged(ablation("ldae_small", "encoder", {"dim_y": 4})))
    changed = changed_section(config, "ldae_small", "encoder")
    assert changed == config["encoder"] | {"dim_y": 4}
    assert changed_section(config, "ldae_small", "ldae") == config["ldae"]
    assert changed_section(config, "ldae", "encoder") == config["encoder"]
    assert describe_change(config, "ldae_small") == "encoder.dim_y 96 → 4"


def test_networks_that_may_be_ablated_are_those_with_codes():
    schema = load_schema()["properties"]["ablations"]["additionalProperties"]
    assert tuple(schema["properties"]["network"]["enum"]) == CODED
    assert {s for sections in SECTIONS.values() for s in sections} <= set(DEFAULT)


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        ({"prior": {"n_step": 3}}, ["prior.n_step", "n_steps", "mine.yaml"]),
        ({"prior": {"dropout": 1.5}}, ["prior.dropout", "1.5", "mine.yaml"]),
        ({"training_seeds": [1, 1]}, ["training_seeds", "non-unique", "mine.yaml"]),
        ({"training_seeds": []}, ["training_seeds", "mine.yaml"]),
        (ablation("ldae_small", "encoder", {"dimy": 4}), ["encoder.dimy", "Did you mean dim_y"]),
        (
            ablation("ldae_small", "encoder", {"dim_y": 0}),
            ["ablations.ldae_small.change", "encoder.dim_y", "mine.yaml"],
        ),
        (ablation("ldae_small", "encoder", {"dim_y": 96}), ["ldae_small", "changes nothing"]),
        (ablation("ldae_x", "voxel_dae", {"patch_size": 4}), ["ldae_x", "ldae, encoder, prior"]),
        (ablation("ldae_x", "ldae", {"n_epochs": 4}), ["ldae.n_steps", "given twice"]),
        (ablation("small", "encoder", {"dim_y": 4}), ["small", "begin with ldae_"]),
        (ablation("ldae_semantic", "encoder", {"dim_y": 4}), ["ldae_semantic", "taken"]),
        (ablation("ldae_multistep", "encoder", {"dim_y": 4}), ["ldae_multistep", "taken"]),
        ({"seed": "7"}, ["seed", "integer", "mine.yaml"]),
        ({"grid": {"shape": [40, 48]}}, ["grid.shape", "mine.yaml"]),
        ({"grid": {"shape": [40, 48, 42]}}, ["grid.shape", "42", "multiple"]),
        (
            {
                "grid": {"shape": [40, 48, 40]},
                "prior": {"channels": [48, 48], "attention_levels": [False, True]},
            },
            ["grid.shape", "prior's reduction 16"],
        ),
        ({"voxel_dae": {"patch_size": 3}}, ["grid.shape", "40", "voxel DAE's reduction 6"]),
        (
            {"autoencoder": {"discriminator_patch_size": 3}},
            ["grid.shape", "discriminator's patch size 3"],
        ),
        (
            {"autoencoder": {"discriminator_channels": 12}},
            ["discriminator_channels", "multiple of 8"],
        ),
        ({"encoder": {"slab": 3}}, ["grid.shape", "40", "encoder.slab 3"]),
        ({"encoder": {"n_heads": 5}}, ["encoder.dim_y", "96", "encoder.n_heads 5"]),
        ({"encoder": {"depths": [1, 1, 1]}}, ["encoder.widths", "as long as encoder.depths"]),
        (
            {"encoder": {"backbone": "volume", "window": 20, "stride": 20, "channels": [8, 8, 8]}},
            ["encoder.channels", "3 levels", "2 windows"],
        ),
        (
            {"encoder": {"backbone": "volume", "stride": 13}},
            ["encoder.stride", "gaps", "encoder.window"],
        ),
        (
            {"encoder": {"backbone": "volume", "pretrained": "w.safetensors"}},
            ["encoder.pretrained", "backbone of slices"],
        ),
        ({"prior": {"norm_groups": 5}}, ["prior.channels", "48", "prior.norm_groups 5"]),
        ({"prior": {"attention_levels": [True, True]}}, ["prior.attention_levels", "as long as"]),
        ({"split": {"train": 0.9}}, ["split", "1.2"]),
        ({"cohort": {"source": "bids"}}, ["bids_folder"]),
        ({"ldae": {"n_epochs": 5}}, ["ldae", "n_steps", "n_epochs"]),
        ({"ldae": {"n_steps": None}}, ["ldae", "no length of training"]),
        ({"cohort": {"simulated": {"shares": {"AD": 0.9}}}}, ["cohort.simulated.shares"]),
    ],
)
def test_mistakes_are_explained_in_one_line(tmp_path, overlay, words):
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump(overlay))
    with pytest.raises(InputError) as caught:
        complete_config(merged(overlay), [ROOT / "config.yaml", mine])
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_value_from_the_command_line_is_not_blamed_on_a_file():
    with pytest.raises(InputError, match="command line: seed"):
        complete_config(merged({"seed": "x"}), [ROOT / "config.yaml"])


def test_leaves_are_all_values():
    assert set(leaves({"a": 1, "b": {"c": [2], "d": {}}})) == {("a",), ("b", "c"), ("b", "d")}
