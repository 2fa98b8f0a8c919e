"""Statements about a whole privacy curve: tests of it, bounds within a family of curves, bounds over many deltas."""
