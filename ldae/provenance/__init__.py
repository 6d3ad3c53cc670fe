"""Provenance: the code, inputs and settings from which each result was computed."""
