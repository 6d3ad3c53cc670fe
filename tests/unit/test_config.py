"""The settings: defaults, checks across sections, and messages."""

import copy
import importlib.util
from pathlib import Path

import pytest
import yaml

from ldae.errors import InputError
from ldae.methods import describe_change, study_methods, study_variants
from ldae.workflow.config import complete_config, leaves

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


def test_defaults_are_those_of_the_config_file():
    assert complete_config({}) == complete_config(DEFAULT)
    chosen = {"preprocessing": {"brain_extraction": "template"}}
    assert complete_config({}) == merged(chosen), "nothing but auto is replaced"


def test_completing_changes_nothing_in_a_complete_config():
    complete = complete_config(DEFAULT)
    assert complete_config(complete) == complete


@pytest.mark.parametrize(
    ("cohort", "given", "expected"),
    [
        ("simulated", "auto", "template"),
        ("bids", "auto", "deepbet"),
        ("bids", "template", "template"),
        ("simulated", "deepbet", "deepbet"),
    ],
)
def test_real_heads_get_the_better_brain_extraction(cohort, given, expected):
    settings = {
        "cohort": {"source": cohort},
        "preprocessing": {"brain_extraction": given},
        "bids_folder": "data" if cohort == "bids" else None,
    }
    assert complete_config(settings)["preprocessing"]["brain_extraction"] == expected


def test_a_number_is_the_same_setting_however_it_is_written():
    whole, broken = ({"grid": {"spacing_mm": value}} for value in (4, 4.0))
    found = [complete_config(merged(o))["grid"]["spacing_mm"] for o in (whole, broken)]
    assert [type(value) for value in found] == [float, float]


def test_the_given_config_is_not_changed():
    given = {"prior": {"n_steps": 3}}
    complete_config(given)
    assert given == {"prior": {"n_steps": 3}}


@pytest.mark.parametrize("study", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda p: p.stem)
def test_studies_are_valid(study):
    overlay = yaml.safe_load(study.read_text())
    real = overlay.get("cohort", {}).get("source") == "bids"
    config = merged(overlay, {"bids_folder": "data" if real else None})
    assert complete_config(config, [ROOT / "config.yaml", study])["study"] == study.stem


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


def ablation(name: str, section: str, change: dict, network: str = "ldae") -> dict:
    """Settings with one ablation."""
    return {"ablations": {name: {"network": network, "change": {section: change}}}}


def test_an_ablation_shares_every_other_setting():
    config = complete_config(merged(ablation("short_code", "encoder", {"dim_y": 4})))
    variants = study_variants(config)
    assert variants["short_code"].settings(config) == variants["ldae"].settings(config) | {
        "encoder": config["encoder"] | {"dim_y": 4}
    }
    assert config["ablations"]["short_code"]["label"] is None
    assert describe_change(config, "short_code") == "encoder.dim_y 96 → 4"


def test_an_ablation_may_have_a_label():
    overlay = ablation("short_code", "encoder", {"dim_y": 4})
    assert study_methods(complete_config(merged(overlay))).label("short_code") == "LDAE, short code"
    overlay["ablations"]["short_code"]["label"] = "16 entries"
    assert study_methods(complete_config(merged(overlay))).label("short_code") == "16 entries"


def test_an_ablation_may_change_what_its_network_stands_on():
    config = complete_config(merged(ablation("noise", "prior", {"v_prediction": False})))
    assert study_variants(config)["noise"].stands_on == "prior_of_noise"


BIDS = {"cohort": {"source": "bids"}, "bids_folder": "data/adni"}

