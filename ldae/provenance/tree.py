"""Lineage as a text tree: the file on top, and below each job the jobs that it read from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property

from ldae.provenance.history import FileState, Job
from ldae.provenance.lineage import Group, Lineage
from ldae.provenance.wording import (
    count_files,
    describe_commit,
    describe_device,
    describe_params,
    describe_seconds,
    describe_size,
    short_digest,
)


def draw_tree(lineage: Lineage) -> Iterator[str]:
    """Lines of the tree, in which each job occurs once.

    A job is placed below the reader that is farthest from the file; its other readers mention it in
    brackets. Facts that all jobs share (commit, device) are stated once at the top.
    """
    return _Tree(lineage).lines()


class _Tree:
    def __init__(self, lineage: Lineage) -> None:
        self.lineage = lineage
        shown = [job for job in lineage.jobs if job.id not in lineage.aside]
        self.group_of = {job.id: group for group in lineage.groups(shown) for job in group.jobs}

    def lines(self) -> Iterator[str]:
        """The file, the shared facts, and the tree."""
        lineage = self.lineage
        state = lineage.history.state(lineage.target)
        facts = [lineage.state_on_disk()]
        if state is not None:
            facts = [describe_size(state.size), f"sha256 {short_digest(state.sha256)}…", *facts]
        yield f"{lineage.target}  {', '.join(facts)}"
        if lineage.cell is not None:
            for _, row in lineage.cell.rows.iterrows():
                yield "  " + "  ".join(f"{name}={value}" for name, value in row.items() if value)
        number = f"{len(lineage.jobs)} jobs" if len(lineage.jobs) > 1 else "1 job"
        shared = f", each with {', '.join(self.shared)}" if self.shared else ""
        yield f"{number}{shared}"
        yield from self._branch(self.group_of[lineage.producer.id], "", "└─ ", "   ")
        if lineage.aside:
            others = [job for job in lineage.jobs if job.id in lineage.aside]
            yield f"For other rows of the same table, by their wildcards: {_count_rules(others)}"

    @cached_property
    def shared(self) -> list[str]:
        """Commit and device, if they are the same for all jobs."""
        found = []
        for describe in (describe_commit, describe_device):
            values = {describe(job.record) for job in self.lineage.jobs}
            if len(values) == 1 and "" not in values:
                found.append(values.pop())
        return found

    @cached_property
    def hung(self) -> dict[Group, list[Group]]:
        """Groups below each group, most recent first."""
        distance = {self.lineage.producer.id: 0}
        reader: dict[Group, Group] = {}
        # A reader starts after the jobs that it reads from, so readers are visited before parents.
        for job in reversed(self.lineage.jobs):
            for parent in self._parents(job) if job.id in distance else ():
                if distance.get(parent.id, 0) <= distance[job.id]:
                    distance[parent.id] = distance[job.id] + 1
                    reader[self.group_of[parent.id]] = self.group_of[job.id]
        found: dict[Group, list[Group]] = defaultdict(list)
        for group in sorted(reader, key=lambda g: g.jobs[0].start, reverse=True):
            found[reader[group]].append(group)
        return found

    def _parents(self, job: Job) -> list[Job]:
        return [p for p in self.lineage.parents[job.id] if p.id in self.group_of]

    def _branch(self, group: Group, indent: str, fork: str, gap: str) -> Iterator[str]:
        """Lines of one group and, indented, of the groups below it."""
        below = self.hung.get(group, [])
        raw = self._raw_files(group)
        n_leaves = len(below) + len(raw)
        stem = indent + gap + ("│  " if n_leaves else "   ")
        elsewhere = {
            parent
            for job in group.jobs
            for parent in self._parents(job)
            if self.group_of[parent.id] not in below
        }
        also = f"  [and from {_count_rules(elsewhere)}]" if elsewhere else ""
        yield f"{indent}{fork}{_name(group)}{also}"
        yield stem + " · ".join(self._facts(group))
        settings = describe_params(group.jobs[0].record["params"])
        if settings:
            yield stem + settings
        forks = [("├─ ", "│  ")] * (n_leaves - 1) + [("└─ ", "   ")]
        for child, (fork, deeper) in zip(below, forks, strict=False):
            yield from self._branch(child, indent + gap, fork, deeper)
        for line, (fork, _) in zip(raw, forks[len(below) :], strict=False):
            yield f"{indent}{gap}{fork}{line}"

    def _facts(self, group: Group) -> Iterator[str]:
        """Time, duration, seed, facts that not all jobs share, and numbers of files."""
        record = group.jobs[0].record
        yield f"{group.jobs[0].start:%Y-%m-%d %H:%M}"
        yield describe_seconds(group.seconds)
        if "seed" in record["params"]:
            yield f"seed {record['seed']}"
        for fact in (describe_commit(record), describe_device(record)):
            if fact and fact not in self.shared:
                yield fact
        read = count_files({file for job in group.jobs for file in job.inputs})
        written = count_files({file for job in group.jobs for file in job.outputs})
        yield f"{read} in, {written} out"

    def _raw_files(self, group: Group) -> list[str]:
        """Lines for files that no job wrote, one per folder of subjects or single file."""
        places: dict[str, set[FileState]] = defaultdict(set)
        for file in self.lineage.history.raw_inputs(group.jobs):
            folder, subject, _ = file.path.partition("/sub-")
            places[f"{folder}/sub-*" if subject else file.path].add(file)
        return [f"raw: {place}  {count_files(files)}" for place, files in sorted(places.items())]


def _count_rules(jobs: Iterable[Job]) -> str:
    """Names of the jobs' rules, with the number of jobs of each."""
    counts = sorted(Counter(job.rule for job in jobs).items())
    return ", ".join(f"{rule} ×{n}" if n > 1 else rule for rule, n in counts)


def _name(group: Group) -> str:
    """Rule and wildcards; for several jobs, their number and the first and last wildcards."""
    rule = group.rule if len(group.jobs) == 1 else f"{group.rule} ×{len(group.jobs)}"
    cases = []
    for name in group.jobs[0].wildcards:
        # Shorter values first, so that numbers are in numerical order.
        values = sorted({job.wildcards[name] for job in group.jobs}, key=lambda v: (len(v), v))
        cases.append(f"{name}={values[0]}" + (f" … {values[-1]}" if len(values) > 1 else ""))
    return " ".join([rule, *cases])
