# Rules that report what they see in their container; the tests add them to a copy of the workflow.
from ldae.workflow.containers import image_path as image


configfile: "config.yaml"


include: "rules/common.smk"


def attempt_number(wildcards, attempt):
    """Which attempt this is, from 1."""
    return attempt


rule look_around:
    output:
        facts="results/look_around.json",
    log:
        text="results/logs/look_around.log",
    container:
        image("preprocess")
    params:
        code="",
    script:
        "probes/look_around.py"


rule look_around_with_gpu:
    output:
        facts="results/look_around_with_gpu.json",
    log:
        text="results/logs/look_around_with_gpu.log",
    container:
        image("preprocess")
    resources:
        gpu=1,
    params:
        code="",
    script:
        "probes/look_around.py"


rule see_gpus:
    output:
        facts="results/see_gpus.json",
    log:
        text="results/logs/see_gpus.log",
    container:
        image("preprocess")
    resources:
        gpu=2,
        nodes=1,
        tasks=2,
        tasks_per_gpu=0,
        mpi="srun",
    params:
        code="",
    script:
        "probes/see_gpus.py"


rule import_missing:
    output:
        facts="results/import_missing.json",
    log:
        text="results/logs/import_missing.log",
    container:
        image("preprocess")
    params:
        code="",
    script:
        "probes/import_missing.py"


rule fail_at_first:
    output:
        facts="results/fail_at_first.json",
    log:
        text="results/logs/fail_at_first.log",
    container:
        image("preprocess")
    resources:
        mem_mb=memory(100),
        attempt=attempt_number,
    params:
        code="",
    script:
        "probes/fail_at_first.py"
