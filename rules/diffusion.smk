# The latent diffusion autoencoder: the unconditional prior, then encoder and gradient estimator.


rule train_prior:
    input:
        mu=rules.encode_latents.output.mu,
        sigma=rules.encode_latents.output.sigma,
        scale=rules.measure_latent_scale.output.scale,
        index=rules.pack_volumes.output.index,
    output:
        model="<results>/{network}/seed-{seed}/model.safetensors",
        metrics="<results>/{network}/seed-{seed}/metrics.csv",
    log:
        text="<results>/logs/train_prior/{network}/seed-{seed}.log",
    benchmark:
        "<results>/benchmarks/train_prior/{network}/seed-{seed}.tsv"
    wildcard_constraints:
        network=variants("prior"),
    priority: LONGEST_WAY
    retries: TRAINING_RETRIES
    conda:
        "../envs/torch.yaml"
    container:
        image("torch")
    threads: TRAINING_THREADS
    resources:
        mem_mb=memory(32000, scans=0.1),
        runtime=TRAINING_MINUTES,
        checkpoint_minutes=10,
    params:
        settings=section("prior"),
        diffusion=lookup(within=config, dpath="diffusion"),
        work_dir=checkpoint_folder,
        seed=training_seed,
        code=code_digest("train_prior"),
    message:
        "Training the unconditional diffusion prior in the latent space ({wildcards.network}, seed {wildcards.seed})"
    script:
        "../scripts/train_prior.py"


rule train_ldae:
    input:
        starting_weights=pretrained_weights,
        volumes=rules.pack_volumes.output.volumes,
        masks=rules.pack_volumes.output.masks,
        index=rules.pack_volumes.output.index,
        mu=rules.encode_latents.output.mu,
        sigma=rules.encode_latents.output.sigma,
        scale=rules.measure_latent_scale.output.scale,
        prior=prior_weights,
    output:
        model="<results>/{network}/seed-{seed}/model.safetensors",
        metrics="<results>/{network}/seed-{seed}/metrics.csv",
    log:
        text="<results>/logs/train_ldae/{network}/seed-{seed}.log",
    benchmark:
        "<results>/benchmarks/train_ldae/{network}/seed-{seed}.tsv"
    wildcard_constraints:
        network=variants("ldae"),
    priority: LONGEST_WAY
    retries: TRAINING_RETRIES
    conda:
        "../envs/torch.yaml"
    container:
        image("torch")
    threads: TRAINING_THREADS
    resources:
        mem_mb=memory(64000),
        runtime=TRAINING_MINUTES,
        checkpoint_minutes=10,
    params:
        settings=section("ldae"),
        encoder=section("encoder"),
        diffusion=lookup(within=config, dpath="diffusion"),
        work_dir=checkpoint_folder,
        seed=training_seed,
        code=code_digest("train_ldae"),
    message:
        "Training the semantic encoder and the gradient estimator ({wildcards.network}, seed {wildcards.seed})"
    script:
        "../scripts/train_ldae.py"


rule train_ldae_joint:
    input:
        volumes=rules.pack_volumes.output.volumes,
        masks=rules.pack_volumes.output.masks,
        mu=rules.encode_latents.output.mu,
        sigma=rules.encode_latents.output.sigma,
        scale=rules.measure_latent_scale.output.scale,
        index=rules.pack_volumes.output.index,
    output:
        model="<results>/{network}/seed-{seed}/model.safetensors",
        metrics="<results>/{network}/seed-{seed}/metrics.csv",
    log:
        text="<results>/logs/train_ldae_joint/{network}/seed-{seed}.log",
    benchmark:
        "<results>/benchmarks/train_ldae_joint/{network}/seed-{seed}.tsv"
    wildcard_constraints:
        network=variants("ldae_joint"),
    retries: TRAINING_RETRIES
    conda:
        "../envs/torch.yaml"
    container:
        image("torch")
    threads: TRAINING_THREADS
    resources:
        mem_mb=memory(32000, scans=0.1),
        runtime=TRAINING_MINUTES,
        checkpoint_minutes=10,
    params:
        settings=section("ldae_joint"),
        spacing_mm=lookup(within=config, dpath="grid/spacing_mm"),
        diffusion=lookup(within=config, dpath="diffusion"),
        work_dir=checkpoint_folder,
        seed=training_seed,
        code=code_digest("train_ldae_joint"),
    message:
        "Training encoder and denoiser of the joint variant ({wildcards.network}, seed {wildcards.seed})"
    script:
        "../scripts/train_ldae_joint.py"
