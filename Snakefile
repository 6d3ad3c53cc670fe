# The study from raw heads to the report; what each part does is in rules/.
from ldae.paths import leave_python_path
from snakemake.utils import min_version

min_version("9.27")
leave_python_path()


configfile: f"{workflow.basedir}/config.yaml"


include: "rules/common.smk"
include: "rules/cohort.smk"
include: "rules/preprocessing.smk"
include: "rules/autoencoder.smk"
include: "rules/networks.smk"
include: "rules/codes.smk"
include: "rules/evaluation.smk"
include: "rules/figures.smk"
include: "rules/report.smk"


with launch.one_line_errors(config):
    containers.use_images(workflow)
    launch.check_profile(workflow, config["gpu"])


localrules:
    all,
    crate,
    write_config,


onstart:
    with launch.one_line_errors(config):
        launch.check_scheduler(workflow, Path(results("")))
    launch.seal(Path(results("")), logger)


onsuccess:
    launch.seal(Path(results("")), logger)
    remove_checkpoints(Path(results("")))


onerror:
    launch.seal(Path(results("")), logger)


rule all:
    default_target: True
    input:
        rules.build_report.output.page,
        rules.write_config.output.config,


rule crate:
    input:
        rules.make_crate.output.crate,
