"""Runs that come one after the other: bets, the plot that monitors them, the rule that stops."""