MISTAKES = {
    "unknown key": ({"prior": {"n_step": 3}}, "line 2: unknown key prior.n_step. Did you mean n_s"),
    "unknown section": ({"priors": {}}, "line 1: unknown key priors. Did you mean prior?"),
    "unknown key, nothing near": ({"grid": {"xyzzy": 3}}, "Keys of grid: spacing_mm, shape"),
    "out of range": (
        {"prior": {"dropout": 1.5}},
        "line 2: prior.dropout is 1.5 and must be a number: at least 0 and below 1. Its meaning: "
        "Dropout in the residual blocks",
    ),
    "choice": (
        {"preprocessing": {"brain_extraction": "deepbett"}},
        "must be one of auto, template, deepbet, precomputed, synthstrip, hdbet. "
        "Did you mean deepbet?",
    ),
    "wrong type": (
        {"cohort": {"public": "yes"}}, "line 2: cohort.public is 'yes' and must be true or false"
    ),
    "nothing": ({"prior": {"learning_rate": None}}, "prior.learning_rate is null and must be a"),
    "quoted number": (
        {"prior": {"learning_rate": "0.0000001"}},
        "line 2: prior.learning_rate: '0.0000001' is text, and must be a number: above 0. Write "
        "1.0e-07, without quotes",
    ),
    "quoted whole number": (
        {"seed": "7"}, "seed: '7' is text, and must be a whole number: 0 to 4294967295. Write 7, "
    ),
    "exponent out of range": ({"prior": {"dropout": "2e1"}}, "prior.dropout is 20.0 and must be"),
    "exponent of a count": ({"prior": {"n_steps": "5e-1"}}, "prior.n_steps is 0.5 and must be"),
    "no whole number": ({"prior": {"n_steps": 1000.0}}, "prior.n_steps is 1000.0 and must be"),
    "one for true": ({"prior": {"v_prediction": 1}}, "prior.v_prediction is 1 and must be true"),
    "not a section": ({"split": 3}, "split is 3 and must be a section"),
    "twice": ({"training_seeds": [1, 1]}, "training_seeds: 1 stands there twice. Give every value"),
    "empty list": ({"training_seeds": []}, "training_seeds is [] and must be a list of whole numb"),
    "short list": ({"grid": {"shape": [40, 48]}}, "must be a list of 3 whole numbers: each at le"),
    "item of a list": (
        {"grid": {"shape": [40, 48, 4.5]}},
        "line 5: grid.shape[2] is 4.5 and must be a whole number: at least 8. Its meaning: Number",
    ),
    "seed beyond NumPy's": ({"seed": 2**33}, "seed is 8589934592 and must be a whole number: 0 to"),
    "reversed limits": (
        {"quality": {"brain_volume_ml": [2200, 800]}},
        "line 2: quality.brain_volume_ml: the lower limit 2200 is not below the upper limit 800. "
        "Write [800, 2200]",
    ),
    "reversed percentiles": (
        {"preprocessing": {"intensity_percentiles": [99.5, 0.5]}}, "Write [0.5, 99.5]",
    ),
    "falling months": ({"cohort": {"simulated": {"months": [6, 12]}}}, "months do not rise from 0"),
    "falling schedule": ({"diffusion": {"beta_start": 0.1}}, "0.1 is above diffusion.beta_end"),
    "more steps than timesteps": (
        {"diffusion": {"n_timesteps": 20}},
        "evaluation.reconstruction.steps: 50 steps are more than diffusion.n_timesteps 20",
    ),
    "multiple": ({"autoencoder": {"discriminator_channels": 12}}, "at least 8, a multiple of 8"),
    "field of a mask": (
        {"preprocessing": {"mask_pattern": "masks/{subjct}/{scan}.nii.gz"}},
        "preprocessing.mask_pattern: there is no field {subjct}. Use {subject}, {session}, {scan}",
    ),
    "one mask for all": (
        {"quality": {"reference_masks": "mask.nii.gz"}}, "it names the same file for every scan"
    ),
    "open brace": ({"quality": {"reference_masks": "{scan"}}, "its braces do not match"),
    "no masks": (
        {"preprocessing": {"brain_extraction": "precomputed"}},
        "line 2: preprocessing.brain_extraction: precomputed needs the path of the masks, and "
        "mask_pattern is null. Give preprocessing.mask_pattern, for example",
    ),
    "no cohort": ({"cohort": {"source": "bids"}}, "bids_folder: no folder is given"),
    "results among the scans": (
        {**BIDS, "pathvars": {"results": "data/adni/results"}},
        "pathvars.results: the results would lie inside the cohort's folder. Choose a folder "
        "outside it, or one below its derivatives/",
    ),
    "results in the workflow": (
        {"pathvars": {"results": str(ROOT / "rules/mine")}},
        "line 2: pathvars.results: the results would lie among the workflow's own files in",
    ),
    "results in place of the workflow": (
        {"pathvars": {"results": str(ROOT)}}, "Choose another folder, such as results/mine"
    ),
    "results at home": (
        {"pathvars": {"results": "~/mine"}}, f"Write the whole path: {Path.home()}/mine"
    ),
    "a folder that is not read": (
        {"bids_folder": "data/adni"},
        "line 1: bids_folder: data/adni is named, but cohort.source is simulated: it would not be "
        "read. Add the settings of a study of real scans (--configfile studies/adni.yaml, or",
    ),
    "a folder that is no text": ({**BIDS, "bids_folder": True}, "bids_folder is true and must be"),
    "one word for both groups": (
        {"cohort": {"diagnoses": {"patient": "CN"}}}, "patients and controls are both called CN"
    ),
    "synonym of a group": (
        {"cohort": {"values": {"diagnosis": {"AD": "CN"}}}},
        "cohort.values.diagnosis.AD: AD is itself the diagnosis of a group",
    ),
    "YAML's no": (
        {"cohort": {"values": {"diagnosis": {False: "CN"}}}}, "Put it in quotes: YAML reads it"
    ),
    "shares": ({"split": {"train": 0.9}}, "split: the shares add up to 1.2. Make train + val + "),
    "simulated shares": (
        {"cohort": {"simulated": {"shares": {"AD": 0.9}}}}, "cohort.simulated.shares: the shares"
    ),
    "two lengths": ({"ldae": {"n_epochs": 5}}, "ldae.n_steps: the length of training is given twi"),
    "no length": ({"ldae": {"n_steps": None}}, "ldae.n_steps: no length of training. Give one of"),
    "grid": ({"grid": {"shape": [40, 48, 42]}}, "grid.shape: 42 is not a multiple of the autoenc"),
    "grid, prior": (
        {"prior": {"channels": [16, 16, 32], "attention_levels": [False, False, True]}},
        "not a multiple of the prior's reduction 16",
    ),
    "grid, voxel DAE": ({"voxel_dae": {"patch_size": 3}}, "voxel dae's reduction 6"),
    "grid, discriminator": (
        {"autoencoder": {"discriminator_patch_size": 3}}, "discriminator's patch size 3"
    ),
    "slab": ({"encoder": {"slab": 3}}, "grid.shape: 40 is not a multiple of encoder.slab 3"),
    "heads": ({"encoder": {"n_heads": 5}}, "encoder.dim_y: 96 is not a multiple of encoder"),
    "groups": ({"prior": {"norm_groups": 5}}, "prior.channels: 16 is not a multiple of prior.norm"),
    "levels": ({"prior": {"attention_levels": [True]}}, "not as long as prior.channels"),
    "stages": ({"encoder": {"depths": [1, 1, 1]}}, "encoder.widths: it is not as long as enc"),
    "levels of windows": (
        {"encoder": {"backbone": "volume", "window": 20, "stride": 20, "channels": [8, 8, 8]}},
        "encoder.channels: 3 levels are too many for 2 windows",
    ),
    "gaps": (
        {"encoder": {"backbone": "volume", "stride": 13}}, "encoder.stride: windows leave gaps"
    ),
    "weights of the other backbone": (
        {"encoder": {"backbone": "volume", "pretrained": "w.safetensors"}}, "backbone of slices"
    ),
    "verdicts at other steps": (
        {"verdicts": {"n_steps": 7}},
        "line 2: verdicts.n_steps: 7 is not among evaluation.reconstruction.steps. Add it there, "
        "or set verdicts.n_steps to one of [5, 10, 20, 50]",
    ),
    "verdicts in other windows": (
        {"evaluation": {"reconstruction": {"windows": [3, 4]}}},
        "verdicts.ssim_window: 11 is not among evaluation.reconstruction.windows",
    ),
    "steps of a sampler": (
        {"evaluation": {"throughput": {"steps": {"heun": 0}}}},
        "evaluation.throughput.steps.heun is 0 and must be a whole number: at least 1",
    ),
    "plugins that are no list": ({"plugins": "mine.py"}, "plugins is 'mine.py' and must be a list"),
    "ablation, unknown key": (
        ablation("small", "encoder", {"dimy": 4}),
        "ablations.small.change: unknown key encoder.dimy. Did you mean dim_y?",
    ),
    "ablation, out of range": (
        ablation("small", "encoder", {"dim_y": 0}),
        "ablations.small.change: encoder.dim_y is 0 and must be a whole number: at least 1",
    ),
    "ablation, no change": (ablation("small", "encoder", {"dim_y": 96}), "it changes nothing"),
    "ablation, nothing": ({"ablations": {"x": {"network": "ldae", "change": {}}}}, "not empty"),
    "ablation, half": ({"ablations": {"x": {"network": "ldae"}}}, "ablations.x.change is missing"),
    "ablation, other section": (
        ablation("x", "voxel_dae", {"patch_size": 4}),
        "ldae is not trained with voxel_dae. Change one of ldae, encoder, prior",
    ),
    "ablation, shared section": (
        ablation("x", "diffusion", {"beta_end": 0.1}), "ldae is not trained with diffusion"
    ),
    "ablation, two lengths": (ablation("x", "ldae", {"n_epochs": 4}), "ldae.n_steps: the length"),
    "ablation, network": (
        ablation("x", "ldae", {"n_steps": 4}, "ldea"), "Did you mean ldae?",
    ),
    "ablation, no code": (
        ablation("x", "prior", {"n_steps": 4}, "prior"), "no network prior with a semantic code"
    ),
    "ablation, name": (ablation("Small", "encoder", {"dim_y": 4}), "use lower-case letters, digi"),
    "ablation, a method": (ablation("ldae_multistep", "encoder", {"dim_y": 4}), "name is taken"),
    "ablation, a network": (ablation("residual", "encoder", {"dim_y": 4}), "the name is taken"),
    "ablation, a folder": (ablation("codes", "encoder", {"dim_y": 4}), "the name is taken"),
    "ablation, a prior": (ablation("prior_of_x", "encoder", {"dim_y": 4}), "the name is taken"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MISTAKES)
def test_mistakes_are_explained_in_one_line(tmp_path, kind):
    overlay, words = MISTAKES[kind]
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump(overlay))
    with pytest.raises(InputError) as caught:
        complete_config(merged(overlay), [ROOT / "config.yaml", mine])
    message = str(caught.value)
    assert "\n" not in message
    assert words in message
    assert message.startswith((f"{mine}, line ", f"{ROOT / 'config.yaml'}, line "))


