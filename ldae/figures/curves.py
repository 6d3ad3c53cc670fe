"""Figures of numbers: training, reconstruction by steps, dose and response, gaps, throughput."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ldae.figures.theme import (
    BLACK,
    METHOD_MARKERS,
    MODELS,
    TASK_COLORS,
    TASK_LABELS,
    color_of,
    label_of,
    legend_below,
    new_figure,
    panel_letters,
    theme,
)

SMOOTHING_SHARE = 0.02
"""Share of a training curve over which its running median is taken."""


def errorbars(
    axis: Axes, x: np.ndarray, part: pd.DataFrame, method: str, **options: object
) -> None:
    """Values with their intervals, in the method's colour and marker."""
    value = part["value"].to_numpy(float)
    low = np.nan_to_num(value - part["ci_low"].to_numpy(float)).clip(0)
    high = np.nan_to_num(part["ci_high"].to_numpy(float) - value).clip(0)
    defaults: dict[str, object] = {
        "label": label_of(method),
        "color": color_of(method),
        "marker": METHOD_MARKERS.get(method, "o"),
        "capsize": 2,
        "elinewidth": 0.9,
    }
    axis.errorbar(x, value, yerr=[low, high], **(defaults | options))  # type: ignore[arg-type]


def plot_training(metrics: Mapping[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """Loss of every trained stage against optimizer steps, training and validation.

    Parameters
    ----------
    metrics
        Log of each stage: columns step, seconds and losses named ``train_*`` and ``val_*``; of a
        stage with several losses the one called ``loss`` is drawn, else the first.  With
        ``training_seed``, where it was trained once for each.

    Returns
    -------
    tuple
        Figure, and columns stage, training_seed (empty if all share it), curve, step, seconds,
        value.
    """
    if not metrics:
        raise ValueError("there is no training to draw")
    columns = min(3, len(metrics))
    n_rows = -(-len(metrics) // columns)
    parts = []
    with theme():
        figure = new_figure(0.35 + 1.95 * n_rows)
        axes = np.atleast_1d(figure.subplots(n_rows, columns, squeeze=False)).ravel()
        for axis, (stage, log) in zip(axes, metrics.items(), strict=False):
            log = log if "training_seed" in log else log.assign(training_seed=np.nan)
            for number, (seed, one) in enumerate(log.groupby("training_seed", dropna=False)):
                for curve in _draw_losses(axis, stage, one, labelled=number == 0):
                    parts.append(curve.assign(stage=stage, training_seed=seed))
            axis.set_title(label_of(stage).removesuffix(" alone"))
            axis.set_xlabel("optimizer step")
            axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            shown = [line.get_ydata() for line in axis.get_lines()]
            values = np.concatenate([np.asarray(v, float) for v in shown]) if shown else np.ones(1)
            if values.min() > 0 and values.max() / values.min() > 8:
                axis.set_yscale("log")
        for axis in axes[len(metrics) :]:
            axis.set_visible(False)
        for row in range(n_rows):
            axes[row * columns].set_ylabel("loss")
        legend_below(figure, axes[0], 2)
    data = pd.concat(parts, ignore_index=True)
    return figure, data[["stage", "training_seed", "curve", "step", "seconds", "value"]]


def _draw_losses(
    axis: Axes, stage: str, log: pd.DataFrame, *, labelled: bool
) -> Iterator[pd.DataFrame]:
    """Draw one training's losses, and give what is drawn: step, seconds, curve, value."""
    for kind, color, text in (("train", color_of(stage), "training"), ("val", BLACK, "validation")):
        name = _main_loss(log, kind)
        if name is None:
            continue
        curve = log[["step", "seconds", name]].dropna()
        curve = curve.rename(columns={name: "value"})
        smooth = curve["value"]
        if kind == "train" and len(curve) > 1 / SMOOTHING_SHARE:
            axis.plot(curve["step"], curve["value"], color=color, alpha=0.25, linewidth=0.6)
            window = max(3, round(SMOOTHING_SHARE * len(curve)))
            smooth = smooth.rolling(window, center=True, min_periods=1).median()
        style = "-" if kind == "train" else "--"
        marker = "" if kind == "train" and len(curve) > 30 else "."
        label = text if labelled else None
        axis.plot(curve["step"], smooth, style, color=color, label=label, marker=marker)
        yield curve.assign(curve=name)


def _main_loss(log: pd.DataFrame, kind: str) -> str | None:
    names = [c for c in log.columns if c.startswith(f"{kind}_") and log[c].notna().any()]
    if f"{kind}_loss" in names:
        return f"{kind}_loss"
    return str(names[0]) if names else None


def plot_reconstruction_steps(table: pd.DataFrame, window: int) -> tuple[Figure, pd.DataFrame]:
    """SSIM and MSE inside the mask against the number of sampler steps, with intervals.

    Parameters
    ----------
    table
        Table ``reconstruction``.
    window
        SSIM window, voxels.
    """
    part = table[table["region"] == "mask"]
    ssim = part[(part["metric"] == "ssim") & (part["window"] == window)]
    data = pd.concat([ssim, part[part["metric"] == "mse"]], ignore_index=True)
    with theme():
        figure = new_figure(2.9)
        axes = figure.subplots(1, 2)
        for axis, metric, text in zip(
            axes,
            ("ssim", "mse"),
            (f"SSIM in the mask (window {window})", "MSE in the mask"),
            strict=True,
        ):
            of_metric = data[data["metric"] == metric]
            steps = sorted(of_metric["steps"].dropna().astype(int).unique())
            place = {s: i for i, s in enumerate(steps)}
            methods = list(of_metric["method"].unique())
            moving = [m for m in methods if m != "autoencoder"]
            for k, method in enumerate(moving):
                curve = of_metric[of_metric["method"] == method].sort_values("steps")
                x = np.array([place[int(s)] for s in curve["steps"]], float)
                errorbars(axis, x + 0.06 * (k - (len(moving) - 1) / 2), curve, method)
            fixed = of_metric[of_metric["method"] == "autoencoder"]
            for _, row in fixed.iterrows():
                axis.axhline(
                    row["value"], color=BLACK, linestyle="--", label=label_of("autoencoder")
                )
                if np.isfinite(row["ci_low"]):
                    axis.axhspan(
                        row["ci_low"], row["ci_high"], color=BLACK, alpha=0.08, linewidth=0
                    )
            axis.set_xticks(range(len(steps)), [str(s) for s in steps])
            axis.set_xlabel("sampler steps T")
            axis.set_ylabel(text)
            if metric == "mse":
                axis.set_yscale("log")
        panel_letters(axes)
        legend_below(figure, axes[0], 3)
    return figure, data


RESPONSES = (
    ("ventricle_change_ml", "", "ventricle change (ml)"),
    ("hippocampus_change_ml", "", "hippocampi, change (ml)"),
    ("response", "code", "probe of other people\n(deviations)"),
    ("response", "voxels", "voxel probe\n(deviations)"),
)
"""Metric, judge and label of each panel."""


def plot_dose_response(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Responses against the amount a, one row of panels for each edited attribute.

    Parameters
    ----------
    table
        Table ``manipulation``.
    """
    table = table.assign(judge=table["judge"].fillna(""), attribute=table["attribute"].fillna(""))
    on_target = (table["attribute"] == "") | (table["attribute"] == table["task"])
    names = {name for name, _, _ in RESPONSES}
    data = table[table["metric"].isin(names) & on_target & table["amount"].notna()]
    data = data.reset_index(drop=True)
    ranked = table[table["metric"].str.endswith("_spearman") & on_target]
    trends = ranked.set_index(["method", "task", "metric", "judge"])["value"]
    models = [m for m in MODELS if m in set(data["method"])]
    tasks = list(dict.fromkeys(data["task"]))
    with theme():
        figure = new_figure(0.3 + 1.95 * len(tasks), 7.6)
        axes = figure.subplots(len(tasks), len(RESPONSES), squeeze=False)
        for row, task in zip(axes, tasks, strict=True):
            for axis, (name, judge, text) in zip(row, RESPONSES, strict=True):
                of_panel = (data["metric"] == name) & (data["judge"] == judge)
                color = TASK_COLORS.get(task, BLACK)
                ranks = []
                for model in models:
                    of_model = of_panel & (data["task"] == task) & (data["method"] == model)
                    curve = data[of_model].sort_values("amount")
                    x = curve["amount"].to_numpy(float)
                    marker, line = MODELS[model]
                    axis.fill_between(
                        x, curve["ci_low"].astype(float), curve["ci_high"].astype(float),
                        color=color, alpha=0.15, linewidth=0,
                    )  # fmt: skip
                    axis.plot(
                        x, curve["value"], marker=marker, linestyle=line, color=color,
                        label=label_of(model),
                    )  # fmt: skip
                    spearman = f"{name.removesuffix('_ml')}_spearman"
                    rho = trends.get((model, task, spearman, judge))
                    if rho is not None and np.isfinite(rho):
                        ranks.append(f"{rho:.2f}")
                axis.axhline(0, color=BLACK, linewidth=0.6)
                axis.axvline(0, color=BLACK, linewidth=0.6)
                axis.set_ylabel(text)
                if ranks:
                    axis.set_title(f"ρ {', '.join(ranks)}", fontsize=7.5)
            row[0].annotate(
                TASK_LABELS.get(task, task), (-0.62, 0.5), xycoords="axes fraction", rotation=90,
                va="center", ha="center", fontweight="bold",
            )  # fmt: skip
        for axis in axes[-1]:
            axis.set_xlabel("amount a")
        if len(models) > 1:
            legend_below(figure, axes[0, 0], len(models))
    return figure, data


INTERPOLATION_ORDER = (
    "ldae",
    "ldae_joint",
    "ldae_residual",
    "latent_average",
    "voxel_average",
    "nearest_visit",
)


INTERPOLATION_METRICS = {
    "mse": "MSE in the mask",
    "skill": "skill (best trivial = 0)",
    "ventricle_error_ml": "ventricle error (ml)",
    "hippocampus_error_ml": "hippocampus error (ml)",
}
SPANS = {
    "gap_months": "gap A to B (months)",
    "nearest_months": "to nearer visit (months)",
}


def plot_interpolation_gap(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Errors of filled-in visits against the real scan, by gap and by distance to the nearer visit.

    Parameters
    ----------
    table
        Table ``interpolation``.
    """
    part = table[
        (table["target"] == "real")
        & table["metric"].isin(INTERPOLATION_METRICS)
        & table["region"].fillna("").isin(["mask", ""])
    ]
    spans = {span: text for span, text in SPANS.items() if part[span].notna().any()}
    data = part[part[list(spans)].notna().any(axis=1)].reset_index(drop=True)
    methods = [m for m in INTERPOLATION_ORDER if m in set(data["method"])]
    methods += sorted(set(data["method"]) - set(methods))
    with theme():
        figure = new_figure(0.5 + 1.95 * len(spans), 7.6)
        axes = figure.subplots(len(spans), len(INTERPOLATION_METRICS), squeeze=False)
        for line, (span, label) in zip(axes, spans.items(), strict=True):
            of_span = data[data[span].notna()]
            places = sorted(of_span[span].astype(int).unique())
            for axis, (metric, text) in zip(line, INTERPOLATION_METRICS.items(), strict=True):
                for k, method in enumerate(methods):
                    curve = of_span[(of_span["metric"] == metric) & (of_span["method"] == method)]
                    if curve.empty:
                        continue
                    curve = curve.sort_values(span)
                    x = np.array([places.index(int(g)) for g in curve[span]], float)
                    errorbars(axis, x + 0.08 * (k - (len(methods) - 1) / 2), curve, method)
                axis.set_xticks(range(len(places)), [str(g) for g in places])
                axis.margins(x=0.12)
                axis.set_xlabel(label)
                axis.set_ylabel(text)
                if metric == "mse":
                    axis.set_yscale("log")
                if metric == "skill":
                    axis.axhline(0, color=BLACK, linewidth=0.8)
        panel_letters(axes.ravel())
        legend_below(figure, axes[0, 0], len(methods))
    return figure, data


OPERATIONS = {
    "encode_semantic": "semantic\ncode",
    "encode": "encode",
    "reconstruct": "recon-\nstruct",
    "interpolate": "inter-\npolate",
}


def plot_throughput(table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Seconds per scan and peak memory of each operation, by model.

    Parameters
    ----------
    table
        Table ``throughput``.
    """
    data = table[table["metric"].isin(["seconds_per_scan", "peak_memory_mb"])].reset_index(
        drop=True
    )
    operations = [o for o in OPERATIONS if o in set(data["operation"])]
    methods = list(dict.fromkeys(data["method"]))
    width = 0.8 / max(1, len(methods))
    ratios = table[table["metric"] == "speed_ratio_same_sampler"].set_index(
        ["method", "operation"]
    )["value"]
    texts = {"seconds_per_scan": "seconds per scan", "peak_memory_mb": "peak memory (MB)"}
    with theme():
        figure = new_figure(2.8)
        axes = figure.subplots(1, 2, width_ratios=[3, 2])
        for axis, (metric, text) in zip(axes, texts.items(), strict=True):
            for k, method in enumerate(methods):
                of_method = data[(data["metric"] == metric) & (data["method"] == method)]
                part = of_method.set_index("operation").reindex(operations)
                x = np.arange(len(operations)) + width * (k - (len(methods) - 1) / 2)
                value = part["value"].to_numpy(float)
                low = np.nan_to_num(value - part["ci_low"].to_numpy(float)).clip(0)
                high = np.nan_to_num(part["ci_high"].to_numpy(float) - value).clip(0)
                axis.bar(
                    x, value, width * 0.94, color=color_of(method), label=label_of(method),
                    yerr=[low, high] if metric == "seconds_per_scan" else None, capsize=2,
                    error_kw={"elinewidth": 0.9},
                )  # fmt: skip
                if metric == "seconds_per_scan":
                    ratio = ratios.reindex([(method, o) for o in operations]).to_numpy(float)
                    top = part["ci_high"].fillna(part["value"]).to_numpy(float)
                    for i in np.flatnonzero(np.isfinite(ratio)):
                        axis.annotate(
                            f"{ratio[i]:.{int(ratio[i] < 10)}f}×", (x[i], top[i]),
                            ha="center", va="bottom", rotation=90,
                            xytext=(0, 3), textcoords="offset points", fontsize=6.5,
                        )  # fmt: skip
            axis.set_xticks(range(len(operations)), [OPERATIONS[o] for o in operations])
            axis.set_ylabel(text)
            axis.grid(visible=False, axis="x")
        axes[0].set_yscale("log")
        axes[0].yaxis.set_major_formatter("{x:g}")
        axes[0].margins(y=0.2)
        panel_letters(axes)
        legend_below(figure, axes[0], len(methods))
    return figure, data


VOLUMES = {"ventricles": "lateral ventricles", "hippocampi": "hippocampi", "brain": "brain tissue"}


def plot_volumes(pairs: pd.DataFrame, table: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Measured over reference volumes, one point per scan.

    Parameters
    ----------
    pairs
        structure, scan, subject, measured, reference, ml.
    table
        Table ``volumes``.
    """
    shown = [s for s in VOLUMES if s in set(pairs["structure"])]
    data = pairs[pairs["structure"].isin(shown)].reset_index(drop=True)
    value = table.set_index(["structure", "metric"])["value"]
    with theme():
        figure = new_figure(2.7)
        axes = np.atleast_1d(figure.subplots(1, len(shown)))
        for axis, structure in zip(axes, shown, strict=True):
            part = data[data["structure"] == structure]
            both = part[["reference", "measured"]].to_numpy(float)
            low, high = both.min(), both.max()
            axis.plot([low, high], [low, high], color="#b0b0b0", linewidth=0.9, linestyle=":")
            axis.scatter(
                both[:, 0],
                both[:, 1],
                s=8,
                alpha=0.6,
                linewidth=0,
                color=color_of("region_volumes"),
            )
            axis.set_title(
                f"r = {value[structure, 'correlation']:.3f}, mean error "
                f"{value[structure, 'error_ml']:.3g} ml",
                fontsize=7.5,
            )
            axis.set_xlabel(f"{VOLUMES[structure]}, reference (ml)")
            axis.set_ylabel("measured (ml)")
    for column in ("cohort", "seed", "n_subjects", "n_scans"):
        data[column] = table[column].iloc[0]
    return figure, data
