"""Diagnoses in a study's own words: who is a patient, who a control, and who becomes a patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

MARGIN_MONTHS = 3.0
"""How early or late a visit may take place that was planned for the end of a follow-up."""


@dataclass(frozen=True)
class Diagnoses:
    """Words for diagnoses (section ``cohort.diagnoses`` of the settings).

    Attributes
    ----------
    patient, control
        Diagnosis of the patients and of the controls: the positive and the negative class, so that
        sensitivity is the share of patients found.
    prodromal
        Diagnosis that may become that of the patients.
    conversion_months
        Time within which it does, or does not.
    """

    patient: str
    control: str
    prodromal: str = "MCI"
    conversion_months: float = 36.0

    def target(self, diagnosis: pd.Series) -> np.ndarray:
        """1 for patients, 0 for controls, NaN for other diagnoses, (N,)."""
        return diagnosis.map({self.patient: 1.0, self.control: 0.0}).to_numpy(float)

    def conversion(self, scans: pd.DataFrame) -> np.ndarray:
        """Whether participants convert after the first visit at which they are prodromal, (N,).

        1 at this visit if they are patients at a visit within ``conversion_months``. 0 if their
        diagnoses until then are all prodromal and the last one is from the end of this time. NaN
        for other participants (who left early, or recovered) and for all other visits.

        Parameters
        ----------
        scans
            Table of all scans: subject, months, diagnosis.
        """
        target = np.full(len(scans), np.nan)
        table = scans.reset_index(drop=True)
        known = table[table["diagnosis"] != ""].sort_values("months")
        concerned = known.loc[known["diagnosis"] == self.prodromal, "subject"]
        for _, visits in known[known["subject"].isin(concerned)].groupby("subject"):
            words, months = visits["diagnosis"].to_numpy(str), visits["months"].to_numpy(float)
            start = int((words == self.prodromal).argmax())
            since = months - months[start]
            later = words[(since > 0) & (since <= self.conversion_months + MARGIN_MONTHS)]
            first = visits.index[start]
            if (later == self.patient).any():
                target[first] = 1
            elif (later == self.prodromal).all():
                followed = since.max() >= self.conversion_months - MARGIN_MONTHS
                target[first] = 0 if followed else np.nan
        return target

    def missing(self, diagnosis: pd.Series) -> list[str]:
        """Diagnoses of the two groups that nobody has, sorted."""
        return sorted({self.patient, self.control} - set(diagnosis))
