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
        model="<results>/{network}/seed-{seed}/model.safetensors",
        metrics="<results>/{network}/seed-{seed}/metrics.csv",
    log:
        text="<results>/logs/train_residual/{network}/seed-{seed}.log",
    benchmark:
        "<results>/benchmarks/train_residual/{network}/seed-{seed}.tsv"
    wildcard_constraints:
        network=variants("residual"),
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
        settings=section("residual"),
        work_dir=checkpoint_folder,
        seed=training_seed,
        code=code_digest("train_residual"),
    message:
        "Training the residual between the visits of the training people ({wildcards.network}, seed {wildcards.seed})"
    script:
        "../scripts/train_residual.py"
