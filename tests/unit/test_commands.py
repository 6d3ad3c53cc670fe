"""The command line: help, exit statuses, and what ``ldae run`` asks of Snakemake."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ldae.__main__ import main
from ldae.commands import COMMANDS
from ldae.commands.run import find_study, snakemake_command
from ldae.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
SNAKEFILE = ["--snakefile", str(ROOT / "Snakefile")]


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    """It is what a user sees first, also where only Python is installed."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from ldae.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(re.search(rf"\n    {name}\s", done.stdout) for name in COMMANDS)
    assert "examples:" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([name, "--help"])
    assert capsys.readouterr().out.startswith(f"usage: ldae {name}")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["re"], {"reconstruct", "replay"}), (["edit", "--attribute", ""], {"age", "diagnosis"}),
        (["predict", "--over"], {"--overwrite"}), (["audit", "--attr"], set()),
        (["encode", "he"], set()),
    ],
)  # fmt: skip
def test_the_shell_completes(
    words: list[str], offered: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", "bash"]) == 0
    line = " ".join(f"'{word}'" for word in ["ldae", *words])
    ask = f"COMP_WORDS=({line}); COMP_CWORD={len(words)}; _ldae; echo ${{COMPREPLY[@]}}"
    script = f"{capsys.readouterr().out}\n{ask}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == offered


@pytest.mark.parametrize(
    "arguments", [["audit", "-n"], ["audit", "--", "x"], ["nothing"], [], ["replay"]]
)
def test_what_a_command_does_not_know_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)


def test_an_input_that_cannot_be_used_gives_status_2(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert main(["audit", "--results", str(tmp_path)]) == 2
    assert f"Error: {tmp_path}: the folder contains no records" in caplog.text
    assert main(["run", "--study", "nothing", "-n"]) == 2
    assert "nothing: there is no such file of settings. Name a file, or one of" in caplog.text


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    """In a process of its own: it forgets modules, and other tests hold references to them."""
    start = "import sys; from ldae.__main__ import main; "
    command = f"{start}arguments = ['--results', {str(tmp_path)!r}]"
    ours = f"{command}; sys.modules['ldae.provenance.audit'] = None; main(['audit', *arguments])"
    done = subprocess.run([sys.executable, "-c", ours], capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError" in done.stderr, "a fault of our own is to be seen as one"
    other = f"{command}; sys.modules['yaml'] = None; sys.exit(main(['crate', *arguments]))"
    done = subprocess.run(
        [sys.executable, "-c", other], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "the package yaml is not installed. Install it from a clone" in done.stderr


def test_studies_and_settings_reach_snakemake() -> None:
    assert snakemake_command([], [], ["-n"]) == ["snakemake", *SNAKEFILE, "-n"]
    studies = [str(ROOT / "studies/ixi.yaml"), str(ROOT / "config.yaml")]
    assert snakemake_command(
        ["ixi", studies[1]], ["seed=1", "bids_folder=/data"], ["--cores", "2", "a.png"]
    ) == [
        "snakemake", "--configfile", *studies, "--config", "seed=1", "bids_folder=/data",
        *SNAKEFILE, "--cores", "2", "a.png",
    ]  # fmt: skip


def test_a_file_comes_before_a_study_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_study("ixi") == ROOT / "studies/ixi.yaml"
    Path("ixi").touch()
    assert find_study("ixi") == Path("ixi")
    with pytest.raises(InputError, match="ablation, adni"):
        find_study("ixi.yaml")


def test_a_broken_file_of_settings_is_named_with_its_line(tmp_path: Path) -> None:
    """Snakemake, which reads it next, names neither."""
    broken = tmp_path / "mine.yaml"
    broken.write_text("prior:\n  dropout: [0.1\nldae: 3\n")
    done = subprocess.run(
        [sys.executable, "-m", "ldae", "run", "-n", "--study", broken],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: {broken}, line 3: it is not YAML")


def command_of(*arguments: str, folder: Path) -> str:
    """The command line of Snakemake that ``ldae run`` writes, and its plan."""
    done = subprocess.run(
        [sys.executable, "-m", "ldae", "run", *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.partition("\n")[0] + done.stdout


@pytest.mark.workflow
def test_a_study_is_planned_from_any_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("pathvars: {results: mine}\n")
    said = command_of("--study", "mine.yaml", "-n", "--config", "seed=1", folder=tmp_path)
    assert said.startswith(f"snakemake --configfile mine.yaml --config seed=1 {SNAKEFILE[0]}")
    assert "mine/report.html" in said and "train_autoencoder" in said
    said = command_of("-n", "--", "--cores", "1", "--", "results/config.yaml", folder=tmp_path)
    assert "write_config" in said and "train_autoencoder" not in said
