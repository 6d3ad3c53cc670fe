"""Names for people of a cohort whose own labels may not leave it.

The labels of a restricted cohort are replaced where they enter, in the table of scans: everything
after it knows people by pseudonym alone. A pseudonym is a keyed digest of the label. The key is a
digest of the cohort's ``participants.tsv``, so nobody without the data can try labels until one
fits, while whoever holds the data can make the same names again, and two runs agree. It is another
digest than the plain SHA-256 of the table, which stands in the records.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

# A letter that no hexadecimal digit is, so that a pseudonym is not taken for a label.
MARK = "p"
# Twelve digits (48 bits): with 100,000 people the chance that two share a name is 2 in 100,000.
DIGITS = 12
LABEL = re.compile(r"sub-(?!" + MARK + r"[0-9a-f]{12}(?![A-Za-z0-9]))[A-Za-z0-9]+")


PURPOSE = b"key of pseudonyms"


def cohort_key(bids_dir: Path) -> bytes:
    """Key of a cohort's pseudonyms, from its table of participants."""
    return table_key(Path(bids_dir) / "participants.tsv")


def table_key(participants: Path) -> bytes:
    """Key of the pseudonyms of the people in a table."""
    return hmac.new(PURPOSE, participants.read_bytes(), hashlib.sha256).digest()


def pseudonym(subject: str, key: bytes) -> str:
    """Pseudonym ``sub-p…`` of a label ``sub-…``."""
    digest = hmac.new(key, subject.encode(), hashlib.sha256).hexdigest()
    return f"sub-{MARK}{digest[:DIGITS]}"


def hide_labels(text: str, key: bytes) -> str:
    """`text` with every label ``sub-…`` replaced by its pseudonym; pseudonyms stay."""
    return LABEL.sub(lambda label: pseudonym(label[0], key), text)
