"""Membership inference: attacks and their metrics."""
