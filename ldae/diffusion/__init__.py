"""Diffusion: noise schedule, forward process and deterministic samplers."""
