"""Which participants are for training, validation and test.

A study makes its split (:func:`split_subjects`) or reads one that was made elsewhere
(:func:`read_given_split`). Participants of a real cohort keep their places when it grows or an age
or diagnosis is corrected: they are noted beside the split (:func:`note_places`).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ldae.data.addresses import raw_labels
from ldae.data.manifest import VISITS_FOR_INTERPOLATION, read_strings
from ldae.errors import InputError
from ldae.subsets import SPLITS

SHARES = SPLITS
"""Settings of the section ``split`` that are shares."""

# Ages are split into so many groups of equal size within a diagnosis and sex.
AGE_BINS = 4

VISITS, SITE = "visits", "site"
"""Further strata: whether a participant has the visits for an interpolation, and the site."""

SUBJECT_COLUMNS = ("subject", "participant_id")
SPLIT_WORDS = {
    "training": "train", "validation": "val", "valid": "val", "dev": "val", "testing": "test",
}  # fmt: skip
"""Other words for splits in a table that was made elsewhere."""

PLACES = "places-*.json"
"""Notes of where participants are, beside the split; the one with the highest number counts."""

Places = dict[str, str]
"""Split of each participant."""


def make_split(
    scans: pd.DataFrame, settings: Mapping[str, Any], seed: int, kept: Mapping[str, str]
) -> pd.DataFrame:
    """The split that a study's settings ask for.

    Parameters
    ----------
    scans
        Table of scans.
    settings
        Section ``split`` of the settings, with strata.
    seed
        Seed of the order of participants.
    kept
        Splits of participants who keep their places (:func:`read_places`).

    Returns
    -------
    DataFrame
        subject, split; sorted by subject.

    Raises
    ------
    InputError
        As :func:`read_given_split`, :func:`split_into_folds` and :func:`split_subjects`.
    """
    if settings["file"] is not None:
        return read_given_split(Path(settings["file"]), scans)
    shares = {name: settings[name] for name in SHARES}
    if settings["folds"] is not None:
        folds = settings["folds"], settings["fold"], settings["repeat"]
        return split_into_folds(scans, shares, seed, *folds, strata=settings["strata"])
    return split_subjects(
        scans,
        shares,
        seed,
        strata=settings["strata"],
        test_sites=settings["test_sites"],
        kept=kept,
    )


def split_subjects(
    scans: pd.DataFrame,
    fractions: Mapping[str, float],
    seed: int,
    *,
    strata: Sequence[str] = (),
    test_sites: Sequence[str] = (),
    kept: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Assign every subject to a split, balanced by diagnosis, sex and age.

    Subjects are ordered by diagnosis, sex and age group, at random within a group, and dealt out
    one after another, each to the split that is furthest behind its share. So every stretch of the
    order, however small a group is, is divided nearly in the wanted proportions, and the totals are
    right to within one subject.

    Parameters
    ----------
    scans
        Table of scans; a subject's first visit gives diagnosis, age, sex and site.
    fractions
        Share of subjects of each split (train, val, test); they sum to 1.
    seed
        Seed of the order within groups.
    strata
        Further groups to balance: ``visits`` come first in the order, ``site`` after the diagnosis.
        With ``visits``, one of the subjects with the visits for an interpolation is tested.
    test_sites
        Sites whose subjects are all in the test split, and nobody else. The others are divided
        into training and validation.
    kept
        Splits of subjects who are not dealt out but stay where they are.

    Returns
    -------
    DataFrame
        subject, split; sorted by subject. Every split with a share above 0 has a subject, as long
        as there are as many subjects as splits.

    Raises
    ------
    InputError
        If the fractions do not name the splits or do not sum to 1, there are fewer subjects than
        splits, or a test site has no subject or all of them.
    """
    shares = _check_shares(fractions)
    subjects = scans.sort_values(["subject", "months"]).groupby("subject", sort=True).first()
    places: Places = {}
    if test_sites:
        held_out = _held_out(subjects, test_sites)
        places = dict.fromkeys(held_out, "test")
        subjects = subjects.drop(index=held_out)
        shares = np.where(np.array(SPLITS) == "test", 0.0, shares)
        shares = shares / shares.sum()
    if len(subjects) < (shares > 0).sum():
        raise InputError("split", f"{len(subjects)} subjects are too few to split", "Add subjects")
    order = _order(subjects, scans, seed, strata)
    allowed = {name for name, share in zip(SPLITS, shares, strict=True) if share > 0}
    known = {s: p for s, p in (kept or {}).items() if s in subjects.index and p in allowed}
    if VISITS in strata and "test" in allowed:
        known |= _tested_first(order, scans, known)
    places |= _deal(order, shares, known)
    table = pd.DataFrame({"subject": list(places), "split": list(places.values())})
    return table.sort_values("subject", ignore_index=True)


