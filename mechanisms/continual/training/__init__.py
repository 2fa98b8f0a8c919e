"""Correlated noise for training (DP-FTRL): the factorizations of continual counters in a gradient optimizer."""
