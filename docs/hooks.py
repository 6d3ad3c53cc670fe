"""Hooks of mkdocs: docstrings are written for Sphinx's roles, which Markdown does not know."""

import re
from typing import Any

# ``:class:`ldae.methods.Method` `` arrives as ``:class:<code>…``; a leading ~ hides the module.
ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):(<code>)~?")


def on_page_content(html: str, **_: Any) -> str:
    """The page without the names of Sphinx's roles."""
    return ROLE.sub(r"\1", html)
