"""Names for participants of a cohort whose own labels may not leave it.

The labels of a restricted cohort are replaced where they enter, in the table of scans: everything
after it knows participants by pseudonym alone. A pseudonym is a keyed digest of the label. The key
is a digest of a file of the cohort's folder, so nobody without the data can try labels until one
fits, while whoever holds the data can make the same names again, and two runs agree. It is another
digest than the plain SHA-256 of the file, which stands in the records.

The file is ``code/pseudonyms.key`` if the cohort has one, else ``participants.tsv``. With the
table as the key, a participant added to it or a corrected age gives everybody another name. A key
file of its own keeps the names: any bytes that stay secret will do, such as a copy of the table as
it was when the study began.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

from ldae.errors import InputError

KEY_FILE = Path("code") / "pseudonyms.key"

# A letter that no hexadecimal digit is, so that a pseudonym is not taken for a label.
MARK = "p"
# Twelve digits (48 bits): of 100,000 participants two share a name with a chance of 2 in 100,000.
DIGITS = 12
LABEL = re.compile(r"sub-(?!" + MARK + r"[0-9a-f]{12}(?![A-Za-z0-9]))[A-Za-z0-9]+")


PURPOSE = b"key of pseudonyms"


def key_file(bids_dir: Path) -> Path:
    """File of a cohort's folder whose digest is the key of the pseudonyms."""
    own = Path(bids_dir) / KEY_FILE
    return own if own.exists() else Path(bids_dir) / "participants.tsv"


def cohort_key(bids_dir: Path) -> bytes:
    """Key of a cohort's pseudonyms.

    Raises
    ------
    InputError
        If the file of the key is empty.
    """
    return key_of(key_file(bids_dir))


def key_of(path: Path) -> bytes:
    """Key of the pseudonyms that a file gives.

    Raises
    ------
    InputError
        If the file is empty.
    """
    content = path.read_bytes()
    if not content:
        raise InputError(path, "the file is empty", "Write bytes into it that nobody can guess")
    return hmac.new(PURPOSE, content, hashlib.sha256).digest()


def pseudonym(subject: str, key: bytes) -> str:
    """Pseudonym ``sub-p…`` of a label ``sub-…``."""
    digest = hmac.new(key, subject.encode(), hashlib.sha256).hexdigest()
    return f"sub-{MARK}{digest[:DIGITS]}"


def hide_labels(text: str, key: bytes) -> str:
    """`text` with every label ``sub-…`` replaced by its pseudonym; pseudonyms stay."""
    return LABEL.sub(lambda label: pseudonym(label[0], key), text)
