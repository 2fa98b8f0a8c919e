"""Select, measure, model, fit: for wide tables of many weakly linked pairs of columns."""
