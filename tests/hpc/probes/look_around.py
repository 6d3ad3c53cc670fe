"""Report what a job in a container sees of its host."""

import json
import os
import shutil
import socket
import sys
from pathlib import Path

import ldae
from ldae.workflow.entry import rule_entry

REPOSITORY = str(Path(ldae.__file__).parents[1])
ENVIRONMENT = (sys.prefix, sys.base_prefix)

with rule_entry(snakemake):
    port = Path("port")
    try:
        socket.create_connection(("127.0.0.1", int(port.read_text())), timeout=5).close()
        connection = "made"
    except OSError as error:
        connection = str(error)
    facts = {
        "interfaces": sorted(
            line.partition(":")[0].strip()
            for line in Path("/proc/net/dev").read_text().splitlines()[2:]
        ),
        "connection": connection,
        "secret": os.environ.get("LDAE_HOST_ONLY"),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "driver": shutil.which("nvidia-smi") is not None,
        "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "host_home": Path("/root/.ldae-host-only").exists(),
        "foreign": [
            place for place in sys.path if place != REPOSITORY and not place.startswith(ENVIRONMENT)
        ],
    }
    Path(snakemake.output.facts).write_text(json.dumps(facts))
