"""The picture of a file's ancestry: from raw scans at the left to the file at the right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import matplotlib.image
import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch, Rectangle
from matplotlib.path import Path as Curve
from scipy.optimize import isotonic_regression, linprog

from ldae.errors import InputError
from ldae.figures.theme import BLACK, DPI, GREEN, GREY, ORANGE, SKY, new_figure, theme
from ldae.provenance.history import Job
from ldae.provenance.lineage import Lineage
from ldae.provenance.wording import count_files, describe_commit, describe_seconds, short_digest

# Inches on the page: a box, the space between columns and between boxes, and the file's own
# picture, or its name alone, at the right.
BOX = (1.22, 0.6)
COLUMN_GAP = 0.46
ROW_GAP = 0.17
# Height that a line passing through a column takes.
PASSAGE = 0.1
THUMBNAIL = 3.0
CAPTION = 1.6
MARGIN = 0.25
HEADER = 0.55
FOOTER = 0.3
PITCH = BOX[0] + COLUMN_GAP

LINE = "#9a9a9a"
SOFT = "#444444"
# Inches from one line of text to the next, at the right.
LINE_HEIGHT = 0.13

# Kinds of pictures, with what keeps the date out of each.
UNDATED: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None},
}

# Sweeps over the columns; order and heights settle after a few.
SWEEPS = 16

LEARNED, DRAWN, COMPUTED, RAW = "learned", "drawn", "computed", "raw"
COLORS = {LEARNED: ORANGE, DRAWN: GREEN, COMPUTED: SKY, RAW: GREY}
LEGEND = {
    RAW: "raw files, made by no job",
    COMPUTED: "computed",
    LEARNED: "trained or fitted",
    DRAWN: "figures and report",
}
# Kinds by the first word of a rule's name.
KINDS = {"train": LEARNED, "fit": LEARNED, "plot": DRAWN, "build": DRAWN}

RAW_NODE = "raw files"

# Rules that form a chain, one below the other in one column, and at most so many.
Stack = tuple[str, ...]
MAX_STACK = 4


@dataclass(frozen=True)
class Place:
    """A stack in a column, or the passage of a line through the column.

    Attributes
    ----------
    stack
        Rules, from above; empty for a passage.
    edge, column
        Line that passes and where, for a passage.
    """

    stack: Stack = ()
    edge: tuple[Stack, Stack] | None = None
    column: int = 0

    @property
    def height(self) -> float:
        """Inches that it takes."""
        if not self.stack:
            return PASSAGE
        return len(self.stack) * BOX[1] + (len(self.stack) - 1) * ROW_GAP

    def level(self, number: int) -> float:
        """Height of the middle of one box over the middle of the stack; -1 is the last box."""
        if not self.stack:
            return 0.0
        return (self.height - BOX[1]) / 2 - (number % len(self.stack)) * (BOX[1] + ROW_GAP)


@dataclass(frozen=True)
class Layout:
    """Where everything stands.

    Attributes
    ----------
    boxes
        Left edge and middle of each rule's box, in inches, from the left and from the middle
        upwards.
    lines
        Points that each line between boxes goes through.
    n_columns
        Number of columns.
    extent
        Height of all columns in inches.
    """

    boxes: Mapping[str, tuple[float, float]]
    lines: Sequence[Sequence[tuple[float, float]]]
    n_columns: int
    extent: float


def plot_lineage(lineage: Lineage) -> Figure:
    """Every rule behind a file as a box with its number of jobs, columns in order of dependence.

    Lines that follow from others (A to C where A leads to B and B to C) are left away.
    """
    jobs: dict[str, list[Job]] = defaultdict(list)
    for job in lineage.jobs:
        jobs[job.rule].append(job)
    raw = lineage.history.raw_inputs(lineage.jobs)
    layout = lay_out(_rule_graph(lineage))
    right = MARGIN + layout.n_columns * PITCH
    width = right + (THUMBNAIL if _picture_of(lineage) else CAPTION) + MARGIN
    inside = max(layout.extent, THUMBNAIL)
    bottom = -(inside / 2 + MARGIN + FOOTER)
    top = inside / 2 + MARGIN + HEADER
    with theme():
        figure = new_figure(top - bottom, width)
        figure.set_layout_engine("none")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        for points in layout.lines:
            _draw_line(axes, points)
        for node, place in layout.boxes.items():
            aside = node != RAW_NODE and all(job.id in lineage.aside for job in jobs[node])
            lines = [count_files(raw)] if node == RAW_NODE else _job_lines(lineage, jobs[node])
            _draw_box(axes, place, node, lines, aside)
        x, y = layout.boxes[lineage.producer.rule]
        _draw_line(axes, [(x + BOX[0], y), (right - 0.06, y)])
        _draw_target(axes, lineage, right, y, inside)
        _write_header(axes, lineage, top - MARGIN)
        kinds = {_kind(node) for node in layout.boxes}
        handles = [
            Patch(facecolor=_tint(COLORS[kind]), edgecolor=COLORS[kind], label=text)
            for kind, text in LEGEND.items()
            if kind in kinds
        ]
        if lineage.aside:
            text = "for other rows of the table"
            handles.append(Patch(facecolor="white", edgecolor=GREY, linestyle="--", label=text))
        axes.legend(
            handles=handles,
            loc="lower left",
            ncols=len(handles),
            bbox_to_anchor=(MARGIN - 0.1, bottom + 0.1),
            bbox_transform=axes.transData,
        )
        axes.set(xlim=(0, width), ylim=(bottom, top))
    return figure


def save_lineage(figure: Figure, path: Path) -> None:
    """Write the picture in the format that the file's ending names; equal input, equal bytes.

    Raises
    ------
    InputError
        If no picture can be written in this format.
    """
    if path.suffix not in UNDATED:
        raise InputError(path, "is no picture", f"Choose among {', '.join(UNDATED)}.")
    with theme():
        figure.savefig(path, dpi=DPI, metadata=UNDATED[path.suffix])


def _kind(node: str) -> str:
    return RAW if node == RAW_NODE else KINDS.get(node.partition("_")[0], COMPUTED)


def _rule_graph(lineage: Lineage) -> nx.DiGraph[str]:
    """Rules, and lines from each to those that read its output; indirect lines left away."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    for job in lineage.jobs:
        graph.add_node(job.rule)
        for parent in lineage.parents[job.id]:
            if parent.rule != job.rule:
                graph.add_edge(parent.rule, job.rule)
        if lineage.history.raw_inputs([job]):
            graph.add_edge(RAW_NODE, job.rule)
    reduced: nx.DiGraph[str] = nx.DiGraph()
    reduced.add_nodes_from(graph)
    reduced.add_edges_from(sorted(nx.transitive_reduction(graph).edges))  # the same each time
    return reduced


