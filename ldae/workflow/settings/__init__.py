"""The settings of a study, typed once: defaults, limits, messages and documents follow."""
