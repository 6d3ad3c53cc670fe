"""Latent diffusion autoencoders for brain MRI: the science behind the workflow's rules.

For other programs, ``ldae.load(results).encode(scan)`` gives the semantic code of a scan (see
:mod:`ldae.api`).
"""

import importlib

from ldae.isolation import keep_to_environment

__version__ = "0.2.0.dev0"

keep_to_environment()

# Found when they are first asked for: each import of the package would otherwise load torch. Their
# types are in __init__.pyi.
_LAZY = ("Decoded", "Model", "Prediction", "load")


def __getattr__(name: str) -> object:
    """What is imported only when it is asked for."""
    if name in _LAZY:
        try:
            return getattr(importlib.import_module("ldae.api"), name)
        except ModuleNotFoundError as error:
            missing = str(error.name).partition(".")[0]
            if missing == __name__:
                raise
            problem = f"ldae.{name} needs the package {missing}, which is not installed"
            remedy = "Install ldae with what it needs: pip install ."
            raise ModuleNotFoundError(f"{problem}. {remedy}", name=missing) from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
