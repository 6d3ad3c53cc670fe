"""The report's figures and tables: captions, origins, and links to what lies beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ldae.conclusions.sources import call
from ldae.provenance.history import History
from ldae.provenance.origin import describe_origin
from ldae.report.links import code_of, lightest, links_of
from ldae.report.page import Picture, TableFile


def describe_figures(
    history: History,
    sections: Mapping[str, str],
    pictures: Mapping[str, Path],
    data: Mapping[str, Path],
    captions: Mapping[str, str],
    arguments: Mapping[str, Mapping[str, Any]],
    scenes: Mapping[str, str],
    **study: Any,
) -> dict[str, Picture]:
    """Figures of the report by name, in its order.

    Parameters
    ----------
    history
        History of the study, for origins and links.
    sections
        Anchor of the section of each figure.
    pictures
        File of each figure.
    data
        Tables of the numbers that figures show, as far as they have one.
    captions
        Reference (``module:function``) of the function that writes each caption.
    arguments
        Further arguments of that function.
    scenes
        Scene of the viewer that shows the same volumes, of those that have one.
    study
        What the functions have a parameter for, such as ``methods``.
    """
    numbers = {name: pd.read_csv(path, sep="\t") for name, path in data.items()}
    return {
        name: Picture(
            path=lightest(pictures[name]),
            section=section,
            caption=call(captions[name], {}, data=numbers.get(name), **study, **arguments[name]),
            origin=describe_origin(history, pictures[name]),
            files=links_of(history, pictures[name]),
            code=code_of(history, pictures[name]),
            scene=scenes.get(name, ""),
        )
        for name, section in sections.items()
    }


def describe_tables(
    history: History, tables: Mapping[str, Path], places: Mapping[str, tuple[str, str]]
) -> dict[str, TableFile]:
    """Tables of the report by name, in its order.

    Parameters
    ----------
    history
        History of the study, for links.
    tables
        File of each table.
    places
        Anchor of its section, and its title.
    """
    return {
        name: TableFile(tables[name], section, title, links_of(history, tables[name]))
        for name, (section, title) in places.items()
    }
