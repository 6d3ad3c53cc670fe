# One code per scan from every method without a network, row by row as in the index.


rule fit_voxel_pca:
    input:
        **SCANS,
    output:
        codes="<results>/codes/voxel_pca/shared.npy",
    log:
        text="<results>/logs/fit_voxel_pca.log",
    benchmark:
        "<results>/benchmarks/fit_voxel_pca.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=memory(8000, scans=0.5, most_held=1.5),
        runtime=minutes(30, per_scan=0.02),
    params:
        n_components=lookup(within=config, dpath="probes/pca_components"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("fit_voxel_pca"),
    message:
        "Principal components of the voxels"
    script:
        "../scripts/fit_voxel_pca.py"


rule fit_histogram_pca:
    input:
        **SCANS,
    output:
        codes="<results>/codes/histogram_pca/shared.npy",
    log:
        text="<results>/logs/fit_histogram_pca.log",
    benchmark:
        "<results>/benchmarks/fit_histogram_pca.tsv"
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=memory(8000, scans=0.005),
        runtime=minutes(30, per_scan=0.02),
    params:
        settings=study.histograms,
        spacing_mm=lookup(within=config, dpath="grid/spacing_mm"),
        n_components=lookup(within=config, dpath="probes/pca_components"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("fit_histogram_pca"),
    message:
        "Principal components of the local intensity histograms"
    script:
        "../scripts/fit_histogram_pca.py"


rule pool_latents:
    input:
        mu=rules.encode_latents.output.mu,
    output:
        codes="<results>/codes/latent_mean/shared.npy",
    log:
        text="<results>/logs/pool_latents.log",
    benchmark:
        "<results>/benchmarks/pool_latents.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=memory(4000, latents=2),
        runtime=minutes(10, per_scan=0.0005),
    params:
        code=code_digest("pool_latents"),
    message:
        "Pooling the latents over space"
    script:
        "../scripts/pool_latents.py"


rule measure_region_volumes:
    input:
        **SCANS,
        quality=rules.quality_control.output.table,
    output:
        table="<results>/volumes/regions.tsv",
        codes="<results>/codes/region_volumes/shared.npy",
    log:
        text="<results>/logs/measure_region_volumes.log",
    benchmark:
        "<results>/benchmarks/measure_region_volumes.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=memory(8000),
        runtime=minutes(15, per_scan=0.02),
        micro_batch=lookup(within=config, dpath="evaluation/micro_batch"),
    params:
        grid=lookup(within=config, dpath="grid"),
        code=code_digest("measure_region_volumes"),
    message:
        "Measuring ventricles, hippocampi and tissues in every scan"
    script:
        "../scripts/measure_region_volumes.py"


rule compare_volumes:
    input:
        measured=rules.measure_region_volumes.output.table,
        reference=branch(
            study.simulated,
            then=rules.simulate_cohort.output.truth,
            otherwise=study.reference_volumes,
        ),
    output:
        pairs="<results>/volumes/agreement.tsv",
        table="<results>/tables/volumes.tsv",
        text="<results>/tables/volumes.md",
    log:
        text="<results>/logs/compare_volumes.log",
    benchmark:
        "<results>/benchmarks/compare_volumes.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        study=lookup(within=config, dpath="study"),
        n_bootstrap=lookup(within=config, dpath="evaluation/n_bootstrap"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("compare_volumes"),
    message:
        "Comparing measured volumes with reference volumes"
    script:
        "../scripts/compare_volumes.py"


rule read_true_volumes:
    input:
        truth=rules.simulate_cohort.output.truth,
        index=rules.pack_volumes.output.index,
    output:
        codes="<results>/codes/true_volumes/shared.npy",
    log:
        text="<results>/logs/read_true_volumes.log",
    benchmark:
        "<results>/benchmarks/read_true_volumes.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=memory(2000),
        runtime=minutes(10),
    params:
        code=code_digest("read_true_volumes"),
    message:
        "Reading the true volumes of the simulated participants"
    script:
        "../scripts/read_true_volumes.py"
