# What codes and models can do: numbers of validation participants, or of test participants.


rule fit_probe:
    input:
        codes=study.probed_codes,
        index=rules.pack_volumes.output.index,
        scans=rules.read_bids.output.scans,
    output:
        weights="<results>/probes/{method}/{run}.json",
        predictions="<results>/probes/{method}/{run}.tsv",
        labels="<results>/probes/{method}/{run}.labels.tsv",
    log:
        text="<results>/logs/fit_probe/{method}/{run}.log",
    benchmark:
        "<results>/benchmarks/fit_probe/{method}/{run}.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30, per_scan=0.01),
    params:
        **study.probe_params,
        diagnoses=lookup(within=config, dpath="cohort/diagnoses"),
        outer_folds=study.outer_folds,
        label_counts=study.label_counts,
        scored=study.scored,
        harmonised=study.harmonised,
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("fit_probe"),
    message:
        "Fitting linear probes on one method's codes ({wildcards.method}, {wildcards.run})"
    script:
        "../scripts/fit_probe.py"


rule evaluate_reconstruction:
    input:
        unpack(study.models("reconstruction")),
        **MODEL_FILES,
    output:
        scores="<results>/scores/{of}reconstruction/seed-{seed}.tsv.gz",
        examples="<results>/examples/{of}reconstruction/seed-{seed}.npz",
    log:
        text="<results>/logs/evaluate_reconstruction/{of}seed-{seed}.log",
    benchmark:
        "<results>/benchmarks/evaluate_reconstruction/{of}seed-{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: TRAINING_THREADS
    resources:
        **IN_PIECES,
        mem_mb=memory(32000),
        runtime=demands.evaluation_minutes("reconstruction", 60),
    params:
        **study.model_params("reconstruction"),
        settings=study.reconstruction_settings,
        seed=lookup(within=config, dpath="seed"),
        code=study.evaluation_code("evaluate_reconstruction", "reconstruction"),
    message:
        "Reconstructing scans with every model and number of steps ({wildcards.of}seed {wildcards.seed})"
    script:
        "../scripts/evaluate_reconstruction.py"


rule vary_stochastic:
    input:
        unpack(study.models("stochastic")),
        **MODEL_FILES,
    output:
        scores="<results>/scores/stochastic/seed-{seed}.tsv.gz",
        examples="<results>/examples/stochastic/seed-{seed}.npz",
    log:
        text="<results>/logs/vary_stochastic/seed-{seed}.log",
    benchmark:
        "<results>/benchmarks/vary_stochastic/seed-{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: TRAINING_THREADS
    resources:
        **IN_PIECES,
        mem_mb=memory(32000),
        runtime=demands.evaluation_minutes("stochastic", 60),
    params:
        **study.model_params("stochastic"),
        settings=lookup(within=config, dpath="evaluation/stochastic"),
        seed=lookup(within=config, dpath="seed"),
        code=study.evaluation_code("vary_stochastic", "stochastic"),
    message:
        "Decoding one semantic code from many stochastic codes (seed {wildcards.seed})"
    script:
        "../scripts/vary_stochastic.py"


rule choose_edited:
    input:
        index=rules.pack_volumes.output.index,
    output:
        edited="<results>/manifest/edited.tsv",
    log:
        text="<results>/logs/choose_edited.log",
    benchmark:
        "<results>/benchmarks/choose_edited.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    params:
        n_scans=lookup(within=config, dpath="evaluation/manipulation/n_scans"),
        scored=study.scored,
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("choose_edited"),
    message:
        "Choosing the scans that are edited"
    script:
        "../scripts/choose_edited.py"


rule render_true_effects:
    input:
        truth=rules.simulate_cohort.output.truth,
        batches=rules.quality_control.input.batches,
        edited=rules.choose_edited.output.edited,
    output:
        effects="<results>/truth/effects.npz",
    log:
        text="<results>/logs/render_true_effects.log",
    benchmark:
        "<results>/benchmarks/render_true_effects.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=memory(8000),
        runtime=minutes(60, per_scan=0.05),
    params:
        cohort=lookup(within=config, dpath="cohort/simulated"),
        grid=lookup(within=config, dpath="grid"),
        preprocessed=study.preprocessed,
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("render_true_effects"),
    message:
        "Rendering what disease and age would do to the simulated participants"
    script:
        "../scripts/render_true_effects.py"


