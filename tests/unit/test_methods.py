"""The registry of methods: what it says, what ablations and plugins add to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ldae.errors import InputError
from ldae.methods import (
    METHODS,
    NETWORKS,
    Codes,
    Look,
    Method,
    Methods,
    Role,
    Space,
    describe_change,
    study_methods,
    study_variants,
)
from ldae.references import resolve
from ldae.workflow.config import complete_config

STUDY = Methods(METHODS)
CONFIG: dict[str, Any] = {
    "plugins": [],
    "ablations": {},
    "encoder": {"dim_y": 96},
    "prior": {"dropout": 0.1},
    "ldae": {},
    "diffusion": {"n_timesteps": 1000},
}
ABLATIONS = {
    "small_code": {"network": "ldae", "change": {"encoder": {"dim_y": 16}}},
    "plain_prior": {"network": "ldae", "change": {"prior": {"dropout": 0.0}}},
    "untrained_small": {"network": "untrained", "change": {"encoder": {"dim_y": 16}}},
}

PLUGIN = """
from ldae.methods import Codes, Look, Method, Network, Role

NETWORKS = (Network("mine", ("encoder",), Look("mine"), train=f"{__file__}:train"),)
METHODS = (Method("mine", Role.MODEL, Look("mine, best"), network="mine", codes=Codes.SEEDED),)


def train(data, sections, job):
    return "trained"
"""


def test_plain_data_and_back() -> None:
    again = Methods.from_params(STUDY.as_params())
    assert list(again.values()) == list(STUDY.values())
    assert again["voxel_dae"].space is Space.VOXEL and again["ldae"].codes is Codes.SEEDED
    plain = STUDY.as_params(looks=False)
    assert not any("look" in one for one in plain)
    unseen = {n: replace(m, look=Look(n)) for n, m in STUDY.items()}
    assert dict(Methods.from_params(plain)) == unseen


def test_a_name_is_given_once() -> None:
    with pytest.raises(InputError, match="the name is taken"):
        Methods([*METHODS, Method("ldae", Role.BASELINE, Look("another"))])


def test_parts_and_trivial_answers_are_no_models() -> None:
    assert not set(STUDY.select(Role.MODEL)) & set(STUDY.select(Role.PART, Role.TRIVIAL))
    for part in STUDY.select(Role.PART).values():
        assert STUDY[str(part.part_of)].network == part.network
    diffusing = STUDY.models("reconstruction")
    assert "ldae_multistep" in diffusing and "ldae_semantic" not in diffusing
    assert "autoencoder" not in diffusing and "nearest_visit" not in STUDY.models("interpolation")


def test_an_ablation_is_what_its_network_is() -> None:
    methods = study_methods(CONFIG | {"ablations": ABLATIONS})
    small, untrained = methods["small_code"], methods["untrained_small"]
    assert small.role is Role.MODEL and untrained.role is Role.BASELINE
    assert small.ablation_of == "ldae" and small.codes is Codes.SEEDED
    assert not small.evaluations, "only the probes see an ablation"
    assert methods.label("untrained_small") == "untrained encoder, small"
    config = CONFIG | {"ablations": ABLATIONS}
    assert describe_change(config, "small_code") == "encoder.dim_y 96 → 16"


def test_an_ablation_of_what_a_network_stands_on_gets_its_own() -> None:
    config = CONFIG | {"ablations": ABLATIONS}
    variants = study_variants(config)
    assert variants["ldae"].stands_on == variants["small_code"].stands_on == "prior"
    below = variants[str(variants["plain_prior"].stands_on)]
    assert below.network.name == "prior" and below.settings(config)["prior"] == {"dropout": 0.0}
    assert variants["prior"].settings(config)["prior"] == {"dropout": 0.1}
    assert variants["small_code"].settings(config)["encoder"] == {"dim_y": 16}
    assert variants["plain_prior"].settings(config)["encoder"] == {"dim_y": 96}


def test_methods_of_ones_own_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    config = CONFIG | {"plugins": [str(path)]}
    methods, variants = study_methods(config), study_variants(config)
    assert methods.label("mine") == "mine, best" and "mine" in methods.coded(Codes.SEEDED)
    assert resolve(variants["mine"].network.train)(None, {}, None) == "trained"
    assert list(methods)[:-1] == list(study_methods(CONFIG))


@pytest.mark.parametrize("name", ["nowhere.methods", "nowhere.py"])
def test_a_plugin_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(InputError, match="cannot be imported"):
        study_methods(CONFIG | {"plugins": [name]})


def test_a_reference_to_nothing_is_named() -> None:
    with pytest.raises(InputError, match="has no nothing"):
        resolve("ldae.methods:nothing")


def test_what_is_not_registered_is_drawn_under_its_own_name() -> None:
    assert STUDY.label("some_new_thing") == "some new thing"
    assert {network.name for network in NETWORKS if network.look is None} == {"untrained"}


def test_harmonised_codes_are_methods_that_claim_nothing() -> None:
    """One for every method with codes but the truth and ablations, beside the method itself."""
    ablations = {"small": {"network": "ldae", "change": {"encoder": {"dim_y": 8}}}}
    given = complete_config({"probes": {"harmonise": ["combat"]}, "ablations": ablations})
    methods = study_methods(given)
    harmonised = methods.select(Role.HARMONISED)
    expected = {m.name for m in methods.coded().values() if m.harmonises is None}
    assert {m.harmonises for m in harmonised.values()} == expected - {"true_volumes", "small"}
    ours, base = methods["voxel_pca_combat"], methods["voxel_pca"]
    assert (ours.codes, ours.needs, ours.network) == (base.codes, base.needs, None)
    assert ours.look.label == "voxel PCA, ComBat" and not ours.evaluations
    assert not study_methods(complete_config({})).select(Role.HARMONISED)
    assert Methods.from_params(methods.as_params())["ldae_combat"] == methods["ldae_combat"]
