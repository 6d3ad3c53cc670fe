"""Stage 0: raw T1-weighted heads to brains on one grid in MNI152 space (docs/preprocessing.md)."""

from ldae.preprocessing.pipeline import grid_affine, preprocess_batch

__all__ = ["grid_affine", "preprocess_batch"]
