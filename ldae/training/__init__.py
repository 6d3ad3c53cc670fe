"""Training with Lightning: steps, checkpoints and status lines."""
