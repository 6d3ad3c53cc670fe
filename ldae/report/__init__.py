"""The report: one HTML page with every figure and table."""
