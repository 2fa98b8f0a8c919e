"""Corpora, recipes and runs of small language models, private ones too."""