def split_into_folds(
    scans: pd.DataFrame,
    fractions: Mapping[str, float],
    seed: int,
    n_folds: int,
    fold: int,
    repeat: int = 0,
    *,
    strata: Sequence[str] = (),
) -> pd.DataFrame:
    """Assign the subjects of one of several folds to the test split.

    The test splits of all folds are of equal size and balance, and each subject is in one of them.
    The other subjects are divided into training and validation by their shares. Nobody keeps a
    place when the cohort grows.

    Parameters
    ----------
    scans, fractions, seed, strata
        As for :func:`split_subjects`; the share of the test split is not read.
    n_folds
        Number of folds.
    fold
        The tested one, from 0.
    repeat
        Which division into folds, from 0. Each has another order of similar subjects.

    Returns
    -------
    DataFrame
        subject, split; sorted by subject.

    Raises
    ------
    InputError
        If there are fewer subjects than two for each fold.
    """
    shares = np.where(np.array(SPLITS) == "test", 0.0, _check_shares(fractions))
    subjects = scans.sort_values(["subject", "months"]).groupby("subject", sort=True).first()
    if len(subjects) < 2 * n_folds:
        problem = f"{len(subjects)} subjects are too few for {n_folds} folds"
        raise InputError("split.folds", problem, "Choose fewer folds")
    # the first division has the order of a split without folds
    order = _order(subjects, scans, [seed, repeat] if repeat else seed, strata)
    others = [subject for i, subject in enumerate(order) if i % n_folds != fold]
    places = dict.fromkeys(order[fold::n_folds], "test") | _deal(others, shares / shares.sum(), {})
    table = pd.DataFrame({"subject": list(places), "split": list(places.values())})
    return table.sort_values("subject", ignore_index=True)


def _check_shares(fractions: Mapping[str, float]) -> np.ndarray:
    """Shares in the order of the splits, (3,)."""
    if set(fractions) != set(SPLITS):
        raise InputError(
            "split", f"{dict(fractions)} does not name the splits", "Use train, val, test"
        )
    shares = np.array([float(fractions[name]) for name in SPLITS])
    if (shares < 0).any() or abs(shares.sum() - 1) > 1e-6:
        raise InputError("split", f"{dict(fractions)} are not shares that sum to 1", "Correct them")
    return shares


def _held_out(subjects: pd.DataFrame, test_sites: Sequence[str]) -> list[str]:
    """Subjects of the sites that are held out."""
    sites = sorted(set(subjects["site"]) - {""})
    for site in test_sites:
        if site not in sites:
            problem = f"no participant of the cohort is of site {site}"
            remedy = f"Its sites are {', '.join(sites)}" if sites else "Its tables give no sites"
            raise InputError("split.test_sites", problem, remedy)
    if not set(sites) - set(test_sites):
        raise InputError("split.test_sites", "no site is left for training", "Name fewer sites")
    return [str(subject) for subject in subjects.index[subjects["site"].isin(test_sites)]]


def _order(
    subjects: pd.DataFrame,
    scans: pd.DataFrame,
    seed: int | Sequence[int],
    strata: Sequence[str],
) -> list[str]:
    """Subjects in the order in which they are dealt out."""
    subjects = subjects.copy()
    rng = np.random.default_rng(seed)
    subjects["lot"] = rng.permutation(len(subjects))
    rank = subjects.groupby(["diagnosis", "sex"])["age"].rank(method="first", na_option="top")
    size = subjects.groupby(["diagnosis", "sex"])["age"].transform("size")
    subjects["age_bin"] = np.floor((rank - 1) / size * AGE_BINS)
    n_visits = scans.groupby("subject").size().reindex(subjects.index)
    subjects["once"] = n_visits < VISITS_FOR_INTERPOLATION
    keys = ["once"] if VISITS in strata else []
    keys += ["diagnosis", *([SITE] if SITE in strata else []), "sex", "age_bin", "lot"]
    return [str(subject) for subject in subjects.sort_values(keys).index]