def lay_out(graph: nx.DiGraph[str]) -> Layout:
    """Columns, order and heights of the nodes of an acyclic graph.

    Chains stand below each other in one column. The columns make all lines together as short as
    possible (Gansner et al. 1993, section 2); the order in a column follows the mean of the
    neighbours (Sugiyama et al. 1981); the heights come as near to the neighbours' as the order
    and the space between boxes allow.
    """
    stacks = _stack_chains(graph)
    column = _columns(stacks)
    n_columns = max(column.values()) + 1
    chains = {
        edge: [
            Place(edge[0]),
            *(Place((), edge, c) for c in range(column[edge[0]] + 1, column[edge[1]])),
            Place(edge[1]),
        ]
        for edge in stacks.edges
    }
    links: dict[Place, list[Place]] = {Place(stack): [] for stack in stacks}
    for chain in chains.values():
        for left, right in pairwise(chain):
            links.setdefault(left, []).append(right)
            links.setdefault(right, []).append(left)
    members: list[list[Place]] = [[] for _ in range(n_columns)]
    for place in links:
        members[column[place.stack] if place.stack else place.column].append(place)
    heights = _order_and_heights(members, links)

    boxes, lines = {}, []
    for stack in stacks:
        x = MARGIN + column[stack] * PITCH
        levels = [heights[Place(stack)] + Place(stack).level(i) for i in range(len(stack))]
        boxes.update({rule: (x, y) for rule, y in zip(stack, levels, strict=True)})
        middle = x + BOX[0] / 2
        for above, below in pairwise(levels):
            lines.append([(middle, above - BOX[1] / 2), (middle, below + BOX[1] / 2)])
    for start, *through, end in chains.values():
        points = [(boxes[start.stack[-1]][0] + BOX[0], boxes[start.stack[-1]][1])]
        for place in through:
            x = MARGIN + place.column * PITCH
            points += [(x, heights[place]), (x + BOX[0], heights[place])]
        lines.append([*points, boxes[end.stack[0]]])
    extent = 2 * max(abs(heights[Place(s)]) + Place(s).height / 2 for s in stacks)
    return Layout(boxes, lines, n_columns, extent)


