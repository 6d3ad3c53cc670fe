"""Which of the registered tables and figures a study has, and which files each is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

from ldae.conclusions.registry import TABLES, Table
from ldae.conclusions.sources import Product, Source
from ldae.figures.registry import FIGURES, Figure

if TYPE_CHECKING:
    from ldae.methods import Network
    from ldae.workflow.plan import StudyPlan


def choose_products(
    config: Mapping[str, Any],
    parts: set[str],
    tasks: Iterable[str],
    left_out: dict[str, str],
    all_tables: Iterable[Table] = TABLES,
    all_figures: Iterable[Figure] = FIGURES,
) -> tuple[dict[str, Table], dict[str, Figure]]:
    """Tables and figures that a study has, by name, in the order of the report.

    Parameters
    ----------
    config
        Complete settings of the study.
    parts
        Its evaluations and tasks, as :attr:`ldae.conclusions.sources.Product.requires` names them;
        ``table <name>`` is added for each table.
    tasks
        What the probes predict.
    left_out
        Reason for each part that the study does not have; every table and figure that cannot be
        made is added.
    all_tables, all_figures
        The registered ones.
    """
    asked = [t for t in all_tables if not t.asked_by or config[t.asked_by]]
    tables: list[Table] = []
    # a table may be made of others: until no further one can be made
    while found := [t for t in asked if t not in tables and not t.missing(parts)]:
        tables += found
        parts |= {f"table {table.name}" for table in found}
    figures = [figure for base in all_figures for figure in base.variants(tasks)]
    drawn = [figure for figure in figures if not figure.missing(parts)]
    for kind, wanted in (("table", asked), ("figure", figures)):
        for one in wanted:
            if missing := one.missing(parts):
                reason = left_out.get(missing[0], f"there is no {missing[0]}")
                left_out[f"{kind} {one.name}"] = reason
    return {t.name: t for t in asked if t in tables}, {f.name: f for f in drawn}


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
        self.trained = [n for n in plan.networks if n in networks and networks[n].look is not None]

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
        plan = self.plan
        runs = [(method, run) for method, of_method in plan.runs.items() for run in of_method]
        paths = [
            path.format(
                seed=seed, first_seed=plan.seeds[0], network=network, method=method, run=run
            )
            for path in source.available(plan.parts)
            for network, seed, (method, run) in product(self.trained, plan.seeds, runs)
        ]
        return list(dict.fromkeys(paths))
