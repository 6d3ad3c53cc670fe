# What the codes and models can do, in numbers on the test split.


rule fit_probe:
    input:
        codes="<results>/codes/{method}.npy",
        index=rules.pack_volumes.output.index,
    output:
        weights="<results>/probes/{method}.json",
        predictions="<results>/probes/{method}.tsv",
    log:
        text="<results>/logs/fit_probe/{method}.log",
    benchmark:
        "<results>/benchmarks/fit_probe/{method}.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30, per_scan=0.01),
    params:
        c_grid=lookup(within=config, dpath="probes/c_grid"),
        alpha_grid=lookup(within=config, dpath="probes/alpha_grid"),
        n_folds=lookup(within=config, dpath="probes/n_folds"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("fit_probe"),
    message:
        "Fitting linear probes on the codes of {wildcards.method}"
    script:
        "../scripts/fit_probe.py"


rule tabulate_probes:
    input:
        predictions=expand(rules.fit_probe.output.predictions, method=plan.methods),
    output:
        table="<results>/tables/probes.tsv",
        text="<results>/tables/probes.md",
    log:
        text="<results>/logs/tabulate_probes.log",
    benchmark:
        "<results>/benchmarks/tabulate_probes.tsv"
    conda:
        "../envs/analysis.yaml"
    container:
        image("analysis")
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30, per_scan=0.01),
    params:
        study=lookup(within=config, dpath="study"),
        methods=plan.methods,
        n_bootstrap=lookup(within=config, dpath="evaluation/n_bootstrap"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("tabulate_probes"),
    message:
        "Scoring the probes on the test split"
    script:
        "../scripts/tabulate_probes.py"


rule evaluate_reconstruction:
    input:
        ldae=rules.train_ldae.output.model,
        prior=rules.train_prior.output.model,
        autoencoder=rules.train_autoencoder.output.model,
        scale=rules.measure_latent_scale.output.scale,
        voxel_dae=rules.train_voxel_dae.output.model,
        volumes=rules.pack_volumes.output.volumes,
        masks=rules.pack_volumes.output.masks,
        index=rules.pack_volumes.output.index,
    output:
        table="<results>/tables/reconstruction.tsv",
        text="<results>/tables/reconstruction.md",
        examples="<results>/examples/reconstruction.npz",
    log:
        text="<results>/logs/evaluate_reconstruction.log",
    benchmark:
        "<results>/benchmarks/evaluate_reconstruction.tsv"
    conda:
        "../envs/torch.yaml"
    container:
        image("torch")
    threads: TRAINING_THREADS
    resources:
        mem_mb=memory(32000),
        runtime=minutes(240, per_scan=0.1),
        micro_batch=16,
    params:
        study=lookup(within=config, dpath="study"),
        diffusion=lookup(within=config, dpath="diffusion"),
        settings=lookup(within=config, dpath="evaluation/reconstruction"),
        n_bootstrap=lookup(within=config, dpath="evaluation/n_bootstrap"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("evaluate_reconstruction"),
    message:
        "Reconstructing test scans with every model and number of steps"
    script:
        "../scripts/evaluate_reconstruction.py"


rule vary_stochastic:
    input:
        ldae=rules.train_ldae.output.model,
        prior=rules.train_prior.output.model,
        autoencoder=rules.train_autoencoder.output.model,
        scale=rules.measure_latent_scale.output.scale,
        voxel_dae=rules.train_voxel_dae.output.model,
        volumes=rules.pack_volumes.output.volumes,
        masks=rules.pack_volumes.output.masks,
        index=rules.pack_volumes.output.index,
    output:
        table="<results>/tables/stochastic.tsv",
        text="<results>/tables/stochastic.md",
        examples="<results>/examples/stochastic.npz",
    log:
        text="<results>/logs/vary_stochastic.log",
    benchmark:
        "<results>/benchmarks/vary_stochastic.tsv"
    conda:
        "../envs/torch.yaml"
    container:
        image("torch")
    threads: TRAINING_THREADS
    resources:
        mem_mb=memory(32000),
        runtime=minutes(120),
        micro_batch=16,
    params:
        study=lookup(within=config, dpath="study"),
        diffusion=lookup(within=config, dpath="diffusion"),
        settings=lookup(within=config, dpath="evaluation/stochastic"),
        n_bootstrap=lookup(within=config, dpath="evaluation/n_bootstrap"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("vary_stochastic"),
    message:
        "Decoding one semantic code from many stochastic codes"
    script:
        "../scripts/vary_stochastic.py"


rule manipulate_attribute:
    input:
        ldae=rules.train_ldae.output.model,
        prior=rules.train_prior.output.model,
        autoencoder=rules.train_autoencoder.output.model,
        scale=rules.measure_latent_scale.output.scale,
        codes="<results>/codes/ldae.npy",
        volumes=rules.pack_volumes.output.volumes,
        masks=rules.pack_volumes.output.masks,
        index=rules.pack_volumes.output.index,
    output:
        table="<results>/tables/manipulation.tsv",
        text="<results>/tables/manipulation.md",
        examples="<results>/examples/manipulation.npz",
    log:
        text="<results>/logs/manipulate_attribute.log",
    benchmark:
        "<results>/benchmarks/manipulate_attribute.tsv"
    conda:
        "../envs/torch.yaml"
    container:
        image("torch")
    threads: TRAINING_THREADS
    resources:
        mem_mb=memory(32000),
        runtime=minutes(240, per_scan=0.1),
        micro_batch=16,
    params:
        study=lookup(within=config, dpath="study"),
        diffusion=lookup(within=config, dpath="diffusion"),
        grid=lookup(within=config, dpath="grid"),
        settings=lookup(within=config, dpath="evaluation/manipulation"),
        probes=lookup(within=config, dpath="probes"),
        n_bootstrap=lookup(within=config, dpath="evaluation/n_bootstrap"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("manipulate_attribute"),
    message:
        "Moving test scans along the directions of disease and age"
    script:
        "../scripts/manipulate_attribute.py"


rule interpolate_gaps:
    input:
        ldae=rules.train_ldae.output.model,
        prior=rules.train_prior.output.model,
        autoencoder=rules.train_autoencoder.output.model,
        scale=rules.measure_latent_scale.output.scale,
        volumes=rules.pack_volumes.output.volumes,
        masks=rules.pack_volumes.output.masks,
        index=rules.pack_volumes.output.index,
    output:
        table="<results>/tables/interpolation.tsv",
        text="<results>/tables/interpolation.md",
        examples="<results>/examples/interpolation.npz",
    log:
        text="<results>/logs/interpolate_gaps.log",
    benchmark:
        "<results>/benchmarks/interpolate_gaps.tsv"
    conda:
        "../envs/torch.yaml"
    container:
        image("torch")
    threads: TRAINING_THREADS
    resources:
        mem_mb=memory(32000),
        runtime=minutes(240, per_scan=0.1),
        micro_batch=16,
    params:
        study=lookup(within=config, dpath="study"),
        diffusion=lookup(within=config, dpath="diffusion"),
        grid=lookup(within=config, dpath="grid"),
        settings=lookup(within=config, dpath="evaluation/interpolation"),
        n_bootstrap=lookup(within=config, dpath="evaluation/n_bootstrap"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("interpolate_gaps"),
    message:
        "Predicting middle visits from the two around them"
    script:
        "../scripts/interpolate_gaps.py"


rule measure_throughput:
    input:
        ldae=rules.train_ldae.output.model,
        prior=rules.train_prior.output.model,
        autoencoder=rules.train_autoencoder.output.model,
        scale=rules.measure_latent_scale.output.scale,
        voxel_dae=rules.train_voxel_dae.output.model,
        volumes=rules.pack_volumes.output.volumes,
        masks=rules.pack_volumes.output.masks,
        index=rules.pack_volumes.output.index,
    output:
        table="<results>/tables/throughput.tsv",
        text="<results>/tables/throughput.md",
    log:
        text="<results>/logs/measure_throughput.log",
    benchmark:
        "<results>/benchmarks/measure_throughput.tsv"
    conda:
        "../envs/torch.yaml"
    container:
        image("torch")
    threads: TRAINING_THREADS
    resources:
        mem_mb=memory(32000),
        runtime=minutes(120),
    params:
        study=lookup(within=config, dpath="study"),
        diffusion=lookup(within=config, dpath="diffusion"),
        settings=lookup(within=config, dpath="evaluation/throughput"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("measure_throughput"),
    message:
        "Measuring time and memory per scan"
    script:
        "../scripts/measure_throughput.py"
