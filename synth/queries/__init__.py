"""Families of statistical queries: what a synthetic table shall get right."""
