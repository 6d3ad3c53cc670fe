"""Which of the registered tables and figures a study has, and which files each is made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import chain, product
from typing import TYPE_CHECKING, Any, NamedTuple

from ldae.conclusions.registry import TABLES, Table
from ldae.conclusions.sources import Product, Source
from ldae.figures.registry import FIGURES, Figure

if TYPE_CHECKING:
    from ldae.methods import Network
    from ldae.workflow.plan import StudyPlan


class Chosen(NamedTuple):
    """Tables and figures of a study by name, in the order of the report.

    Attributes
    ----------
    tables, figures
        Those that can be made.
    parts
        What the study has, the tables (``table <name>``) included.
    left_out
        Every other table and figure, and why it cannot be made.
    """

    tables: dict[str, Table]
    figures: dict[str, Figure]
    parts: frozenset[str]
    left_out: dict[str, str]


def choose_products(
    config: Mapping[str, Any],
    parts: Collection[str],
    tasks: Iterable[str],
    left_out: Mapping[str, str],
    all_tables: Iterable[Table] = TABLES,
    all_figures: Iterable[Figure] = FIGURES,
) -> Chosen:
    """Tables and figures that a study has.

    Parameters
    ----------
    config
        Complete settings of the study.
    parts
        Its evaluations and tasks, as :attr:`ldae.conclusions.sources.Product.requires` names them.
    tasks
        What the probes predict.
    left_out
        Reason for each part that the study does not have.
    all_tables, all_figures
        The registered ones.
    """
    known = set(parts)
    asked = [table for table in all_tables if table.asked(config)]
    tables: list[Table] = []
    # a table may be made of others: until no further one can be made
    while found := [t for t in asked if t not in tables and not t.missing(known)]:
        tables += found
        known |= {f"table {table.name}" for table in found}
    wanted_figures = [figure for figure in all_figures if figure.asked(config)]
    figures = [figure for base in wanted_figures for figure in base.variants(tasks)]
    reasons: dict[str, str] = {}
    for kind, wanted in (("table", asked), ("figure", figures)):
        for one in wanted:
            for part in one.missing(known)[:1]:
                reason = left_out.get(part) or reasons.get(part) or f"there is no {part}"
                reasons[f"{kind} {one.name}"] = reason
    return Chosen(
        tables={table.name: table for table in asked if table in tables},
        figures={figure.name: figure for figure in figures if not figure.missing(known)},
        parts=frozenset(known),
        left_out=reasons,
    )


class Products:
    """What the two rules that make every table and figure ask about one of them.

    Parameters
    ----------
    plan
        The study's plan.
    networks
        Its networks by name.
    config
        Its complete settings.
    """

    def __init__(
        self, plan: StudyPlan, networks: Mapping[str, Network], config: Mapping[str, Any]
    ) -> None:
        self.plan = plan
        self.config = config
        # an ablation's training is in no figure
        trained = [n for n in plan.networks if n in networks and networks[n].look is not None]
        runs: list[tuple[object, ...]] = [(m, run) for m, runs in plan.runs.items() for run in runs]
        snapshots = plan.snapshots.values()
        # what stands for a name, or for two together, in the paths of sources; the first varies
        # slowest
        self._values: dict[tuple[str, ...], list[tuple[object, ...]]] = {
            ("network",): [(name,) for name in trained],
            ("followed",): [(one.name,) for one in snapshots if one.step is None],
            ("snapshot",): [(one.name,) for one in snapshots],
            ("method", "run"): runs,
            ("seed",): [(seed,) for seed in plan.seeds],
            ("first_seed",): [(plan.seeds[0],)],
        }

    def find(self, wildcards: Any) -> Product:
        """The table or figure that a job makes."""
        figure = wildcards.get("figure")
        return self.plan.figures[figure] if figure else self.plan.tables[wildcards.table]

    def files(self, wildcards: Any) -> dict[str, list[str]]:
        """Files that it is made of, by what its function calls them."""
        folder = self.config["pathvars"]["results"]
        needs = self.find(wildcards).needs
        return {name: [f"{folder}/{path}" for path in self._expand(s)] for name, s in needs.items()}

    def recipe(self, wildcards: Any, input: object = None) -> dict[str, Any]:
        """The functions that read the files and make it; the digest of code compares them."""
        return self.find(wildcards).recipe

    def arguments(self, wildcards: Any) -> dict[str, Any]:
        """Further arguments of its function."""
        return self.find(wildcards).arguments(self.config)

    def _expand(self, source: Source) -> list[str]:
        """Files of a source below the results, those of all trainings."""
        paths: list[str] = []
        for path in source.available(self.plan.parts):
            used = {k: v for k, v in self._values.items() if f"{{{k[0]}}}" in path}
            names = list(chain(*used))
            for chosen in product(*used.values()):
                paths.append(path.format(**dict(zip(names, chain(*chosen), strict=True))))
        return paths
