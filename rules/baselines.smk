# Networks to compare with: a diffusion autoencoder in voxel space and a supervised encoder.


rule train_voxel_dae:
    input:
        volumes=rules.pack_volumes.output.volumes,
        masks=rules.pack_volumes.output.masks,
        index=rules.pack_volumes.output.index,
    output:
        model="<results>/voxel_dae/model.safetensors",
        metrics="<results>/voxel_dae/metrics.csv",
    log:
        text="<results>/logs/train_voxel_dae.log",
    benchmark:
        "<results>/benchmarks/train_voxel_dae.tsv"
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
        settings=lookup(within=config, dpath="voxel_dae"),
        encoder=lookup(within=config, dpath="encoder"),
        diffusion=lookup(within=config, dpath="diffusion"),
        work_dir=results("checkpoints/voxel_dae"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("train_voxel_dae"),
    message:
        "Training the diffusion autoencoder in voxel space"
    script:
        "../scripts/train_voxel_dae.py"


rule train_supervised:
    input:
        volumes=rules.pack_volumes.output.volumes,
        masks=rules.pack_volumes.output.masks,
        index=rules.pack_volumes.output.index,
    output:
        model="<results>/supervised/model.safetensors",
        metrics="<results>/supervised/metrics.csv",
    log:
        text="<results>/logs/train_supervised.log",
    benchmark:
        "<results>/benchmarks/train_supervised.tsv"
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
        settings=lookup(within=config, dpath="supervised"),
        encoder=lookup(within=config, dpath="encoder"),
        work_dir=results("checkpoints/supervised"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("train_supervised"),
    message:
        "Training the same encoder with labels"
    script:
        "../scripts/train_supervised.py"
