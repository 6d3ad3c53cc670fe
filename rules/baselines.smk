# Networks to compare with: a diffusion autoencoder in voxel space and a supervised encoder.


rule train_voxel_dae:
    input:
        starting_weights=pretrained_weights,
        volumes=rules.pack_volumes.output.volumes,
        masks=rules.pack_volumes.output.masks,
        index=rules.pack_volumes.output.index,
    output:
        model="<results>/{network}/seed-{seed}/model.safetensors",
        metrics="<results>/{network}/seed-{seed}/metrics.csv",
    log:
        text="<results>/logs/train_voxel_dae/{network}/seed-{seed}.log",
    benchmark:
        "<results>/benchmarks/train_voxel_dae/{network}/seed-{seed}.tsv"
    wildcard_constraints:
        network=variants("voxel_dae"),
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
        settings=section("voxel_dae"),
        encoder=section("encoder"),
        diffusion=lookup(within=config, dpath="diffusion"),
        work_dir=checkpoint_folder,
        seed=training_seed,
        code=code_digest("train_voxel_dae"),
    message:
        "Training the diffusion autoencoder in voxel space ({wildcards.network}, seed {wildcards.seed})"
    script:
        "../scripts/train_voxel_dae.py"


rule train_supervised:
    input:
        starting_weights=pretrained_weights,
        volumes=rules.pack_volumes.output.volumes,
        masks=rules.pack_volumes.output.masks,
        index=rules.pack_volumes.output.index,
    output:
        model="<results>/{network}/seed-{seed}/model.safetensors",
        metrics="<results>/{network}/seed-{seed}/metrics.csv",
    log:
        text="<results>/logs/train_supervised/{network}/seed-{seed}.log",
    benchmark:
        "<results>/benchmarks/train_supervised/{network}/seed-{seed}.tsv"
    wildcard_constraints:
        network=variants("supervised"),
    retries: TRAINING_RETRIES
    conda:
        "../envs/torch.yaml"
    container:
        image("torch")
    threads: TRAINING_THREADS
    resources:
        mem_mb=memory(32000),
        runtime=TRAINING_MINUTES,
        checkpoint_minutes=10,
    params:
        settings=section("supervised"),
        encoder=section("encoder"),
        work_dir=checkpoint_folder,
        seed=training_seed,
        code=code_digest("train_supervised"),
    message:
        "Training the same encoder with labels ({wildcards.network}, seed {wildcards.seed})"
    script:
        "../scripts/train_supervised.py"