def _stack_chains(graph: nx.DiGraph[str]) -> nx.DiGraph[Stack]:
    """The graph with every chain, in which each leads to the next alone, as one node."""
    stacks: dict[str, Stack] = {}
    for node in nx.topological_sort(graph):
        before = list(graph.predecessors(node))
        follows = len(before) == 1 and graph.out_degree(before[0]) == 1
        follows = follows and len(stacks[before[0]]) < MAX_STACK
        stack = (*stacks[before[0]], node) if follows else (node,)
        stacks.update(dict.fromkeys(stack, stack))
    whole: nx.DiGraph[Stack] = nx.DiGraph()
    whole.add_nodes_from(dict.fromkeys(stacks.values()))
    whole.add_edges_from((stacks[a], stacks[b]) for a, b in graph.edges if stacks[a] != stacks[b])
    return whole


def _columns(graph: nx.DiGraph[Stack]) -> dict[Stack, int]:
    """Column of each stack: every line goes to the right, and their lengths have the least sum."""
    nodes = list(graph)
    if not graph.number_of_edges():
        return dict.fromkeys(nodes, 0)
    number = {node: i for i, node in enumerate(nodes)}
    rows = np.zeros((graph.number_of_edges(), len(nodes)))
    for row, (start, end) in zip(rows, graph.edges, strict=True):
        row[number[start]], row[number[end]] = 1, -1
    solved = linprog(-rows.sum(axis=0), A_ub=rows, b_ub=-np.ones(len(rows)), bounds=(0, len(nodes)))
    columns = np.rint(solved.x).astype(int)
    return {node: int(columns[number[node]] - columns.min()) for node in nodes}


def _order_and_heights(
    members: list[list[Place]], links: Mapping[Place, list[Place]]
) -> dict[Place, float]:
    """Heights of all places; the order in `members` becomes that with the fewest crossings."""
    column = {place: c for c, places in enumerate(members) for place in places}
    y: dict[Place, float] = {}
    for places in members:
        y.update(_spread(places, np.zeros(len(places))))
    best, fewest = dict(y), _count_crossings(members, links, y)
    for sweep in range(SWEEPS):
        to_the_right = sweep % 2 == 0
        for places in members if to_the_right else members[::-1]:
            wanted = {}
            for place in places:
                near = [o for o in links[place] if (column[o] < column[place]) == to_the_right]
                wanted[place] = float(np.mean([y[other] for other in near or [place]]))
            places.sort(key=wanted.__getitem__)
            y.update(_spread(places, np.array([wanted[place] for place in places])))
        crossings = _count_crossings(members, links, y)
        if crossings < fewest:
            best, fewest = dict(y), crossings
    y = best
    for places in members:
        places.sort(key=y.__getitem__)
    for _ in range(SWEEPS):
        for places in members:
            near_by = [np.mean([y[o] for o in links[place] or [place]]) for place in places]
            y.update(_spread(places, np.array(near_by)))
    top = max(height + place.height / 2 for place, height in y.items())
    bottom = min(height - place.height / 2 for place, height in y.items())
    return {place: height - (top + bottom) / 2 for place, height in y.items()}


