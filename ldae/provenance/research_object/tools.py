"""Tools of the workflow: the scripts of its rules, and the packages that they require."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import PurePosixPath

from rocrate.model import Entity

from ldae.provenance.history import Job
from ldae.provenance.research_object.graph import Graph
from ldae.provenance.research_object.study import Study
from ldae.provenance.wording import describe_commit


@dataclass(frozen=True)
class Tools:
    """Tools of a crate.

    Attributes
    ----------
    graph
        The crate.
    study
        The study that it describes.
    """

    graph: Graph
    study: Study

    def tool(self, job: Job) -> Entity:
        """Script of a job's rule at the commit of the job; several rules may share it."""
        path = job.script
        name = PurePosixPath(path).stem
        commit = job.record["commit"]
        uri = self.study.code.uri(commit, path) or f"#tool/{name}"
        if uri in self.graph:
            return self.graph[uri]
        software = job.record.get("software", {})
        return self.graph.entity(
            uri,
            "SoftwareApplication",
            name=name,
            description=self._purpose(commit, path),
            url=uri if ":" in uri else self.study.home,
            softwareVersion=describe_commit(job.record),
            softwareRequirements=[self.package(n, v) for n, v in sorted(software.items())],
        )

    def _purpose(self, commit: str | None, path: str) -> str:
        """Purpose of a script, from its docstring."""
        text = ast.get_docstring(ast.parse(self.study.code.read(commit, path))) or path
        return text.removeprefix("Rule entry point: ").strip()

    def package(self, name: str, version: str) -> Entity:
        """One version of a package of PyPI, or of ``python``."""
        uri = f"https://pypi.org/project/{name}/{version}/"
        if name == "python":
            uri = f"https://www.python.org/downloads/release/python-{version.replace('.', '')}/"
        return self.graph.entity(
            uri, "SoftwareApplication", name=name, softwareVersion=version, url=uri
        )
