"""Every rule is complete, every setting is used, every name exists."""

import ast
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import run_snakemake

from ldae.conclusions.registry import TABLES
from ldae.data.intake.settings import SETTINGS as INTAKE
from ldae.diffusion.sampler import Sampler
from ldae.figures.registry import FIGURES
from ldae.methods import METHODS, NETWORKS
from ldae.provenance.code import code_files
from ldae.references import resolve
from ldae.workflow.config import leaves
from ldae.workflow.launch import DERIVED_RULES

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_OUTPUT = {"audit", "doctor"}
# Settings that decide the plan or the places, read where the workflow is read.
PLAN_KEYS = {
    "ablations", "curves", "variants", "bids_folder", "final", "pathvars/results", "plugins",
    "training_seeds", "cohort/source", "cohort/public", "gpu", "site", "preprocessing/batch_size",
    "evaluation/reference_volumes", "pretrained", "probes/harmonise",
}  # fmt: skip
# Shown by the report, which reads the settings as they were written down.
REPORT_KEYS = {"title"}


def rules() -> dict[str, str]:
    """Text of every rule by name; of one that uses another, with what it takes from that."""
    found = {}
    for path in (ROOT / "rules").glob("*.smk"):
        for text in re.split(r"^(?=rule |use rule )", path.read_text(), flags=re.M)[1:]:
            used = re.match(r"use rule (\w+) as (\w+) with:", text)
            if used is None:
                found[text.split()[1].rstrip(":")] = text
                continue
            found[used[2]] = found[used[1]]
            for block in re.findall(r"^    \w+:\n(?:        .*\n)+", text, re.M):
                own = re.escape(block.partition("\n")[0])
                found[used[2]] = re.sub(
                    rf"^{own}\n(?:        .*\n)+", lambda _, b=block: b, found[used[2]], flags=re.M
                )
    return found


RULES = rules()
# Names that rules take from a dictionary: of the workflow's Python, and of ldae.workflow.study.
SHARED = {"SCANS": {"volumes", "masks", "index"}}
SHARED["MODEL_FILES"] = SHARED["SCANS"] | {"autoencoder", "scale"}
SHARED["study.model_params"] = {"methods", "loaders", "diffusion", "scored"}
SHARED["study.probe_params"] = {"c_grid", "alpha_grid", "n_folds", "tasks"}
SCRIPTS = {name: re.search(r'"\.\./scripts/(\w+)\.py"', text)[1] for name, text in RULES.items()}
# What the rules make that are not named for one thing.
PRODUCTS = {"tabulate": TABLES, "plot_figure": FIGURES}


REGISTERED = [
    reference
    for network in NETWORKS
    for reference in (network.train, network.encoder, network.model)
    if reference is not None
]


def sources(name: str) -> set[Path]:
    """Files that a rule's script reaches, by import or by a reference that it is given."""
    text = RULES[name]
    found = set(re.findall(r'"(ldae[\w.]+:\w+)"', text))
    if re.search(r"study\.(training|encoder|loaders)", text):
        found |= {*REGISTERED, *(m.sampler for m in METHODS if m.sampler)}
    found |= {r for product in PRODUCTS.get(name, ()) for r in product.references}
    if "captions" in text:
        found |= {figure.caption for figure in FIGURES}
    roots = [ROOT / f"{r.partition(':')[0].replace('.', '/')}.py" for r in found]
    roots.append(ROOT / "scripts" / f"{SCRIPTS[name]}.py")
    return {file for root in roots for file in code_files(root)}


@pytest.mark.parametrize("name", sorted(RULES))
def test_rule_is_complete(name):
    text = RULES[name]
    if name not in WITHOUT_OUTPUT:
        assert re.search(r"^    output:", text, re.M)
        assert f'"<results>/benchmarks/{name}' in text
    for directive in ("log", "conda", "resources", "params", "message"):
        assert re.search(rf"^    {directive}:", text, re.M), directive
    assert re.search(r"^        code=(code_digest|study)\W", text, re.M)
    assert f'text="<results>/logs/{name}' in text
    assert "lambda" not in text and "config[" not in text
    environment = re.search(r'conda:\s+"\.\./(.*)"', text)
    assert environment and (ROOT / environment[1]).is_file()


