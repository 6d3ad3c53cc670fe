"""What is named by reference: ``module:name``, of this package or of a file of one's own.

Networks, samplers, figures and tables are registered by reference, so that reading the registry
imports none of them, and a change of one is no change of the others.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from ldae.errors import InputError


@cache
def import_named(name: str) -> ModuleType:
    """A module by its dotted name, or by its file if the name ends in ``.py``.

    Raises
    ------
    InputError
        If there is no such module.
    """
    try:
        if not name.endswith(".py"):
            return importlib.import_module(name)
        spec = importlib.util.spec_from_file_location(Path(name).stem, name)
        if spec is None or spec.loader is None:
            raise ImportError(name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except (ImportError, OSError) as error:
        remedy = "Correct the setting plugins, or install the package"
        raise InputError(f"plugin {name}", f"it cannot be imported ({error})", remedy) from error
    return module


def resolve(reference: str) -> Any:
    """The object that ``module:name`` refers to.

    Raises
    ------
    InputError
        If the module or the name is not there.
    """
    module, _, name = reference.partition(":")
    found = import_named(module)
    if not hasattr(found, name):
        raise InputError(reference, f"{module} has no {name}", "Correct the reference")
    _resolved.add(reference)
    return getattr(found, name)


_resolved: set[str] = set()


def resolved() -> list[str]:
    """References that this process has resolved, sorted: its record names them.

    The digest of a job's code (:func:`ldae.provenance.code.code_digest`) is of its script and of
    these, which the script does not show.
    """
    return sorted(_resolved)