def test_results_may_lie_below_the_derivatives_of_a_cohort():
    overlay = {**BIDS, "pathvars": {"results": "data/adni/derivatives/ldae"}}
    assert complete_config(merged(overlay))["pathvars"] == overlay["pathvars"]


def test_results_cannot_lie_in_the_code():
    where = str(Path(importlib.util.find_spec("ldae").origin).parent / "results")
    with pytest.raises(InputError, match="among the workflow's own files"):
        complete_config(merged({"pathvars": {"results": where}}))


@pytest.mark.parametrize(
    ("given", "read"),
    [(2024, "2024"), ("~/data", str(Path.home() / "data")), ("a ~ b", "a ~ b"), ("é, ü", "é, ü")],
)
def test_folders_may_be_numbers_or_begin_at_home(given, read):
    assert complete_config(merged(BIDS, {"bids_folder": given}))["bids_folder"] == read


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "1.e-4", "+.1e-3", "100e-6"])
def test_a_number_with_an_exponent_may_be_text(text):
    """YAML 1.1, which Snakemake reads, takes most of these for text, and its --config all."""
    rate = {"prior": {"learning_rate": text}}
    config = complete_config(merged(rate))
    assert config["prior"]["learning_rate"] == pytest.approx(1e-4)


def test_an_exponent_is_read_where_a_number_stands():
    wanted = {"prior": {"n_steps": "1e3"}, "probes": {"c_grid": ["1e-2", 1.0]}, "title": "1e3"}
    overlay = merged(wanted, ablation("fast", "prior", {"learning_rate": "3e-3"}))
    config = complete_config(overlay)
    assert config["prior"]["n_steps"] == 1000 and isinstance(config["prior"]["n_steps"], int)
    assert config["probes"]["c_grid"] == [0.01, 1.0] and config["title"] == "1e3"
    assert config["ablations"]["fast"]["change"] == {"prior": {"learning_rate": 0.003}}


