"""How volumes differ between people and change with age and disease, with the sources.

Volumes are in millilitres, ages and times in years. A rate of -0.014 per year is a loss of 1.4 % of
the present volume in a year. Numbers marked *tuned* are not published: they were chosen so that
groups overlap as in life (see ``docs/explanation/simulated-cohort.md``).

Sources
-------
Barnes et al. 2009, *A meta-analysis of hippocampal atrophy rates in Alzheimer's disease*,
Neurobiology of Aging 30:1711. Nestor et al. 2008, *Ventricular enlargement as a possible measure of
Alzheimer's disease progression*, Brain 131:2443. Norms of ventricle volume by age: medians of
healthy people by automatic segmentation (DLMUSE), about 16 ml at 40 and 55 ml at 93 years.
"""

from __future__ import annotations

DIAGNOSES: tuple[str, ...] = ("CN", "MCI", "AD")

# Age at which the healthy curves below are anchored; the middle of the usual cohort.
REFERENCE_AGE = 72.0

# Intracranial volume: mean of women, ratio of men to women, and deviation of its logarithm.
# About 1.37 and 1.54 l with 8 % within a sex (order of magnitude of any adult series).
ICV_ML_WOMEN = 1370.0
ICV_RATIO_MEN = 1.125
ICV_LOG_SD = 0.08

# Hippocampi (both), healthy, at the reference age in a head of ICV_ML_MEAN; Barnes 2009: -1.4 % per
# year in controls, -4.7 % in Alzheimer's disease. The healthy rate grows with age, and passes
# -1.4 % at the mean age of the studies' controls.
ICV_ML_MEAN = 1455.0
HIPPOCAMPUS_ML = 6.6
HIPPOCAMPUS_RATE = -0.014
HIPPOCAMPUS_RATE_AD = -0.047
HIPPOCAMPUS_RATE_AGE = 75.0
HIPPOCAMPUS_ONSET_AGE = 40.0

# Lateral ventricles: Nestor 2008, +1.5 ml per year in controls and +5 ml in Alzheimer's disease.
# The healthy median by age is exponential between the two ends of the norm curve (16 ml at 40,
# 55 ml at 93), which gives +0.8 ml a year at 72 and +1.2 ml at 90 as cross-sectional slope.
VENTRICLES_ML_AT_40 = 16.0
VENTRICLES_ML_AT_93 = 55.0
VENTRICLES_ML_PER_YEAR_AD = 5.0
VENTRICLES_ML_PER_YEAR = 1.5

# Cerebral cortex at the reference age. Its rates are what remains of the whole brain's (-0.5 % of
# about 1100 ml per year in health, -2 % in Alzheimer's disease) after the ventricles' growth.
CORTEX_ML = 470.0
CORTEX_RATE = -0.010
CORTEX_RATE_AD = -0.042

# Between-person variation, as deviations of logarithms. Tuned.
HIPPOCAMPUS_LOG_SD = 0.08
VENTRICLES_LOG_SD = 0.28
CORTEX_LOG_SD = 0.032
# A brain is older or younger than its owner, in all three structures at once (years). Tuned.
BRAIN_AGE_SD = 3.5
# Deviation of the logarithm of a person's own yearly rates around their group's. Tuned.
RATE_LOG_SD = 0.30

# What the disease has already done at the first visit of an average patient with AD, as a change of
# the logarithm. Tuned; hippocampi are about 20 % smaller in patients than in controls (ADNI-like).
HIPPOCAMPUS_LOG_EFFECT_AD = -0.255
VENTRICLES_LOG_EFFECT_AD = 0.30
CORTEX_LOG_EFFECT_AD = -0.045
# Severity at the first visit: 0 in CN, around 1 in AD, in between in MCI; log-normal spread. Tuned.
SEVERITY = {"CN": 0.0, "MCI": 0.5, "AD": 1.0}
SEVERITY_LOG_SD = 0.45
# In so many years of disease, an average patient's severity rises by one. Assumed; no volume
# depends on it.
YEARS_PER_SEVERITY = 5.0

# Head-size exponents: how a structure scales with intracranial volume (1 = proportionally). Cortex
# scales slightly, hippocampi clearly, less than proportionally.
HIPPOCAMPUS_ICV_EXPONENT = 0.7
CORTEX_ICV_EXPONENT = 0.95
VENTRICLES_ICV_EXPONENT = 1.0
