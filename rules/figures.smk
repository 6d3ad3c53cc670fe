# One rule per figure; beside every figure lies the table that it shows.


rule plot_cohort:
    input:
        volumes=rules.pack_volumes.output.volumes,
        masks=rules.pack_volumes.output.masks,
        index=rules.pack_volumes.output.index,
    output:
        png="<results>/figures/cohort.png",
        svg="<results>/figures/cohort.svg",
        data="<results>/figures/cohort.tsv",
    log:
        text="<results>/logs/plot_cohort.log",
    benchmark:
        "<results>/benchmarks/plot_cohort.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        code=code_digest("plot_cohort"),
    message:
        "Drawing the cohort"
    script:
        "../scripts/plot_cohort.py"


rule plot_training:
    input:
        autoencoder=rules.train_autoencoder.output.metrics,
        prior=of_all_seeds("<results>/prior/seed-{seed}/metrics.csv"),
        ldae=of_all_seeds("<results>/ldae/seed-{seed}/metrics.csv"),
        ldae_joint=of_all_seeds("<results>/ldae_joint/seed-{seed}/metrics.csv"),
        voxel_dae=of_all_seeds("<results>/voxel_dae/seed-{seed}/metrics.csv"),
        supervised=of_all_seeds("<results>/supervised/seed-{seed}/metrics.csv"),
        residual=branch(
            "residual" in plan.networks,
            then=of_all_seeds("<results>/residual/seed-{seed}/metrics.csv"),
            otherwise=[],
        ),
    output:
        png="<results>/figures/training.png",
        svg="<results>/figures/training.svg",
        data="<results>/figures/training.tsv",
    log:
        text="<results>/logs/plot_training.log",
    benchmark:
        "<results>/benchmarks/plot_training.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        seeds=plan.seeds,
        code=code_digest("plot_training"),
    message:
        "Drawing the losses of the training"
    script:
        "../scripts/plot_training.py"


rule plot_reconstruction:
    input:
        examples=of_first_seed(rules.evaluate_reconstruction.output.examples),
    output:
        png="<results>/figures/reconstruction.png",
        svg="<results>/figures/reconstruction.svg",
        data="<results>/figures/reconstruction.tsv",
    log:
        text="<results>/logs/plot_reconstruction.log",
    benchmark:
        "<results>/benchmarks/plot_reconstruction.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        code=code_digest("plot_reconstruction"),
    message:
        "Drawing scans and their reconstructions"
    script:
        "../scripts/plot_reconstruction.py"


rule plot_reconstruction_steps:
    input:
        table="<results>/tables/reconstruction.tsv",
    output:
        png="<results>/figures/reconstruction_steps.png",
        svg="<results>/figures/reconstruction_steps.svg",
        data="<results>/figures/reconstruction_steps.tsv",
    log:
        text="<results>/logs/plot_reconstruction_steps.log",
    benchmark:
        "<results>/benchmarks/plot_reconstruction_steps.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        window=lookup(within=config, dpath="verdicts/ssim_window"),
        code=code_digest("plot_reconstruction_steps"),
    message:
        "Drawing quality over the number of steps"
    script:
        "../scripts/plot_reconstruction_steps.py"


rule plot_stochastic:
    input:
        examples=of_first_seed(rules.vary_stochastic.output.examples),
    output:
        png="<results>/figures/stochastic.png",
        svg="<results>/figures/stochastic.svg",
        data="<results>/figures/stochastic.tsv",
    log:
        text="<results>/logs/plot_stochastic.log",
    benchmark:
        "<results>/benchmarks/plot_stochastic.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        code=code_digest("plot_stochastic"),
    message:
        "Drawing decodings of one semantic code"
    script:
        "../scripts/plot_stochastic.py"


rule plot_roc:
    input:
        predictions=rules.tabulate_probes.input.predictions,
        table=rules.tabulate_probes.output.table,
    output:
        png="<results>/figures/roc.png",
        svg="<results>/figures/roc.svg",
        data="<results>/figures/roc.tsv",
    log:
        text="<results>/logs/plot_roc.log",
    benchmark:
        "<results>/benchmarks/plot_roc.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        code=code_digest("plot_roc"),
    message:
        "Drawing the ROC curves"
    script:
        "../scripts/plot_roc.py"


rule plot_age:
    input:
        predictions=of_first_seed("<results>/probes/ldae/seed-{seed}.tsv"),
        index=rules.pack_volumes.output.index,
        table=rules.tabulate_probes.output.table,
    output:
        png="<results>/figures/age.png",
        svg="<results>/figures/age.svg",
        data="<results>/figures/age.tsv",
    log:
        text="<results>/logs/plot_age.log",
    benchmark:
        "<results>/benchmarks/plot_age.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        code=code_digest("plot_age"),
    message:
        "Drawing predicted over true age"
    script:
        "../scripts/plot_age.py"


rule plot_manipulation:
    input:
        examples=of_first_seed(rules.manipulate_attribute.output.examples),
    output:
        png="<results>/figures/manipulation_{task}.png",
        svg="<results>/figures/manipulation_{task}.svg",
        data="<results>/figures/manipulation_{task}.tsv",
    log:
        text="<results>/logs/plot_manipulation/{task}.log",
    benchmark:
        "<results>/benchmarks/plot_manipulation/{task}.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        code=code_digest("plot_manipulation"),
    message:
        "Drawing the manipulation of {wildcards.task}"
    script:
        "../scripts/plot_manipulation.py"