def test_every_script_has_a_rule():
    assert {path.stem for path in (ROOT / "scripts").glob("*.py")} == set(SCRIPTS.values())


@pytest.mark.parametrize("name", sorted(RULES))
def test_script_uses_what_its_rule_gives(name):
    """Named inputs, outputs and params of a script are those of its rule, and none is idle."""
    script = (ROOT / "scripts" / f"{SCRIPTS[name]}.py").read_text()
    for directive in ("input", "output", "params"):
        block = re.search(rf"^    {directive}:\n((?:        .*\n)+)", RULES[name], re.M)
        given = set(re.findall(r"^        (\w+)=", block[1], re.M)) if block else set()
        for shared in re.findall(r"^        \*\*([\w.]+)", block[1], re.M) if block else ():
            given |= SHARED[shared]
        used = set(re.findall(rf"snakemake\.{directive}\.(\w+)", script))
        if f"snakemake.{directive}.items()" in script:
            used = given
        idle = given - used - {"code", "seed", "fingerprint", "planned"}
        if directive == "input":
            idle -= {"bids"}  # orders read_bids after the simulation; the folder is a param
            idle -= {"starting_weights"}  # the settings name the file
            idle -= {"cohort", "batches"}  # order jobs; files are found by their scan's name
        assert used <= given, f"{directive}: {used - given}"
        assert not idle, f"{directive}: {idle}"


def test_every_setting_reaches_a_rule_and_is_read():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    looked_up: dict[str, set[str]] = {}
    for name, text in RULES.items():
        for path in re.findall(r'(?:dpath=|section\()"([^"]+)"', text):
            looked_up.setdefault(path, set()).add(name)
    # by way of the study: folds are not for every method, the grids for two rules
    looked_up["probes/outer_folds"] = looked_up["probes/label_counts"] = {"fit_probe"}
    # on a learning curve with fewer steps
    looked_up["evaluation/reconstruction"] = {"evaluate_reconstruction"}
    for key in SHARED["study.probe_params"]:
        looked_up[f"probes/{key}"] = {"fit_probe", "manipulate_attribute"}
    looked_up["split"] = {"split_subjects"}
    for key in INTAKE:
        looked_up[f"cohort/{key}"] = {"read_bids"}
    for network in NETWORKS:
        for section in network.sections:
            looked_up.setdefault(section, set()).add("train_network")
    for name, products in PRODUCTS.items():
        for path in {path for product in products for path in product.settings.values()}:
            looked_up.setdefault(path, set()).add(name)
    for leaf in leaves(config):
        path = "/".join(leaf)
        if {path, leaf[0]} & (PLAN_KEYS | REPORT_KEYS):
            continue
        takers = [n for p, n in looked_up.items() if path == p or path.startswith(f"{p}/")]
        assert takers, f"no rule takes {path}"
        files = {file for names in takers for name in names for file in sources(name)}
        text = "\n".join(p.read_text() for p in files if p.suffix == ".py")
        assert re.search(rf"\b{leaf[-1]}\b", text), f"nobody reads {path}"


def test_references_of_the_registry_resolve():
    for network in NETWORKS:
        for reference in filter(None, (network.train, network.encoder, network.model)):
            assert callable(resolve(reference)), reference
    for method in METHODS:
        assert method.sampler is None or isinstance(resolve(method.sampler), Sampler), method.name
        assert method.network is None or method.network in {n.name for n in NETWORKS}, method.name


def test_profiles_name_rules_that_exist():
    for path in (ROOT / "profiles").glob("*/profile*.yaml"):
        profile = yaml.safe_load(path.read_text())
        for key in ("set-resources", "set-threads"):
            assert set(profile.get(key, {})) <= set(RULES), path


