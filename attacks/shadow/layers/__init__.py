"""Layers of K models at once: parameters with a leading axis K, per-record gradient norms without per-record gradients."""
