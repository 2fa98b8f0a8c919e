"""Attention that is cheap under secure computation: models, entropy of their heads, exact folding, and a cost that is measured."""
