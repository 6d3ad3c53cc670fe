"""Print a script that completes commands and options in bash or zsh."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

EXAMPLES = """\
examples:
  source <(ldae completion bash)            in this shell; put the line into ~/.bashrc to keep it
  source <(ldae completion zsh)             likewise, in ~/.zshrc after compinit
"""

SCRIPT = """\
_ldae() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" words=
    if (( COMP_CWORD == 1 )); then
        words="{commands}"
    else
        case "${{COMP_WORDS[1]}} $previous" in
{choices}
        esac
        if [[ -z $words && $current == -* ]]; then
            case "${{COMP_WORDS[1]}}" in
{options}
            esac
        fi
    fi
    COMPREPLY=( $(compgen -W "$words" -- "$current") )
}}
complete -o default -o bashdefault -F _ldae ldae
"""
"""For bash; where it offers nothing, bash completes names of files."""

ZSH = "autoload -U +X bashcompinit && bashcompinit\n"
"""Lets zsh read a script for bash."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``ldae completion``."""
    parser.add_argument("shell", choices=("bash", "zsh"))


def run(options: argparse.Namespace) -> int:
    """Print the script and return 0."""
    from ldae.commands.parser import build_parser

    parser, _ = build_parser()
    script = completion_script(parser)
    sys.stdout.write(script if options.shell == "bash" else ZSH + script)
    return 0


def completion_script(parser: argparse.ArgumentParser) -> str:
    """Script for bash, from the parser's own commands, options and choices."""
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    options, choices = [], []
    for name, command in commands.choices.items():
        actions = command._actions
        options.append(_case(name, (o for action in actions for o in action.option_strings)))
        choices += [
            _case(f"{name} {option}", map(str, action.choices))
            for action in actions
            for option in action.option_strings
            if action.choices
        ]
    words = [*commands.choices, *(o for a in parser._actions for o in a.option_strings)]
    return SCRIPT.format(
        commands=" ".join(words), options="\n".join(options), choices="\n".join(choices)
    )


def _case(pattern: str, words: Iterable[str]) -> str:
    return f'            "{pattern}") words="{" ".join(words)}" ;;'