def _tested_first(
    order: Sequence[str], scans: pd.DataFrame, kept: Mapping[str, str]
) -> dict[str, str]:
    """A subject with the visits for an interpolation, for a test split without one.

    An interpolation is compared with a real visit; that of a single subject must be tested.
    """
    n_visits = scans.groupby("subject").size()
    able = [subject for subject in order if n_visits[subject] >= VISITS_FOR_INTERPOLATION]
    if any(kept.get(subject) == "test" for subject in able):
        return {}
    return {subject: "test" for subject in [s for s in able if s not in kept][:1]}


def _deal(order: Sequence[str], shares: np.ndarray, kept: Mapping[str, str]) -> Places:
    """Split of each subject of `order`, each to the split that is furthest behind its share."""
    counts = np.zeros(len(SPLITS))
    assigned: dict[str, int] = {}
    for place, subject in enumerate(order, 1):
        behind = np.where(shares > 0, shares * place - counts, -np.inf)
        chosen = int(np.argmax(np.round(behind, 9)))
        if subject in kept:
            chosen = SPLITS.index(kept[subject])
        counts[chosen] += 1
        assigned[subject] = chosen
    for empty in np.flatnonzero((counts == 0) & (shares > 0)):
        donor = int(counts.argmax())
        moved = next(subject for subject in reversed(order) if assigned[subject] == donor)
        assigned[moved] = int(empty)
        counts[donor] -= 1
        counts[empty] += 1
    return {subject: SPLITS[i] for subject, i in assigned.items()}


def read_given_split(path: Path, scans: pd.DataFrame) -> pd.DataFrame:
    """A split that was made elsewhere.

    Parameters
    ----------
    path
        Table with a column ``subject`` or ``participant_id`` and a column ``split``, separated by
        tabs, commas or semicolons. Subjects are called by the cohort's own labels, with or without
        ``sub-``; several rows of one subject must agree.
    scans
        Table of scans, whose subjects may be pseudonyms.

    Returns
    -------
    DataFrame
        subject, split; sorted by subject. Subjects of the table without a scan are left out.

    Raises
    ------
    InputError
        If the file cannot be read, a column is missing, a split has another name or nobody, or a
        subject is in two splits or in none.
    """
    table = _read_any_table(path)
    column = next((name for name in SUBJECT_COLUMNS if name in table), None)
    if column is None or "split" not in table:
        problem = f"needs columns subject and split, and has {', '.join(table.columns)}"
        raise InputError(path, problem, "Name one row for each participant")
    words = table["split"].str.strip().str.lower()
    given = pd.DataFrame({"label": table[column].str.strip(), "split": words.replace(SPLIT_WORDS)})
    unknown = given[~given["split"].isin(SPLITS)]
    if len(unknown):
        row = unknown.iloc[0]
        problem = f"subject {row.label} is in split {row.split!r}"
        raise InputError(path, problem, f"Use {', '.join(SPLITS)}")
    given["label"] = [name if name.startswith("sub-") else f"sub-{name}" for name in given["label"]]
    given = given.drop_duplicates()
    twice = given["label"][given["label"].duplicated()]
    if len(twice):
        problem = f"subject {twice.iloc[0]} is in two splits"
        raise InputError(path, problem, "Give each participant one split")
    places = dict(zip(given["label"], given["split"], strict=True))
    own = {
        name: name if name in places else _own_label(rows)
        for name, rows in ((str(subject), rows) for subject, rows in scans.groupby("subject"))
    }
    missing = sorted(label for label in own.values() if label not in places)
    if missing:
        problem = f"{len(missing)} participants have scans and no split, such as {missing[0]}"
        raise InputError(path, problem, "Add their rows")
    split = pd.DataFrame({"subject": list(own), "split": [places[own[s]] for s in own]})
    for name in SPLITS:
        if name not in set(split["split"]):
            problem = f"no participant with a scan is in the split {name}"
            raise InputError(path, problem, "Put at least one there")
    return split.sort_values("subject", ignore_index=True)


