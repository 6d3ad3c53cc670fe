"""Names for participants and sessions of a cohort whose own labels may not leave it.

The labels of a restricted cohort are replaced where they enter, in the table of scans: everything
after it knows participants by pseudonym alone. Labels of sessions are replaced too, unless they
only count visits or tell the time since the first one: others may be dates or names of sites.

A pseudonym is a keyed digest of the whole label, whatever characters it has. Nobody without the key
can try labels until one fits, while whoever holds it can make the same names again, and two runs
agree. The key comes from the first of these files that is there (:func:`key_file`):

1. ``code/pseudonyms.key`` in the cohort's folder;
2. ``.ldae/pseudonyms/<folder>.key`` in the working folder, where the cohort's folder is read-only;
3. ``participants.tsv``.

The first run writes the key that the third gives into the first or, failing that, the second
(:func:`keep_key`). So names stay when a participant is added or an age is corrected. A key file may
also be written by hand: any bytes that stay secret will do.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from ldae.data.intake.images import subject_labels
from ldae.errors import InputError

KEY_FILE = Path("code") / "pseudonyms.key"

KEPT_KEYS = Path(".ldae") / "pseudonyms"
"""Folder below the working folder with the keys of cohorts whose own folder is read-only."""

KEPT = re.compile(rb"ldae pseudonyms ([0-9a-f]{64})\n?")
"""Content of a key file that :func:`keep_key` wrote; of any other file the digest is the key."""

PURPOSE = b"key of pseudonyms"

# A letter that no hexadecimal digit is, so that a pseudonym is not taken for a label.
MARK = "p"
# Twelve digits (48 bits): of 100,000 participants two share a name with a chance of 2 in 100,000.
DIGITS = 12

_PSEUDONYM = rf"{MARK}[0-9a-f]{{{DIGITS}}}(?![^\W_])"
# Sessions that are shown: counted visits, and the time since the first one. A number of four digits
# without a unit may be a year.
_TIMES = (
    r"(?:(?:m|mo|months?|w|weeks?|y|years?|v|visit|wave|t|tp|timepoint|fu|followup|bl|base|"
    r"baseline|sc|screening|retest)?\d{0,3}|(?:d|days?)\d{1,5}|\d{1,3}(?:m|mo|months?))(?![^\W_])"
)
_SESSION = r"(?<![^\W_])ses-"

LABEL = re.compile(rf"sub-(?!{_PSEUDONYM})[^\W_]|{_SESSION}(?!{_PSEUDONYM}|(?i:{_TIMES}))[^\W_]")
"""Finds the beginning of a label that should have been hidden."""

_START = re.compile(rf"sub-|{_SESSION}")
_HIDDEN = re.compile(rf"(?:sub|ses)-{_PSEUDONYM}")
_TIME_LABEL = re.compile(rf"ses-{_TIMES}", re.IGNORECASE)

# Where a label ends that the cohort's folders do not tell: before an entity, suffix or extension of
# BIDS, or before what rarely stands in a name.
_ENTITIES = (
    "sub|ses|sample|task|tracksys|acq|ce|trc|stain|rec|dir|run|mod|echo|flip|inv|mt|part|proc|hemi|"
    "space|split|recording|chunk|atlas|seg|res|den|label|desc|from|to|mode|cohort"
)
_SUFFIXES = "T1w|T2w|FLAIR|PDw|bold|dwi|sessions|scans|mask|dseg|probseg|xfm|xfmw?|edited"
_EXTENSIONS = r"nii|json|tsv|csv|png|jpg|svg|pdf|html|npz|npy|txt|log|gz|mat"
_BREAK = r"\s/\\:;,'\"()\[\]{}<>|!?*=&+"
_UNLISTED = re.compile(
    rf"(?:sub|ses)-[^{_BREAK}]+?"
    rf"(?=_(?:(?:{_ENTITIES})-|(?:{_SUFFIXES})(?![^\W_]))"
    rf"|\.(?:{_EXTENSIONS})(?![^\W_])|\.*(?:[{_BREAK}]|$))"
)


class Pseudonyms:
    """Hides the labels of a cohort.

    Parameters
    ----------
    key
        Secret of the cohort (:func:`cohort_key`).
    labels
        Labels ``sub-…`` of its folders. They are found in a text as a whole; the end of any other
        label is guessed by what BIDS lets follow a label.
    """

    def __init__(self, key: bytes, labels: Iterable[str] = ()) -> None:
        self._key = key
        self._known = {
            form: self.show(label)
            for label in labels
            # file systems spell letters with accents in one of two ways
            for form in (label, *(unicodedata.normalize(kind, label) for kind in ("NFC", "NFD")))
        }
        self._lengths = sorted({len(label) for label in self._known}, reverse=True)

    def show(self, label: str) -> str:
        """What is shown of a label ``sub-…`` or ``ses-…``; of no session (``""``) nothing."""
        if not label or _TIME_LABEL.fullmatch(label):
            return label
        return pseudonym(label, self._key)

    def hide(self, text: str) -> str:
        """`text` with every label replaced by what is shown of it; pseudonyms stay."""
        parts, place = [], 0
        for start in _START.finditer(text):
            if start.start() < place:
                continue  # within the label before
            shown, end = self._read(text, start.start())
            parts += [text[place : start.start()], shown]
            place = end
        return "".join([*parts, text[place:]])

    def _read(self, text: str, start: int) -> tuple[str, int]:
        """What is shown of the label that begins at a place, and where the label ends."""
        for length in self._lengths:
            end = start + length
            shown = self._known.get(text[start:end])
            if shown is not None and not (
                text[end : end + 1].isalnum() or text[end:].startswith("-")
            ):
                return shown, end
        found = _HIDDEN.match(text, start)
        if found:
            return found[0], found.end()
        found = _UNLISTED.match(text, start)
        return (self.show(found[0]), found.end()) if found else ("", start)


def pseudonym(label: str, key: bytes) -> str:
    """Pseudonym ``sub-p…`` of a label ``sub-…``, or ``ses-p…`` of ``ses-…``."""
    prefix, dash, _ = label.partition("-")
    spelt = unicodedata.normalize("NFC", label).encode("utf-8", "surrogateescape")
    digest = hmac.new(key, spelt, hashlib.sha256).hexdigest()
    return f"{prefix}{dash}{MARK}{digest[:DIGITS]}"


def hide_labels(text: str, key: bytes, labels: Iterable[str] = ()) -> str:
    """`text` without labels; arguments as for :class:`Pseudonyms`."""
    return Pseudonyms(key, labels).hide(text)


def cohort_pseudonyms(bids_dir: Path) -> Pseudonyms:
    """Pseudonyms of a cohort, with the labels of its folders.

    Raises
    ------
    InputError
        If the folder cannot be read, there is no key, or its file is empty.
    """
    try:
        labels = subject_labels(Path(bids_dir))
    except OSError as error:
        problem = f"the cohort's folder cannot be read ({error.strerror})"
        raise InputError(bids_dir, problem, "Name the folder with the raw scans") from error
    return Pseudonyms(cohort_key(bids_dir), labels)


def key_file(bids_dir: Path) -> Path:
    """File that gives the key of a cohort's pseudonyms."""
    own, kept = Path(bids_dir) / KEY_FILE, _kept_file(bids_dir)
    return next(
        (file for file in (own, kept) if file.exists()), Path(bids_dir) / "participants.tsv"
    )


