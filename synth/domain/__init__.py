"""Bounds, edges and categories of columns, bought with budget where nobody can declare them; rare codes merged."""
