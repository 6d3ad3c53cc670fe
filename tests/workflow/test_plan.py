"""What is planned for which cohort, and how mistakes are reported: dry runs only."""

import os
import re
import shutil
from pathlib import Path

import pytest
from conftest import run_snakemake

from ldae.conclusions.registry import TABLES
from ldae.figures.registry import FIGURES
from ldae.methods import NETWORKS, Codes, study_methods
from ldae.workflow.config import complete_config

pytestmark = pytest.mark.workflow


def make_bids(folder: Path, visits: list[str], diagnoses: list[str], n: int = 12) -> Path:
    """BIDS folder with empty images, enough for a plan."""
    rows = ["participant_id\tage\tsex\tdiagnosis"]
    for number in range(n):
        subject = f"sub-{number:03d}"
        rows.append(
            f"{subject}\t{60 + number}\t{'FM'[number % 2]}\t{diagnoses[number % len(diagnoses)]}"
        )
        for visit in visits:
            name = f"{subject}_{visit}_T1w.nii.gz" if visit else f"{subject}_T1w.nii.gz"
            image = folder / subject / visit / "anat" / name
            image.parent.mkdir(parents=True)
            image.touch()
        if visits != [""]:
            table = "session_id\tage\n" + "".join(
                f"{visit}\t{60 + number + int(visit[5:]) / 12:.2f}\n" for visit in visits
            )
            (folder / subject / f"{subject}_sessions.tsv").write_text(table)
    (folder / "participants.tsv").write_text("\n".join(rows) + "\n")
    return folder


