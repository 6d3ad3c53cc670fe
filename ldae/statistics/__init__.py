"""Statistics: confidence intervals, measures of predictions, scores and tidy tables."""
