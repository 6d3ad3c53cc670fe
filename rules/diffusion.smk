# The latent diffusion autoencoder: the unconditional prior, then encoder and gradient estimator.


rule train_prior:
    input:
        mu=rules.encode_latents.output.mu,
        sigma=rules.encode_latents.output.sigma,
        scale=rules.measure_latent_scale.output.scale,
        index=rules.pack_volumes.output.index,
    output:
        model="<results>/prior/model.safetensors",
        metrics="<results>/prior/metrics.csv",
    log:
        text="<results>/logs/train_prior.log",
    benchmark:
        "<results>/benchmarks/train_prior.tsv"
    priority: LONGEST_WAY
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
        settings=lookup(within=config, dpath="prior"),
        diffusion=lookup(within=config, dpath="diffusion"),
        work_dir=results("checkpoints/prior"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("train_prior"),
    message:
        "Training the unconditional diffusion prior in the latent space"
    script:
        "../scripts/train_prior.py"


rule train_ldae:
    input:
        volumes=rules.pack_volumes.output.volumes,
        masks=rules.pack_volumes.output.masks,
        index=rules.pack_volumes.output.index,
        mu=rules.encode_latents.output.mu,
        sigma=rules.encode_latents.output.sigma,
        scale=rules.measure_latent_scale.output.scale,
        prior=rules.train_prior.output.model,
    output:
        model="<results>/ldae/model.safetensors",
        metrics="<results>/ldae/metrics.csv",
    log:
        text="<results>/logs/train_ldae.log",
    benchmark:
        "<results>/benchmarks/train_ldae.tsv"
    priority: LONGEST_WAY
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
        settings=lookup(within=config, dpath="ldae"),
        encoder=lookup(within=config, dpath="encoder"),
        diffusion=lookup(within=config, dpath="diffusion"),
        work_dir=results("checkpoints/ldae"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("train_ldae"),
    message:
        "Training the semantic encoder and the gradient estimator"
    script:
        "../scripts/train_ldae.py"


rule train_joint_ldae:
    input:
        mu=rules.encode_latents.output.mu,
        sigma=rules.encode_latents.output.sigma,
        scale=rules.measure_latent_scale.output.scale,
        index=rules.pack_volumes.output.index,
    output:
        model="<results>/ldae_joint/model.safetensors",
        metrics="<results>/ldae_joint/metrics.csv",
    log:
        text="<results>/logs/train_joint_ldae.log",
    benchmark:
        "<results>/benchmarks/train_joint_ldae.tsv"
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
        settings=lookup(within=config, dpath="ldae_joint"),
        diffusion=lookup(within=config, dpath="diffusion"),
        work_dir=results("checkpoints/ldae_joint"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("train_joint_ldae"),
    message:
        "Training encoder and denoiser of the joint variant"
    script:
        "../scripts/train_joint_ldae.py"
