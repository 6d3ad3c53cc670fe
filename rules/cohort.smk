# From a cohort to its table of scans and its split by subject.


rule simulate_cohort:
    output:
        bids=directory("<results>/cohort/bids"),
        truth=directory("<results>/cohort/truth"),
    log:
        text="<results>/logs/simulate_cohort.log",
    benchmark:
        "<results>/benchmarks/simulate_cohort.tsv"
    conda:
        "../envs/preprocess.yaml"
    threads: min(8, ALL_CORES)
    resources:
        mem_mb=memory(8000),
        runtime=minutes(20, per_scan=0.02),
    params:
        settings=lookup(within=config, dpath="cohort/simulated"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("simulate_cohort"),
    message:
        "Simulating raw heads of participants with and without Alzheimer's disease"
    script:
        "../scripts/simulate_cohort.py"


rule read_bids:
    input:
        bids=branch(study.simulated, then=rules.simulate_cohort.output.bids, otherwise=[]),
    output:
        scans="<results>/manifest/scans.tsv",
        notices="<results>/manifest/notices.tsv",
    log:
        text="<results>/logs/read_bids.log",
    benchmark:
        "<results>/benchmarks/read_bids.tsv"
    conda:
        "../envs/preprocess.yaml"
    threads: BATCH_THREADS
    resources:
        mem_mb=memory(2000),
        runtime=minutes(15, per_scan=0.01),
    params:
        bids_dir=study.bids_dir,
        public=study.public,
        intake=study.intake,
        fingerprint=study.cohort_fingerprint,
        code=code_digest("read_bids"),
    message:
        "Reading the cohort's scans from BIDS"
    script:
        "../scripts/read_bids.py"


rule split_subjects:
    input:
        # A real cohort is there: it is split again when the planned split changes.
        scans=branch(study.simulated, then=rules.read_bids.output.scans, otherwise=[]),
        given=study.given_split,
    output:
        split="<results>/split/split.tsv",
        visits="<results>/manifest/visits.tsv",
    log:
        text="<results>/logs/split_subjects.log",
    benchmark:
        "<results>/benchmarks/split_subjects.tsv"
    conda:
        "../envs/preprocess.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    params:
        bids_dir=study.bids_dir,
        reading=study.reading,
        planned=study.planned_split,
        settings=study.split,
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("split_subjects"),
    message:
        "Splitting the subjects into training, validation and test"
    script:
        "../scripts/split_subjects.py"