def _spread(places: Sequence[Place], wanted: np.ndarray) -> dict[Place, float]:
    """Heights nearest to the wanted ones (least squares) that keep order and space."""
    room = np.array([place.height for place in places])
    offset = np.concatenate([[0.0], np.cumsum((room[1:] + room[:-1]) / 2 + ROW_GAP)])
    heights = isotonic_regression(wanted - offset).x + offset
    return dict(zip(places, heights.tolist(), strict=True))


def _count_crossings(
    members: Sequence[Sequence[Place]],
    links: Mapping[Place, list[Place]],
    y: Mapping[Place, float],
) -> int:
    total = 0
    for left, right in pairwise(members):
        pairs = [(y[a], y[b]) for a in left for b in links[a] if b in right]
        total += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(pairs, 2))
    return total


def _draw_line(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    """A smooth line through points, level at each, with an arrow at its end."""
    vertices, codes = [points[0]], [Curve.MOVETO]
    for (x0, y0), (x1, y1) in pairwise(points):
        if x0 == x1:  # from one box to that below it
            vertices.append((x1, y1))
            codes.append(Curve.LINETO)
            continue
        bend = (x1 - x0) / 2
        vertices += [(x0 + bend, y0), (x1 - bend, y1), (x1, y1)]
        codes += [Curve.CURVE4] * 3
    axes.add_patch(
        FancyArrowPatch(
            path=Curve(vertices, codes),
            arrowstyle="-|>,head_length=2.6,head_width=1.3",
            edgecolor=LINE,
            facecolor=LINE,
            lw=0.9,
            zorder=1,
        )
    )


def _draw_box(
    axes: Axes, place: tuple[float, float], node: str, lines: Sequence[str], aside: bool
) -> None:
    x, y = place
    color = COLORS[_kind(node)]
    axes.add_patch(
        FancyBboxPatch(
            (x, y - BOX[1] / 2),
            *BOX,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor="white" if aside else _tint(color),
            edgecolor=GREY if aside else color,
            linestyle="--" if aside else "-",
            lw=1.0,
            zorder=2,
        )
    )
    common: dict[str, Any] = {"ha": "center", "linespacing": 1.05, "zorder": 3}
    axes.text(
        x + BOX[0] / 2,
        y + BOX[1] / 2 - 0.05,
        break_name(node),
        va="top",
        fontsize=7,
        fontweight="bold",
        color=GREY if aside else BLACK,
        **common,
    )
    axes.text(
        x + BOX[0] / 2,
        y - BOX[1] / 2 + 0.05,
        "\n".join(lines),
        va="bottom",
        fontsize=6.3,
        color=GREY if aside else SOFT,
        **common,
    )


# Longer names are broken at the underscore nearest to their middle.
NAME_WIDTH = 17


def break_name(name: str) -> str:
    """A rule's name in one line, or in two where it is long."""
    places = [i for i, letter in enumerate(name) if letter == "_"]
    if len(name) <= NAME_WIDTH or not places:
        return name
    place = min(places, key=lambda i: abs(i - len(name) / 2))
    return f"{name[: place + 1]}\n{name[place + 1 :]}"


def _job_lines(lineage: Lineage, jobs: Sequence[Job]) -> list[str]:
    """Number of jobs, their time, and files read and written."""
    seconds = sum(float(job.record.get("wall_seconds", 0)) for job in jobs)
    read = {file for job in jobs for file in job.inputs}
    written = {file for job in jobs for file in job.outputs}
    number = "1 job" if len(jobs) == 1 else f"{len(jobs)} jobs"
    for_rows = sum(job.id not in lineage.aside for job in jobs)
    if 0 < for_rows < len(jobs):
        number = f"{for_rows} of {number}"
    word = "file" if len(written) == 1 else "files"
    return [
        f"{number}, {describe_seconds(seconds)}",
        f"{len(read):,} → {len(written):,} {word}" if read else f"{len(written):,} {word}",
    ]


def _draw_target(axes: Axes, lineage: Lineage, x: float, y: float, inside: float) -> None:
    """The file itself: its picture where there is one, with name and digest; for a cell its value.

    `x` is its left edge, `y` where the line arrives, `inside` the height of all columns.
    """
    state = lineage.history.state(lineage.target)
    text = [lineage.target.rpartition("/")[2]]
    text += [f"sha256 {short_digest(state.sha256)}…"] if state else []
    if lineage.cell is not None:
        row = lineage.cell.rows.iloc[0]
        text += [f"{column} {value}" for column, value in lineage.cell.where.items()]
        text += [f"value {row['value']}"] if "value" in row else []
        more = len(lineage.cell.rows) - 1
        text += [f"and {more} more rows"] if more else []
    picture = _picture_of(lineage)
    below = y + LINE_HEIGHT * len(text) / 2
    if picture is not None:
        image = matplotlib.image.imread(picture)
        ratio = image.shape[0] / image.shape[1]
        room = inside - LINE_HEIGHT * len(text)
        width = min(THUMBNAIL, room / ratio)
        height = width * ratio
        middle = min(
            max(y, height / 2 - inside / 2 + LINE_HEIGHT * len(text)), (inside - height) / 2
        )
        below = middle - height / 2
        extent = (x, x + width, below, below + height)
        axes.imshow(image, extent=extent, aspect="auto", interpolation="lanczos", zorder=2)
        axes.add_patch(
            Rectangle((x, below), width, height, fill=False, edgecolor=LINE, lw=0.6, zorder=3)
        )
    axes.text(x, below - 0.05, "\n".join(text), ha="left", va="top", fontsize=7, linespacing=1.2)


def _picture_of(lineage: Lineage) -> Path | None:
    """PNG that the job of the file wrote beside it, for figures only."""
    stem = lineage.target.rpartition(".")[0]
    for file in lineage.producer.outputs:
        path = lineage.history.results / file.path.partition("/")[2]
        if file.path == f"{stem}.png" and path.is_file():
            return path
    return None


def _write_header(axes: Axes, lineage: Lineage, top: float) -> None:
    jobs = lineage.jobs
    start, end = min(job.start for job in jobs), max(job.end or job.start for job in jobs)
    rules = {job.rule for job in jobs}
    devices = sorted({str((job.record.get("device") or {}).get("name", "")) for job in jobs} - {""})
    commits = sorted({describe_commit(job.record) for job in jobs})
    seeds = sorted({job.record["seed"] for job in jobs if "seed" in job.record["params"]})
    facts = [
        f"{len(jobs)} jobs of {len(rules)} rules",
        f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC",
        ", ".join(commits),
        f"seed {', '.join(map(str, seeds))}" if seeds else "",
        ", ".join(devices),
    ]
    name = lineage.target.partition("/")[2] or lineage.target
    axes.text(MARGIN, top, f"Ancestry of {name}", fontsize=11, fontweight="bold", va="top")
    text = "  ·  ".join(filter(None, facts))
    axes.text(MARGIN, top - 0.26, text, fontsize=7.5, color=SOFT, va="top")


def _tint(color: str) -> tuple[float, float, float]:
    """A light shade of a colour."""
    rgb = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (1 - 0.2 * (1 - part) for part in rgb)
    return red, green, blue
