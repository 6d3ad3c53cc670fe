"""What tables and figures are made of: files of a study, read and handed to one function.

A table or figure is registered with the function that makes it and, by the function's own parameter
names, the files that it gets. Functions are named by reference (``module:function``) and resolved
where the table or figure is made: a change of one figure's code is then no change of the others'.

Only the standard library is imported: this module is read whenever the Snakefile is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ldae.references import resolve

READERS = "ldae.conclusions.readers"


@dataclass(frozen=True)
class Source:
    """Files of a study, and the function that reads them.

    Attributes
    ----------
    files
        What a study must have for each file, by the file's path below the results. In paths stand
        ``{seed}`` for every training seed, ``{first_seed}`` for the first one, ``{network}`` for
        every trained network, ``{method}/{run}`` for every set of codes, ``{followed}`` for every
        network that has a learning curve, and ``{snapshot}`` for every such network after each
        step, at the end too. Nothing (``""``) is needed for files that every study has. See
        :attr:`Product.requires` for the words.
    reader
        Reference of a function that takes the paths, each as an argument.
    optional
        Whether the source does without the files that a study does not have.
    """

    files: Mapping[str, str]
    reader: str
    optional: bool = False

    def available(self, parts: Collection[str]) -> list[str]:
        """Paths of the files that a study with these parts has."""
        return [path for path, part in self.files.items() if not part or part in parts]

    def missing(self, parts: Collection[str]) -> list[str]:
        """Parts that the source cannot do without, and the study does not have."""
        needed = () if self.optional else self.files.values()
        return [part for part in needed if part and part not in parts]


def table(name: str) -> Source:
    """One table of the study."""
    return Source({f"tables/{name}.tsv": f"table {name}"}, f"{READERS}:table")


def tables(*names: str) -> Source:
    """Those of the named tables that the study has, by name."""
    files = {f"tables/{name}.tsv": f"table {name}" for name in names}
    return Source(files, f"{READERS}:tables", optional=True)


def scores(name: str) -> Source:
    """Scores of single scans, as an evaluation leaves them, over all training seeds."""
    return Source({f"scores/{name}/seed-{{seed}}.tsv.gz": name}, f"{READERS}:scores")


def all_scores(*names: str) -> Source:
    """Scores of those of the named evaluations that the study has, by name."""
    files = {f"scores/{name}/seed-{{seed}}.tsv.gz": name for name in names}
    return Source(files, f"{READERS}:all_scores", optional=True)


def snapshot_scores(*names: str) -> Source:
    """Scores of networks on a learning curve, by evaluation: those that the study has."""
    files = {f"scores/curves/{{snapshot}}/{name}/seed-{{seed}}.tsv.gz": name for name in names}
    return Source(files, f"{READERS}:snapshot_scores", optional=True)


def examples(name: str) -> Source:
    """Volumes that an evaluation keeps for pictures, of the first training seed."""
    return Source({f"examples/{name}/seed-{{first_seed}}.npz": name}, f"{READERS}:examples")


PREDICTIONS = Source({"probes/{method}/{run}.tsv": "probes"}, f"{READERS}:predictions")
SNAPSHOT_PREDICTIONS = Source(
    {"probes/{snapshot}/seed-{seed}.tsv": "probes"}, f"{READERS}:predictions", optional=True
)
"""Predictions of the probes on the codes of networks on a learning curve."""

LABEL_CURVES = Source({"probes/{method}/{run}.labels.tsv": "probes"}, f"{READERS}:predictions")
"""Predictions of the probes on every method's codes, by method."""

VOLUMES = Source({"volumes/volumes.npy": ""}, f"{READERS}:array")
"""The packed scans."""

MASKS = Source({"volumes/masks.npy": ""}, f"{READERS}:array")
"""Their brain masks."""

INDEX = Source({"volumes/index.tsv": "", "manifest/scans.tsv": ""}, "ldae.data.volumes:read_index")
"""Their index, with labels."""

VOLUME_PAIRS = Source({"volumes/agreement.tsv": "volumes"}, f"{READERS}:plain_table")
"""Measured and reference volumes, scan by scan."""

