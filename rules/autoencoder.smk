# Compression: the autoencoder, the latents of every scan, and their scale.


rule train_autoencoder:
    input:
        **SCANS,
        starting_weights=study.perceptual,
        pretrained=study.pretrained_autoencoder,
    output:
        model="<results>/autoencoder/model.safetensors",
        metrics="<results>/autoencoder/metrics.csv",
    log:
        text="<results>/logs/train_autoencoder.log",
    benchmark:
        "<results>/benchmarks/train_autoencoder.tsv"
    priority: LONGEST_WAY
    retries: TRAINING_RETRIES
    conda:
        "../envs/torch.yaml"
    threads: TRAINING_THREADS
    resources:
        **TRAINING,
        mem_mb=memory(32000),
    params:
        train=not_compared("ldae.training.autoencoder:train_autoencoder"),
        sections=study.section("autoencoder"),
        work_dir=results("checkpoints/autoencoder"),
        seed=lookup(within=config, dpath="seed"),
        code=code_digest("train_network", "ldae.training.autoencoder:train_autoencoder"),
    message:
        "Training the autoencoder that compresses a scan"
    script:
        "../scripts/train_network.py"


rule encode_latents:
    input:
        **SCANS,
        autoencoder=rules.train_autoencoder.output.model,
    output:
        mu="<results>/latents/mu.npy",
        sigma="<results>/latents/sigma.npy",
    log:
        text="<results>/logs/encode_latents.log",
    benchmark:
        "<results>/benchmarks/encode_latents.tsv"
    priority: LONGEST_WAY
    conda:
        "../envs/torch.yaml"
    threads: BATCH_THREADS
    resources:
        **IN_PIECES,
        mem_mb=memory(16000),
        runtime=minutes(15, per_scan=0.02),
    params:
        code=code_digest("encode_latents"),
    message:
        "Encoding every scan into its latent mean and SD"
    script:
        "../scripts/encode_latents.py"


rule measure_latent_scale:
    input:
        mu=rules.encode_latents.output.mu,
        index=rules.pack_volumes.output.index,
        kept=study.kept_scale,
    output:
        scale="<results>/latents/scale.json",
    log:
        text="<results>/logs/measure_latent_scale.log",
    benchmark:
        "<results>/benchmarks/measure_latent_scale.tsv"
    priority: LONGEST_WAY
    conda:
        "../envs/torch.yaml"
    resources:
        mem_mb=memory(4000, latents=4),
        runtime=minutes(10, per_scan=0.0005),
    params:
        code=code_digest("measure_latent_scale"),
    message:
        "Measuring the SD of the latents of the training split"
    script:
        "../scripts/measure_latent_scale.py"


# What evaluations read beside the models' own weights.
MODEL_FILES = {
    "autoencoder": rules.train_autoencoder.output.model,
    "scale": rules.measure_latent_scale.output.scale,
    **SCANS,
}