def _own_label(rows: pd.DataFrame) -> str:
    """A subject's label in the cohort, by the folders of a scan where they give it."""
    first = rows.iloc[0]
    return raw_labels(str(first.get("path", "")))[0] or str(first["subject"])


def _read_any_table(path: Path) -> pd.DataFrame:
    """Table of text, whatever separates its columns, with names in lower case."""
    try:
        table = pd.read_csv(
            path, sep=None, engine="python", dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (OSError, ValueError, csv.Error) as error:  # pandas' own are ValueErrors
        problem = f"the split cannot be read ({str(error).splitlines()[0]})"
        remedy = "Give a table with the columns subject and split"
        raise InputError(path, problem, remedy) from error
    return table.rename(columns=lambda name: str(name).strip().lower())


def places_key(settings: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """What a noted place depends on; after a change all participants are dealt out again."""
    names = (*SHARES, "strata", "test_sites")
    return {"seed": seed, **{name: settings[name] for name in names}}


def read_places(folder: Path, key: Mapping[str, Any]) -> tuple[Places, Path | None]:
    """Where participants were when the cohort was split last with the same settings.

    Parameters
    ----------
    folder
        Folder of the split.
    key
        Of :func:`places_key`.

    Returns
    -------
    tuple
        Split of each participant, and the file that tells it; empty and None if there is none.
    """
    notes = sorted(_notes(folder))
    if not notes:
        return {}, None
    _, path = notes[-1]
    content = json.loads(path.read_text(encoding="utf-8"))
    return (dict(content["places"]), path) if content["key"] == key else ({}, None)


def note_places(folder: Path, key: Mapping[str, Any], split: pd.DataFrame) -> Path | None:
    """Note where participants are; participants who have left keep their place.

    Returns
    -------
    Path or None
        The new file; None if the last one says the same. Earlier files stay: jobs have read them.
    """
    before, path = read_places(folder, key)
    places = before | dict(zip(split["subject"], split["split"], strict=True))
    if path is not None and places == before:
        return None
    number = max((n for n, _ in _notes(folder)), default=0) + 1
    new = folder / PLACES.replace("*", str(number))
    content = {"key": dict(key), "places": dict(sorted(places.items()))}
    new.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return new


def _notes(folder: Path) -> Iterator[tuple[int, Path]]:
    """Number and path of every note."""
    for path in folder.glob(PLACES):
        yield int(path.stem.rpartition("-")[2]), path


def read_split(path: Path) -> pd.DataFrame:
    """Table of subject and split.

    Raises
    ------
    InputError
        If the file or a column is missing, a split's name is unknown, or a subject occurs twice.
    """
    table = read_strings(path)
    for name in ("subject", "split"):
        if name not in table.columns:
            raise InputError(path, f"column {name} is missing", "Let the workflow write it again")
    _check_split(table, path)
    return table[["subject", "split"]]


def check_split(scans: pd.DataFrame, split: pd.DataFrame) -> None:
    """Stop if a subject is in two splits or in none.

    Raises
    ------
    InputError
        Naming the subject.
    """
    _check_split(split, "split")
    missing = sorted(set(scans["subject"]) - set(split["subject"]))
    if missing:
        raise InputError(
            "split",
            f"{len(missing)} subjects are in no split, first {missing[0]}",
            "Let the workflow split the subjects again",
        )


def _check_split(split: pd.DataFrame, source: Path | str) -> None:
    unknown = split.loc[~split["split"].isin(SPLITS)]
    if len(unknown):
        row = unknown.iloc[0]
        raise InputError(
            source, f"subject {row.subject} is in split {row.split!r}", f"Use {', '.join(SPLITS)}"
        )
    twice = split["subject"][split["subject"].duplicated()]
    if len(twice):
        raise InputError(
            source,
            f"subject {twice.iloc[0]} occurs twice, so a split may leak into another",
            "Keep one row per subject",
        )
