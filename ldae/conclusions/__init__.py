"""What follows from the tables: comparisons, ablations, claims and verdicts."""
