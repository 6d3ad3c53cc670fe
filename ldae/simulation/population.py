"""Simulated participants: diagnosis, age, sex, site, visits and the target volumes of each scan.

No image is made here: the volumes drawn are the targets that the rendered heads are fitted to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ldae.data.addresses import scan_name
from ldae.simulation import rates
from ldae.simulation.settings import SimulationSettings

DECIMALS = 4
"""Decimals of the numbers that a participant's heads are made from."""

# Independent random streams, one per purpose (first entry of the SeedSequence's spawn key).
STREAM_COHORT, STREAM_PARTICIPANT, STREAM_ANATOMY, STREAM_SCAN, STREAM_SITE = range(5)


def random_stream(seed: int, *key: int) -> np.random.Generator:
    """Generator that depends only on the seed and the key, not on earlier draws."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def draw_population(settings: SimulationSettings, seed: int) -> pd.DataFrame:
    """Table with one row per scan and its target volumes.

    Parameters
    ----------
    settings
        Settings of the cohort.
    seed
        Seed of the cohort. A participant's own draws depend only on the seed and the participant's
        index.

    Returns
    -------
    DataFrame
        Sorted by subject and months: scan, subject, session, participant and visit (indices from
        0), months, age (years, at the scan), sex (F|M), diagnosis, site, icv_ml, ventricles_ml,
        hippocampus_ml, cortex_ml, cortex_healthy_ml (before the loss due to disease), severity
        (0 in health, about 1 in an average patient at the first visit).
    """
    shuffle = random_stream(seed, STREAM_COHORT)
    n = settings.n_subjects
    diagnoses = _apportion(list(settings.shares.items()), n)
    diagnoses = [diagnoses[i] for i in shuffle.permutation(n)]
    # Ages are spread evenly within each diagnosis, so that age does not predict the diagnosis.
    low, high = settings.age_years
    ages = np.empty(n)
    for diagnosis in rates.DIAGNOSES:
        members = np.flatnonzero([d == diagnosis for d in diagnoses])
        places = (shuffle.permutation(len(members)) + shuffle.uniform(size=len(members))) / max(
            len(members), 1
        )
        ages[members] = low + (high - low) * places
    sexes = shuffle.permutation(np.resize(["F", "M"], n))
    sites = shuffle.permutation(np.resize(np.arange(settings.n_sites), n))
    width = max(4, len(str(n)))
    rows = []
    for i in range(n):
        rows += _draw_participant(
            settings, seed, i, f"sub-{i + 1:0{width}d}", diagnoses[i],
            round(float(ages[i]), 1), str(sexes[i]), f"site-{sites[i] + 1:02d}",
        )  # fmt: skip
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Traits:
    """Properties of a participant that do not change between visits.

    Attributes
    ----------
    icv_ml
        Intracranial volume.
    size
        Log of `icv_ml` relative to the population mean.
    brain_age
        Brain age at the first visit, years.
    severity
        Severity of the disease at the first visit, 0 in health.
    pace
        Factor on the rates of ageing.
    stage
        Factor on the yearly rates of the disease.
    comorbidity
        Factor on the yearly rates of the comorbid process, on average 1 whatever the diagnosis.
    hippocampus_z, ventricles_z, cortex_z
        z-scores of the log volumes.
    """

    icv_ml: float
    size: float
    brain_age: float
    severity: float
    pace: float
    stage: float
    comorbidity: float
    hippocampus_z: float
    ventricles_z: float
    cortex_z: float


def _draw_participant(
    settings: SimulationSettings,
    seed: int,
    participant: int,
    subject: str,
    diagnosis: str,
    first_age: float,
    sex: str,
    site: str,
) -> list[dict[str, object]]:
    """Rows of one participant's visits."""
    rng = random_stream(seed, STREAM_PARTICIPANT, participant)
    traits = _draw_traits(rng, diagnosis, first_age, sex)
    attended = _draw_visits(rng, settings)
    rows: list[dict[str, object]] = []
    for visit, months in enumerate(settings.months):
        if months not in attended:
            continue
        years = months / 12
        session = f"ses-M{months:03d}"
        rows.append(
            {
                "scan": scan_name(subject, session), "subject": subject, "session": session,
                "participant": participant, "visit": visit, "months": float(months),
                "age": round(first_age + years, 2), "sex": sex, "diagnosis": diagnosis,
                "site": site, "icv_ml": traits.icv_ml, **_volumes(traits, years),
                "severity": _round(
                    traits.severity + traits.stage * years / rates.YEARS_PER_SEVERITY
                ),
            }
        )  # fmt: skip
    return rows


def _draw_traits(rng: np.random.Generator, diagnosis: str, first_age: float, sex: str) -> _Traits:
    gap, icv_z, hippocampus_z, ventricles_z, cortex_z, severity_z, pace_z = rng.standard_normal(7)
    icv = rates.ICV_ML_WOMEN * (rates.ICV_RATIO_MEN if sex == "M" else 1.0)
    icv *= np.exp(rates.ICV_LOG_SD * icv_z)
    pace = np.exp(rates.RATE_LOG_SD * pace_z - rates.RATE_LOG_SD**2 / 2)
    return _Traits(
        icv_ml=_round(icv),
        size=np.log(icv / rates.ICV_ML_MEAN),
        brain_age=first_age + rates.BRAIN_AGE_SD * gap,
        severity=rates.SEVERITY[diagnosis]
        * np.exp(rates.SEVERITY_LOG_SD * severity_z - rates.SEVERITY_LOG_SD**2 / 2),
        pace=pace,
        stage=rates.SEVERITY[diagnosis] * pace,
        comorbidity=rng.standard_exponential(),
        hippocampus_z=hippocampus_z,
        ventricles_z=ventricles_z,
        cortex_z=cortex_z,
    )


