"""A simulated longitudinal cohort of raw heads, whose truth is known."""