FOLLOWED_LOGS = Source({"{followed}/seed-{first_seed}/metrics.csv": ""}, f"{READERS}:training_logs")
"""Losses of the networks that have a learning curve."""

TRAINING_LOGS = Source(
    {"autoencoder/metrics.csv": "", "{network}/seed-{seed}/metrics.csv": ""},
    f"{READERS}:training_logs",
)
"""Losses of every training, by network."""


@dataclass(frozen=True)
class Product:
    """A table or a figure, and how it is made.

    Attributes
    ----------
    name
        Of its file.
    function
        Reference of the function that makes it. It gets what was read under the names of `needs`,
        the `options` and `settings`, and what it has a parameter for: ``methods``
        (:class:`ldae.methods.Methods`); of a figure ``networks``, the looks of training curves by
        network; of a table ``left_out``, what the cohort does not allow. None where a rule of its
        own makes it.
    needs
        What the function gets, by the name of its parameter.
    section
        Anchor of the report's section where it stands (:data:`ldae.report.page.SECTIONS`).
    options
        Further arguments of the function.
    settings
        Those that are settings of the study: paths such as ``evaluation/n_bootstrap``.
    requires
        What the study must have besides the `needs`: an evaluation by its name (``manipulation``),
        a table (``table probes``) or a task (``task age``).
    asked_by
        Path of a setting; the table or figure is made where that is not empty.
    """

    name: str
    section: str
    function: str | None
    needs: Mapping[str, Source]
    options: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    settings: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    requires: tuple[str, ...] = field(default=(), kw_only=True)
    asked_by: str = field(default="", kw_only=True)

    def asked(self, config: Mapping[str, Any]) -> bool:
        """Whether a study with these settings wants it."""
        return not self.asked_by or bool(_look_up(config, self.asked_by))

    def missing(self, parts: Collection[str]) -> list[str]:
        """Parts that it needs, and a study with these parts does not have."""
        missing = [part for part in self.requires if part not in parts]
        return missing + [p for source in self.needs.values() for p in source.missing(parts)]

    @property
    def references(self) -> tuple[str, ...]:
        """All functions that its content depends on."""
        readers = dict.fromkeys(source.reader for source in self.needs.values())
        return (*([self.function] if self.function else []), *readers)

    @property
    def recipe(self) -> dict[str, Any]:
        """References of the functions that make it and read its files, for :func:`make`."""
        readers = {name: source.reader for name, source in self.needs.items()}
        return {"function": self.function, "readers": readers}

    def arguments(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Options and settings, for :func:`make`.

        Parameters
        ----------
        config
            Complete settings of the study.
        """
        settings = {name: _look_up(config, path) for name, path in self.settings.items()}
        return {**self.options, **settings}


def _look_up(config: Mapping[str, Any], path: str) -> Any:
    """The setting at a path such as ``evaluation/n_bootstrap``."""
    found: Any = config
    for key in path.split("/"):
        found = found[key]
    return found


def make(
    recipe: Mapping[str, Any],
    arguments: Mapping[str, Any],
    files: Mapping[str, Sequence[str]],
    **study: Any,
) -> Any:
    """Read the files and call the function of a table or figure.

    Parameters
    ----------
    recipe, arguments
        From :attr:`Product.recipe` and :meth:`Product.arguments`.
    files
        Paths under the names of the needs.
    study
        Arguments for functions that have a parameter for them.

    Returns
    -------
    Any
        What the function returns.
    """
    read = {
        name: resolve(reader)(*(Path(path) for path in files[name]))
        for name, reader in recipe["readers"].items()
    }
    return call(recipe["function"], {**read, **arguments}, **study)


def call(reference: str, arguments: Mapping[str, Any], **study: Any) -> Any:
    """Call a function with `arguments`, and with those of `study` that it has a parameter for."""
    function = resolve(reference)
    return function(**arguments, **{k: v for k, v in study.items() if k in parameters(function)})


def parameters(function: Any) -> tuple[str, ...]:
    """Names of a function's parameters.

    Not by :mod:`inspect`, which would also show docstrings and annotations: a job's digest of code
    (:mod:`ldae.provenance.code`) would then count these.
    """
    code = function.__code__
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return names
