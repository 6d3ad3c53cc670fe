# From raw heads to one array of brains in template space.


rule preprocess_scan:
    input:
        # A real cohort is there: its batch is made again when the fingerprint changes.
        cohort=branch(study.simulated, then=rules.read_bids.output.scans, otherwise=[]),
    output:
        batch="<results>/manifest/batches/batch-{batch}.tsv",
    log:
        text="<results>/logs/preprocess_scan/batch-{batch}.log",
    benchmark:
        "<results>/benchmarks/preprocess_scan/batch-{batch}.tsv"
    conda:
        "../envs/preprocess.yaml"
    threads: BATCH_THREADS
    resources:
        mem_mb=memory(12000),
        runtime=minutes(30, demands.minutes_per_scan, n_scans=plan.scans_per_batch),
    params:
        bids_dir=study.bids_dir,
        reading=study.reading,
        preprocessed=study.preprocessed,
        settings=lookup(within=config, dpath="preprocessing"),
        fingerprint=study.batch_files,
        limits=study.limits_of_repeats,
        grid=lookup(within=config, dpath="grid"),
        code=code_digest("preprocess_scan"),
    message:
        "Preprocessing batch {wildcards.batch}: bias field, brain, template, grid"
    script:
        "../scripts/preprocess_scan.py"


rule quality_control:
    input:
        scans=study.checked_scans,
        decisions=study.qc_decisions,
        batches=expand(rules.preprocess_scan.output.batch, batch=plan.batches),
    output:
        table="<results>/qc/qc.tsv",
        overview="<results>/qc/qc.png",
        page="<results>/qc/qc.html",
        description="<results>/preprocessed/dataset_description.json",
        ignore="<results>/preprocessed/.bidsignore",
    log:
        text="<results>/logs/quality_control.log",
    benchmark:
        "<results>/benchmarks/quality_control.tsv"
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=memory(4000, scans=0.002),
        runtime=minutes(15, per_scan=0.01),
    params:
        bids_dir=study.bids_dir,
        preprocessed=study.preprocessed,
        study=lookup(within=config, dpath="study"),
        limits=lookup(within=config, dpath="quality"),
        fingerprint=study.reference_masks,
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("quality_control"),
    message:
        "Checking the quality of every preprocessed scan"
    script:
        "../scripts/quality_control.py"


rule pack_volumes:
    input:
        visits=rules.split_subjects.output.visits,
        split=rules.split_subjects.output.split,
        qc=rules.quality_control.output.table,
        batches=rules.quality_control.input.batches,
    output:
        volumes="<results>/volumes/volumes.npy",
        masks="<results>/volumes/masks.npy",
        index="<results>/volumes/index.tsv",
    log:
        text="<results>/logs/pack_volumes.log",
    benchmark:
        "<results>/benchmarks/pack_volumes.tsv"
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(15, per_scan=0.02),
    params:
        preprocessed=study.preprocessed,
        shape=lookup(within=config, dpath="grid/shape"),
        code=code_digest("pack_volumes"),
    message:
        "Packing the scans that passed into one array"
    script:
        "../scripts/pack_volumes.py"


# What most rules read: the scans that passed.
SCANS = dict(rules.pack_volumes.output.items())