def test_value_from_the_command_line_is_not_blamed_on_a_file():
    with pytest.raises(InputError, match=r"^command line: seed is 'x' and must be a whole number"):
        complete_config(merged({"seed": "x"}), [ROOT / "config.yaml"])


def test_nested_value_of_the_command_line_is_explained():
    with pytest.raises(InputError, match="Nested values of --config are text: use a file"):
        complete_config(merged({"prior": {"n_steps": "8"}}), [ROOT / "config.yaml"])


def test_the_last_file_that_sets_a_value_is_blamed(tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("# mine\n\nprior: {dropout: 2.0}\n")
    second.write_text("prior:\n  n_steps: 5\n")
    with pytest.raises(InputError, match=r"first.yaml, line 3: prior.dropout is 2.0"):
        complete_config(
            merged({"prior": {"dropout": 2.0, "n_steps": 5}}),
            [ROOT / "config.yaml", first, second],
        )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prior:\n  dropout: 0.1\n  dropout: 0.2\n", "line 3: dropout is there twice"),
        ("prior:\n  dropout: [0.1\nldae: 3\n", "line 3: it is not YAML"),
    ],
)
def test_a_file_that_is_not_what_it_seems_is_named_with_its_line(tmp_path, text, words):
    mine = tmp_path / "mine.yaml"
    mine.write_text(text)
    with pytest.raises(InputError, match=words):
        complete_config(merged(), [ROOT / "config.yaml", mine])


