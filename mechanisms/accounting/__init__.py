"""Accounting: exact Gaussian curve, zCDP conversions, DP-SGD."""
