"""Private synthetic tables: Private-GSD for marginals by an exact move engine, for any other query by its genetic algorithm."""
