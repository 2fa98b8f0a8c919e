"""Canaries in a training run: the probe, its likelihood, static checks before training."""
