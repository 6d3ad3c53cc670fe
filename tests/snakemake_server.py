"""Run Snakemake's command many times, each time in a process of its own that imports little.

Most plans take less time than importing Snakemake. This program imports it once, and then forks for
every request: nothing that one run does is seen by the next. Of ``ldae`` it imports nothing, as
each copy of the workflow has its own.

A request is a line of JSON on standard input, with ``folder``, ``arguments``, ``environment``,
``umask``, the ``python`` that runs scripts, and the files ``stdout`` and ``stderr``. The answer is
the exit status, a line on standard output.
"""

import gc
import json
import os
import sys
from typing import Any

from python_server import run
from snakemake.cli import main


def become(request: dict[str, Any]) -> None:
    """Make this process what ``python -m snakemake`` would be in the folder of a request."""
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        with open(request[name], "wb") as file:
            os.dup2(file.fileno(), descriptor)
    os.umask(request["umask"])
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[0] = request["folder"]
    sys.argv = ["snakemake", *request["arguments"]]
    sys.executable = request["python"]


gc.disable()  # looking for garbage takes a fifth of a plan, and no run lasts long enough to need it
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        become(json.loads(line))
        run(main)
    _, status = os.waitpid(child, 0)
    sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
    sys.stdout.flush()
