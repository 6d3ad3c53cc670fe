"""What a digest of code leaves out because no number depends on it, each with its reason."""

from __future__ import annotations

import sys

# The functions of these modules are known to a digest by name only; nothing in them counts.
ERRORS = "ldae.errors"
OPAQUE = {
    ERRORS: "errors stop a job; what they say is for the reader",
    "ldae.isolation": "keeps host packages out; the record names the environment that is used",
    "ldae.leakage": "notes what a job read and fitted, and stops one that saw the wrong scans",
    "ldae.provenance.schema": "refuses a record at fault; what is used of it is read elsewhere",
    "ldae.slurm": "passes on what SLURM says; a training gives one model on any number of GPUs",
    "ldae.workflow.containers": "starts containers; the record names the image",
    "ldae.workflow.entry": "log, record and exit code; what matters to numbers is named below",
    "ldae.workflow.progress": "messages on the screen",
}

# What opaque plumbing does for numbers on behalf of a script: it counts for every user of it.
STANDS_FOR = {"ldae.workflow.entry": "ldae.workflow.determinism"}

# Calls that make something without a number; their arguments do not count either.
NUMBERLESS_CALLS = {
    ("ldae.methods.kinds", "Look"): "labels, colours and markers reach figures as parameters",
}

# Methods of loggers, and functions that only say something.
LOG_METHODS = frozenset(
    {"critical", "debug", "error", "exception", "info", "log", "setLevel", "warning"}
)
LOGGER_MAKER = "logging.getLogger"
WARNINGS = frozenset({"warnings.warn", *(f"logging.{name}" for name in LOG_METHODS)})

# Built-in functions without effect, which use up no iterator either: their calls inside a log
# message do not count.
PURE_BUILTINS = frozenset(
    {"abs", "bool", "float", "int", "isinstance", "len", "repr", "round", "str", "type"}
)

# Decorators that neither read annotations nor note the decorated anywhere; prefixes of names.
PLAIN_DECORATORS = (
    *("abc.", "contextlib.", "dataclasses.", "functools.", "typing.", "typing_extensions."),
    *("torch.inference_mode", "torch.no_grad", "threadpoolctl.threadpool_limits"),
)
PLAIN_BUILTIN_DECORATORS = frozenset({"classmethod", "property", "staticmethod"})
PROPERTY_DECORATORS = frozenset({"deleter", "getter", "setter"})
# Decorators and functions for the type checker only.
TYPING_DECORATORS = frozenset(
    {"typing.final", "typing.override", "typing_extensions.final", "typing_extensions.override"}
)
CAST = "typing.cast"

# Base classes whose fields are declared by annotations: their names and order count.
FIELD_BASES = frozenset({"typing.NamedTuple", "typing.TypedDict", "typing_extensions.TypedDict"})
FIELD_DECORATORS = frozenset({"dataclasses.dataclass"})
# Annotations that mean something to dataclasses.
FIELD_MARKS = frozenset({"ClassVar", "InitVar", "KW_ONLY"})
# Packages whose base classes take no notice of annotations; those of any other (pydantic) may.
UNTYPED_PACKAGES = sys.stdlib_module_names | {
    *("jinja2", "lightning_fabric", "matplotlib", "monai", "numpy", "pandas", "pytorch_lightning"),
    *("rocrate", "scipy", "sklearn", "snakemake", "torch"),
}

# Code that looks at the names of functions and classes, or at their text.
READS_NAMES = frozenset({"__name__", "__qualname__"})
READS_TEXT = frozenset({"__annotations__", "__doc__"})
TEXT_READERS = (
    *("annotationlib.", "inspect.", "typing.get_type_hints", "typing_extensions.get_type_hints"),
    *("pydantic.TypeAdapter", "pydantic.create_model", "torch.jit."),
)
# Code that looks names up in its own module, or runs what it is given as text.
NAMESPACE_READERS = frozenset({"eval", "exec", "globals"})
# Both together: a module that looks for itself.
SELF_READERS = frozenset({"sys.modules", "__name__"})
IMPORTERS = frozenset({"importlib.import_module", "__import__"})

# Exceptions of Python that carry a message only; others carry a number, as OSError does.
FORESEEN_ERRORS = frozenset(
    {
        *("ArithmeticError", "AssertionError", "AttributeError", "FloatingPointError"),
        *("IndexError", "KeyError", "LookupError", "NotImplementedError", "OverflowError"),
        *("RuntimeError", "TypeError", "ValueError", "ZeroDivisionError"),
    }
)
