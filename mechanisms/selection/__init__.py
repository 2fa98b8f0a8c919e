"""Choosing in private: a best candidate, the best few, the queries above a threshold."""
