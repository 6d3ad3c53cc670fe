"""The diffusion process: schedule, forward process and deterministic sampler."""
