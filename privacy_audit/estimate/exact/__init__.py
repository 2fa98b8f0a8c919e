"""Exact p-values of an epsilon from one pair of counts, by enumeration."""
