"""Rates of atrophy and between-participant variation of volumes, with their sources.

Volumes are in millilitres, ages and times in years. A rate of -0.014 per year is a loss of 1.4 % of
the current volume per year. Values marked *tuned* are not published: they were chosen to give a
realistic overlap between groups (see ``docs/explanation/simulated-cohort.md``).

Norms by age and rates of follow-up studies disagree: controls of follow-up studies lose their
hippocampi faster than norms fall with age. Here both hold. Healthy ageing follows the norms, within
and between participants; what controls lose beyond it is due to a process unrelated to the
diagnosis (*comorbidity*), which began a few years before the first visit.

Sources
-------
Barnes et al. 2009, *A meta-analysis of hippocampal atrophy rates in Alzheimer's disease*,
Neurobiology of Aging 30:1711. Nestor et al. 2008, *Ventricular enlargement as a possible measure of
Alzheimer's disease progression*, Brain 131:2443. Norms by age: medians of healthy participants from
automatic segmentation (DLMUSE), about 16 ml of ventricles at 40 and 55 ml at 93 years, right
hippocampus 4.1 ml and 3.3 ml.
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

# Both hippocampi in health, at the reference age and an intracranial volume of ICV_ML_MEAN. The
# norm falls by a fifth between 40 and 93 years, faster with age: -0.5 % per year at 75.
ICV_ML_MEAN = 1455.0
HIPPOCAMPUS_ML = 6.9
HIPPOCAMPUS_NORM_AGES = (40.0, 93.0)
HIPPOCAMPUS_NORM_RATIO = 3.3 / 4.1
# Barnes 2009: -1.4 % per year in controls, -4.7 % in Alzheimer's disease.
HIPPOCAMPUS_RATE = -0.014
HIPPOCAMPUS_RATE_AD = -0.047

# Lateral ventricles: the healthy median grows exponentially with age between the two ends of the
# norm, by 0.8 ml per year at 72. Nestor 2008: +1.5 ml per year in controls, +5 ml in Alzheimer's.
VENTRICLES_ML_AT_40 = 16.0
VENTRICLES_ML_AT_93 = 55.0
VENTRICLES_ML_PER_YEAR = 1.5
VENTRICLES_ML_PER_YEAR_AD = 5.0

# Cerebral cortex at the reference age. Its rates in follow-up are those of the whole brain (-0.5 %
# of about 1100 ml per year in controls, -2 % in Alzheimer's disease) minus the growth of the
# ventricles. Healthy loss by age is less, as for the other structures (order of magnitude).
CORTEX_ML = 475.0
CORTEX_NORM_RATE = -0.006
CORTEX_RATE = -0.0085
CORTEX_RATE_AD = -0.036

# Years that the comorbid process has gone on at the first visit. Tuned.
COMORBID_YEARS = 6.0

# Between-participant variation, as SD of the log. Tuned.
HIPPOCAMPUS_LOG_SD = 0.09
VENTRICLES_LOG_SD = 0.30
CORTEX_LOG_SD = 0.032
# SD of brain age minus chronological age, years; shared by all three structures. Tuned.
BRAIN_AGE_SD = 3.5
# SD of the log of a participant's yearly rates around the mean of the group. Tuned.
RATE_LOG_SD = 0.30

# Effect of the disease at the first visit of an average patient with AD, as a change of the log
# volume. Tuned; hippocampi are about 20 % smaller in patients than in controls, as in ADNI.
HIPPOCAMPUS_LOG_EFFECT_AD = -0.225
VENTRICLES_LOG_EFFECT_AD = 0.30
CORTEX_LOG_EFFECT_AD = -0.04
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