def _draw_visits(rng: np.random.Generator, settings: SimulationSettings) -> set[int]:
    """Months of the visits that a participant attended; always includes the first one."""
    asked_back = rng.random() < settings.follow_up_share
    shown_up = rng.random(len(settings.months) - 1) >= settings.missing_visit_rate
    later = np.array(settings.months[1:], int)
    return {0, *later[shown_up & asked_back].tolist()}


def _round(value: float) -> float:
    """Number as it is stored: what the last bits of an exponential differ by is cut off.

    These bits depend on the processor. Heads are made from rounded numbers, so that the same seed
    gives the same cohort everywhere.
    """
    return round(float(value), DECIMALS)


def _volumes(traits: _Traits, years: float) -> dict[str, float]:
    """Target volumes in ml, `years` after the first visit.

    The brain ages at the participant's own pace, starting from the brain age at the first visit.
    """
    healthy_age = traits.brain_age + traits.pace * years
    # The comorbid process makes up for what controls lose beyond the norm, on average.
    comorbid = traits.comorbidity * (rates.COMORBID_YEARS + years)
    hippocampus = rates.HIPPOCAMPUS_ML * np.exp(
        _healthy_hippocampus(healthy_age)
        + rates.HIPPOCAMPUS_LOG_SD * traits.hippocampus_z
        + rates.HIPPOCAMPUS_LOG_EFFECT_AD * traits.severity
        + rates.HIPPOCAMPUS_ICV_EXPONENT * traits.size
        + (rates.HIPPOCAMPUS_RATE - _hippocampus_slope(rates.REFERENCE_AGE)) * comorbid
        + traits.stage * (rates.HIPPOCAMPUS_RATE_AD - rates.HIPPOCAMPUS_RATE) * years
    )
    healthy_ventricles = rates.VENTRICLES_ML_AT_40 * np.exp(
        _healthy_ventricles(healthy_age)
        + rates.VENTRICLES_LOG_SD * traits.ventricles_z
        + rates.VENTRICLES_ICV_EXPONENT * traits.size
    )
    norm_ml_per_year = (
        rates.VENTRICLES_ML_AT_40
        * np.exp(_healthy_ventricles(rates.REFERENCE_AGE))
        * VENTRICLES_GROWTH
    )
    ventricles = (
        healthy_ventricles * np.exp(rates.VENTRICLES_LOG_EFFECT_AD * traits.severity)
        + (rates.VENTRICLES_ML_PER_YEAR - norm_ml_per_year) * comorbid
        + traits.stage * (rates.VENTRICLES_ML_PER_YEAR_AD - rates.VENTRICLES_ML_PER_YEAR) * years
    )
    cortex_healthy = rates.CORTEX_ML * np.exp(
        rates.CORTEX_NORM_RATE * (healthy_age - rates.REFERENCE_AGE)
        + rates.CORTEX_LOG_SD * traits.cortex_z
        + rates.CORTEX_ICV_EXPONENT * traits.size
        + (rates.CORTEX_RATE - rates.CORTEX_NORM_RATE) * comorbid
    )
    cortex = cortex_healthy * np.exp(
        rates.CORTEX_LOG_EFFECT_AD * traits.severity
        + traits.stage * (rates.CORTEX_RATE_AD - rates.CORTEX_RATE) * years
    )
    return {
        "ventricles_ml": _round(ventricles),
        "hippocampus_ml": _round(hippocampus),
        "cortex_ml": _round(cortex),
        "cortex_healthy_ml": _round(cortex_healthy),
    }


def healthy_growth(age: float, years: float) -> tuple[float, float, float]:
    """Factors by which ventricles, hippocampi and cortex change in healthy ageing.

    Parameters
    ----------
    age
        Age at the start, years.
    years
        Time that passes, years.
    """
    return (
        float(np.exp(_healthy_ventricles(age + years) - _healthy_ventricles(age))),
        float(np.exp(_healthy_hippocampus(age + years) - _healthy_hippocampus(age))),
        float(np.exp(rates.CORTEX_NORM_RATE * years)),
    )


def _hippocampus_slope(age: float) -> float:
    """Yearly change of the log of the healthy volume; from 0 at the norm's first age, linear."""
    onset, end = rates.HIPPOCAMPUS_NORM_AGES
    return 2 * math.log(rates.HIPPOCAMPUS_NORM_RATIO) * max(age - onset, 0) / (end - onset) ** 2


def _healthy_hippocampus(age: float) -> float:
    """Log of the healthy volume relative to the reference age: the integral of the slope."""

    def fallen(at: float) -> float:
        return _hippocampus_slope(at) * max(at - rates.HIPPOCAMPUS_NORM_AGES[0], 0) / 2

    return fallen(age) - fallen(rates.REFERENCE_AGE)


VENTRICLES_GROWTH = math.log(rates.VENTRICLES_ML_AT_93 / rates.VENTRICLES_ML_AT_40) / (93 - 40)
"""Growth of the healthy median per year; exponential through both ends of the norm."""


def _healthy_ventricles(age: float) -> float:
    """Log of the healthy median relative to age 40."""
    return VENTRICLES_GROWTH * (age - 40)


def _apportion(shares: list[tuple[str, float]], n: int) -> list[str]:
    """List of n labels in the given shares (largest-remainder method)."""
    counts = {label: int(np.floor(share * n)) for label, share in shares}
    by_remainder = sorted(shares, key=lambda item: counts[item[0]] - item[1] * n)
    for label, _ in by_remainder[: n - sum(counts.values())]:
        counts[label] += 1
    return [label for label, count in counts.items() for _ in range(count)]
