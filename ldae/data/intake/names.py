"""Names of columns and words that are understood without a setting.

They are those of BIDS, of Clinica's converters (ADNI: ``age_bl``, ``diagnosis_sc``,
``examination_date``; OASIS-3: ``dx1``, ``cdr``), of ADNI's own tables (``DX``, ``PTGENDER``), of
OASIS (``M/F``), of IXI (``SEX_ID (1=m, 2=f)``), and common variants. Names are compared without
regard to case; of those in one list, the first that a table has counts.
"""

from __future__ import annotations

from enum import StrEnum


class Field(StrEnum):
    """What a column tells; the names are those of the section ``cohort.columns``."""

    SUBJECT = "subject"
    SESSION = "session"
    AGE = "age"
    SEX = "sex"
    DIAGNOSIS = "diagnosis"
    SITE = "site"
    MONTHS = "months"
    DAYS = "days"
    DATE = "date"
    PATH = "path"


BASELINE_AGES = (
    "age_bl", "age_baseline", "age_at_baseline", "baseline_age", "ageatentry", "age_at_entry",
)  # fmt: skip
"""Ages at month 0, by their names."""

AGES = ("age", "age_years", "age_(years)", "age_in_years")
"""Ages at a visit in a table of visits, and at month 0 in the table of participants."""

MONTH_ZERO_AGES = (*AGES, *BASELINE_AGES)
"""Ages in the table of participants that are those at month 0."""

SCAN_AGES = ("age_at_scan", "age_at_visit", "age_at_session", "age_at_mri", "scan_age")
"""Ages at a scan; in the table of participants that of the first one."""

PARTICIPANT_COLUMNS: dict[Field, tuple[str, ...]] = {
    Field.SUBJECT: ("participant_id", "subject_id", "subject", "ptid"),
    Field.AGE: (*MONTH_ZERO_AGES, *SCAN_AGES),
    Field.SEX: ("sex", "gender", "ptgender", "m/f", "sex_id_(1=m,_2=f)", "sex_id"),
    Field.DIAGNOSIS: (
        "diagnosis", "dx", "dx1", "diagnosis_bl", "diagnosis_baseline", "dx_bl", "diagnosis_sc",
        "group", "cdr",
    ),
    Field.SITE: ("site", "site_id", "scanner", "center", "centre"),
}  # fmt: skip

SESSION_COLUMNS: dict[Field, tuple[str, ...]] = {
    Field.SESSION: ("session_id", "session"),
    Field.AGE: (*AGES, *SCAN_AGES),
    Field.DIAGNOSIS: ("diagnosis", "dx", "dx1"),
    Field.MONTHS: ("months", "session_months", "visit_months", "month", "months_since_baseline"),
    Field.DAYS: ("days", "days_since_baseline", "days_to_visit"),
    Field.DATE: (
        "acq_time", "acq_date", "examination_date", "scan_date", "session_date", "examdate",
        "study_date", "date",
    ),
}  # fmt: skip

LISTING_COLUMNS: dict[Field, tuple[str, ...]] = {
    **PARTICIPANT_COLUMNS,
    **SESSION_COLUMNS,
    Field.DIAGNOSIS: PARTICIPANT_COLUMNS[Field.DIAGNOSIS],
    Field.AGE: (*AGES, *SCAN_AGES, *BASELINE_AGES),
    Field.PATH: ("path", "file", "filename", "file_name", "image", "image_path", "t1w", "t1"),
}
"""Columns of a table with a row for each scan."""

DEMENTIA_RATING = "cdr"
"""Read as the diagnosis of a visit where no column of either table gives a diagnosis."""

SEXES = {
    "f": "F", "female": "F", "woman": "F", "w": "F",
    "m": "M", "male": "M", "man": "M",
}  # fmt: skip

SEX_CODES = {"1": "M", "2": "F"}
"""Understood where a column has no other code: beside a 0, a 1 could be either."""

OTHER_SEXES = frozenset({"o", "other", "u", "unspecified", "x"})
"""Neither of the two that the probe of sex tells apart."""

UNKNOWN = frozenset({"", "n/a", "na", "nan", "none", "null", "unknown"})
"""What tables write for a value that is not known; BIDS itself says "n/a"."""

PATIENT_WORDS = frozenset({
    "ad", "ad dementia", "alzheimer", "alzheimers", "alzheimer's", "alzheimer disease",
    "alzheimer's disease", "alzheimers disease", "dementia", "dementia of the alzheimer type",
    "dat", "patient", "1", "0.5", "2", "3",
})  # fmt: skip
CONTROL_WORDS = frozenset({
    "cn", "cognitively normal", "nl", "normal", "control", "controls", "healthy",
    "healthy control", "hc", "nc", "smc", "0",
})  # fmt: skip
"""Words of which a message proposes what they could stand for (EMCI and LMCI have a default)."""


def normal_name(name: str) -> str:
    """A column's name as names are compared: lower case, ``_`` for blanks.

    Examples
    --------
    >>> normal_name(" SEX_ID (1=m, 2=f)")
    'sex_id_(1=m,_2=f)'
    """
    return "_".join(name.split()).lower()
