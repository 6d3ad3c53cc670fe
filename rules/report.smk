# The settings as used, the page with every figure and table, and the study as a research object.


rule write_config:
    output:
        config="<results>/config.yaml",
    log:
        text="<results>/logs/write_config.log",
    benchmark:
        "<results>/benchmarks/write_config.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=memory(1000),
        runtime=minutes(5),
    params:
        config=config,
        code=code_digest("write_config"),
    message:
        "Writing down the settings with all defaults"
    script:
        "../scripts/write_config.py"


rule build_report:
    input:
        pictures=[results(one.picture) for one in plan.figures.values()],
        data=expand("<results>/figures/{name}.tsv", name=plan.drawn),
        tables=expand("<results>/tables/{name}.tsv", name=plan.tables),
        config=rules.write_config.output.config,
        cohort=[results(path) for path in study.cohort_tables],
        examples=[results(path) for path in study.examples],
    output:
        page="<results>/report.html",
        viewer="<results>/viewer.html",
        methods=multiext("<results>/methods/methods", ".md", ".bib", ".json"),
        ledger="<results>/test_ledger.tsv",
    log:
        text="<results>/logs/build_report.log",
    benchmark:
        "<results>/benchmarks/build_report.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(30, per_scan=0.01),
    params:
        figures={name: one.section for name, one in plan.figures.items()},
        captions=not_compared(study.captions),
        arguments={n: one.arguments(config) for n, one in plan.figures.items()},
        tables={n: [one.section, one.title] for n, one in plan.tables.items()},
        methods=plan.methods.as_params(),
        networks=study.looks,
        left_out=plan.left_out | plan.not_made,
        code=code_digest("build_report", *study.captions.values()),
    message:
        "Building the report"
    script:
        "../scripts/build_report.py"


rule make_crate:
    input:
        page=rules.build_report.output.page,
    output:
        crate=directory("<results>/crate"),
    log:
        text="<results>/logs/make_crate.log",
    benchmark:
        "<results>/benchmarks/make_crate.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(60),
    params:
        code=code_digest("make_crate"),
    message:
        "Writing the study as a research object"
    script:
        "../scripts/make_crate.py"


# These two have no input, output and benchmark, so that they look at what is there each time.
rule audit:
    log:
        text="<results>/logs/audit.log",
        verdict="<results>/provenance/audit.json",
    conda:
        "../envs/analysis.yaml"
    threads: TRAINING_THREADS
    resources:
        mem_mb=memory(4000),
        runtime=minutes(720),
    params:
        code=code_digest("audit"),
    message:
        "Checking that every result is still what was computed"
    script:
        "../scripts/audit.py"


rule doctor:
    log:
        text="<results>/logs/doctor.log",
    conda:
        "../envs/torch.yaml"
    resources:
        **ON_GPU,
        mem_mb=memory(64000),
        runtime=minutes(30),
    params:
        trials=study.trials,
        code=code_digest("doctor"),
    message:
        "Looking at a node and trying every network on it"
    script:
        "../scripts/doctor.py"
