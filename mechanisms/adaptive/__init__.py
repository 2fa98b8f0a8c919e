"""Adaptive data analysis: queries chosen after looking at former answers, and what can still be said of the population."""
