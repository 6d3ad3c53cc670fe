"""Simulated longitudinal cohort of raw heads with known ground truth."""