def test_rules_made_of_others_share_their_lines_of_a_profile():
    text = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    made = re.findall(r"^use rule (\w+) as (\w+) with:", text, re.M)
    assert {name: of for of, name in made} == DERIVED_RULES


def test_expected_seconds_name_rules_that_exist():
    lines = (ROOT / "resources/expected_seconds.tsv").read_text().splitlines()[1:]
    assert {line.split("\t")[0] for line in lines} <= set(RULES)


STAGES = ["preprocess", "torch", "analysis"]
# Modules whose package is named otherwise, and modules that a stage's rules never reach: lazy
# imports of brain extraction where scans are only read, torchvision where there is no GPU.
PACKAGES = {"PIL": "pillow", "sklearn": "scikit-learn", "skimage": "scikit-image", "yaml": "pyyaml",
            "pytorch_lightning": "pytorch-lightning", "typing_extensions": "typing-extensions",
            "lightning_fabric": "pytorch-lightning", "ants": "antspyx"}  # fmt: skip
UNREACHED = {"preprocess": set(), "torch": {"ants", "deepbet", "torchvision"},
             "analysis": {"ants", "deepbet"}}  # fmt: skip
# antspyx and what only it needs: it is in no other environment.
OWN = {
    "preprocess": {"antspyx", "formulaic", "interface-meta", "patsy", "statsmodels", "webcolors"}
}


def locked(name: str) -> set[tuple[str, str]]:
    """Names and versions of a lock's packages."""
    text = (ROOT / "envs" / f"{name}.lock").read_text()
    return set(re.findall(r"^([\w.-]+)==([\w.+]+)", text, re.M))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_the_versions_of_the_local_environment(stage):
    everything, of_stage = locked("local"), locked(stage)
    assert of_stage & everything
    assert {name for name, _ in of_stage - everything} == OWN.get(stage, set())
    script = (ROOT / "envs" / f"{stage}.post-deploy.sh").read_text()
    lock = (ROOT / "envs" / f"{stage}.lock").read_bytes()
    assert hashlib.sha256(lock).hexdigest() in script, "run `make lock`"
    assert f"envs/{stage}.lock" in script


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_what_its_rules_import(stage):
    definition = (ROOT / "containers" / f"{stage}.def").read_text()
    tested = re.search(r'python -c "import (.*)"', definition)
    assert tested
    needed = set()
    for name, text in RULES.items():
        if f"envs/{stage}.yaml" in text:
            for path in sources(name):
                needed |= imported(path) if path.suffix == ".py" else set()
    needed -= {"ldae", "snakemake", *sys.stdlib_module_names, *UNREACHED[stage]}
    packages = {PACKAGES.get(name, name.lower()) for name in needed}
    assert packages <= {name for name, _ in locked(stage)}, "add it to envs/*.in, `make lock`"
    assert needed - {"lightning_fabric"} <= set(tested[1].split(", ")), definition


def imported(path: Path) -> set[str]:
    """Top names of the modules that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(str(node.module).partition(".")[0])
    return names


def test_rules_that_use_a_device_ask_for_a_gpu():
    asking = {
        name
        for name, text in RULES.items()
        if re.search(r"^        \*\*(ON_GPU|IN_PIECES|TRAINING),$", text, re.M)
    }
    on_torch = {name for name, text in RULES.items() if "envs/torch.yaml" in text}
    without = {"measure_latent_scale", "render_true_effects", "fit_histogram_pca"}
    assert on_torch - asking == without


def test_no_place_of_a_machine_in_the_locks():
    for path in (ROOT / "envs").glob("*.lock"):
        assert not re.search(r"https?:|/opt|/home|--index|--find-links", path.read_text()), path


@pytest.mark.workflow
def test_snakemake_lint(plan_folder):
    done = run_snakemake(plan_folder, "--lint")
    assert done.returncode == 0, done.stdout + done.stderr


def test_snakefmt():
    command = [str(Path(sys.executable).parent / "snakefmt"), "--check", "Snakefile", "rules"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