rule plot_dose_response:
    input:
        table="<results>/tables/manipulation.tsv",
    output:
        png="<results>/figures/dose_response.png",
        svg="<results>/figures/dose_response.svg",
        data="<results>/figures/dose_response.tsv",
    log:
        text="<results>/logs/plot_dose_response.log",
    benchmark:
        "<results>/benchmarks/plot_dose_response.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        code=code_digest("plot_dose_response"),
    message:
        "Drawing the response to the amount of change"
    script:
        "../scripts/plot_dose_response.py"


rule plot_interpolation_sequence:
    input:
        examples=of_first_seed(rules.interpolate_gaps.output.examples),
    output:
        png="<results>/figures/interpolation_sequence.png",
        svg="<results>/figures/interpolation_sequence.svg",
        data="<results>/figures/interpolation_sequence.tsv",
    log:
        text="<results>/logs/plot_interpolation_sequence.log",
    benchmark:
        "<results>/benchmarks/plot_interpolation_sequence.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        code=code_digest("plot_interpolation_sequence"),
    message:
        "Drawing the visits between two visits"
    script:
        "../scripts/plot_interpolation_sequence.py"


rule plot_interpolation_gap:
    input:
        table="<results>/tables/interpolation.tsv",
    output:
        png="<results>/figures/interpolation_gap.png",
        svg="<results>/figures/interpolation_gap.svg",
        data="<results>/figures/interpolation_gap.tsv",
    log:
        text="<results>/logs/plot_interpolation_gap.log",
    benchmark:
        "<results>/benchmarks/plot_interpolation_gap.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        code=code_digest("plot_interpolation_gap"),
    message:
        "Drawing interpolation quality over the gap"
    script:
        "../scripts/plot_interpolation_gap.py"


rule plot_throughput:
    input:
        table=rules.measure_throughput.output.table,
    output:
        png="<results>/figures/throughput.png",
        svg="<results>/figures/throughput.svg",
        data="<results>/figures/throughput.tsv",
    log:
        text="<results>/logs/plot_throughput.log",
    benchmark:
        "<results>/benchmarks/plot_throughput.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        code=code_digest("plot_throughput"),
    message:
        "Drawing time and memory per scan"
    script:
        "../scripts/plot_throughput.py"


rule plot_edit_fidelity:
    input:
        table="<results>/tables/manipulation.tsv",
    output:
        png="<results>/figures/edit_fidelity.png",
        svg="<results>/figures/edit_fidelity.svg",
        data="<results>/figures/edit_fidelity.tsv",
    log:
        text="<results>/logs/plot_edit_fidelity.log",
    benchmark:
        "<results>/benchmarks/plot_edit_fidelity.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        bounds=lookup(within=config, dpath="verdicts/bounds"),
        code=code_digest("plot_edit_fidelity"),
    message:
        "Drawing what edits keep and what they move"
    script:
        "../scripts/plot_edit_fidelity.py"


rule plot_comparisons:
    input:
        table=rules.compare_methods.output.table,
    output:
        png="<results>/figures/comparisons.png",
        svg="<results>/figures/comparisons.svg",
        data="<results>/figures/comparisons.tsv",
    log:
        text="<results>/logs/plot_comparisons.log",
    benchmark:
        "<results>/benchmarks/plot_comparisons.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        n_steps=lookup(within=config, dpath="verdicts/n_steps"),
        window=lookup(within=config, dpath="verdicts/ssim_window"),
        code=code_digest("plot_comparisons"),
    message:
        "Drawing the differences between methods"
    script:
        "../scripts/plot_comparisons.py"


rule plot_verdicts:
    input:
        table=rules.judge_claims.output.table,
    output:
        png="<results>/figures/verdicts.png",
        svg="<results>/figures/verdicts.svg",
        data="<results>/figures/verdicts.tsv",
    log:
        text="<results>/logs/plot_verdicts.log",
    benchmark:
        "<results>/benchmarks/plot_verdicts.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        code=code_digest("plot_verdicts"),
    message:
        "Drawing what holds of the paper's claims"
    script:
        "../scripts/plot_verdicts.py"


rule plot_edit_maps:
    input:
        examples=of_first_seed(rules.manipulate_attribute.output.examples),
    output:
        png="<results>/figures/edit_maps.png",
        svg="<results>/figures/edit_maps.svg",
        data="<results>/figures/edit_maps.tsv",
    log:
        text="<results>/logs/plot_edit_maps.log",
    benchmark:
        "<results>/benchmarks/plot_edit_maps.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        code=code_digest("plot_edit_maps"),
    message:
        "Drawing edits beside the true effects"
    script:
        "../scripts/plot_edit_maps.py"


rule plot_volumes:
    input:
        pairs=rules.compare_volumes.output.pairs,
        table=rules.compare_volumes.output.table,
    output:
        png="<results>/figures/volumes.png",
        svg="<results>/figures/volumes.svg",
        data="<results>/figures/volumes.tsv",
    log:
        text="<results>/logs/plot_volumes.log",
    benchmark:
        "<results>/benchmarks/plot_volumes.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        code=code_digest("plot_volumes"),
    message:
        "Drawing measured over reference volumes"
    script:
        "../scripts/plot_volumes.py"
