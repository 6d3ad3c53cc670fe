"""Simulated longitudinal cohort of raw heads with known ground truth."""

from ldae.simulation.cohort import simulate_cohort
from ldae.simulation.population import draw_population
from ldae.simulation.settings import SimulationSettings

__all__ = ["SimulationSettings", "draw_population", "simulate_cohort"]
