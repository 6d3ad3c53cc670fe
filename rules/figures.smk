# Every figure of ldae/figures/registry.py; beside each lies the table that it shows.


rule plot_figure:
    input:
        unpack(study.products.files),
    output:
        png="<results>/figures/{figure}.png",
        svg="<results>/figures/{figure}.svg",
        pdf="<results>/figures/{figure}.pdf",
        data="<results>/figures/{figure}.tsv",
    log:
        text="<results>/logs/plot_figure/{figure}.log",
    benchmark:
        "<results>/benchmarks/plot_figure/{figure}.tsv"
    conda:
        "../envs/analysis.yaml"
    resources:
        mem_mb=memory(4000),
        runtime=minutes(10),
    params:
        recipe=study.products.recipe,
        arguments=study.products.arguments,
        methods=plan.methods.as_params(),
        networks=study.looks,
        code=study.product_code("plot_figure"),
    message:
        "Drawing the figure {wildcards.figure}"
    script:
        "../scripts/plot_figure.py"
