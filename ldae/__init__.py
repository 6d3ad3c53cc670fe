"""Latent diffusion autoencoders for brain MRI: the science behind the workflow's rules."""

from ldae.isolation import keep_to_environment

__version__ = "0.2.0.dev0"

keep_to_environment()
