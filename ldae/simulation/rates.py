"""Rates of atrophy and between-participant variation of volumes, with their sources.

Volumes are in millilitres, ages and times in years. A rate of -0.014 per year is a loss of 1.4 % of
the current volume per year. Values marked *tuned* are not published: they were chosen to give a
realistic overlap between groups (see ``docs/explanation/simulated-cohort.md``).

Sources
-------
Barnes et al. 2009, *A meta-analysis of hippocampal atrophy rates in Alzheimer's disease*,
Neurobiology of Aging 30:1711. Nestor et al. 2008, *Ventricular enlargement as a possible measure of
Alzheimer's disease progression*, Brain 131:2443. Norms of ventricle volume by age: medians of
healthy participants from automatic segmentation (DLMUSE), about 16 ml at 40 and 55 ml at 93 years.
"""

from __future__ import annotations

DIAGNOSES: tuple[str, ...] = ("CN", "MCI", "AD")

# Age at which the healthy curves below are anchored; the middle of a typical cohort.
REFERENCE_AGE = 72.0

# Intracranial volume: mean in women, ratio of men to women, and SD of the log.
# About 1.37 l and 1.54 l, with 8 % variation within each sex (order of magnitude in adults).
ICV_ML_WOMEN = 1370.0
ICV_RATIO_MEN = 1.125
ICV_LOG_SD = 0.08

# Both hippocampi in health, at the reference age and an intracranial volume of ICV_ML_MEAN.
# Barnes 2009: -1.4 % per year in controls, -4.7 % in Alzheimer's disease. The healthy rate grows
# with age and equals -1.4 % at the mean age of the controls in that meta-analysis.
ICV_ML_MEAN = 1455.0
HIPPOCAMPUS_ML = 6.6
HIPPOCAMPUS_RATE = -0.014
HIPPOCAMPUS_RATE_AD = -0.047
HIPPOCAMPUS_RATE_AGE = 75.0
HIPPOCAMPUS_ONSET_AGE = 40.0

# Lateral ventricles: Nestor 2008, +1.5 ml per year in controls and +5 ml in Alzheimer's disease.
# The healthy median grows exponentially with age between the two ends of the norm curve (16 ml at
# 40, 55 ml at 93); its cross-sectional slope is +0.8 ml per year at 72 and +1.2 ml at 90.
VENTRICLES_ML_AT_40 = 16.0
VENTRICLES_ML_AT_93 = 55.0
VENTRICLES_ML_PER_YEAR_AD = 5.0
VENTRICLES_ML_PER_YEAR = 1.5

# Cerebral cortex at the reference age. Its rates are those of the whole brain (-0.5 % of about
# 1100 ml per year in health, -2 % in Alzheimer's disease) minus the growth of the ventricles.
CORTEX_ML = 470.0
CORTEX_RATE = -0.010
CORTEX_RATE_AD = -0.042

# Between-participant variation, as SD of the log. Tuned.
HIPPOCAMPUS_LOG_SD = 0.08
VENTRICLES_LOG_SD = 0.28
CORTEX_LOG_SD = 0.032
# SD of brain age minus chronological age, years; shared by all three structures. Tuned.
BRAIN_AGE_SD = 3.5
# SD of the log of a participant's yearly rates around the mean of the group. Tuned.
RATE_LOG_SD = 0.30

# Effect of the disease at the first visit of an average patient with AD, as a change of the log
# volume. Tuned; hippocampi are about 20 % smaller in patients than in controls, as in ADNI.
HIPPOCAMPUS_LOG_EFFECT_AD = -0.255
VENTRICLES_LOG_EFFECT_AD = 0.30
CORTEX_LOG_EFFECT_AD = -0.045
# Severity at the first visit: 0 in CN, around 1 in AD, in between in MCI; log-normal spread. Tuned.
SEVERITY = {"CN": 0.0, "MCI": 0.5, "AD": 1.0}
SEVERITY_LOG_SD = 0.45
# Years in which the severity of an average patient rises by one. Assumed; no volume depends on it.
YEARS_PER_SEVERITY = 5.0

# Allometric exponents: how a structure scales with intracranial volume (1 is proportional). The
# cortex scales slightly less than proportionally, the hippocampi clearly less.
HIPPOCAMPUS_ICV_EXPONENT = 0.7
CORTEX_ICV_EXPONENT = 0.95
VENTRICLES_ICV_EXPONENT = 1.0
