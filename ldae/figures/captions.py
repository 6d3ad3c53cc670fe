"""Captions, written from the numbers that each figure shows."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from ldae.figures.slices import CONVENTION
from ldae.figures.theme import label_of
from ldae.statistics.tables import training_seeds


def caption(name: str, data: pd.DataFrame) -> str:
    """Caption of a figure, in plain sentences.

    Parameters
    ----------
    name
        Name of the figure, a key of ``CAPTIONS``; variants carry a suffix (``manipulation_age``).
    data
        The figure's own table.
    """
    known = [key for key in CAPTIONS if name == key or name.startswith(f"{key}_")]
    if not known:
        raise ValueError(f"no caption for the figure {name}")
    return CAPTIONS[max(known, key=len)](data)


def _facts(data: pd.DataFrame) -> str:
    """Cohort, people, scans and seed, as far as the data name them."""
    facts = []
    if "cohort" in data and data["cohort"].notna().any():
        facts.append(f"Cohort {data['cohort'].dropna().iloc[0]}, test split")
    for column, text in (("n_subjects", "subjects"), ("n_scans", "scans")):
        if column in data and data[column].notna().any():
            low, high = int(data[column].min()), int(data[column].max())
            facts.append(f"{low} {text}" if low == high else f"{low} to {high} {text}")
    seeds = _seeds(data)
    if seeds:
        facts.append(f"training seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}")
    return (", ".join(facts) + ".") if facts else ""


def _seeds(data: pd.DataFrame) -> list[int]:
    """Training seeds that the numbers are over; a cell of a table holds one or several."""
    return training_seeds(data["seed"]) if "seed" in data else []


def _intervals(data: pd.DataFrame) -> str:
    over = "training seeds and subjects" if len(_seeds(data)) > 1 else "subjects"
    return f"Bars and bands are 95 % intervals from a bootstrap over {over}."


def _shown_seed(data: pd.DataFrame) -> str:
    """Which training a picture shows, of those that the numbers are over."""
    return f"Networks of training seed {int(data['training_seed'].dropna().iloc[0])}."


def _shown(data: pd.DataFrame, what: str) -> str:
    """The same for single points or curves beside numbers over several trainings."""
    if len(_seeds(data)) < 2:
        return ""
    return f"{what}: training seed {int(data['training_seed'].dropna().iloc[0])}. "


def _window(data: pd.DataFrame) -> str:
    windows = data["window"].dropna().unique().tolist() if "window" in data else []
    if len(windows) == 0:
        return ""
    kind = "Gaussian, sigma 1.5" if int(windows[0]) == 11 else "uniform"
    return f"SSIM window {int(windows[0])} voxels ({kind})."


def _cohort(data: pd.DataFrame) -> str:
    return (
        f"{data['subject'].nunique()} people of the cohort over their visits, "
        f"{data['scan'].nunique()} preprocessed scans, coronal and axial slices through the same "
        f"voxel. {CONVENTION}"
    )


def _training(data: pd.DataFrame) -> str:
    ends = data.groupby("stage", sort=False)[["step", "seconds"]].max()
    parts = [
        f"{label_of(str(s))}: {int(r['step'])} steps in {r['seconds'] / 60:.1f} min"
        for s, r in ends.iterrows()
    ]
    n_seeds = data["training_seed"].nunique()
    each = f"; one line for each of {n_seeds} training seeds" if n_seeds > 1 else ""
    return (
        "Loss of each trained network; the solid line is the running median of the training loss, "
        f"dashed the validation loss{each}. {'; '.join(parts)}."
    )


def _reconstruction(data: pd.DataFrame) -> str:
    row = data.iloc[0]
    steps = f"{int(row['steps'])} sampler steps (voxel DAE: {int(row['voxel_steps'])})"
    return (
        f"Scan {row['scan']} of the test split and its reconstructions with {steps}, with their "
        "differences to the scan inside the brain mask on one colour scale "
        f"(±{row['color_limit']:.2f} of the intensity range). {_shown_seed(data)} {CONVENTION}"
    )


def _steps(data: pd.DataFrame) -> str:
    return (
        "Reconstruction quality inside the brain mask against the number of sampler steps; the "
        "dashed line is the autoencoder without diffusion, the bound of every latent model. "
        f"{_window(data)} {_intervals(data)} {_facts(data)}"
    )


def _stochastic(data: pd.DataFrame) -> str:
    row = data.iloc[0]
    return (
        f"Scan {row['scan']} decoded from one semantic code and {int(row['n_samples'])} draws of "
        f"the stochastic code; their voxel-wise deviation inside the mask is "
        f"{row['mean_std_in_mask']:.3f} on average. {_shown_seed(data)} {CONVENTION}"
    )


def _roc(data: pd.DataFrame) -> str:
    return (
        "Linear probes of each code for Alzheimer's disease (positive class) against cognitively "
        f"normal: (a) ROC curves, (b) areas under them. "
        f"{_shown(data, 'Curves')}{_intervals(data)} {_facts(data)}"
    )


def _age(data: pd.DataFrame) -> str:
    return (
        "(a) Age predicted by a ridge probe of the LDAE's semantic code, one point per scan. "
        f"{_shown(data, 'Points')}(b) Mean absolute error of the same probe on every code. "
        f"{_intervals(data)} {_facts(data)}"
    )


def _manipulation(data: pd.DataFrame) -> str:
    row = data.iloc[0]
    what = "Alzheimer's disease" if row["task"] == "ad_vs_cn" else "age"
    return (
        f"Scan {row['scan']}, its code moved by a along the direction of {what}, decoded from its "
        f"own stochastic code; differences to a = 0 inside the mask (±{row['color_limit']:.2f}). "
        f"{_shown_seed(data)} {CONVENTION}"
    )


def _dose(data: pd.DataFrame) -> str:
    return (
        "Response to edits by amount a, as the change against a = 0. Volumes are measured on the "
        "decoded scans in template space. The probe that responds and the voxel probe were fitted "
        "on other people than the probe that gave the direction, and the voxel probe never saw a "
        "code; both count in deviations of their score between people. Solid: LDAE, dashed: its "
        "joint variant, dash-dotted: edits of that which hold the other attributes. "
        "Titles: mean rank correlation (Spearman's ρ), in this order. "
        f"{_intervals(data)} {_facts(data)}"
    )


def _fidelity(data: pd.DataFrame) -> str:
    known = (data["metric"] == "truth_correlation").any()
    against = (
        "the simulated person's true effect, with that of the training people's mean difference "
        "(dotted) and what the autoencoder lets through (dashed)"
        if known
        else "the training people's mean difference"
    )
    targeted = (
        "Circles: LDAE; triangles: edits of its joint variant that hold the other attributes. "
        if (data["method"] == "ldae_joint_targeted").any()
        else ""
    )
    return (
        "(a) Response to attributes that an edit should leave alone, over the response to its own; "
        "open circles show how much the attributes go together in real people, the dashed line the "
        f"verdicts' bound. (b) Correlation of the edits' difference maps with {against}, inside "
        "the mask; positive where the change goes the right way. (c) Share of edited scans whose "
        "nearest other scan is the same person's; the dashed line is the verdicts' bound. "
        f"{targeted}{_intervals(data)} {_facts(data)}"
    )


def _edit_maps(data: pd.DataFrame) -> str:
    row = data.iloc[0]
    parts = [
        f"{r['task'].replace('ad_vs_cn', 'disease')}: {r['correlation_with_edit']:.2f} with the "
        f"{'true effect' if r['map'] == 'truth' else 'group difference'}"
        for _, r in data[data["map"] != "edit"].iterrows()
    ]
    return (
        f"Scan {row['scan']}: what editing it by a = {row['amount']:g} changes, beside the "
        "difference in training people and, in simulated people, the true effect on this person. "
        f"Each map has its own symmetric scale. Correlation of the edit inside the mask, "
        f"{'; '.join(parts)}. {_shown_seed(data)} {CONVENTION}"
    )


def _comparisons(data: pd.DataFrame) -> str:
    claims, models = set(data["claim"]), list(data["method"].unique())
    whose = label_of(models[0]) if len(models) == 1 else "each model of the legend"
    text = (
        f"Gain of {whose} over every other method on the same test scans, paired over subjects: "
        "right of zero the model is better; filled where the interval excludes zero. "
    )
    if "reconstruction" in claims:
        text += "Reconstruction is scored inside the mask. "
    if "interpolation" in claims:
        text += "Interpolation is scored inside the mask, against the real scan. "
    return f"{text}{_intervals(data)} {_facts(data)}"


def _verdicts(data: pd.DataFrame) -> str:
    return (
        "What holds of the claims: for every statement and model the measured number, on the "
        "colour of the verdict. A statement holds where the whole 95 % interval lies on its side "
        "of the bound, fails where the whole interval lies on the other side, and is open where "
        "the interval holds the bound. Against another method the number is the model's gain on "
        f"the same people. {_facts(data)}"
    )


def _volumes(data: pd.DataFrame) -> str:
    return (
        "Volumes measured on the preprocessed scans without a segmentation network, in the "
        "person's head, against the reference; the dotted line is equality. Cohort "
        f"{data['cohort'].iloc[0]}, all splits, {int(data['n_subjects'].iloc[0])} subjects, "
        f"{int(data['n_scans'].iloc[0])} scans."
    )


def _sequence(data: pd.DataFrame) -> str:
    row = data.iloc[0]
    return (
        f"Visits of {row['subject']} at months {row['months_a']:g}, {row['months_middle']:g} and "
        f"{row['months_b']:g}. Top: the LDAE between the outer visits and its change since A, "
        "beside the real change at the right. Bottom: the real middle visit, every method's "
        f"answer, and the errors. One colour scale (±{row['color_limit']:.2f}). "
        f"{_shown_seed(data)} {CONVENTION}"
    )


def _gap(data: pd.DataFrame) -> str:
    return (
        "Filled-in visits against the real middle scan, by the gap between the outer visits (top) "
        "and by the distance to the nearer one (bottom): MSE inside the brain mask, skill = 1 - "
        "MSE/MSE of the best trivial answer (below 0 a trivial answer is better), and absolute "
        f"errors of ventricle and hippocampus volume. {_intervals(data)} {_facts(data)}"
    )


def _throughput(data: pd.DataFrame) -> str:
    device = ", ".join(str(d) for d in data["device"].dropna().unique())
    taken = data.dropna(subset=["steps"]).drop_duplicates("method")
    steps = ", ".join(
        f"{label_of(m)} {int(n)}" for m, n in zip(taken["method"], taken["steps"], strict=True)
    )
    return (
        "(a) Seconds per scan, median over runs with least and largest; the number above a bar is "
        "the time of the voxel model with the same sampler over the model's. "
        f"Sampler steps, each way: {steps}. (b) Most that "
        f"tensors hold above weights and inputs. Same scans, same run, {device}. {_facts(data)}"
    )


CAPTIONS: dict[str, Callable[[pd.DataFrame], str]] = {
    "cohort": _cohort,
    "training": _training,
    "reconstruction": _reconstruction,
    "reconstruction_steps": _steps,
    "stochastic": _stochastic,
    "roc": _roc,
    "age": _age,
    "manipulation": _manipulation,
    "dose_response": _dose,
    "edit_fidelity": _fidelity,
    "edit_maps": _edit_maps,
    "interpolation_sequence": _sequence,
    "interpolation_gap": _gap,
    "throughput": _throughput,
    "comparisons": _comparisons,
    "verdicts": _verdicts,
    "volumes": _volumes,
}
