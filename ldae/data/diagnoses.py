"""Diagnoses in a study's own words: who is a patient and who a control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Diagnoses:
    """Words for diagnoses (section ``cohort.diagnoses`` of the settings).

    Attributes
    ----------
    patient, control
        Diagnosis of the patients and of the controls: the positive and the negative class, so that
        sensitivity is the share of patients found.
    """

    patient: str
    control: str

    def target(self, diagnosis: pd.Series) -> np.ndarray:
        """1 for patients, 0 for controls, NaN for other diagnoses, (N,)."""
        return diagnosis.map({self.patient: 1.0, self.control: 0.0}).to_numpy(float)

    def missing(self, diagnosis: pd.Series) -> list[str]:
        """Diagnoses of the two groups that nobody has, sorted."""
        return sorted({self.patient, self.control} - set(diagnosis))
