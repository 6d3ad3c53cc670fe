"""Intervals, measures and tidy tables; knows scores, not images or networks."""
