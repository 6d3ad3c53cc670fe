"""The documentation names things that exist, in the field's words."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml

from ldae.commands.parser import build_parser
from ldae.diffusion.sampler import DDIM, Sampler
from ldae.diffusion.schedule import NoiseSchedule
from ldae.methods import plugins
from ldae.references import resolve
from ldae.simulation.population import draw_population
from ldae.simulation.settings import SimulationSettings
from ldae.workflow.config import complete_config

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS = REPOSITORY / "docs"
# Folders below docs/results hold tables of earlier runs: records, which are not edited.
PAGES = sorted(
    [
        REPOSITORY / "CONTRIBUTING.md",
        REPOSITORY / "README.md",
        REPOSITORY / "results" / "README.md",
        *(p for p in DOCS.rglob("*.md") if p.parent.parent != DOCS / "results"),
    ]
)
# Names that had another meaning before stand here beside the new ones.
OLD_NAMES = DOCS / "results" / "README.md"
MADE = DOCS / "reference" / "settings.md"

LINE_LENGTH = 120
FOLDERS = (
    "benchmarks|containers|docs|envs|ldae|profiles|resources|rules|schemas|scripts|studies|tests"
)
REPOSITORY_PATH = re.compile(rf"(?:{FOLDERS})/[\w./+*-]*")
MADE_LATER = re.compile(r"containers/(digests\.tsv|\*\.sif)")
DOTTED_NAME = re.compile(r"ldae(?:\.\w+)+")
COMMAND = r"^(?:#| {4}) *(?:\.venv/bin/python -m )?ldae ([a-z]+ .*|[a-z]+)$"
SETTING = re.compile(r"[a-z_]+(?:\.[a-z_]+)+")

# The words of the field are participants, standard deviation, timestep, z-score, fix, baseline, …
BANNED = re.compile(
    r"\b(people|persons?|somebody|mend(s|ed|ing)?|told|"
    r"tissue densit(y|ies)|linear start|relative to the cohort|preconditioned|"
    r"hangs on|they must beat|by reckoning|reckoned|bears? pseudonyms)\b"
    r"|(?<!standard )\bdeviations?\b",
    re.IGNORECASE,
)


def _id(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def _without_blocks(text: str) -> str:
    """A page without its fenced and indented code blocks and displayed formulas."""
    text = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^\$\$.*?\$\$$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(?<=\n\n)(?: {4}.*\n)+", "", text)


def _inline_code(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", _without_blocks(page.read_text()))


def _headings(page: Path) -> set[str]:
    """Anchors of a page's headings, as Python-Markdown makes them."""
    titles = re.findall(r"^#+ (.+)$", _without_blocks(page.read_text()), flags=re.MULTILINE)
    plain = (re.sub(r"[^\w\s-]", "", title).strip().lower() for title in titles)
    return {re.sub(r"[-\s]+", "-", title) for title in plain}


@cache
def _names(module: Path) -> dict[str, ast.AST]:
    return _defined(ast.parse(module.read_text()).body)


def _defined(body: list[ast.stmt]) -> dict[str, ast.AST]:
    """What statements define, by name."""
    names: dict[str, ast.AST] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {t.id: node for t in targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: node for alias in node.names}
    return names


