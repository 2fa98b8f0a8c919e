"""Noise that protects data: secure and seeded sources, exact integer samplers."""
