"""Shadow models: many trainings at once, kept in a store that survives a crash."""
