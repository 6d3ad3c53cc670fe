"""One look for all figures, and one way to save them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ldae.methods import Method, Methods, Role

DPI = 300
"""Of pictures, and of slices in drawings, as journals ask of combined figures."""

WIDTH_INCHES = 7.2
"""Width of a two-column figure in print (183 mm)."""

PALETTE = {
    "black": "#1a1a1a", "orange": "#E69F00", "sky": "#56B4E9", "green": "#009E73",
    "yellow": "#D9C500", "blue": "#0072B2", "vermilion": "#D55E00", "purple": "#CC79A7",
    "grey": "#8c8c8c", "rust": "#B34700", "wine": "#882255",
}  # fmt: skip
"""Colours that colour-blind readers can tell apart, by name: those of Okabe & Ito (2008), yellow
darkened, and wine of Paul Tol's muted scheme.

Rust is vermilion dark enough for white text (contrast 5.5:1; vermilion has 3.9:1).
"""

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE, GREY, RUST, _ = PALETTE.values()

REFERENCE: dict[str, Any] = {"color": "#b0b0b0", "linewidth": 0.9, "linestyle": ":"}
"""Line of equality or of chance."""

MOST_ABLATIONS = 2
"""A study with more ablations than this shows them in tables only."""

TASK_LABELS = {"ad_vs_cn": "Alzheimer's disease", "age": "age", "sex": "sex", "site": "site"}
TASK_COLORS = {"ad_vs_cn": VERMILION, "age": BLUE}
"""Attributes, and the colours of their edits."""

STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "figure.dpi": DPI,
    "svg.hashsalt": "ldae",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # TrueType, embedded: text stays text, as journals ask
}


@contextmanager
def theme() -> Iterator[None]:
    """Draw in the common style; settings outside the block are untouched."""
    with mpl.rc_context(STYLE):
        yield


def shown_models(methods: Methods, present: Iterable[str]) -> list[Method]:
    """Models under test among the names `present`; their ablations only where they are few."""
    names = set(present)
    models = [m for m in methods.select(Role.MODEL).values() if m.name in names]
    few = sum(m.ablation_of is not None for m in models) <= MOST_ABLATIONS
    return [m for m in models if few or m.ablation_of is None]


def color_of(methods: Methods, name: str) -> str:
    """Colour of a method, the same in every figure."""
    return PALETTE[methods.look(name).color]


def new_figure(height_inches: float, width_inches: float = WIDTH_INCHES) -> Figure:
    """Empty figure that lays itself out; not registered with pyplot, so nothing needs closing."""
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panel_letters(axes: Iterable[Axes]) -> None:
    """Mark panels a, b, c, … at their upper left."""
    for letter, axis in zip("abcdefghij", axes, strict=False):
        axis.set_title(letter, loc="left", fontweight="bold", fontsize=9)


def save_figure(
    figure: Figure, data: pd.DataFrame, png: Path, svg: Path, pdf: Path, tsv: Path
) -> None:
    """Write a figure as picture, as drawings for screens and for print, and as its numbers.

    Parameters
    ----------
    figure, data
        As a plot function returns them.
    png, svg, pdf, tsv
        Written; equal input gives equal bytes (no date is embedded). Text is drawn as outlines in
        the SVG, and as text with embedded fonts in the PDF.
    """
    # As outlines, text needs no font where the report is read.
    with theme(), mpl.rc_context({"svg.fonttype": "path"}):
        figure.savefig(png, dpi=DPI, metadata={"Software": None})
        figure.savefig(svg, dpi=DPI, metadata={"Date": None, "Creator": None})
        figure.savefig(pdf, dpi=DPI, metadata={"CreationDate": None, "Creator": None})
    data.to_csv(tsv, sep="\t", index=False, float_format="%.6g", lineterminator="\n")


def legend_below(figure: Figure, axis: Axes, columns: int) -> None:
    """One legend for all panels, under them."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
