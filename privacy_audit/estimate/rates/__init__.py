"""The posterior of two error rates, one attack at a time: Beta laws pushed through the privacy region."""
