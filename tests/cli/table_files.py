"""Small tables and schemas as files, for the commands on synthetic tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SECRET = "s3cret"
SCHEMA = """\
schema_version = 1

[[columns]]
name = "smokes"
kind = "categorical"
categories = ["no", "yes"]

[[columns]]
name = "age"
kind = "ordinal"
lower = 0
upper = 99
step = 10

[[columns]]
name = "dose"
kind = "continuous"
lower = 0.0
upper = 10.0
bins = 4
nullable = true
"""


def write_files(folder: Path, *, n: int = 200, seed: int = 0, name: str = "real.csv") -> tuple[str, str]:
    """Write a table of linked columns and its schema; return their paths."""
    rng = np.random.default_rng(seed)
    age = rng.integers(0, 100, n)
    smokes = np.where(rng.random(n) < 0.1 + 0.8 * (age > 50), "yes", "no")
    dose = [("" if missing else f"{value:.3f}") for missing, value in zip(rng.random(n) < 0.2, rng.uniform(0, 10, n), strict=True)]
    rows = "".join(f"{s},{a},{d}\n" for s, a, d in zip(smokes, age, dose, strict=True))
    (folder / name).write_text("smokes,age,dose\n" + rows)
    (folder / "schema.toml").write_text(SCHEMA)
    return str(folder / name), str(folder / "schema.toml")
