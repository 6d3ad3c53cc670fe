"""Which part of a model a verdict is due to.

A model is a code, a diffusion, a sampler and sometimes more, and what holds of it may be due to
one of these alone. Whether a code owes it to its training is measured: it does where the code
predicts better than the code that it started from, its whole interval above zero. What else a
claim can be due to follows from how the model computes its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from ldae.methods import Methods
from ldae.statistics.measures import MAIN_MEASURE

TRAINING = "training of the code"
UNTRAINED = "the code's start ({}), no clear gain from training"
INVERSION = "inversion of the sampler: needs no code"
HEAD = "fill-in head: no code, no diffusion"
DEFORMATION = "code and its deformation: no diffusion"
DIFFUSION = "code and diffusion"
LATENT_SPACE = "latent space"
SPACE_AND_SAMPLER = "latent space and sampler"

SENTENCES = {
    TRAINING: "Training the code added a clear gain in prediction over its start.",
    INVERSION: "This is due to the inversion of the sampler alone: it needs no semantic code.",
    HEAD: "This is due to the fill-in head alone: it uses neither code nor diffusion.",
    DEFORMATION: "This is due to the code and its deformation: it uses no diffusion.",
    DIFFUSION: "This is due to code and diffusion together.",
    LATENT_SPACE: "This is due to the latent space.",
    SPACE_AND_SAMPLER: "This is due to latent space and sampler together.",
}
"""The parts in sentences."""

Part = Callable[[pd.Series, Mapping[str, pd.DataFrame], Methods], str]
"""Words for the part that a verdict is due to; empty if the study cannot tell."""


def describe_part(part: str) -> str:
    """A part of a verdict as a sentence; one of the code's start names it in brackets.

    >>> describe_part("the code's start (untrained), no clear gain from training")
    'Training the code added no clear gain in prediction over its start (untrained).'
    """
    before, after = UNTRAINED.split("{}")
    if part.startswith(before) and part.endswith(after):
        start = part.removeprefix(before).removesuffix(after)
        return f"Training the code added no clear gain in prediction over its start ({start})."
    return SENTENCES.get(part, f"This is due to {part}.")


def of_code(row: pd.Series, tables: Mapping[str, pd.DataFrame], methods: Methods) -> str:
    """The code's training or its start, by the paired gain in the same task over the start."""
    method, measure = methods[row["method"]], MAIN_MEASURE.get(str(row["task"]))
    if method.start is None or measure is None or "comparisons" not in tables:
        return ""
    if row.get("against") == method.start:
        return TRAINING
    gains, metric = tables["comparisons"], f"{measure}_gain"
    # a method that only edits or samples otherwise has the code of its network
    owners = [m.name for m in methods.coded().values() if m.network == method.network]
    same = gains["method"].isin(owners) & (gains["against"] == method.start)
    same &= (gains["metric"] == metric) & (gains["claim"] == "probes")
    same &= gains["split"] == row["split"]
    found = gains.loc[same, "ci_low"].dropna()
    if found.empty:
        return ""
    return TRAINING if found.iloc[0] > 0 else UNTRAINED.format(methods.label(method.start))


def of_edit(row: pd.Series, tables: Mapping[str, pd.DataFrame], methods: Methods) -> str:
    """Code and deformation, where the model edits by one; else the code's training or start."""
    return DEFORMATION if methods[row["method"]].deforms else of_code(row, tables, methods)


def of_inversion(row: pd.Series, tables: Mapping[str, pd.DataFrame], methods: Methods) -> str:
    """The stochastic code, which a prior without a semantic code inverts as well."""
    return INVERSION


def of_filling(row: pd.Series, tables: Mapping[str, pd.DataFrame], methods: Methods) -> str:
    """The head that fills in visits, where the model has one."""
    return HEAD if methods[row["method"]].fills_in else DIFFUSION


def of_latent_space(row: pd.Series, tables: Mapping[str, pd.DataFrame], methods: Methods) -> str:
    """The latent space alone."""
    return LATENT_SPACE


def of_space_and_sampler(
    row: pd.Series, tables: Mapping[str, pd.DataFrame], methods: Methods
) -> str:
    """The latent space, and what is gained by a sampler with fewer steps."""
    return SPACE_AND_SAMPLER
