"""Trained models in use: what a model consists of, scans in and out, export as a bundle."""