def _exists(dotted: str) -> bool:
    """Whether a module, function, class or member of this name is in the package."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        base = REPOSITORY.joinpath(*parts[:n])
        module = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if module.is_file():
            names, rest = _names(module), parts[n:]
            while rest:
                node = names.get(rest.pop(0))
                if node is None:
                    return False
                names = _defined(node.body) if isinstance(node, ast.ClassDef) else {}
            return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_named_files_and_functions_exist(page: Path) -> None:
    missing = []
    for code in _inline_code(page):
        if REPOSITORY_PATH.fullmatch(code) and not MADE_LATER.fullmatch(code):
            if not any(REPOSITORY.glob(code.rstrip("/"))):
                missing.append(code)
        elif DOTTED_NAME.fullmatch(code) and not _exists(code):
            missing.append(code)
    assert not missing


@pytest.mark.parametrize("page", [p for p in PAGES if p != OLD_NAMES], ids=_id)
def test_named_settings_exist(page: Path) -> None:
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    missing = []
    for code in _inline_code(page):
        section = code.partition(".")[0]
        if not SETTING.fullmatch(code) or section not in config or _exists(code):
            continue
        value = config
        for key in code.split("."):
            if not isinstance(value, dict) or key not in value:
                missing.append(code)
                break
            value = value[key]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_internal_links_lead_somewhere(page: Path) -> None:
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", _without_blocks(page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in _headings(target)):
            lost.append(link)
    assert not lost


def test_code_names_pages_that_exist() -> None:
    code = [
        path
        for folder in ("ldae", "rules", "scripts", "profiles", "studies", "containers", "envs")
        for path in (REPOSITORY / folder).rglob("*")
        if path.suffix in (".py", ".smk", ".yaml", ".j2", ".def", ".in")
    ]
    assert code
    named = {page for path in code for page in re.findall(r"docs/[\w/-]+\.md", path.read_text())}
    assert {page for page in named if not (REPOSITORY / page).is_file()} == set()


def test_shown_commands_can_be_parsed() -> None:
    """Each command that stands on a line of its own, in a page or at the top of a study."""
    parser, _ = build_parser()
    texts = [page.read_text() for page in [*PAGES, *(REPOSITORY / "studies").glob("*.yaml")]]
    shown = re.findall(COMMAND, "\n".join(texts).replace("\\\n", " "), flags=re.MULTILINE)
    assert len(shown) > 50
    for line in shown:
        words = shlex.split(line, comments=True)
        own = words[: words.index("--")] if "--" in words else words
        try:
            options, unknown = parser.parse_known_args(own)
        except SystemExit as error:
            if error.code:
                pytest.fail(f"ldae {line}")
            continue
        assert options.command == "run" or not unknown, f"ldae {line}"


def test_named_scans_are_in_the_default_cohort() -> None:
    config = complete_config({})
    settings = SimulationSettings.from_mapping(config["cohort"]["simulated"])
    scans = set(draw_population(settings, config["seed"])["scan"])
    texts = " ".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"\bsub-\d{4}_ses-M\d{3}(?!\d)", texts))
    assert named and named <= scans


def test_named_make_targets_exist() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    named = {
        target
        for page in PAGES
        for target in re.findall(r"(?:`|^ {4})make ([a-z-]+)", page.read_text(), flags=re.MULTILINE)
    }
    assert named <= targets


def test_the_method_of_the_tutorial_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file has the methods, and Heun's rule loses less than DDIM on a Gaussian."""
    page = (DOCS / "tutorials" / "new-method.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "mine.py").write_text("\n\n".join(blocks))
    monkeypatch.chdir(tmp_path)
    plugin = plugins({"plugins": ["mine.py"]})[-1]
    assert [method.name for method in plugin.methods] == ["ldae_heun", "blurred"]
    for reference in (plugin.networks[0].train, plugin.networks[0].encoder):
        assert callable(resolve(str(reference)))

    schedule, variance = NoiseSchedule(1000, 1e-4, 0.02), 0.3

    def noise(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        bar = schedule.alpha_bar[t][:, None]
        return z * (1 - bar).sqrt() / (bar * variance + 1 - bar)

    z_0 = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))

    def lost(sampler: Sampler) -> float:
        timesteps = sampler.timesteps(10, 1000)
        z_T = sampler.move(z_0, noise, timesteps, schedule)  # noqa: N806
        again = sampler.move(z_T, noise, timesteps[::-1], schedule)
        return float((again - z_0).norm() / z_0.norm())

    assert lost(resolve(str(plugin.methods[0].sampler))) < 0.05 * lost(DDIM)


@pytest.mark.parametrize("page", [p for p in PAGES if p != MADE], ids=_id)
def test_prose_uses_the_words_of_the_field(page: Path) -> None:
    prose = re.sub(r"`[^`\n]+`", "", _without_blocks(page.read_text()))
    assert [match.group() for match in BANNED.finditer(prose)] == []


@pytest.mark.parametrize("page", [p for p in PAGES if p != MADE], ids=_id)
def test_lines_are_short(page: Path) -> None:
    lines = enumerate(page.read_text().splitlines(), 1)
    # a row of a table cannot be broken
    assert [n for n, line in lines if len(line) > LINE_LENGTH and "|" not in line[:1]] == []
