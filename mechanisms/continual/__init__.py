"""Continual release: statistics of a stream, released after every step, private against adaptive streams."""