rule manipulate_attribute:
    input:
        unpack(study.models("manipulation")),
        unpack(study.edited_codes),
        **MODEL_FILES,
        scans=rules.read_bids.output.scans,
        regions=rules.measure_region_volumes.output.table,
        edited=rules.choose_edited.output.edited,
        effects=branch(study.simulated, then=rules.render_true_effects.output.effects, otherwise=[]),
    output:
        scores="<results>/scores/{of}manipulation/seed-{seed}.tsv.gz",
        examples="<results>/examples/{of}manipulation/seed-{seed}.npz",
    log:
        text="<results>/logs/manipulate_attribute/{of}seed-{seed}.log",
    benchmark:
        "<results>/benchmarks/manipulate_attribute/{of}seed-{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: TRAINING_THREADS
    resources:
        **IN_PIECES,
        mem_mb=memory(32000, scans=0.3, most_held=2.5),
        runtime=demands.evaluation_minutes("manipulation", 60, per_scan=0.005),
    params:
        **study.probe_params,
        **study.model_params("manipulation"),
        grid=lookup(within=config, dpath="grid"),
        amounts=lookup(within=config, dpath="evaluation/manipulation/amounts"),
        n_steps=lookup(within=config, dpath="evaluation/manipulation/n_steps"),
        diagnoses=lookup(within=config, dpath="cohort/diagnoses"),
        pca_components=lookup(within=config, dpath="probes/pca_components"),
        seed=lookup(within=config, dpath="seed"),
        code=study.evaluation_code("manipulate_attribute", "manipulation"),
    message:
        "Moving scans along the directions of disease and age ({wildcards.of}seed {wildcards.seed})"
    script:
        "../scripts/manipulate_attribute.py"


rule interpolate_gaps:
    input:
        unpack(study.models("interpolation")),
        **MODEL_FILES,
    output:
        scores="<results>/scores/{of}interpolation/seed-{seed}.tsv.gz",
        examples="<results>/examples/{of}interpolation/seed-{seed}.npz",
    log:
        text="<results>/logs/interpolate_gaps/{of}seed-{seed}.log",
    benchmark:
        "<results>/benchmarks/interpolate_gaps/{of}seed-{seed}.tsv"
    conda:
        "../envs/torch.yaml"
    threads: TRAINING_THREADS
    resources:
        **IN_PIECES,
        mem_mb=demands.interpolation_memory,
        runtime=demands.evaluation_minutes("interpolation", 60),
    params:
        **study.model_params("interpolation"),
        grid=lookup(within=config, dpath="grid"),
        settings=lookup(within=config, dpath="evaluation/interpolation"),
        seed=lookup(within=config, dpath="seed"),
        code=study.evaluation_code("interpolate_gaps", "interpolation"),
    message:
        "Predicting middle visits from the two around them ({wildcards.of}seed {wildcards.seed})"
    script:
        "../scripts/interpolate_gaps.py"


rule measure_throughput:
    input:
        unpack(study.models("throughput")),
        **MODEL_FILES,
    output:
        table="<results>/tables/throughput.tsv",
        text="<results>/tables/throughput.md",
    log:
        text="<results>/logs/measure_throughput.log",
    benchmark:
        "<results>/benchmarks/measure_throughput.tsv"
    conda:
        "../envs/torch.yaml"
    threads: ALL_CORES
    resources:
        **ON_GPU,
        mem_mb=memory(32000),
        runtime=minutes(120),
    params:
        **study.model_params("throughput"),
        study=lookup(within=config, dpath="study"),
        settings=lookup(within=config, dpath="evaluation/throughput"),
        seed=plan.seeds[0],
        code=study.evaluation_code("measure_throughput", "throughput"),
    message:
        "Measuring time and memory per scan"
    script:
        "../scripts/measure_throughput.py"


# Every table of ldae/conclusions/registry.py that is made of predictions, scores or other tables.
rule tabulate:
    input:
        unpack(study.products.files),
    output:
        table="<results>/tables/{table}.tsv",
        text="<results>/tables/{table}.md",
    log:
        text="<results>/logs/tabulate/{table}.log",
    benchmark:
        "<results>/benchmarks/tabulate/{table}.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=memory(8000),
        runtime=minutes(60, per_scan=0.01),
    params:
        recipe=study.products.recipe,
        arguments=study.products.arguments,
        methods=plan.methods.as_params(looks=False),
        left_out=plan.left_out,
        seed=lookup(within=config, dpath="seed"),
        code=study.product_code("tabulate"),
    message:
        "Making the table {wildcards.table}"
    script:
        "../scripts/tabulate.py"