def _kept_file(bids_dir: Path) -> Path:
    """Key file of a read-only folder; its name does not tell the folder's."""
    place = os.fsencode(Path(bids_dir).resolve())
    return KEPT_KEYS / f"{hashlib.sha256(place).hexdigest()[:DIGITS]}.key"


def cohort_key(bids_dir: Path) -> bytes:
    """Key of a cohort's pseudonyms.

    Raises
    ------
    InputError
        If there is no file that gives one, or it is empty.
    """
    return key_of(key_file(bids_dir))


def key_of(path: Path) -> bytes:
    """Key of the pseudonyms that a file gives: the one that it holds, else a digest of it.

    The digest is another than the plain SHA-256 of the file, which stands in the records.

    Raises
    ------
    InputError
        If the file cannot be read or is empty.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            path,
            f"the key of the pseudonyms cannot be read ({error.strerror})",
            f"Write 32 random bytes into {KEY_FILE} in the cohort's folder, or set cohort.public "
            "if its labels may be shown",
        ) from error
    if not content:
        raise InputError(path, "the file is empty", "Write bytes into it that nobody can guess")
    kept = KEPT.fullmatch(content)
    return bytes.fromhex(kept[1].decode()) if kept else _digest(content)


def _digest(content: bytes) -> bytes:
    return hmac.new(PURPOSE, content, hashlib.sha256).digest()


def keep_key(bids_dir: Path) -> Path | None:
    """Write down the key of a cohort, so that its names stay when its tables change.

    Parameters
    ----------
    bids_dir
        Folder of the cohort. If it cannot be written to, the key is kept in the working folder.

    Returns
    -------
    Path or None
        The file that was written; None if there was one.

    Raises
    ------
    InputError
        If the key cannot be made, or neither folder can be written to.
    """
    if key_file(bids_dir).name != "participants.tsv":
        return None
    content = f"ldae pseudonyms {cohort_key(bids_dir).hex()}\n"
    own, kept = Path(bids_dir) / KEY_FILE, _kept_file(bids_dir)
    try:
        return _write_once(own, content)
    except OSError:
        try:
            return _write_once(kept, content)
        except OSError as error:
            raise InputError(
                kept,
                f"the key of the pseudonyms cannot be written ({error.strerror})",
                f"Write it to {own}, or run in a folder where you may write",
            ) from error


def make_key(bids_dir: Path) -> Path | None:
    """Write a random key for a cohort whose folder gives none; the folder is left as it is.

    Returns
    -------
    Path or None
        The file that was written, in the working folder; None if there is a key.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    if key_file(bids_dir).is_file():
        return None
    kept = _kept_file(bids_dir)
    try:
        return _write_once(kept, f"ldae pseudonyms {secrets.token_hex(32)}\n")
    except OSError as error:
        problem = f"the key of the pseudonyms cannot be written ({error.strerror})"
        raise InputError(kept, problem, "Work in a folder where you may write") from error


def _write_once(path: Path, content: str) -> Path:
    """Write a file that is not there yet, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(content, encoding="ascii")
    part.replace(path)
    return path
