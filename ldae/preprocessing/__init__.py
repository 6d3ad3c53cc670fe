"""Stage 0: raw T1-weighted heads to brains on one grid (docs/explanation/preprocessing.md)."""

from ldae.preprocessing.pipeline import grid_affine, preprocess_batch

__all__ = ["grid_affine", "preprocess_batch"]
