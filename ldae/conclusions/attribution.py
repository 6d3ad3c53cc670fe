"""Which part of a model earns a verdict.

A model is a code, a diffusion, a sampler and sometimes more, and what holds of it may be owed to
one of these alone. Whether a code owes it to its training is measured: it does where the code
predicts surely better than the code that it started from. What else a claim can be owed to follows
from how the model computes its answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from ldae.methods import Methods
from ldae.statistics.measures import MAIN_MEASURE

TRAINING = "training of the code"
UNTRAINED = "the code's start ({}), no sure gain by training it"
INVERSION = "inversion of the sampler: needs no code"
HEAD = "fill-in head: no code, no diffusion"
DIFFUSION = "code and diffusion"
LATENT_SPACE = "latent space"
SPACE_AND_SAMPLER = "latent space and sampler"

SENTENCES = {
    TRAINING: "Training the code added a clear gain in prediction over its start.",
    INVERSION: "The sampler's inversion alone earns this, without a semantic code.",
    HEAD: "The fill-in head alone earns this, without code or diffusion.",
    DIFFUSION: "Code and diffusion earn this together.",
    LATENT_SPACE: "The latent space earns this.",
    SPACE_AND_SAMPLER: "Latent space and sampler earn this.",
}
"""The parts in sentences."""

Part = Callable[[pd.Series, Mapping[str, pd.DataFrame], Methods], str]
"""Words for the part that a verdict is owed to; empty if the study cannot tell."""


def describe_part(part: str) -> str:
    """A part of a verdict as a sentence; one of the code's start names it in brackets.

    >>> describe_part("the code's start (untrained), no sure gain by training it")
    'Training the code added no clear gain in prediction over its start (untrained).'
    """
    before, after = UNTRAINED.split("{}")
    if part.startswith(before) and part.endswith(after):
        start = part.removeprefix(before).removesuffix(after)
        return f"Training the code added no clear gain in prediction over its start ({start})."
    return SENTENCES.get(part, f"{part[:1].upper()}{part[1:]} earns this.")


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
