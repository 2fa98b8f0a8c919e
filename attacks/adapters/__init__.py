"""Scores that other tools have written or computed, as MembershipScores: one file per tool, named after it; nothing is ever unpickled."""
