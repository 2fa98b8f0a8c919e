"""The entropy of attention heads: measured, judged, steered, followed through training."""
