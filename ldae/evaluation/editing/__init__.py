"""Edits of the semantic code: directions, judges, responses and what they leave alone."""
