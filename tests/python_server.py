"""Run Python programs many times, each in a process of its own that finds its libraries imported.

Jobs of the micro study take less time than importing torch and MONAI. This program imports them
once, and then forks for every request: nothing that one program does is seen by the next. Of
``ldae`` it imports nothing, as each copy of the workflow has its own. A program differs from one
with an interpreter of its own in ``sys.modules`` only, and so in its record's list of software.

Requests come from :data:`CLIENT`, a program that takes the place of the interpreter, over a Unix
socket whose descriptor is the first argument. The server ends with the end of its standard input.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

# What most jobs import, and what takes longest.
LIBRARIES = (
    "jinja2", "joblib", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_pdf",
    "matplotlib.backends.backend_svg", "matplotlib.figure", "monai.losses", "monai.networks.nets",
    "nibabel", "nilearn.masking", "pandas", "pydantic", "pytorch_lightning", "scipy.ndimage",
    "scipy.optimize", "scipy.stats", "SimpleITK", "skimage.metrics", "sklearn.decomposition",
    "sklearn.linear_model", "sklearn.model_selection", "snakemake.logging", "torch.utils.data",
    "transformers.models.convnext.modeling_convnext",
)  # fmt: skip

CLIENT = """\
#!{python} -IS
import json, os, socket, sys

with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"\\n"], [0, 1, 2])
    request = {{"folder": os.getcwd(), "arguments": sys.argv[1:], "environment": dict(os.environ)}}
    request["umask"] = os.umask(0)
    server.sendall(json.dumps(request).encode())
    server.shutdown(socket.SHUT_WR)
    status = server.recv(16)
sys.exit(int(status))
"""


def become(request: dict[str, Any], descriptors: list[int]) -> None:
    """Make this process what ``python <script> …`` would be in the folder of a request."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.umask(request["umask"])
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = request["arguments"]
    sys.path[0] = os.path.dirname(sys.argv[0])


def run(program: Callable[[], int | None]) -> NoReturn:
    """Run a program, and end this process without taking apart what it has imported.

    That would take as long as many a program. Otherwise it ends as an interpreter does.
    """
    try:
        sys.exit(program())
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:  # noqa: BLE001  reported as an interpreter reports it
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def run_script() -> None:
    """Run the file that the arguments name as the main program."""
    runpy.run_path(sys.argv[0], run_name="__main__")


def answer(connection: socket.socket) -> None:
    """Run the program of one request, and send its exit status."""
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile() as text:
        request = json.load(text)
    program = os.fork()
    if program == 0:
        connection.close()
        become(request, descriptors)
        run(run_script)
    _, status = os.waitpid(program, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def serve(listener: socket.socket) -> None:
    """Answer requests until the standard input ends."""
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # no program looks for garbage among them
    running: list[int] = []
    while listener in select.select([sys.stdin, listener], [], [])[0]:
        connection, _ = listener.accept()
        process = os.fork()
        if process == 0:
            listener.close()
            answer(connection)
        connection.close()
        running = [one for one in [*running, process] if os.waitpid(one, os.WNOHANG) == (0, 0)]


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
