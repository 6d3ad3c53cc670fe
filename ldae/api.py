"""Trained models for other programs.

>>> import ldae
>>> model = ldae.load("model")
>>> model.encode("sub-01_T1w.nii.gz").shape
(96,)
>>> older = model.edit("sub-01_T1w.nii.gz", "age", to_age=80)
>>> older.own.to_filename("sub-01_age80_T1w.nii.gz")
"""

from ldae.deployment.answers import Decoded, Prediction
from ldae.deployment.model import Model, load

__all__ = ["Decoded", "Model", "Prediction", "load"]
