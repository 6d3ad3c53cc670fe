"""Stage 0: raw T1-weighted heads to brains on one grid (docs/explanation/preprocessing.md)."""

from ldae.preprocessing.pipeline import preprocess_batch
from ldae.preprocessing.resampling import grid_affine

__all__ = ["grid_affine", "preprocess_batch"]
