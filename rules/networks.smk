# Networks that are trained once per training seed, and the code of every scan from their encoders.
# Which there are, and what each is trained with, is in ldae/methods/registry.py.


rule train_network:
    input:
        **SCANS,
        starting_weights=study.imagenet,
        pretrained=study.pretrained,
        mu=branch(study.in_latents, then=rules.encode_latents.output.mu, otherwise=[]),
        sigma=branch(study.in_latents, then=rules.encode_latents.output.sigma, otherwise=[]),
        scale=branch(study.in_latents, then=rules.measure_latent_scale.output.scale, otherwise=[]),
        stands_on=study.stands_on,
        scans=study.labels,
    output:
        model="<results>/{network}/seed-{seed}/model.safetensors",
        metrics="<results>/{network}/seed-{seed}/metrics.csv",
    log:
        text="<results>/logs/train_network/{network}/seed-{seed}.log",
    benchmark:
        "<results>/benchmarks/train_network/{network}/seed-{seed}.tsv"
    wildcard_constraints:
        network=one_of(study.not_followed),
    priority: LONGEST_WAY
    retries: TRAINING_RETRIES
    conda:
        "../envs/torch.yaml"
    threads: TRAINING_THREADS
    resources:
        **TRAINING,
        mem_mb=demands.training_memory,
    params:
        train=study.training,
        sections=study.sections,
        work_dir=study.checkpoints,
        seed=study.training_seed,
        code=study.training_code,
    message:
        "Training {wildcards.network}, seed {wildcards.seed}"
    script:
        "../scripts/train_network.py"


# A network that is followed for learning curves is trained alike and keeps weights on the way.
use rule train_network as train_followed with:
    output:
        model="<results>/{network}/seed-{seed}/model.safetensors",
        metrics="<results>/{network}/seed-{seed}/metrics.csv",
        kept=expand("<results>/{{network}}/seed-{{seed}}/{file}", file=study.snapshot_files),
    log:
        text="<results>/logs/train_followed/{network}/seed-{seed}.log",
    benchmark:
        "<results>/benchmarks/train_followed/{network}/seed-{seed}.tsv"
    wildcard_constraints:
        network=one_of(study.followed),


rule encode_semantics:
    input:
        **SCANS,
        model=study.weights,
    output:
        codes="<results>/codes/{network}/seed-{seed}.npy",
    log:
        text="<results>/logs/encode_semantics/{network}/seed-{seed}.log",
    benchmark:
        "<results>/benchmarks/encode_semantics/{network}/seed-{seed}.tsv"
    wildcard_constraints:
        network=one_of(study.encoders),
    conda:
        "../envs/torch.yaml"
    threads: BATCH_THREADS
    resources:
        **IN_PIECES,
        mem_mb=memory(16000),
        runtime=minutes(15, per_scan=0.02),
    params:
        encoder=study.encoder,
        seed=study.training_seed,
        code=study.encoder_code,
    message:
        "Encoding every scan into its semantic code ({wildcards.network}, seed {wildcards.seed})"
    script:
        "../scripts/encode_semantics.py"