def planned(output: str) -> dict[str, int]:
    """Jobs per rule in a dry run."""
    table = output.partition("Job stats:")[2].partition("total")[0]
    return {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


def drawn(output: str) -> set[str]:
    """Figures that a dry run would draw."""
    return set(re.findall(r"Drawing the figure (\w+)", output))


def tabulated(output: str) -> set[str]:
    """Tables that a dry run would make of predictions, scores and other tables."""
    return set(re.findall(r"Making the table (\w+)", output))


MEASURED = {"volumes", "throughput"}
"""Tables that the rules of their measurements make."""
ALL_TABLES = {table.name for table in TABLES if not table.asked_by} - MEASURED
CODED = study_methods(complete_config({})).coded()
TRAINED = [network for network in NETWORKS if not network.optional]
ENCODERS = [network.name for network in TRAINED if network.encoder]


def test_default_study(plan_folder):
    done = run_snakemake(plan_folder, "-n")
    jobs = planned(done.stdout)
    assert done.returncode == 0, done.stderr
    assert jobs["fit_probe"] == len(CODED) and jobs["render_true_effects"] == 1
    unasked = sum(figure.asked_by != "" for figure in FIGURES)
    assert jobs["plot_figure"] == len(drawn(done.stdout)) == len(FIGURES) - unasked
    assert {"manipulation_age", "manipulation_ad_vs_cn", "roc", "age"} <= drawn(done.stdout)
    assert tabulated(done.stdout) == ALL_TABLES
    assert "Left out" not in done.stdout


SEEDS_AND_ABLATIONS = """
training_seeds: [0, 1, 4]
ablations:
  ldae_small_code: {network: ldae, change: {encoder: {dim_y: 16}}}
  ldae_plain_prior: {network: ldae, change: {prior: {v_prediction: false}}}
  untrained_small_code: {network: untrained, change: {encoder: {dim_y: 16}}}
"""


def test_what_is_trained_is_trained_once_per_seed_and_shared_where_it_is_the_same(plan_folder):
    (plan_folder / "seeds.yaml").write_text(SEEDS_AND_ABLATIONS)
    done = run_snakemake(plan_folder, "-n", "--configfile", "seeds.yaml")
    assert done.returncode == 0, done.stderr
    jobs = planned(done.stdout)
    assert jobs["simulate_cohort"] == jobs["split_subjects"] == 1
    assert jobs["train_autoencoder"] == jobs["encode_latents"] == jobs["fit_voxel_pca"] == 1
    # All networks, three ablations, and one more prior for the ablation that changes it.
    assert jobs["train_network"] == 3 * (len(TRAINED) + 3 + 1)
    assert jobs["encode_semantics"] == 3 * (len(ENCODERS) + 3)
    seeded, shared = (len(CODED.coded(codes)) for codes in (Codes.SEEDED, Codes.SHARED))
    assert jobs["fit_probe"] == 3 * (seeded + 3) + shared
    for rule in ("reconstruction", "gaps", "attribute"):
        (name,) = [job for job in jobs if job.endswith(f"_{rule}")]
        assert jobs[name] == 3, name
    assert jobs["vary_stochastic"] == 3 and jobs["measure_throughput"] == 1
    assert tabulated(done.stdout) == ALL_TABLES | {"ablations"}
    assert "results/prior_of_ldae_plain_prior/seed-4/model.safetensors" in done.stdout
    assert "results/prior_of_ldae_small_code" not in done.stdout
    assert "results/codes/voxel_pca/shared.npy" in done.stdout


def test_an_ablation_changes_only_its_own_trainings(plan_folder):
    """Settings of the unchanged networks are as without it, so that they are not made again."""
    (plan_folder / "seeds.yaml").write_text(SEEDS_AND_ABLATIONS)
    target = "results/ldae_plain_prior/seed-1/model.safetensors"
    done = run_snakemake(plan_folder, "-n", "--configfile", "seeds.yaml", "--", target)
    jobs = planned(done.stdout)
    assert jobs["train_network"] == 2
    assert "Training prior_of_ldae_plain_prior, seed 1" in done.stdout


CURVES = """
training_seeds: [0, 1]
ablations:
  ldae_plain_prior: {network: ldae, change: {prior: {v_prediction: false}}}
curves: {networks: [ldae, ldae_plain_prior, ldae_anatomical], steps: [30, 10]}
"""


def test_a_learning_curve_takes_one_training_and_a_job_for_each_step(plan_folder):
    (plan_folder / "curves.yaml").write_text(CURVES)
    done = run_snakemake(plan_folder, "-n", "-p", "--configfile", "curves.yaml")
    assert done.returncode == 0, done.stderr
    jobs = planned(done.stdout)
    networks, on_the_way = 3, 3 * 2
    assert jobs["train_followed"] == 2 * networks
    # all other networks, and the changed prior
    assert jobs["train_network"] == 2 * (len(TRAINED) - 2 + 1)
    assert jobs["encode_semantics"] == 2 * (len(ENCODERS) + 1 + on_the_way)
    seeded, shared = (len(CODED.coded(codes)) for codes in (Codes.SEEDED, Codes.SHARED))
    assert jobs["fit_probe"] == 2 * (seeded + 1 + on_the_way) + shared
    for rule in ("evaluate_reconstruction", "manipulate_attribute", "interpolate_gaps"):
        assert jobs[rule] == 2 * (1 + networks + on_the_way), rule
    assert jobs["vary_stochastic"] == 2 and jobs["measure_throughput"] == 1
    assert "curves" in tabulated(done.stdout) and "curves" in drawn(done.stdout)
    assert "results/ldae_plain_prior/seed-1/step-30.safetensors" in done.stdout


def test_test_participants_have_no_learning_curves(plan_folder):
    """The same networks are trained, so that nothing is trained again for the final numbers."""
    (plan_folder / "curves.yaml").write_text(CURVES)
    done = run_snakemake(plan_folder, "-n", "--configfile", "curves.yaml", "--config", "final=true")
    assert done.returncode == 0, done.stderr
    jobs = planned(done.stdout)
    assert jobs["train_followed"] == 2 * 3 and jobs["interpolate_gaps"] == 2
    assert not {"curves"} & (tabulated(done.stdout) | drawn(done.stdout))
    assert "Left out: table curves, because learning curves are of validation" in done.stdout


@pytest.mark.parametrize("study", ["adni", "ixi"])
def test_longitudinal_patients_from_bids(plan_folder, tmp_path, study):
    bids = make_bids(tmp_path, ["ses-M000", "ses-M012", "ses-M024"], ["CN", "AD"])
    done = run_snakemake(
        plan_folder,
        "-n",
        "--configfile",
        f"studies/{study}.yaml",
        "--config",
        f"bids_folder={bids}",
        "final=true",
    )
    assert done.returncode == 0, done.stderr
    jobs = planned(done.stdout)
    seeds = {"ixi": 3, "adni": 1}[study]
    assert jobs["interpolate_gaps"] == seeds and "roc" in drawn(done.stdout)
    assert not {"simulate_cohort", "read_true_volumes", "render_true_effects"} & set(jobs)
    assert f"results/{study}/report.html" in done.stdout


def test_one_participant_with_three_visits_teaches_no_residual(plan_folder, tmp_path):
    bids = make_bids(tmp_path, ["ses-M000", "ses-M012", "ses-M024"], ["CN", "AD"])
    for subject in sorted(bids.glob("sub-*"))[1:]:
        shutil.rmtree(subject / "ses-M024")
    study = ("--configfile", "studies/adni.yaml", "--config", f"bids_folder={bids}")
    done = run_snakemake(plan_folder, "-n", *study, "final=true", "variants=[residual]")
    assert done.returncode == 0, done.stderr
    jobs = planned(done.stdout)
    assert jobs["interpolate_gaps"] == 1 and "Training residual" not in done.stdout
    assert (
        "Left out: method ldae_residual, because only one participant has 3 visits" in done.stdout
    )


def test_single_visits_of_healthy_participants_from_bids(plan_folder, tmp_path):
    bids = make_bids(tmp_path, [""], ["CN"])
    done = run_snakemake(
        plan_folder, "-n", "--configfile", "studies/ixi.yaml", "--config", f"bids_folder={bids}"
    )
    assert done.returncode == 0, done.stderr
    jobs = planned(done.stdout)
    assert not {"interpolate_gaps", "read_true_volumes"} & set(jobs)
    figures = drawn(done.stdout)
    assert {"age", "manipulation_age"} <= figures
    missing = {"roc", "manipulation_ad_vs_cn", "interpolation_gap", "interpolation_sequence"}
    assert not missing & figures
    assert "Left out: interpolation, because" in done.stdout
    assert "Left out: figure roc, because nobody in the cohort is diagnosed AD" in done.stdout
    assert re.search(
        r"Left out: figure interpolation_gap, because nobody has 3 visits", done.stdout
    )
    assert "Left out: task ad_vs_cn, because nobody in the cohort is diagnosed AD" in done.stdout


def test_what_a_registered_table_or_figure_lacks_is_reported_by_name():
    from ldae.conclusions.registry import Table
    from ldae.conclusions.sources import scores, table
    from ldae.figures.registry import Figure
    from ldae.workflow.products import choose_products

    registered = [
        Table("last", "claims", "a:b", {"first": table("first")}, title="Last"),
        Table("first", "claims", "a:b", {"scores": scores("reconstruction")}, title="First"),
        Table("unseen", "claims", "a:b", {"scores": scores("interpolation")}, title="Unseen"),
        Table("unasked", "claims", "a:b", {}, asked_by="ablations", title="Unasked"),
    ]
    figures = [
        Figure("shown", "claims", "a:b", {"table": table("last")}, "a:c"),
        Figure("edits", "claims", "a:b", {}, "a:c", per_task=True),
        Figure("gaps", "claims", "a:b", {"table": table("unseen")}, "a:c"),
        Figure("lost", "claims", "a:b", {"table": table("nowhere")}, "a:c"),
    ]
    left_out = {"interpolation": "nobody came back"}
    parts = ["reconstruction", "task age"]
    chosen = choose_products({"ablations": {}}, parts, ["age"], left_out, registered, figures)
    assert list(chosen.tables) == ["last", "first"], "in their order, whatever they are made of"
    assert list(chosen.figures) == ["shown", "edits_age"]
    assert chosen.figures["edits_age"].options == {"task": "age"}
    assert chosen.parts == {*parts, "table first", "table last"}
    assert chosen.left_out == {
        "table unseen": "nobody came back", "figure gaps": "nobody came back",
        "figure lost": "there is no table nowhere",
    }  # fmt: skip


def test_an_added_scan_is_noticed(plan_folder, tmp_path):
    from ldae.workflow.plan import cohort_fingerprint

    bids = make_bids(tmp_path, [""], ["CN"])
    config = {"cohort": {"source": "bids"}, "bids_folder": str(bids)}
    before = cohort_fingerprint(config)
    assert cohort_fingerprint(config) == before
    scan = bids / "sub-000/anat/sub-000_T1w.nii.gz"
    scan.write_bytes(b"x")
    added = cohort_fingerprint(config)
    assert added != before
    os.utime(scan, (0, 0))
    assert cohort_fingerprint(config) != added, "one of the same size"


@pytest.mark.parametrize("session", ["", "ses-M012"])
def test_an_added_mask_is_noticed(tmp_path, session):
    from ldae.workflow.plan import mask_fingerprint

    config = {"cohort": {"source": "bids"}, "bids_folder": str(tmp_path)}
    pattern = "derivatives/masks/{subject}/{session}/{scan}_mask.nii.gz"
    before = mask_fingerprint(config, pattern)
    mask = tmp_path / "derivatives/masks/sub-000" / session / "sub-000_mask.nii.gz"
    mask.parent.mkdir(parents=True)
    mask.write_bytes(b"x")
    assert mask_fingerprint(config, pattern) != before
    simulated = config | {"cohort": {"source": "simulated"}}
    assert mask_fingerprint(config, None) == mask_fingerprint(simulated, pattern)


@pytest.mark.parametrize("method", ["precomputed", "template"])
def test_a_mask_concerns_the_batch_of_its_scan_where_it_is_used(tmp_path, method):
    from ldae.data.partition import batch_bits
    from ldae.workflow.plan import batch_fingerprint

    bids = make_bids(tmp_path, ["ses-M000"], ["CN"])
    pattern = "derivatives/masks/{subject}/{session}/{scan}_mask.nii.gz"
    config = {
        "cohort": {"source": "bids", "public": True},
        "bids_folder": str(bids),
        "preprocessing": {"brain_extraction": method, "mask_pattern": pattern},
    }
    before = {batch: batch_fingerprint(config, batch) for batch in "01"}
    mask = tmp_path / "derivatives/masks/sub-000/ses-M000/sub-000_ses-M000_mask.nii.gz"
    mask.parent.mkdir(parents=True)
    mask.write_bytes(b"x")
    after = {batch: batch_fingerprint(config, batch) for batch in "01"}
    changed = {batch for batch in "01" if before[batch] != after[batch]}
    assert changed == ({batch_bits("sub-000")[0]} if method == "precomputed" else set())
    simulated = config | {"cohort": {"source": "simulated"}}
    assert batch_fingerprint(simulated, "0") == batch_fingerprint(simulated, "1")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"preprocessing": {"brain_extraction": "precomputed", "mask_pattern": "m/{scan}.nii"}},
            "preprocessing.mask_pattern: no scan has such a mask; the first would be",
        ),
        ({"quality": {"reference_masks": "m/{scan}.nii"}}, "quality.reference_masks: no scan has"),
        ({"evaluation": {"reference_volumes": "v.tsv"}}, "reference_volumes: there is no file"),
        ({}, None),
    ],
)
def test_masks_and_volumes_that_are_nowhere_stop_before_the_work(tmp_path, settings, words):
    from ldae.errors import InputError
    from ldae.workflow.config import complete_config
    from ldae.workflow.plan import check_references, summarise_cohort

    bids = make_bids(tmp_path / "bids", [""], ["CN"])
    given = {"cohort": {"source": "bids", "public": True}, "bids_folder": str(bids), **settings}
    config = complete_config(given)
    cohort = summarise_cohort(config)
    if words is not None:
        with pytest.raises(InputError, match=words):
            check_references(config, cohort)
    (bids / "m").mkdir()
    (bids / "m/sub-003.nii").touch()
    (bids / "v.tsv").touch()
    check_references(config, cohort)


