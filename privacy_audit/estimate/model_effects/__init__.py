"""Several guesses about one model: correlated error rates, by grids, weighted points or a sampler."""
