"""Figures: tables and example volumes in, matplotlib figures and the numbers they show out."""
