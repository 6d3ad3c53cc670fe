"""Latent diffusion autoencoders for brain MRI: the science behind the workflow's rules."""

__version__ = "0.1.0"
