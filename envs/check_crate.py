"""Validate a crate against the profile Provenance Run Crate 0.5, without network access.

    .crate-check/bin/python envs/check_crate.py results/crate

A valid crate meets all requirements of the profile, and all recommendations except those for which
resources/ro-crate/accepted.yaml gives a reason. It must also be readable by `runcrate`. The exit
status is 1 if the crate is not valid.
"""

from __future__ import annotations

import argparse
import io
import logging
import re
import sys
import urllib.error
import urllib.request
import urllib.response
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import requests
import runcrate.report
from rocrate_validator import services
from rocrate_validator.models import Severity
from ruamel.yaml import YAML

PROFILE = "provenance-run-crate-0.5"
FOLDER = Path(__file__).resolve().parents[1] / "resources" / "ro-crate"
CONTEXTS = {
    "https://w3id.org/ro/crate/1.1/context": FOLDER / "ro-crate-1.1.jsonld",
    "https://w3id.org/ro/terms/workflow-run/context": FOLDER / "workflow-run.jsonld",
}

MEDIA_TYPE = "application/ld+json"


@dataclass(frozen=True)
class Issue:
    """One issue that the validator reports."""

    required: bool
    check: str
    message: str
    entity: str


def main() -> int:
    """Validate the crate, print the issues, and return the exit status."""
    parser = argparse.ArgumentParser(description="Validate a crate.")
    parser.add_argument("crate", type=Path)
    crate = parser.parse_args().crate
    logging.disable(logging.WARNING)  # warnings about addresses that are not retrieved
    serve_contexts()
    accepted = YAML(typ="safe").load(FOLDER / "accepted.yaml")
    issues = list(validate(crate))
    rejected = [issue for issue in issues if issue.required or not is_accepted(issue, accepted)]
    n_required = sum(issue.required for issue in issues)
    say(f"required: {n_required} issues; recommended: {len(issues) - n_required}")
    for (message, reason), number in Counter(reasons(issues, accepted)).items():
        say(f"accepted, {number}: {message}. {reason}")
    for issue in rejected:
        kind = "REQUIRED" if issue.required else "RECOMMENDED"
        say(f"{kind} {issue.check}: {issue.message} ({issue.entity})")
    n_actions = read_actions(crate)
    say(f"runcrate reads {n_actions} actions")
    say("The crate is valid." if not rejected and n_actions else "The crate is not valid.")
    return 1 if rejected or not n_actions else 0


class Contexts(urllib.request.HTTPSHandler):
    """Handler for urllib that serves the JSON-LD contexts from files, and nothing else."""

    def https_open(self, request: urllib.request.Request) -> Any:
        """Content of a context."""
        path = CONTEXTS.get(request.full_url)
        if path is None:
            raise urllib.error.URLError(f"{request.full_url} is not available offline")
        headers = Message()
        headers["Content-Type"] = MEDIA_TYPE
        body = io.BytesIO(path.read_bytes())
        answer = urllib.response.addinfourl(body, headers, request.full_url, 200)
        answer.msg = "OK"  # type: ignore[attr-defined]  # urllib itself reads it
        return answer


def serve_contexts() -> None:
    """Serve the network requests of the validator, by urllib or requests, from files."""

    def send(session: object, request: requests.PreparedRequest, **options: Any) -> Any:
        path = CONTEXTS.get(str(request.url))
        if path is None:
            raise requests.ConnectionError(f"{request.url} is not available offline")
        response = requests.Response()
        response.status_code = 200
        response.url = str(request.url)
        response.headers["Content-Type"] = MEDIA_TYPE
        response.raw = io.BytesIO(path.read_bytes())
        response.request = request
        return response

    urllib.request.install_opener(urllib.request.build_opener(Contexts))
    requests.Session.send = send  # type: ignore[method-assign, assignment]


def validate(crate: Path) -> Iterator[Issue]:
    """All issues that the validator reports, including recommendations."""
    settings = services.ValidationSettings(
        rocrate_uri=crate,
        profile_identifier=PROFILE,
        requirement_severity=Severity.RECOMMENDED,
        no_cache=True,
    )
    for issue in services.validate(settings).get_issues():
        message = " ".join((issue.message or "").split())
        required = issue.severity >= Severity.REQUIRED
        yield Issue(required, issue.check.identifier, message, str(issue.violatingEntity))


def is_accepted(issue: Issue, accepted: list[dict[str, str]]) -> bool:
    """Whether an issue is in the list of accepted recommendations."""
    return bool(list(reasons([issue], accepted)))


def reasons(issues: list[Issue], accepted: list[dict[str, str]]) -> Iterator[tuple[str, str]]:
    """Message pattern and reason of each accepted issue."""
    for issue in issues:
        for entry in accepted:
            message = re.fullmatch(entry["message"], issue.message)
            if message and re.fullmatch(entry["entity"], issue.entity) and not issue.required:
                yield entry["message"], entry["reason"]
                break


def read_actions(crate: Path) -> int:
    """Number of actions that `runcrate report` lists."""
    output = io.StringIO()
    with redirect_stdout(output):
        runcrate.report.dump_crate_actions(str(crate))
    return len(re.findall(r"^action: ", output.getvalue(), re.M))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
