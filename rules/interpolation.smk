# The learned part of the interpolation: a residual on the average of two visits.


rule train_residual:
    input:
        volumes=rules.pack_volumes.output.volumes,
        masks=rules.pack_volumes.output.masks,
        index=rules.pack_volumes.output.index,
        mu=rules.encode_latents.output.mu,
        sigma=rules.encode_latents.output.sigma,
        scale=rules.measure_latent_scale.output.scale,
    output:
        model="<results>/residual/model.safetensors",
        metrics="<results>/residual/metrics.csv",
    log:
        text="<results>/logs/train_residual.log",
    benchmark:
        "<results>/benchmarks/train_residual.tsv"
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
        settings=lookup(within=config, dpath="residual"),
        work_dir=results("checkpoints/residual"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("train_residual"),
    message:
        "Training the residual between the visits of the training people"
    script:
        "../scripts/train_residual.py"