PLUGIN = """
from ldae.methods import Codes, Look, Method, Network, Role

NETWORKS = (
    Network("mine", ("mine",), Look("mine"), train="mine:train", encoder="mine:load_encoder"),
)
METHODS = (Method("mine", Role.MODEL, Look("mine"), network="mine", codes=Codes.SEEDED),)
"""


def test_a_network_of_ones_own_has_a_section_and_ablations_of_its_own(tmp_path):
    module = tmp_path / "mine.py"
    module.write_text(PLUGIN)
    overlay = {"plugins": [str(module)], "mine": {"width": 3}}
    overlay |= ablation("wide", "mine", {"width": 9}, "mine")
    config = complete_config(merged(overlay))
    assert config["mine"] == {"width": 3}
    assert study_variants(config)["wide"].settings(config) == {"mine": {"width": 9}}
    with pytest.raises(InputError, match="unknown key mine"):
        complete_config(merged({"mine": {"width": 3}}))
    with pytest.raises(InputError, match="name is taken"):
        complete_config(merged(overlay | ablation("mine", "mine", {"width": 9}, "mine")))


def test_a_plugin_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"plugin nothing.here: it cannot be imported"):
        complete_config(merged({"plugins": ["nothing.here"]}))


def test_leaves_are_all_values():
    assert set(leaves({"a": 1, "b": {"c": [2], "d": {}}})) == {("a",), ("b", "c"), ("b", "d")}