def test_missing_weights_stop_a_run_and_not_a_plan(plan_folder, tmp_path):
    bids = make_bids(tmp_path, [""], ["CN"])
    study = ("--configfile", "studies/adni.yaml", "--config", f"bids_folder={bids}")
    target = "results/adni/ldae/seed-0/model.safetensors"
    plan = run_snakemake(plan_folder, "-n", *study, "--", target)
    assert plan.returncode == 0 and "This plan cannot be run here: encoder" in plan.stdout
    done = run_snakemake(plan_folder, "--cores", "1", *study, "--", target)
    assert done.returncode != 0 and "train" not in done.stdout
    assert "encoder.pretrained: there are no weights at resources/weights/" in done.stderr


def test_missing_weights_of_an_ablation_are_missed():
    from ldae.errors import InputError
    from ldae.workflow.config import complete_config
    from ldae.workflow.plan import check_weights

    change = {"encoder": {"pretrained": "nowhere.safetensors"}}
    config = complete_config({"ablations": {"imagenet": {"network": "ldae", "change": change}}})
    with pytest.raises(InputError, match=r"ablations\.imagenet\.change\.encoder\.pretrained"):
        check_weights(config)


def test_a_corrected_diagnosis_is_noticed(tmp_path):
    from ldae.workflow.plan import cohort_fingerprint

    bids = make_bids(tmp_path, [""], ["CN"])
    config = {"cohort": {"source": "bids"}, "bids_folder": str(bids)}
    before = cohort_fingerprint(config)
    table = bids / "participants.tsv"
    table.write_text(table.read_text().replace("CN", "AD", 1))
    assert cohort_fingerprint(config) != before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "seed=x"], ["command line", "seed", "whole number"]),
        (["--configfile", "typo.yaml"], ["typo.yaml", "prior.n_step", "Did you mean n_steps?"]),
        (["--configfile", "studies/ixi.yaml"], ["bids_folder", "--config bids_folder=FOLDER"]),
        (
            ["--configfile", "studies/ixi.yaml", "--config", "bids_folder=nowhere"],
            ["nowhere"],
        ),
        (["--config", "bids_folder=2024"], ["command line: bids_folder: 2024 is named, but"]),
        (
            ["--configfile", "studies/ixi.yaml", "--config", "bids_folder=~/no/such"],
            [f"{Path.home()}/no/such: the folder does not exist"],
        ),
    ],
)
def test_a_mistake_is_reported_in_one_line(plan_folder, arguments, words):
    (plan_folder / "typo.yaml").write_text("prior: {n_step: 3}\n")
    done = run_snakemake(plan_folder, "-n", *arguments)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1 and done.stderr.rstrip().endswith(errors[0])
    for word in words:
        assert word in errors[0]
    assert "Traceback" not in done.stderr and "File " not in done.stderr


