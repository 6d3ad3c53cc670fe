"""The table of ablations: each changed network beside the one that it changes."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ldae.conclusions.comparison import SPLITS, compare_probes
from ldae.evaluation.probes.tables import tabulate_probes
from ldae.methods import Methods
from ldae.statistics.measures import MAIN_MEASURE
from ldae.statistics.predictions import seeds_of
from ldae.statistics.tables import RESULT_COLUMNS, tidy

UNCHANGED = "none"
"""Change of the network that an ablation starts from."""


def tabulate_ablations(
    predictions: Mapping[str, pd.DataFrame],
    methods: Methods,
    *,
    cohort: str,
    seed: int,
    n_bootstrap: int,
) -> pd.DataFrame:
    """What the probes make of every ablation, and its gain over the unchanged network.

    Parameters
    ----------
    predictions
        Predictions of the probes by method (:func:`ldae.statistics.predictions.read_predictions`).
    methods
        The study's methods, ablations among them.
    cohort, seed
        For the table; `seed` also seeds the bootstrap.
    n_bootstrap
        Replicates.

    Returns
    -------
    pandas.DataFrame
        Table ``ablations``: each network and its ablations below it, with the AUC of disease, the
        MAE of age (years), and the paired gain of the change in both (positive: the change
        helps); intervals over subjects (and seeds).
    """
    parts: list[pd.DataFrame] = []
    changed = {m.name: m.ablation_of for m in methods.values() if m.name in predictions}
    for network in dict.fromkeys(base for base in changed.values() if base is not None):
        family = {network: UNCHANGED}
        family |= {name: methods[name].change for name, base in changed.items() if base == network}
        of_family = {name: predictions[name] for name in family}
        table = tabulate_probes(of_family, cohort=cohort, seed=seed, n_bootstrap=n_bootstrap)
        table = table[table["metric"].isin(MAIN_MEASURE.values())]
        table = table[table["task"].isin(list(MAIN_MEASURE))]
        kept = ["split", "method", *(c for c in RESULT_COLUMNS if c != "seed")]
        for name, change in family.items():
            part = table.loc[table["method"] == name, kept]
            parts.append(part.assign(network=network, change=change))
            if name != network:
                gains = compare_probes(of_family, name, network, n_bootstrap, seed)
                rows = pd.DataFrame(gains).drop(columns=["task", "against"])
                parts.append(rows.assign(network=network, change=change))
    rows = pd.concat(parts, ignore_index=True)
    rows = rows.sort_values("split", key=lambda s: s.map(SPLITS.index), kind="stable")
    rows["note"] = rows["note"].fillna("")
    return tidy(rows, "ablations", cohort=cohort, seeds=seeds_of(predictions))
