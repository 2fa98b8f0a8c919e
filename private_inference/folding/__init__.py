"""Exact simplification of a trained model."""
