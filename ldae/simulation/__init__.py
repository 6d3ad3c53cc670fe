"""A simulated longitudinal cohort of raw heads, whose truth is known."""

from ldae.simulation.cohort import simulate_cohort
from ldae.simulation.population import draw_population
from ldae.simulation.settings import SimulationSettings

__all__ = ["SimulationSettings", "draw_population", "simulate_cohort"]