@pytest.fixture
def bare_path(tmp_path, monkeypatch):
    """Folder of the programs of a machine that has neither SLURM nor Apptainer."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("bash", "sh", "git", "env", "uname", "which"):
        (folder / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_slurm_profile_shows_the_plan_with_resources_on_any_machine(plan_folder, bare_path):
    done = run_snakemake(plan_folder, "-n", "--profile", "slurm")
    assert done.returncode == 0, done.stderr
    assert "There is no Apptainer on this machine: a plan only" in done.stdout
    lines = dict(re.findall(r"^(\w+): (threads=.*)$", done.stdout, re.M))
    assert set(lines) | {"all"} == set(planned(done.stdout))
    assert "gpu=1" in lines["train_network"] and "gpu" not in lines["fit_probe"]
    assert "threads=8" in lines["train_network"], "the cores of this machine are no limit"
    for asked in lines.values():
        assert re.search(r"mem_mb=\d+, runtime=\d+", asked), asked


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (("--config", "gpu={request: gres, model: a100, partition: gpu}"),
         {"gpu=0", "gres=gpu:a100:1", "slurm_partition=gpu"}),
        (("--config", "gpu={request: none}"), {"gpu=0"}),
        (("--set-resources", "train_network:runtime=240"), {"gpu=1", "runtime=240"}),
        (("--set-resources", "train_network:gpu=4"), {"gpu=4"}),
    ],
)  # fmt: skip
def test_a_training_asks_for_its_gpu(plan_folder, bare_path, arguments, asked):
    target = "results/scores/reconstruction/seed-0.tsv.gz"
    done = run_snakemake(plan_folder, "-n", "--profile", "slurm", *arguments, "--", target)
    assert done.returncode == 0, done.stderr
    lines = dict(re.findall(r"^(\w+): (threads=.*)$", done.stdout, re.M))
    assert asked <= set(lines["train_network"].split(", ")), lines["train_network"]
    assert not asked & {"gpu=1"} or "gpu=1" in lines["evaluate_reconstruction"]


def test_a_rule_without_its_gpu_is_not_submitted(plan_folder, bare_path):
    taken = ("--set-resources", "train_network:gpu=0")
    done = run_snakemake(plan_folder, "-n", "--profile", "slurm", *taken)
    assert done.returncode == 1
    assert "rule train_network is submitted without the GPU that it uses" in done.stderr


def test_memory_grows_with_the_number_of_scans(plan_folder, tmp_path, bare_path):
    found = []
    for n in (12, 48):
        bids = make_bids(tmp_path / str(n), ["ses-M000", "ses-M012"], ["CN", "AD"], n)
        study = ("--configfile", "studies/adni.yaml", "--config", f"bids_folder={bids}")
        target = "results/adni/codes/voxel_pca/shared.npy"
        done = run_snakemake(plan_folder, "-n", "--profile", "slurm", *study, "--", target)
        assert done.returncode == 0, done.stdout + done.stderr
        found.append(re.search(r"^fit_voxel_pca: .*mem_mb=(\d+)", done.stdout, re.M))
    scan = 4 * 128 * 160 * 128 / 1e6
    assert int(found[1][1]) - int(found[0][1]) == pytest.approx(0.5 * 72 * scan, abs=2)


def test_what_is_missing_is_reported_in_one_line(plan_folder, bare_path):
    def last_words(*arguments):
        done = run_snakemake(plan_folder, "--profile", "slurm", *arguments)
        assert done.returncode == 1 and "Traceback" not in done.stderr
        return done.stderr.rstrip().splitlines()[-1]

    assert last_words().startswith("Error: Apptainer: it cannot be found on this machine. ")
    modules = last_words("--software-deployment-method", "env-modules")
    assert modules.startswith("Error: SLURM: sbatch and squeue and scancel cannot be found")
    apptainer = bare_path / "apptainer"
    apptainer.write_text("#!/bin/sh\necho apptainer version 1.4.5\n")
    apptainer.chmod(0o755)
    image = last_words()
    assert image.startswith("Error: containers/preprocess.sif: the image is not built. Run `make")


def test_a_rule_that_does_not_exist_is_reported(plan_folder):
    done = run_snakemake(plan_folder, "-n", "--set-resources", "train_netwrk:gpu=2")
    assert done.returncode == 1
    assert "there is no rule train_netwrk. Did you mean train_network?" in done.stderr


def test_a_full_disk_is_reported_before_the_work(tmp_path):
    from ldae.errors import InputError
    from ldae.workflow.plan import check_disk_space

    check_disk_space(tmp_path / "not" / "yet", 1)
    with pytest.raises(InputError, match="GiB are free"):
        check_disk_space(tmp_path, 10**18)
