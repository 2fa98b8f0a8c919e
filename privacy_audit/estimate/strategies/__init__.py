"""What choosing a threshold costs: one strategy a file."""
