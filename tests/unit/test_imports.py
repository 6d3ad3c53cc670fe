"""The parts of the package import each other downwards, as [tool.importlinter] says."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]


def modules() -> dict[str, Path]:
    """Files of the package by their dotted names."""
    found = {}
    for path in sorted((ROOT / "ldae").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = modules()


def imports_of(name: str) -> Iterator[str]:
    """Modules of the package that a module imports anywhere, for types only too."""
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: write the whole name"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (one if one in MODULES else str(node.module) for one in whole)


IMPORTS = [(name, one) for name in MODULES for one in imports_of(name) if one in MODULES]


def wing(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_wings_import_downwards() -> None:
    (contract,) = [one for one in CONTRACTS if one["type"] == "layers"]
    layers = [[name.strip() for name in line.split("|")] for line in contract["layers"]]
    height = {name: number for number, names in enumerate(layers) for name in names}
    assert set(height) == {wing(name) for name in MODULES} - {""}
    upwards = {
        f"{importer} imports {imported}"
        for importer, imported in IMPORTS
        if wing(importer) and wing(imported) and wing(importer) != wing(imported)
        if height[wing(importer)] >= height[wing(imported)]
    }
    assert not upwards


@pytest.mark.parametrize("contract", [one for one in CONTRACTS if one["type"] == "forbidden"],
                         ids=lambda contract: contract["name"])  # fmt: skip
def test_what_must_not_be_imported_is_not(contract: dict) -> None:
    def among(module: str, kind: str) -> bool:
        return any(f"{module}.".startswith(f"{one}.") for one in contract[kind])

    assert all(
        one in MODULES for kind in ("source", "forbidden") for one in contract[f"{kind}_modules"]
    )
    for importer, imported in IMPORTS:
        if among(importer, "source_modules"):
            assert not among(imported, "forbidden_modules"), f"{importer} imports {imported}"
