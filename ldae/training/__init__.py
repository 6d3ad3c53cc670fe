"""Training on Lightning: steps, checkpoints and status lines."""
